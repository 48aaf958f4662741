package pipeline

import (
	"context"
	"log/slog"
	"time"

	"mssentinel/app/store"
)

const (
	// countEvery is how old the count of live objects gets while nothing wakes the counter: their times to live end without
	// an update.
	countEvery = 10 * time.Minute
	// countShare bounds what counting takes of a processor: after a count it rests so many times as long as that took.
	countShare = 20
)

// liveCounter counts what stands in Sentinel, for the screens: at start, when an attempt at a job has ended, and now and then.
// No update depends on it, so that it is no task.
type liveCounter struct {
	store interface {
		KeepLiveTotals(ctx context.Context, now time.Time) error
	}
	// woken holds a token when an attempt has ended.
	woken chan struct{}
	log   *slog.Logger
}

func (c *liveCounter) wake() { leaveToken(c.woken) }

// countObjects works until ctx ends.
func (c *liveCounter) countObjects(ctx context.Context) {
	for ctx.Err() == nil {
		began := time.Now()
		err := c.store.KeepLiveTotals(ctx, began.UTC())
		if err != nil && ctx.Err() == nil && !store.Unavailable(err) { // which every screen says
			c.log.Warn("the live objects could not be counted", "error", err)
		}
		rest := time.After(countShare * time.Since(began))
		next := time.After(countEvery)
		select {
		case <-ctx.Done():
			return
		case <-rest:
		}
		select {
		case <-ctx.Done():
		case <-c.woken:
		case <-next:
		}
	}
}
