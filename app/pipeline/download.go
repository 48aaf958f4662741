package pipeline

import (
	"context"
	"errors"
	"fmt"
	"log/slog"
	"math/rand/v2"
	"sync/atomic"
	"time"

	"mssentinel/app/job"
	"mssentinel/app/store"
)

// lookEvery is how often Download looks for a job whose next attempt is due.
const lookEvery = 30 * time.Second

// downloadStore is what the downloader needs of the store to see jobs through.
type downloadStore interface {
	jobUpdater
	NextJob(ctx context.Context, now time.Time) (job.Job, bool, error)
	BeginAttempt(ctx context.Context, requestID string, now, windowEnd time.Time) (job.Job, error)
	RunQueries(ctx context.Context) ([]store.RunQuery, error)
	DeletedQueries(ctx context.Context) ([]store.RunQuery, error)
	SetMarks(ctx context.Context, job int64, queries []int64, end time.Time) error
	CompleteJob(ctx context.Context, requestID string, now time.Time, message string) (job.Job, error)
	FailJob(ctx context.Context, requestID string, now time.Time, message string, mayHeal bool, spread float64,
		problems ...job.Problem) (job.Job, error)
}

// downloader is the task Download: it takes one job after the other, reads what it asks for and sees it to its end.
// The next job begins when the last one is through Upload.
type downloader struct {
	*task
	store         downloadStore
	ledger        readStore
	threatConnect ThreatConnect
	mappers       *mapperSet
	uploader      *uploader
	// schedules is the scheduler's task, woken when a job has ended.
	schedules *task
	// live is woken as well.
	live         *liveCounter
	disk         *disk
	log          *slog.Logger
	lag, overlap time.Duration
	// releaseMemory is called in a rest; nil for nothing.
	releaseMemory func(context.Context) error
	handover
	// current is set to the attempt in hand, and to nil between attempts.
	current *atomic.Pointer[attempt]
	// skipPause asks to take up a job that waits for its next attempt.
	skipPause atomic.Bool
}

// processJobs works until ctx ends, and tells Convert that nothing more comes.
func (d *downloader) processJobs(ctx context.Context) {
	defer close(d.chunks)
	var rest rest
	for ctx.Err() == nil {
		j, found, err := d.nextJob(ctx)
		if err != nil && ctx.Err() == nil {
			d.log.Error("the next job could not be looked up", "error", err)
		}
		if found {
			d.processJob(ctx, j)
			if d.releaseMemory != nil {
				rest.begin()
			}
			continue
		}
		if rest.isDue(time.Now()) {
			if err := d.releaseMemory(ctx); err != nil && ctx.Err() == nil {
				d.log.Warn("memory could not be given back", "error", err)
			}
		}
		select {
		case <-ctx.Done():
		case <-d.woken:
		case <-time.After(rest.lookIn(time.Now())):
		}
	}
}

const (
	// releases is how often memory is given back between two updates: at once, when the mappers have ended, which held some of this
	// process as well, and when what was connected to them is gone.
	releases     = 3
	releaseEvery = 15 * time.Second
)

// rest is the time between two updates.
type rest struct {
	left int
	next time.Time
}

func (r *rest) begin() { *r = rest{left: releases} }

// isDue says that memory is to be given back now, and counts on that.
func (r *rest) isDue(now time.Time) bool {
	if r.left == 0 || now.Before(r.next) {
		return false
	}
	r.left--
	r.next = now.Add(releaseEvery)
	return true
}

// lookIn is how long Download may wait before it looks again.
func (r *rest) lookIn(now time.Time) time.Duration {
	if r.left == 0 {
		return lookEvery
	}
	return min(lookEvery, r.next.Sub(now))
}

// nextJob looks for a job to take up. One that waits for its next attempt is taken when its time has come, or earlier
// where that was asked for.
func (d *downloader) nextJob(ctx context.Context) (job.Job, bool, error) {
	if d.isPaused() {
		return job.Job{}, false, nil
	}
	now := time.Now().UTC()
	if d.skipPause.Swap(false) {
		now = now.Add(2 * job.RetryPauses.Longest)
	}
	return d.store.NextJob(ctx, now)
}

// processJob makes one attempt at a job and writes down what came of it.
func (d *downloader) processJob(ctx context.Context, j job.Job) {
	a := newAttempt(ctx, j, d.store, d.disk, d.overlap)
	d.current.Store(a)
	defer close(a.ended)
	defer d.current.Store(nil)
	err := d.attemptJob(a)
	if err != nil && a.ctx.Err() != nil {
		err = context.Cause(a.ctx) // what ended the attempt, not what that broke off
	}
	a.cancel(err)
	d.emptyConvert(a)
	if err := d.concludeAttempt(ctx, a, err); err != nil {
		d.log.Error("the end of a job could not be kept; it is taken up again", "job", j.RequestID, "error", err)
		d.disk.waitAfter(ctx, err)
	}
	d.schedules.wake()
	d.live.wake()
}

// attemptJob takes a job through all stages.
func (d *downloader) attemptJob(a *attempt) error {
	endWork := d.beginWork(a.cancel)
	defer endWork()
	if err := d.beginAttempt(a); err != nil {
		return err
	}
	r := &reader{attempt: a, handover: d.handover, ledger: d.ledger, threatConnect: d.threatConnect, mappers: d.mappers,
		log: d.log}
	if err := r.readAll(); err != nil {
		return err
	}
	if err := a.advanceJob((*job.Job).FinishDownload); err != nil {
		return err
	}
	a.allRead.Store(true)
	endWork()
	if err := d.awaitQueued(a); err != nil {
		return err
	}
	select {
	case <-a.allSettled:
		return nil
	case <-a.ctx.Done():
		return context.Cause(a.ctx)
	}
}

