package sentinelserver

import (
	"slices"
	"time"
)

// Request is what the stand-in remembers of one call of the upload API.
type Request struct {
	Time     time.Time `json:"time"`  // its arrival
	Ended    time.Time `json:"ended"` // when its answer was written
	Subject  string    `json:"subject"`
	Source   string    `json:"source,omitempty"`
	Status   int       `json:"status"`  // 0 when the connection was cut
	Counted  bool      `json:"counted"` // passed the checks before the throttle
	Objects  int       `json:"objects"`
	Accepted int       `json:"accepted"`
	Rejected int       `json:"rejected"`
	Warnings int       `json:"warnings"` // objects without spec_version
	Fault    Kind      `json:"fault,omitempty"`
}

// maxLog bounds the log; the oldest entries go first.
const maxLog = 200_000

// Requests returns the calls of the upload API in the order in which they ended (the last 200,000).
func (s *Server) Requests() []Request { return s.log.All() }

// RequestCount is the number of calls of the upload API so far.
func (s *Server) RequestCount() int { return s.log.Count() }

// MaxInWindow is the largest number of calls, throttled ones included, that one subject made within any window.
//
// With worst set, each call counts at the worst instant between its arrival and its answer: the number that a service
// could have seen wherever in the exchange it stamps a call.
func (s *Server) MaxInWindow(worst bool) int {
	starts, ends := map[string][]time.Time{}, map[string][]time.Time{}
	for _, r := range s.Requests() {
		if !r.Counted {
			continue
		}
		starts[r.Subject] = append(starts[r.Subject], r.Time)
		if !worst {
			r.Ended = r.Time
		}
		ends[r.Subject] = append(ends[r.Subject], r.Ended)
	}
	most := 0
	for subject, begun := range starts {
		over := ends[subject]
		slices.SortFunc(begun, time.Time.Compare)
		slices.SortFunc(over, time.Time.Compare)
		gone := 0
		for i, at := range begun {
			for gone < len(over) && at.Sub(over[gone]) >= s.options.Window {
				gone++
			}
			most = max(most, i+1-gone)
		}
	}
	return most
}
