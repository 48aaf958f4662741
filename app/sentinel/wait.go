package sentinel

import (
	"context"
	"math/rand/v2"
	"slices"
	"time"
)

// An outage is sat out with pauses that grow from firstPause to longestPause, for about an hour.
const (
	firstPause   = 2 * time.Second // at most; half of it at least
	longestPause = time.Minute
	outageBudget = time.Hour
	// longestAsked bounds what a server that is out of order may ask for.
	longestAsked = 10 * time.Minute
)

// patience counts the failures in a row of something that may heal.
type patience struct {
	since time.Time // of the first failure
	tries int
}

// next says how long to wait before the next try, and whether there should be one. asked is what the server asked for.
func (p *patience) next(asked time.Duration) (time.Duration, bool) {
	if p.tries == 0 {
		p.since = time.Now()
	}
	if time.Since(p.since) >= outageBudget {
		return 0, false
	}
	most := min(firstPause<<min(p.tries, 10), longestPause)
	p.tries++
	return max(most/2+rand.N(most/2+1), min(asked, longestAsked)), true
}

// shortestShown is the shortest wait that is reported; shorter ones would flicker.
const shortestShown = time.Second

// waits are those that go on at the moment. The first to end is reported.
type waits struct {
	state chan waiting // holds the one state while nobody changes it, so that reports keep their order
}

type waiting struct {
	list  []wait
	shown wait
}

type wait struct {
	until  time.Time
	reason string
}

func newWaits() *waits {
	w := &waits{state: make(chan waiting, 1)}
	w.state <- waiting{}
	return w
}

// sleep waits until an instant, or returns the error of a context that ends before. report may be nil.
func (w *waits) sleep(ctx context.Context, until time.Time, reason string, report func(time.Time, string)) error {
	if err := ctx.Err(); err != nil {
		return err
	}
	d := time.Until(until)
	if d >= shortestShown && report != nil {
		this := wait{until, reason}
		w.change(report, func(list []wait) []wait { return append(list, this) })
		defer w.change(report, func(list []wait) []wait {
			i := slices.Index(list, this)
			return slices.Delete(list, i, i+1)
		})
	}
	timer := time.NewTimer(d)
	defer timer.Stop()
	select {
	case <-timer.C:
		return nil
	case <-ctx.Done():
		return ctx.Err()
	}
}

func (w *waits) change(report func(time.Time, string), edit func([]wait) []wait) {
	now := <-w.state
	now.list = edit(now.list)
	var first wait
	if len(now.list) > 0 {
		first = slices.MinFunc(now.list, func(a, b wait) int { return a.until.Compare(b.until) })
	}
	if first != now.shown {
		now.shown = first
		report(first.until, first.reason)
	}
	w.state <- now
}
