package web

import (
	"fmt"
	"net/http"
	"slices"
	"strings"
	"time"

	"github.com/labstack/echo/v4"

	"mssentinel/app/job"
	"mssentinel/app/store"
	"mssentinel/app/text"
	"mssentinel/templates"
)

const (
	// mostDailyBars is how many days are shown as a bar each; more are added up by weeks.
	mostDailyBars = 90
	// mostDetails is how many bars say what they are made of when one points at them; of more, the table tells.
	mostDetails = 31
	// shownOwners is how many owners ACTIVITY names of those with live objects.
	shownOwners = 10
)

// periods are how many days ACTIVITY offers.
var periods = []int{7, 30, 90, maxDays}

// showActivity is the ACTIVITY view of REPORT.
func (s *server) showActivity(c echo.Context) error {
	days, err := readDays(c)
	if err != nil {
		return err
	}
	view := templates.ActivityPage{Frame: s.newFrame(c, "REPORT", "report"), Periods: periods, Period: days, Bars: "One bar a day, today so far included."}
	to := startOfDay(time.Now())
	from := to.AddDate(0, 0, 1-days)
	if days > mostDailyBars {
		from = startOfWeek(from)
		view.Bars = "One bar a week from Monday on, this week so far included."
	}
	spans, err := s.collectDays(c.Request().Context(), from, to)
	if err != nil {
		return err
	}
	live, err := s.Store.LiveTotals(c.Request().Context())
	if err != nil {
		return err
	}
	if days > mostDailyBars {
		spans = groupWeeks(spans)
	}
	view.Days = from.Format(time.DateOnly) + " to " + to.Format(time.DateOnly)
	view.Live = livePanel(live)
	view.Charts = drawCharts(spans)
	return renderPage(c, http.StatusOK, templates.Activity(view))
}

// livePanel is what ACTIVITY says of the live objects.
func livePanel(t store.LiveTotals) templates.LivePanel {
	named := t.Owners[:min(len(t.Owners), shownOwners)]
	rest := []store.NameTotal{{Name: templates.Amount(int64(len(t.Owners)-len(named)), "other owner", "other owners")},
		{Name: "None: no query selects them at present", Objects: t.Unowned}}
	for _, n := range t.Owners[len(named):] {
		rest[0].Objects += n.Objects
	}
	return templates.LivePanel{AsOf: t.AsOf, Total: t.Total, Types: newShares(t.Types, nil, t.Total), Owners: newShares(named, rest, t.Total)}
}

// newShares are parts of a total, the largest first, and what they leave over.
func newShares(parts, rest []store.NameTotal, total int64) (shares []templates.Share) {
	var largest int64
	for _, n := range append(slices.Clone(parts), rest...) {
		largest = max(largest, n.Objects)
	}
	for _, n := range parts {
		shares = append(shares, templates.NewShare(text.Visible(n.Name), n.Objects, largest, total))
	}
	for _, n := range rest {
		if n.Objects > 0 {
			share := templates.NewShare(n.Name, n.Objects, largest, total)
			share.Rest = true
			shares = append(shares, share)
		}
	}
	return shares
}

// drawCharts are the pictures of what was done.
func drawCharts(spans []*activityDay) []templates.Chart {
	types := sortedTypes(spans)
	return []templates.Chart{
		typeChart("sent", "Sent", spans, types, func(t store.TypeDay) int64 { return t.Sent }),
		typeChart("rejected", "Rejected by Sentinel", spans, types, func(t store.TypeDay) int64 { return t.Rejected }),
		typeChart("retired", "Retired", spans, types, func(t store.TypeDay) int64 { return t.Retired }),
		waitChart(spans),
		updateChart(spans),
	}
}

// quantity is a kind of number of which a chart has a layer for each of some names.
type quantity struct {
	// write writes a number for a reader.
	write func(int64) string
	// of is the number of a span under a name.
	of func(span *activityDay, name string) int64
}

func writeObjects(n int64) string { return templates.Amount(n, "object", "objects") }

func writeSeconds(n int64) string { return templates.Duration(time.Duration(n) * time.Second) }

// typeChart shows one of the numbers of each type. The types beyond those that can be told apart are one layer.
func typeChart(id, title string, spans []*activityDay, types []string, of func(store.TypeDay) int64) templates.Chart {
	q := quantity{write: templates.Number, of: func(span *activityDay, name string) int64 { return of(span.types[name]) }}
	c := newChart(id, title, spans, types, q)
	c.Lead = writeObjects(q.sumAll(spans, types))
	c.Unit = "objects"
	return c
}

// waitChart shows for how long Sentinel's limit made Upload wait.
func waitChart(spans []*activityDay) templates.Chart {
	q := quantity{write: writeSeconds, of: func(span *activityDay, _ string) int64 { return wholeSeconds(span.waited) }}
	c := newChart("waiting", "Waiting for Sentinel’s limit", spans, []string{"Waited"}, q)
	c.Unit, c.Per = "minutes", 60
	return c
}

