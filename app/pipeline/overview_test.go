package pipeline

import (
	"slices"
	"strings"
	"testing"
	"time"

	"mssentinel/app/job"
	"mssentinel/app/standin/sentinelserver"
	"mssentinel/app/standin/tcserver"
)

func (w *world) overview() Overview {
	w.t.Helper()
	v, err := w.p.Overview(w.t.Context())
	w.must(err)
	return v
}

// What the strip of the screens says, from the first start to a failure and its mending.
func TestOverview(t *testing.T) {
	in(t, func(t *testing.T) {
		w := newWorld(t, func(w *world) { w.options.Interval = 6 * time.Hour })
		if v := w.overview(); v.Last != nil || v.Running != nil || !v.Next.IsZero() || v.Errors != 0 || len(v.Failed)+len(v.Paused) > 0 || v.Silent != "" {
			t.Errorf("nothing was done yet: %+v", v)
		}
		w.fill(10)
		first := w.done(w.save(job.Full, query("", "Alpha")))
		time.Sleep(time.Minute)
		v := w.overview()
		if v.Last == nil || v.Last.RequestID != first.RequestID || !v.Next.Equal(first.DateQueued.Add(6*time.Hour)) || v.Live != 10 || v.LiveAsOf.IsZero() {
			t.Errorf("after %s: %+v", first.DateQueued, v)
		}

		w.breakSecret()
		failed := w.runJob(job.Delta)
		v = w.overview()
		if len(v.Failed) != 1 || v.Failed[0].RequestID != failed.RequestID || v.Last.RequestID != failed.RequestID || v.Errors == 0 {
			t.Errorf("after a failure: %+v", v)
		}
		w.mendSecret()
		w.done(w.runJob(job.Delta))
		if v = w.overview(); len(v.Failed) > 0 || v.Errors == 0 {
			t.Errorf("after an update that made up for it: %+v", v)
		}
		time.Sleep(recentErrors)
		if v = w.overview(); v.Errors != 0 {
			t.Errorf("%d errors a day later", v.Errors)
		}

		w.must(w.p.PauseTask(t.Context(), "schedule-downloads", true))
		if v = w.overview(); !slices.Equal(v.Paused, []string{"Schedule Downloads"}) || !v.Next.IsZero() {
			t.Errorf("paused: %+v", v)
		}
	})
}

// That Sentinel does not answer is said while it lasts; that its limit is reached is no fault.
func TestOverviewTellsWhoIsSilent(t *testing.T) {
	in(t, func(t *testing.T) {
		w := newWorld(t)
		w.fill(10)
		w.must(w.far.Inject(sentinelserver.Fault{Kind: sentinelserver.Status, Status: 503, Count: -1}))
		w.saveOnly(job.Full, query("", "Alpha"))
		time.Sleep(time.Minute)
		v := w.overview()
		if v.Running == nil || !v.Running.Status.Active() || !strings.Contains(v.Silent, "Sentinel is out of order") || !v.Next.IsZero() {
			t.Errorf("while Sentinel is out of order: %+v", v)
		}
		w.p.uploader.reportWait(time.Now().Add(time.Minute), "Sentinel's limit of requests is reached: it asked to wait")
		if v = w.overview(); v.Silent != "" {
			t.Errorf("the limit is a fault: %q", v.Silent)
		}
	})
}

// The strip tells of a job that asks, and of an update that is tried again by itself, but not of one that only waits.
func TestOverviewTellsWhatIsAwaited(t *testing.T) {
	in(t, func(t *testing.T) {
		w, _ := brakeWorld(t)
		if v := w.overview(); v.Asking != 0 || v.AskingID != "" || v.Retried != nil {
			t.Errorf("nothing is awaited: %+v", v)
		}
		asks := w.runJob(job.Delta)
		if v := w.overview(); v.Asking != 1 || v.AskingID != asks.RequestID {
			t.Errorf("%s asks: %+v", asks.RequestID, v)
		}
		w.must(w.p.PauseTask(t.Context(), "download", true))
		w.submit(job.Full)
		if v := w.overview(); v.Retried != nil {
			t.Errorf("one waits: %+v", v.Retried)
		}
		w.must(w.p.PauseTask(t.Context(), "download", false))
		time.Sleep(time.Hour)
		w.must(w.tc.Inject(tcserver.Fault{Kind: tcserver.Status, Status: 500, Path: "/api/v3/security/owners", Count: -1}))
		id := w.update()
		if j := w.await(id); j.Status != job.Pending {
			t.Fatalf("%s: %s", j.Status, j.Message)
		}
		if v := w.overview(); v.Retried == nil || v.Retried.RequestID != id {
			t.Errorf("%s is tried again: %+v", id, v.Retried)
		}
	})
}
