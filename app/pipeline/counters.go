package pipeline

import (
	"sync"
	"sync/atomic"
	"time"

	"mssentinel/app/job"
)

// counters count an attempt while it goes on.
type counters struct {
	started                                           time.Time
	expected, downloaded, converted, queued, uploaded atomic.Int64
	// uploadedBefore is what earlier attempts at the job had uploaded.
	uploadedBefore int64
	rate           rate
}

// startCounting takes over what earlier attempts sent: it is not sent again.
func (c *counters) startCounting(before job.Counts) {
	c.started = time.Now()
	c.uploadedBefore = before.Answered()
	c.queued.Store(before.Queued)
	c.uploaded.Store(c.uploadedBefore)
}

func (c *counters) elapsedTime() time.Duration { return time.Since(c.started) }

// addExpected takes the size of a query; below 0 it is not known.
func (c *counters) addExpected(total int64) { c.expected.Add(max(total, 0)) }

// countUploaded counts objects of the job for which Sentinel has answered.
func (c *counters) countUploaded(n int64) {
	c.uploaded.Add(n)
	c.rate.addCount(time.Now(), n)
}

// rateSpan is over how many seconds the rate is shown.
const rateSpan = 10

// rate counts by the second.
type rate struct {
	mu      sync.Mutex
	seconds [rateSpan + 1]struct{ at, n int64 }
}

func (r *rate) addCount(now time.Time, n int64) {
	r.mu.Lock()
	defer r.mu.Unlock()
	at := now.Unix()
	s := &r.seconds[at%int64(len(r.seconds))]
	if s.at != at {
		s.at, s.n = at, 0
	}
	s.n += n
}

// perSecond is the rate after a time of counting. A second is counted once it is over.
func (r *rate) perSecond(now time.Time, elapsed time.Duration) float64 {
	r.mu.Lock()
	defer r.mu.Unlock()
	sum := int64(0)
	for _, s := range r.seconds {
		if s.at < now.Unix() && s.at >= now.Unix()-rateSpan {
			sum += s.n
		}
	}
	return float64(sum) / min(rateSpan, max(1, elapsed.Seconds()))
}
