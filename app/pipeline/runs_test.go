package pipeline

import (
	"context"
	"testing"
	"time"

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
	})
}

// runStore counts runs.
type runStore struct {
	runs int64
	err  error
}

func (s *runStore) AddTaskRuns(_ context.Context, all []store.TaskRuns) error {
	if s.err != nil {
		return s.err
	}
	for _, r := range all {
		s.runs += r.Runs
	}
	return nil
}
