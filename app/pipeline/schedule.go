package pipeline

import (
	"context"
	"fmt"
	"time"

	"mssentinel/app/job"
	"mssentinel/app/store"
)

const (
	scheduleEvery = 30 * time.Second
	cleanEvery    = 2 * time.Hour
	// cleanFirst lets a Service that starts get to its jobs first.
	cleanFirst = 5 * time.Minute
)

// schedule is the task Schedule Downloads.
func (p *Pipeline) schedule(ctx context.Context) {
	p.repeat(ctx, p.scheduler, 0, scheduleEvery, p.queueUpdate)
}

// clean is the task Cleaner.
func (p *Pipeline) clean(ctx context.Context) {
	p.repeat(ctx, p.cleaner, cleanFirst, cleanEvery, func(ctx context.Context) (time.Time, error) {
		err := p.persist(ctx, func(ctx context.Context) error { return p.Store.Clean(ctx, time.Now().UTC()) })
		return time.Now().Add(cleanEvery), err
	})
}

// repeat does a task's work again and again, and at once when the task is woken. The work says when it will next have
// something to do.
func (p *Pipeline) repeat(ctx context.Context, t *task, first, every time.Duration, work func(context.Context) (time.Time, error)) {
	t.plan(time.Now().Add(first))
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
			p.once(ctx, t, work)
		}
		timer.Reset(every)
	}
}

func (p *Pipeline) once(ctx context.Context, t *task, work func(context.Context) (time.Time, error)) {
	inHand, kill := context.WithCancelCause(ctx)
	defer kill(nil)
	t.begin(kill)
	defer t.done()
	next, err := work(inHand)
	t.plan(next)
	if err != nil && ctx.Err() == nil {
		p.Logger.Error("task failed", "task", t.slug, "error", err)
	}
}

// queueUpdate queues the next scheduled update when it is due, and says when it will be: zero while nobody knows.
func (p *Pipeline) queueUpdate(ctx context.Context) (time.Time, error) {
	s, err := p.Store.Schedule(ctx)
	if err != nil {
		return time.Time{}, fmt.Errorf("reading the schedule: %w", err)
	}
	forced := p.due.Swap(false)
	if !s.HasWork || s.Open {
		return time.Time{}, nil
	}
	now := time.Now().UTC()
	if due := p.nextUpdate(s, now); due.After(now) && !forced {
		return due, nil
	}
	var j job.Job
	err = p.persist(ctx, func(ctx context.Context) (err error) {
		j, err = p.Store.AddJob(ctx, job.Scheduled, p.nextMode(s, now), now)
		return err
	})
	if err != nil {
		return time.Time{}, fmt.Errorf("queueing an update: %w", err)
	}
	p.Logger.Info("job queued", "job", j.RequestID, "type", j.Type, "mode", j.Mode)
	p.downloader.wake()
	return now.Add(p.Interval), nil
}

// nextUpdate is when the next scheduled update is due. One that was saved, or a last one, that lies ahead of now is a clock
// that was put back.
func (p *Pipeline) nextUpdate(s store.Schedule, now time.Time) time.Time {
	switch {
	case s.NextMode != "" && !s.Due.After(now):
		return s.Due
	case s.NextMode != "" || s.LastScheduled.IsZero() || s.LastScheduled.After(now):
		return now
	}
	return s.LastScheduled.Add(p.Interval)
}

// nextMode is what the next scheduled update is: the first one full, one that was saved as it was saved. A last complete read
// that lies ahead of now is a clock that was put back.
func (p *Pipeline) nextMode(s store.Schedule, now time.Time) job.Mode {
	switch {
	case !s.Completed:
		return job.Full
	case s.NextMode != "":
		return s.NextMode
	case p.FullInterval > 0 && (now.Sub(s.LastFullRead) >= p.FullInterval || s.LastFullRead.After(now)):
		return job.Reconcile
	}
	return job.Delta
}
