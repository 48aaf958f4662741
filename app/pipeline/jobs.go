package pipeline

import (
	"context"
	"errors"
	"fmt"
	"time"

	"mssentinel/app/store"
)

// Submit queues an ad hoc job.
func (p *Pipeline) Submit(ctx context.Context, mode store.Mode) (store.Job, error) {
	job, err := p.Store.AddJob(ctx, store.AdHoc, mode, time.Now().UTC())
	if err != nil {
		return store.Job{}, fmt.Errorf("queueing a job: %w", err)
	}
	p.Logger.Info("job queued", "job", job.RequestID, "type", job.JobType, "mode", job.Mode)
	p.downloader.wake()
	return job, nil
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
	err := p.cancelStored(ctx, requestID)
	if ran && errors.Is(err, store.ErrState) {
		return nil // it is over; had it just failed, it would be tried again
	}
	p.cancelRunning(ctx, requestID) // it may have started meanwhile
	return err
}

// cancelRunning cancels the job if it is in hand, and waits until it has ended, which it may have done otherwise.
func (p *Pipeline) cancelRunning(ctx context.Context, requestID string) (ran, cancelled bool) {
	r := p.current()
	if r == nil || r.job.RequestID != requestID {
		return false, false
	}
	r.cancel(errCancelled)
	select {
	case <-r.ended:
		return true, r.cancelled
	case <-ctx.Done():
		return true, false
	}
}

// cancelStored cancels a job that is not in hand. Its rows in the outbox must not be under way then.
func (p *Pipeline) cancelStored(ctx context.Context, requestID string) error {
	err := p.whileGrounded(ctx, func(ctx context.Context) error {
		return p.Store.CancelJob(ctx, requestID, time.Now().UTC())
	})
	if err != nil {
		return fmt.Errorf("cancelling a job: %w", err)
	}
	p.Logger.Info("job cancelled", "job", requestID)
	return nil
}

// Retry queues a job again that failed or was cancelled, under the same request ID. Its window ends where it did: what came
// and went since is for the next update.
func (p *Pipeline) Retry(ctx context.Context, requestID string) error {
	_, err := p.Store.UpdateJob(ctx, requestID, func(j *store.Job) error {
		if j.Status != store.Failed && j.Status != store.Cancelled {
			return fmt.Errorf("a job that is %s: %w", j.Status, store.ErrState)
		}
		j.Status, j.Message, j.FailureCount = store.Pending, "", 0
		j.DateStarted, j.DateFailed, j.DateCompleted, j.RetryAfter = nil, nil, nil, nil
		return nil
	})
	if err != nil {
		return fmt.Errorf("queueing a job again: %w", err)
	}
	p.Logger.Info("job queued again", "job", requestID)
	p.downloader.wake()
	return nil
}

// AnswerRetirement answers whether what a job holds back shall be retired. What is confirmed is uploaded at once.
func (p *Pipeline) AnswerRetirement(ctx context.Context, requestID string, confirm bool) error {
	if err := p.Store.AnswerRetirement(ctx, requestID, confirm, time.Now().UTC()); err != nil {
		return fmt.Errorf("answering what shall be retired: %w", err)
	}
	p.Logger.Info("retirement answered", "job", requestID, "confirmed", confirm)
	if err := p.countOutbox(ctx); err != nil {
		p.Logger.Warn("the room in the outbox is not known", "error", err)
	}
	p.uploader.wake()
	return nil
}

// QueriesSaved makes the update that was saved start as soon as it can: one before it does not wait for its next attempt.
func (p *Pipeline) QueriesSaved() {
	p.hurry.Store(true)
	p.scheduler.wake()
	p.downloader.wake()
}
