package sentinelserver

import (
	"bytes"
	"encoding/json"
	"io"
	"mime"
	"net/http"
	"strconv"
	"strings"
	"time"

	"github.com/google/uuid"

	"mssentinel/app/standin/faults"
)

// The query API of Log Analytics, app/docs/sentinel.md#reading-back. It answers the queries that the App sends, and no
// others.

// queryAudience is the one that the query API of the public cloud accepts, app/docs/sentinel.md#clouds.
const queryAudience = "https://api.loganalytics.io"

// maxQuery is how long a query may be, in bytes.
const maxQuery = 1 << 20

// Query is what the stand-in remembers of one call of the query API.
type Query struct {
	Time    time.Time `json:"time"` // its arrival
	Subject string    `json:"subject"`
	Text    string    `json:"text"`
	Name    string    `json:"name"`   // which of the queries it is, "" where it is none
	Prefer  string    `json:"prefer"` // the header
	Status  int       `json:"status"` // 0 when the connection was cut
	Rows    int       `json:"rows"`
	Fault   Kind      `json:"fault,omitempty"`
}

// Queries returns the calls of the query API in the order in which they ended (the last 200,000).
func (s *Server) Queries() []Query { return s.queries.All() }

// serveQuery answers one call of the query API. The order of its checks is inferred.
func (s *Server) serveQuery(w http.ResponseWriter, r *http.Request, workspace string) {
	entry := Query{Time: time.Now(), Prefer: r.Header.Get("Prefer")}
	answer := &recorder{ResponseWriter: w}
	defer func() {
		entry.Status = answer.status
		s.queries.Add(entry)
	}()
	if r.Method != http.MethodPost {
		writeQueryError(answer, http.StatusNotFound, "PathNotFoundError", "The requested path does not exist", nil)
		return
	}
	if !s.admitQuery(answer, r, &entry) {
		return
	}
	var body bytes.Buffer
	if _, err := body.ReadFrom(io.LimitReader(r.Body, maxQuery)); err != nil {
		return
	}
	partial, ok := s.applyQueryFaults(answer, r, &entry)
	if !ok {
		return
	}
	if kind, _, err := mime.ParseMediaType(r.Header.Get("Content-Type")); err != nil || kind != "application/json" || body.Len() == 0 {
		answer.WriteHeader(http.StatusOK) // app/docs/sentinel.md#query-answers
		return
	}
	workspace = strings.ToLower(workspace)
	if _, err := uuid.Parse(workspace); err != nil || !s.knowsWorkspace(workspace) {
		writeQueryError(answer, http.StatusNotFound, "PathNotFoundError", "The requested path does not exist", nil)
		return
	}
	var in struct {
		Query string `json:"query"`
	}
	if err := json.Unmarshal(body.Bytes(), &in); err != nil {
		writeSyntaxError(answer)
		return
	}
	entry.Text = in.Query
	s.answerQuery(answer, workspace, &entry, partial)
}

// admitQuery checks the token and the right to read.
func (s *Server) admitQuery(w http.ResponseWriter, r *http.Request, entry *Query) bool {
	app, access := s.readBearer(r, append([]string{queryAudience}, s.options.QueryAudiences...))
	entry.Subject = app.ClientID
	switch {
	case r.Header.Get("Authorization") == "":
		writeQueryError(w, http.StatusUnauthorized, "AuthenticationFailed", "Authentication failed. The 'Authorization' header is missing.", nil)
	case access == expiredToken:
		writeQueryError(w, http.StatusUnauthorized, "AuthenticationFailed", "Authentication failed. The token has expired.", nil)
	case access == noAccess:
		writeQueryError(w, http.StatusForbidden, "InvalidAuthenticationToken", "The access token is invalid.", nil)
	case access == otherAudience:
		writeQueryError(w, http.StatusForbidden, "InvalidAuthenticationTokenAudience",
			"The access token has been obtained from wrong audience or resource. It should exactly match (including forward slash) with one of the allowed audiences '"+queryAudience+"'.", nil)
	case app.NoRead:
		writeNoRead(w, s.options.NoReadInner)
	default:
		return true
	}
	return false
}

