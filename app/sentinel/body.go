package sentinel

import (
	"bytes"
	"cmp"
	"encoding/json"
	"maps"
	"net/http"
	"regexp"
	"slices"
	"strconv"
	"strings"

	"mssentinel/app/text"
)

// form is what a body looks like, and so who wrote it, app/docs/sentinel.md#whose-word-an-answer-is.
type form int

const (
	// formEmpty: nothing, {} or null.
	formEmpty form = iota
	// formRecords: an object with a list of record errors, which may be empty, and no word of failure.
	formRecords
	// formError: an error in one of the shapes that Sentinel and its gateway have.
	formError
	// formOther: any other JSON, plain text or XML, or a body that is too long to be an answer.
	formOther
	// formPage: HTML.
	formPage
)

// answer is what a body says.
type answer struct {
	form       form
	status     int    // the HTTP status that the body names, 0 where it names none
	code       string // Microsoft's name for the error
	text       string // the reason, on one line; "" where there is none
	activityID string
	rejected   []Rejection
	unclear    bool // there are record errors that name no object of the request
}

// byteOrderMark stands before the JSON of some servers and proxies, and is no part of the text.
var byteOrderMark = []byte("\uFEFF")

func trimMark(body []byte) []byte { return bytes.TrimPrefix(body, byteOrderMark) }

// members are those of a JSON object that an answer is read by. Their names match in any case.
type members struct {
	Errors     json.RawMessage `json:"errors"`
	Error      json.RawMessage `json:"error"`
	Message    json.RawMessage `json:"message"`
	Title      json.RawMessage `json:"title"`
	Detail     json.RawMessage `json:"detail"`
	Code       json.RawMessage `json:"code"`
	StatusCode json.RawMessage `json:"statusCode"`
	Status     json.RawMessage `json:"status"`
	Success    json.RawMessage `json:"success"`
	Activity   json.RawMessage `json:"activityId"`
}

// envelope is the object below the member error, app/docs/sentinel.md#error-bodies.
type envelope struct {
	Code    json.RawMessage `json:"code"`
	Message json.RawMessage `json:"message"`
	Status  json.RawMessage `json:"status"`
}

// parseAnswer reads the body of an answer to a request of n objects.
func parseAnswer(header http.Header, body []byte, n int) answer {
	a := answer{code: header.Get("x-ms-error-code")}
	if len(body) == 0 {
		return a
	}
	trimmed := bytes.TrimSpace(trimMark(body))
	switch {
	case len(body) > maxAnswer:
		a.form, a.text = formOther, "an answer without an end"
	case isPage(header, trimmed):
		a.form, a.text = formPage, pageTitle(trimmed)
	case string(trimmed) == "null":
	case bytes.HasPrefix(trimmed, []byte("{")) && json.Valid(trimmed):
		a.parseObject(trimmed, n)
	default:
		a.form, a.text = formOther, text.Line(plainText(trimmed), maxLine)
	}
	return a
}

// parseObject reads a JSON object.
func (a *answer) parseObject(body []byte, n int) {
	var all map[string]json.RawMessage
	json.Unmarshal(body, &all) //nolint:errcheck // it is an object
	if len(all) == 0 {
		return
	}
	var m members
	json.Unmarshal(body, &m) //nolint:errcheck // every member is taken as it is
	var e envelope
	json.Unmarshal(m.Error, &e) //nolint:errcheck // may be a text, or missing
	a.readStatus(m, e)
	a.code = text.Line(cmp.Or(firstText(e.Code, m.Code), a.code), maxLine)
	a.activityID = text.Line(firstText(m.Activity), maxLine)
	reasons := findReasons(body)
	said := cmp.Or(strings.Join(reasons.texts(), " "), firstText(e.Code, m.Code), string(body))
	a.text = text.Line(said, maxLine)
	isList := a.parseRecordErrors(m.Errors, n)
	if len(a.rejected) == 0 {
		a.rejected = reasons.namedRecords(n)
	}
	switch hasEnvelope := firstText(e.Code, e.Message) != ""; {
	case isList && !a.tellsFailure(m):
		a.form = formRecords
	case hasEnvelope, a.status != 0 && firstText(m.Message) != "" && m.StatusCode != nil, a.unclear, len(a.rejected) > 0:
		a.form = formError
	default:
		a.form = formOther
	}
}

// readStatus finds the HTTP status that the body names.
func (a *answer) readStatus(m members, e envelope) {
	for _, raw := range []json.RawMessage{m.StatusCode, m.Status, m.Code, e.Status, e.Code} {
		status, err := strconv.Atoi(strings.Trim(string(raw), `" `))
		if err == nil && status >= 100 && status <= 599 && a.status < http.StatusBadRequest {
			a.status = status
		}
	}
}

