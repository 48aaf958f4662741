package doctor

import (
	"fmt"
	"net/http"
	"strings"
	"time"

	"mssentinel/app/threatconnect"
)

// tcRefusal is a request that ThreatConnect should refuse.
type tcRefusal struct {
	id       string
	probe    threatconnect.Probe
	expected func(threatconnect.Reply) bool
	// effect of another refusal than the expected one, and of none
	otherwise, taken string
}

const noSuchOwner = "No owner has this name (asked by the Microsoft Sentinel App)"

var tcRefusals = []tcRefusal{
	{tcAuthFailure, threatconnect.Probe{Path: ownersProbe.Path, Params: ownersProbe.Params, WrongKey: true},
		func(r threatconnect.Reply) bool { return r.Status == http.StatusUnauthorized && r.JSON },
		"Where the Secret Key is wrong, messages of the App point to something else, such as a proxy: think of the key first.",
		"ThreatConnect does not check who asks: tell its administrator."},
	{tcClockBound, threatconnect.Probe{Path: ownersProbe.Path, Params: ownersProbe.Params, Clock: -6 * time.Minute},
		func(r threatconnect.Reply) bool { return r.Status == http.StatusUnauthorized },
		"Where the clock is wrong, messages of the App point to something else: think of the clock first.",
		"Clocks may differ by more than the 5 minutes that messages of the App name."},
	{tcUnknownOwner, selectIndicators("owner", noSuchOwner),
		func(r threatconnect.Reply) bool { return isClientError(r.Status) },
		"A query with an owner that was renamed is tried again and again before its job fails.",
		"An owner that was renamed, or that the API user does not see any more, looks like one without indicators: " +
			"a full update retires what came from it, up to the brake."},
	{tcBadTQL, selectIndicators("tql", "("),
		func(r threatconnect.Reply) bool { return r.Status == http.StatusBadRequest },
		"A mistake in the TQL of a query is not named as such by CONFIGURE and REPORT.",
		"A mistake in the TQL of a query is not found: it selects something else than was meant."},
	{tcUnknownField, selectIndicators("fields", "noSuchField"),
		func(r threatconnect.Reply) bool { return isClientError(r.Status) },
		"Where a part of the indicators is withheld, the download fails instead of going on without it.",
		"Where a part of the indicators is withheld, it is missing in Sentinel and no message says so."},
	{tcBadSorting, selectIndicators("sorting", "noSuchKeyword asc"),
		func(r threatconnect.Reply) bool { return r.Status == http.StatusBadRequest },
		"A sort field that this ThreatConnect does not know is tried again and again before the job fails.",
		"A sort field that this ThreatConnect does not know is passed over: the indicators come in another order than was asked for, and none is missed."},
}

func isClientError(status int) bool {
	return status >= 400 && status < 500
}

// examineRefusals asks what is wrong on purpose.
func (e *tcExamination) examineRefusals() {
	for _, r := range tcRefusals {
		reply, ok := e.sendProbe(r.id, r.probe)
		if !ok {
			continue
		}
		answer := Answer{Verdict: yesOrNo(!reply.Succeeded()), Evidence: describeReply(reply)}
		switch {
		case reply.Succeeded():
			answer.Differs, answer.Effect = true, r.taken
		case !r.expected(reply):
			answer.Differs, answer.Effect = true, r.otherwise
			if r.id == tcAuthFailure {
				answer.Verdict = No // refused, and not as the question has it
			}
		}
		e.answers.Set(r.id, answer)
	}
}

// pastEnd selects nothing, from the thousandth row on.
var pastEnd = []string{"tql", "id = 0", "resultStart", "1000", "count", "true"}

// examineLimit asks for too many rows and behind the last one at once. Where that is refused, it is not clear for which of
// the two: then the second has to be asked alone.
func (e *tcExamination) examineLimit() (again bool) {
	reply, ok := e.sendProbe(tcLimit, selectIndicators(append([]string{"resultLimit", "10001"}, pastEnd...)...))
	if !ok {
		return false
	}
	e.answers.Set(tcLimit, Answer{Verdict: yesOrNo(!reply.Succeeded()), Evidence: describeReply(reply)})
	if !reply.Succeeded() {
		return true
	}
	e.answerPastEnd(reply)
	return false
}

// examinePastEnd asks behind the last row, and where that is refused by itself, for too many rows.
func (e *tcExamination) examinePastEnd() {
	reply, ok := e.sendProbe(tcPastEnd, selectIndicators(pastEnd...))
	if !ok {
		return
	}
	e.answerPastEnd(reply)
	if reply.Succeeded() {
		return
	}
	if reply, ok = e.sendProbe(tcLimit, selectIndicators("resultLimit", "10001", "tql", "id = 0")); ok {
		e.answers.Set(tcLimit, Answer{Verdict: yesOrNo(!reply.Succeeded()), Evidence: describeReply(reply)})
	}
}

