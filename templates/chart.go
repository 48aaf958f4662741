package templates

import (
	"slices"
	"strconv"
	"strings"
)

// Chart is a picture of stacked bars, one for each span of time, and the numbers behind it.
type Chart struct {
	// ID is what the ids of its parts on the page begin with.
	ID, Title string
	// Lead is what all bars come to.
	Lead string
	// Summary says what the picture shows to who does not see it.
	Summary string
	// Spans name the bars, the oldest first; Tips say what each one stands for.
	Spans, Tips []string
	// Series are the layers of each bar, from the bottom. There are at most MaxSeries.
	Series []Series
	// Unit is what the axis counts, Per how much of the values makes one of it: 60 for seconds and minutes.
	Unit string
	Per  int64
	// Heads and Rows are the table behind the picture. The first column names the span.
	Heads []string
	Rows  [][]string
}

// Series is one layer of the bars: a value for each span, none below 0.
type Series struct {
	Name, Total string
	Values      []int64
}

// MaxSeries is how many layers can be told apart: each has a colour and a pattern of its own.
const MaxSeries = 6

// isEmpty says that there is nothing to draw.
func (s Series) isEmpty() bool {
	return !slices.ContainsFunc(s.Values, func(v int64) bool { return v > 0 })
}

// isEmpty says that there is nothing to draw.
func (c Chart) isEmpty() bool {
	return !slices.ContainsFunc(c.Series, func(s Series) bool { return !s.isEmpty() })
}

// drawing is a chart as shapes. Places and sizes are per cent of the picture, as SVG writes them.
type drawing struct {
	Lines []line
	Bars  []bar
	Spots []spot
	Marks []mark
}

// line is a line across the picture at a round number, from the top down.
type line struct{ Y, Label string }

// bar is one layer of one bar.
type bar struct {
	Layer               int
	X, Y, Width, Height string
}

// spot is the whole height of the picture over one span.
type spot struct{ X, Width, Tip string }

// mark names a place on the axis of time.
type mark struct{ X, Anchor, Label string }

const (
	// maxSteps is how many steps the axis has at most.
	maxSteps = 4
	// barShare is how much of a span its bar fills, in per cent.
	barShare = 76
	// leastHeight keeps the smallest value in sight, in per cent.
	leastHeight = 0.8
	// maxTotal bounds what a bar stands for, so that nothing overflows.
	maxTotal = int64(1) << 61
)

// drawChart makes the shapes of a chart.
func drawChart(c Chart) drawing {
	step, steps := chooseSteps(tallestBar(c.Series, len(c.Spans)), max(1, c.Per))
	top := float64(step) * float64(steps) * float64(max(1, c.Per))
	var d drawing
	for i := steps; i >= 0; i-- {
		d.Lines = append(d.Lines, line{Y: percent(100 * float64(steps-i) / float64(steps)), Label: Number(step * i)})
	}
	width := 100 / float64(max(1, len(c.Spans)))
	for i := range c.Spans {
		x := width * float64(i)
		if i < len(c.Tips) {
			d.Spots = append(d.Spots, spot{X: percent(x), Width: percent(width), Tip: c.Tips[i]})
		}
		bottom := 100.0
		for layer, s := range c.Series {
			if i >= len(s.Values) || s.Values[i] <= 0 {
				continue
			}
			height := min(bottom, max(leastHeight, 100*float64(min(s.Values[i], maxTotal))/top))
			bottom -= height
			d.Bars = append(d.Bars, bar{Layer: layer, X: percent(x + width*(100-barShare)/200), Y: percent(bottom),
				Width: percent(width * barShare / 100), Height: percent(height)})
		}
	}
	d.Marks = markSpans(c.Spans, width)
	return d
}

// layerBars are the bars of one layer.
func (d drawing) layerBars(layer int) (bars []bar) {
	for _, b := range d.Bars {
		if b.Layer == layer {
			bars = append(bars, b)
		}
	}
	return bars
}

// layerStrokes are drawn over the colour of each layer, in a square of six by six.
var layerStrokes = [MaxSeries]string{
	"",
	"M-1 1L1 -1M0 6L6 0M5 7L7 5", // rising
	"M0 1.5H6M0 4.5H6",
	"M1 1H3V3H1ZM4 4H6V6H4Z",
	"M-1 5L1 7M0 0L6 6M5 -1L7 1", // falling
	"M1.5 0V6M0 1.5H6",
}

func layerID(layer int) string { return "layer-" + strconv.Itoa(layer) }

func layerFill(layer int) string { return "url(#" + layerID(layer) + ")" }

// NewShare is a part of a total, beside a largest part that is drawn in full width.
func NewShare(name string, objects, largest, total int64) Share {
	s := Share{Name: name, Objects: objects, Share: "0 %", Width: "0%"}
	if objects <= 0 || total <= 0 || largest <= 0 {
		return s
	}
	part := 100 * float64(objects) / float64(total)
	switch {
	case part < 0.1:
		s.Share = "< 0.1 %"
	case part > 99.9 && objects < total:
		s.Share = "> 99.9 %"
	default:
		s.Share = strings.TrimSuffix(strconv.FormatFloat(part, 'f', 1, 64), ".0") + " %"
	}
	s.Width = percent(min(100, max(leastHeight, 100*float64(objects)/float64(largest))))
	return s
}

// isIdle says that no picture of the page has anything to draw.
func (v ActivityPage) isIdle() bool {
	return !slices.ContainsFunc(v.Charts, func(c Chart) bool { return !c.isEmpty() })
}

func pluralObjects(n int64) string {
	_, word, _ := strings.Cut(Amount(n, "object", "objects"), " ")
	return word
}

// tallestBar is what the tallest bar stands for.
func tallestBar(series []Series, spans int) (tallest int64) {
	for i := range spans {
		var total int64
		for _, s := range series {
			if i < len(s.Values) {
				total = min(maxTotal, total+min(maxTotal, max(0, s.Values[i])))
			}
		}
		tallest = max(tallest, total)
	}
	return tallest
}

// chooseSteps divides the axis, up to a value or above, into a few steps of 1, 2 or 5 times a power of ten. per is how much of
// the value makes one of what the axis counts.
func chooseSteps(value, per int64) (step, steps int64) {
	most := max(1, (value+per-1)/per)
	for power := int64(1); ; power *= 10 {
		for _, factor := range []int64{1, 2, 5} {
			step = factor * power
			if steps = (most + step - 1) / step; steps <= maxSteps {
				return step, steps
			}
		}
	}
}

// markSpans names the first, the middle and the last span.
func markSpans(spans []string, width float64) []mark {
	last := len(spans) - 1
	switch {
	case last < 0:
		return nil
	case last == 0:
		return []mark{{X: "50%", Anchor: "middle", Label: spans[0]}}
	}
	marks := []mark{{X: "0%", Anchor: "start", Label: spans[0]}}
	if last > 1 {
		marks = append(marks, mark{X: percent(width * (float64(last/2) + 0.5)), Anchor: "middle", Label: spans[last/2]})
	}
	return append(marks, mark{X: "100%", Anchor: "end", Label: spans[last]})
}

// percent writes a place or a size, with as many digits as can be seen.
func percent(f float64) string {
	return strings.TrimSuffix(strings.TrimRight(strconv.FormatFloat(f, 'f', 2, 64), "0"), ".") + "%"
}