// beginAttempt dates the start before it reads the queries: the mark of one that is changed later does not move.
func (d *downloader) beginAttempt(a *attempt) error {
	err := d.disk.retryWrite(a.ctx, func(ctx context.Context) error {
		now := time.Now().UTC()
		j, err := d.store.BeginAttempt(ctx, a.job.RequestID, now, now.Add(-d.lag).Truncate(time.Second))
		if err == nil {
			a.end = *j.WindowEnd
		}
		return err
	})
	if err != nil {
		return fmt.Errorf("beginning an attempt: %w", err)
	}
	if a.queries, err = d.store.RunQueries(a.ctx); err != nil {
		return fmt.Errorf("reading the saved queries: %w", err)
	}
	if a.deleted, err = d.store.DeletedQueries(a.ctx); err != nil {
		return fmt.Errorf("reading the deleted queries: %w", err)
	}
	if start := a.windowStart(); start != nil {
		if err := a.advanceJob(func(j *job.Job, _ time.Time) error { return j.SetWindowStart(*start) }); err != nil {
			return err
		}
	}
	d.mappers.StartJob()
	d.uploader.wake()
	d.log.Info("job started", "job", a.job.RequestID, "type", a.job.Type, "mode", a.job.Mode, "queries", len(a.queries),
		"window_end", a.end.Format(time.RFC3339), "failures_before", a.job.FailureCount)
	return nil
}

// concludeAttempt writes down what came of an attempt. A job that the end of the process cuts off stays as it is and
// goes on at the next start; one that the disk stopped is taken up again when the disk may be well.
func (d *downloader) concludeAttempt(ctx context.Context, a *attempt, cause error) (err error) {
	switch {
	case ctx.Err() != nil:
		d.log.Info("job interrupted, it goes on at the next start", "job", a.job.RequestID)
		return nil
	case store.Unavailable(cause):
		return cause
	case errors.Is(cause, errCancelled):
		err = d.disk.retryWrite(ctx, func(ctx context.Context) error { return d.uploader.cancelJob(ctx, a.job.RequestID) })
		a.cancelled = err == nil
	case cause == nil:
		err = d.completeJob(ctx, a)
	default:
		err = d.failJob(ctx, a, cause)
	}
	if ctx.Err() != nil || errors.Is(err, job.ErrState) {
		return nil
	}
	return err
}

// completeJob ends a job whose objects all stand in Sentinel or on REPORT. Where a query could not be read, its mark
// stays; if that may heal, the job is tried again.
func (d *downloader) completeJob(ctx context.Context, a *attempt) error {
	if queries := a.queriesToMark(); len(queries) > 0 {
		err := d.disk.retryWrite(ctx, func(ctx context.Context) error {
			return d.store.SetMarks(ctx, a.job.Number, queries, a.end)
		})
		if err != nil {
			return d.failJob(ctx, a, fmt.Errorf("moving the marks of the queries: %w", err))
		}
	}
	if err := a.unreadError(); err != nil && (!isPermanent(err) || len(a.failures) == len(a.queries)) {
		return d.endFailed(ctx, a, err) // REPORT names each query and list already
	}
	return d.endJob(ctx, a, func(ctx context.Context, now time.Time) (job.Job, error) {
		return d.store.CompleteJob(ctx, a.job.RequestID, now, a.completionMessage())
	})
}

// failJob ends an attempt that failed, and puts that on REPORT.
func (d *downloader) failJob(ctx context.Context, a *attempt, cause error) error {
	return d.endFailed(ctx, a, cause, job.Problem{RequestID: a.job.RequestID, DateAdded: time.Now().UTC(),
		Step: failedStep(cause), Code: job.CodeUpdateFailed, Message: describeFailure(cause)})
}

// endFailed ends an attempt that failed: a scheduled job is tried again later, unless that cannot help.
func (d *downloader) endFailed(ctx context.Context, a *attempt, cause error, problems ...job.Problem) error {
	return d.endJob(ctx, a, func(ctx context.Context, now time.Time) (job.Job, error) {
		return d.store.FailJob(ctx, a.job.RequestID, now, describeFailure(cause), !isPermanent(cause), rand.Float64(), problems...)
	})
}

// endJob carries out the last transition of an attempt.
func (d *downloader) endJob(ctx context.Context, a *attempt,
	end func(ctx context.Context, now time.Time) (job.Job, error)) error {
	return d.disk.retryWrite(ctx, func(ctx context.Context) error {
		j, err := end(ctx, time.Now().UTC())
		if err != nil {
			return err
		}
		d.log.Info("job ended", "job", j.RequestID, "status", j.Status, "message", j.Message, retryAttr(j),
			"downloaded", j.Downloaded, "invalid", j.Invalid, "queued", j.Queued, "uploaded", j.Uploaded,
			"rejected", j.Rejected, "retired", j.Retired, "held", a.retirement.Held, "seconds", int(a.elapsedTime().Seconds()))
		return nil
	})
}

// retryAttr tells the log when a job is tried again, if it is.
func retryAttr(j job.Job) slog.Attr {
	if j.RetryAfter == nil {
		return slog.Attr{} // which is left out
	}
	return slog.Time("retry_after", *j.RetryAfter)
}
