package pipeline

import (
	"context"
	"sync/atomic"
	"time"
)

// pagesUnderWay has updates give way to whoever waits for a page. Both share the processors, and an update that takes a little longer
// is nothing to notice, where Sentinel's limit sets its pace. A page that is late is.
type pagesUnderWay struct{ atomic.Int64 }

const (
	// longestPause bounds for how long a piece of work gives way: updates go on whatever is asked for. A page of 800 indicators of nine
	// types is some twelve calls to mappers: five a second are still about twice what Sentinel takes.
	longestPause = 200 * time.Millisecond
	// lookAgain is how soon a piece of work sees that the pages are done.
	lookAgain = 2 * time.Millisecond
)

// BeginPage says that somebody waits for a page, until done is called.
func (p *Pipeline) BeginPage() (done func()) {
	p.pages.Add(1)
	return func() { p.pages.Add(-1) }
}

// giveWay waits before a piece of work while pages are being made.
func (p *pagesUnderWay) giveWay(ctx context.Context) {
	for paused := time.Duration(0); p.Load() > 0 && paused < longestPause; paused += lookAgain {
		select {
		case <-ctx.Done():
			return
		case <-time.After(lookAgain):
		}
	}
}
