package sentinelserver

import (
	"errors"
	"hash/maphash"
	"io"
	"mime"
	"net/http"
	"strings"
	"time"
	"unicode/utf8"

	"github.com/google/uuid"
	"github.com/tidwall/gjson"

	"mssentinel/app/standin/faults"
)

// maxDepth of JSON that the service's parser descends into.
const maxDepth = 64

// serveUpload answers one call of the upload API. The order of its checks is taken for that of the service,
// app/docs/sentinel.md#status-codes.
func (s *Server) serveUpload(w http.ResponseWriter, r *http.Request, workspace string) {
	entry := Request{Time: time.Now()}
	answer := &recorder{ResponseWriter: w}
	defer func() {
		entry.Status, entry.Ended = answer.status, time.Now()
		s.log.Add(entry)
	}()
	if r.Method != http.MethodPost {
		writeGatewayError(answer, http.StatusNotFound, "Resource not found")
		return
	}
	if r.URL.Query().Get("api-version") != apiVersion {
		writeBadRequest(answer, "The api-version is missing or not supported.")
		return
	}
	if !s.admitCall(answer, r, &entry) {
		return
	}
	body, err := s.readBody(r)
	after, ok := s.applyFaults(answer, r, &entry)
	if !ok {
		return
	}
	in, ok := s.openEnvelope(answer, r, workspace, body, err)
	if !ok {
		return
	}
	entry.Source = in.source
	s.storeRecords(answer, in, &entry, after)
}

// admitCall checks the token and the throttle.
func (s *Server) admitCall(w http.ResponseWriter, r *http.Request, entry *Request) bool {
	subject, role, access := s.readBearer(r)
	entry.Subject = subject
	fault, struck := s.takeFault(accessKind, nil)
	if struck {
		entry.Fault = fault.Kind
	}
	switch {
	case access == otherAudience, fault.Kind == Unauthorized && fault.Form == "empty":
		writeOtherAudience(w)
		return false
	case access == noAccess, fault.Kind == Unauthorized:
		writeUnauthorized(w)
		return false
	case !role || fault.Kind == Forbidden:
		s.writeNoRole(w)
		return false
	}
	entry.Counted = true
	if wait := s.meter.takeCall(subject, entry.Time); wait > 0 {
		seconds := wholeSeconds(wait)
		writeThrottled(w, Fault{Seconds: float64(seconds)})
		return false
	}
	return true
}

// applyFaults lets the faults strike that need no look into the body, and returns the one that strikes after storing,
// if any.
func (s *Server) applyFaults(w http.ResponseWriter, r *http.Request, entry *Request) (after Fault, ok bool) {
	if f, struck := s.takeFault(delayKinds, nil); struck {
		entry.Fault = f.Kind
		if !faults.Pause(r, f.waitTime(), s.closed) {
			panic(http.ErrAbortHandler)
		}
	}
	f, struck := s.takeFault(callKinds, nil)
	if !struck {
		return Fault{}, true
	}
	entry.Fault = f.Kind
	if f.Kind == CutAfter || f.Kind == Reply {
		return f, true
	}
	writeFault(w, f)
	return Fault{}, false
}

// errTooLarge is a body above the limit.
var errTooLarge = errors.New("body too large")

func (s *Server) readBody(r *http.Request) ([]byte, error) {
	size := max(r.ContentLength, 0)
	if size > s.options.MaxBody {
		return nil, errTooLarge
	}
	if r.ContentLength >= 0 {
		body := make([]byte, size)
		_, err := io.ReadFull(r.Body, body)
		return body, err
	}
	body, err := io.ReadAll(io.LimitReader(r.Body, s.options.MaxBody+1))
	if err == nil && int64(len(body)) > s.options.MaxBody {
		return nil, errTooLarge
	}
	return body, err
}

// envelope is a request body whose records are still to be read.
type envelope struct {
	workspace, source string
	records           []gjson.Result
}

// openEnvelope checks the request as a whole.
func (s *Server) openEnvelope(w http.ResponseWriter, r *http.Request, workspace string, body []byte, readErr error) (envelope, bool) {
	in := envelope{workspace: strings.ToLower(strings.Trim(workspace, "{}"))}
	if _, err := uuid.Parse(in.workspace); err != nil || len(in.workspace) != 36 {
		writeBadRequest(w, "Workspace Id must be a valid GUID.")
		return in, false
	}
	if !s.knowsWorkspace(in.workspace) {
		writeGatewayError(w, http.StatusNotFound, "Resource not found")
		return in, false
	}
	if !s.acceptsContentType(r.Header.Values("Content-Type")) {
		writeBadRequest(w, "The Content-Type must be application/json.")
		return in, false
	}
	if errors.Is(readErr, errTooLarge) {
		w.Header().Set("Connection", "close")
		writeGatewayError(w, http.StatusRequestEntityTooLarge, "Request body is too large.")
		return in, false
	}
	if readErr != nil || r.Header.Get("Content-Encoding") != "" || !utf8.Valid(body) || tooDeep(body) || !gjson.ValidBytes(body) {
		writeBadRequest(w, "The request body is not valid JSON.")
		return in, false
	}
	if message := in.fillMembers(gjson.ParseBytes(body)); message != "" {
		writeBadRequest(w, message)
		return in, false
	}
	return in, true
}

