package pipeline

import (
	"context"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"
	"github.com/mattn/go-sqlite3"

	"mssentinel/app/job"
	"mssentinel/app/store"
)

// TASKS knows for how long the tasks were at work, also after a restart, and those of an update by its stages.
func TestTaskRunsOutliveARestart(t *testing.T) {
	in(t, func(t *testing.T) {
		w := newWorld(t, func(w *world) { w.limit = 2 })
		w.fill(500)
		w.done(w.save(job.Full, query("", "Alpha")))
		w.must(w.p.RunTask(t.Context(), "cleaner"))
		time.Sleep(time.Hour)
		read := func() map[string]Runs {
			runs, err := w.p.TaskRuns(t.Context())
			w.must(err)
			return runs
		}
		before := read()
		if u := before["upload"]; u.Count != 1 || u.Average < time.Minute || u.Longest != u.Average {
			t.Errorf("Upload: %+v", u)
		}
		if s := before["schedule-downloads"]; s.Count < 120 || s.Longest < s.Average {
			t.Errorf("Schedule Downloads: %+v", s)
		}
		if _, ran := before["verify"]; ran {
			t.Errorf("Verify ran: %+v", before["verify"])
		}
		w.restart()
		after := read()
		for _, slug := range []string{"download", "convert", "upload", "cleaner", "schedule-downloads"} {
			if after[slug].Count < before[slug].Count || after[slug].Longest < before[slug].Longest {
				t.Errorf("%s: %+v, before the restart %+v", slug, after[slug], before[slug])
			}
		}
	})
}

// Short runs are written together, a long one with the next look, and what the disk does not take is kept for later.
func TestRunsAreSavedTogether(t *testing.T) {
	in(t, func(t *testing.T) {
		s := &runStore{}
		r := &runRecord{store: s, log: quiet(), saved: time.Now()}
		save := func(want int64) {
			t.Helper()
			r.saveRuns(t.Context(), false)
			if s.runs != want {
				t.Errorf("%d runs are kept, want %d", s.runs, want)
			}
		}
		save(0)
		for range 5 {
			r.noteRun("cleaner", time.Second)
			save(0)
		}
		s.err = sqlite3.Error{Code: sqlite3.ErrFull}
		time.Sleep(saveRunsEvery)
		save(0)
		s.err = nil
		r.noteRun("verify", longRun)
		save(6)
		save(6)
		r.noteRun("cleaner", time.Second)
		r.saveRuns(t.Context(), true)
		save(7)
		r.noteRun("cleaner", time.Second)
		time.Sleep(saveRunsEvery)
		save(8)
	})
}

// Runs are counted by task and day, also those that wait for the disk beside those that it did not take.
func TestRunsByTaskAndDay(t *testing.T) {
	in(t, func(t *testing.T) {
		s := &runStore{}
		r := &runRecord{store: s, log: quiet(), saved: time.Now()}
		today := time.Now().UTC().Truncate(24 * time.Hour)
		time.Sleep(time.Until(today.Add(23 * time.Hour)))
		r.noteRun("cleaner", 3*time.Second)
		r.noteRun("verify", 2*time.Second)
		r.noteRun("cleaner", time.Second)
		s.err = sqlite3.Error{Code: sqlite3.ErrFull}
		s.during = func() { r.noteRun("cleaner", 5*time.Second) }
		r.saveRuns(t.Context(), true)
		s.during = nil
		r.noteRun("verify", time.Second)
		time.Sleep(2 * time.Hour)
		r.noteRun("verify", 4*time.Second)
		s.during = func() { r.noteRun("cleaner", 6*time.Second) }
		r.saveRuns(t.Context(), true)
		want := []store.TaskRuns{
			{Slug: "cleaner", Day: today, Runs: 3, Took: 9 * time.Second, Longest: 5 * time.Second},
			{Slug: "verify", Day: today, Runs: 2, Took: 3 * time.Second, Longest: 2 * time.Second},
			{Slug: "verify", Day: today.Add(24 * time.Hour), Runs: 1, Took: 4 * time.Second, Longest: 4 * time.Second},
			{Slug: "cleaner", Day: today.Add(24 * time.Hour), Runs: 1, Took: 6 * time.Second, Longest: 6 * time.Second},
		}
		if diff := cmp.Diff(want, r.readUnsaved()); diff != "" {
			t.Errorf("(-want +got)\n%s", diff)
		}
	})
}

// Before the first update nothing is told of its stages. The runs of the tasks are kept while the Service runs, and not only at its end.
func TestRunsBeforeTheFirstUpdate(t *testing.T) {
	in(t, func(t *testing.T) {
		w := newWorld(t)
		runs, err := w.p.TaskRuns(t.Context())
		w.must(err)
		if _, ran := runs["download"]; ran || runs["schedule-downloads"].Count == 0 {
			t.Errorf("%+v", runs)
		}
		time.Sleep(saveRunsEvery + watchEvery)
		if kept, err := w.store.TaskRuns(t.Context(), time.Now().Add(-RunWindow)); err != nil || len(kept) == 0 {
			t.Errorf("kept %+v, %v", kept, err)
		}
	})
}

// runStore counts runs.
type runStore struct {
	runs   int64
	err    error
	during func()
}

func (s *runStore) AddTaskRuns(_ context.Context, all []store.TaskRuns) error {
	if s.during != nil {
		s.during()
	}
	if s.err != nil {
		return s.err
	}
	for _, r := range all {
		s.runs += r.Runs
	}
	return nil
}
