package pipeline

import (
	"context"
	"errors"
	"log/slog"
	"slices"
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

// scheduling runs the scheduler alone, over a store that remembers what was queued.
func scheduling(t *testing.T, s *store.Schedule, interval time.Duration) (p *Pipeline, queued *[]time.Duration, modes *[]store.Mode) {
	start := time.Now()
	queued, modes = new([]time.Duration), new([]store.Mode)
	p = New(Options{Interval: interval, FullInterval: 7 * 24 * time.Hour, Logger: quiet(), Mappers: noMappers{}, Store: fakeStore{
		schedule: func() (store.Schedule, error) { return *s, nil },
		addJob: func(kind store.JobType, mode store.Mode, now time.Time) (store.Job, error) {
			if kind != store.Scheduled {
				t.Errorf("queued a job that is %s", kind)
			}
			*queued, *modes = append(*queued, now.Sub(start)), append(*modes, mode)
			s.LastScheduled, s.NextMode, s.Completed = now, "", true
			if mode != store.Delta {
				s.LastFullRead = now
			}
			return store.Job{}, nil
		},
	}})
	ctx, cancel := context.WithCancel(t.Context())
	ended := make(chan struct{})
	go func() { p.schedule(ctx); close(ended) }()
	t.Cleanup(func() { cancel(); <-ended })
	return p, queued, modes
}

func TestScheduleByInterval(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		_, queued, modes := scheduling(t, &store.Schedule{HasQueries: true}, 24*time.Hour)
		time.Sleep(8*24*time.Hour + time.Minute)
		if len(*queued) != 9 {
			t.Fatalf("queued %v", *queued)
		}
		for i, at := range *queued {
			if due := time.Duration(i) * 24 * time.Hour; at < due || at > due+time.Minute {
				t.Errorf("update %d after %v, not %v", i, at, due)
			}
		}
		want := []store.Mode{store.Full, store.Delta, store.Delta, store.Delta, store.Delta, store.Delta, store.Delta, store.Reconcile, store.Delta}
		if !slices.Equal(*modes, want) {
			t.Errorf("modes %v, want %v", *modes, want)
		}
	})
}

func TestNothingIsScheduledWithoutQueriesOrOverAnOpenOne(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		s := &store.Schedule{}
		p, queued, _ := scheduling(t, s, time.Hour)
		time.Sleep(5 * time.Hour)
		s.HasQueries, s.Open = true, true
		p.QueriesSaved()
		time.Sleep(5 * time.Hour)
		if len(*queued) != 0 {
			t.Fatalf("queued %v", *queued)
		}
		s.Open = false
		time.Sleep(scheduleEvery)
		synctest.Wait()
		if len(*queued) != 1 {
			t.Errorf("queued %v", *queued)
		}
	})
}

func TestSavedQueriesAreDueAtOnce(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		s := &store.Schedule{HasQueries: true, Completed: true, LastScheduled: time.Now(), LastFullRead: time.Now()}
		p, queued, modes := scheduling(t, s, 24*time.Hour)
		time.Sleep(time.Hour)
		s.NextMode, s.Due = store.Full, time.Now()
		p.QueriesSaved()
		synctest.Wait()
		if len(*queued) != 1 || (*queued)[0] != time.Hour || (*modes)[0] != store.Full {
			t.Errorf("queued %v, %v", *queued, *modes)
		}
	})
}

func TestAClockThatWasPutBackDoesNotStopTheSchedule(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		s := &store.Schedule{HasQueries: true, Completed: true, LastScheduled: time.Now().AddDate(1, 0, 0), LastFullRead: time.Now()}
		_, queued, _ := scheduling(t, s, 24*time.Hour)
		synctest.Wait()
		if len(*queued) != 1 {
			t.Errorf("queued %v", *queued)
		}
	})
}

func TestRunNowQueuesAnUpdate(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		s := &store.Schedule{HasQueries: true, Completed: true, LastScheduled: time.Now(), LastFullRead: time.Now()}
		p, queued, _ := scheduling(t, s, 24*time.Hour)
		time.Sleep(time.Minute)
		if err := p.RunTask(t.Context(), "schedule-downloads"); err != nil {
			t.Fatal(err)
		}
		synctest.Wait()
		if len(*queued) != 1 {
			t.Errorf("queued %v", *queued)
		}
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
		{&sentinel.ConfigError{Message: "The secret is wrong.", Remedy: "set another"}, "The secret is wrong. Set another."},
	} {
		if got := explain(c.err); got != c.want {
			t.Errorf("%q, want %q", got, c.want)
		}
	}
}