func (s *Server) acceptsContentType(values []string) bool {
	if len(values) == 0 {
		return s.options.NoContentType
	}
	kind, _, err := mime.ParseMediaType(values[0])
	return err == nil && kind == "application/json"
}

// fillMembers reads the envelope's two members, and says what is wrong with them, app/docs/sentinel.md#source-system
// and app/docs/sentinel.md#body.
func (in *envelope) fillMembers(root gjson.Result) string {
	var source, objects gjson.Result
	if !root.IsObject() {
		return "The request body must be a JSON object."
	}
	root.ForEach(func(key, v gjson.Result) bool {
		switch key.Str {
		case "sourcesystem":
			source = v
		case "stixobjects":
			objects = v
		}
		return true
	})
	in.source = source.Str
	switch name := strings.ToLower(strings.TrimSpace(in.source)); {
	case !source.Exists():
		return "sourcesystem is required."
	case source.Type != gjson.String || name == "":
		return "sourcesystem must be a string that is not empty."
	case !objects.Exists():
		return "stixobjects is required."
	case !objects.IsArray():
		return "stixobjects must be an array."
	case name == "microsoft sentinel" || name == "azure sentinel" || name == "securitygraph":
		return "sourcesystem is reserved."
	case utf8.RuneCountInString(in.source) > maxSource:
		return "sourcesystem must not be longer than 256 characters."
	}
	in.records = objects.Array()
	if len(in.records) == 0 || len(in.records) > maxObjects {
		return "stixobjects must hold 1 to 100 objects."
	}
	return ""
}

func (s *Server) knowsWorkspace(workspace string) bool {
	for _, w := range s.options.Workspaces {
		if strings.EqualFold(w, workspace) {
			return true
		}
	}
	return false
}

// storeRecords checks the records one by one, keeps the good ones and answers.
func (s *Server) storeRecords(w http.ResponseWriter, in envelope, entry *Request, after Fault) {
	check := checker{strictVersion: s.options.StrictVersion, seed: contentSeed}
	good := make([]record, 0, len(in.records))
	var bad []recordFault
	for i, value := range in.records {
		r, messages := check.checkRecord(value)
		concerns := func(f Fault) bool {
			return (f.Source == "" || f.Source == in.source) && f.hitsRecord(&r) &&
				(f.Kind != RefuseStored || s.table.holds(in.workspace, in.source, r.id))
		}
		if f, struck := s.takeFault(batchKinds, concerns); struck {
			entry.Fault, f.index = f.Kind, i
			writeFault(w, f)
			return
		}
		if f, struck := s.takeFault(recordKind, concerns); struck {
			entry.Fault = f.Kind
			messages = append(messages, "Error for Property=pattern: Value is not accepted. Actual value: "+shortenValue(r.pattern)+".")
		}
		if r.unnamed {
			entry.Warnings++
		}
		if len(messages) > 0 {
			bad = append(bad, recordFault{i, messages})
			continue
		}
		good = append(good, r)
	}
	entry.Objects, entry.Accepted, entry.Rejected = len(in.records), len(good), len(bad)
	s.table.putRecords(in.workspace, in.source, time.Now().Add(s.options.Lag), good)
	switch {
	case after.Kind == CutAfter:
		panic(http.ErrAbortHandler)
	case after.Kind == Reply:
		w.WriteHeader(after.Status)
		w.Write([]byte(after.Body)) //nolint:errcheck // the reader may be gone
	case len(good) == 0:
		s.writeRecordErrors(w, http.StatusBadRequest, bad)
	case len(bad) > 0:
		s.writeRecordErrors(w, http.StatusOK, bad)
	default:
		w.WriteHeader(http.StatusOK)
	}
}

// contentSeed is one for the process, so that hashes can be compared between requests.
var contentSeed = maphash.MakeSeed()

// tooDeep keeps a hostile body from exhausting the stack.
func tooDeep(body []byte) bool {
	depth, quoted := 0, false
	for i := 0; i < len(body); i++ {
		switch c := body[i]; {
		case c == '"':
			quoted = !quoted
		case quoted:
			if c == '\\' {
				i++
			}
		case c == '{' || c == '[':
			if depth++; depth > maxDepth {
				return true
			}
		case c == '}' || c == ']':
			depth--
		}
	}
	return false
}

// recorder remembers the status for the log.
type recorder struct {
	http.ResponseWriter
	status int
}

func (r *recorder) WriteHeader(status int) {
	r.status = status
	r.ResponseWriter.WriteHeader(status)
}
