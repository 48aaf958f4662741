package stories

import (
	"fmt"
	"time"

	"mssentinel/templates"
)

// activity has a picture with all layers, one with a single layer, and one without anything to draw.
func newActivity(change func(*templates.ActivityPage)) templates.ActivityPage {
	v := templates.ActivityPage{Frame: newFrame("REPORT", "report"), Periods: []int{7, 30, 90, 365}, Period: 7, Days: "2026-11-18 to 2026-11-24", Bars: "One bar a day, today so far included.",
		Live: templates.LivePanel{AsOf: noon, Total: 1_000_000, Types: []templates.Share{templates.NewShare("Host", 999_999, 999_999, 1_000_000), templates.NewShare("File", 1, 999_999, 1_000_000)},
			Owners: []templates.Share{templates.NewShare("O'Brien & <Sons>", 1_000_000, 1_000_000, 1_000_000)}}}
	all := templates.Chart{ID: "sent", Title: "Sent", Lead: "1,234 objects", Summary: "7 bars from 2026-11-18 to 2026-11-24.", Unit: "objects", Per: 1,
		Heads: []string{"Day", "<Host>"}, Rows: [][]string{{"2026-11-24", "1,234"}, {"2026-11-23", "0"}}}
	waits := templates.Chart{ID: "waiting", Title: "Waiting", Lead: "1 min 30 s", Summary: "7 bars.", Unit: "minutes", Per: 60, Heads: all.Heads, Rows: all.Rows,
		Series: []templates.Series{{Name: "Waited", Total: "1 min 30 s", Values: []int64{90}}}}
	for i := range templates.MaxSeries {
		all.Series = append(all.Series, templates.Series{Name: fmt.Sprintf("<Type %d>", i), Total: templates.Number(int64(i)), Values: []int64{int64(i), 0, 1000}})
	}
	for i := range 7 {
		all.Spans = append(all.Spans, noon.AddDate(0, 0, i-6).Format(time.DateOnly))
		all.Tips = append(all.Tips, all.Spans[i]+": <Host> 7")
	}
	waits.Spans, waits.Tips = all.Spans, all.Tips
	v.Charts = []templates.Chart{all, waits, {ID: "retired", Title: "Retired", Lead: "0 objects", Spans: all.Spans}}
	v.Charts = append(v.Charts, v.Charts[2])
	v.Charts[3].ID, v.Charts[3].Title = "rejected", "Rejected"
	change(&v)
	return v
}
