package pipeline

import (
	"bytes"
	"context"
	"fmt"
	"strings"
	"sync"
	"sync/atomic"
	"testing"
	"testing/synctest"
	"time"

	"mssentinel/app/job"
	"mssentinel/app/standin/sentinelserver"
	"mssentinel/app/standin/tcserver"
	"mssentinel/app/store"
	"mssentinel/app/threatconnect"
)

// What TASKS says before a task is killed is what happens: each sentence has its proof.
func TestKillDoesWhatItSays(t *testing.T) {
	proofs := map[string]struct {
		says  []string
		prove func(t *testing.T)
	}{
		"schedule-downloads": {[]string{"queued at its next run, within 30 seconds"}, proveKilledScheduler},
		"download":           {[]string{"a scheduled one is tried again later", "one that was asked for stays Failed until you retry it", "What was converted by then is still uploaded."}, proveKilledUpdate("download")},
		"convert":            {[]string{"a scheduled one is tried again later", "one that was asked for stays Failed until you retry it", "What was converted by then is still uploaded."}, proveKilledUpdate("convert")},
		"upload":             {[]string{"a scheduled one is tried again later", "one that was asked for stays Failed until you retry it", "sent with the next update, or by itself 5 minutes later"}, proveKilledUpdate("upload")},
		"cleaner":            {[]string{"cleaned at its next run, 2 hours later"}, proveKilledCleaner},
		"notifications":      {[]string{"sent again an hour later at the earliest"}, proveKilledNotifier},
		"verify":             {[]string{"ends as cancelled", "does not begin again by itself"}, proveKilledVerify},
		"doctor":             {[]string{"ends with what was asked so far", "does not begin again by itself"}, TestDoctorRunsOnCommand},
	}
	p := New(Options{Mappers: noMappers{}, Logger: quiet(), Notifier: nobody{}, Examine: func(context.Context, func(string)) error { return nil }})
	for _, task := range p.Tasks() {
		proof, found := proofs[task.Slug]
		if !found {
			t.Errorf("nothing proves what the kill of %s does", task.Slug)
			continue
		}
		for _, part := range proof.says {
			if !strings.Contains(task.KillEffect, part) {
				t.Errorf("%s: %q does not say %q", task.Slug, task.KillEffect, part)
			}
		}
		t.Run(task.Slug, proof.prove)
	}
}

// nobody takes notifications.
type nobody struct{}

func (nobody) Notify(context.Context, threatconnect.Notification) error { return nil }

// killInHand kills a task as soon as it has an update in hand that has been converted in part.
func killInHand(w *world, slug string) {
	kill := func() { w.must(w.p.KillTask(context.Background(), slug)) }
	switch slug {
	case "download":
		var pages atomic.Int64
		w.tc.BetweenPages(func(int) {
			if pages.Add(1) == 2 {
				time.Sleep(2 * time.Second) // the page before is converted
				kill()
			}
		})
	case "convert":
		var second sync.Once // of the chunks
		w.mappers.before = func(ctx context.Context, _ string, raws [][]byte) error {
			if bytes.Contains(raws[0], fmt.Appendf(nil, `"h%d.example"`, chunkSize)) {
				second.Do(func() {
					time.Sleep(2 * time.Second) // the chunk before is applied
					kill()
				})
			}
			return ctx.Err()
		}
	case "upload":
		w.must(w.far.Inject(sentinelserver.Fault{Kind: sentinelserver.Slow, Seconds: 5, Count: -1}))
		time.AfterFunc(8*time.Second, func() {
			w.far.ClearFaults()
			kill()
		})
	}
}

// killable is how many objects an update has that is killed in the middle: three pages of ThreatConnect.
const killable = 2500

