package pipeline

import (
	"context"
	"fmt"
	"log/slog"
	"sync/atomic"
	"time"

	"mssentinel/app/job"
	"mssentinel/app/store"
)

// scheduleEvery is how often the scheduler looks whether an update is due.
const scheduleEvery = 30 * time.Second

// scheduleStore is what the scheduler needs of the store.
type scheduleStore interface {
	Schedule(ctx context.Context) (store.Schedule, error)
	AddJob(ctx context.Context, r job.Request, now time.Time) (job.Job, error)
}

// scheduler is the task Schedule Downloads: it queues the updates that are due.
type scheduler struct {
	*task
	store scheduleStore
	disk  *disk
	log   *slog.Logger
	// interval lies between updates; fullInterval is how old the last complete read may get, 0 for any age.
	interval, fullInterval time.Duration
	// downloads is woken when a job was queued.
	downloads *task
	// dueNow asks to queue an update without waiting for its time.
	dueNow atomic.Bool
}

// scheduleUpdates works until ctx ends.
func (s *scheduler) scheduleUpdates(ctx context.Context) {
	repeatWork(ctx, s.task, s.log, 0, scheduleEvery, s.queueUpdate)
}

// queueUpdate queues the next scheduled update when it is due, and says when it will be: zero while that is not known.
func (s *scheduler) queueUpdate(ctx context.Context) (time.Time, error) {
	plan, err := s.store.Schedule(ctx)
	if err != nil {
		return time.Time{}, fmt.Errorf("reading the schedule: %w", err)
	}
	forced := s.dueNow.Swap(false)
	if !plan.HasWork || plan.Open {
		return time.Time{}, nil
	}
	now := time.Now().UTC()
	if due := s.nextUpdate(plan, now); due.After(now) && !forced {
		return due, nil
	}
	var j job.Job
	err = s.disk.retryWrite(ctx, func(ctx context.Context) (err error) {
		j, err = s.store.AddJob(ctx, job.Request{Type: job.Scheduled, Mode: s.nextMode(plan, now)}, now)
		return err
	})
	if err != nil {
		return time.Time{}, fmt.Errorf("queueing an update: %w", err)
	}
	s.log.Info("job queued", "job", j.RequestID, "type", j.Type, "mode", j.Mode)
	s.downloads.wake()
	return now.Add(s.interval), nil
}

// nextUpdate is when the next scheduled update is due. One that was saved, or a last one, that lies ahead of now is a
// clock that was put back.
func (s *scheduler) nextUpdate(plan store.Schedule, now time.Time) time.Time {
	switch {
	case plan.NextMode != "" && !plan.Due.After(now):
		return plan.Due
	case plan.NextMode != "" || plan.LastScheduled.IsZero() || plan.LastScheduled.After(now):
		return now
	}
	return plan.LastScheduled.Add(s.interval)
}

// nextMode is what the next scheduled update is: the first one full, one that was saved as it was saved. A last
// complete read that lies ahead of now is a clock that was put back.
func (s *scheduler) nextMode(plan store.Schedule, now time.Time) job.Mode {
	switch {
	case !plan.Completed:
		return job.Full
	case plan.NextMode != "":
		return plan.NextMode
	case s.fullInterval > 0 && (now.Sub(plan.LastFullRead) >= s.fullInterval || plan.LastFullRead.After(now)):
		return job.Reconcile
	}
	return job.Delta
}

// repeatWork does a task's work again and again, and at once when the task is woken. The work says when it will next
// have something to do.
func repeatWork(ctx context.Context, t *task, log *slog.Logger, first, every time.Duration,
	work func(context.Context) (time.Time, error)) {
	t.setNextRun(time.Now().Add(first))
	timer := time.NewTimer(first)
	defer timer.Stop()
	for {
		select {
		case <-ctx.Done():
			return
		case <-timer.C:
		case <-t.woken:
		}
		if !t.isPaused() {
			workOnce(ctx, t, log, work)
		}
		timer.Reset(every)
	}
}

func workOnce(ctx context.Context, t *task, log *slog.Logger, work func(context.Context) (time.Time, error)) {
	inHand, cancel := context.WithCancelCause(ctx)
	defer cancel(nil)
	defer t.beginWork(cancel)()
	began := time.Now()
	defer func() { t.noteRun(time.Since(began)) }()
	next, err := work(inHand)
	t.setNextRun(next)
	if err != nil && ctx.Err() == nil {
		log.Error("task failed", "task", t.about.Slug, "error", err)
	}
}
