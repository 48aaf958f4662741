package sentinelserver

import (
	"fmt"
	"io"
	"net/http"
	"slices"
	"strconv"
	"strings"
	"time"

	"mssentinel/app/standin/faults"
)

// Kind names a fault.
type Kind string

// Faults of the upload API. Unauthorized and Forbidden strike where the token is checked, RefuseBatch, RefuseRecord and RefuseStored
// when everything else about a request is in order, the others once a call has been counted and its body read.
const (
	Status       Kind = "status"        // answers Status in the shape Form: json (default), html, text, xml, problem, foreign, role, empty; or with Body
	Throttle     Kind = "throttle"      // 429 with Seconds in the shape Form: header (default), date, message, html, empty
	Hang         Kind = "hang"          // answers nothing until the client leaves, or for Seconds if given, then goes on
	Slow         Kind = "slow"          // waits Seconds, then goes on
	Reply        Kind = "reply"         // stores what is good, then answers Status (200) with Body, whatever that is; but no success where a record is refused
	CutBefore    Kind = "cut-before"    // breaks the connection, nothing stored
	CutAfter     Kind = "cut-after"     // stores the objects, then breaks the connection
	Unauthorized Kind = "unauthorized"  // 401 whatever the token; with Form empty as for another audience
	Forbidden    Kind = "forbidden"     // as if the role were missing
	RefuseBatch  Kind = "refuse-batch"  // Status (400, 413) in a shape of Status for every batch with an object whose id is Match or whose pattern contains it
	RefuseRecord Kind = "refuse-record" // a record error for such an object
	RefuseStored Kind = "refuse-stored" // a record error for such an object if it is stored already: the service contradicts itself
)

// Faults of the token endpoint.
const (
	TokenStatus Kind = "token-status" // answers Status (503, 429 with Seconds …) in the shape Form
	TokenError  Kind = "token-error"  // one of Entra's errors, by Code: 7000215, 7000222, 700016, 90002, 53003
	TokenCut    Kind = "token-cut"    // breaks the connection
	TokenSlow   Kind = "token-slow"   // waits Seconds, then goes on
	TokenHang   Kind = "token-hang"   // answers nothing
	TokenShort  Kind = "token-short"  // the token lives for Seconds
)

// Faults of the query API.
const (
	QueryStatus  Kind = "query-status"  // answers Status (503, 429 with Seconds …) with an error of the API, in a shape of Status, as no-read or no-table, or with Body
	QueryPartial Kind = "query-partial" // answers with the first half of the rows, and an error beside them
	QuerySlow    Kind = "query-slow"    // waits Seconds, then goes on
	QueryHang    Kind = "query-hang"    // answers nothing
	QueryCut     Kind = "query-cut"     // breaks the connection
)

var (
	tokenKinds = []Kind{TokenStatus, TokenError, TokenCut, TokenSlow, TokenHang, TokenShort}
	accessKind = []Kind{Unauthorized, Forbidden}
	delayKinds = []Kind{Slow, Hang}
	callKinds  = []Kind{Status, Throttle, Reply, CutBefore, CutAfter}
	batchKinds = []Kind{RefuseBatch}
	recordKind = []Kind{RefuseRecord, RefuseStored}
	queryKinds = []Kind{QueryStatus, QueryPartial, QuerySlow, QueryHang, QueryCut}
)

// Fault is one way to fail, and for how long.
type Fault struct {
	Kind    Kind    `json:"kind"`
	Count   int     `json:"count"`   // how many times it strikes; 0 is once, negative until it is cleared
	After   int     `json:"after"`   // how many requests it lets pass first
	Rate    float64 `json:"rate"`    // above 0: the share of requests it strikes, at random
	Status  int     `json:"status"`  // HTTP status
	Form    string  `json:"form"`    // shape of the answer
	Body    string  `json:"body"`    // the answer itself (Reply), or instead of Form
	Seconds float64 `json:"seconds"` // wait, delay or lifetime
	Code    int     `json:"code"`    // AADSTS number
	Match   string  `json:"match"`   // which object
	Source  string  `json:"source"`  // only uploads under this sourcesystem (RefuseBatch, RefuseRecord, RefuseStored)

	index int // of the object that a RefuseBatch found
}

func whenOf(f *Fault) faults.When { return faults.When{Count: &f.Count, After: &f.After, Rate: f.Rate} }

func (f Fault) waitTime() time.Duration { return time.Duration(f.Seconds * float64(time.Second)) }

// tellsSuccess says that a Reply is one of those by which Sentinel says that it took all records. That is never said of a record that
// is refused: who sent it could not know.
func (f Fault) tellsSuccess() bool {
	forms := []string{"", "{}", "null", `{"errors":null}`, `{"errors":[]}`}
	return f.Status == http.StatusOK && slices.Contains(forms, strings.TrimSpace(f.Body))
}

func (f Fault) hitsRecord(o *record) bool {
	return f.Match == "" || o.id == f.Match || strings.Contains(o.pattern, f.Match)
}

// Inject adds a fault. Several stand side by side; of those that could strike a request, the oldest does.
func (s *Server) Inject(f Fault) error {
	all := slices.Concat(tokenKinds, accessKind, delayKinds, callKinds, batchKinds, recordKind, queryKinds)
	if !slices.Contains(all, f.Kind) {
		return fmt.Errorf("unknown kind of fault %q: use one of %q", f.Kind, all)
	}
	if f.Count == 0 {
		f.Count = 1
	}
	if f.Status == 0 {
		f.Status = defaultStatus(f.Kind)
	}
	if f.Status < 100 || f.Status > 999 || f.Rate < 0 || f.Rate > 1 || f.Seconds < 0 {
		return fmt.Errorf("fault %q: status must be an HTTP status, rate within 0 and 1, seconds not negative", f.Kind)
	}
	if slices.Contains([]Kind{Slow, TokenSlow, TokenShort, QuerySlow}, f.Kind) && f.Seconds == 0 {
		return fmt.Errorf("fault %q: give the seconds", f.Kind)
	}
	s.faults.Add(f)
	return nil
}

