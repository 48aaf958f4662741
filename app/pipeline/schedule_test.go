package pipeline

import (
	"context"
	"errors"
	"log/slog"
	"slices"
	"sync"
	"testing"
	"testing/synctest"
	"time"

	"mssentinel/app/job"
	"mssentinel/app/mapping"
	"mssentinel/app/sentinel"
	"mssentinel/app/store"
	"mssentinel/plugins/mapper"
)

// fakeStore answers with functions; one that is missing must not be called.
type fakeStore struct {
	taskStores
	schedule func() (store.Schedule, error)
	addJob   func(job.Request, time.Time) (job.Job, error)
	clean    func(context.Context) error
}

func (f fakeStore) Schedule(context.Context) (store.Schedule, error) { return f.schedule() }
func (f fakeStore) Clean(ctx context.Context, _ time.Time) error     { return f.clean(ctx) }
func (f fakeStore) AddJob(_ context.Context, r job.Request, now time.Time) (job.Job, error) {
	return f.addJob(r, now)
}
func (fakeStore) AddWait(context.Context, time.Time, time.Duration) error { return nil }
func (fakeStore) AddTaskRuns(context.Context, []store.TaskRuns) error     { return nil }
func (fakeStore) SetPaused(context.Context, string, bool) error           { return nil }

// noMappers maps nothing.
type noMappers struct{}

func (noMappers) Types() []mapping.Type { return nil }
func (noMappers) StartJob()             {}
func (noMappers) Map(context.Context, string, [][]byte, time.Time) ([]mapper.Answer, error) {
	return nil, errors.New("no mappers here")
}

func quiet() *slog.Logger { return slog.New(slog.DiscardHandler) }

func TestNextMode(t *testing.T) {
	now := time.Date(2026, 5, 1, 12, 0, 0, 0, time.UTC)
	week := 7 * 24 * time.Hour
	for _, c := range []struct {
		name  string
		s     store.Schedule
		every time.Duration
		want  job.Mode
	}{
		{"the first is full", store.Schedule{}, week, job.Full},
		{"the first is full, whatever was saved", store.Schedule{NextMode: job.Delta}, week, job.Full},
		{"delta", store.Schedule{Completed: true, LastFullRead: now.Add(-week + time.Second)}, week, job.Delta},
		{"reconcile after a week", store.Schedule{Completed: true, LastFullRead: now.Add(-week)}, week, job.Reconcile},
		{"reconcile after a clock was put back", store.Schedule{Completed: true, LastFullRead: now.Add(time.Hour)}, week, job.Reconcile},
		{"never a reconcile", store.Schedule{Completed: true}, 0, job.Delta},
		{"as saved: full", store.Schedule{Completed: true, LastFullRead: now, NextMode: job.Full}, week, job.Full},
		{"as saved: delta, though a reconcile is due", store.Schedule{Completed: true, NextMode: job.Delta}, week, job.Delta},
	} {
		p := &scheduler{fullInterval: c.every}
		if got := p.nextMode(c.s, now); got != c.want {
			t.Errorf("%s: %s, want %s", c.name, got, c.want)
		}
	}
}

// plan is a store for the scheduler alone, that remembers what was queued.
type plan struct {
	mu sync.Mutex
	store.Schedule
	began time.Time
	// queued is when, after the start.
	queued []time.Duration
	modes  []job.Mode
}

func (f *plan) set(change func(*store.Schedule)) {
	f.mu.Lock()
	defer f.mu.Unlock()
	change(&f.Schedule)
}

func (f *plan) add(mode job.Mode, now time.Time) {
	f.mu.Lock()
	defer f.mu.Unlock()
	f.queued, f.modes = append(f.queued, now.Sub(f.began)), append(f.modes, mode)
	f.LastScheduled, f.NextMode, f.Completed = now, "", true
	if mode != job.Delta {
		f.LastFullRead = now
	}
}

func (f *plan) read() store.Schedule {
	f.mu.Lock()
	defer f.mu.Unlock()
	return f.Schedule
}

// want fails the test unless this many updates were queued by now.
func (f *plan) want(t *testing.T, n int) {
	t.Helper()
	synctest.Wait()
	f.mu.Lock()
	defer f.mu.Unlock()
	if len(f.queued) != n {
		t.Fatalf("queued after %v, want %d updates", f.queued, n)
	}
}

