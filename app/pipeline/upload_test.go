package pipeline

import (
	"context"
	"errors"
	"strings"
	"sync/atomic"
	"testing"
	"testing/synctest"
	"time"

	"mssentinel/app/job"
	"mssentinel/app/standin/sentinelserver"
	"mssentinel/app/store"
)

// slowUploads has Sentinel take its time, so that requests are still under way when an attempt has long ended.
func (w *world) slowUploads(seconds float64) {
	w.t.Helper()
	w.must(w.far.Inject(sentinelserver.Fault{Kind: sentinelserver.Slow, Seconds: seconds, Count: -1}))
}

func (w *world) submit(mode job.Mode) job.Job {
	w.t.Helper()
	j, err := w.p.Submit(context.Background(), job.Request{Mode: mode})
	w.must(err)
	return j
}

// What ends the upload of a job ends this attempt and no other: neither one that was queued before, nor one that is asked
// for right after. The next one does not wait for a time at which Upload would try again by itself, either.
func TestAFailureOfUploadEndsNoOtherAttempt(t *testing.T) {
	ends := map[string]func(w *world){
		"killed": func(w *world) { w.must(w.p.KillTask(w.t.Context(), "upload")) },
		"killed twice": func(w *world) {
			w.must(w.p.KillTask(w.t.Context(), "upload"))
			time.Sleep(100 * time.Millisecond)
			w.must(w.p.KillTask(w.t.Context(), "upload"))
		},
		"ended by the watchdog": func(w *world) {
			w.p.uploader.cancelWork(errors.New("the task Upload gave no sign of life for 30 minutes"))
		},
		"failed": func(w *world) {
			w.must(w.far.Inject(sentinelserver.Fault{Kind: sentinelserver.Unauthorized}))
			w.must(w.far.Inject(sentinelserver.Fault{Kind: sentinelserver.TokenError, Code: 7000222}))
			time.Sleep(2500 * time.Millisecond)
		},
	}
	for name, end := range ends {
		for _, before := range []bool{true, false} {
			for _, mode := range []job.Mode{job.Full, job.Delta} {
				t.Run(name+" "+string(mode)+map[bool]string{true: " queued before", false: " asked for after"}[before], func(t *testing.T) {
					in(t, func(t *testing.T) {
						w := newWorld(t)
						w.fill(2000)
						w.saveOnly(job.Delta, query("", "Alpha"))
						w.awaitIdle(job.Full)
						w.slowUploads(3)
						first := w.submit(job.Full)
						time.Sleep(4 * time.Second)
						if w.p.Progress().RequestID != first.RequestID || w.p.Tasks()[3].Status != "Running" {
							t.Fatalf("%+v", w.p.Progress())
						}
						var next job.Job
						if before {
							next = w.submit(mode)
						}
						end(w)
						if !before {
							next = w.submit(mode)
						}
						began := time.Now()
						if j := w.await(first.RequestID); j.Status != job.Failed {
							t.Errorf("the first is %s: %s", j.Status, j.Message)
						}
						j := w.done(w.await(next.RequestID))
						if took := j.DateCompleted.Sub(began); took > time.Minute {
							t.Errorf("the next took %v", took)
						}
						w.check(true)
					})
				})
			}
		}
	}
}

// brokenOutbox is a store whose outbox cannot be read, and which is written to meanwhile.
type brokenOutbox struct {
	taskStores
	reads *atomic.Int64
	wake  func()
}

func (b brokenOutbox) Outgoing(context.Context, int64, int) ([]store.Outgoing, error) {
	if b.reads.Add(1) < 4 {
		b.wake()
	}
	return nil, errors.New("the outbox cannot be read")
}

// A wake that was left before Upload failed is no reason to try again at once: nothing has changed since.
func TestAnOldWakeIsNoReasonToTryAgain(t *testing.T) {
	in(t, func(t *testing.T) {
		var reads atomic.Int64
		w := newWorld(t, func(w *world) {
			w.wrap = func(s *store.Store) taskStores {
				return brokenOutbox{s, &reads, func() { w.p.uploader.wake() }}
			}
		})
		time.Sleep(uploadRetry - time.Minute)
		synctest.Wait()
		if n := reads.Load(); n != 1 {
			t.Errorf("Upload tried %d times", n)
		}
		if detail := w.p.Tasks()[3].Detail; !strings.Contains(detail, "cannot be read") {
			t.Errorf("it says %q", detail)
		}
		w.p.uploader.wake()
		synctest.Wait()
		if n := reads.Load(); n != 2 {
			t.Errorf("woken, Upload tried %d times", n-1)
		}
	})
}