// applyQueryFaults lets faults strike, and says whether only a part is to be answered.
func (s *Server) applyQueryFaults(w http.ResponseWriter, r *http.Request, entry *Query) (partial, ok bool) {
	f, struck := s.takeFault(queryKinds, nil)
	if !struck {
		return false, true
	}
	entry.Fault = f.Kind
	switch f.Kind {
	case QueryPartial:
		return true, true
	case QuerySlow:
		return false, faults.Pause(r, f.waitTime(), s.closed)
	case QueryHang:
		faults.Pause(r, 0, s.closed)
		panic(http.ErrAbortHandler)
	case QueryCut:
		panic(http.ErrAbortHandler)
	}
	writeQueryFault(w, f)
	return false, false
}

// writeQueryFault answers with an error of the API's own, or as Form or Body of the fault says.
func writeQueryFault(w http.ResponseWriter, f Fault) {
	switch {
	case f.Body != "":
		writeBody(w, f.Status, "application/json", f.Body)
	case f.Form == "no-read":
		writeNoRead(w, false)
	case f.Form == "no-table":
		writeQueryError(w, http.StatusBadRequest, "BadArgumentError", "The request had some invalid properties", map[string]any{
			"code": "SemanticError", "message": "A semantic error occurred.", "innererror": map[string]any{
				"code": "SEM0100", "message": "'where' operator: Failed to resolve table or column expression named 'ThreatIntelIndicators'",
			},
		})
	case shapes[f.Form] != nil:
		shapes[f.Form](w, f)
	default:
		if f.Status == http.StatusTooManyRequests && f.Seconds > 0 {
			w.Header().Set("Retry-After", strconv.Itoa(wholeSeconds(f.waitTime())))
		}
		code := strings.ReplaceAll(http.StatusText(f.Status), " ", "") + "Error"
		writeQueryError(w, f.Status, code, http.StatusText(f.Status), nil)
	}
}

// writeQueryError answers in the form of the query API's errors, app/docs/sentinel.md#query-answers.
func writeQueryError(w http.ResponseWriter, status int, code, message string, inner map[string]any) {
	body := map[string]any{"code": code, "message": message, "correlationId": uuid.NewString()}
	if inner != nil {
		body["innererror"] = inner
	}
	writeJSON(w, status, map[string]any{"error": body})
}

func writeSyntaxError(w http.ResponseWriter) {
	writeQueryError(w, http.StatusBadRequest, "BadArgumentError", "The request had some invalid properties",
		map[string]any{"code": "SyntaxError", "message": "Syntax Error"})
}

// writeNoRead answers an application that may not read, app/docs/sentinel.md#right-to-read.
func writeNoRead(w http.ResponseWriter, withInner bool) {
	var inner map[string]any
	if withInner {
		inner = map[string]any{
			"code":    "UnauthorizedClient",
			"message": "The service principal does not have sufficient permissions to access this resource: " + uuid.NewString(),
		}
	}
	writeQueryError(w, http.StatusForbidden, "InsufficientAccessError",
		"The provided credentials have insufficient access to perform the requested operation", inner)
}

// answerQuery finds out which query it is, and answers it. A partial answer has the first half of the rows and says so.
func (s *Server) answerQuery(w http.ResponseWriter, workspace string, entry *Query, partial bool) {
	for _, known := range knownQueries {
		values, ok := known.match(entry.Text)
		if !ok {
			continue
		}
		entry.Name = known.name
		now := time.Now()
		rows := known.answer(s.table.arrivedVersions(place{workspace, values.source}, now), values, now)
		body := map[string]any{}
		if partial {
			rows = rows[:len(rows)/2]
			body["error"] = map[string]any{
				"code": "PartialError", "message": "There were some errors when processing your query.", "details": []any{map[string]any{
					"code": "EngineError", "message": "Something went wrong processing your query on the server.", "innererror": map[string]any{
						"code": "-2133196797", "message": "The results of this query exceed the set limit of 64000000 bytes, so not all records were returned.",
						"severity": 2, "severityName": "Error",
					},
				}},
			}
		}
		entry.Rows = len(rows)
		body["tables"] = []any{map[string]any{"name": "PrimaryResult", "columns": known.columns(), "rows": rows}}
		writeJSON(w, http.StatusOK, body)
		return
	}
	writeSyntaxError(w)
}
