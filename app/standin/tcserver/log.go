package tcserver

import "time"

// Request is what the stand-in remembers of one call of the API. It holds no signature and no token.
type Request struct {
	Time    time.Time `json:"time"`
	Ended   time.Time `json:"ended"`
	Method  string    `json:"method"`
	Target  string    `json:"target"` // path and query as sent
	TQL     string    `json:"tql,omitempty"`
	Owner   string    `json:"owner,omitempty"`
	Sorting string    `json:"sorting,omitempty"`
	Status  int       `json:"status"` // 0 when the connection was cut or the client left
	Rows    int       `json:"rows"`
	Fault   Kind      `json:"fault,omitempty"`
}

// maxLog bounds the log; the oldest entries go first.
const maxLog = 50_000

// Requests returns the calls in the order in which they ended (the last 50,000).
func (s *Server) Requests() []Request { return s.log.All() }

// RequestCount is the number of calls so far.
func (s *Server) RequestCount() int { return s.log.Count() }
