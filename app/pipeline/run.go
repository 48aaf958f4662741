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

const (
	// lookEvery is how often Download looks for a job whose next attempt is due.
	lookEvery = 30 * time.Second
)

// errCancelled ends a job that an operator does not want any more.
var errCancelled = errors.New("the job was cancelled")

// run is one attempt at a job.
type run struct {
	// job is as it was when the attempt began: only what never changes is of use.
	job     job.Job
	queries []store.RunQuery
	// deleted are the queries that were deleted, and what they gave may still stand.
	deleted []store.RunQuery
	// end is the end of the window. Only Download touches it.
	end time.Time
	// ctx ends when the attempt does; its cause says why.
	ctx    context.Context
	cancel context.CancelCauseFunc
	// failures are the queries that could not be read completely. Only Download touches them.
	failures []failure
	// damaged are the queries that returned a row which nobody can read: what it was may be anything. Only Download touches it.
	damaged []int64
	// retirement is what came of the question what may be retired; set before sealed is closed.
	retirement store.Retirement
	// sealed is closed when all that the job sends is in the outbox, emptied when the outbox was found empty after that,
	// ended when the job has its final state.
	sealed, emptied, ended chan struct{}
	// cancelled: it ended because someone asked for that; set before ended is closed.
	cancelled bool
	// allRead tells that everything was handed to Convert.
	allRead atomic.Bool
	// converting: the first page went through; only Convert touches it. uploading: the first request was made, finishing: the
	// job was seen to be converted; only Upload touches them.
	converting, uploading, finishing bool
	counters
}

func newRun(ctx context.Context, j job.Job) *run {
	r := &run{job: j, sealed: make(chan struct{}), emptied: make(chan struct{}), ended: make(chan struct{})}
	r.ctx, r.cancel = context.WithCancelCause(ctx)
	r.startCounting(j)
	return r
}

// done tells whether a channel was closed.
func done(c chan struct{}) bool {
	select {
	case <-c:
		return true
	default:
		return false
	}
}

// download is the task Download. It also sees each job to its end: the next one starts when the last is through Upload.
func (p *Pipeline) download(ctx context.Context) {
	defer close(p.chunks)
	for ctx.Err() == nil {
		j, found, err := p.nextJob(ctx)
		if err != nil && ctx.Err() == nil {
			p.Logger.Error("looking for the next job", "error", err)
		}
		if found {
			p.process(ctx, j)
			continue
		}
		select {
		case <-ctx.Done():
		case <-p.downloader.woken:
		case <-time.After(lookEvery):
		}
	}
}

// nextJob takes the next job; one that waits for its next attempt only when its time has come or someone is in a hurry.
func (p *Pipeline) nextJob(ctx context.Context) (job.Job, bool, error) {
	if p.downloader.isPaused() {
		return job.Job{}, false, nil
	}
	now := time.Now().UTC()
	if p.hurry.Swap(false) {
		now = now.Add(2 * job.RetryPauses.Longest)
	}
	return p.Store.NextJob(ctx, now)
}

// process makes one attempt at a job and writes down what came of it.
func (p *Pipeline) process(ctx context.Context, j job.Job) {
	r := newRun(ctx, j)
	p.setCurrent(r)
	defer close(r.ended)
	defer p.setCurrent(nil)
	err := p.attempt(r)
	if err != nil && r.ctx.Err() != nil {
		err = context.Cause(r.ctx) // what ended the attempt, not what that broke off
	}
	r.cancel(err)
	p.drainChunks(r)
	if err := p.conclude(ctx, r, err); err != nil {
		p.Logger.Error("the end of a job could not be kept; it is taken up again", "job", j.RequestID, "error", err)
		p.stall(ctx, err)
	}
	p.scheduler.wake()
}

// attempt takes a job through all stages.
func (p *Pipeline) attempt(r *run) error {
	p.downloader.begin(r.cancel)
	defer p.downloader.done()
	if err := p.begin(r); err != nil {
		return err
	}
	if err := p.readAll(r); err != nil {
		return err
	}
	if err := p.advance(r, (*job.Job).FinishDownload); err != nil {
		return err
	}
	r.allRead.Store(true)
	p.downloader.done()
	if err := p.seal(r); err != nil {
		return err
	}
	select {
	case <-r.emptied:
		return nil
	case <-r.ctx.Done():
		return context.Cause(r.ctx)
	}
}

// begin starts an attempt. The start is dated before the queries are read: the mark of one that is changed later does not
// move.
func (p *Pipeline) begin(r *run) error {
	err := p.persist(r.ctx, func(ctx context.Context) error {
		now := time.Now().UTC()
		j, err := p.Store.BeginAttempt(ctx, r.job.RequestID, now, now.Add(-p.Lag).Truncate(time.Second))
		if err == nil {
			r.end = *j.WindowEnd
		}
		return err
	})
	if err != nil {
		return fmt.Errorf("beginning an attempt: %w", err)
	}
	if r.queries, err = p.Store.RunQueries(r.ctx); err != nil {
		return fmt.Errorf("reading the saved queries: %w", err)
	}
	if r.deleted, err = p.Store.DeletedQueries(r.ctx); err != nil {
		return fmt.Errorf("reading the deleted queries: %w", err)
	}
	p.doubtMarks(r.queries)
	if start := p.windowStart(r.job.Mode, r.queries); start != nil {
		if err := p.advance(r, func(j *job.Job, _ time.Time) error { return j.SetWindowStart(*start) }); err != nil {
			return err
		}
	}
	p.Mappers.StartJob()
	p.uploader.wake()
	p.Logger.Info("job started", "job", r.job.RequestID, "type", r.job.Type, "mode", r.job.Mode, "queries", len(r.queries),
		"window_end", r.end.Format(time.RFC3339), "failures_before", r.job.FailureCount)
	return nil
}

