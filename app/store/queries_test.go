package store

import (
	"encoding/json"
	"errors"
	"reflect"
	"testing"
	"time"

	"mssentinel/app/job"

	"github.com/google/go-cmp/cmp"
	"github.com/google/go-cmp/cmp/cmpopts"
)

func TestSaveQueries(t *testing.T) {
	f := newFixture(t)
	a := Query{Owners: []string{"x", "y"}, Types: []string{"Host"}, TQL: "a", SortField: "dateAdded", SortDirection: "DESC"}
	b := Query{Owners: []string{"x"}, Types: []string{"File", "URL"}, TQL: "b"}
	_, empty, err := f.Queries(ctx())
	f.do(err)
	_, err = f.SaveQueries(ctx(), []Query{a, b}, empty, job.Full, "")
	f.do(err)
	if _, err := f.SaveQueries(ctx(), []Query{b}, empty, job.Full, ""); empty == "" || !errors.Is(err, ErrOutdated) {
		t.Errorf("a second first list, on version %q: %v", empty, err)
	}
	saved, version, err := f.Queries(ctx())
	f.do(err)
	if diff := cmp.Diff([]Query{a, b}, saved, cmpopts.IgnoreFields(Query{}, "ID", "Rank", "Version")); diff != "" {
		t.Fatalf("saved (-want +got):\n%s", diff)
	}
	if saved[0].Rank != 1 || saved[1].Rank != 2 || saved[0].ID == saved[1].ID || saved[0].Version == "" {
		t.Errorf("saved %+v", saved)
	}
	if _, err := f.SaveQueries(ctx(), nil, "older", job.Delta, ""); !errors.Is(err, ErrOutdated) {
		t.Errorf("an outdated version: %v", err)
	}
	if _, err := f.SaveQueries(ctx(), []Query{saved[0], saved[0]}, version, job.Delta, ""); err == nil {
		t.Error("the same query was saved twice")
	}
	if again, same, _ := f.Queries(ctx()); same != version || len(again) != 2 {
		t.Errorf("what failed changed the list: %+v", again)
	}

	// Reordered, one sorted otherwise, one selecting something else, a new one.
	sorted, other := saved[0], saved[1]
	sorted.SortDirection = "ASC"
	other.TQL = "c"
	next, err := f.SaveQueries(ctx(), []Query{other, {Owners: []string{"z"}, Types: []string{"URL"}, TQL: "new"}, sorted}, version, job.Delta, "")
	f.do(err)
	now, current, err := f.Queries(ctx())
	f.do(err)
	if current != next || next == version {
		t.Errorf("version %q, then %q, read as %q", version, next, current)
	}
	if now[0].ID != other.ID || now[2].ID != sorted.ID || now[0].Version == saved[1].Version || now[2].Version == saved[0].Version {
		t.Errorf("identities and versions: %+v, before %+v", now, saved)
	}
	reordered := Query{ID: sorted.ID, Owners: []string{"y", "x"}, Types: sorted.Types, TQL: sorted.TQL, SortField: sorted.SortField, SortDirection: "ASC"}
	f.save(reordered)
	if last, _, _ := f.Queries(ctx()); last[0].Version != now[2].Version {
		t.Error("a query that selects the same got another version")
	}
	// A deleted query that comes back is the one it was.
	f.save(now...)
	if back, _, _ := f.Queries(ctx()); back[0].ID != other.ID || back[0].Version != now[0].Version {
		t.Errorf("back as %+v", back[0])
	}
}

// Of two who both begin the list, one is told that the other was faster.
func TestFirstListIsNotOverwritten(t *testing.T) {
	s, err := Open(ctx(), t.TempDir())
	if err != nil {
		t.Fatal(err)
	}
	defer s.Close()
	_, version, err := s.Queries(ctx())
	if err != nil {
		t.Fatal(err)
	}
	list := []Query{{Owners: []string{"o"}, Types: []string{"Host"}}}
	for _, want := range []error{nil, ErrOutdated} {
		if _, err := s.SaveQueries(ctx(), list, version, job.Delta, ""); !errors.Is(err, want) {
			t.Errorf("saving over %q: %v, want %v", version, err, want)
		}
	}
}