func defaultStatus(k Kind) int {
	switch k {
	case RefuseBatch:
		return http.StatusBadRequest
	case Reply:
		return http.StatusOK
	}
	return http.StatusServiceUnavailable
}

// ClearFaults ends all faults.
func (s *Server) ClearFaults() { s.faults.Clear() }

// takeFault finds the fault of these kinds that strikes now, and counts it.
func (s *Server) takeFault(kinds []Kind, concerns func(Fault) bool) (Fault, bool) {
	return s.faults.Take(func(f Fault) bool { return slices.Contains(kinds, f.Kind) && (concerns == nil || concerns(f)) })
}

// writeFault answers as the fault says, for those that strike before anything is stored.
func writeFault(w http.ResponseWriter, f Fault) {
	switch {
	case f.Kind == CutBefore:
		panic(http.ErrAbortHandler)
	case f.Kind == Throttle:
		writeThrottled(w, f)
	case f.Body != "":
		w.WriteHeader(f.Status)
		io.WriteString(w, f.Body) //nolint:errcheck // the client may have gone
	case shapes[f.Form] != nil:
		shapes[f.Form](w, f)
	case f.Status == http.StatusInternalServerError:
		writeGatewayError(w, f.Status, "Internal server error")
	case f.Status < 500 && f.Status != http.StatusRequestTimeout && f.Status != http.StatusNotFound:
		writeEnvelopeError(w, f.Status, strings.ReplaceAll(http.StatusText(f.Status), " ", ""), http.StatusText(f.Status))
	default:
		writeGatewayError(w, f.Status, http.StatusText(f.Status))
	}
}

// shapes are those that an error has besides the service's own for its status. Who writes html, text, xml and foreign
// is a firewall, a proxy or a page to log in; a body of problem details and of a missing role may be the service's,
// app/docs/sentinel.md#error-bodies.
var shapes = map[string]func(w http.ResponseWriter, f Fault){
	"empty": func(w http.ResponseWriter, f Fault) { w.WriteHeader(f.Status) },
	"html":  func(w http.ResponseWriter, f Fault) { writeHTMLPage(w, f.Status) },
	"text":  func(w http.ResponseWriter, f Fault) { writeBody(w, f.Status, "text/plain", "error code: 1020") },
	"xml": func(w http.ResponseWriter, f Fault) {
		writeBody(w, f.Status, "application/xml", `<?xml version="1.0" encoding="utf-8"?>`+
			`<Error><Code>InvalidInput</Code><Message>One of the request inputs is not valid.</Message></Error>`)
	},
	"problem": func(w http.ResponseWriter, f Fault) {
		writeBody(w, f.Status, "application/problem+json", fmt.Sprintf(`{"type":"about:blank",`+
			`"title":"One or more validation errors occurred.","status":%d,`+
			`"errors":{"stixobjects[%d].pattern":["The value is not accepted."]}}`, f.Status, f.index))
	},
	"foreign": func(w http.ResponseWriter, f Fault) {
		writeBody(w, f.Status, "application/json", `{"status":"blocked","message":"The request was blocked by policy."}`)
	},
	"role": func(w http.ResponseWriter, f Fault) { writeUnauthorizedAccess(w, f.Status) },
}

// writeThrottled answers 429 in each form seen in the field.
func writeThrottled(w http.ResponseWriter, f Fault) {
	seconds := wholeSeconds(f.waitTime())
	switch f.Form {
	case "date":
		at := time.Now().Add(time.Duration(seconds) * time.Second).UTC()
		writeTooManyRequests(w, seconds, at.Format(http.TimeFormat))
	case "message":
		writeTooManyRequests(w, seconds, "")
	case "html":
		writeHTMLPage(w, http.StatusTooManyRequests)
	case "empty":
		w.WriteHeader(http.StatusTooManyRequests)
	default:
		writeTooManyRequests(w, seconds, strconv.Itoa(seconds))
	}
}

func (s *Server) writeTokenFault(w http.ResponseWriter, r *http.Request, f Fault) {
	switch f.Kind {
	case TokenCut:
		panic(http.ErrAbortHandler)
	case TokenSlow:
		faults.Pause(r, f.waitTime(), s.closed)
	case TokenHang:
		faults.Pause(r, 0, s.closed)
		panic(http.ErrAbortHandler)
	case TokenError:
		writeEntraFault(w, f.Code, r.PostForm.Get("client_id"))
	case TokenStatus:
		if f.Status == http.StatusTooManyRequests {
			writeThrottled(w, f)
			return
		}
		writeFault(w, f)
	}
}

func writeEntraFault(w http.ResponseWriter, code int, clientID string) {
	switch code {
	case 7000222:
		writeEntraError(w, 401, "invalid_client", code, "The provided client secret keys for app '"+clientID+"' are expired.")
	case 700016:
		writeEntraError(w, 400, "unauthorized_client", code, "Application with identifier '"+clientID+"' was not found in the directory.")
	case 90002:
		writeEntraError(w, 400, "invalid_request", code, "Tenant not found.")
	case 53003:
		writeEntraError(w, 401, "access_denied", code, "Access has been blocked by Conditional Access policies.")
	case 50196:
		writeEntraError(w, 429, "invalid_grant", code, "The server terminated an operation because it encountered a client request loop.")
	default:
		writeEntraError(w, 401, "invalid_client", 7000215, wrongSecret(clientID))
	}
}
