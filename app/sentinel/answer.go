package sentinel

import (
	"fmt"
	"net/http"
	"regexp"
	"strconv"
	"strings"
	"time"

	"mssentinel/app/mask"
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
	// actionProbe: something between refuses the request. If it lets another one pass, the objects are bisected, else
	// decision.refused says what to do.
	actionProbe
	// actionThrottle: all requests are held back for a time, then they are sent again.
	actionThrottle
	// actionRetry: they are sent again after a pause, which is longer each time.
	actionRetry
	// actionRenewToken: they are sent again with a new token. If that was tried, decision.refused says what to do.
	actionRenewToken
	// actionAwaitRole: the role may still be on its way; they are sent again in minutes.
	actionAwaitRole
	// actionFail: nothing but an operator helps.
	actionFail
)

// decision is what follows from an answer.
type decision struct {
	action     action
	refused    action        // what to do once actionProbe, actionRenewToken or actionRetry with persists did not help
	rejected   []Rejection   // by index into the objects of the request
	text       string        // what was said, on one line
	wait       time.Duration // what the server asked for, with actionThrottle and actionRetry
	activityID string        // what Microsoft's support asks for
	foreign    bool          // it is not Sentinel that answered
	persists   bool          // repeated for one request while others pass, it is about what is in that request
	fault      fault         // what to tell an operator, with actionProbe, actionRetry, actionAwaitRole and actionFail
}

// How long a 429 makes us wait, app/docs/sentinel.md#throttling.
const (
	throttleUnsaid = time.Minute // where it says nothing: a whole window
	throttleLeast  = time.Second // whatever is said: it may be nothing
	throttleMost   = time.Hour   // then it does no harm to ask again
)

// decide reads the answer to a request of n objects, app/docs/sentinel.md#answers. It depends on its arguments alone
// and remembers nothing. Nothing but Sentinel's own form is a success, a missing role or an unknown workspace.
func decide(status int, header http.Header, body []byte, n int, now time.Time) decision {
	a := parseAnswer(header, body, n)
	if status/100 == 2 && (a.form == formEmpty || a.form == formRecords) {
		return decideSuccess(a, n)
	}
	d := decision{text: a.describe(status), activityID: a.activityID, foreign: a.isForeign(status)}
	said := status
	if status/100 == 2 {
		said = a.status // a failure that travels as a success; 0 where it does not say which
	}
	switch {
	case a.tellsMissingRole():
		d.action, d.fault = actionAwaitRole, roleFault(d.text)
	case said == http.StatusTooManyRequests:
		d.action, d.wait = actionThrottle, throttleWait(header, body, now)
	case isRejection(said) && a.form != formPage:
		return decideRejection(d, a, n)
	case said == http.StatusUnauthorized:
		return decideUnauthorized(d, a)
	case said == http.StatusForbidden && !d.foreign:
		d.action, d.fault = actionAwaitRole, roleFault(d.text)
	case said == http.StatusForbidden && a.form == formEmpty:
		d.action, d.refused, d.fault = actionProbe, actionAwaitRole, roleFault(d.text)
	case isRejection(said), said == http.StatusForbidden, said == http.StatusNotAcceptable && d.foreign:
		d.action, d.refused, d.fault = actionProbe, actionRetry, foreignFault("Sentinel", status, header, d.text)
	case d.foreign || passesByItself(said):
		return decideRetry(d, status, header, now)
	case said == http.StatusNotFound:
		d.action, d.fault = actionFail, workspaceFault
	default:
		d.action, d.fault = actionFail, fault{
			fmt.Sprintf("Sentinel rejects our requests with status %d: %s", said, d.text),
			"Check the proxy and whether a newer version of this App exists.",
		}
	}
	return d
}

// isRejection says that a status is about what was sent.
func isRejection(status int) bool {
	return status == http.StatusBadRequest || status == http.StatusRequestEntityTooLarge ||
		status == http.StatusUnprocessableEntity
}

