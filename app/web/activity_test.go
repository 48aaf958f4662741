package web

import (
	"context"
	"fmt"
	"net/http"
	"strings"
	"testing"
	"testing/synctest"
	"time"

	"github.com/google/go-cmp/cmp"
	"golang.org/x/net/html"

	"mssentinel/app/job"
	"mssentinel/app/store"
	"mssentinel/templates"
)

// someActivity is what was done on two days, of which one lies two days before the other.
func someActivity(last time.Time) store.Activity {
	first := last.AddDate(0, 0, -2)
	return store.Activity{
		Types: []store.TypeDay{{Day: first, Type: "<Host>", Sent: 1200, Rejected: 3}, {Day: last, Type: "<Host>", Sent: 34}, {Day: last, Type: "File", Sent: 1000, Retired: 5}},
		Waits: []store.WaitDay{{Day: last, Waited: 90*time.Second + time.Millisecond}},
		Updates: []store.UpdateDay{{Day: first, Mode: job.Full, Attempts: 2, Took: 2*time.Hour + 1602*time.Millisecond, Longest: 90 * time.Minute},
			{Day: last, Mode: job.Delta, Attempts: 1, Took: time.Millisecond, Longest: time.Millisecond}},
	}
}

func someLive() store.LiveTotals {
	return store.LiveTotals{AsOf: noon, Total: 2000, Types: []store.NameTotal{{Name: "<Host>", Objects: 1500}, {Name: "File", Objects: 500}},
		Owners: []store.NameTotal{{Name: "O'Brien & <Sons>", Objects: 1999}}, Unowned: 1}
}

// Activity gives what was done in the time asked for, as the store does.
func (w *world) Activity(_ context.Context, from, to time.Time) (a store.Activity, err error) {
	in := func(day time.Time) bool { return !day.Before(from) && !day.After(to) }
	for _, t := range w.activity.Types {
		if in(t.Day) {
			a.Types = append(a.Types, t)
		}
	}
	for _, d := range w.activity.Waits {
		if in(d.Day) {
			a.Waits = append(a.Waits, d)
		}
	}
	for _, u := range w.activity.Updates {
		if in(u.Day) {
			a.Updates = append(a.Updates, u)
		}
	}
	return a, w.broken
}

func (w *world) LiveTotals(context.Context) (store.LiveTotals, error) { return w.live, w.broken }

// section is what a picture's part of the page says.
func (v *visitor) section(title string) string {
	v.t.Helper()
	return words(v.find("part "+title, func(n *html.Node) bool { return n.Data == "section" && strings.HasPrefix(words(n), title) }))
}

func (v *visitor) sectionSays(title string, all ...string) {
	v.t.Helper()
	said := v.section(title)
	for _, text := range all {
		if !strings.Contains(said, text) {
			v.t.Errorf("%s does not say %q: %s", title, text, said)
		}
	}
}

