package templates

import (
	"fmt"
	"math"
	"strconv"
	"strings"
	"testing"

	"github.com/google/go-cmp/cmp"
	"pgregory.net/rapid"
)

func TestChooseSteps(t *testing.T) {
	for _, c := range []struct{ value, per, step, steps int64 }{
		{0, 1, 1, 1}, {1, 1, 1, 1}, {4, 1, 1, 4}, {5, 1, 2, 3}, {8, 1, 2, 4}, {9, 1, 5, 2}, {20, 1, 5, 4}, {21, 1, 10, 3},
		{99_999, 1, 50_000, 2}, {1_000_001, 1, 500_000, 3}, {maxTotal, 1, 1_000_000_000_000_000_000, 3},
		// Seconds on an axis of minutes.
		{0, 60, 1, 1}, {1, 60, 1, 1}, {61, 60, 1, 2}, {86_400, 60, 500, 3},
	} {
		if step, steps := chooseSteps(c.value, c.per); step != c.step || steps != c.steps {
			t.Errorf("%d per %d: %d steps of %d, want %d of %d", c.value, c.per, steps, step, c.steps, c.step)
		}
	}
}

func TestDrawChart(t *testing.T) {
	c := Chart{Spans: []string{"Mon", "Tue", "Wed", "Thu"}, Tips: []string{"Mon: 3", "Tue: 0", "Wed: 8", "Thu: 1"}, Series: []Series{
		{Name: "Host", Values: []int64{2, 0, 8, 0}}, {Name: "File", Values: []int64{1, 0, 0, 1}}}}
	want := drawing{
		Lines: []line{{"0%", "8"}, {"25%", "6"}, {"50%", "4"}, {"75%", "2"}, {"100%", "0"}},
		Bars: []bar{{0, "3%", "75%", "19%", "25%"}, {1, "3%", "62.5%", "19%", "12.5%"}, {0, "53%", "0%", "19%", "100%"},
			{1, "78%", "87.5%", "19%", "12.5%"}},
		Spots: []spot{{"0%", "25%", "Mon: 3"}, {"25%", "25%", "Tue: 0"}, {"50%", "25%", "Wed: 8"}, {"75%", "25%", "Thu: 1"}},
		Marks: []mark{{"0%", "start", "Mon"}, {"37.5%", "middle", "Tue"}, {"100%", "end", "Thu"}},
	}
	if diff := cmp.Diff(want, drawChart(c)); diff != "" {
		t.Errorf("(-want +got):\n%s", diff)
	}
}

// Pictures at the limits of what may be drawn.
func TestDrawChartAtItsLimits(t *testing.T) {
	for name, c := range map[string]struct {
		chart Chart
		empty bool
		lines string
		bars  string
	}{
		"no days":        {Chart{}, true, "[{0% 1} {100% 0}]", "[]"},
		"nothing":        {Chart{Spans: []string{"a", "b"}, Series: []Series{{Values: []int64{0, 0}}}}, true, "[{0% 1} {100% 0}]", "[]"},
		"one day":        {Chart{Spans: []string{"a"}, Series: []Series{{Values: []int64{2}}}}, false, "[{0% 2} {50% 1} {100% 0}]", "[{0 12% 0% 76% 100%}]"},
		"missing values": {Chart{Spans: []string{"a", "b"}, Series: []Series{{Values: []int64{1}}, {}}}, false, "[{0% 1} {100% 0}]", "[{0 6% 0% 38% 100%}]"},
		"below zero":     {Chart{Spans: []string{"a"}, Series: []Series{{Values: []int64{-5}}, {Values: []int64{1}}}}, false, "[{0% 1} {100% 0}]", "[{1 12% 0% 76% 100%}]"},
		"some seconds":   {Chart{Spans: []string{"a"}, Series: []Series{{Values: []int64{15}}}, Per: 60}, false, "[{0% 1} {100% 0}]", "[{0 12% 75% 76% 25%}]"},
		"beside a million": {Chart{Spans: []string{"a"}, Series: []Series{{Values: []int64{1}}, {Values: []int64{1_000_000}}}}, false,
			"[{0% 1,500,000} {33.33% 1,000,000} {66.67% 500,000} {100% 0}]", "[{0 12% 99.2% 76% 0.8%} {1 12% 32.53% 76% 66.67%}]"},
		"as much as fits": {Chart{Spans: []string{"a"}, Series: []Series{{Values: []int64{math.MaxInt64}}, {Values: []int64{math.MaxInt64}}}}, false,
			"[{0% 3,000,000,000,000,000,000} {33.33% 2,000,000,000,000,000,000} {66.67% 1,000,000,000,000,000,000} {100% 0}]", "[{0 12% 23.14% 76% 76.86%} {1 12% 0% 76% 23.14%}]"},
	} {
		d := drawChart(c.chart)
		if lines := fmt.Sprint(d.Lines); lines != c.lines {
			t.Errorf("%s: lines %s, want %s", name, lines, c.lines)
		}
		if bars := fmt.Sprint(d.Bars); bars != c.bars {
			t.Errorf("%s: bars %s, want %s", name, bars, c.bars)
		}
		if c.chart.isEmpty() != c.empty {
			t.Errorf("%s: empty is %t", name, c.chart.isEmpty())
		}
	}
}

// Whatever is drawn stays within the picture, each bar within its span, none below another; larger values are not smaller.
func TestDrawChartStaysInside(t *testing.T) {
	rapid.Check(t, func(t *rapid.T) {
		spans := rapid.IntRange(1, 100).Draw(t, "spans")
		c := Chart{Spans: make([]string, spans), Tips: make([]string, spans), Per: rapid.SampledFrom([]int64{0, 1, 60}).Draw(t, "per")}
		for range rapid.IntRange(1, MaxSeries).Draw(t, "series") {
			c.Series = append(c.Series, Series{Values: rapid.SliceOfN(rapid.Int64(), spans, spans).Draw(t, "values")})
		}
		d := drawChart(c)
		if n := len(d.Lines); n < 2 || n > maxSteps+1 {
			t.Fatalf("%d lines", n)
		}
		width := 100 / float64(spans)
		below := map[float64]float64{}
		for _, b := range d.Bars {
			x, y, w, h := read(t, b.X), read(t, b.Y), read(t, b.Width), read(t, b.Height)
			span := math.Floor((x + w/2) / width)
			if x < span*width-0.01 || x+w > (span+1)*width+0.02 || y < 0 || h < 0 || y+h > 100.01 {
				t.Fatalf("%+v is outside of span %v of %d", b, span, spans)
			}
			if before, found := below[span]; found && math.Abs(y+h-before) > 0.03 {
				t.Fatalf("%+v does not stand on what is below it, which ends at %v", b, before)
			}
			below[span] = y
		}
		for _, m := range d.Marks {
			read(t, m.X)
		}
	})
}

func read(t *rapid.T, percent string) float64 {
	f, err := strconv.ParseFloat(strings.TrimSuffix(percent, "%"), 64)
	if err != nil || !strings.HasSuffix(percent, "%") || f < 0 || f > 100.01 {
		t.Fatalf("%s is no share of the picture: %v", percent, err)
	}
	return f
}