func passesByItself(status int) bool {
	return status >= 500 || status < 400 || status == http.StatusRequestTimeout || status == http.StatusConflict ||
		status == http.StatusTooEarly
}

// isForeign says that it is not Sentinel that answered. It answers without a body where it accepts all, and where a
// token is for another audience, app/docs/sentinel.md#whose-word-an-answer-is.
func (a answer) isForeign(status int) bool {
	switch a.form {
	case formRecords, formError:
		return false
	case formEmpty:
		return status != http.StatusUnauthorized && !isRejection(status) && status < 500
	case formOther:
		return status < 500 // a server that is out of order may not find its words
	}
	return true
}

// describe is what an answer says, on one line.
func (a answer) describe(status int) string {
	switch {
	case a.form == formPage && a.text == "":
		return fmt.Sprintf("a web page (HTTP status %d)", status)
	case a.form == formPage:
		return fmt.Sprintf("the web page %q (HTTP status %d)", a.text, status)
	case a.text == "":
		return fmt.Sprintf("HTTP status %d without a reason", status)
	case a.isForeign(status) && !isRejection(status):
		end := fmt.Sprintf(" (HTTP status %d)", status)
		return text.Cut(a.text, maxLine-len(end)) + end
	}
	return a.text
}

// missingRole is how the lack of a role begins, app/docs/sentinel.md#missing-role. Further on in a text it may be part of
// the value of an object.
var missingRole = regexp.MustCompile(
	`(?i)^The (Object ID|client) .{0,300}does not have (the )?(required permission|authorization to perform action)`)

// tellsMissingRole goes by the name of the error, whatever the status.
func (a answer) tellsMissingRole() bool {
	if a.form == formPage || len(a.rejected) > 0 || a.unclear {
		return false
	}
	return strings.EqualFold(a.code, "UnauthorizedAccess") || strings.EqualFold(a.code, "AuthorizationFailed") ||
		missingRole.MatchString(a.text)
}

// decideSuccess reads an answer of status 2xx in Sentinel's form: at least one object was accepted, and the rejected
// ones are in errors.
func decideSuccess(a answer, n int) decision {
	d := decision{action: actionAccept, rejected: a.rejected, text: a.text}
	switch {
	case a.unclear && n > 1:
		d.action = actionBisect
	case a.unclear && len(a.rejected) == 0:
		// One object was sent, and something is wrong with one: what else could be meant?
		message := text.Line("Sentinel names a record that was not sent: "+a.text, maxMessage)
		d.rejected = []Rejection{{Code: CodeRejected, Message: message}}
	}
	return d
}

// decideUnauthorized reads a 401. A new token is tried whoever asks for one: that does no harm.
func decideUnauthorized(d decision, a answer) decision {
	d.action, d.refused, d.fault = actionRenewToken, actionAwaitRole, roleFault(d.text)
	switch {
	case a.form == formEmpty:
		d.fault = audienceFault
	case d.foreign:
		d.refused, d.persists = actionRetry, true
		d.fault = foreignFault("Sentinel", http.StatusUnauthorized, nil, d.text)
	}
	return d
}

// decideRetry reads an answer that says nothing about the objects.
func decideRetry(d decision, status int, header http.Header, now time.Time) decision {
	d.action, d.refused, d.fault = actionRetry, actionRetry, fault{"Sentinel is out of order: " + d.text, ""}
	d.wait, _ = retry.After(header, now)
	if d.foreign {
		d.fault, d.persists = foreignFault("Sentinel", status, header, d.text), true
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
			d.action, d.fault = actionFail, fault{"Sentinel rejects our requests: " + d.text, c.remedy}
			return d
		}
	}
	return d
}

// redactSecret takes a secret out of an answer that repeats it, in whatever form. That is done before anything is cut
// out of the answer, since half a secret could not be found.
func redactSecret(body []byte, secret string) []byte {
	return mask.New(secret).Replace(body, "[redacted]")
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
	return max(throttleLeast, min(wait, throttleMost))
}
