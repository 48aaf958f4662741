package pipeline

import (
	"context"
	"errors"
	"fmt"
	"sync/atomic"
	"testing"
	"time"

	"github.com/mattn/go-sqlite3"

	"mssentinel/app/job"
	"mssentinel/app/standin/sentinelserver"
	"mssentinel/app/standin/tcserver"
	"mssentinel/app/store"
)

// What a cancelled update had queued is sent by the next delta update, even where its window does not reach back to it: the
// copy that took the place of a deleted one may be old.
func TestADeltaSendsWhatACancelledOneDidNot(t *testing.T) {
	in(t, func(t *testing.T) {
		w := newWorld(t)
		high := w.put("Alpha", "a.example")
		w.put("Beta", "a.example")
		w.done(w.save(job.Full, query("", "Alpha"), query("", "Beta")))
		time.Sleep(time.Hour)
		w.done(w.runJob(job.Delta))
		w.must(w.tc.Delete(high))
		w.must(w.p.PauseTask(t.Context(), "upload", true))
		j, err := w.p.Submit(t.Context(), job.Request{Mode: job.Delta})
		w.must(err)
		time.Sleep(time.Minute)
		w.must(w.p.Cancel(t.Context(), j.RequestID))
		w.must(w.p.PauseTask(t.Context(), "upload", false))
		w.done(w.runJob(job.Delta))
		w.check(false)
	})
}

// A job that waits for its next attempt is cancelled while another one relies on what it had queued.
func TestCancelBesidesARunningJob(t *testing.T) {
	in(t, func(t *testing.T) {
		w := newWorld(t)
		w.put("Alpha", "a.example")
		w.done(w.save(job.Full, query("", "Alpha")))
		w.put("Alpha", "new.example")
		time.Sleep(time.Hour)
		w.must(w.far.Inject(sentinelserver.Fault{Kind: sentinelserver.Throttle, Seconds: 3000, Count: 1}))
		waiting := w.update()
		time.Sleep(5 * time.Second)
		w.must(w.p.KillTask(t.Context(), "upload"))
		w.must(w.p.PauseTask(t.Context(), "upload", true))
		if j := w.await(waiting); j.Status != job.Pending || j.Queued != 1 {
			t.Fatalf("%s, %+v", j.Status, j.Counts)
		}
		running, err := w.p.Submit(t.Context(), job.Request{Mode: job.Delta})
		w.must(err)
		time.Sleep(time.Minute)
		if p := w.p.Progress(); p.RequestID != running.RequestID || p.Stage != "Upload" {
			t.Fatalf("%+v", p)
		}
		w.must(w.p.Cancel(t.Context(), waiting))
		w.must(w.p.PauseTask(t.Context(), "upload", false))
		w.done(w.await(running.RequestID))
		time.Sleep(time.Hour)
		w.done(w.runJob(job.Delta))
		w.done(w.runJob(job.Delta))
		w.check(false)
	})
}

// update has a scheduled update begin, and says which it is.
func (w *world) update() string {
	w.t.Helper()
	w.must(w.p.RunTask(context.Background(), "schedule-downloads"))
	time.Sleep(5 * time.Second)
	jobs, _, err := w.store.Jobs(context.Background(), store.JobFilter{Limit: 1})
	w.must(err)
	return jobs[0].RequestID
}

// slowCancel is a store that takes its time to cancel a job.
type slowCancel struct {
	taskStores
	during func()
}

func (s slowCancel) CancelJob(ctx context.Context, requestID string, now time.Time) error {
	s.during()
	return s.taskStores.CancelJob(ctx, requestID, now)
}

// While a job is cancelled, nothing is sent: neither of the job nor of anything else in the outbox. Then Upload goes on.
func TestNothingIsSentWhileAJobIsCancelled(t *testing.T) {
	in(t, func(t *testing.T) {
		var w *world
		stopped := false
		w = newWorld(t, func(w *world) {
			w.wrap = func(s *store.Store) taskStores {
				return slowCancel{s, func() {
					requests := w.far.RequestCount()
					time.Sleep(5 * time.Minute)
					stopped = w.far.RequestCount() == requests && w.p.Tasks()[3].Status == "Idle"
				}}
			}
		})
		w.fill(1000)
		w.must(w.far.Inject(sentinelserver.Fault{Kind: sentinelserver.Slow, Seconds: 2, Count: -1}))
		w.saveOnly(job.Full, query("", "Alpha"))
		time.Sleep(3 * time.Second)
		if w.p.Tasks()[3].Status != "Running" {
			t.Fatalf("no request is under way\n%s", w.log.String())
		}
		id := w.p.Progress().RequestID
		w.must(w.p.Cancel(t.Context(), id))
		if !stopped {
			t.Error("Upload went on")
		}
		w.done(w.runJob(job.Full))
		w.check(true)
	})
}

