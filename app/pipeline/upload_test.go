package pipeline

import (
	"bytes"
	"context"
	"errors"
	"strings"
	"sync/atomic"
	"testing"
	"testing/synctest"
	"time"

	"mssentinel/app/job"
	"mssentinel/app/sentinel"
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

func (b brokenOutbox) Outgoing(context.Context, int64, int) ([]*store.Outgoing, error) {
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

// What fails leaves Upload waiting, whether the attempt that it ended is over or still ends: nothing has changed that would help.
func TestUploadWaitsAfterAFailure(t *testing.T) {
	for name, slow := range map[string]string{"the attempt is over": "nothing", "the attempt ends slowly": "slow.example"} {
		t.Run(name, func(t *testing.T) {
			in(t, func(t *testing.T) {
				w := newWorld(t)
				w.mappers.before = func(_ context.Context, _ string, raws [][]byte) error {
					if bytes.Contains(bytes.Join(raws, nil), []byte(slow)) {
						time.Sleep(time.Minute) // without an ear for its context
					}
					return nil
				}
				w.fill(1000)
				w.put("Beta", "slow.example")
				w.slowUploads(3)
				w.saveOnly(job.Full, query("", "Alpha"), query("", "Beta"))
				time.Sleep(2 * time.Second)
				w.must(w.p.KillTask(t.Context(), "upload"))
				time.Sleep(10 * time.Second)
				synctest.Wait()
				if n := w.far.Stats().Accepted; n == 0 || n == 1000 {
					t.Fatalf("%d objects were accepted when Upload was killed", n)
				}
				requests := w.far.RequestCount()
				if upload := w.p.Tasks()[3]; !strings.Contains(upload.Detail, "killed on TASKS") || upload.Status != "Idle" || time.Until(upload.NextRun) > uploadRetry ||
					time.Until(upload.NextRun) < uploadRetry-time.Minute {
					t.Errorf("it shows %+v", upload)
				}
				time.Sleep(20 * time.Second)
				synctest.Wait()
				if n := w.far.RequestCount(); n != requests {
					t.Errorf("it tried again %d times at once", n-requests)
				}
				time.Sleep(time.Minute)
				w.mappers.before = nil
				began := time.Now()
				j := w.done(w.await(w.submit(job.Full).RequestID))
				if took := j.DateCompleted.Sub(began); took > time.Minute {
					t.Errorf("the next job took %v", took)
				}
			})
		})
	}
}

// A job is cancelled while Upload is at work, and another while it waits to try again. In both cases it goes on at once.
func TestUploadGoesOnAfterACancelledJob(t *testing.T) {
	in(t, func(t *testing.T) {
		w := newWorld(t)
		w.fill(1000)
		w.slowUploads(3)
		w.saveOnly(job.Full, query("", "Alpha"))
		time.Sleep(2 * time.Second)
		w.must(w.p.Cancel(t.Context(), w.p.Progress().RequestID))
		idle := func() {
			t.Helper()
			synctest.Wait()
			if upload := w.p.Tasks()[3]; upload.Status != "Idle" || upload.Detail != "" || !upload.NextRun.IsZero() {
				t.Errorf("%+v", upload)
			}
		}
		idle()
		failed := w.update()
		w.must(w.p.KillTask(t.Context(), "upload"))
		if j := w.await(failed); j.Status != job.Pending {
			t.Fatalf("%s: %s", j.Status, j.Message)
		}
		time.Sleep(10 * time.Second)
		if w.p.Tasks()[3].NextRun.IsZero() {
			t.Fatal("Upload does not wait")
		}
		w.must(w.p.Cancel(t.Context(), failed))
		idle()
		if rows, err := w.store.OutboxSize(t.Context()); rows != 0 || err != nil {
			t.Errorf("%d rows wait, %v", rows, err)
		}
	})
}

// TASKS shows Upload at work while a request is under way, and at no other time.
func TestUploadIsShownAtWork(t *testing.T) {
	in(t, func(t *testing.T) {
		w := newWorld(t)
		w.fill(100)
		w.slowUploads(3)
		w.saveOnly(job.Full, query("", "Alpha"))
		for range 2 {
			time.Sleep(2 * time.Second)
			if upload := w.p.Tasks()[3]; upload.Status != "Running" || time.Since(upload.LastRun) > 2*time.Second {
				t.Errorf("%+v while a request is under way", upload)
			}
			if download := w.p.Tasks()[1]; download.Status != "Idle" {
				t.Errorf("%+v when all is read", download)
			}
			time.Sleep(3 * time.Second)
			if upload := w.p.Tasks()[3]; time.Since(upload.LastHeartbeat) > 2*time.Second || w.p.Progress().RequestID != "" {
				t.Errorf("%+v while none is", upload)
			}
			for _, task := range w.p.Tasks() {
				if task.Status != "Idle" {
					t.Errorf("%s is %s after the update", task.Slug, task.Status)
				}
			}
			w.submit(job.Full)
		}
	})
}

// A request that is not full waits for more as long as the job reads on, but for two seconds only.
func TestARequestThatIsNotFullWaits(t *testing.T) {
	in(t, func(t *testing.T) {
		w := newWorld(t)
		w.put("Alpha", "a.example")
		w.put("Beta", "b.example")
		w.mappers.before = func(ctx context.Context, _ string, raws [][]byte) error {
			if bytes.Contains(raws[0], []byte("b.example")) {
				<-ctx.Done()
			}
			return nil
		}
		w.saveOnly(job.Full, query("", "Alpha"), query("", "Beta"))
		synctest.Wait()
		time.Sleep(fillTime - time.Second)
		synctest.Wait()
		if p := w.p.Progress(); w.far.Stats().Accepted != 0 || p.Queued != 1 || p.Converted != 1 || p.Downloaded != 2 || p.DownloadShare != 1 || p.ConvertShare != 0.5 || p.ExpectsMore {
			t.Errorf("%d objects were sent before the time, %+v", w.far.Stats().Accepted, p)
		}
		time.Sleep(2 * time.Second)
		synctest.Wait()
		if n := w.far.Stats().Accepted; n != 1 {
			t.Errorf("%d objects were sent", n)
		}
	})
}

// someRows is an outbox of so many rows, of one job, and a Sentinel that does not answer.
type someRows struct {
	uploadStore
	n, job int64
	// fault is what keeping a job gives; dated counts how often the first request was dated.
	fault error
	dated int
	// sent is the newest row that was in a request when Upload let go.
	sent int64
}

func (s *someRows) Outgoing(_ context.Context, after int64, _ int) (rows []*store.Outgoing, err error) {
	for n := after + 1; n <= s.n; n++ {
		rows = append(rows, &store.Outgoing{Seq: n, Object: n, Job: s.job, Source: source, Payload: []byte("{}")})
	}
	return rows, nil
}

func (s *someRows) TakeBack(_ context.Context, sent int64) error {
	s.sent = sent
	return nil
}

func (s *someRows) UpdateJob(_ context.Context, _ string, transition func(*job.Job) error) (j job.Job, err error) {
	j.Status = job.UploadInProgress
	if err := transition(&j); j.DateUploadStart != nil && err == nil {
		s.dated++
	}
	return j, s.fault
}

func (s *someRows) Deliver(ctx context.Context, _ string, _ [][]byte, report sentinel.Report) error {
	report.OnSend()
	<-ctx.Done()
	return ctx.Err()
}

// newSession begins to upload the rows, with the first job in hand, which has queued all.
func (s *someRows) newSession(t *testing.T) (*uploadSession, *attempt) {
	p := New(Options{Mappers: noMappers{}, Sentinel: s, Logger: quiet()})
	p.uploader.store = s
	a := newAttempt(t.Context(), job.Job{Number: 1}, s, p.disk, 0)
	close(a.allQueued)
	p.current.Store(a)
	session := p.uploader.newSession(t.Context())
	t.Cleanup(session.stopRequests)
	return session, a
}

// Eight requests are under way at most, the first of which is dated. What was in none of them is given back.
func TestRequestsAtOnce(t *testing.T) {
	in(t, func(t *testing.T) {
		for job, dated := range map[int64]int{1: 1, 2: 0} {
			rows := &someRows{n: 950, job: job}
			s, _ := rows.newSession(t)
			for range 2 {
				if _, err := s.sendNext(); err != nil || s.requests != 8 || len(s.queue.rows) != 150 {
					t.Errorf("%d requests are under way, %d rows wait, %v", s.requests, len(s.queue.rows), err)
				}
			}
			synctest.Wait()
			if s.letGo(); rows.sent != 800 || rows.dated != dated {
				t.Errorf("the rows up to %d were sent, dated %d times; want 800, %d", rows.sent, rows.dated, dated)
			}
		}
	})
}

// Upload looks into the outbox once more when a job has queued all: what it found empty before may hold the last rows.
func TestAJobIsNotSettledBeforeItsLastRows(t *testing.T) {
	in(t, func(t *testing.T) {
		s, a := (&someRows{n: 1}).newSession(t)
		s.more = false
		if _, err := s.sendNext(); err != nil || isClosed(a.allSettled) || s.requests != 1 {
			t.Errorf("settled: %t, %d requests, %v", isClosed(a.allSettled), s.requests, err)
		}
	})
}

// That the job in hand is over keeps Upload from nothing; what else keeps a job from being written does.
func TestUploadBesideAJobThatIsOver(t *testing.T) {
	in(t, func(t *testing.T) {
		broken := errors.New("broken")
		for name, c := range map[string]struct {
			fault error
			over  bool
			want  error
		}{
			"it ended meanwhile": {fault: job.ErrState},
			"it is being ended":  {fault: broken, over: true},
			"it cannot be kept":  {fault: broken, want: broken},
		} {
			s, a := (&someRows{n: 1, job: 1, fault: c.fault}).newSession(t)
			if c.over {
				a.cancel(errCancelled)
			}
			if _, err := s.sendNext(); !errors.Is(err, c.want) {
				t.Errorf("%s: %v", name, err)
			}
		}
	})
}

// hangingOutbox is a store that gives nothing of the outbox before the reader is told to end.
type hangingOutbox struct {
	taskStores
	hangs *atomic.Bool
}

func (h hangingOutbox) Outgoing(ctx context.Context, after int64, limit int) ([]*store.Outgoing, error) {
	if h.hangs.Load() {
		<-ctx.Done()
		return nil, ctx.Err()
	}
	return h.taskStores.Outgoing(ctx, after, limit)
}

// Killed while it reads the outbox, Upload says that it was killed, and not what that broke off.
func TestUploadIsKilledWhileItReads(t *testing.T) {
	in(t, func(t *testing.T) {
		var hangs atomic.Bool
		w := newWorld(t, func(w *world) { w.wrap = func(s *store.Store) taskStores { return hangingOutbox{s, &hangs} } })
		w.fill(100)
		w.slowUploads(3)
		w.saveOnly(job.Full, query("", "Alpha"))
		time.Sleep(2 * time.Second)
		hangs.Store(true)
		w.p.uploader.wake()
		synctest.Wait()
		w.must(w.p.KillTask(t.Context(), "upload"))
		hangs.Store(false)
		time.Sleep(10 * time.Second)
		if detail := w.p.Tasks()[3].Detail; !strings.Contains(detail, "killed on TASKS") {
			t.Errorf("it says %q", detail)
		}
	})
}

// TASKS says until when Sentinel makes Upload wait, however long that is, and the day counts it. The request after it has its own time.
func TestAWaitIsShownAndCounted(t *testing.T) {
	in(t, func(t *testing.T) {
		w := newWorld(t)
		w.put("Alpha", "a.example")
		w.must(w.far.Inject(sentinelserver.Fault{Kind: sentinelserver.Throttle, Seconds: 3000, Count: 1}))
		w.must(w.far.Inject(sentinelserver.Fault{Kind: sentinelserver.Slow, Seconds: 45, After: 1}))
		w.saveOnly(job.Full, query("", "Alpha"))
		time.Sleep(time.Minute)
		until, _ := w.p.uploader.waits.presentWait()
		if detail := w.p.Tasks()[3].Detail; !strings.HasSuffix(detail, "Next request at "+until.UTC().Format("15:04:05 UTC")+".") || !strings.HasPrefix(detail, "Sentinel") {
			t.Errorf("TASKS says %q", detail)
		}
		time.Sleep(time.Until(until) + 10*time.Second)
		if detail := w.p.Tasks()[3].Detail; detail != "" {
			t.Errorf("after the wait TASKS says %q", detail)
		}
		w.awaitIdle(job.Full)
		time.Sleep(time.Minute)
		done, err := w.store.Activity(t.Context(), time.Now(), time.Now())
		w.must(err)
		if len(done.Waits) != 1 || done.Waits[0].Waited.Round(time.Minute) != 50*time.Minute {
			t.Errorf("it waited %v", done.Waits)
		}
	})
}

// The answers about a job's objects are counted as they come, those of other jobs are not.
func TestAnswersAreCountedAsTheyCome(t *testing.T) {
	of := func(jobs ...int64) (rows []*store.Outgoing) {
		for _, j := range jobs {
			rows = append(rows, &store.Outgoing{Job: j})
		}
		return rows
	}
	s := store.Settlement{Accepted: of(1, 2, 1)}
	for _, row := range of(1, 1, 2, 2, 2) {
		s.Rejected = append(s.Rejected, store.RejectedObject{Outgoing: row})
	}
	if n := rowsOf(s, 1); n != 4 {
		t.Errorf("%d rows are the job's", n)
	}
	in(t, func(t *testing.T) {
		w := newWorld(t)
		w.fill(900)
		w.slowUploads(3)
		w.saveOnly(job.Full, query("", "Alpha"))
		time.Sleep(5 * time.Second)
		if p := w.p.Progress(); p.Uploaded != 800 || p.Queued != 900 || p.Rate == 0 {
			t.Errorf("%+v", p)
		}
	})
}
