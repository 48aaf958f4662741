package sentinel

import (
	"bytes"
	"encoding/json"
	"fmt"
	"net/http"
	"regexp"
	"slices"
	"strconv"
	"strings"
	"time"

	"mssentinel/app/retry"
	"mssentinel/app/text"
)

// Codes of a [Rejection].
const (
	CodeRejected      = "sentinel-rejected" // Sentinel named the object and said what is wrong with it
	CodeBatchRejected = "batch-rejected"    // Sentinel rejected every batch that held the object, even of it alone
)

// Rejection is why Sentinel does not take an object.
type Rejection struct {
	Index   int    // into the objects of the batch
	Code    string // CodeRejected or CodeBatchRejected
	Message string // what Sentinel said, or that it said nothing; at most 2,000 bytes
}

// action is what to do with the objects of a request that its answer did not reject by index.
type action int

const (
	// actionAccept: Sentinel holds them.
	actionAccept action = iota
	// actionBisect: Sentinel holds none of them, or does not say which. They are sent again, and in halves if the answer
	// rejected no other object by index.
	actionBisect
	// actionThrottle: all requests are held back for a time, then they are sent again.
	actionThrottle
	// actionRetry: they are sent again after a pause, which is longer each time.
	actionRetry
	// actionRenewToken: they are sent again with a new token.
	actionRenewToken
	// actionAwaitRole: the role may still be on its way; they are sent again in minutes.
	actionAwaitRole
	// actionFail: nothing but an operator helps.
	actionFail
)

// decision is what follows from an answer.
type decision struct {
	action     action
	rejected   []Rejection   // by index into the objects of the request
	text       string        // what Sentinel said, on one line
	wait       time.Duration // what the server asked for, with actionThrottle and actionRetry
	activityID string        // what Microsoft's support asks for
	config     *ConfigError  // with actionFail
}

// How long a 429 makes us wait, app/docs/sentinel.md#throttling.
const (
	throttleUnsaid = time.Minute // where it says nothing: a whole window
	throttleMargin = time.Second // on top of what is said
	throttleMost   = time.Hour   // then it does no harm to ask again
)

// decide reads the answer to a request of n objects, app/docs/sentinel.md#answers. It depends on its arguments alone
// and remembers nothing.
func decide(status int, header http.Header, body []byte, n int, now time.Time) decision {
	a := parseAnswer(body, n)
	d := decision{text: a.text, activityID: a.activityID}
	if d.text == "" {
		d.text = fmt.Sprintf("HTTP status %d without a reason", status)
	}
	switch {
	case status >= 200 && status < 300:
		return decideSuccess(d, a, n)
	case status == http.StatusBadRequest, status == http.StatusRequestEntityTooLarge,
		status == http.StatusUnprocessableEntity:
		return decideRejection(d, a, n)
	case status == http.StatusTooManyRequests:
		d.action, d.wait = actionThrottle, throttleWait(header, body, now)
	case status == http.StatusUnauthorized:
		d.action = actionRenewToken
	case status == http.StatusForbidden:
		d.action = actionAwaitRole
	case status == http.StatusNotFound:
		d.action = actionFail
		d.config = &ConfigError{
			"Sentinel does not find the workspace.",
			"Compare Sentinel Workspace ID with the Log Analytics workspace's Overview, and check Azure Cloud.",
		}
	case status >= 500, status < 400, status == http.StatusRequestTimeout, status == http.StatusConflict,
		status == http.StatusTooEarly:
		d.action = actionRetry
		d.wait, _ = retry.After(header, now)
	default:
		d.action = actionFail
		d.config = &ConfigError{
			fmt.Sprintf("Sentinel rejects our requests with status %d: %s", status, d.text),
			"Check the proxy and whether a newer version of this App exists.",
		}
	}
	return d
}

// decideSuccess reads an answer of status 2xx: at least one object was accepted, and the rejected ones are in errors.
func decideSuccess(d decision, a answer, n int) decision {
	d.rejected = a.rejected
	switch {
	case !a.json:
		// The page of a proxy, perhaps. Sentinel did not say that it holds the objects.
		d.action, d.rejected, d.text = actionRetry, nil, "an answer that is not Sentinel's"
	case a.failed:
		d.action, d.rejected = actionRetry, nil
	case a.unclear && n > 1:
		d.action = actionBisect
	case a.unclear:
		d.action, d.rejected = actionAccept, nil
	default:
		d.action = actionAccept
	}
	return d
}

// configTexts are parts of rejections that no object can cause, app/docs/sentinel.md#status-codes.
var configTexts = []struct{ part, remedy string }{
	{"workspace id", "Compare Sentinel Workspace ID with the Log Analytics workspace's Overview."},
	{"api-version", "Check whether a newer version of this App exists."},
	{"sourcesystem is reserved", "Choose another Sentinel Source Name."},
}