func scheduling(t *testing.T, s store.Schedule, interval time.Duration) (*Pipeline, *plan) {
	f := &plan{Schedule: s, began: time.Now()}
	p := New(Options{Interval: interval, FullInterval: 7 * 24 * time.Hour, Logger: quiet(), Mappers: noMappers{}})
	p.useStores(fakeStore{
		schedule: func() (store.Schedule, error) { return f.read(), nil },
		addJob: func(r job.Request, now time.Time) (job.Job, error) {
			if r.Type != job.Scheduled {
				t.Errorf("queued a job that is %s", r.Type)
			}
			f.add(r.Mode, now)
			return job.Job{}, nil
		},
	})
	ctx, cancel := context.WithCancel(t.Context())
	ended := make(chan struct{})
	go func() { p.scheduler.scheduleUpdates(ctx); close(ended) }()
	t.Cleanup(func() { cancel(); <-ended })
	return p, f
}

func TestScheduleByInterval(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		_, f := scheduling(t, store.Schedule{HasWork: true}, 24*time.Hour)
		time.Sleep(8*24*time.Hour + time.Minute)
		f.want(t, 9)
		f.mu.Lock()
		defer f.mu.Unlock()
		for i, at := range f.queued {
			if due := time.Duration(i) * 24 * time.Hour; at < due || at > due+time.Minute {
				t.Errorf("update %d after %v, not %v", i, at, due)
			}
		}
		want := []job.Mode{job.Full, job.Delta, job.Delta, job.Delta, job.Delta, job.Delta, job.Delta, job.Reconcile, job.Delta}
		if !slices.Equal(f.modes, want) {
			t.Errorf("modes %v, want %v", f.modes, want)
		}
	})
}

func TestNothingIsScheduledWithoutQueriesOrOverAnOpenOne(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		p, f := scheduling(t, store.Schedule{}, time.Hour)
		time.Sleep(5 * time.Hour)
		f.set(func(s *store.Schedule) { s.HasWork, s.Open = true, true })
		p.QueriesSaved()
		time.Sleep(5 * time.Hour)
		f.want(t, 0)
		f.set(func(s *store.Schedule) { s.Open = false })
		time.Sleep(scheduleEvery)
		f.want(t, 1)
	})
}

// upToDate is the schedule of a Service that has just read everything.
func upToDate() store.Schedule {
	return store.Schedule{HasWork: true, Completed: true, LastScheduled: time.Now(), LastFullRead: time.Now()}
}

func TestSavedQueriesAreDueAtOnce(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		p, f := scheduling(t, upToDate(), 24*time.Hour)
		time.Sleep(time.Hour)
		f.set(func(s *store.Schedule) { s.NextMode, s.Due = job.Full, time.Now() })
		p.QueriesSaved()
		f.want(t, 1)
		if f.queued[0] != time.Hour || f.modes[0] != job.Full {
			t.Errorf("queued after %v, %v", f.queued, f.modes)
		}
	})
}

func TestAClockThatWasPutBackDoesNotStopTheSchedule(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		s := upToDate()
		s.LastScheduled = time.Now().AddDate(1, 0, 0)
		_, f := scheduling(t, s, 24*time.Hour)
		f.want(t, 1)
		f.set(func(s *store.Schedule) { s.NextMode, s.Due = job.Delta, time.Now().AddDate(1, 0, 0) })
		time.Sleep(scheduleEvery)
		f.want(t, 2)
	})
}

func TestRunNowQueuesAnUpdate(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		p, f := scheduling(t, upToDate(), 24*time.Hour)
		time.Sleep(time.Minute)
		if err := p.RunTask(t.Context(), "schedule-downloads"); err != nil {
			t.Fatal(err)
		}
		f.want(t, 1)
		if next := p.Tasks()[0].NextRun; !next.Equal(time.Now().Add(24 * time.Hour)) {
			t.Errorf("next run at %v", next)
		}
	})
}

func TestDescribeFailure(t *testing.T) {
	for _, c := range []struct {
		err  error
		want string
	}{
		{errors.New("the disk is gone"), "The disk is gone."},
		{errors.New("Is it?"), "Is it?"},
		{errors.New("über den Wolken"), "Über den Wolken."},
		{&sentinel.ConfigError{Message: "The secret is wrong.", Remedy: "set another"}, "The secret is wrong. Set another."},
	} {
		if got := describeFailure(c.err); got != c.want {
			t.Errorf("%q, want %q", got, c.want)
		}
	}
}
