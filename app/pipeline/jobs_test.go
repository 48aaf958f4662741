package pipeline

import (
	"context"
	"errors"
	"fmt"
	"strings"
	"sync/atomic"
	"testing"
	"testing/synctest"
	"time"

	"github.com/mattn/go-sqlite3"

	"mssentinel/app/job"
	"mssentinel/app/ledger"
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

// slowLedger is a store that takes its time for what was converted, whoever gives up waiting.
type slowLedger struct {
	taskStores
	takes time.Duration
}

func (s slowLedger) Apply(ctx context.Context, b ledger.Batch) (store.Applied, error) {
	time.Sleep(s.takes)
	return s.taskStores.Apply(context.WithoutCancel(ctx), b)
}

// What Convert has in hand when a job is cancelled is waited for, and dropped with the rest.
func TestWhatIsConvertedWhenAJobIsCancelledIsDropped(t *testing.T) {
	in(t, func(t *testing.T) {
		w := newWorld(t, func(w *world) { w.wrap = func(s *store.Store) taskStores { return slowLedger{s, time.Minute} } })
		w.put("Alpha", "a.example")
		w.saveOnly(job.Full, query("", "Alpha"))
		time.Sleep(5 * time.Second)
		id := w.p.Progress().RequestID
		w.must(w.p.Cancel(t.Context(), id))
		time.Sleep(2 * time.Minute)
		synctest.Wait()
		if sent := w.far.Stats().Accepted; sent != 0 {
			t.Errorf("%d objects were sent", sent)
		}
		if j := w.await(id); j.Status != job.Cancelled {
			t.Errorf("%s: %s", j.Status, j.Message)
		}
	})
}

// A job that is killed says so wherever Download is, and Download is at rest then.
func TestKillWhileThreatConnectIsSilent(t *testing.T) {
	for path, doing := range map[string]string{"/api/v3/security/owners": "", "/api/v3/indicators/deleted": "Looking for what has gone", "/api/v3/indicators": "Reading query 1 of 1"} {
		t.Run(path, func(t *testing.T) {
			in(t, func(t *testing.T) {
				w := newWorld(t)
				w.put("Alpha", "a.example")
				w.done(w.save(job.Full, query("", "Alpha")))
				w.must(w.tc.Inject(tcserver.Fault{Kind: tcserver.Hang, Path: path, Count: -1}))
				mode := job.Full
				if strings.HasSuffix(path, "deleted") {
					mode = job.Delta
				}
				id := w.submit(mode).RequestID
				time.Sleep(time.Minute)
				if download := w.p.Tasks()[1]; download.Status != "Running" || download.Detail != doing {
					t.Errorf("%+v", download)
				}
				w.must(w.p.KillTask(t.Context(), "download"))
				if j := w.await(id); j.Status != job.Failed || !strings.Contains(j.Message, "killed on TASKS") {
					t.Errorf("%s: %s", j.Status, j.Message)
				}
				if download := w.p.Tasks()[1]; download.Status != "Idle" || download.Detail != "" {
					t.Errorf("%+v", download)
				}
			})
		})
	}
}

// With each job the mappers are told of it, and after it TASKS says when the next update comes.
func TestWhatBeginsAndEndsWithAJob(t *testing.T) {
	in(t, func(t *testing.T) {
		w := newWorld(t)
		w.put("Alpha", "a.example")
		w.mappers.before = func(context.Context, string, [][]byte) error {
			time.Sleep(2 * scheduleEvery)
			return nil
		}
		first := w.done(w.save(job.Full, query("", "Alpha")))
		synctest.Wait()
		if next := w.p.Tasks()[0].NextRun; !next.Equal(first.DateQueued.Add(w.options.Interval)) {
			t.Errorf("the next update comes at %v", next)
		}
		w.done(w.runJob(job.Delta))
		if n := w.mappers.jobs.Load(); n != 2 {
			t.Errorf("the mappers know of %d jobs", n)
		}
	})
}

// brokenEnd is a store that does not take the end of a job while it is broken.
type brokenEnd struct {
	taskStores
	fault func() error
}

func (b brokenEnd) CompleteJob(ctx context.Context, requestID string, now time.Time, message string) (job.Job, error) {
	if err := b.fault(); err != nil {
		return job.Job{}, err
	}
	return b.taskStores.CompleteJob(ctx, requestID, now, message)
}

// A job whose end cannot be kept is taken up again after a while, and every screen says why. That it is over already is no fault.
func TestAnEndThatCannotBeKept(t *testing.T) {
	for name, c := range map[string]struct {
		fault   error
		trouble string
		took    time.Duration
	}{
		"broken":       {errors.New("constraint failed"), "constraint failed", unavailableRetry},
		"over already": {job.ErrState, "", 0},
	} {
		t.Run(name, func(t *testing.T) {
			in(t, func(t *testing.T) {
				faults := 0
				w := newWorld(t, func(w *world) {
					w.wrap = func(s *store.Store) taskStores {
						return brokenEnd{s, func() error {
							if faults++; faults > 1 {
								return nil
							}
							return c.fault
						}}
					}
				})
				w.put("Alpha", "a.example")
				w.saveOnly(job.Full, query("", "Alpha"))
				began := time.Now()
				time.Sleep(5 * time.Second)
				if trouble := w.p.Trouble(); !strings.Contains(trouble, c.trouble) || trouble != "" && c.trouble == "" {
					t.Errorf("the screens say %q", trouble)
				}
				j := w.awaitIdle(job.Full)
				if took := j.DateCompleted.Sub(began); took < c.took || took > c.took+5*time.Second {
					t.Errorf("it ended after %v", took)
				}
			})
		})
	}
}

// A job that starts while it is cancelled does not go on.
func TestCancelOfAJobThatStarts(t *testing.T) {
	in(t, func(t *testing.T) {
		w := newWorld(t, func(w *world) {
			w.wrap = func(s *store.Store) taskStores {
				return slowCancel{s, func() {
					w.must(w.p.PauseTask(t.Context(), "download", false))
					time.Sleep(5 * time.Second)
				}}
			}
		})
		w.put("Alpha", "a.example")
		w.done(w.save(job.Full, query("", "Alpha")))
		w.must(w.tc.Inject(tcserver.Fault{Kind: tcserver.Hang, Path: "/api/v3/indicators", Count: -1}))
		w.must(w.p.PauseTask(t.Context(), "download", true))
		j := w.submit(job.Full)
		w.must(w.p.Cancel(t.Context(), j.RequestID))
		if got := w.await(j.RequestID); got.Status != job.Cancelled || w.p.Progress().RequestID != "" {
			t.Errorf("%s: %s, %+v", got.Status, got.Message, w.p.Progress())
		}
	})
}

// A job that is just ending when it is cancelled ends, and that is no fault of who cancelled it.
func TestCancelOfAJobThatEnds(t *testing.T) {
	in(t, func(t *testing.T) {
		w := newWorld(t, func(w *world) {
			w.wrap = func(s *store.Store) taskStores {
				return brokenEnd{s, func() error {
					time.Sleep(10 * time.Second)
					return nil
				}}
			}
		})
		w.put("Alpha", "a.example")
		w.saveOnly(job.Full, query("", "Alpha"))
		time.Sleep(5 * time.Second)
		id := w.p.Progress().RequestID
		w.must(w.p.Cancel(t.Context(), id))
		w.done(w.await(id))
	})
}

// What is asked for begins at once, for the first time and again.
func TestJobsBeginAtOnce(t *testing.T) {
	in(t, func(t *testing.T) {
		w := newWorld(t)
		w.put("Alpha", "a.example")
		w.done(w.save(job.Full, query("", "Alpha")))
		time.Sleep(lookEvery/2 + time.Second)
		w.must(w.p.PauseTask(t.Context(), "upload", true))
		j := w.submit(job.Full)
		if time.Sleep(time.Second); j.Type != job.AdHoc || w.p.Progress().RequestID != j.RequestID {
			t.Errorf("%s, %+v", j.Type, w.p.Progress())
		}
		w.must(w.p.Cancel(t.Context(), j.RequestID))
		w.must(w.p.Retry(t.Context(), j.RequestID))
		if time.Sleep(time.Second); w.p.Progress().RequestID != j.RequestID {
			t.Errorf("retried, %+v", w.p.Progress())
		}
	})
}

// A paused task takes up nothing, and what waits for it goes on when it does.
func TestAPausedTaskTakesUpNothing(t *testing.T) {
	for _, slug := range []string{"schedule-downloads", "download", "convert", "upload"} {
		t.Run(slug, func(t *testing.T) {
			in(t, func(t *testing.T) {
				w := newWorld(t)
				w.put("Alpha", "a.example")
				w.must(w.p.PauseTask(t.Context(), slug, true))
				w.saveOnly(job.Full, query("", "Alpha"))
				time.Sleep(2 * time.Hour)
				if n := w.far.Stats().Accepted; n != 0 {
					t.Errorf("%d objects were sent", n)
				}
				w.must(w.p.PauseTask(t.Context(), slug, false))
				w.awaitIdle(job.Full)
				w.check(true)
			})
		})
	}
}

// When the Service ends, Convert finishes what it writes before the store is closed.
func TestTheEndWaitsForWhatIsWritten(t *testing.T) {
	in(t, func(t *testing.T) {
		w := newWorld(t, func(w *world) { w.wrap = func(s *store.Store) taskStores { return slowLedger{s, 5 * time.Second} } })
		w.put("Alpha", "a.example")
		w.saveOnly(job.Full, query("", "Alpha"))
		time.Sleep(3 * time.Second)
		w.restart()
		total, err := w.store.OutboxSize(t.Context())
		if sent := w.far.Stats().Accepted; total == 0 && sent == 0 || err != nil { // the next process sends it at once
			t.Errorf("%d rows were written, %d sent, %v", total, sent, err)
		}
		w.awaitIdle(job.Full)
		w.check(true)
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
