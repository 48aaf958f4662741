package mapping

import (
	"context"
	"errors"
	"fmt"
	"slices"
	"time"

	"google.golang.org/grpc/codes"
	"google.golang.org/grpc/status"

	"mssentinel/plugins/mapper"
)

const (
	// maxRecords bounds a call, so that its deadline stays within a minute.
	maxRecords = 1000
	// recordOverhead is what a request adds to a record, in bytes, with plenty to spare.
	recordOverhead = 16
	// maxObjects bounds what one indicator may become, maxRemarks the problems and the notes about it, maxRemark the bytes
	// of each.
	maxObjects = 100
	maxRemarks = 20
	maxRemark  = 1000
)

// fitting says how many of the first indicators go into one request, 0 when the first is too large for any.
func fitting(indicators [][]byte) int {
	size := recordOverhead
	for n, raw := range indicators {
		size += len(raw) + recordOverhead
		if size > mapper.MaxMessage || n == maxRecords {
			return n
		}
	}
	return len(indicators)
}

// mapBatch answers for a batch that fits into a request.
func (s *supervisor) mapBatch(ctx context.Context, batch [][]byte, now time.Time) ([]mapper.Answer, error) {
	if err := s.calls.Acquire(ctx, 1); err != nil {
		return nil, err
	}
	answers, err := s.call(ctx, batch, now)
	s.calls.Release(1)
	var f *fault
	if errors.As(err, &f) {
		return s.isolate(ctx, batch, now)
	}
	return answers, err
}

// isolate answers record by record, with nobody else in the process: so it is certain which one the mapper fails on, and
// that costs one death of it. Halving the batch again and again would cost one at each step, and more time as well.
func (s *supervisor) isolate(ctx context.Context, batch [][]byte, now time.Time) ([]mapper.Answer, error) {
	if err := s.calls.Acquire(ctx, maxCalls); err != nil {
		return nil, err
	}
	defer s.calls.Release(maxCalls)
	answers := make([]mapper.Answer, len(batch))
	for i := range batch {
		one, err := s.call(ctx, batch[i:i+1], now)
		var f *fault
		switch {
		case errors.As(err, &f):
			answers[i] = failed("%s", f)
		case err != nil:
			return nil, err
		default:
			answers[i] = one[0]
		}
	}
	return answers, nil
}

// call sends one request. A fault means that the mapper failed, and has been ended if it was not at an end already; any
// other error is that of ctx, or ErrClosed.
func (s *supervisor) call(ctx context.Context, batch [][]byte, now time.Time) ([]mapper.Answer, error) {
	r, err := s.acquire(ctx)
	if err != nil {
		return nil, err
	}
	defer s.leave(r)
	limit := s.host.limits.call + time.Duration(len(batch))*s.host.limits.perRecord
	callCtx, cancel := context.WithTimeout(ctx, limit)
	defer cancel()
	answers, err := r.rpc.Map(callCtx, batch, now)
	if status.Code(err) == codes.DeadlineExceeded {
		// The mapper knows the deadline as well and may be first to say so. Whose it was shows in a moment.
		<-callCtx.Done()
	}
	switch {
	case err == nil:
		s.worked()
		check(answers)
		return answers, nil
	case ctx.Err() != nil:
		return nil, ctx.Err()
	case status.Code(err) == codes.ResourceExhausted:
		return nil, faultf("the mapper %s gave an answer of more than %d MiB for this indicator", s.description.Name, mapper.MaxMessage>>20)
	}
	return nil, s.lose(r, s.seen(r, err, limit))
}

// seen says what a failed call looked like from here.
func (s *supervisor) seen(r *run, err error, limit time.Duration) error {
	st, isStatus := status.FromError(err)
	switch {
	case !isStatus:
		return errors.New("it gave more or fewer answers than it was asked for")
	case st.Code() == codes.DeadlineExceeded:
		return fmt.Errorf("it did not answer within %s", limit)
	}
	// The connection is gone, and so is the process in a moment. How it ended says more.
	select {
	case <-r.child.exited:
	case <-time.After(time.Second):
	}
	return fmt.Errorf("it broke off (%s)", st.Code())
}

// lose ends a process that failed a call and returns the fault.
func (s *supervisor) lose(r *run, reason error) error {
	s.giveUp(r, reason)
	<-r.gone
	if s.host.ctx.Err() != nil {
		return ErrClosed
	}
	if r.reason != nil {
		reason = r.reason
	}
	return faultf("the mapper %s failed on this indicator: %s", s.description.Name, reason)
}

// check holds every mapper to what the App can send and show. Mappers that call mapper.Serve have been held to the objects'
// part of it already; looking again costs little and spares the question which ones have.
func check(answers []mapper.Answer) {
	for i := range answers {
		checkAnswer(&answers[i])
	}
}

func checkAnswer(a *mapper.Answer) {
	if len(a.Objects) > maxObjects {
		*a = failed("the mapper made %d objects of this indicator, more than %d", len(a.Objects), maxObjects)
		return
	}
	a.Objects = slices.DeleteFunc(a.Objects, func(o mapper.Object) bool {
		err := o.Check()
		if err != nil {
			a.Problems = append(a.Problems, fmt.Sprintf("the mapper made an object that cannot be sent: %s", err))
		}
		return err != nil
	})
	if len(a.Objects) == 0 && len(a.Problems) == 0 {
		*a = failed("the mapper gave neither an object nor a reason")
		return
	}
	a.Problems, a.Notes = remarks(a.Problems), remarks(a.Notes)
}

// failed is the answer to an indicator of which the App does not know what it gives.
func failed(format string, args ...any) mapper.Answer {
	a := mapper.Problem(format, args...)
	a.Failed = true
	return a
}

func remarks(list []string) []string {
	list = list[:min(len(list), maxRemarks)]
	for i, text := range list {
		list[i] = bounded(text, maxRemark)
	}
	return list
}

// same repeats an answer.
func same(a mapper.Answer, n int) []mapper.Answer { return slices.Repeat([]mapper.Answer{a}, n) }