// passingWords are what the member status says of something that went well.
var passingWords = []string{"ok", "success", "succeeded", "accepted", "completed"}

// tellsFailure reports a word of failure beside the list of record errors: then it is no success, whatever the list
// says.
func (a *answer) tellsFailure(m members) bool {
	word := firstText(m.Status)
	_, err := strconv.Atoi(word)
	isWord := word != "" && err != nil && !slices.Contains(passingWords, strings.ToLower(word))
	told := slices.ContainsFunc([]json.RawMessage{m.Message, m.Title, m.Detail, m.Error, m.Code}, isFilled)
	return a.status >= http.StatusBadRequest || isWord || told || string(m.Success) == "false"
}

// isFilled says that a member says something.
func isFilled(raw json.RawMessage) bool {
	return !slices.Contains([]string{"", "null", `""`, "{}", "[]", "false"}, string(raw))
}

// parseRecordErrors reads the list of record errors, app/docs/sentinel.md#record-errors, and says whether there is one
// (null is one). One whose index is not that of an object of the request makes the answer unclear. What has none of the
// members of a record error is none; where there is nothing else, the list is not Sentinel's.
func (a *answer) parseRecordErrors(raw json.RawMessage, n int) (isList bool) {
	var entries []map[string]json.RawMessage
	if json.Unmarshal(raw, &entries) != nil { // a member that is missing is none
		return false
	}
	isList = len(entries) == 0
	messages := make(map[int][]string)
	for _, entry := range entries {
		e, ok := readRecordError(entry)
		isList = isList || ok
		i, err := strconv.Atoi(strings.Trim(string(e.index), `" `))
		if err != nil || i < 0 || i >= n {
			a.unclear = true
			continue
		}
		messages[i] = append(messages[i], e.texts...)
	}
	for _, i := range slices.Sorted(maps.Keys(messages)) {
		texts := messages[i]
		slices.Sort(texts)
		message := joinMessages(slices.Compact(texts))
		a.rejected = append(a.rejected, Rejection{Index: i, Code: CodeRejected, Message: message})
	}
	a.unclear = a.unclear && isList
	return isList
}

type recordError struct {
	index json.RawMessage
	texts []string
}

// readRecordError reads an entry of the list. ok is false where it has none of the members of one.
func readRecordError(entry map[string]json.RawMessage) (e recordError, ok bool) {
	for name, raw := range entry {
		switch strings.ToLower(name) {
		case "recordindex":
			e.index, ok = raw, true
		case "errormessages", "validationerrormessages":
			e.texts, ok = append(e.texts, textsIn(raw)...), true
		}
	}
	return e, ok
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

// firstText is the first text among these members, "" where there is none.
func firstText(members ...json.RawMessage) string {
	for _, raw := range members {
		if texts := textsIn(raw); len(texts) > 0 {
			return texts[0]
		}
	}
	return ""
}

const (
	maxMessage = 2000 // bytes of the message of a Rejection
	maxLine    = 500  // bytes of a text in an error or a log
	maxTitle   = 120  // bytes of a page that are repeated

	pageHead = 2048     // bytes in which the first tag of a page stands
	pageText = 64 << 10 // bytes of a page, or of XML, that are read
)

func joinMessages(texts []string) string {
	if len(texts) == 0 {
		return "Sentinel rejects the record and gives no reason."
	}
	return text.Cut(strings.Join(texts, " "), maxMessage)
}

var (
	pageStart  = regexp.MustCompile(`(?i)<(!doctype html|html|head|body|title|h1|center|script)\b`)
	xhtmlStart = regexp.MustCompile(`(?i)<(!doctype html|html)\b`)
	titleTag   = regexp.MustCompile(`(?is)<title[^>]*>(.*?)</title`)
	hiddenText = regexp.MustCompile(`(?is)<(script|style)\b.*?(</(script|style)\s*>|$)|<!--.*?(-->|$)`)
	markup     = regexp.MustCompile(`<[^>]*(>|$)`)
)

// isPage says that a body is HTML, whatever its header says; a header that calls JSON a page is wrong.
func isPage(header http.Header, body []byte) bool {
	if len(body) == 0 || json.Valid(body) {
		return false
	}
	head := body[:min(len(body), pageHead)]
	if bytes.HasPrefix(body, []byte("<?xml")) {
		return xhtmlStart.Match(head)
	}
	return pageStart.Match(head) || strings.HasPrefix(strings.ToLower(header.Get("Content-Type")), "text/html")
}

// pageTitle is what a page calls itself, or the text it begins with.
func pageTitle(page []byte) string {
	page = page[:min(len(page), pageText)]
	if title := titleTag.FindSubmatch(page); title != nil {
		if name := text.Line(plainText(title[1]), maxTitle); name != "" {
			return name
		}
	}
	return text.Line(plainText(page), maxTitle)
}
