package store

import (
	"context"
	"errors"
	"fmt"
	"sync"
	"testing"
	"testing/synctest"
	"time"

	"github.com/google/go-cmp/cmp"

	"mssentinel/app/job"
)

// The groups that are kept are those that counting would give, whatever happens to the lines and to the queries.
func TestKeptGroupsAreThoseOfNow(t *testing.T) {
	f := newFixture(t)
	j := f.begin(job.Full)
	f.report(j, 0, 6)
	filters := []ProblemFilter{{}, {Type: "Host"}, {Text: "wrong 3"}, {Severity: Notes}, {Code: job.CodeUpdateFailed}, {Newest: 4}}
	counts := map[string]int{}
	check := func(what string) {
		t.Helper()
		for i, filter := range filters {
			for _, asked := range []string{"first", "again"} {
				kept, keptNewest, err := f.ProblemGroups(ctx(), filter)
				f.do(err)
				groups, newest, err := f.countProblems(ctx(), filter.conditions())
				f.do(err)
				if diff := cmp.Diff(groups, kept); diff != "" || newest != keptNewest {
					t.Errorf("%s, %+v, asked %s: newest %d instead of %d, groups (-counted +told):\n%s", what, filter, asked, keptNewest, newest, diff)
				}
				if i == 0 {
					f.wantNumber(keptNewest, "the newest line", `SELECT coalesce(max(id), 0) FROM problem`)
					counts[fmt.Sprint(kept, keptNewest)]++
				}
			}
		}
	}
	steps := []struct {
		what string
		do   func()
	}{
		{"lines of a batch", func() {}},
		{"another line", func() {
			f.do(f.AddProblems(ctx(), j.Number, []job.Problem{{Step: job.StepDownload, Code: job.CodeUpdateFailed, Message: "failed"}}))
		}},
		{"lines that differ in case, and a larger group", func() {
			line := job.Problem{Step: job.StepConvert, Code: "invalid-VALUE", Message: "wrong 3, again", Subject: job.Subject{Indicator: 9, Type: "hOST"}}
			other := job.Problem{Step: job.StepConvert, Code: job.CodeInvalidValue, Message: "wrong", Subject: job.Subject{Type: "File"}}
			f.do(f.AddProblems(ctx(), j.Number, []job.Problem{line, other, other, other, other, other, other, other}))
		}},
		{"a retry", func() { f.do(second(f.RetryProblems(ctx(), ProblemFilter{Indicators: []int64{2}}))) }},
		{"a line and a retry", func() {
			f.report(j, 6, 7)
			f.do(second(f.RetryProblems(ctx(), ProblemFilter{Indicators: []int64{4}})))
		}},
		{"a query that is deleted", func() { f.save(Query{Owners: []string{"o"}, Types: []string{"Host"}, TQL: "other"}) }},
		{"old lines that are dropped", func() { f.do(f.Clean(ctx(), f.now.Add(keptProblems+time.Hour))) }},
	}
	for _, step := range steps {
		step.do()
		check(step.what)
	}
	if len(counts) != len(steps) {
		t.Errorf("%d different counts after %d steps: %v", len(counts), len(steps), counts)
	}
}

// What is kept is taken as long as nothing changes, for the filters of the last pages alone, and given up at rest.
func TestGroupsAreKept(t *testing.T) {
	f := newFixture(t)
	f.report(f.begin(job.Full), 0, 3)
	ask := func(filter ProblemFilter) int64 {
		groups, _, err := f.ProblemGroups(ctx(), filter)
		f.do(err)
		return groups[0].Count
	}
	ask(ProblemFilter{})
	f.groups.counted[0].groups[0].Count = 99 // nobody counts that many
	if n := ask(ProblemFilter{}); n != 99 {
		t.Errorf("counted again: %d", n)
	}
	for n := range keptCounts - 1 {
		ask(ProblemFilter{Newest: int64(100 + n)})
	}
	if n := ask(ProblemFilter{}); n != 99 || len(f.groups.counted) != keptCounts {
		t.Errorf("of %d that are kept, the first has %d", len(f.groups.counted), n)
	}
	if ask(ProblemFilter{Newest: 200}); len(f.groups.counted) != keptCounts || ask(ProblemFilter{}) == 99 {
		t.Errorf("%d are kept, the oldest among them", len(f.groups.counted))
	}
	f.do(f.ReleaseMemory(ctx()))
	if len(f.groups.counted) > 0 {
		t.Errorf("%d are kept at rest", len(f.groups.counted))
	}
}

