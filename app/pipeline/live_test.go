package pipeline

import (
	"context"
	"errors"
	"log/slog"
	"slices"
	"strings"
	"sync"
	"testing"
	"testing/synctest"
	"time"

	"github.com/mattn/go-sqlite3"

	"mssentinel/app/job"
)

// slowCount takes a while for each count, and fails as it is told.
type slowCount struct {
	start time.Time

	mu    sync.Mutex
	began []time.Duration
	fault error
}

func (s *slowCount) KeepLiveTotals(ctx context.Context, _ time.Time) error {
	s.mu.Lock()
	s.began = append(s.began, time.Since(s.start))
	s.mu.Unlock()
	select {
	case <-time.After(3 * time.Second):
	case <-ctx.Done():
		return ctx.Err()
	}
	s.mu.Lock()
	defer s.mu.Unlock()
	return s.fault
}

func (s *slowCount) fail(err error) {
	s.mu.Lock()
	defer s.mu.Unlock()
	s.fault = err
}

func (s *slowCount) counts() []time.Duration {
	s.mu.Lock()
	defer s.mu.Unlock()
	return slices.Clone(s.began)
}

// It is counted at start, when it is woken, and now and then; and never for more than a small part of the time.
func TestLiveObjectsAreCountedSeldom(t *testing.T) {
	in(t, func(t *testing.T) {
		var log logBuffer
		counts := &slowCount{start: time.Now()}
		c := &liveCounter{store: counts, woken: make(chan struct{}, 1), log: slog.New(slog.NewTextHandler(&log, nil))}
		ctx, cancel := context.WithCancel(t.Context())
		ended := make(chan struct{})
		go func() { c.countObjects(ctx); close(ended) }()
		want := func(times ...time.Duration) {
			t.Helper()
			synctest.Wait()
			if got := counts.counts(); !slices.Equal(got, times) {
				t.Errorf("counted at %v, want %v", got, times)
			}
		}
		want(0)
		for range 10 { // jobs end one after the other
			time.Sleep(5 * time.Second)
			c.wake()
		}
		want(0)
		time.Sleep(13 * time.Second)
		want(0, 63*time.Second)
		time.Sleep(countEvery + 2*time.Second)
		want(0, 63*time.Second)
		counts.fail(errors.New("no such table"))
		time.Sleep(time.Second)
		want(0, 63*time.Second, countEvery+66*time.Second)
		time.Sleep(5 * time.Second)
		if !strings.Contains(log.String(), "no such table") {
			t.Errorf("the fault is not in the log: %s", log.String())
		}
		counts.fail(sqlite3.Error{Code: sqlite3.ErrFull}) // which the disk is named for
		time.Sleep(countEvery)
		cancel()
		<-ended
		if strings.Count(log.String(), "\n") != 1 {
			t.Errorf("said more than once: %s", log.String())
		}
	})
}

func TestLiveObjectsAreCountedAfterAnUpdate(t *testing.T) {
	in(t, func(t *testing.T) {
		w := newWorld(t, func(w *world) { w.options.TTL["Host"] = time.Hour })
		w.put("Alpha", "a.example")
		w.put("Beta", "b.example")
		j := w.done(w.save(job.Delta, query("", "Alpha", "Beta")))
		synctest.Wait()
		total, asOf, err := w.store.LiveObjects(t.Context())
		if w.must(err); total != 2 || asOf.Before(j.DateCompleted.Truncate(time.Millisecond)) {
			t.Errorf("%d live objects at %s, want 2 at %s", total, asOf, j.DateCompleted)
		}
		time.Sleep(time.Hour + countEvery)
		synctest.Wait()
		if total, _, err = w.store.LiveObjects(t.Context()); err != nil || total != 0 {
			t.Errorf("%d live objects after their time to live: %v", total, err)
		}
	})
}