func proveKilledUpdate(slug string) func(t *testing.T) {
	return func(t *testing.T) {
		in(t, func(t *testing.T) {
			w := newWorld(t)
			w.fill(killable)
			killInHand(w, slug)
			w.saveOnly(job.Full, query("", "Alpha"))
			time.Sleep(time.Second) // it is killed later
			id := w.p.Progress().RequestID
			killed := w.await(id)
			if killed.Status != job.Pending || killed.RetryAfter == nil || !strings.Contains(killed.Message, "killed on TASKS") {
				t.Fatalf("a scheduled update is %s: %s", killed.Status, killed.Message)
			}
			w.must(w.p.PauseTask(t.Context(), "download", true))
			time.Sleep(uploadRetry + 20*time.Second)
			synctest.Wait()
			if sent := int64(w.far.Stats().Accepted); killed.Queued == 0 || (killed.Queued == killable) != (slug == "upload") || sent < killed.Queued {
				t.Errorf("%d objects were converted, and %d sent", killed.Queued, sent)
			}
			w.must(w.p.PauseTask(t.Context(), "download", false))
			w.done(w.awaitJob(id, func(j job.Job) bool { return j.Status == job.UploadComplete }))

			w.tc.BetweenPages(func(int) {})
			w.mappers.before = nil
			killInHand(w, slug)
			asked, err := w.p.Submit(t.Context(), job.Request{Mode: job.Full})
			w.must(err)
			w.awaitJob(asked.RequestID, func(j job.Job) bool { return j.Status == job.Failed })
			time.Sleep(time.Hour)
			if j, err := w.store.Job(t.Context(), asked.RequestID); err != nil || j.Status != job.Failed {
				t.Errorf("one that was asked for is %s, %v", j.Status, err)
			}
			w.far.ClearFaults()
			w.tc.BetweenPages(func(int) {})
			w.must(w.p.Retry(t.Context(), asked.RequestID))
			w.done(w.awaitJob(asked.RequestID, func(j job.Job) bool { return j.Status == job.UploadComplete }))
			w.check(true)
		})
	}
}

func proveKilledScheduler(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		var queued atomic.Int64
		begun := make(chan struct{}, 9)
		p := New(Options{Mappers: noMappers{}, Logger: quiet(), Interval: time.Hour})
		p.useStores(&hangingSchedule{fakeStore: fakeStore{addJob: func(job.Request, time.Time) (job.Job, error) {
			queued.Add(1)
			return job.Job{}, nil
		}}, begun: begun})
		ctx, cancel := context.WithCancel(t.Context())
		ended := make(chan struct{})
		go func() { p.scheduler.scheduleUpdates(ctx); close(ended) }()
		defer func() { cancel(); <-ended }()
		<-begun
		if err := p.KillTask(ctx, "schedule-downloads"); err != nil {
			t.Fatal(err)
		}
		synctest.Wait()
		if queued.Load() != 0 || p.scheduler.snapshot().Status != "Idle" {
			t.Fatalf("%d updates queued, %s", queued.Load(), p.scheduler.snapshot().Status)
		}
		time.Sleep(30 * time.Second)
		synctest.Wait()
		if queued.Load() != 1 {
			t.Errorf("%d updates queued 30 seconds later", queued.Load())
		}
	})
}

// hangingSchedule does not answer the first time.
type hangingSchedule struct {
	fakeStore
	begun chan struct{}
	first sync.Once
}

func (h *hangingSchedule) Schedule(ctx context.Context) (store.Schedule, error) {
	h.first.Do(func() {
		h.begun <- struct{}{}
		<-ctx.Done()
	})
	return store.Schedule{HasWork: true}, ctx.Err()
}

func proveKilledCleaner(t *testing.T) {
	TestKillEndsTheWork(t)
	if cleanEvery != 2*time.Hour {
		t.Errorf("the next run is %s later", cleanEvery)
	}
}

func proveKilledNotifier(t *testing.T) {
	in(t, func(t *testing.T) {
		w := notifyingWorld(t)
		w.must(w.p.PauseTask(t.Context(), "schedule-downloads", true))
		w.breakSecret()
		w.must(w.tc.Inject(tcserver.Fault{Kind: tcserver.Hang, Path: "/api/v2/notifications"}))
		w.runJob(job.Delta)
		time.Sleep(70 * time.Second)
		w.must(w.p.KillTask(t.Context(), "notifications"))
		time.Sleep(50 * time.Minute)
		w.told(0)
		if d := w.notifications(); time.Since(d.LastRun) > time.Minute {
			t.Errorf("no run since %s", d.LastRun)
		}
		time.Sleep(20 * time.Minute)
		w.told(1)
	})
}

func proveKilledVerify(t *testing.T) {
	in(t, func(t *testing.T) {
		w := newWorld(t)
		w.fill(10)
		w.done(w.save(job.Full, query("", "Alpha")))
		time.Sleep(time.Hour)
		w.must(w.far.Inject(sentinelserver.Fault{Kind: sentinelserver.QuerySlow, Seconds: 20, Count: -1}))
		w.must(w.p.RunTask(t.Context(), "verify"))
		time.Sleep(time.Second)
		w.must(w.p.KillTask(t.Context(), "verify"))
		if v := w.awaitVerification(); v.State != store.VerificationCancelled {
			t.Errorf("%s: %s", v.State, v.Message)
		}
		w.far.ClearFaults()
		time.Sleep(time.Hour)
		if v := w.verification(); v.Running || v.State != store.VerificationCancelled {
			t.Errorf("later: %s", v.State)
		}
	})
}
