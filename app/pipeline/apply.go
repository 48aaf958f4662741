package pipeline

import (
	"context"
	"fmt"
	"log/slog"
	"time"

	"mssentinel/app/job"
	"mssentinel/app/ledger"
	"mssentinel/app/store"
)

// applyStore is what the applier needs of the store.
type applyStore interface {
	Apply(ctx context.Context, b ledger.Batch) (store.Applied, error)
	Retire(ctx context.Context, job int64, complete bool, now time.Time) (store.Retirement, error)
}

// applier is the second goroutine of Convert: it writes what the mappers gave to the ledger and the outbox.
type applier struct {
	*task
	store  applyStore
	outbox *outboxGauge
	disk   *disk
	log    *slog.Logger
	// uploads is the uploader's task, woken when rows were queued.
	uploads *task
	pages   *pagesUnderWay
	// mapUnknown is the converter's.
	mapUnknown func(k *chunk, indexes []int) error
}

// applyChunks writes mapped chunks to the ledger and the outbox, in the order in which they were read.
func (p *applier) applyChunks(mapped <-chan *chunk) {
	for k := range mapped {
		if err := p.applyChunk(k); err != nil {
			k.attempt.cancelIn(job.StepConvert)(err)
		}
		k.dropIndicators()
		k.endWork()
		if k.applied != nil {
			close(k.applied)
		}
	}
}

// applyChunk does nothing for an attempt that is over.
func (p *applier) applyChunk(k *chunk) error {
	a := k.attempt
	switch {
	case a.ctx.Err() != nil:
		return nil
	case k.last:
		return p.finishConvert(a)
	case len(k.found) == 0:
		return nil
	}
	if err := p.awaitRoom(a.ctx); err != nil {
		return err
	}
	if err := p.noteFirstChunk(a); err != nil {
		return err
	}
	p.pages.giveWay(a.ctx)
	counts, err := p.writeChunk(k)
	if err != nil {
		return err
	}
	if k.counted {
		a.reading.addApplied(len(k.found))
	}
	p.noteQueued(a, counts.Queued)
	p.noteActivity()
	p.uploads.wake()
	return nil
}

// writeChunk writes a chunk in one transaction, once all is mapped that has to be.
func (p *applier) writeChunk(k *chunk) (job.Counts, error) {
	batch := ledger.Batch{Job: k.attempt.job.Number, Mode: k.mode, Query: k.query, Unread: k.unread, Place: k.place, Found: k.found, Now: k.now}
	for {
		var applied store.Applied
		err := p.disk.retryWrite(k.attempt.ctx, func(ctx context.Context) (err error) {
			applied, err = p.store.Apply(ctx, batch)
			return err
		})
		if err != nil {
			return job.Counts{}, fmt.Errorf("writing to the ledger: %w", err)
		}
		if len(applied.Unknown) == 0 {
			return applied.Counts, nil
		}
		if err := p.mapUnknown(k, applied.Unknown); err != nil {
			return job.Counts{}, err
		}
	}
}

// awaitRoom waits while the outbox is full.
func (p *applier) awaitRoom(ctx context.Context) error {
	if !p.outbox.isFull() {
		return nil
	}
	defer p.beginWait()()
	return p.outbox.awaitRoom(ctx)
}

// noteFirstChunk dates the first page that goes through.
func (p *applier) noteFirstChunk(a *attempt) error {
	if a.convertNoted {
		return nil
	}
	a.convertNoted = true
	return a.advanceJob((*job.Job).NoteFirstConverted)
}

func (p *applier) noteQueued(a *attempt, rows int64) {
	a.queued.Add(rows)
	p.outbox.addRows(rows)
}

// finishConvert ends the work of Convert on an attempt, when everything that was read is in the ledger: it retires the
// objects that no candidate gives any more, and where a query could not be read those of them that are certainly gone.
func (p *applier) finishConvert(a *attempt) error {
	if err := a.advanceJob(func(j *job.Job, _ time.Time) error { return j.BeginRetiring() }); err != nil {
		return err
	}
	if err := p.retireDeparted(a); err != nil {
		return err
	}
	if err := a.advanceJob((*job.Job).FinishConvert); err != nil {
		return err
	}
	p.log.Info("job converted", "job", a.job.RequestID, "downloaded", a.reading.present().read, "objects", a.converted.Load(),
		"queued", a.queued.Load(), "retirements", a.retirement.Queued, "held", a.retirement.Held)
	close(a.allQueued)
	p.uploads.wake()
	return nil
}

// retireDeparted queues the retirement of what is no longer selected, or leaves the question to the operator. An update
// for a range leaves both to the next update.
func (p *applier) retireDeparted(a *attempt) error {
	if a.job.Ranged {
		return nil
	}
	err := p.disk.retryWrite(a.ctx, func(ctx context.Context) (err error) {
		a.retirement, err = p.store.Retire(ctx, a.job.Number, len(a.failures) == 0, time.Now().UTC())
		return err
	})
	if err != nil {
		return fmt.Errorf("retiring what is no longer selected: %w", err)
	}
	p.noteQueued(a, a.retirement.Queued)
	return nil
}