// updateChart shows how long the attempts at updates took that ended, by mode.
func updateChart(spans []*activityDay) templates.Chart {
	q := quantity{write: writeSeconds, of: func(span *activityDay, name string) int64 {
		return wholeSeconds(span.updates[job.Mode(strings.ToLower(name))].Took)
	}}
	var modes []string
	for _, mode := range job.Modes {
		modes = append(modes, text.Capital(string(mode)))
	}
	c := newChart("updates", "Duration of updates", spans, modes, q)
	c.Unit, c.Per = "minutes", 60
	c.Heads = append(c.Heads, "Attempts", "Longest")
	for i := range c.Rows {
		var attempts int64
		var longest time.Duration
		for _, u := range spans[len(spans)-1-i].updates {
			attempts += u.Attempts
			longest = max(longest, u.Longest)
		}
		c.Rows[i] = append(c.Rows[i], templates.Number(attempts), q.write(wholeSeconds(longest)))
	}
	return c
}

// wholeSeconds rounds up: what took a moment took some time.
func wholeSeconds(d time.Duration) int64 { return int64((d + time.Second - 1) / time.Second) }

// newChart shows a quantity, with a layer for each name and a table of the names that have any of it.
func newChart(id, title string, spans []*activityDay, names []string, q quantity) templates.Chart {
	c := templates.Chart{ID: id, Title: title, Per: 1, Heads: []string{spanHead(spans)}}
	c.Lead = q.write(q.sumAll(spans, names))
	for _, span := range spans {
		c.Spans = append(c.Spans, span.first.Format(time.DateOnly))
		if len(spans) <= mostDetails {
			c.Tips = append(c.Tips, q.describeSpan(span, names))
		} else {
			c.Tips = append(c.Tips, nameSpan(span)+": "+q.write(q.sumSpan(span, names)))
		}
	}
	for i, name := range names {
		if i == templates.MaxSeries-1 && len(names) > templates.MaxSeries {
			c.Series = append(c.Series, q.newSeries("Other types", spans, names[i:]))
			break
		}
		c.Series = append(c.Series, q.newSeries(name, spans, names[i:i+1]))
	}
	c.Summary = q.summarize(spans, names)
	var listed []string
	for _, name := range names {
		if q.sumAll(spans, []string{name}) > 0 {
			listed = append(listed, name)
			c.Heads = append(c.Heads, text.Visible(name))
		}
	}
	if len(listed) > 1 {
		c.Heads = append(c.Heads, "All")
	}
	for _, span := range slices.Backward(spans) {
		c.Rows = append(c.Rows, q.listSpan(span, listed))
	}
	return c
}

// sumSpan is the quantity of a span under some names, sumAll that of all spans.
func (q quantity) sumSpan(span *activityDay, names []string) (sum int64) {
	for _, name := range names {
		sum += q.of(span, name)
	}
	return sum
}

func (q quantity) sumAll(spans []*activityDay, names []string) (sum int64) {
	for _, span := range spans {
		sum += q.sumSpan(span, names)
	}
	return sum
}

func (q quantity) newSeries(label string, spans []*activityDay, names []string) templates.Series {
	s := templates.Series{Name: text.Visible(label), Total: q.write(q.sumAll(spans, names))}
	for _, span := range spans {
		s.Values = append(s.Values, q.sumSpan(span, names))
	}
	return s
}

// listSpan is the line of a span in the table.
func (q quantity) listSpan(span *activityDay, names []string) []string {
	row := []string{span.first.Format(time.DateOnly)}
	for _, name := range names {
		row = append(row, q.write(q.of(span, name)))
	}
	if len(names) > 1 {
		row = append(row, q.write(q.sumSpan(span, names)))
	}
	return row
}

// describeSpan says what a bar stands for.
func (q quantity) describeSpan(span *activityDay, names []string) string {
	tip := nameSpan(span) + ": " + q.write(q.sumSpan(span, names))
	if len(names) < 2 {
		return tip
	}
	var parts []string
	for _, name := range names {
		if n := q.of(span, name); n > 0 {
			parts = append(parts, text.Visible(name)+" "+q.write(n))
		}
	}
	if len(parts) == 0 {
		return tip
	}
	return tip + " (" + strings.Join(parts, ", ") + ")"
}

// summarize says in a sentence or two what the picture shows.
func (q quantity) summarize(spans []*activityDay, names []string) string {
	most := slices.MaxFunc(spans, func(a, b *activityDay) int {
		return int(max(-1, min(1, q.sumSpan(a, names)-q.sumSpan(b, names))))
	})
	return fmt.Sprintf("%s from %s to %s. In all %s, most of it in one bar: %s. The table below has every number.", templates.Amount(int64(len(spans)), "bar", "bars"),
		nameSpan(spans[0]), nameSpan(spans[len(spans)-1]), q.write(q.sumAll(spans, names)), q.describeSpan(most, names))
}

// nameSpan names a day or a week.
func nameSpan(span *activityDay) string {
	day := span.first.Format(time.DateOnly)
	if span.weekly {
		return "week of " + day
	}
	return day
}

// spanHead is what the first column of a table lists.
func spanHead(spans []*activityDay) string {
	if spans[0].weekly {
		return "Week of"
	}
	return "Day"
}
