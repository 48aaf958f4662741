package tcserver

import (
	"fmt"
	"net/http"
	"slices"
	"strconv"
	"strings"
	"time"

	"mssentinel/app/standin/faults"
)

// Kind names a fault.
type Kind string

// Faults that strike before anything else is looked at.
const (
	Status    Kind = "status"     // answers Status in the shape Form: json (default), html, text, empty; with Message
	Throttle  Kind = "throttle"   // 429 with Seconds in the shape Form: header (default), date, none
	TQLRefuse Kind = "tql"        // 400 0x2001, as for a query that is not valid any more
	Hang      Kind = "hang"       // answers nothing until the client leaves, or for Seconds if given, then goes on
	Slow      Kind = "slow"       // waits Seconds, then goes on
	CutBefore Kind = "cut-before" // breaks the connection without an answer
)

// Faults of an answer.
const (
	Truncated Kind = "truncated"  // breaks the connection in the middle of the body
	Malformed Kind = "malformed"  // 200 with half of the body
	SoftError Kind = "soft-error" // 200 with "status":"Error"
	HTMLPage  Kind = "html"       // 200 with a page for people
)

// Faults of a page of indicators.
const (
	RepeatedPage Kind = "repeated-page" // the rows of the page before in the same reading; the first page of one has none before it
	EmptyPage    Kind = "empty-page"    // no rows, whatever the links say
	DamagedRow   Kind = "damaged-row"   // the row in the middle is no indicator
)

var (
	callKinds = []Kind{Status, Throttle, TQLRefuse, Hang, Slow, CutBefore}
	bodyKinds = []Kind{Truncated, Malformed, SoftError, HTMLPage}
	pageKinds = []Kind{RepeatedPage, EmptyPage, DamagedRow}
)

// Fault is one way to fail, and for how long.
type Fault struct {
	Kind    Kind    `json:"kind"`
	Count   int     `json:"count"`   // how many times it strikes; 0 is once, negative until it is cleared
	After   int     `json:"after"`   // how many requests it lets pass first
	Rate    float64 `json:"rate"`    // above 0: the share of requests it strikes, at random
	Path    string  `json:"path"`    // only requests whose path begins so; all of /api/ when empty
	Match   string  `json:"match"`   // only requests with this in their tql or owner
	Status  int     `json:"status"`  // HTTP status, 503
	Form    string  `json:"form"`    // shape of the answer
	Message string  `json:"message"` // in the answer
	Seconds float64 `json:"seconds"` // wait or delay
}

func faultSchedule(f *Fault) faults.When {
	return faults.When{Count: &f.Count, After: &f.After, Rate: f.Rate}
}

func (f Fault) pauseLength() time.Duration { return time.Duration(f.Seconds * float64(time.Second)) }

// Inject adds a fault. Several stand side by side; of those that could strike a request, the oldest does.
func (s *Server) Inject(f Fault) error {
	if all := slices.Concat(callKinds, bodyKinds, pageKinds); !slices.Contains(all, f.Kind) {
		return fmt.Errorf("unknown kind of fault %q: use one of %q", f.Kind, all)
	}
	if f.Count == 0 {
		f.Count = 1
	}
	if f.Status == 0 {
		f.Status = http.StatusServiceUnavailable
	}
	if f.Status < 200 || f.Status > 999 || f.Rate < 0 || f.Rate > 1 || f.Seconds < 0 {
		return fmt.Errorf("fault %q: status must be an HTTP status, rate within 0 and 1, seconds not negative", f.Kind)
	}
	if f.Kind == Slow && f.Seconds == 0 {
		return fmt.Errorf("fault %q: give the seconds", f.Kind)
	}
	s.faults.Add(f)
	return nil
}

// ClearFaults ends all faults.
func (s *Server) ClearFaults() { s.faults.Clear() }

// takeFault finds the fault of these kinds that strikes a request, and counts it.
func (s *Server) takeFault(kinds []Kind, r *http.Request, p parameters) (Fault, bool) {
	return s.faults.Take(func(f Fault) bool {
		return slices.Contains(kinds, f.Kind) && strings.HasPrefix(r.URL.Path, f.Path) &&
			(strings.Contains(p.firstValue("tql"), f.Match) || strings.Contains(p.firstValue("owner"), f.Match))
	})
}

// callFault does what a fault of callKinds asks for, and says whether the request is done with.
func (s *Server) callFault(w http.ResponseWriter, r *http.Request, f Fault, entry *Request) bool {
	switch f.Kind {
	case CutBefore:
		panic(http.ErrAbortHandler)
	case Slow, Hang:
		if !faults.Pause(r, f.pauseLength(), s.closed) {
			panic(http.ErrAbortHandler)
		}
		return false
	}
	a := f.buildAnswer()
	entry.Status = a.status
	a.sendTo(w)
	return true
}

func (f Fault) buildAnswer() answer {
	switch {
	case f.Kind == Throttle:
		return f.buildThrottle()
	case f.Kind == TQLRefuse:
		return errorAnswer(newRefusal(http.StatusBadRequest, codeTQL, strings.TrimSpace(tqlMessage+" "+f.Message)))
	case f.Form == "html":
		return htmlAnswer(f.Status)
	case f.Form == "empty":
		return answer{status: f.Status}
	case f.Form == "text":
		return answer{status: f.Status, kind: "text/plain", body: []byte(f.messageText())}
	}
	return errorAnswer(newRefusal(f.Status, statusCodes[f.Status], f.messageText()))
}

func (f Fault) messageText() string {
	if f.Message != "" {
		return f.Message
	}
	return http.StatusText(f.Status)
}

func (f Fault) buildThrottle() answer {
	a := errorAnswer(newRefusal(http.StatusTooManyRequests, "", "Too many requests"))
	switch f.Form {
	case "none":
	case "date":
		a.header = map[string]string{"Retry-After": time.Now().Add(f.pauseLength()).UTC().Format(http.TimeFormat)}
	default:
		a.header = map[string]string{"Retry-After": strconv.Itoa(int(f.Seconds))}
	}
	return a
}

// spoilAnswer does to an answer what a fault of bodyKinds asks for.
func (f Fault) spoilAnswer(a answer) answer {
	switch f.Kind {
	case Truncated:
		a.cut = true
	case Malformed:
		a.body = a.body[:len(a.body)/2]
	case SoftError:
		a = jsonAnswer(http.StatusOK, map[string]string{"status": "Error", "message": f.softMessage(), "errCode": codeInternal})
	case HTMLPage:
		a = htmlAnswer(http.StatusOK)
	}
	return a
}

func (f Fault) softMessage() string {
	if f.Message != "" {
		return f.Message
	}
	return "An unknown error occurred"
}
