package sentinel

import (
	"context"
	"slices"
	"time"

	"mssentinel/app/retry"
)

// shortestShown is the shortest wait that is reported; shorter ones would flicker on a screen.
const shortestShown = time.Second

// waitReports report the waits of a client's deliveries: of those that go on at the moment, the first to end.
type waitReports struct {
	// state holds the one state while nobody changes it. Reports are made while it is taken out, so that they keep
	// their order.
	state chan openWaits
}

type openWaits struct {
	list     []wait
	reported wait
}

type wait struct {
	until  time.Time
	reason string
}

func newWaitReports() *waitReports {
	w := &waitReports{state: make(chan openWaits, 1)}
	w.state <- openWaits{}
	return w
}

// sleepReported waits until an instant, or returns the cause of a context that ends before. report may be nil.
func (w *waitReports) sleepReported(
	ctx context.Context, until time.Time, reason string, report func(time.Time, string),
) error {
	if ctx.Err() != nil {
		return context.Cause(ctx)
	}
	d := time.Until(until)
	if d >= shortestShown && report != nil {
		this := wait{until, reason}
		w.updateWaits(report, func(list []wait) []wait { return append(list, this) })
		defer w.updateWaits(report, func(list []wait) []wait {
			i := slices.Index(list, this)
			return slices.Delete(list, i, i+1)
		})
	}
	return retry.Sleep(ctx, d)
}

// updateWaits changes the list of waits, and reports the first to end if that is another one now.
func (w *waitReports) updateWaits(report func(time.Time, string), edit func([]wait) []wait) {
	s := <-w.state
	s.list = edit(s.list)
	var first wait
	if len(s.list) > 0 {
		first = slices.MinFunc(s.list, func(a, b wait) int { return a.until.Compare(b.until) })
	}
	if first != s.reported {
		s.reported = first
		report(first.until, first.reason)
	}
	w.state <- s
}
