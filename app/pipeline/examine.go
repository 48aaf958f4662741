package pipeline

import (
	"context"
	"log/slog"
	"sync/atomic"
	"time"
)

// examiner is the task Doctor: it asks how the outside world behaves, when somebody tells it to and never by itself.
type examiner struct {
	*task
	examine func(ctx context.Context, report func(doing string)) error
	log     *slog.Logger
	// commanded is true from a command until it was carried out.
	commanded atomic.Bool
}

// awaitCommands works until ctx ends.
func (e *examiner) awaitCommands(ctx context.Context) {
	for {
		select {
		case <-ctx.Done():
			return
		case <-e.woken:
		}
		workOnce(ctx, e.task, e.log, func(ctx context.Context) (time.Time, error) {
			return time.Time{}, e.examine(ctx, e.reportProgress)
		})
		e.commanded.Store(false)
	}
}

// reportProgress says what is being asked, which is a sign of life as well.
func (e *examiner) reportProgress(doing string) {
	e.setDetail("%s", doing)
	e.noteActivity()
}
