package sentinel

import (
	"time"

	"mssentinel/app/retry"
)

// outagePauses are the pauses between attempts while Sentinel or its login is out of order.
var outagePauses = retry.Backoff{First: 2 * time.Second, Longest: time.Minute}

const (
	// outageBudget is for how long after the first failure there are further attempts.
	outageBudget = time.Hour
	// longestAsked bounds the pause that a server which is out of order may ask for.
	longestAsked = 10 * time.Minute
)

// outage counts the failures in a row of something that may recover by itself. The zero value has seen none.
type outage struct {
	since    time.Time // the first failure
	failures int
}

// nextPause notes a failure and returns how long to wait before the next attempt: as long as the server asked for, if
// that is longer than our own pause, up to longestAsked. ok is false once outageBudget is spent.
func (o *outage) nextPause(asked time.Duration) (pause time.Duration, ok bool) {
	if o.failures == 0 {
		o.since = time.Now()
	}
	if time.Since(o.since) >= outageBudget {
		return 0, false
	}
	o.failures++
	return max(outagePauses.Jittered(o.failures), min(asked, longestAsked)), true
}
