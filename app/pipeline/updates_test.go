package pipeline

import (
	"testing"
	"testing/synctest"

	"mssentinel/app/store"
)

// in runs a test in simulated time.
func in(t *testing.T, test func(t *testing.T)) {
	t.Helper()
	synctest.Test(t, test)
}

func TestFirstUpdateIsFullAndTheNextSendsWhatChanged(t *testing.T) {
	in(t, func(t *testing.T) {
		w := newWorld(t)
		a, b := w.put("Alpha", "a.example"), w.put("Alpha", "b.example")
		w.put("Beta", "a.example")
		job := w.done(w.save(store.Delta, query("", "Alpha", "Beta")))
		if job.Mode != store.Full || job.JobType != store.Scheduled {
			t.Errorf("%s %s", job.JobType, job.Mode)
		}
		w.counts(job, store.Counts{Downloaded: 3, Duplicate: 1, Queued: 2, Uploaded: 2})
		w.check(true)

		w.counts(w.done(w.run(store.Delta)), store.Counts{Downloaded: 3, Duplicate: 1, Unchanged: 2})
		w.must(w.tc.Modify(b, map[string]any{"confidence": 77}))
		_ = a
		job = w.done(w.run(store.Delta))
		if job.Queued != 1 || job.Uploaded != 1 {
			t.Errorf("%+v", job.Counts)
		}
		w.check(false)
		w.counts(w.done(w.run(store.Full)), store.Counts{Downloaded: 3, Duplicate: 1, Queued: 2, Uploaded: 2})
		w.check(true)
		w.counts(w.done(w.run(store.Reconcile)), store.Counts{Downloaded: 3, Duplicate: 1, Unchanged: 2})
		w.check(true)
	})
}
