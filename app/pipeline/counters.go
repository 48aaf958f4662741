package pipeline

import (
	"sync"
	"sync/atomic"
	"time"

	"mssentinel/app/job"
)

// counters count an attempt while it goes on.
type counters struct {
	started                     time.Time
	converted, queued, uploaded atomic.Int64
	// known counts the indicators that are as the ledger knows them and were not mapped.
	known atomic.Int64
	// queuedBefore and uploadedBefore are what earlier attempts at the job had queued and uploaded.
	queuedBefore, uploadedBefore int64
	rate                         rate
	reading                      reading
	furthest                     furthest
}

// startCounting takes over what earlier attempts sent: it is not sent again. What they read is read again, and counts anew.
func (c *counters) startCounting(before job.Counts) {
	c.started = time.Now()
	c.queuedBefore, c.uploadedBefore = before.Queued, before.Answered()
	c.queued.Store(c.queuedBefore)
	c.uploaded.Store(c.uploadedBefore)
}

func (c *counters) elapsedTime() time.Duration { return time.Since(c.started) }

// countUploaded counts objects of the job for which Sentinel has answered.
func (c *counters) countUploaded(n int64) {
	c.uploaded.Add(n)
	c.rate.addCount(time.Now(), n)
}

// reading counts the rows that the queries of an attempt return, those that are asked for once more left out.
type reading struct {
	mu sync.Mutex
	extent
}

// extent is how far an attempt has read.
type extent struct {
	// queries is how many queries are read, begun how many of them were begun; inQuery are the rows read of the last one, size
	// is how many it has in all, which is known once it is sized.
	queries, begun int
	inQuery, size  int64
	sized          bool
	// expected are the rows of all queries that were begun, read those handed to Convert, applied those in the ledger.
	expected, read, applied int64
	// unsized says that ThreatConnect did not say how many rows a query has.
	unsized bool
}

// beginQueries says how many queries are read.
func (r *reading) beginQueries(n int) {
	r.mu.Lock()
	defer r.mu.Unlock()
	r.queries = n
}

// beginQuery says that the next query is read.
func (r *reading) beginQuery() {
	r.mu.Lock()
	defer r.mu.Unlock()
	r.begun++
	r.inQuery, r.size, r.sized = 0, 0, false
}

// setSize takes how many rows the query in hand has; below 0 that is not known.
func (r *reading) setSize(total int64) {
	r.mu.Lock()
	defer r.mu.Unlock()
	r.size, r.sized = max(total, 0), total >= 0
	r.expected += r.size
	r.unsized = r.unsized || total < 0
}

func (r *reading) addRead(rows int) {
	r.mu.Lock()
	defer r.mu.Unlock()
	r.read += int64(rows)
	r.inQuery += int64(rows)
}

func (r *reading) addApplied(rows int) {
	r.mu.Lock()
	defer r.mu.Unlock()
	r.applied += int64(rows)
}

func (r *reading) present() extent {
	r.mu.Lock()
	defer r.mu.Unlock()
	return r.extent
}

// isSized says that it is known how many rows there are in all.
func (e extent) isSized() bool { return e.begun >= e.queries && e.sized && !e.unsized }

// unread is how many rows of the queries that were begun are not in the ledger yet.
func (e extent) unread() int64 { return max(0, e.expected-e.applied) }

// share is how much of all queries was read, each as much as another: how large those are that come is not known.
func (e extent) share() float64 {
	if e.queries == 0 || e.begun == 0 {
		return 0
	}
	within := 0.0
	if e.size > 0 {
		within = min(1, float64(e.inQuery)/float64(e.size))
	}
	return (float64(e.begun-1) + within) / float64(e.queries)
}

// furthest keeps how far each stage was at most: what is still to come is an estimate that may grow, and no bar runs backwards
// for that.
type furthest struct {
	mu sync.Mutex
	shares
}

// shares are how far each stage is.
type shares struct{ download, convert, upload float64 }

func (f *furthest) advance(s shares) shares {
	f.mu.Lock()
	defer f.mu.Unlock()
	f.shares = shares{max(f.download, s.download), max(f.convert, s.convert), max(f.upload, s.upload)}
	return f.shares
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
