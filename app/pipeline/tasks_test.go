package pipeline

import (
	"context"
	"errors"
	"slices"
	"strings"
	"sync"
	"sync/atomic"
	"testing"
	"testing/synctest"
	"time"

	"mssentinel/app/job"
	"mssentinel/app/store"
)

func TestTasks(t *testing.T) {
	p := New(Options{Mappers: noMappers{}, Logger: quiet()})
	want := []string{"schedule-downloads", "download", "convert", "upload", "cleaner", "verify"}
	for i, task := range p.Tasks() {
		if task.Slug != want[i] || task.Name == "" || task.Description == "" || task.Schedule == "" || task.HeartbeatTimeout == 0 {
			t.Errorf("task %d: %+v", i, task)
		}
		if task.Status != "Idle" {
			t.Errorf("%s is %s", task.Slug, task.Status)
		}
	}
	for name, err := range map[string]error{
		"run": p.RunTask(t.Context(), "nonsense"), "pause": p.PauseTask(t.Context(), "nonsense", true), "kill": p.KillTask(t.Context(), "nonsense"),
	} {
		if !errors.Is(err, store.ErrNotFound) {
			t.Errorf("%s of an unknown task: %v", name, err)
		}
	}
}

// The Doctor starts on command alone, says what it asks, is not paused, and can be killed and started again.
func TestDoctorRunsOnCommand(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		ended := make(chan error, 9)
		p := New(Options{Mappers: noMappers{}, Logger: quiet(), Examine: func(ctx context.Context, report func(string)) error {
			report("asking about AZURE 100 %s")
			select {
			case <-ctx.Done():
			case <-time.After(time.Hour):
			}
			ended <- context.Cause(ctx)
			return context.Cause(ctx)
		}})
		p.useStores(fakeStore{})
		find := func() Task {
			synctest.Wait()
			tasks := p.Tasks()
			return tasks[len(tasks)-1]
		}
		ctx, cancel := context.WithCancel(t.Context())
		stopped := make(chan struct{})
		go func() { p.examiner.awaitCommands(ctx); close(stopped) }()
		defer func() { cancel(); <-stopped }()

		time.Sleep(100 * time.Hour)
		if d := find(); d.Slug != "doctor" || d.Name != "Doctor" || d.Schedule != "Run only" || d.Status != "Idle" || !d.RunOnly || !d.LastRun.IsZero() {
			t.Errorf("before the command: %+v", d)
		}
		if err := p.PauseTask(ctx, "doctor", true); !errors.Is(err, ErrRunOnly) || find().Paused {
			t.Errorf("pausing: %v", err)
		}
		for range 2 {
			if err := p.RunTask(ctx, "doctor"); err != nil {
				t.Fatal(err)
			}
			if err := p.RunTask(ctx, "doctor"); !errors.Is(err, ErrAtWork) {
				t.Errorf("a second command before the first is carried out: %v", err)
			}
			time.Sleep(time.Minute)
			if d := find(); d.Status != "Running" || d.Detail != "asking about AZURE 100 %s" || time.Since(d.LastHeartbeat) != time.Minute {
				t.Errorf("at work: %+v", d)
			}
			if err := p.RunTask(ctx, "doctor"); !errors.Is(err, ErrAtWork) {
				t.Errorf("a second command at work: %v", err)
			}
			if err := p.KillTask(ctx, "doctor"); err != nil {
				t.Fatal(err)
			}
			if cause := <-ended; !errors.Is(cause, errKilled) || find().Status != "Idle" {
				t.Errorf("killed: %v, %+v", cause, find())
			}
		}
		time.Sleep(100 * time.Hour)
		synctest.Wait()
		if len(ended) != 0 {
			t.Error("it ran by itself")
		}
	})
}

// Run works at the Doctor as at any other task.
func TestRunWorksAtTheDoctor(t *testing.T) {
	in(t, func(t *testing.T) {
		var asked atomic.Int64
		w := newWorld(t, func(w *world) {
			w.options.Examine = func(context.Context, func(string)) error {
				asked.Add(1)
				return nil
			}
		})
		for n := range 2 {
			w.must(w.p.RunTask(t.Context(), "doctor"))
			time.Sleep(time.Second)
			if got := asked.Load(); got != int64(n)+1 {
				t.Errorf("after %d commands it asked %d times", n+1, got)
			}
		}
	})
}

func TestPausedTaskWaitsAndIsNotRun(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		p := New(Options{Mappers: noMappers{}, Logger: quiet()})
		p.useStores(fakeStore{})
		for _, paused := range []bool{false, true, true} { // what it is already changes nothing
			if err := p.PauseTask(t.Context(), "convert", paused); err != nil {
				t.Fatal(err)
			}
			if !paused && p.converter.awaitResume(t.Context()) != nil {
				t.Error("it waits though it is not paused")
			}
		}
		if err := p.RunTask(t.Context(), "convert"); !errors.Is(err, job.ErrState) {
			t.Errorf("running a paused task: %v", err)
		}
		passed := make(chan error, 1)
		go func() { passed <- p.converter.awaitResume(t.Context()) }()
		time.Sleep(100 * time.Hour)
		select {
		case <-passed:
			t.Error("a paused task went on")
		default:
		}
		if status := p.converter.snapshot().Status; status != "Paused" {
			t.Error(status)
		}
		if err := p.PauseTask(t.Context(), "convert", false); err != nil {
			t.Fatal(err)
		}
		if err := <-passed; err != nil {
			t.Error(err)
		}
		ctx, cancel := context.WithCancelCause(t.Context())
		p.converter.setPaused(true)
		cancel(errKilled)
		if err := p.converter.awaitResume(ctx); !errors.Is(err, errKilled) {
			t.Errorf("work that was ended while its task is paused: %v", err)
		}
	})
}

