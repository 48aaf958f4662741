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

	"mssentinel/app/mapping"
	"mssentinel/app/sentinel"
	"mssentinel/app/store"
	"mssentinel/plugins/mapper"
)

// fakeStore answers with functions; one that is missing must not be called.
type fakeStore struct {
	Store
	schedule func() (store.Schedule, error)
	addJob   func(store.JobType, store.Mode, time.Time) (store.Job, error)
	clean    func(context.Context) error
}

func (f fakeStore) Schedule(context.Context) (store.Schedule, error) { return f.schedule() }
func (f fakeStore) Clean(ctx context.Context, _ time.Time) error     { return f.clean(ctx) }
func (f fakeStore) AddJob(_ context.Context, kind store.JobType, mode store.Mode, now time.Time) (store.Job, error) {
	return f.addJob(kind, mode, now)
}
func (fakeStore) AddWait(context.Context, time.Time, time.Duration) error { return nil }
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
		want  store.Mode
	}{
		{"the first is full", store.Schedule{}, week, store.Full},
		{"the first is full, whatever was saved", store.Schedule{NextMode: store.Delta}, week, store.Full},
		{"delta", store.Schedule{Completed: true, LastFullRead: now.Add(-week + time.Second)}, week, store.Delta},
		{"reconcile after a week", store.Schedule{Completed: true, LastFullRead: now.Add(-week)}, week, store.Reconcile},
		{"reconcile after a clock was put back", store.Schedule{Completed: true, LastFullRead: now.Add(time.Hour)}, week, store.Reconcile},
		{"never a reconcile", store.Schedule{Completed: true}, 0, store.Delta},
		{"as saved: full", store.Schedule{Completed: true, LastFullRead: now, NextMode: store.Full}, week, store.Full},
		{"as saved: delta, though a reconcile is due", store.Schedule{Completed: true, NextMode: store.Delta}, week, store.Delta},
	} {
		p := &Pipeline{Options: Options{FullInterval: c.every}}
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
	modes  []store.Mode
}

func (f *plan) set(change func(*store.Schedule)) {
	f.mu.Lock()
	defer f.mu.Unlock()
	change(&f.Schedule)
}

func (f *plan) add(mode store.Mode, now time.Time) {
	f.mu.Lock()
	defer f.mu.Unlock()
	f.queued, f.modes = append(f.queued, now.Sub(f.began)), append(f.modes, mode)
	f.LastScheduled, f.NextMode, f.Completed = now, "", true
	if mode != store.Delta {
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
	p := New(Options{Interval: interval, FullInterval: 7 * 24 * time.Hour, Logger: quiet(), Mappers: noMappers{}, Store: fakeStore{
		schedule: func() (store.Schedule, error) { return f.read(), nil },
		addJob: func(kind store.JobType, mode store.Mode, now time.Time) (store.Job, error) {
			if kind != store.Scheduled {
				t.Errorf("queued a job that is %s", kind)
			}
			f.add(mode, now)
			return store.Job{}, nil
		},
	}})
	ctx, cancel := context.WithCancel(t.Context())
	ended := make(chan struct{})
	go func() { p.schedule(ctx); close(ended) }()
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
		want := []store.Mode{store.Full, store.Delta, store.Delta, store.Delta, store.Delta, store.Delta, store.Delta, store.Reconcile, store.Delta}
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
		f.set(func(s *store.Schedule) { s.NextMode, s.Due = store.Full, time.Now() })
		p.QueriesSaved()
		f.want(t, 1)
		if f.queued[0] != time.Hour || f.modes[0] != store.Full {
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
		f.set(func(s *store.Schedule) { s.NextMode, s.Due = store.Delta, time.Now().AddDate(1, 0, 0) })
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

func TestRetryDelay(t *testing.T) {
	for n, minutes := range []float64{1: 5, 2: 10, 3: 20, 4: 40, 5: 80, 6: 160, 7: 180, 8: 180, 10: 180, 60: 180} {
		if n == 0 || minutes == 0 {
			continue
		}
		for range 100 {
			if got := retryDelay(n).Minutes(); got < 0.9*minutes || got > 1.1*minutes {
				t.Fatalf("failure %d: %v minutes, not %v", n, got, minutes)
			}
		}
	}
}

func TestExplain(t *testing.T) {
	for _, c := range []struct {
		err  error
		want string
	}{
		{errors.New("the disk is gone"), "The disk is gone."},
		{errors.New("Is it?"), "Is it?"},
		{errors.New("über den Wolken"), "Über den Wolken."},
		{&sentinel.ConfigError{Message: "The secret is wrong.", Remedy: "set another"}, "The secret is wrong. Set another."},
	} {
		if got := explain(c.err); got != c.want {
			t.Errorf("%q, want %q", got, c.want)
		}
	}
}
