package pipeline

import (
	"context"
	"fmt"
	"time"

	"mssentinel/app/job"
	"mssentinel/app/ledger"
)

// The outbox is kept between these sizes, in rows: Convert waits above the upper one until the lower one is reached.
const (
	outboxFull = 8_000
	outboxRoom = 6_000
)

// apply writes mapped chunks to the ledger and the outbox, in the order in which they were read.
func (p *Pipeline) apply(mapped <-chan *chunk) {
	for c := range mapped {
		c.mapping.Wait()
		c.indicators = nil // what ThreatConnect wrote may be large and is not needed any more
		if err := p.applyChunk(c); err != nil {
			c.run.cancel(err)
		}
		p.converter.release()
		if c.applied != nil {
			close(c.applied)
		}
	}
}

// applyChunk does nothing for a run that is over.
func (p *Pipeline) applyChunk(c *chunk) error {
	ctx := c.run.ctx
	switch {
	case ctx.Err() != nil:
		return nil
	case c.last:
		return p.finishConvert(c.run)
	case len(c.found) == 0:
		return nil
	}
	if err := p.awaitRoom(ctx); err != nil {
		return err
	}
	if err := p.startConvert(c.run); err != nil {
		return err
	}
	batch := ledger.Batch{Job: c.run.job.Number, Mode: c.mode, Query: c.query, Unread: c.unread, Place: c.place, Found: c.found, Now: c.now}
	var counts job.Counts
	err := p.persist(ctx, func(ctx context.Context) (err error) {
		counts, err = p.Store.Apply(ctx, batch)
		return err
	})
	if err != nil {
		return fmt.Errorf("writing to the ledger: %w", err)
	}
	p.handedOver(c.run, counts)
	return nil
}

// handedOver tells Upload and the screens about new rows in the outbox.
func (p *Pipeline) handedOver(r *run, counts job.Counts) {
	r.downloaded.Add(counts.Downloaded)
	r.queued.Add(counts.Queued)
	p.outbox.Add(counts.Queued)
	p.converter.beat()
	p.uploader.wake()
}

// startConvert dates the first page that goes through.
func (p *Pipeline) startConvert(r *run) error {
	if r.converting {
		return nil
	}
	r.converting = true
	return p.advance(r, (*job.Job).NoteFirstConverted)
}

// finishConvert comes when everything that was read is in the ledger: what nobody gives any more is retired, unless a query
// could not be read.
func (p *Pipeline) finishConvert(r *run) error {
	if err := p.advance(r, func(j *job.Job, _ time.Time) error { return j.BeginRetiring() }); err != nil {
		return err
	}
	if len(r.failures) == 0 {
		if err := p.retire(r); err != nil {
			return err
		}
	}
	if err := p.advance(r, (*job.Job).FinishConvert); err != nil {
		return err
	}
	p.Logger.Info("job converted", "job", r.job.RequestID, "downloaded", r.downloaded.Load(), "objects", r.converted.Load(),
		"queued", r.queued.Load(), "retirements", r.retirement.Queued, "held", r.retirement.Held)
	close(r.sealed)
	p.uploader.wake()
	return nil
}

func (p *Pipeline) retire(r *run) error {
	err := p.persist(r.ctx, func(ctx context.Context) (err error) {
		r.retirement, err = p.Store.Retire(ctx, r.job.Number, time.Now().UTC())
		return err
	})
	if err != nil {
		return fmt.Errorf("retiring what is no longer selected: %w", err)
	}
	r.queued.Add(r.retirement.Queued)
	p.outbox.Add(r.retirement.Queued)
	return nil
}

// awaitRoom waits while the outbox is full, so that disk and memory stay bounded however slowly Sentinel takes things.
func (p *Pipeline) awaitRoom(ctx context.Context) error {
	if p.outbox.Load() <= outboxFull {
		return nil
	}
	defer p.converter.rest()()
	for p.outbox.Load() > outboxRoom {
		select {
		case <-ctx.Done():
			return context.Cause(ctx)
		case <-p.room:
		case <-time.After(recountEvery):
			if err := p.countOutbox(ctx); err != nil {
				return err
			}
		}
	}
	return p.countOutbox(ctx)
}

// recountEvery is how often who waits for room counts again, since the size between counts is an estimate.
const recountEvery = 30 * time.Second

func (p *Pipeline) countOutbox(ctx context.Context) error {
	total, err := p.Store.OutboxSize(ctx)
	if err != nil {
		return fmt.Errorf("counting what waits for upload: %w", err)
	}
	p.outbox.Store(total)
	return nil
}
