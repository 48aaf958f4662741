package pipeline

import (
	"context"
	"errors"
	"fmt"
	"time"

	"mssentinel/app/job"
	"mssentinel/app/sentinel"
	"mssentinel/app/store"
)

const (
	// maxFlights is how many requests may be under way.
	maxFlights = 8
	// readAhead is how many rows of the outbox are read at a time, and below how many more are read.
	readAhead = 1000
	// patience is how long the rows of a batch that is not full wait for more while a job reads on.
	patience = 2 * time.Second
	// uploadRetry is when Upload tries again by itself after a failure.
	uploadRetry = 5 * time.Minute
)

// command is something to be done while no request is under way.
type command struct {
	do   func(context.Context) error
	done chan error
}

// errInterrupted ends the requests under way to make room for a command.
var errInterrupted = errors.New("upload interrupted")

// whileGrounded does something while no request is under way and Upload knows nothing of the outbox. Requests under way are
// given the time that sentinel allows them.
func (p *Pipeline) whileGrounded(ctx context.Context, do func(context.Context) error) error {
	c := command{do: do, done: make(chan error, 1)}
	select {
	case p.between <- c:
	case <-ctx.Done():
		return ctx.Err()
	}
	select {
	case err := <-c.done:
		return err
	case <-ctx.Done():
		return ctx.Err()
	}
}

// upload is the task Upload: it empties the outbox for as long as the Service runs, with a job or without.
func (p *Pipeline) upload(ctx context.Context) {
	for ctx.Err() == nil {
		err := p.drain(ctx)
		switch {
		case ctx.Err() != nil || errors.Is(err, errInterrupted):
		case store.Unavailable(err):
			p.Logger.Error("the database cannot be used; upload goes on in 30 s", "error", err)
			p.stall(ctx, err)
		default:
			p.uploadFailed(ctx, err)
		}
	}
}

// uploadFailed lets the job in hand fail and waits for a reason to try again. What was not accepted is still in the outbox.
func (p *Pipeline) uploadFailed(ctx context.Context, err error) {
	p.Logger.Error("upload failed, what waits stays queued", "error", err)
	if r := p.current(); r != nil {
		r.cancel(err)
	}
	p.uploader.say("Failed, tries again by itself: %s", explain(err))
	p.uploader.plan(time.Now().Add(uploadRetry))
	defer p.uploader.plan(time.Time{})
	select {
	case <-p.uploader.woken: // by what failed
	default:
	}
	select {
	case <-ctx.Done():
	case <-p.uploader.woken:
	case <-time.After(uploadRetry):
	case c := <-p.between:
		c.done <- c.do(ctx)
	}
}

// drain keeps requests under way until something fails or is commanded. What it does not get rid of stays in the outbox, and
// the next one reads it again.
func (p *Pipeline) drain(ctx context.Context) error {
	ctx, cancel := context.WithCancelCause(ctx)
	d := &draining{p: p, ctx: ctx, queue: outboxQueue{flying: map[int64]bool{}}, more: true, landed: make(chan flight, maxFlights)}
	d.kill = func(cause error) {
		if r := p.current(); r != nil {
			r.cancel(cause)
		}
		cancel(cause)
	}
	defer d.ground(cancel)
	if err := p.countOutbox(ctx); err != nil {
		return err
	}
	for {
		late, err := d.advance()
		if err != nil {
			return err
		}
		select {
		case <-ctx.Done():
			return context.Cause(ctx)
		case f := <-d.landed:
			switch d.land(f); {
			case ctx.Err() != nil:
				return context.Cause(ctx)
			case f.err != nil:
				return f.err
			}
		case <-p.uploader.woken:
			d.more = true
		case <-late:
		case c := <-p.between:
			d.ground(cancel)
			c.done <- c.do(context.WithoutCancel(ctx))
			return errInterrupted
		}
	}
}

// draining is one stretch of work of Upload. Its owner is drain; deliver runs aside.
type draining struct {
	p    *Pipeline
	ctx  context.Context
	kill context.CancelCauseFunc

	queue outboxQueue
	// after is the last row that was read; more: there may be others behind it.
	after   int64
	more    bool
	flights int
	landed  chan flight
	// grown is when rows last came in.
	grown time.Time
}

// flight is a request that came back.
type flight struct {
	batch batch
	err   error
}

// advance reads on, sends off what can be sent, and sees whether the job in hand is through. late is when a batch that is
// not full shall wait no longer.
func (d *draining) advance() (late <-chan time.Time, err error) {
	if d.p.uploader.isPaused() {
		return nil, nil
	}
	// Whether the job has sealed the outbox is asked before the outbox is read.
	r := d.p.current()
	if r != nil && done(r.sealed) {
		d.more = d.more || d.idle()
	} else {
		r = nil
	}
	if err := d.read(); err != nil {
		return nil, err
	}
	if late, err = d.launch(); err != nil {
		return nil, err
	}
	if d.flights == 0 {
		d.p.uploader.done()
	}
	if r != nil {
		err = d.see(r)
	}
	return late, err
}

