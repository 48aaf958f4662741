package web

import (
	"context"
	"maps"
	"slices"
	"time"

	"github.com/labstack/echo/v4"

	"mssentinel/app/job"
	"mssentinel/app/store"
)

const (
	defaultDays = 30
	// maxDays is a year; the store keeps a little more.
	maxDays = 365
	// maxOwners bounds how many owners are told of those that have live objects.
	maxOwners = 500
)

// activityDay is what was done in a day, or in a week.
type activityDay struct {
	// first is its first moment.
	first   time.Time
	weekly  bool
	types   map[string]store.TypeDay
	waited  time.Duration
	updates map[job.Mode]store.UpdateDay
}

func newActivityDay(first time.Time) *activityDay {
	return &activityDay{first: first, types: map[string]store.TypeDay{}, updates: map[job.Mode]store.UpdateDay{}}
}

func (d *activityDay) addType(t store.TypeDay) {
	sum := d.types[t.Type]
	sum.Type = t.Type
	sum.Sent += t.Sent
	sum.Rejected += t.Rejected
	sum.Retired += t.Retired
	d.types[t.Type] = sum
}

func (d *activityDay) addUpdates(u store.UpdateDay) {
	sum := d.updates[u.Mode]
	sum.Mode = u.Mode
	sum.Attempts += u.Attempts
	sum.Took += u.Took
	sum.Longest = max(sum.Longest, u.Longest)
	d.updates[u.Mode] = sum
}

// addDay adds what was done in another day.
func (d *activityDay) addDay(other *activityDay) {
	for _, t := range other.types {
		d.addType(t)
	}
	for _, u := range other.updates {
		d.addUpdates(u)
	}
	d.waited += other.waited
}

// startOfDay is the first moment of the day in which t lies, UTC.
func startOfDay(t time.Time) time.Time { return t.UTC().Truncate(24 * time.Hour) }

// startOfWeek is the first moment of the Monday before a day, or of itself.
func startOfWeek(day time.Time) time.Time { return day.AddDate(0, 0, -(int(day.Weekday())+6)%7) }

// readDays reads for how many days something is asked for.
func readDays(c echo.Context) (int, error) { return readNumber(c, "days", defaultDays, 1, maxDays) }

// collectDays reads what was done from one day to another, both included. A day on which nothing was done is among them.
func (s *server) collectDays(ctx context.Context, from, to time.Time) ([]*activityDay, error) {
	a, err := s.Store.Activity(ctx, from, to)
	if err != nil {
		return nil, err
	}
	var days []*activityDay
	byDay := map[time.Time]*activityDay{}
	for day := from; !day.After(to); day = day.AddDate(0, 0, 1) {
		d := newActivityDay(day)
		days, byDay[day] = append(days, d), d
	}
	for _, t := range a.Types {
		if d := byDay[t.Day]; d != nil {
			d.addType(t)
		}
	}
	for _, w := range a.Waits {
		if d := byDay[w.Day]; d != nil {
			d.waited += w.Waited
		}
	}
	for _, u := range a.Updates {
		if d := byDay[u.Day]; d != nil {
			d.addUpdates(u)
		}
	}
	return days, nil
}

// groupWeeks adds the days of each week up. Weeks begin on Monday.
func groupWeeks(days []*activityDay) (weeks []*activityDay) {
	for _, d := range days {
		last := len(weeks) - 1
		if first := startOfWeek(d.first); last < 0 || !weeks[last].first.Equal(first) {
			weeks = append(weeks, newActivityDay(first))
			last++
			weeks[last].weekly = true
		}
		weeks[last].addDay(d)
	}
	return weeks
}

// sortedTypes are the types of which something was done, those of most objects first.
func sortedTypes(days []*activityDay) []string {
	totals := map[string]int64{}
	for _, d := range days {
		for name, t := range d.types {
			if n := t.Sent + t.Rejected + t.Retired; n > 0 {
				totals[name] += n
			}
		}
	}
	names := slices.Sorted(maps.Keys(totals))
	slices.SortStableFunc(names, func(a, b string) int { return int(max(-1, min(1, totals[b]-totals[a]))) })
	return names
}
