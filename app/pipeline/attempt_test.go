package pipeline

import (
	"errors"
	"slices"
	"testing"
	"time"

	"mssentinel/app/job"
	"mssentinel/app/store"
)

// day is a time in the order of days.
func day(n int) time.Time { return time.Date(2030, 1, n, 0, 0, 0, 0, time.UTC) }

// marked are queries that were read up to a day, 0 for never, each in an owner of its own: a, b, c.
func marked(days ...int) (queries []store.RunQuery) {
	for i, n := range days {
		q := store.RunQuery{Query: store.Query{Rank: i + 1, Owners: []string{string(rune('a' + i))}}, Number: int64(10 + i)}
		if n > 0 {
			q.Mark = day(n)
		}
		queries = append(queries, q)
	}
	return queries
}

// Where an update starts to read follows from the marks of its queries; the lists of what has gone leave out those that are read whole.
func TestWhereAnUpdateStarts(t *testing.T) {
	from := day(3)
	for name, c := range map[string]struct {
		job     job.Job
		queries []store.RunQuery
		// window is nil, and departed zero, for the beginning.
		window, departed time.Time
	}{
		"a delta":                            {job.Job{Mode: job.Delta}, marked(5), day(4), day(4)},
		"of queries, the first looks back":   {job.Job{Mode: job.Delta}, marked(5, 7), day(4), day(4)},
		"of queries, the second looks back":  {job.Job{Mode: job.Delta}, marked(7, 5, 6), day(4), day(4)},
		"of queries, the first is read all":  {job.Job{Mode: job.Delta}, marked(0, 5, 7), time.Time{}, day(4)},
		"of queries, the second is read all": {job.Job{Mode: job.Delta}, marked(5, 0, 4), time.Time{}, day(3)},
		"of a query that is read all":        {job.Job{Mode: job.Delta}, marked(0), time.Time{}, time.Time{}},
		"of no query":                        {job.Job{Mode: job.Delta}, nil, time.Time{}, time.Time{}},
		"a full update":                      {job.Job{Mode: job.Full}, marked(5, 7), time.Time{}, day(4)},
		"a range":                            {job.Job{Mode: job.Delta, Ranged: true, WindowStart: &from}, marked(0, 7), from, from},
	} {
		a := &attempt{job: c.job, queries: c.queries, overlap: 24 * time.Hour}
		var window time.Time
		if start := a.windowStart(); start != nil {
			window = *start
		}
		if !window.Equal(c.window) {
			t.Errorf("%s: it starts at %v, not %v", name, window, c.window)
		}
		if got := a.departedSince(c.queries); !got.Equal(c.departed) {
			t.Errorf("%s: the lists start at %v, not %v", name, got, c.departed)
		}
	}
}

// The marks move of the queries that were read, with the lists of what has gone where they look, and never back.
func TestWhichMarksMove(t *testing.T) {
	a := &attempt{job: job.Job{Mode: job.Delta}, queries: marked(5, 6, 0, 8, 9, 5), end: day(8)}
	a.addFailure(a.queries[0], errors.New("broken"))
	a.unlisted = []listFailure{{"b", "deleted", errors.New("broken")}}
	if got := a.queriesToMark(); !slices.Equal(got, []int64{12, 15}) {
		t.Errorf("the marks of %v move", got)
	}
	a.job.Ranged = true
	if got := a.queriesToMark(); got != nil {
		t.Errorf("an update for a range moves the marks of %v", got)
	}
	for number, position := range map[int64]int{10: 1, 15: 6, 99: 0} {
		if got := a.queryPosition(store.RunQuery{Number: number}); got != position {
			t.Errorf("query %d is at %d", number, got)
		}
	}
}

// What could not be read is told on JOBS, once. It is tried again where something of it may heal by itself.
func TestWhatAnAttemptLeavesUnread(t *testing.T) {
	passing, lasting := errors.New("busy."), fatal{errors.New("forbidden.")}
	const stands = " What the query selects was left as it stands. Until it can be read, nothing is retired but what ThreatConnect lists as deleted or inactive elsewhere."
	const list = `the list of what is deleted in "b" could not be read: `
	for name, c := range map[string]struct {
		first, second error // of the queries in a and b
		list          error // of the list of b
		held          int64
		heals         bool
		message       string
	}{
		"nothing":       {},
		"a query":       {first: passing, heals: true, message: "Query 1 could not be read: busy." + stands},
		"for good":      {first: lasting, message: "Query 1 could not be read: forbidden." + stands},
		"both for good": {first: lasting, second: lasting, message: "Query 1 could not be read: forbidden; query 2 could not be read: forbidden." + stands},
		"one for good":  {first: lasting, second: passing, heals: true, message: "Query 1 could not be read: forbidden; query 2 could not be read: busy." + stands},
		"the other":     {first: passing, second: lasting, heals: true, message: "Query 1 could not be read: busy; query 2 could not be read: forbidden." + stands},
		"a list":        {list: passing, heals: true, message: "The" + list[3:] + "busy. The next update asks for the list again."},
		"a list, good":  {list: lasting, message: "The" + list[3:] + "forbidden. The next update asks for the list again."},
		"a list beside a query": {first: lasting, list: passing, heals: true,
			message: "Query 1 could not be read: forbidden; " + list + "busy." + stands + " The next update asks for the list again."},
		"a list beside a query, the other": {first: passing, list: lasting, heals: true,
			message: "Query 1 could not be read: busy; " + list + "forbidden." + stands + " The next update asks for the list again."},
		"a list that only a failed query needs": {second: lasting, list: passing, message: "Query 2 could not be read: forbidden." + stands},
		"held":                                  {held: 1, message: "So many objects are no longer selected by any query that they are retired only when you confirm it."},
	} {
		a := &attempt{job: job.Job{Mode: job.Delta}, queries: marked(5, 5), retirement: store.Retirement{Held: c.held}}
		for i, err := range []error{c.first, c.second} {
			if err != nil {
				a.addFailure(a.queries[i], err)
				a.addFailure(a.queries[i], errors.New("what came of it"))
			}
		}
		if c.list != nil {
			a.unlisted = []listFailure{{"b", "deleted", c.list}}
		}
		if err := a.unreadError(); (err != nil) != (c.message != "" && c.held == 0) || err != nil && isPermanent(err) == c.heals {
			t.Errorf("%s: %v", name, err)
		}
		if got := a.completionMessage(); got != c.message {
			t.Errorf("%s: JOBS says\n%s, not\n%s", name, got, c.message)
		}
	}
}
