package pipeline

import (
	"context"
	"log/slog"
	"time"
)

const (
	cleanEvery = 2 * time.Hour
	// cleanFirst lets a Service that starts get to its jobs first.
	cleanFirst = 5 * time.Minute
)

// cleaner is the task Cleaner: it deletes what is too old to be of use.
type cleaner struct {
	*task
	store interface {
		Clean(ctx context.Context, now time.Time) error
	}
	disk *disk
	log  *slog.Logger
}

// cleanStore works until ctx ends.
func (c *cleaner) cleanStore(ctx context.Context) {
	repeatWork(ctx, c.task, c.log, cleanFirst, cleanEvery, func(ctx context.Context) (time.Time, error) {
		err := c.disk.retryWrite(ctx, func(ctx context.Context) error { return c.store.Clean(ctx, time.Now().UTC()) })
		return time.Now().Add(cleanEvery), err
	})
}