// What is under way when a job is cancelled is waited for and counted: Sentinel holds it.
func TestWhatIsUnderWayWhenAJobIsCancelledIsCounted(t *testing.T) {
	in(t, func(t *testing.T) {
		w := newWorld(t)
		w.fill(100)
		w.slowUploads(3)
		w.saveOnly(job.Full, query("", "Alpha"))
		time.Sleep(2 * time.Second)
		id := w.p.Progress().RequestID
		w.must(w.p.Cancel(t.Context(), id))
		j, err := w.store.Job(t.Context(), id)
		w.must(err)
		if sent := w.far.Stats().Accepted; sent != 100 || j.Uploaded != 100 || j.Status != job.Cancelled {
			t.Errorf("%s: %d were accepted, %d are counted", j.Status, sent, j.Uploaded)
		}
	})
}

// unwritable is a store on a disk that takes nothing for a while.
type unwritable struct {
	taskStores
	full func() bool
}

func (u unwritable) UpdateJob(ctx context.Context, id string, change func(*job.Job) error) (job.Job, error) {
	if u.full() {
		return job.Job{}, fmt.Errorf("writing: %w", sqlite3.Error{Code: sqlite3.ErrFull})
	}
	return u.taskStores.UpdateJob(ctx, id, change)
}

func (u unwritable) CancelJob(ctx context.Context, id string, now time.Time) error {
	if u.full() {
		return fmt.Errorf("writing: %w", sqlite3.Error{Code: sqlite3.ErrFull})
	}
	return u.taskStores.CancelJob(ctx, id, now)
}

// A command that comes while the disk is full is carried out when it has room again.
func TestCommandsWhileTheDiskIsFull(t *testing.T) {
	for _, c := range []struct {
		name    string
		command func(w *world, id string) error
		want    job.Status
	}{
		{"cancel", func(w *world, id string) error {
			ctx, stop := context.WithTimeout(context.Background(), 25*time.Second)
			defer stop()
			if err := w.p.Cancel(ctx, id); !errors.Is(err, context.DeadlineExceeded) {
				return fmt.Errorf("cancelled at once: %w", err)
			}
			return nil
		}, job.Cancelled},
		{"kill", func(w *world, _ string) error { return w.p.KillTask(context.Background(), "download") }, job.Failed},
	} {
		t.Run(c.name, func(t *testing.T) {
			in(t, func(t *testing.T) {
				var full atomic.Bool
				w := newWorld(t, func(w *world) { w.wrap = func(s *store.Store) taskStores { return unwritable{s, full.Load} } })
				w.put("Alpha", "a.example")
				w.done(w.save(job.Full, query("", "Alpha")))
				full.Store(true)
				j, err := w.p.Submit(t.Context(), job.Request{Mode: job.Full})
				w.must(err)
				time.Sleep(time.Minute)
				w.must(c.command(w, j.RequestID))
				time.Sleep(time.Minute)
				full.Store(false)
				time.Sleep(2 * time.Minute)
				if got := w.await(j.RequestID); got.Status != c.want {
					t.Errorf("%s: %s", got.Status, got.Message)
				}
			})
		})
	}
}

// A job that is just failing when it is cancelled is cancelled, not tried again.
func TestCancelOfAJobThatFails(t *testing.T) {
	in(t, func(t *testing.T) {
		w := newWorld(t)
		w.put("Alpha", "a.example")
		w.must(w.tc.Inject(tcserver.Fault{Kind: tcserver.Hang, Path: "/api/v3/indicators"}))
		w.saveOnly(job.Full, query("", "Alpha"))
		time.Sleep(time.Minute)
		id := w.p.Progress().RequestID
		w.must(w.p.KillTask(t.Context(), "download"))
		w.must(w.p.Cancel(t.Context(), id))
		if j := w.await(id); j.Status != job.Cancelled {
			t.Errorf("%s: %s", j.Status, j.Message)
		}
	})
}
