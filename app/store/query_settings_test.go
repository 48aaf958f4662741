package store

import (
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"

	"mssentinel/app/job"
	"mssentinel/app/ledger"
)

// withSettings has each of them set.
func withSettings(q Query) Query {
	hours := 72
	q.MinConfidence, q.TTLHours, q.Labels, q.TLP = 60, &hours, []string{"soc", "שלום, \"x\""}, "AMBER"
	return q
}

// Settings are kept with their query, over a restart, in the versions of the list, and where the query is deleted and comes back.
func TestSettingsAreKept(t *testing.T) {
	f := &fixture{T: t, dir: t.TempDir()}
	f.open()
	t.Cleanup(func() { f.Close() })
	saved := f.save(withSettings(tql("a")), tql("b"))
	f.reopen()
	queries, err := f.RunQueries(ctx())
	f.do(err)
	if diff := cmp.Diff(saved, queries); diff != "" {
		t.Errorf("after a restart (-want +got):\n%s", diff)
	}
	want := ledger.Settings{MinConfidence: 60, TTL: 72 * time.Hour, Labels: []string{"soc", "שלום, \"x\""}, TLP: "AMBER"}
	if diff := cmp.Diff(want, queries[0].Settings()); diff != "" {
		t.Errorf("(-want +got):\n%s", diff)
	}
	if none := queries[1].Settings(); !none.Equal(&ledger.Settings{}) {
		t.Errorf("a query without settings says %+v", none)
	}
	f.save(queries[1].Query)
	_, before, err := f.ListVersion(ctx(), 1)
	f.do(err)
	if diff := cmp.Diff([]Query{queries[0].Query, queries[1].Query}, before); diff != "" {
		t.Errorf("the first version (-want +got):\n%s", diff)
	}
	back := f.save(before...)
	if diff := cmp.Diff(queries[0].Query, back[0].Query); diff != "" {
		t.Errorf("restored (-want +got):\n%s", diff)
	}
}

// Other settings are a change of the query: another version, one that History tells of, no mark, so that the next update reads it
// whole, and no mark from a job that has read it as it was.
func TestOtherSettingsAreReadWhole(t *testing.T) {
	hours, more := 72, 73
	for name, change := range map[string]func(*Query){
		"a floor":         func(q *Query) { q.MinConfidence = 61 },
		"no floor":        func(q *Query) { q.MinConfidence = 0 },
		"a longer time":   func(q *Query) { q.TTLHours = &more },
		"that of types":   func(q *Query) { q.TTLHours = nil },
		"another label":   func(q *Query) { q.Labels = []string{"soc", "b"} },
		"no labels":       func(q *Query) { q.Labels = nil },
		"another order":   func(q *Query) { q.Labels = []string{"a", "soc"} },
		"a level":         func(q *Query) { q.TLP = "RED" },
		"no level":        func(q *Query) { q.TLP = "" },
		"and another TQL": func(q *Query) { q.TLP, q.TQL = "", "two" },
	} {
		t.Run(name, func(t *testing.T) {
			f := newFixture(t)
			q := tql("one")
			q.MinConfidence, q.TTLHours, q.Labels, q.TLP = 60, &hours, []string{"soc", "a"}, "AMBER"
			one := f.save(q)[0]
			f.do(f.SetMarks(ctx(), f.started(time.Now().Add(time.Hour)).Number, []int64{one.Number}, noon))
			same := *one.TTLHours
			one.TTLHours, one.Owners = &same, []string{"o"}
			if again := f.save(one.Query)[0]; !again.Mark.Equal(noon) || again.Version != one.Version {
				t.Fatalf("saved as it was, it starts at %v under version %s, before %s", again.Mark, again.Version, one.Version)
			}
			edited := one.Query
			change(&edited)
			after := f.save(edited)[0]
			if !after.Mark.IsZero() || after.Version == one.Version || after.Number != one.Number {
				t.Errorf("it starts at %v", after.Mark)
			}
			if versions, err := f.ListVersions(ctx()); err != nil || versions[0].Changes != (ListChanges{Edited: 1}) {
				t.Errorf("History says %+v, %v", versions[0].Changes, err)
			}
			f.do(f.SetMarks(ctx(), f.started(noon).Number, []int64{one.Number}, noon))
			if got := f.save(edited)[0].Mark; !got.IsZero() {
				t.Errorf("a job that began before has moved its mark to %v", got)
			}
		})
	}
}

// A query that is new with settings starts where any new one does.
func TestNewQueryWithSettings(t *testing.T) {
	f := newFixture(t)
	one := f.mark("one")
	f.do(f.SetMarks(ctx(), f.started(time.Now().Add(time.Hour)).Number, []int64{one.Number}, noon))
	f.do(second(f.SaveQueries(ctx(), []Query{one.Query, withSettings(tql("two"))}, "", job.Delta, "")))
	if got := f.mark("two").Mark; !got.Equal(noon) {
		t.Errorf("it starts at %v", got)
	}
}
