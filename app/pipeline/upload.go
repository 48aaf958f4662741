package pipeline

import (
	"context"
	"errors"
	"fmt"
	"sync"
	"time"

	"mssentinel/app/job"
	"mssentinel/app/sentinel"
	"mssentinel/app/store"
)

const (
	// maxRequests is how many requests may be under way.
	maxRequests = 8
	// readAhead is how many rows of the outbox are read at a time, and below how many more are read.
	readAhead = 1000
	// fillTime is how long the rows of a batch that is not full wait for more while a job reads on.
	fillTime = 2 * time.Second
	// uploadRetry is when Upload tries again by itself after a failure.
	uploadRetry = 5 * time.Minute
)

// uploadObjects works until ctx ends.
func (u *uploader) uploadObjects(ctx context.Context) {
	for ctx.Err() == nil {
		s := u.newSession(ctx)
		err := s.emptyOutbox()
		switch {
		case ctx.Err() != nil || errors.Is(err, errSuspended):
		case store.Unavailable(err):
			u.log.Error("the database cannot be used; upload goes on in 30 s", "error", err)
			u.disk.waitAfter(ctx, err)
		default:
			u.log.Error("upload failed, what waits stays queued", "error", err)
			u.awaitReason(ctx, err, s.failed)
		}
	}
}

// awaitReason waits for a reason to try again after a failure. What was not accepted is still in the outbox. failed is the
// attempt that the failure ended; another one has not tried yet, and does not wait.
func (u *uploader) awaitReason(ctx context.Context, err error, failed *attempt) {
	if a := u.current.Load(); a != nil && a != failed {
		return
	}
	u.setDetail("Failed, tries again by itself: %s", describeFailure(err))
	u.setNextRun(time.Now().Add(uploadRetry))
	defer u.setDetail("")
	defer u.setNextRun(time.Time{})
	select {
	case <-ctx.Done():
	case <-u.woken:
	case <-time.After(uploadRetry):
	case wish := <-u.suspensions:
		wish.grant()
	}
}

// uploadSession is Upload's work from when it reads the outbox from its head until something fails or it is suspended.
// It belongs to the goroutine of Upload; only deliverBatch runs aside.
type uploadSession struct {
	*uploader
	ctx    context.Context
	cancel context.CancelCauseFunc

	queue outboxQueue
	// after is the last row that was read; more says that there may be others behind it.
	after int64
	more  bool
	// grown is when rows last came in.
	grown time.Time
	// requests is how many are under way, returned carries each when it has ended.
	requests int
	returned chan request
	// endWork ends the piece of work that TASKS shows while requests are under way; nil while none is.
	endWork func()

	// failure is done once the session has failed or was killed; failed is the attempt that ended with it, or nil.
	failure sync.Once
	failed  *attempt
}

// request is a request that has ended.
type request struct {
	batch batch
	err   error
	// attempt was in hand when the request ended, or nil.
	attempt *attempt
}

func (u *uploader) newSession(ctx context.Context) *uploadSession {
	s := &uploadSession{uploader: u, queue: outboxQueue{underWay: map[int64]bool{}}, more: true,
		returned: make(chan request, maxRequests)}
	s.ctx, s.cancel = context.WithCancelCause(ctx)
	return s
}

// emptyOutbox sends what is in the outbox until something fails or Upload is suspended. What it does not get rid of
// stays there, and the next session reads it again.
func (s *uploadSession) emptyOutbox() error {
	defer s.letGo()
	if err := s.outbox.recount(s.ctx); err != nil {
		return s.fail(err, s.current.Load())
	}
	for {
		late, err := s.sendNext()
		if err != nil {
			return s.fail(err, s.current.Load())
		}
		select {
		case <-s.ctx.Done():
			return s.fail(context.Cause(s.ctx), s.current.Load())
		case r := <-s.returned:
			s.endRequest(r)
			if s.ctx.Err() != nil {
				return s.fail(context.Cause(s.ctx), s.current.Load())
			}
			if r.err != nil {
				return s.fail(r.err, r.attempt)
			}
		case <-s.woken:
			s.more = true
		case <-late:
		case wish := <-s.suspensions:
			s.letGo()
			wish.grant()
			return errSuspended
		}
	}
}

// fail ends the session and the attempt that was in hand when it failed, before the requests under way are waited for:
// by then another attempt may be in hand. A wake that was left until now is by what failed, and no reason to try again.
// While the database is unavailable nothing has failed.
func (s *uploadSession) fail(err error, inHand *attempt) error {
	if store.Unavailable(err) {
		return err
	}
	if s.ctx.Err() != nil {
		err = context.Cause(s.ctx)
	}
	select {
	case <-s.woken:
	default:
	}
	s.endAttempt(err, inHand)
	return err
}

// killWork ends the session and the attempt in hand.
func (s *uploadSession) killWork(cause error) { s.endAttempt(cause, s.current.Load()) }

// endAttempt ends the session and an attempt. Only its first call counts: a session that was killed or has failed is not
// killed once more, which would end the next attempt.
func (s *uploadSession) endAttempt(cause error, inHand *attempt) {
	s.failure.Do(func() {
		s.failed = inHand
		if inHand != nil {
			inHand.cancelIn(job.StepUpload)(cause)
		}
		s.cancel(cause)
	})
}