// A task is at work until all of its pieces have ended, each of which ends once.
func TestPiecesOfWork(t *testing.T) {
	task := newTask(aboutConverter)
	status := func(want string) {
		t.Helper()
		if got := task.snapshot().Status; got != want {
			t.Errorf("%s, not %s", got, want)
		}
	}
	var ended []string
	cancel := func(name string) context.CancelCauseFunc { return func(error) { ended = append(ended, name) } }
	endFirst, endSecond := task.beginWork(cancel("first")), task.beginWork(cancel("second"))
	endFirst()
	endFirst()
	status("Running")
	task.cancelWork(errKilled)
	endSecond()
	status("Idle")
	task.cancelWork(errKilled)
	if !slices.Equal(ended, []string{"second"}) {
		t.Errorf("cancelled: %v", ended)
	}
}

// The watchdog ends work that gives no sign of life, and leaves alone what waits for something.
func TestWatchdog(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		p := New(Options{Mappers: noMappers{}, Logger: quiet()})
		p.useStores(fakeStore{})
		ctx, cancel := context.WithCancel(t.Context())
		ended := make(chan struct{})
		go func() { p.watchdog.watchTasks(ctx); close(ended) }()
		defer func() { cancel(); <-ended }()

		work, kill := context.WithCancelCause(t.Context())
		kills := 0
		p.downloader.beginWork(func(cause error) {
			kills++
			kill(cause)
		})
		for range 100 {
			time.Sleep(10 * time.Minute)
			p.downloader.noteActivity()
		}
		endWait := p.downloader.beginWait()
		time.Sleep(100 * time.Hour)
		endWait()
		p.downloader.excuseSilence(time.Now().Add(5 * time.Hour))
		time.Sleep(5*time.Hour + 19*time.Minute)
		p.downloader.setPaused(true)
		time.Sleep(time.Hour)
		p.downloader.setPaused(false)
		time.Sleep(10 * time.Minute)
		if work.Err() != nil {
			t.Fatalf("ended too early: %v", context.Cause(work))
		}
		endWait = p.downloader.beginWait()
		time.Sleep(time.Hour)
		endWait()
		time.Sleep(10 * time.Minute)
		p.disk.beginWait(errors.New("disk full"))
		time.Sleep(time.Hour)
		p.disk.endWait()
		if work.Err() != nil {
			t.Fatalf("ended while the disk was full: %v", context.Cause(work))
		}
		time.Sleep(21 * time.Minute)
		synctest.Wait()
		if cause := context.Cause(work); cause == nil || !strings.Contains(cause.Error(), "20 minutes") {
			t.Errorf("cause %v", cause)
		}
		time.Sleep(15 * time.Minute) // to end
		if kills != 1 {
			t.Errorf("it was ended %d times", kills)
		}
	})
}

func TestKillEndsTheWork(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		begun := make(chan error, 9)
		p := New(Options{Mappers: noMappers{}, Logger: quiet()})
		p.useStores(fakeStore{clean: func(ctx context.Context) error {
			begun <- nil
			<-ctx.Done()
			begun <- context.Cause(ctx)
			return ctx.Err()
		}})
		ctx, cancel := context.WithCancel(t.Context())
		ended := make(chan struct{})
		go func() { p.cleaner.cleanStore(ctx); close(ended) }()
		defer func() { cancel(); <-ended }()
		synctest.Wait()
		if next := p.cleaner.snapshot().NextRun; !next.Equal(time.Now().Add(cleanFirst)) {
			t.Errorf("it is to run first at %v", next)
		}
		if err := p.RunTask(t.Context(), "cleaner"); err != nil {
			t.Fatal(err)
		}
		<-begun
		if status := p.cleaner.snapshot().Status; status != "Running" {
			t.Error(status)
		}
		if err := p.KillTask(t.Context(), "cleaner"); err != nil {
			t.Fatal(err)
		}
		if cause := <-begun; !errors.Is(cause, errKilled) {
			t.Errorf("cause %v", cause)
		}
		synctest.Wait()
		if status := p.cleaner.snapshot().Status; status != "Idle" {
			t.Error(status)
		}
		// Killing what is idle changes nothing; it runs again by itself.
		if err := p.KillTask(t.Context(), "cleaner"); err != nil {
			t.Fatal(err)
		}
		time.Sleep(cleanEvery)
		synctest.Wait()
		if len(begun) != 1 {
			t.Error("the cleaner did not run again")
		}
	})
}

// A job whose task is paused in the middle of it waits for as long as that takes, and no neighbour is blamed.
func TestPauseInTheMiddle(t *testing.T) {
	for _, slug := range []string{"download", "convert", "upload"} {
		t.Run(slug, func(t *testing.T) {
			in(t, func(t *testing.T) {
				w := newWorld(t, func(w *world) { w.limit = 4 })
				w.fill(6000)
				pause := sync.OnceFunc(func() { w.must(w.p.PauseTask(t.Context(), slug, true)) })
				w.tc.BetweenPages(func(pages int) {
					if pages == 2 {
						pause()
					}
				})
				w.saveOnly(job.Full, query("", "Alpha"))
				time.Sleep(8 * time.Hour)
				p := w.p.Progress()
				if p.Downloaded == 6000 && slug != "upload" || p.RequestID == "" {
					t.Fatalf("%+v\n%s", p, w.log.String())
				}
				w.must(w.p.PauseTask(t.Context(), slug, false))
				j := w.done(w.await(p.RequestID))
				if j.FailureCount != 0 {
					t.Errorf("%d failures", j.FailureCount)
				}
				w.sentOnce()
				w.check(true)
			})
		})
	}
}