// doubtMarks has a delta update read everything where a mark lies ahead: it was set while the clock was wrong, and says nothing
// about what was read.
func (p *Pipeline) doubtMarks(queries []store.RunQuery) {
	now := time.Now()
	for i := range queries {
		if queries[i].Mark.After(now) {
			queries[i].Mark = time.Time{}
		}
	}
}

// windowStart is where a delta update starts reading: the earliest of its queries. nil is the beginning.
func (p *Pipeline) windowStart(mode job.Mode, queries []store.RunQuery) *time.Time {
	if mode != job.Delta || len(queries) == 0 {
		return nil
	}
	first := p.from(queries[0])
	for _, q := range queries[1:] {
		if from := p.from(q); from.Before(first) {
			first = from
		}
	}
	if first.IsZero() {
		return nil
	}
	return &first
}

// from is where a delta update starts to read a query; zero is the beginning.
func (p *Pipeline) from(q store.RunQuery) time.Time {
	if q.Mark.IsZero() {
		return time.Time{}
	}
	return q.Mark.Add(-p.Overlap)
}

// advance carries out a transition of the job in hand. [job.ErrState] means that it was cancelled meanwhile.
func (p *Pipeline) advance(r *run, transition func(j *job.Job, now time.Time) error) error {
	return p.persist(r.ctx, func(ctx context.Context) error {
		now := time.Now().UTC()
		_, err := p.Store.UpdateJob(ctx, r.job.RequestID, func(j *job.Job) error { return transition(j, now) })
		if err != nil {
			return fmt.Errorf("keeping how far the job is: %w", err)
		}
		return nil
	})
}

// conclude writes down what came of an attempt. A job that the end of the process cuts off stays as it is and goes on at
// the next start; one that the disk stopped is taken up again when the disk may be well.
func (p *Pipeline) conclude(ctx context.Context, r *run, cause error) (err error) {
	switch {
	case ctx.Err() != nil:
		p.Logger.Info("job interrupted, it goes on at the next start", "job", r.job.RequestID)
		return nil
	case store.Unavailable(cause):
		return cause
	case errors.Is(cause, errCancelled):
		err = p.persist(ctx, func(ctx context.Context) error { return p.cancelStored(ctx, r.job.RequestID) })
		r.cancelled = err == nil
	case cause == nil:
		err = p.complete(ctx, r)
	default:
		err = p.giveUp(ctx, r, cause)
	}
	if ctx.Err() != nil || errors.Is(err, job.ErrState) {
		return nil
	}
	return err
}

// complete ends a job whose objects all stand in Sentinel or on REPORT. Where a query could not be read, its mark stays; if
// that may heal, the job is tried again.
func (p *Pipeline) complete(ctx context.Context, r *run) error {
	if behind := r.behind(); len(behind) > 0 {
		err := p.persist(ctx, func(ctx context.Context) error {
			return p.Store.SetMarks(ctx, r.job.Number, behind, r.end)
		})
		if err != nil {
			return p.giveUp(ctx, r, fmt.Errorf("moving the marks of the queries: %w", err))
		}
	}
	if err := r.unread(); err != nil && (!permanent(err) || len(r.failures) == len(r.queries)) {
		return p.giveUp(ctx, r, err)
	}
	return p.finish(ctx, r, func(ctx context.Context, now time.Time) (job.Job, error) {
		return p.Store.CompleteJob(ctx, r.job.RequestID, now, r.message())
	})
}

// giveUp ends an attempt that failed: a scheduled job is tried again later, unless that cannot help.
func (p *Pipeline) giveUp(ctx context.Context, r *run, cause error) error {
	return p.finish(ctx, r, func(ctx context.Context, now time.Time) (job.Job, error) {
		return p.Store.UpdateJob(ctx, r.job.RequestID, func(j *job.Job) error {
			return j.Fail(now, explain(cause), !permanent(cause), rand.Float64())
		})
	})
}

// finish writes the last word of an attempt.
func (p *Pipeline) finish(ctx context.Context, r *run, end func(ctx context.Context, now time.Time) (job.Job, error)) error {
	return p.persist(ctx, func(ctx context.Context) error {
		j, err := end(ctx, time.Now().UTC())
		if err != nil {
			return err
		}
		p.Logger.Info("job ended", "job", j.RequestID, "status", j.Status, "message", j.Message, again(j),
			"downloaded", j.Downloaded, "invalid", j.Invalid, "queued", j.Queued, "uploaded", j.Uploaded,
			"rejected", j.Rejected, "retired", j.Retired, "held", r.retirement.Held, "seconds", int(r.age().Seconds()))
		return nil
	})
}

// again tells the log when a job is tried again, if it is.
func again(j job.Job) slog.Attr {
	if j.RetryAfter == nil {
		return slog.Attr{} // which is left out
	}
	return slog.Time("retry_after", *j.RetryAfter)
}
