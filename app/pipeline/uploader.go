package pipeline

import (
	"context"
	"errors"
	"fmt"
	"log/slog"
	"slices"
	"sync/atomic"
	"time"

	"mssentinel/app/job"
	"mssentinel/app/sentinel"
	"mssentinel/app/store"
	"mssentinel/app/text"
)

// Sentinel is where objects go.
type Sentinel interface {
	Deliver(ctx context.Context, source string, objects [][]byte, report sentinel.Report) error
}

// uploadStore is what the uploader needs of the store.
type uploadStore interface {
	Outgoing(ctx context.Context, after int64, limit int) ([]*store.Outgoing, error)
	TakeBack(ctx context.Context, sent int64) error
	Settle(ctx context.Context, s store.Settlement) error
	CancelJob(ctx context.Context, requestID string, now time.Time) error
	AddWait(ctx context.Context, day time.Time, d time.Duration) error
}

// uploader is the task Upload: it empties the outbox for as long as the Service runs, with a job or without.
type uploader struct {
	*task
	store    uploadStore
	sentinel Sentinel
	outbox   *outboxGauge
	disk     *disk
	log      *slog.Logger

	pages *pagesUnderWay
	// current is the attempt in hand, or nil.
	current *atomic.Pointer[attempt]
	// sent is the newest row of the outbox that was in a request.
	sent atomic.Int64
	// suspensions carries the wish that Upload lets go of the outbox for a while.
	suspensions chan suspension
	waits       sentinelWait
}

// errSuspended ends the requests under way because a command has to change the outbox.
var errSuspended = errors.New("upload was interrupted")

// suspension is the wish that Upload lets go of the outbox. begun is closed when it has, over when it may go on.
type suspension struct{ begun, over chan struct{} }

// grant lets the caller of suspendUpload work, and returns when Upload may go on.
func (s suspension) grant() {
	close(s.begun)
	<-s.over
}

// suspendUpload returns when no request is under way and Upload knows nothing of the outbox. Upload does nothing until
// resume is called. The error is that of a ctx that ends before Upload takes up the wish; from then on it takes no longer
// than sentinel gives the requests under way.
func (u *uploader) suspendUpload(ctx context.Context) (resume func(), err error) {
	s := suspension{begun: make(chan struct{}), over: make(chan struct{})}
	select {
	case u.suspensions <- s:
	case <-ctx.Done():
		return nil, ctx.Err()
	}
	<-s.begun
	return func() { close(s.over) }, nil
}

// cancelJob cancels a job that is not in hand. Its rows in the outbox are dropped, and none of them may be under way
// then: an answer that came after that would find no row to count.
func (u *uploader) cancelJob(ctx context.Context, requestID string) error {
	resume, err := u.suspendUpload(ctx)
	if err != nil {
		return fmt.Errorf("cancelling a job: %w", err)
	}
	defer resume()
	// What has begun is finished, even when the caller has given up waiting: rows are dropped in several transactions.
	if err := u.store.CancelJob(context.WithoutCancel(ctx), requestID, time.Now().UTC()); err != nil {
		return fmt.Errorf("cancelling a job: %w", err)
	}
	u.log.Info("job cancelled", "job", requestID)
	return nil
}

// settleOutcome writes down an answer. It does so even when the job was stopped meanwhile: Sentinel holds the objects.
func (u *uploader) settleOutcome(ctx context.Context, b batch, o sentinel.Outcome) error {
	s := store.Settlement{Slot: o.Slot, At: o.At, Accepted: make([]*store.Outgoing, len(o.Accepted))}
	for n, i := range o.Accepted {
		s.Accepted[n] = b.rows[i]
	}
	for _, r := range o.Rejected {
		rejected := store.RejectedObject{Outgoing: b.rows[r.Index], Code: job.Code(r.Code), Message: r.Message,
			MayStand: slices.Contains(o.MayStand, r.Index)}
		s.Rejected = append(s.Rejected, rejected)
	}
	err := u.disk.retryWrite(ctx, func(ctx context.Context) error { return u.store.Settle(ctx, s) })
	if err != nil {
		return fmt.Errorf("keeping what Sentinel accepted: %w", err)
	}
	u.outbox.removeRows(int64(len(s.Accepted) + len(s.Rejected)))
	u.noteActivity()
	if a := u.current.Load(); a != nil {
		a.countUploaded(rowsOf(s, a.job.Number))
	}
	return nil
}

// reportWait is told until when deliveries wait and why, and the zero time when none does any more.
func (u *uploader) reportWait(until time.Time, reason string) {
	u.waits.setWait(until, reason)
	u.excuseSilence(until)
	u.noteActivity()
	if until.IsZero() {
		u.setDetail("")
		return
	}
	u.setDetail("%s Next request at %s.", text.Sentence(reason), until.UTC().Format("15:04:05 UTC"))
}

// saveWaitTime adds to the day's total what Sentinel made Upload wait.
func (u *uploader) saveWaitTime(ctx context.Context) {
	d := u.waits.takeTotal()
	if d == 0 {
		return
	}
	if err := u.store.AddWait(ctx, time.Now().UTC(), d); err != nil {
		u.waits.returnTotal(d)
	}
}

// rowsOf is how many rows of a settlement are a job's.
func rowsOf(s store.Settlement, job int64) (n int64) {
	for i := range s.Accepted {
		if s.Accepted[i].Job == job {
			n++
		}
	}
	for i := range s.Rejected {
		if s.Rejected[i].Job == job {
			n++
		}
	}
	return n
}
