package mapping

import (
	"context"
	"errors"
	"fmt"
	"slices"
	"time"

	"google.golang.org/grpc/codes"
	"google.golang.org/grpc/status"

	"mssentinel/app/text"
	"mssentinel/plugins/mapper"
)

const (
	// maxRecords bounds a call, so that its deadline stays within a minute.
	maxRecords = 1000
	// recordOverhead is what a request adds to a record, in bytes, with plenty to spare.
	recordOverhead = 16
	// maxObjects bounds what one indicator may become, maxRemarks the problems and the notes about it, maxRemark the
	// bytes of each.
	maxObjects = 100
	maxRemarks = 20
	maxRemark  = 1000
)

// countFitting says how many of the first indicators go into one request, 0 when the first is too large for any.
func countFitting(indicators [][]byte) int {
	size := recordOverhead
	for n, raw := range indicators {
		size += len(raw) + recordOverhead
		if size > mapper.MaxMessage || n == maxRecords {
			return n
		}
	}
	return len(indicators)
}

// mapBatch answers for a batch that fits into a request, with what the App can send and show.
func (s *supervisor) mapBatch(ctx context.Context, batch [][]byte, now time.Time) ([]mapper.Answer, error) {
	answers, err := s.askMapper(ctx, batch, now)
	if err != nil {
		return nil, err
	}
	for i := range answers {
		checkAnswer(&answers[i])
	}
	return answers, nil
}

// askMapper gives the answers of the mapper as it made them, and those for records that it fails on.
func (s *supervisor) askMapper(ctx context.Context, batch [][]byte, now time.Time) ([]mapper.Answer, error) {
	if err := s.calls.Acquire(ctx, 1); err != nil {
		return nil, err
	}
	answers, err := s.callMapper(ctx, batch, now)
	s.calls.Release(1)
	var f *fault
	if errors.As(err, &f) {
		return s.mapOneByOne(ctx, batch, now)
	}
	return answers, err
}

// mapOneByOne answers record by record, with no other call in the process: so it is certain which one the mapper fails
// on, and finding it costs one death of the mapper. Halving the batch again and again would cost a death at each step,
// and more time.
func (s *supervisor) mapOneByOne(ctx context.Context, batch [][]byte, now time.Time) ([]mapper.Answer, error) {
	if err := s.calls.Acquire(ctx, maxCalls); err != nil {
		return nil, err
	}
	defer s.calls.Release(maxCalls)
	answers := make([]mapper.Answer, len(batch))
	for i := range batch {
		one, err := s.callMapper(ctx, batch[i:i+1], now)
		var f *fault
		switch {
		case errors.As(err, &f):
			answers[i] = failedAnswer("%s", f)
		case err != nil:
			return nil, err
		default:
			answers[i] = one[0]
		}
	}
	return answers, nil
}

// callMapper sends one request. A fault means that the mapper failed and that its process has ended; any other error is
// that of ctx, or ErrClosed.
func (s *supervisor) callMapper(ctx context.Context, batch [][]byte, now time.Time) ([]mapper.Answer, error) {
	p, err := s.acquireProcess(ctx)
	if err != nil {
		return nil, err
	}
	defer s.releaseProcess(p)
	limit := s.host.limits.callLimit(len(batch))
	callCtx, cancel := context.WithTimeout(ctx, limit)
	defer cancel()
	answers, err := p.rpc.Map(callCtx, batch, now)
	if status.Code(err) == codes.DeadlineExceeded {
		// The mapper knows the deadline too and may be the first to report it. Waiting tells whether ctx ended or the
		// call was too slow.
		<-callCtx.Done()
	}
	switch {
	case err == nil:
		s.recordSuccess()
		return answers, nil
	case ctx.Err() != nil:
		return nil, ctx.Err()
	case status.Code(err) == codes.ResourceExhausted:
		return nil, newFault("the mapper %s gave an answer of more than %d MiB for this indicator", s.description.Name, mapper.MaxMessage>>20)
	}
	return nil, s.endAfterFailure(p, s.describeFailure(p, err, limit))
}

// describeFailure says what a failed call looked like to the caller.
func (s *supervisor) describeFailure(p *process, err error, limit time.Duration) error {
	st, isStatus := status.FromError(err)
	switch {
	case !isStatus:
		return errors.New("it gave more or fewer answers than it was asked for")
	case st.Code() == codes.DeadlineExceeded:
		return fmt.Errorf("it did not answer within %s", limit)
	}
	// The connection is gone, and the process will be in a moment. Its exit status says more.
	select {
	case <-p.child.exited:
	case <-time.After(time.Second):
	}
	return fmt.Errorf("it broke off (%s)", st.Code())
}

// endAfterFailure ends a process that failed a call and returns the fault.
func (s *supervisor) endAfterFailure(p *process, reason error) error {
	s.requestStop(p, reason)
	<-p.gone
	if s.host.ctx.Err() != nil {
		return ErrClosed
	}
	if p.reason != nil {
		reason = p.reason
	}
	return newFault("the mapper %s failed on this indicator: %s", s.description.Name, reason)
}

// unfitObject begins the problem that stands for an object which cannot be sent.
const unfitObject = "the mapper made an object that cannot be sent: "

// checkAnswer holds every mapper to what the App can send and show.
func checkAnswer(a *mapper.Answer) {
	if len(a.Objects) > maxObjects {
		*a = failedAnswer("the mapper made %d objects of this indicator, more than %d", len(a.Objects), maxObjects)
		return
	}
	a.Objects = slices.DeleteFunc(a.Objects, func(o mapper.Object) bool {
		err := o.Check()
		if err != nil {
			a.Problems = append(a.Problems, unfitObject+err.Error())
		}
		return err != nil
	})
	if len(a.Objects) == 0 && len(a.Problems) == 0 {
		*a = failedAnswer("the mapper gave neither an object nor a reason")
		return
	}
	a.Problems, a.Notes = boundRemarks(a.Problems), boundRemarks(a.Notes)
}

// failedAnswer is the answer to an indicator that the mapper failed on: what it gives is not known.
func failedAnswer(format string, args ...any) mapper.Answer {
	a := mapper.Problem(format, args...)
	a.Failed = true
	return a
}

func boundRemarks(list []string) []string {
	list = list[:min(len(list), maxRemarks)]
	for i, remark := range list {
		list[i] = text.Cut(remark, maxRemark)
	}
	return list
}

// repeatAnswer repeats an answer.
func repeatAnswer(a mapper.Answer, n int) []mapper.Answer {
	return slices.Repeat([]mapper.Answer{a}, n)
}
