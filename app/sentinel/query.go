package sentinel

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"net/http"
	"strconv"
	"strings"
	"time"

	"mssentinel/app/retry"
	"mssentinel/app/text"
)

// The query API of Log Analytics, app/docs/sentinel.md#reading-back.

const (
	// queryTimeout is how long the service may take for a query by itself; it is told so.
	queryTimeout = 3 * time.Minute
	// queryMargin is for the way there and back.
	queryMargin = 2 * time.Second
	// maxTries is how many times a query is sent before the reason is passed on.
	maxTries = 4
	// longestQueryPause bounds what the service may ask us to wait.
	longestQueryPause = time.Minute
	// maxQueryAnswer is the API's own bound of an answer, in bytes, and room for what stands around the rows.
	maxQueryAnswer = 64<<20 + 1<<20
)

var queryPauses = retry.Backoff{First: time.Second, Longest: 20 * time.Second}

// errLongAnswer is an answer above maxQueryAnswer.
var errLongAnswer = errors.New("the answer of Log Analytics is longer than its own limit of 64 MB: check the proxy")

// NoReadRight says that the application may not read the workspace: the role to upload does not include that.
type NoReadRight struct {
	Message string // what was said, a sentence
	Remedy  string // what to do about it, one or more sentences
}

func (e *NoReadRight) Error() string { return e.Message + " " + e.Remedy }

// PartialResult says that the workspace could give only a part of what a query asks for. None of it is passed on: what is
// missing in it would look as if it were not there.
type PartialResult struct {
	Message string // what was said, a sentence
}

func (e *PartialResult) Error() string { return e.Message }

// queryTable is the first table of an answer.
type queryTable struct {
	columns map[string]int
	rows    [][]json.RawMessage
}

// queryWorkspace sends a query until it is answered, refused, or not answered maxTries times. A pause that would last longer
// than ctx is not made.
func (c *Client) queryWorkspace(ctx context.Context, query string) (queryTable, error) {
	body, err := json.Marshal(map[string]string{"query": query})
	if err != nil {
		return queryTable{}, err
	}
	var tries queryTries
	for {
		token, err := c.queryTokens.validToken(ctx, tries.sleep)
		if err != nil {
			return queryTable{}, err
		}
		v := c.askOnce(ctx, body, token)
		switch v.next {
		case queryAnswered:
			return v.table, nil
		case queryRenew:
			if tries.renewed {
				return queryTable{}, v.err
			}
			tries.renewed = true
			if err := c.queryTokens.dropToken(ctx, token); err != nil {
				return queryTable{}, err
			}
		case queryRetry:
			if err := tries.pause(ctx, v.wait, v.err); err != nil {
				return queryTable{}, err
			}
		default:
			return queryTable{}, v.err
		}
	}
}

// queryTries counts what was tried to get one query answered.
type queryTries struct {
	failures int
	renewed  bool // the token
}

// pause waits before the next try, or returns why there is none.
func (t *queryTries) pause(ctx context.Context, asked time.Duration, reason error) error {
	if t.failures++; t.failures >= maxTries {
		return reason
	}
	wait := max(queryPauses.Jittered(t.failures), min(asked, longestQueryPause))
	if end, ok := ctx.Deadline(); ok && end.Before(time.Now().Add(wait)) {
		return reason
	}
	return retry.Sleep(ctx, wait)
}

// sleep is pause for the token.
func (t *queryTries) sleep(ctx context.Context, until time.Time, reason string) error {
	return t.pause(ctx, time.Until(until), errors.New(reason))
}

// queryStep is what follows from an answer to a query.
type queryStep int

const (
	queryAnswered queryStep = iota
	queryRetry
	queryRenew // the token; a second time, err is final
	queryFail
)

// queryVerdict is what an answer to a query means.
type queryVerdict struct {
	next  queryStep
	table queryTable
	wait  time.Duration // what the service asked for
	err   error         // what to say where it ends with this answer
}

// askOnce sends a query once.
func (c *Client) askOnce(ctx context.Context, body []byte, token string) queryVerdict {
	started := time.Now()
	status, header, answer, err := c.postQuery(ctx, body, token)
	if err != nil {
		switch {
		case errors.Is(ctx.Err(), context.DeadlineExceeded):
			err = errTooSlow
		case ctx.Err() != nil:
			return queryVerdict{next: queryFail, err: context.Cause(ctx)}
		}
		return retryQuery(0, networkFault("Log Analytics", c.queryHost, err))
	}
	v := decideQuery(status, header, redactSecret(answer, token), time.Now())
	c.log.Debug("asked Log Analytics", "status", status, "rows", len(v.table.rows), "bytes", len(answer), "error", v.err,
		"took", time.Since(started).Round(time.Millisecond))
	return v
}

// postQuery makes the request and reads the answer. The service is told how long somebody waits for it.
func (c *Client) postQuery(ctx context.Context, body []byte, token string) (int, http.Header, []byte, error) {
	patience := queryTimeout
	if end, ok := ctx.Deadline(); ok {
		patience = min(patience, time.Until(end)-queryMargin)
	}
	ctx, cancel := context.WithTimeoutCause(ctx, queryTimeout+queryMargin, errTooSlow)
	defer cancel()
	header := http.Header{"Prefer": {"wait=" + strconv.Itoa(max(int(patience.Seconds()), 1))}}
	return c.post(ctx, c.queryURL, header, requestBody{body}, token, maxQueryAnswer)
}