func TestMarks(t *testing.T) {
	f := newFixture(t)
	one := f.mark("one")
	if !one.Mark.IsZero() {
		t.Errorf("never read, and marked %s", one.Mark)
	}
	j := f.started(time.Now().Add(time.Hour))
	f.do(f.SetMarks(ctx(), j.Number, []int64{one.Number}, noon))
	if got := f.mark("one").Mark; !got.Equal(noon) {
		t.Errorf("mark %s", got)
	}

	// New and changed ones start where the last update ended; one that lagged behind lags behind.
	f.save(one.Query, Query{Owners: []string{"o"}, Types: []string{"Host"}, TQL: "two"})
	if got := f.mark("two").Mark; !got.Equal(noon) {
		t.Errorf("a new query starts at %s", got)
	}
	j = f.started(time.Now().Add(time.Hour))
	later := noon.Add(time.Hour)
	f.do(f.SetMarks(ctx(), j.Number, []int64{f.mark("two").Number}, later))
	changed := f.mark("one").Query
	changed.Owners = []string{"other"}
	f.save(changed, f.mark("two").Query)
	if got := f.mark("one").Mark; !got.Equal(noon) {
		t.Errorf("a query that lagged behind and was changed starts at %s", got)
	}

	// An update whose window ended earlier takes nothing back for queries to come.
	f.do(f.SetMarks(ctx(), j.Number, []int64{f.mark("two").Number}, noon))
	f.save(f.mark("one").Query, f.mark("two").Query, Query{Owners: []string{"o"}, Types: []string{"Host"}, TQL: "three"})
	if got := f.mark("three").Mark; !got.Equal(later) {
		t.Errorf("a new query starts at %s", got)
	}

	// A job that began before the change has not read it.
	f.do(f.SetMarks(ctx(), f.started(noon).Number, []int64{f.mark("one").Number, f.mark("two").Number}, later.Add(time.Hour)))
	if got := f.mark("one").Mark; !got.Equal(noon) {
		t.Errorf("moved by a job that had read something else: %s", got)
	}
}

// started is a job that began at a time.
func (f *fixture) started(at time.Time) job.Job {
	f.Helper()
	update, err := f.AddJob(ctx(), job.Request{Type: job.AdHoc, Mode: job.Delta}, f.now)
	f.do(err)
	f.do(second(f.UpdateJob(ctx(), update.RequestID, func(j *job.Job) error { j.DateStarted = &at; return nil })))
	return update
}

func (f *fixture) mark(tql string) RunQuery {
	f.Helper()
	queries, err := f.RunQueries(ctx())
	f.do(err)
	for _, q := range queries {
		if q.TQL == tql {
			return q
		}
	}
	f.Fatalf("no query %q", tql)
	return RunQuery{}
}