// decideRejection reads an answer that rejects the request.
func decideRejection(d decision, a answer, n int) decision {
	d.action, d.rejected = actionBisect, a.rejected
	switch {
	case len(a.rejected) > 0:
		return d
	case a.unclear && n == 1:
		d.rejected = []Rejection{{Code: CodeRejected, Message: d.text}}
		return d
	}
	for _, c := range configTexts {
		if strings.Contains(strings.ToLower(a.text), c.part) {
			d.action, d.config = actionFail, &ConfigError{"Sentinel rejects our requests: " + d.text, c.remedy}
			return d
		}
	}
	return d
}

// answer is what a body says in any of its four shapes, app/docs/sentinel.md#error-bodies.
type answer struct {
	json       bool // it is JSON, or empty
	failed     bool // its member error says something
	text       string
	activityID string
	rejected   []Rejection
	unclear    bool // there are record errors that name no object of the request
}

func parseAnswer(body []byte, n int) answer {
	body = bytes.TrimSpace(body)
	a := answer{json: len(body) == 0 || json.Valid(body)}
	var shape struct {
		Errors   json.RawMessage `json:"errors"`
		Error    json.RawMessage `json:"error"`
		Message  json.RawMessage `json:"message"`
		Activity json.RawMessage `json:"activityId"`
	}
	if len(body) == 0 || body[0] != '{' || json.Unmarshal(body, &shape) != nil {
		return a
	}
	var envelope struct {
		Code    json.RawMessage `json:"code"`
		Message json.RawMessage `json:"message"`
	}
	json.Unmarshal(shape.Error, &envelope) //nolint:errcheck // may be a text, or missing
	texts := slices.Concat(textsIn(envelope.Message), textsIn(shape.Message), textsIn(shape.Error), textsIn(envelope.Code))
	if len(texts) > 0 {
		a.text = text.Line(texts[0], maxLine)
	}
	a.failed = len(texts) > len(textsIn(shape.Message)) // error says something, too
	if ids := textsIn(shape.Activity); len(ids) > 0 {
		a.activityID = text.Line(ids[0], maxLine)
	}
	a.parseRecordErrors(shape.Errors, n)
	return a
}

// parseRecordErrors reads the list of record errors, app/docs/sentinel.md#record-errors. One whose index is not that of
// an object of the request makes the answer unclear.
func (a *answer) parseRecordErrors(raw json.RawMessage, n int) {
	if len(raw) == 0 {
		return
	}
	var entries []json.RawMessage
	if json.Unmarshal(raw, &entries) != nil {
		entries = []json.RawMessage{raw}
	}
	messages := make(map[int][]string)
	for _, entry := range entries {
		var e struct {
			Index      json.RawMessage `json:"recordIndex"`
			Messages   json.RawMessage `json:"errorMessages"`
			Validation json.RawMessage `json:"validationErrorMessages"`
		}
		json.Unmarshal(entry, &e) //nolint:errcheck // what is no object has no index
		texts := slices.Concat(textsIn(e.Messages), textsIn(e.Validation), textsIn(entry))
		i, err := strconv.Atoi(strings.Trim(string(e.Index), `" `))
		if err != nil || i < 0 || i >= n {
			a.unclear = true
			if a.text == "" && len(texts) > 0 {
				a.text = text.Line(texts[0], maxLine)
			}
			continue
		}
		messages[i] = append(messages[i], texts...)
	}
	for i, texts := range messages {
		slices.Sort(texts)
		message := joinMessages(slices.Compact(texts))
		a.rejected = append(a.rejected, Rejection{Index: i, Code: CodeRejected, Message: message})
	}
	slices.SortFunc(a.rejected, func(a, b Rejection) int { return a.Index - b.Index })
}

// textsIn returns a text, or those of a list.
func textsIn(raw json.RawMessage) []string {
	var one string
	if json.Unmarshal(raw, &one) == nil && one != "" {
		return []string{one}
	}
	var list []any
	json.Unmarshal(raw, &list) //nolint:errcheck // something else has no texts
	var texts []string
	for _, element := range list {
		if s, ok := element.(string); ok && s != "" {
			texts = append(texts, s)
		}
	}
	return texts
}

const (
	maxMessage = 2000 // bytes of the message of a Rejection
	maxLine    = 500  // bytes of a text in an error or a log
)

func joinMessages(texts []string) string {
	if len(texts) == 0 {
		return "Sentinel rejects the record and gives no reason."
	}
	return text.Cut(strings.Join(texts, " "), maxMessage)
}

// redactSecret takes a secret out of an answer that repeats it.
func redactSecret(body []byte, secret string) []byte {
	if secret == "" {
		return body
	}
	return bytes.ReplaceAll(body, []byte(secret), []byte("[redacted]"))
}

var tryAgain = regexp.MustCompile(`(?i)try again in (\d+) second`)

// throttleWait is how long a 429 asks us to wait: by its header, else by its text, else for a window.
func throttleWait(header http.Header, body []byte, now time.Time) time.Duration {
	wait, ok := retry.After(header, now)
	if m := tryAgain.FindSubmatch(body); !ok && m != nil {
		seconds, err := strconv.Atoi(string(m[1]))
		wait, ok = time.Duration(min(seconds, int(throttleMost.Seconds())))*time.Second, err == nil
	}
	if !ok {
		wait = throttleUnsaid
	}
	return min(wait, throttleMost) + throttleMargin
}
