package sentinelserver

import (
	"sync"
	"time"
)

// throttle is a sliding window per subject: a call is let through while fewer than limit were let through in the window
// before it. Calls that are not let through do not count. app/docs/sentinel.md#limits
type throttle struct {
	window time.Duration
	limit  int

	mu    sync.Mutex
	calls map[string][]time.Time // of each subject, the calls let through in the window, oldest first
}

// takeCall lets a call through (0), or says how long the subject has to wait.
func (t *throttle) takeCall(subject string, now time.Time) time.Duration {
	if t.limit < 0 {
		return 0
	}
	t.mu.Lock()
	defer t.mu.Unlock()
	calls := t.calls[subject]
	for len(calls) > 0 && now.Sub(calls[0]) >= t.window {
		calls = calls[1:]
	}
	if t.calls == nil {
		t.calls = map[string][]time.Time{}
	}
	if len(calls) >= t.limit {
		t.calls[subject] = calls
		return t.window - now.Sub(calls[0])
	}
	t.calls[subject] = append(calls, now)
	return 0
}

// wholeSeconds rounds up, as a Retry-After has to.
func wholeSeconds(d time.Duration) int {
	return max(1, int((d+time.Second-1)/time.Second))
}
