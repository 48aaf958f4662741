// Package retry holds what every caller that tries again needs: pauses that grow, a server's Retry-After, and a sleep that a
// context ends. Whether something is tried again is decided by the caller.
package retry

import (
	"context"
	"math/rand/v2"
	"net/http"
	"strconv"
	"strings"
	"time"
)

// Backoff is a sequence of pauses: the first one, then twice as long each time, up to the longest.
type Backoff struct {
	First, Longest time.Duration
}

// Pause is the pause after the nth failure in a row, n from 1.
func (b Backoff) Pause(n int) time.Duration {
	pause := b.First
	for i := 1; i < n && pause < b.Longest; i++ {
		pause *= 2
	}
	return min(pause, b.Longest)
}

// Jittered is between half of [Backoff.Pause] and all of it, so that processes that failed together do not return together.
func (b Backoff) Jittered(n int) time.Duration {
	pause := b.Pause(n)
	return pause/2 + rand.N(pause/2+1)
}

// longestAfter bounds what [After] gives: a number of seconds in a header may be anything.
const longestAfter = 24 * time.Hour

// After reads the header Retry-After in both of its forms, 0 to 24 hours. A date is taken relative to the server's own clock,
// its header Date; now stands in where that is missing. ok is false where the header is missing or cannot be read.
func After(header http.Header, now time.Time) (wait time.Duration, ok bool) {
	text := strings.TrimSpace(header.Get("Retry-After"))
	if seconds, err := strconv.Atoi(text); err == nil {
		return time.Duration(max(min(seconds, int(longestAfter.Seconds())), 0)) * time.Second, true
	}
	at, err := http.ParseTime(text)
	if err != nil {
		return 0, false
	}
	if sent, err := http.ParseTime(header.Get("Date")); err == nil {
		now = sent
	}
	return min(max(at.Sub(now), 0), longestAfter), true
}

// Sleep waits for d, or until ctx ends, and then returns why it did.
func Sleep(ctx context.Context, d time.Duration) error {
	timer := time.NewTimer(d)
	defer timer.Stop()
	select {
	case <-timer.C:
		return nil
	case <-ctx.Done():
		return context.Cause(ctx)
	}
}