func TestActivityPage(t *testing.T) {
	synctest.Test(t, func(t *testing.T) { // it is the midnight with which 2000-01-01 begins
		time.Sleep(13 * time.Hour)
		w := newWorld()
		v := w.visit(t, "ui/report")
		v.follow("ACTIVITY")
		v.sees("Not counted yet", "1999-12-03 to 2000-01-01", "One bar a day", "Nothing was sent, rejected or retired in these days, and no update ended.")

		w.live = store.LiveTotals{AsOf: noon}
		w.activity.Waits = []store.WaitDay{{Day: startOfDay(time.Now()), Waited: time.Second}}
		v.open("ui/activity")
		v.sees("0 objects as of 2026-11-24 12:00:00")
		v.sectionSays("Sent", "0 objects None in these days.")
		v.sectionSays("Waiting", "1 s")
		v.misses("Nothing was sent, rejected", "Not counted yet")

		w.activity, w.live = someActivity(startOfDay(time.Now())), someLive()
		w.live.Owners[0].Name = "O'Brien\u202E & <Sons>"
		v.open("ui/activity")
		v.follow("7 days")
		v.sees("2,000 objects as of 2026-11-24 12:00:00", "1999-12-26 to 2000-01-01", "<Host> 1,500 75 %", "O'Brien\uFFFD & <Sons> 1,999 > 99.9 %",
			"None: no query selects them at present 1 < 0.1 %")
		v.sectionSays("Sent", "2,234 objects", "7 bars from 1999-12-26 to 2000-01-01. In all 2,234, most of it in one bar: 1999-12-30: 1,200 (<Host> 1,200).",
			"1999-12-31: 0", "2000-01-01: 1,034 (<Host> 34, File 1,000)", "<Host> 1,234 File 1,000",
			"Day <Host> File All 2000-01-01 34 1,000 1,034 1999-12-31 0 0 0 1999-12-30 1,200 0 1,200")
		v.sectionSays("Rejected by Sentinel", "3 objects", "Day <Host> 2000-01-01 0 1999-12-31 0 1999-12-30 3")
		v.sectionSays("Retired", "5 objects", "Day File 2000-01-01 5")
		v.sectionSays("Waiting for Sentinel’s limit", "1 min 31 s", "2 1 0", "Day Waited 2000-01-01 1 min 31 s 1999-12-31 0 s")
		v.sectionSays("Duration of updates", "2 h 0 min", "Delta 1 s", "Full 2 h 0 min", "Day Delta Full All Attempts Longest 2000-01-01 1 s 0 s 1 s 1 1 s 1999-12-31 0 s",
			"1999-12-30 0 s 2 h 0 min 2 h 0 min 2 1 h 30 min")
		if words(v.find("the period that is shown", func(n *html.Node) bool { return attr(n, "aria-current") == "true" })) != "7 days" {
			t.Error("the wrong period is marked")
		}
		v.follow("365 days")
		v.sees("1998-12-28 to 2000-01-01", "One bar a week from Monday on")
		v.sectionSays("Sent", "2,234 objects", "53 bars from week of 1998-12-28 to week of 1999-12-27.", "Week of <Host> File All 1999-12-27 1,234 1,000 2,234 1999-12-20 0 0 0")
		v.sectionSays("Duration of updates", "1999-12-27 1 s 2 h 0 min 2 h 0 min 3 1 h 30 min")
		v.open("ui/activity?days=1")
		v.sees("2000-01-01 to 2000-01-01")
		v.sectionSays("Sent", "1,034 objects", "1 bar from 2000-01-01 to 2000-01-01.")
	})
}

// More types than can be told apart share a layer, the same in each picture; the tables name all. So it is with owners.
func TestActivityOfManyTypes(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		w := newWorld()
		today := startOfDay(time.Now())
		for i := range 9 {
			name := fmt.Sprint("Type ", i)
			w.activity.Types = append(w.activity.Types, store.TypeDay{Day: today, Type: name, Sent: int64(10 * (i + 1)), Retired: int64(9 - i)})
			w.live.Types = append(w.live.Types, store.NameTotal{Name: name, Objects: 1})
		}
		for i := range 12 {
			w.live.Owners = append(w.live.Owners, store.NameTotal{Name: fmt.Sprint("Owner ", i), Objects: 1})
		}
		w.live.AsOf, w.live.Total = today, 12
		charts := drawCharts([]*activityDay{{first: today, types: typesOf(w.activity)}})
		for i, want := range []string{"Type 8 90|Type 7 80|Type 6 70|Type 5 60|Type 4 50|Other types 100", "Type 8 0|Type 7 0|Type 6 0|Type 5 0|Type 4 0|Other types 0",
			"Type 8 1|Type 7 2|Type 6 3|Type 5 4|Type 4 5|Other types 30"} {
			var layers []string
			for _, s := range charts[i].Series {
				layers = append(layers, s.Name+" "+s.Total)
			}
			if got := strings.Join(layers, "|"); got != want || len(layers) > templates.MaxSeries {
				t.Errorf("%s has the layers %s, want %s", charts[i].Title, got, want)
			}
		}
		v := w.visit(t, "ui/activity?days=7")
		v.sectionSays("Sent", "450 objects", "Other types 100", "Day Type 8 Type 7 Type 6 Type 5 Type 4 Type 3 Type 2 Type 1 Type 0 All 2000-01-01 90 80 70 60 50 40 30 20 10 450")
		v.sees("Owner 9 1 8.3 %", "2 other owners 2 16.7 %")
		v.misses("Owner 10")
	})
}

