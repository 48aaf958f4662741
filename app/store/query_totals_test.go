package store

import (
	"strings"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"

	"mssentinel/app/job"
)

// two gives the fixture a second query below the first. Both are older than what follows.
func (f *fixture) two() (upper, lower RunQuery) {
	f.Helper()
	first, err := f.RunQueries(ctx())
	f.do(err)
	saved := f.save(first[0].Query, Query{Owners: []string{"o"}, Types: []string{"Host"}, TQL: "two"})
	f.now = time.Now().UTC().Truncate(time.Millisecond).Add(time.Hour)
	return saved[0], saved[1]
}

func (f *fixture) readBoth(upper, lower RunQuery) job.Job {
	f.Helper()
	j := f.begin(job.Full)
	f.query = upper.Number
	f.apply(j, 0, 5)
	f.query = lower.Number
	f.apply(j, 3, 10)
	f.upload()
	f.do(f.SetMarks(ctx(), j.Number, []int64{upper.Number, lower.Number}, *j.WindowEnd))
	return f.complete(j)
}

func TestQueryTotals(t *testing.T) {
	f := newFixture(t)
	upper, lower := f.two()
	totals := func() QueryTotals {
		t.Helper()
		got, err := f.QueryTotals(ctx())
		f.do(err)
		if open := f.read.Stats().InUse; open > 0 {
			t.Errorf("%d connections are in use", open)
		}
		return got
	}
	if got := totals(); !got.ReadAt.IsZero() || !got.CountedAt.IsZero() || len(got.Queries) != 0 {
		t.Errorf("before the first update: %+v", got)
	}
	j := f.readBoth(upper, lower)
	f.do(f.KeepLiveTotals(ctx(), f.now))
	want := QueryTotals{ReadAt: *f.get(j).DateCompleted, CountedAt: f.now, Queries: map[string]QueryTotal{
		upper.ID: {Read: true, Matched: 5, Won: 5, Live: 5}, lower.ID: {Read: true, Matched: 7, Won: 5, Lost: 2, Live: 5}}}
	if diff := cmp.Diff(want, totals()); diff != "" {
		t.Errorf("(-want +got):\n%s", diff)
	}

	// A delta update says nothing of what a query gives in all; one that failed says nothing; a query that was changed has
	// to be read again.
	f.complete(f.begin(job.Delta))
	f.status(f.begin(job.Full), job.Failed)
	changed := lower.Query
	changed.TQL = "three"
	f.save(upper.Query, changed)
	f.do(second(f.write.ExecContext(ctx(), `UPDATE query SET changed = ? WHERE id = ?`, toMillis(f.now.Add(time.Minute)), lower.ID)))
	want.Queries[lower.ID] = QueryTotal{Live: 5}
	if diff := cmp.Diff(want, totals()); diff != "" {
		t.Errorf("a query was changed (-want +got):\n%s", diff)
	}
}

func TestCountLeaving(t *testing.T) {
	f := newFixture(t)
	upper, lower := f.two()
	f.readBoth(upper, lower) // 0 to 4, and 3 to 9: two objects are given by both
	leaving := func(want int64, ids ...string) {
		t.Helper()
		got, err := f.CountLeaving(ctx(), ids, f.now)
		if f.do(err); got != want {
			t.Errorf("%d objects leave with %d queries, want %d", got, len(ids), want)
		}
	}
	leaving(3, upper.ID)
	leaving(5, lower.ID)
	leaving(10, upper.ID, lower.ID)
	leaving(0)
	leaving(0, "unknown")
	f.now = f.now.Add(31 * day24)
	leaving(0, upper.ID, lower.ID) // their time to live has ended
}

// What cannot be read is said with what it was read for. Before there is a destination, nothing leaves.
func TestReadsOfAStoreThatIsClosed(t *testing.T) {
	s, err := Open(ctx(), t.TempDir())
	if err != nil {
		t.Fatal(err)
	}
	if n, err := s.CountLeaving(ctx(), []string{"q"}, noon); err != nil || n != 0 {
		t.Errorf("%d leave, %v", n, err)
	}
	if err := s.Close(); err != nil {
		t.Fatal(err)
	}
	totals, err1 := s.QueryTotals(ctx())
	_, err2 := s.CountLeaving(ctx(), []string{"q"}, noon)
	_, err3 := s.LookupIndicator(ctx(), 1, noon)
	for want, err := range map[string]error{"reading what the queries gave": err1, "counting what the deleted queries leave": err2, "looking an indicator up in the ledger": err3} {
		if err == nil || !strings.HasPrefix(err.Error(), want) {
			t.Errorf("got %v, want %s", err, want)
		}
	}
	if totals.Queries != nil {
		t.Errorf("got %+v", totals)
	}
}