// Of pages that ask at once one counts, and the others take what it found, or give up.
func TestGroupsAreCountedOnce(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		f := newFixture(t)
		f.report(f.begin(job.Full), 0, 3)
		_, _, err := f.ProblemGroups(ctx(), ProblemFilter{})
		f.do(err)
		counted := f.groups.counted[0]
		counted.groups[0].Count = 99 // nobody else counts that many
		f.groups.forget()
		f.groups.turn <- struct{}{}
		var pages sync.WaitGroup
		for range 2 {
			pages.Go(func() {
				if groups, _, err := f.ProblemGroups(ctx(), ProblemFilter{}); err != nil || groups[0].Count != 99 {
					t.Errorf("%+v, %v", groups, err)
				}
			})
		}
		synctest.Wait()
		gone, leave := context.WithCancel(ctx())
		pages.Go(func() {
			if _, _, err := f.ProblemGroups(gone, ProblemFilter{Type: "Host"}); !errors.Is(err, context.Canceled) {
				t.Errorf("whose page was left: %v", err)
			}
		})
		synctest.Wait()
		leave()
		synctest.Wait()
		f.groups.keep(counted)
		<-f.groups.turn
		pages.Wait()
	})
}

// Where lines were added, these alone are counted; where any was dropped, all are.
func TestAddedLinesAreCounted(t *testing.T) {
	f := newFixture(t)
	f.report(f.begin(job.Full), 0, 3)
	ask := func() (count int64) {
		groups, _, err := f.ProblemGroups(ctx(), ProblemFilter{})
		f.do(err)
		for _, g := range groups {
			count += g.Count
		}
		return count
	}
	if n := ask(); n != 3 {
		t.Errorf("%d lines", n)
	}
	f.groups.counted[0].groups[0].Count += 100 // nobody counts that many
	f.do(f.AddProblems(ctx(), 0, []job.Problem{{Step: job.StepDownload, Code: job.CodeUpdateFailed, Message: "failed"}}))
	if n := ask(); n != 104 {
		t.Errorf("with another line %d are counted: the others were counted again", n)
	}
	f.do(second(f.write.Exec(`DELETE FROM problem WHERE id = 1`)))
	f.do(f.AddProblems(ctx(), 0, []job.Problem{{Step: job.StepDownload, Code: job.CodeUpdateFailed, Message: "failed"}}))
	if n := ask(); n != 4 {
		t.Errorf("with one line less and another more %d are counted", n)
	}
	many := make([]ProblemGroup, maxGroups)
	for i := range many {
		many[i] = ProblemGroup{Type: fmt.Sprint(i)}
	}
	f.groups.counted[0].groups = many // there may be more, which were not told
	f.do(f.AddProblems(ctx(), 0, []job.Problem{{Step: job.StepDownload, Code: job.CodeUpdateFailed, Message: "failed"}}))
	if n := ask(); n != 5 || len(f.groups.counted) != 1 {
		t.Errorf("where not all groups are known %d lines are counted, and kept %d times", n, len(f.groups.counted))
	}
	var w where
	w.addAdded(reportState{}, reportState{Newest: 3})
	groups, newest, err := f.countProblems(ctx(), w)
	if f.do(err); newest != 3 {
		t.Errorf("a line that comes while they are counted is among them: %+v", groups)
	}
}
