package pipeline

import (
	"context"
	"slices"
	"strings"
	"time"

	"mssentinel/app/job"
	"mssentinel/app/notification"
	"mssentinel/app/sentinel"
	"mssentinel/app/store"
)

// recentErrors is how far back [Overview.Errors] counts.
const recentErrors = 24 * time.Hour

// Overview is how the updates stand, at a glance.
type Overview struct {
	// Last is the update that ended last, nil before one did; Running the one under way, nil while there is none.
	Last, Running *job.Job
	// Unsent is how many objects of updates that are over are still to be sent; 0 while an update runs.
	Unsent int64
	// Next is when the next scheduled update is queued. It is zero while one waits or runs, and while nothing is to be done.
	Next time.Time
	// Live is how many objects stood in Sentinel at LiveAsOf, which is zero where they were never counted.
	Live     int64
	LiveAsOf time.Time
	// Errors is how many lines REPORT has from the last 24 hours, notes left out. [store.MaxCounted] stands for "or more".
	Errors int64
	// Failed are the newest of the jobs that are not tried again by themselves and that no update made up for.
	Failed []job.Job
	// Asking is how many jobs wait for an answer of a person, AskingID the request ID of the newest.
	Asking   int64
	AskingID string
	// Retried is an update that failed and is tried again later; nil where there is none.
	Retried *job.Job
	// Paused names the tasks that are.
	Paused []string
	// Silent says in sentences that ThreatConnect or Microsoft does not answer as it should, and what to do; "" while both do,
	// or nobody asks them. Sentinel's limit is no fault.
	Silent string
}

// Overview tells how the updates stand. It reads a handful of rows, and counts no more than [store.MaxCounted].
func (p *Pipeline) Overview(ctx context.Context) (v Overview, err error) {
	last, found, err := p.Store.LastEnded(ctx)
	if err != nil {
		return Overview{}, err
	}
	if found {
		v.Last = &last
	}
	if v.Errors, err = p.Store.CountErrors(ctx, time.Now().Add(-recentErrors)); err != nil {
		return Overview{}, err
	}
	if v.Live, v.LiveAsOf, err = p.Store.LiveObjects(ctx); err != nil {
		return Overview{}, err
	}
	if err := p.addOpenJobs(ctx, &v); err != nil {
		return Overview{}, err
	}
	if v.Failed, err = p.uncoveredJobs(ctx); err != nil {
		return Overview{}, err
	}
	p.addTasks(&v)
	return v, nil
}

// addOpenJobs adds the jobs that run, wait for another attempt or ask something.
func (p *Pipeline) addOpenJobs(ctx context.Context, v *Overview) error {
	asking, total, err := p.listNewest(ctx, 1, job.ConfirmationRequired)
	if err != nil {
		return err
	}
	v.Asking = total
	if len(asking) > 0 {
		v.AskingID = asking[0].RequestID
	}
	running, _, err := p.listNewest(ctx, 1, job.ActiveStatuses...)
	if err != nil {
		return err
	}
	if len(running) > 0 {
		v.Running = &running[0]
	}
	waiting, _, err := p.listNewest(ctx, maxJobsTold, job.Pending)
	if i := slices.IndexFunc(waiting, func(j job.Job) bool { return j.RetryAfter != nil }); i >= 0 {
		v.Retried = &waiting[i]
	}
	return err
}

func (p *Pipeline) listNewest(ctx context.Context, limit int, statuses ...job.Status) ([]job.Job, int64, error) {
	return p.Store.Jobs(ctx, store.JobFilter{Statuses: statuses, Limit: limit})
}

// uncoveredJobs are the jobs that failed and that no update made up for, as people are notified of them.
func (p *Pipeline) uncoveredJobs(ctx context.Context) ([]job.Job, error) {
	failed, _, err := p.listNewest(ctx, maxJobsTold, job.Failed)
	if err != nil || len(failed) == 0 {
		return nil, err
	}
	done, err := p.Store.Completions(ctx)
	if err != nil {
		return nil, err
	}
	return notification.Standing{Failed: failed, Covered: done.Covered, CoveredAll: done.CoveredAll}.UncoveredJobs(), nil
}

// addTasks adds what the tasks know.
func (p *Pipeline) addTasks(v *Overview) {
	for _, t := range p.tasks {
		state := t.snapshot()
		if state.Paused {
			v.Paused = append(v.Paused, state.Name)
		}
		if t == p.scheduler.task && !state.Paused {
			v.Next = state.NextRun
		}
	}
	now := p.Progress()
	v.Unsent = now.Leftover
	if !strings.HasPrefix(now.WaitReason, sentinel.LimitReached) {
		v.Silent = now.WaitReason
	}
}