func TestSchedule(t *testing.T) {
	f := newFixture(t)
	want := func(what string, want Schedule) {
		t.Helper()
		got, err := f.Schedule(ctx())
		f.do(err)
		if diff := cmp.Diff(want, got, cmpopts.IgnoreFields(Schedule{}, "Due")); diff != "" || (want.NextMode == "") != got.Due.IsZero() {
			t.Errorf("%s (-want +got), due %s:\n%s", what, got.Due, diff)
		}
	}
	want("at first", Schedule{HasWork: true, NextMode: job.Full})
	f.save(f.mark("one").Query)
	want("a full update that is asked for stays", Schedule{HasWork: true, NextMode: job.Full})
	update, err := f.AddJob(ctx(), job.Request{Type: job.Scheduled, Mode: job.Delta}, noon)
	f.do(err)
	if update.Mode != job.Full || update.Status != job.Pending || update.Number == 0 {
		t.Errorf("queued %+v", update)
	}
	want("taken over", Schedule{HasWork: true, LastScheduled: noon, Open: true})
	done := noon.Add(time.Hour)
	f.do(second(f.UpdateJob(ctx(), update.RequestID, func(j *job.Job) error {
		j.Status, j.RetirementsHeld = job.UploadInProgress, 1
		return nil
	})))
	f.do(second(f.CompleteJob(ctx(), update.RequestID, done, "")))
	want("completed", Schedule{HasWork: true, LastScheduled: noon, LastFullRead: done, Completed: true})
	f.do(second(f.SaveQueries(ctx(), nil, "", job.Delta, "")))
	want("no queries", Schedule{NextMode: job.Delta, LastScheduled: noon, LastFullRead: done, Completed: true})
	f.do(second(f.AddJob(ctx(), job.Request{Type: job.AdHoc, Mode: job.Full}, noon.Add(2*time.Hour))))
	want("ad hoc", Schedule{NextMode: job.Delta, LastScheduled: noon, LastFullRead: done, Completed: true})
}

// What the last query gave stands in Sentinel until an update has seen that the query is gone.
func TestScheduleAfterTheLastQuery(t *testing.T) {
	f := newFixture(t)
	f.apply(f.begin(job.Full), 0, 3)
	f.do(second(f.SaveQueries(ctx(), nil, "", job.Full, "")))
	s, err := f.Schedule(ctx())
	f.do(err)
	if !s.HasWork || s.NextMode != job.Full {
		t.Errorf("the objects of a deleted query stay: %+v", s)
	}
}

// A list is read as encoding/json wrote it, and what is none is refused.
func TestReadTexts(t *testing.T) {
	for _, list := range [][]string{nil, {}, {""}, {"a", "b"}, {"O'Brien & <Sons>", "é\"\\\n\u2028\x00"}} {
		stored, err := json.Marshal(list)
		if err != nil {
			t.Fatal(err)
		}
		if got, err := readTexts(string(stored)); err != nil || !reflect.DeepEqual(got, list) {
			t.Errorf("%s is read as %#v, %v", stored, got, err)
		}
	}
	for _, damaged := range []string{"", `[`, `["a"`, `["a",1]`, `[null]`, `"a"`, `{"a":"b"}`, `["a"]x`, `["\q"]`} {
		if got, err := readTexts(damaged); err == nil {
			t.Errorf("%s is read as %q", damaged, got)
		}
	}
}

// The list is read once for each version of it, and a caller that puts other queries into it changes its own alone.
func TestListIsKept(t *testing.T) {
	f := newFixture(t)
	ask := func() []Query {
		t.Helper()
		queries, version, err := f.Queries(ctx())
		f.do(err)
		if fresh, current, err := f.readList(ctx()); err != nil || version != current || !cmp.Equal(fresh, queries) {
			t.Errorf("%+v of version %s, want %+v of %s: %v", queries, version, fresh, current, err)
		}
		return queries
	}
	ask()[0].TQL = "changed by its reader"
	ask()[0].TQL = "changed again"
	ask()
	kept := f.queries.Load()
	if ask(); f.queries.Load() != kept {
		t.Error("the list was read again")
	}
	f.save(Query{Owners: []string{"o"}, Types: []string{"Host"}, TQL: "one"}, Query{Owners: []string{"o"}, Types: []string{"Host"}, TQL: "two"})
	if n := len(ask()); n != 2 {
		t.Errorf("%d queries", n)
	}
	f.do(f.ReleaseMemory(ctx()))
	if f.queries.Load() != nil {
		t.Error("the list is kept at rest")
	}
	ask()
	f.do(f.Close())
	if queries, version, err := f.Queries(ctx()); err == nil {
		t.Errorf("a closed database has %+v of version %s", queries, version)
	}
}
