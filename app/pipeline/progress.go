package pipeline

import (
	"context"
	"fmt"
	"sync"
	"sync/atomic"
	"time"

	"mssentinel/app/job"
	"mssentinel/app/store"
)

// Progress is the state of the job that runs; an empty RequestID means that none does.
// Expected and Downloaded count ThreatConnect indicators, the rest STIX objects.
type Progress struct {
	RequestID  string
	Stage      string
	Expected   int64
	Downloaded int64
	Converted  int64
	Queued     int64
	Uploaded   int64
	// Rate is in objects a second.
	Rate float64
	// WaitUntil is zero where it is not known how long the job waits.
	WaitUntil  time.Time
	WaitReason string
	// Remaining is 0 while it is unknown.
	Remaining time.Duration
}

// counters count an attempt while it goes on.
type counters struct {
	started                                           time.Time
	expected, downloaded, converted, queued, uploaded atomic.Int64
	// before is what earlier attempts of the job had uploaded.
	before int64
	rate   rate
}

// startCounting takes over what earlier attempts sent: it is not sent again.
func (r *run) startCounting(j job.Job) {
	r.started = time.Now()
	r.before = j.Uploaded + j.Rejected + j.Retired
	r.queued.Store(j.Queued)
	r.uploaded.Store(r.before)
}

func (r *run) age() time.Duration { return time.Since(r.started) }

// expect takes the size of a query; below 0 it is not known.
func (r *run) expect(total int64) { r.expected.Add(max(total, 0)) }

// settled counts what Sentinel answered about objects of the job.
func (r *run) settled(s store.Settlement) {
	n := int64(0)
	for i := range s.Accepted {
		if s.Accepted[i].Job == r.job.Number {
			n++
		}
	}
	for i := range s.Rejected {
		if s.Rejected[i].Job == r.job.Number {
			n++
		}
	}
	r.uploaded.Add(n)
	r.rate.add(time.Now(), n)
}

// rateSpan is over how many seconds the rate is shown.
const rateSpan = 10

// rate counts by the second.
type rate struct {
	mu      sync.Mutex
	seconds [rateSpan + 1]struct{ at, n int64 }
}

func (r *rate) add(now time.Time, n int64) {
	r.mu.Lock()
	defer r.mu.Unlock()
	at := now.Unix()
	s := &r.seconds[at%int64(len(r.seconds))]
	if s.at != at {
		s.at, s.n = at, 0
	}
	s.n += n
}

// a second is counted once it is over.
func (r *rate) perSecond(now time.Time, age time.Duration) float64 {
	r.mu.Lock()
	defer r.mu.Unlock()
	sum := int64(0)
	for _, s := range r.seconds {
		if s.at < now.Unix() && s.at >= now.Unix()-rateSpan {
			sum += s.n
		}
	}
	return float64(sum) / min(rateSpan, max(1, age.Seconds()))
}

// Progress tells how far the job in hand is.
func (p *Pipeline) Progress() Progress {
	r := p.current()
	if r == nil {
		return Progress{}
	}
	v := Progress{RequestID: r.job.RequestID, Stage: r.stage(), Expected: r.expected.Load(), Downloaded: r.downloaded.Load(),
		Converted: r.converted.Load(), Queued: r.queued.Load(), Uploaded: r.uploaded.Load(), Rate: r.rate.perSecond(time.Now(), r.age())}
	if v.WaitUntil, v.WaitReason = p.wait.now(); v.WaitReason == "" {
		v.WaitReason = p.silence()
	}
	v.Remaining = p.remaining(r, v)
	return v
}

// longSilence is how long ThreatConnect may take to answer before the screens say so.
const longSilence = 30 * time.Second

// silence says that ThreatConnect has given no answer of use for a while: nothing else keeps Download from a sign of life.
func (p *Pipeline) silence() string {
	since := p.downloader.waitsSince()
	if since.IsZero() || time.Since(since) < longSilence {
		return ""
	}
	return fmt.Sprintf("ThreatConnect has not answered since %s; it is asked again and again", since.UTC().Format("15:04:05 UTC"))
}

// stage is the first one that is not complete.
func (r *run) stage() string {
	switch {
	case done(r.sealed):
		return "Upload"
	case r.allRead.Load():
		return "Convert"
	}
	return "Download"
}

// remaining estimates the time left from the pace of the upload so far, which includes its waits, and never promises more
// than the limit on requests and the wait at hand allow. It is 0 while there is nothing to go by.
func (p *Pipeline) remaining(r *run, v Progress) time.Duration {
	left := float64(v.Queued - v.Uploaded)
	if unread := v.Expected - v.Downloaded; unread > 0 && v.Downloaded > 0 && !done(r.sealed) {
		left += float64(unread) * float64(v.Queued) / float64(v.Downloaded)
	}
	pace := float64(v.Uploaded-r.before) / max(1, r.age().Seconds())
	if p.Pace > 0 && (pace == 0 || pace > p.Pace) {
		pace = p.Pace
	}
	if left <= 0 || pace == 0 {
		return 0
	}
	return max(time.Duration(left/pace*float64(time.Second)), time.Until(v.WaitUntil)).Round(time.Second)
}

// wait is what Sentinel makes Upload wait for.
type wait struct {
	mu           sync.Mutex
	until, since time.Time
	reason       string
	waited       time.Duration
}

// reportWait is told until when deliveries wait and why, and the zero time when none does any more.
func (p *Pipeline) reportWait(until time.Time, reason string) {
	p.wait.set(until, reason)
	p.uploader.excuse(until)
	p.uploader.beat()
	if until.IsZero() {
		p.uploader.say("")
		return
	}
	p.uploader.say("%s, next request at %s", reason, until.UTC().Format("15:04:05 UTC"))
}

func (w *wait) set(until time.Time, reason string) {
	w.mu.Lock()
	defer w.mu.Unlock()
	w.count(time.Now())
	w.until, w.reason = until, reason
	if until.IsZero() {
		w.since = time.Time{}
	}
}

// count adds what was waited since it last did.
func (w *wait) count(now time.Time) {
	if !w.since.IsZero() {
		w.waited += now.Sub(w.since)
	}
	w.since = now
}

func (w *wait) now() (time.Time, string) {
	w.mu.Lock()
	defer w.mu.Unlock()
	return w.until, w.reason
}

// take gives what was waited since it was last taken.
func (w *wait) take() time.Duration {
	w.mu.Lock()
	defer w.mu.Unlock()
	if !w.since.IsZero() {
		w.count(time.Now())
	}
	d := w.waited
	w.waited = 0
	return d
}

func (w *wait) giveBack(d time.Duration) {
	w.mu.Lock()
	defer w.mu.Unlock()
	w.waited += d
}

// keepWait adds to the day's total what Sentinel made Upload wait.
func (p *Pipeline) keepWait(ctx context.Context) {
	d := p.wait.take()
	if d == 0 {
		return
	}
	if err := p.Store.AddWait(ctx, time.Now().UTC(), d); err != nil {
		p.wait.giveBack(d)
	}
}
