package pipeline

import (
	"context"
	"errors"
	"fmt"
	"time"

	"mssentinel/app/job"
	"mssentinel/app/store"
)

// Submit queues an ad hoc job. One like it that waits already is returned in its place.
func (p *Pipeline) Submit(ctx context.Context, r job.Request) (job.Job, error) {
	r.Type = job.AdHoc
	j, err := p.Store.AddJob(ctx, r, time.Now().UTC())
	if err != nil {
		return job.Job{}, fmt.Errorf("queueing a job: %w", err)
	}
	p.Logger.Info("job queued", "job", j.RequestID, "type", j.Type, "mode", j.Mode)
	p.downloader.wake()
	return j, nil
}

// Cancel ends a job that waits or runs. What it queued and was not sent is dropped; a later update sends it.
func (p *Pipeline) Cancel(ctx context.Context, requestID string) error {
	ran, cancelled := p.cancelRunning(ctx, requestID)
	switch {
	case cancelled:
		return nil
	case ctx.Err() != nil:
		return ctx.Err()
	}
	err := p.uploader.cancelJob(ctx, requestID)
	if ran && errors.Is(err, job.ErrState) {
		return nil // it is over; had it just failed, it would be tried again
	}
	p.cancelRunning(ctx, requestID) // it may have started meanwhile
	return err
}

// cancelRunning cancels the job if it is in hand, and waits until it has ended, which it may have done otherwise.
func (p *Pipeline) cancelRunning(ctx context.Context, requestID string) (ran, cancelled bool) {
	a := p.current.Load()
	if a == nil || a.job.RequestID != requestID {
		return false, false
	}
	a.cancel(errCancelled)
	select {
	case <-a.ended:
		return true, a.cancelled
	case <-ctx.Done():
		return true, false
	}
}

// Retry queues a job again that failed or was cancelled, as [job.Job.Retry] has it.
func (p *Pipeline) Retry(ctx context.Context, requestID string) error {
	if _, err := p.Store.UpdateJob(ctx, requestID, (*job.Job).Retry); err != nil {
		return fmt.Errorf("queueing a job again: %w", err)
	}
	p.Logger.Info("job queued again", "job", requestID)
	p.downloader.wake()
	return nil
}

// ErrNothingToRetry says that none of the lines of REPORT that were chosen can be retried.
var ErrNothingToRetry = errors.New("none of these lines can be retried")

// RetryProblems has a delta update ask once more for the indicators behind lines of REPORT, and takes these lines off. It gives the job,
// and how many lines these are: the newest, at most store.MaxRetried.
func (p *Pipeline) RetryProblems(ctx context.Context, f store.ProblemFilter) (j job.Job, lines int64, err error) {
	ctx = context.WithoutCancel(ctx) // what was begun needs its update
	if lines, err = p.Store.RetryProblems(ctx, f); err != nil {
		return j, lines, err
	}
	if lines == 0 {
		return j, 0, ErrNothingToRetry
	}
	p.Logger.Info("errors are retried", "lines", lines)
	j, err = p.Submit(ctx, job.Request{Mode: job.Delta})
	return j, lines, err
}

// AnswerRetirement answers whether what a job holds back shall be retired. What is confirmed is uploaded at once.
func (p *Pipeline) AnswerRetirement(ctx context.Context, requestID string, confirm bool) error {
	if err := p.Store.AnswerRetirement(ctx, requestID, confirm, time.Now().UTC()); err != nil {
		return fmt.Errorf("answering what shall be retired: %w", err)
	}
	p.Logger.Info("retirement answered", "job", requestID, "confirmed", confirm)
	if err := p.outbox.recount(ctx); err != nil {
		p.Logger.Warn("the room in the outbox is not known", "error", err)
	}
	p.uploader.wake()
	return nil
}

// QueriesSaved makes the update that was saved start as soon as it can: one before it does not wait for its next
// attempt.
func (p *Pipeline) QueriesSaved() {
	p.downloader.skipPause.Store(true)
	p.scheduler.wake()
	p.downloader.wake()
}
