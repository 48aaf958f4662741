package sentinelserver

import (
	"bytes"
	"errors"
	"hash/maphash"
	"io"
	"mime"
	"net/http"
	"slices"
	"strings"
	"time"
	"unicode/utf8"

	"github.com/google/uuid"
	"github.com/tidwall/gjson"

	"mssentinel/app/jsonscan"
	"mssentinel/app/standin/faults"
)

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
	entry.Source = strings.Clone(in.source) // the log outlives the body
	s.storeRecords(answer, in, &entry, after)
}

// admitCall checks the token and the throttle.
func (s *Server) admitCall(w http.ResponseWriter, r *http.Request, entry *Request) bool {
	app, access := s.readBearer(r, append(slices.Clone(publicAudiences), s.options.Audiences...))
	entry.Subject = app.ClientID
	fault, struck := s.takeFault(accessKind, nil)
	if struck {
		entry.Fault = fault.Kind
	}
	switch {
	case access == otherAudience, fault.Kind == Unauthorized && fault.Form == "empty":
		writeOtherAudience(w)
		return false
	case access != fullAccess, fault.Kind == Unauthorized:
		writeUnauthorized(w)
		return false
	case app.NoRole || fault.Kind == Forbidden:
		s.writeNoRole(w)
		return false
	}
	entry.Counted = true
	if wait := s.meter.takeCall(app.ClientID, entry.Time); wait > 0 {
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
	records           []element
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
	if message := in.fillMembers(value(bytes.TrimSpace(body)), &s.options.Unknowns); message != "" {
		writeBadRequest(w, message)
		return in, false
	}
	if status := s.options.countStatus(len(in.records)); status > 0 {
		writeEnvelopeError(w, status, "BadRequest", "stixobjects must hold 1 to 100 objects.")
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
func (in *envelope) fillMembers(root value, u *Unknowns) string {
	if !root.isObject() {
		return "The request body must be a JSON object."
	}
	var source, objects value
	scan := jsonscan.New([]byte(root))
	for name := range scan.Members {
		switch root[name.Start:name.End].text() {
		case "sourcesystem":
			at := scan.Skip()
			source = root[at.Start:at.End]
		case "stixobjects":
			objects = in.readObjects(scan, root)
		}
	}
	in.source = source.text()
	switch name := strings.TrimSpace(in.source); {
	case source == "":
		return "sourcesystem is required."
	case name == "":
		return "sourcesystem must be a string that is not empty."
	case objects == "":
		return "stixobjects is required."
	case !objects.isArray():
		return "stixobjects must be an array."
	case u.isReserved(in.source):
		return "sourcesystem is reserved."
	case utf8.RuneCountInString(in.source) > maxSource:
		return "sourcesystem must not be longer than 256 characters."
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

// readObjects reads the objects that are ahead in the body, and returns all as it was sent. Where a body has several such members,
// the last one counts.
func (in *envelope) readObjects(scan *jsonscan.Scanner, body value) value {
	scan.Next()
	start := scan.At()
	in.records = in.records[:0]
	room := make([]member, 0, len(body)/usualLength)
	for range scan.Elements {
		e := readElement(scan, body, room[len(room):])
		in.records, room = append(in.records, e), append(room, e.members...)
	}
	return body[start:scan.At()]
}

// storeRecords checks the records one by one, keeps the good ones and answers.
func (s *Server) storeRecords(w http.ResponseWriter, in envelope, entry *Request, after Fault) {
	check := checker{strictVersion: s.options.StrictVersion, seed: contentSeed}
	good := make([]record, 0, len(in.records))
	var bad []recordFault
	ignored := 0
	for i, e := range in.records {
		r, messages := check.checkRecord(e)
		f, struck := s.strikeRecord(in, &r, &messages, entry)
		if struck {
			f.index = i
			writeFault(w, f)
			return
		}
		if r.unnamed {
			entry.Warnings++
		}
		treatment := s.treatRecord(in, good, &r, &messages)
		switch {
		case len(messages) > 0:
			bad = append(bad, recordFault{i, messages})
		case treatment == Ignored:
			ignored++
		default:
			good = append(good, r)
		}
	}
	entry.Objects, entry.Accepted, entry.Rejected = len(in.records), len(good)+ignored, len(bad)
	s.table.putRecords(in.workspace, in.source, time.Now().Add(s.options.Lag), good)
	switch {
	case after.Kind == CutAfter:
		panic(http.ErrAbortHandler)
	case after.Kind == Reply && (len(bad) == 0 || !after.tellsSuccess()):
		w.WriteHeader(after.Status)
		w.Write([]byte(after.Body)) //nolint:errcheck // the reader may be gone
	case len(bad) > 0 && len(bad) == len(in.records):
		s.writeRecordErrors(w, s.options.AllInvalidStatus, bad)
	case len(bad) > 0:
		s.writeRecordErrors(w, http.StatusOK, bad)
	default:
		w.WriteHeader(http.StatusOK)
	}
}

// strikeRecord has the faults strike that look at a record: one that refuses the batch is returned, one that refuses the
// record adds a message.
func (s *Server) strikeRecord(in envelope, r *record, messages *[]string, entry *Request) (f Fault, refusesBatch bool) {
	concerns := func(f Fault) bool {
		return (f.Source == "" || f.Source == in.source) && f.hitsRecord(r) &&
			(f.Kind != RefuseStored || s.table.holds(in.workspace, in.source, r.id))
	}
	if f, struck := s.takeFault(batchKinds, concerns); struck {
		entry.Fault = f.Kind
		return f, true
	}
	if f, struck := s.takeFault(recordKind, concerns); struck {
		entry.Fault = f.Kind
		*messages = append(*messages, "Error for Property=pattern: Value is not accepted. Actual value: "+shortenValue(r.pattern)+".")
	}
	return Fault{}, false
}

// treatRecord applies the switches for what is not documented to a record in whose form nothing is wrong, in view of the
// earlier ones of its request.
func (s *Server) treatRecord(in envelope, earlier []record, r *record, messages *[]string) Treatment {
	if len(*messages) > 0 {
		return Taken
	}
	u := &s.options.Unknowns
	if u.MaxLabels > 0 || u.MaxLabel > 0 {
		*messages = u.treatLabels(r)
	}
	if u.OlderModified == Taken && u.SecondVersion == Taken && u.Unrevoked == Taken {
		return Taken
	}
	standing, isSecond := s.table.standing(in.workspace, in.source, r.id), false
	for _, e := range earlier {
		if e.id == r.id {
			standing, isSecond = e.raw, true
		}
	}
	treatment, property := u.treatVersion(r, standing, isSecond)
	if treatment == Refused {
		*messages = append(*messages, "Error for Property="+property+": Value is not accepted. Actual value: "+
			shortenValue(gjson.Get(r.raw, property).Raw)+".")
	}
	return treatment
}

// contentSeed is one for the process, so that hashes can be compared between requests.
var contentSeed = maphash.MakeSeed()

// recorder remembers the status for the log.
type recorder struct {
	http.ResponseWriter
	status int
}

func (r *recorder) WriteHeader(status int) {
	r.status = status
	r.ResponseWriter.WriteHeader(status)
}
