package pipeline

import (
	"context"
	"errors"
	"fmt"

	"mssentinel/app/job"
	"mssentinel/app/store"
)

// errKilled ends what a task has in hand when an operator asks for it.
var errKilled = errors.New("killed on TASKS")

// What a task does not take as a command.
var (
	// ErrRunOnly says that a task starts on command alone, so that there is nothing to pause.
	ErrRunOnly = errors.New("it starts on command alone, so there is nothing to pause")
	// ErrAtWork says that a task which starts on command alone is at work already.
	ErrAtWork = errors.New("it is at work already")
)

func (p *Pipeline) findTask(slug string) (*task, error) {
	for _, t := range p.tasks {
		if t.about.Slug == slug {
			return t, nil
		}
	}
	return nil, fmt.Errorf("task %q: %w", slug, store.ErrNotFound)
}

// Tasks lists the tasks in the order in which a job meets them.
func (p *Pipeline) Tasks() []Task {
	var tasks []Task
	for _, t := range p.tasks {
		tasks = append(tasks, t.snapshot())
	}
	return tasks
}

// RunTask makes a task look for work at once: Schedule Downloads queues the next update without waiting for its time,
// Download takes up a job that waits for its next attempt, Cleaner cleans, Verify compares a sample, Notifications tries
// again what was not taken, Doctor asks its questions. A paused task is [job.ErrState], a Verify or a Doctor that is at
// work [ErrAtWork].
func (p *Pipeline) RunTask(_ context.Context, slug string) error {
	t, err := p.findTask(slug)
	if err != nil {
		return err
	}
	if t.isPaused() {
		return fmt.Errorf("%s is paused, resume it first: %w", t.about.Name, job.ErrState)
	}
	switch {
	case t == p.scheduler.task:
		p.scheduler.dueNow.Store(true)
	case t == p.downloader.task:
		p.downloader.skipPause.Store(true)
	case t == p.verifier.task:
		return p.verifier.requestVerification(false)
	case p.notifier != nil && t == p.notifier.task:
		p.notifier.skipPause.Store(true)
	case p.examiner != nil && t == p.examiner.task && !p.examiner.commanded.CompareAndSwap(false, true):
		return fmt.Errorf("starting %s: %w", t.about.Name, ErrAtWork)
	}
	t.wake()
	return nil
}

// PauseTask keeps a task from taking up work, or lets it go on. A task stops before its next page or request; what is
// under way is finished. Pausing survives a restart. A task that starts on command alone is [ErrRunOnly].
func (p *Pipeline) PauseTask(ctx context.Context, slug string, paused bool) error {
	t, err := p.findTask(slug)
	if err != nil {
		return err
	}
	if t.about.RunOnly {
		return fmt.Errorf("pausing %s: %w", t.about.Name, ErrRunOnly)
	}
	if err := p.pauses.SetPaused(ctx, slug, paused); err != nil {
		return fmt.Errorf("keeping that %s is paused: %w", t.about.Name, err)
	}
	t.setPaused(paused)
	p.Logger.Info("task commanded", "task", slug, "paused", paused)
	return nil
}

// KillTask ends what the task has in hand. A job that passes through it fails as by any other fault: a scheduled one
// is tried again later.
func (p *Pipeline) KillTask(_ context.Context, slug string) error {
	t, err := p.findTask(slug)
	if err != nil {
		return err
	}
	t.cancelWork(fmt.Errorf("the task %s was %w", t.about.Name, errKilled))
	p.Logger.Info("task killed", "task", slug)
	return nil
}
