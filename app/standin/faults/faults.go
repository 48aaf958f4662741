// Package faults is what the stand-ins of ThreatConnect and Sentinel have in common: faults that strike some of their
// requests, and a log of the requests.
package faults

import (
	"math/rand/v2"
	"net/http"
	"slices"
	"sync"
	"time"
)

// List holds the faults of a stand-in side by side.
type List[F any] struct {
	when   func(*F) When
	random *rand.Rand

	mu     sync.Mutex
	active []F
}

// When says which of the requests that a fault concerns it strikes. The pointers lead into the fault.
type When struct {
	Count *int    // how many it strikes; negative: all, until it is cleared
	After *int    // how many it lets pass first
	Rate  float64 // above 0: the share of requests it strikes, at random
}

// NewList makes an empty list. The same seed strikes the same requests.
func NewList[F any](seed uint64, when func(*F) When) *List[F] {
	return &List[F]{when: when, random: rand.New(rand.NewPCG(seed, 1))}
}

// Add adds a fault.
func (l *List[F]) Add(f F) {
	l.mu.Lock()
	defer l.mu.Unlock()
	l.active = append(l.active, f)
}

// Clear ends all faults.
func (l *List[F]) Clear() {
	l.mu.Lock()
	defer l.mu.Unlock()
	l.active = nil
}

// Take finds the fault that strikes a request, and counts it. Of those that concern the request and could strike, the
// oldest does.
func (l *List[F]) Take(concerns func(F) bool) (struck F, ok bool) {
	l.mu.Lock()
	defer l.mu.Unlock()
	for i := range l.active {
		if !concerns(l.active[i]) {
			continue
		}
		when := l.when(&l.active[i])
		if *when.After > 0 {
			*when.After--
			continue
		}
		if when.Rate > 0 && l.random.Float64() >= when.Rate {
			continue
		}
		struck = l.active[i]
		if *when.Count > 0 {
			if *when.Count--; *when.Count == 0 {
				l.active = slices.Delete(l.active, i, i+1)
			}
		}
		return struck, true
	}
	return struck, false
}

// Pause keeps a request waiting for d, or for ever if d is 0, and says whether the request goes on afterwards: not when
// its client left or the stand-in was closed.
func Pause(r *http.Request, d time.Duration, closed <-chan struct{}) bool {
	var elapsed <-chan time.Time
	if d > 0 {
		timer := time.NewTimer(d)
		defer timer.Stop()
		elapsed = timer.C
	}
	select {
	case <-elapsed:
		return true
	case <-r.Context().Done():
	case <-closed:
	}
	return false
}

// Log keeps the last Most requests in the order in which they ended.
type Log[R any] struct {
	Most int

	mu      sync.Mutex
	entries []R
	total   int
}

// Add adds a request.
func (l *Log[R]) Add(r R) {
	l.mu.Lock()
	defer l.mu.Unlock()
	l.total++
	l.entries = append(l.entries, r)
	if len(l.entries) > l.Most+l.Most/4 {
		l.entries = slices.Clone(l.entries[len(l.entries)-l.Most:])
	}
}

// All returns what is kept.
func (l *Log[R]) All() []R {
	l.mu.Lock()
	defer l.mu.Unlock()
	return slices.Clone(l.entries)
}

// Count is the number of requests so far.
func (l *Log[R]) Count() int {
	l.mu.Lock()
	defer l.mu.Unlock()
	return l.total
}