func (d *draining) idle() bool { return d.flights == 0 && len(d.queue.rows) == 0 }

func (d *draining) read() error {
	for d.more && len(d.queue.rows) < readAhead {
		rows, err := d.p.Store.Outgoing(d.ctx, d.after, readAhead)
		if err != nil {
			return fmt.Errorf("reading the outbox: %w", err)
		}
		if d.more = len(rows) == readAhead; len(rows) > 0 {
			d.after = rows[len(rows)-1].Seq
			d.queue.rows = append(d.queue.rows, rows...)
			d.grown = time.Now()
		}
	}
	return nil
}

// launch sends off batches. One that is not full waits a little while a job still brings more.
func (d *draining) launch() (late <-chan time.Time, err error) {
	for d.flights < maxFlights {
		b, full := d.queue.next()
		if len(b.rows) == 0 {
			return nil, nil
		}
		if left := patience - time.Since(d.grown); !full && left > 0 && d.p.bringsMore() {
			return time.After(left), nil
		}
		if err := d.startUpload(b); err != nil {
			return nil, err
		}
		d.queue.takeOff(b)
		d.flights++
		d.p.uploader.begin(d.kill)
		go func() { d.landed <- flight{b, d.deliver(b)} }()
	}
	return nil, nil
}

// bringsMore tells whether a job is still reading.
func (p *Pipeline) bringsMore() bool {
	r := p.current()
	return r != nil && !done(r.sealed)
}

func (d *draining) land(f flight) {
	d.flights--
	d.queue.land(f.batch)
	d.p.uploader.beat()
}

// ground ends the requests under way and waits for them.
func (d *draining) ground(cancel context.CancelCauseFunc) {
	cancel(errInterrupted)
	for d.flights > 0 {
		d.land(<-d.landed)
	}
	d.p.uploader.done()
}

// startUpload dates the first request with objects of the job.
func (d *draining) startUpload(b batch) error {
	r := d.p.current()
	if r == nil || r.uploading || !b.holds(r.job.Number) {
		return nil
	}
	r.uploading = true
	return d.keep(r, (*job.Job).NoteFirstUploaded)
}

// see tells a job that is converted how its upload stands. The outbox is empty: whatever the job queued has been settled.
func (d *draining) see(r *run) error {
	if !r.finishing {
		r.finishing = true
		if err := d.keep(r, (*job.Job).BeginUpload); err != nil {
			return err
		}
	}
	if d.idle() && !d.more && !done(r.emptied) {
		close(r.emptied)
	}
	return nil
}

// keep carries out a transition of the job in hand. A job that is over meanwhile is nothing that keeps Upload from its work.
func (d *draining) keep(r *run, transition func(j *job.Job, now time.Time) error) error {
	err := d.p.advance(r, transition)
	if r.ctx.Err() != nil || errors.Is(err, job.ErrState) {
		return nil
	}
	return err
}

// deliver sends a batch and settles each answer in the store. What is settled is final, whatever happens to the rest.
func (d *draining) deliver(b batch) error {
	objects := make([][]byte, len(b.rows))
	for i := range b.rows {
		objects[i] = b.rows[i].Payload
	}
	settle := func(o sentinel.Outcome) error { return d.p.settle(d.ctx, b, o) }
	return d.p.Sentinel.Deliver(d.ctx, b.source, objects, sentinel.Report{Settle: settle, OnWait: d.p.reportWait})
}

// settle writes down an answer. It does so even when the job was stopped meanwhile: Sentinel holds the objects.
func (p *Pipeline) settle(ctx context.Context, b batch, o sentinel.Outcome) error {
	s := store.Settlement{Slot: o.Slot, At: o.At, Accepted: make([]store.Outgoing, len(o.Accepted))}
	for n, i := range o.Accepted {
		s.Accepted[n] = b.rows[i]
	}
	for _, rejected := range o.Rejected {
		s.Rejected = append(s.Rejected, store.RejectedObject{Outgoing: b.rows[rejected.Index], Code: job.Code(rejected.Code), Message: rejected.Message})
	}
	err := p.persist(ctx, func(ctx context.Context) error {
		return p.Store.Settle(context.WithoutCancel(ctx), s)
	})
	if err != nil {
		return fmt.Errorf("keeping what Sentinel accepted: %w", err)
	}
	p.outbox.Add(-int64(len(s.Accepted) + len(s.Rejected)))
	signal(p.room)
	p.uploader.beat()
	if r := p.current(); r != nil {
		r.settled(s)
	}
	return nil
}