func (e *tcExamination) answerPastEnd(reply threatconnect.Reply) {
	answer := Answer{Verdict: yesOrNo(reply.Succeeded() && len(reply.Rows) == 0), Evidence: describeReply(reply)}
	if !reply.Succeeded() {
		answer.Effect = "Where indicators disappear during a download, the App takes such a refusal for the end of the list."
	}
	e.answers.Set(tcPastEnd, answer)
}

// nowUnits of TQL's NOW(), the usual ones first. Of each the plural is tried, too.
var nowUnits = []string{"HOUR", "DAY", "MINUTE", "WEEK", "MONTH", "YEAR", "SECOND"}

// nowQuery selects nothing, and names units.
func nowQuery(units ...string) string {
	query := "id = 0"
	for _, unit := range units {
		query += fmt.Sprintf(` and dateAdded >= "NOW() - 1 %s" and dateAdded >= "NOW() - 2 %sS"`, unit, unit)
	}
	return query
}

const tqlParseError = "0x2001"

// unitsOpen says what is left to ask about the units of NOW().
type unitsOpen int

const (
	unitsKnown unitsOpen = iota
	unitsRefused
	unitsUnread
)

// examineBody sends a query that selects nothing, names all units, and is long enough for the body. A ThreatConnect that
// does not read the body answers with everything it has, and cannot complain about the query.
func (e *tcExamination) examineBody() unitsOpen {
	reply, ok := e.sendProbe(tcBody, selectIndicators("tql", nowQuery(nowUnits...)+strings.Repeat(" ", 2100), "count", "true"))
	if !ok {
		return unitsUnread
	}
	switch {
	case reply.Succeeded() && reply.Count == 0 && len(reply.Rows) == 0:
		e.answers.Set(tcBody, Answer{Verdict: Yes, Evidence: describeReply(reply)})
		e.answerUnits(nil, nil, reply)
		return unitsKnown
	case !reply.Succeeded() && reply.Code == tqlParseError:
		e.answers.Set(tcBody, Answer{Verdict: Yes, Evidence: describeReply(reply)})
		e.answerUnits(nil, nil, reply)
		return unitsRefused
	}
	e.answers.Set(tcBody, Answer{Verdict: No, Evidence: describeReply(reply), Differs: true,
		Effect: "Queries of 2,000 characters and more, owners and types included, are refused as too long: shorten the TQL, or split the query in two."})
	return unitsUnread
}

// examineUnits asks for the units in the query, and then, where they are refused, for one after the other as long as the
// bound allows.
func (e *tcExamination) examineUnits(open unitsOpen) {
	if open == unitsUnread {
		reply, ok := e.sendProbe(tcNowUnits, selectIndicators("tql", nowQuery(nowUnits...)))
		if !ok {
			return
		}
		e.answerUnits(nil, nil, reply)
		if reply.Succeeded() {
			return
		}
	}
	var known, unknown []string
	for _, unit := range nowUnits {
		if open == unitsKnown || e.left == 0 {
			return
		}
		reply, ok := e.sendProbe(tcNowUnits, selectIndicators("tql", nowQuery(unit)))
		switch {
		case !ok:
			return
		case reply.Succeeded():
			known = append(known, unit)
		default:
			unknown = append(unknown, unit)
		}
		e.answerUnits(known, unknown, reply)
	}
}

// answerUnits answers by the last reply: to a query with all units, or with the last one of known and unknown.
func (e *tcExamination) answerUnits(known, unknown []string, reply threatconnect.Reply) {
	if len(known)+len(unknown) > 0 {
		e.answers.Set(tcNowUnits, Answer{Verdict: No, Effect: "TQL with the others is refused when a query is saved: write a date instead.",
			Evidence: fmt.Sprintf("not all of %s; known by itself: %s; refused by itself: %s; the last answer: %s", strings.Join(nowUnits, ", "),
				orWord(strings.Join(known, ", "), "none"), orWord(strings.Join(unknown, ", "), "none"), describeReply(reply))})
		return
	}
	answer := Answer{Verdict: Yes, Evidence: strings.Join(nowUnits, ", ") + ", with and without an S"}
	if !reply.Succeeded() {
		answer = Answer{Verdict: No, Evidence: describeReply(reply), Effect: "TQL with some of the units is refused when a query is saved: write a date instead."}
	}
	e.answers.Set(tcNowUnits, answer)
}
