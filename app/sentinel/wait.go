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

// add reports one more wait, and remove one less.
func (w *waitReports) add(this wait, report func(time.Time, string)) {
	w.updateWaits(report, func(list []wait) []wait { return append(list, this) })
}

func (w *waitReports) remove(this wait, report func(time.Time, string)) {
	w.updateWaits(report, func(list []wait) []wait {
		i := slices.Index(list, this)
		return slices.Delete(list, i, i+1)
	})
}

// sleepReported waits until an instant, or returns the cause of a context that ends before.
func (d *delivery) sleepReported(ctx context.Context, until time.Time, reason string) error {
	if ctx.Err() != nil {
		return context.Cause(ctx)
	}
	pause := time.Until(until)
	if pause >= shortestShown && d.report.OnWait != nil {
		this := wait{until, reason}
		d.client.waits.add(this, d.report.OnWait)
		defer d.client.waits.remove(this, d.report.OnWait)
	}
	return retry.Sleep(ctx, pause)
}

// sleepOutage waits as sleepReported does, and the reason stands until the next wait of an outage, or until it is over:
// it is true as well while the next attempt is under way, which may take a minute.
func (d *delivery) sleepOutage(ctx context.Context, until time.Time, reason string) error {
	if ctx.Err() != nil {
		return context.Cause(ctx)
	}
	pause := time.Until(until)
	if d.report.OnWait != nil && pause >= shortestShown {
		this := wait{until, reason}
		d.client.waits.add(this, d.report.OnWait)
		d.endOutage()
		d.outage = this
	}
	return retry.Sleep(ctx, pause)
}

// endOutage takes back the reason of the last outage.
func (d *delivery) endOutage() {
	if d.outage != (wait{}) {
		d.client.waits.remove(d.outage, d.report.OnWait)
		d.outage = wait{}
	}
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
