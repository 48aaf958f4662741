package pipeline

import (
	"sync"
	"time"
)

// sentinelWait is what Sentinel makes Upload wait for, and how long it did.
type sentinelWait struct {
	mu sync.Mutex
	// until and reason are the present wait, as it is shown. counted is up to when it is in total, zero while there is no
	// wait.
	until   time.Time
	reason  string
	counted time.Time
	total   time.Duration
}

// setWait begins, changes or, with the zero time, ends the wait.
func (w *sentinelWait) setWait(until time.Time, reason string) {
	w.mu.Lock()
	defer w.mu.Unlock()
	w.addElapsed(time.Now())
	w.until, w.reason = until, reason
	if until.IsZero() {
		w.counted = time.Time{}
	}
}

// addElapsed adds what was waited since it last did.
func (w *sentinelWait) addElapsed(now time.Time) {
	if !w.counted.IsZero() {
		w.total += now.Sub(w.counted)
	}
	w.counted = now
}

// presentWait is the zero time where Upload does not wait.
func (w *sentinelWait) presentWait() (until time.Time, reason string) {
	w.mu.Lock()
	defer w.mu.Unlock()
	return w.until, w.reason
}

// takeTotal gives what was waited since it was last taken.
func (w *sentinelWait) takeTotal() time.Duration {
	w.mu.Lock()
	defer w.mu.Unlock()
	if !w.counted.IsZero() {
		w.addElapsed(time.Now())
	}
	d := w.total
	w.total = 0
	return d
}

// returnTotal takes back what was taken and could not be kept.
func (w *sentinelWait) returnTotal(d time.Duration) {
	w.mu.Lock()
	defer w.mu.Unlock()
	w.total += d
}
