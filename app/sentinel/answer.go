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
)

// Codes of a [Refusal].
const (
	CodeRejected     = "sentinel-rejected" // Sentinel named the record and said what is wrong with it
	CodeBatchRefused = "batch-refused"     // Sentinel refused every batch that held the record, even of it alone
)

// Refusal is why Sentinel does not take an object.
type Refusal struct {
	Index   int // into the objects of the batch
	Code    string
	Message string // one or several sentences of Sentinel's, at most 2,000 bytes
}

// action is what an answer asks us to do.
type action int

const (
	accept   action = iota // the refused records are refused, all others stand
	narrow                 // the refused records are refused; of the others nothing is known, and if none is, one of them is to blame
	throttle               // everybody waits, then again
	retry                  // wait, longer each time, then again
	renew                  // again with a new token
	role                   // the role may still be arriving: again in minutes
	fail                   // nothing but an operator helps
)

// decision is what follows from an answer.
type decision struct {
	action  action
	refused []Refusal // Index counts the objects of the request
	text    string    // what Sentinel said, in one line
	wait    time.Duration
	support string       // what Microsoft's support asks for
	config  *ConfigError // with fail
}

// On a 429 that says nothing we wait for a whole window, and a little longer than told in any case (spec §1.3).
const (
	throttleUnsaid = time.Minute
	throttleMargin = time.Second
	throttleMost   = time.Hour // then it does no harm to ask again
)

// decide reads an answer to a request of n objects (spec §1.5, §9). It depends on nothing else, and remembers nothing.
func decide(status int, header http.Header, body []byte, n int, now time.Time) decision {
	said := readBody(body, n)
	d := decision{text: said.text, support: said.activity}
	if d.text == "" {
		d.text = fmt.Sprintf("HTTP status %d without a reason", status)
	}
	switch {
	case status >= 200 && status < 300:
		return onSuccess(d, said, n)
	case status == http.StatusBadRequest || status == http.StatusRequestEntityTooLarge || status == http.StatusUnprocessableEntity:
		return onRefusal(d, said, n)
	case status == http.StatusTooManyRequests:
		d.action, d.wait = throttle, throttled(header, body, now)
	case status == http.StatusUnauthorized:
		d.action = renew
	case status == http.StatusForbidden:
		d.action = role
	case status == http.StatusNotFound:
		d.action = fail
		d.config = &ConfigError{"Sentinel does not find the workspace.", "Compare Sentinel Workspace ID with the Log Analytics workspace's Overview, and check Azure Cloud."}
	case status >= 500 || status < 400 || status == http.StatusRequestTimeout || status == http.StatusConflict || status == http.StatusTooEarly:
		d.action = retry
		d.wait, _ = retryAfter(header, now)
	default:
		d.action = fail
		d.config = &ConfigError{fmt.Sprintf("Sentinel refuses our requests with status %d: %s", status, d.text), "Check the proxy and whether a newer version of this App exists."}
	}
	return d
}

// onSuccess reads an answer of status 2xx: at least one object was taken, and the rest is in errors.
func onSuccess(d decision, said said, n int) decision {
	d.refused = said.refused
	switch {
	case !said.json:
		// A proxy's page, perhaps: whatever it is, it is not Sentinel's word that the objects stand.
		d.action, d.refused, d.text = retry, nil, "an answer that is not Sentinel's"
	case said.failed:
		d.action, d.refused = retry, nil
	case said.unclear && n > 1:
		d.action = narrow
	case said.unclear:
		d.action, d.refused = accept, nil
	default:
		d.action = accept
	}
	return d
}

// configTexts are parts of refusals that no record can be blamed for.
var configTexts = []struct{ part, remedy string }{
	{"workspace id", "Compare Sentinel Workspace ID with the Log Analytics workspace's Overview."},
	{"api-version", "Check whether a newer version of this App exists."},
	{"sourcesystem is reserved", "Choose another Sentinel Source Name."},
}

// onRefusal reads an answer that refuses the request.
func onRefusal(d decision, said said, n int) decision {
	d.action, d.refused = narrow, said.refused
	switch {
	case len(said.refused) > 0:
		return d
	case said.unclear && n == 1:
		d.refused = []Refusal{{Code: CodeRejected, Message: d.text}}
		return d
	}
	for _, c := range configTexts {
		if strings.Contains(strings.ToLower(said.text), c.part) {
			d.action, d.config = fail, &ConfigError{"Sentinel refuses our requests: " + d.text, c.remedy}
			return d
		}
	}
	return d
}