// sendNext reads on, sends off what can be sent, and tells the job in hand how its upload stands. late is when a batch
// that is not full shall wait no longer.
func (s *uploadSession) sendNext() (late <-chan time.Time, err error) {
	if s.isPaused() {
		return nil, nil
	}
	// Whether all of the job is in the outbox is asked before the outbox is read.
	a := s.current.Load()
	if a != nil && isClosed(a.allQueued) {
		s.more = s.more || s.isIdle()
	} else {
		a = nil
	}
	if err := s.readRows(); err != nil {
		return nil, err
	}
	if late, err = s.startRequests(); err != nil {
		return nil, err
	}
	if s.requests == 0 {
		s.endIdleWork()
	}
	if a != nil {
		err = s.finishUpload(a)
	}
	return late, err
}

func (s *uploadSession) isIdle() bool { return s.requests == 0 && len(s.queue.rows) == 0 }

func (s *uploadSession) endIdleWork() {
	if s.endWork != nil {
		s.endWork()
		s.endWork = nil
	}
}

func (s *uploadSession) readRows() error {
	for s.more && len(s.queue.rows) < readAhead {
		rows, err := s.store.Outgoing(s.ctx, s.after, readAhead)
		if err != nil {
			return fmt.Errorf("reading the outbox: %w", err)
		}
		if s.more = len(rows) == readAhead; len(rows) > 0 {
			s.after = rows[len(rows)-1].Seq
			s.queue.rows = append(s.queue.rows, rows...)
			s.grown = time.Now()
		}
	}
	return nil
}

// startRequests sends off batches. One that is not full waits a little while a job still brings more.
func (s *uploadSession) startRequests() (late <-chan time.Time, err error) {
	for s.requests < maxRequests {
		b, full := s.queue.nextBatch()
		if len(b.rows) == 0 {
			return nil, nil
		}
		if left := fillTime - time.Since(s.grown); !full && left > 0 && s.expectsMore() {
			return time.After(left), nil
		}
		if err := s.noteFirstRequest(b); err != nil {
			return nil, err
		}
		s.queue.startBatch(b)
		s.requests++
		if s.endWork == nil {
			s.endWork = s.beginWork(s.killWork)
		}
		go func() {
			err := s.deliverBatch(b)
			s.returned <- request{b, err, s.current.Load()}
		}()
	}
	return nil, nil
}

// expectsMore tells whether a job is still reading.
func (s *uploadSession) expectsMore() bool {
	a := s.current.Load()
	return a != nil && !isClosed(a.allQueued)
}

func (s *uploadSession) endRequest(r request) {
	s.requests--
	s.queue.endBatch(r.batch)
}

// stopRequests ends the requests under way and waits for them.
func (s *uploadSession) stopRequests() {
	s.cancel(errSuspended)
	for s.requests > 0 {
		s.endRequest(<-s.returned)
	}
	s.endIdleWork()
}

// letGo ends the requests under way, and gives the store back what was read and never sent.
func (s *uploadSession) letGo() {
	s.stopRequests()
	if err := s.store.TakeBack(context.WithoutCancel(s.ctx), s.sent.Load()); err != nil {
		s.log.Warn("what was read from the outbox and not sent counts as under way", "error", err)
	}
}

// noteSent says that a request with the batch begins.
func (s *uploadSession) noteSent(b batch) {
	newest := b.rows[len(b.rows)-1].Seq
	for sent := s.sent.Load(); sent < newest; sent = s.sent.Load() {
		if s.sent.CompareAndSwap(sent, newest) {
			return
		}
	}
}

// deliverBatch sends a batch and settles each answer in the store. What is settled is final, even if the rest of the
// batch fails.
func (s *uploadSession) deliverBatch(b batch) error {
	s.pages.giveWay(s.ctx)
	objects := make([][]byte, len(b.rows))
	for i := range b.rows {
		objects[i] = b.rows[i].Payload
	}
	settle := func(o sentinel.Outcome) error { return s.settleOutcome(s.ctx, b, o) }
	return s.sentinel.Deliver(s.ctx, b.source, objects, sentinel.Report{Settle: settle, OnSend: func() { s.noteSent(b) }, OnWait: s.reportWait})
}

// noteFirstRequest dates the first request with objects of the job.
func (s *uploadSession) noteFirstRequest(b batch) error {
	a := s.current.Load()
	if a == nil || a.uploadNoted || !b.holdsJob(a.job.Number) {
		return nil
	}
	a.uploadNoted = true
	return advanceIfOpen(a, (*job.Job).NoteFirstUploaded)
}

// finishUpload tells a job all of which is in the outbox how its upload stands. Once the outbox was found empty after
// that, all that the job queued has been settled.
func (s *uploadSession) finishUpload(a *attempt) error {
	if !a.uploadBegun {
		a.uploadBegun = true
		if err := advanceIfOpen(a, (*job.Job).BeginUpload); err != nil {
			return err
		}
	}
	if s.isIdle() && !s.more && !isClosed(a.allSettled) {
		close(a.allSettled)
	}
	return nil
}

// advanceIfOpen carries out a transition of the job in hand. That the job is over meanwhile does not keep Upload from
// its work.
func advanceIfOpen(a *attempt, transition func(j *job.Job, now time.Time) error) error {
	err := a.advanceJob(transition)
	if a.ctx.Err() != nil || errors.Is(err, job.ErrState) {
		return nil
	}
	return err
}