func typesOf(a store.Activity) map[string]store.TypeDay {
	types := map[string]store.TypeDay{}
	for _, t := range a.Types {
		types[t.Type] = t
	}
	return types
}

func TestStartOfWeek(t *testing.T) {
	monday := time.Date(2026, 11, 23, 0, 0, 0, 0, time.UTC)
	for i := range 7 {
		if got := startOfWeek(monday.AddDate(0, 0, i)); !got.Equal(monday) {
			t.Errorf("%d days after %s: %s", i, monday, got)
		}
	}
	var days []*activityDay
	for i := range 9 {
		d := newActivityDay(monday.AddDate(0, 0, i-1))
		d.waited = time.Second
		days = append(days, d)
	}
	var got []string
	for _, w := range groupWeeks(days) {
		got = append(got, fmt.Sprint(nameSpan(w), " ", w.waited))
	}
	if diff := cmp.Diff([]string{"week of 2026-11-16 1s", "week of 2026-11-23 7s", "week of 2026-11-30 1s"}, got); diff != "" {
		t.Error(diff)
	}
}

func TestActivityOfBadPeriods(t *testing.T) {
	w := newWorld()
	h := w.handler()
	for _, days := range []string{"0", "-7", "366", "week", "7.5", "99999999999999999999", "%00", strings.Repeat("7", 400)} {
		for _, page := range []string{"/ui/activity?days=", "/api/activity?days="} {
			if rec := call(t, h, http.MethodGet, page+days, ""); rec.Code != http.StatusBadRequest || !strings.Contains(rec.Body.String(), "a whole number from 1 to 365") {
				t.Errorf("%s%.20s: %d %s", page, days, rec.Code, rec.Body)
			}
		}
	}
}

// The largest page, and the answer with most in it, stay within what a browser and the platform take well.
func TestActivityIsBounded(t *testing.T) {
	w := newWorld()
	today := startOfDay(time.Now())
	for i := range 400 {
		day := today.AddDate(0, 0, -i)
		for k := range 12 {
			w.activity.Types = append(w.activity.Types, store.TypeDay{Day: day, Type: fmt.Sprint("Some Custom Type ", k), Sent: 1_234_567, Rejected: 1_234_567, Retired: 1_234_567})
		}
		w.activity.Waits = append(w.activity.Waits, store.WaitDay{Day: day, Waited: 24 * time.Hour})
		for _, mode := range job.Modes {
			w.activity.Updates = append(w.activity.Updates, store.UpdateDay{Day: day, Mode: mode, Attempts: 24, Took: time.Hour, Longest: time.Hour})
		}
	}
	w.live = store.LiveTotals{AsOf: noon, Total: 20_000_000}
	for i := range 20_000 {
		w.live.Owners = append(w.live.Owners, store.NameTotal{Name: fmt.Sprint(strings.Repeat("<", 250), i), Objects: 1000})
	}
	h := w.handler()
	for target, most := range map[string]int{"/ui/activity?days=30": 160_000, "/ui/activity?days=90": 300_000, "/ui/activity?days=365": 200_000, "/api/activity?days=365": carried} {
		rec := call(t, h, http.MethodGet, target, "")
		if rec.Code != http.StatusOK || rec.Body.Len() > most {
			t.Errorf("%s: %d, %d bytes, want at most %d", target, rec.Code, rec.Body.Len(), most)
		}
	}
	if body := call(t, h, http.MethodGet, "/api/activity?days=1", "").Body.String(); !strings.Contains(body, `"other_owners":19500000`) {
		t.Errorf("the owners that are left out are not counted: %.300s", body)
	}
}