// said is what a body says, in any of the four shapes: a list of record errors, the API's envelope, the gateway's, none.
type said struct {
	json     bool // it is JSON, or empty
	failed   bool // it is the envelope of an error
	text     string
	activity string
	refused  []Refusal
	unclear  bool // there are record errors that cannot be told to belong to a record
}

func readBody(body []byte, n int) said {
	body = bytes.TrimSpace(body)
	s := said{json: len(body) == 0 || json.Valid(body)}
	var shape struct {
		Errors   json.RawMessage `json:"errors"`
		Error    json.RawMessage `json:"error"`
		Message  json.RawMessage `json:"message"`
		Activity json.RawMessage `json:"activityId"`
	}
	if len(body) == 0 || body[0] != '{' || json.Unmarshal(body, &shape) != nil {
		return s
	}
	var envelope struct {
		Code    json.RawMessage `json:"code"`
		Message json.RawMessage `json:"message"`
	}
	json.Unmarshal(shape.Error, &envelope) //nolint:errcheck // may be a text, or missing
	texts := slices.Concat(textsIn(envelope.Message), textsIn(shape.Message), textsIn(shape.Error), textsIn(envelope.Code))
	if len(texts) > 0 {
		s.text = oneLine(texts[0])
	}
	s.failed = len(texts) > len(textsIn(shape.Message)) // error says something, too
	if ids := textsIn(shape.Activity); len(ids) > 0 {
		s.activity = oneLine(ids[0])
	}
	s.readRecords(shape.Errors, n)
	return s
}

// readRecords reads the list of record errors, whose messages go by two names (spec §0.5).
func (s *said) readRecords(raw json.RawMessage, n int) {
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
			s.unclear = true
			if s.text == "" && len(texts) > 0 {
				s.text = oneLine(texts[0])
			}
			continue
		}
		messages[i] = append(messages[i], texts...)
	}
	for i, texts := range messages {
		slices.Sort(texts)
		s.refused = append(s.refused, Refusal{Index: i, Code: CodeRejected, Message: joined(slices.Compact(texts))})
	}
	slices.SortFunc(s.refused, func(a, b Refusal) int { return a.Index - b.Index })
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
		if text, ok := element.(string); ok && text != "" {
			texts = append(texts, text)
		}
	}
	return texts
}

const (
	maxMessage = 2000 // bytes of a refusal's message
	maxLine    = 500  // bytes of a text in an error or a log
)

func joined(texts []string) string {
	if len(texts) == 0 {
		return "Sentinel refuses the record and gives no reason."
	}
	return cut(strings.Join(texts, " "), maxMessage)
}

// oneLine makes what a server wrote fit for a log or an error.
func oneLine(text string) string { return cut(strings.Join(strings.Fields(text), " "), maxLine) }

func cut(text string, most int) string {
	text = strings.ToValidUTF8(text, "\uFFFD")
	if len(text) > most {
		text = strings.ToValidUTF8(text[:most-len("…")], "") + "…"
	}
	return text
}

// redact takes a secret out of an answer that repeats it.
func redact(body []byte, secret string) []byte {
	if secret == "" {
		return body
	}
	return bytes.ReplaceAll(body, []byte(secret), []byte("[redacted]"))
}

var tryAgain = regexp.MustCompile(`(?i)try again in (\d+) second`)

// throttled says how long a 429 asks us to wait: by its header, else by its text, else for a window.
func throttled(header http.Header, body []byte, now time.Time) time.Duration {
	wait, ok := retryAfter(header, now)
	if m := tryAgain.FindSubmatch(body); !ok && m != nil {
		seconds, err := strconv.Atoi(string(m[1]))
		wait, ok = inSeconds(seconds), err == nil
	}
	if !ok {
		wait = throttleUnsaid
	}
	return min(wait, throttleMost) + throttleMargin
}

// retryAfter reads the header in both of its forms. A date is taken relative to the server's own clock.
func retryAfter(header http.Header, now time.Time) (time.Duration, bool) {
	text := strings.TrimSpace(header.Get("Retry-After"))
	if seconds, err := strconv.Atoi(text); err == nil {
		return inSeconds(seconds), true
	}
	at, err := http.ParseTime(text)
	if err != nil {
		return 0, false
	}
	if sent, err := http.ParseTime(header.Get("Date")); err == nil {
		now = sent
	}
	return max(at.Sub(now), 0), true
}

func inSeconds(n int) time.Duration {
	return time.Duration(max(min(n, 24*3600), 0)) * time.Second
}