// decideQuery reads the answer to a query, app/docs/sentinel.md#query-answers. It depends on its arguments alone. Only the form
// of the API is an answer, or a refusal.
func decideQuery(status int, header http.Header, body []byte, now time.Time) queryVerdict {
	if len(body) > maxQueryAnswer {
		return queryVerdict{next: queryFail, err: errLongAnswer}
	}
	if status == http.StatusOK {
		if v, ok := readTables(body); ok {
			return v
		}
	}
	a := parseAnswer(header, body, 0)
	said := a.describe(status)
	foreign := foreignFault("Log Analytics", status, header, said)
	switch {
	case status == http.StatusTooManyRequests:
		return retryQuery(throttleWait(header, body, now),
			fault{"Log Analytics has too many queries of this application to answer: " + said, "Try again in a minute."})
	case a.form == formError && status >= http.StatusBadRequest && status < http.StatusInternalServerError:
		return decideRefusal(status, a)
	case a.form == formEmpty && status == http.StatusNoContent:
		return failQuery(noDataFault)
	case status == http.StatusUnauthorized:
		return queryVerdict{next: queryRenew, err: errors.New(foreign.sentences())}
	case status < http.StatusInternalServerError, a.form == formPage:
		return retryQuery(0, foreign)
	}
	wait, _ := retry.After(header, now)
	return retryQuery(wait, fault{"Log Analytics is out of order: " + said, ""})
}

// decideRefusal reads an error of the API's own that does not pass by itself.
func decideRefusal(status int, a answer) queryVerdict {
	switch {
	case strings.EqualFold(a.code, "InvalidAuthenticationTokenAudience"):
		return queryVerdict{next: queryRenew, err: queryAudienceFault.configError()}
	case status == http.StatusUnauthorized, strings.EqualFold(a.code, "InvalidAuthenticationToken"):
		return queryVerdict{next: queryRenew, err: noReadRight(a.text)}
	case status == http.StatusForbidden:
		return queryVerdict{next: queryFail, err: noReadRight(a.text)}
	case status == http.StatusNotFound:
		return failQuery(workspaceFault)
	case status == http.StatusRequestTimeout, status == http.StatusConflict:
		return retryQuery(0, fault{"Log Analytics is out of order: " + a.text, ""})
	case strings.Contains(a.text, "'"+indicatorTable+"'"):
		return failQuery(fault{
			"The workspace has no table " + indicatorTable + ": " + a.text,
			"Compare Sentinel Workspace ID with the Log Analytics workspace's Overview, and check that Microsoft Sentinel is enabled on it.",
		})
	}
	return failQuery(fault{
		fmt.Sprintf("Log Analytics refuses the query (status %d): %s", status, a.text),
		"Check whether a newer version of this App exists.",
	})
}

func retryQuery(wait time.Duration, f fault) queryVerdict {
	return queryVerdict{next: queryRetry, wait: wait, err: errors.New(f.sentences())}
}

func failQuery(f fault) queryVerdict { return queryVerdict{next: queryFail, err: f.configError()} }

const indicatorTable = "ThreatIntelIndicators"

var queryAudienceFault = fault{
	"Log Analytics does not take the token: it is for another audience.",
	"Check Azure Cloud: it has to be the cloud of the workspace.",
}

var noDataFault = fault{
	"Log Analytics says that the workspace holds no data at all.",
	"Compare Sentinel Workspace ID with the Log Analytics workspace's Overview. After a first upload, rows take minutes to appear.",
}

// noReadRight is the lack of a role to read, app/docs/sentinel.md#right-to-read.
func noReadRight(said string) *NoReadRight {
	return &NoReadRight{
		text.Sentence("Log Analytics does not let the application read the workspace: " + said),
		"Microsoft Sentinel Contributor includes the right to read; a role of your own may not. Give the application the role " +
			"Log Analytics Reader or Microsoft Sentinel Reader on the workspace, under Access control (IAM); a new role can take up " +
			"to an hour to arrive. Uploading goes on without it.",
	}
}

// readTables reads the body of a success. ok is false for what is not in the form of the API.
func readTables(body []byte) (v queryVerdict, ok bool) {
	var answer struct {
		Tables []struct {
			Columns []struct {
				Name string `json:"name"`
			} `json:"columns"`
			Rows [][]json.RawMessage `json:"rows"`
		} `json:"tables"`
		Error json.RawMessage `json:"error"`
	}
	if json.Unmarshal(trimMark(body), &answer) != nil || len(answer.Tables) == 0 || len(answer.Tables[0].Columns) == 0 {
		return v, false
	}
	if isFilled(answer.Error) {
		said := strings.Join(findReasons(answer.Error).texts(), " ")
		return queryVerdict{next: queryFail, err: &PartialResult{
			text.Sentence("Log Analytics could give only a part of what was asked for: " + text.Line(said, maxLine)),
		}}, true
	}
	first := answer.Tables[0]
	v.table = queryTable{columns: map[string]int{}, rows: first.Rows}
	for i, column := range first.Columns {
		v.table.columns[column.Name] = i
	}
	for _, row := range first.Rows {
		if len(row) != len(first.Columns) {
			return queryVerdict{}, false
		}
	}
	return v, true
}
