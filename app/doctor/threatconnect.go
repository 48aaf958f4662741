package doctor

import (
	"context"
	"fmt"
	"net/http"
	"net/url"
	"slices"
	"strconv"
	"strings"
	"time"

	"mssentinel/app/platform"
	"mssentinel/app/threatconnect"
)

// MostThreatConnectRequests bounds the requests of one run to ThreatConnect. All of them are GETs.
const MostThreatConnectRequests = 15

// The questions about ThreatConnect's API, app/docs/threatconnect.md.
const (
	tcAnswers      = "threatconnect.answers"
	tcHeaders      = "threatconnect.headers"
	tcClock        = "threatconnect.clock"
	tcOwners       = "threatconnect.owners"
	tcVariable     = "threatconnect.variable"
	tcFields       = "threatconnect.fields"
	tcCount        = "threatconnect.count"
	tcLinks        = "threatconnect.links"
	tcDates        = "threatconnect.dates"
	tcLastModified = "threatconnect.last-modified"
	tcAuthFailure  = "threatconnect.auth-failure"
	tcClockBound   = "threatconnect.clock-bound"
	tcUnknownOwner = "threatconnect.unknown-owner"
	tcBadTQL       = "threatconnect.bad-tql"
	tcUnknownField = "threatconnect.unknown-field"
	tcBadSorting   = "threatconnect.bad-sorting"
	tcLimit        = "threatconnect.limit"
	tcPastEnd      = "threatconnect.past-end"
	tcBody         = "threatconnect.body"
	tcNowUnits     = "threatconnect.now-units"
	tcNaiveDates   = "threatconnect.naive-dates"
	tcInactive     = "threatconnect.inactive"
	tcDeletedDate  = "threatconnect.deleted-date"
)

var threatConnectQuestions = []Question{
	{tcAnswers, "Does ThreatConnect answer the API user?"},
	{tcHeaders, "Which headers come with an answer?"},
	{tcClock, "By how much do the clocks of ThreatConnect and of this machine differ?"},
	{tcOwners, "How many owners does the API user see?"},
	{tcVariable, "What opens a ThreatConnect variable, the Service's token or the API user's key?"},
	{tcFields, "May the API user read all parts of an indicator that the App sends?"},
	{tcCount, "Does ThreatConnect tell how many indicators a query selects?"},
	{tcLinks, "Does the link to the next page hold the whole request?"},
	{tcDates, "Are dates written as 2021-11-02T13:07:08Z?"},
	{tcLastModified, "Does a change of the named indicator move its lastModified?"},
	{tcAuthFailure, "Is a wrong signature refused with 401, by ThreatConnect itself?"},
	{tcClockBound, "Is a signature of six minutes ago refused?"},
	{tcUnknownOwner, "Is an owner that does not exist refused?"},
	{tcBadTQL, "Is TQL that cannot be parsed refused as such?"},
	{tcUnknownField, "Is a field that does not exist refused?"},
	{tcBadSorting, "Is a sorting by what does not exist refused?"},
	{tcLimit, "Is a page of more than 10,000 rows refused?"},
	{tcPastEnd, "Is an offset behind the last row answered by an empty list?"},
	{tcBody, "Are parameters in the body of a GET understood?"},
	{tcNowUnits, "Does NOW() in TQL know all units from SECOND to YEAR?"},
	{tcNaiveDates, "Is a date without a zone in TQL read as UTC?"},
	{tcInactive, "Does indicatorActive = false find inactive indicators?"},
	{tcDeletedDate, "Is dateAdded of a deleted indicator the time of its deletion?"},
}

// NewThreatConnectProbe makes the probe of ThreatConnect's API: at most [MostThreatConnectRequests] GETs a run as the API
// user of the client, each once. The credentials are those with which variables are looked up.
func NewThreatConnectProbe(client *threatconnect.Client, credentials []platform.Credential) Probe {
	noted := &notedIndicators{}
	return Probe{Area: ThreatConnect, Questions: threatConnectQuestions,
		Examine: func(ctx context.Context, r Request, a *Answers) string {
			e := &tcExamination{ctx: ctx, client: client, answers: a, left: MostThreatConnectRequests}
			return e.examineAll(r, credentials, noted)
		}}
}

// tcExamination is one run.
type tcExamination struct {
	ctx     context.Context //nolint:containedctx // it lives as long as the run
	client  *threatconnect.Client
	answers *Answers
	left    int // requests

	clock  string // for the summary
	owners int
	fields string
	row    tcRow // one that the API user can read; zero without any
}

// examineAll asks first for what an operator named, and last for what changes nothing for this Service: it is that which the
// bound leaves open.
func (e *tcExamination) examineAll(r Request, credentials []platform.Credential, noted *notedIndicators) string {
	if problem := e.examineOwners(); problem != "" {
		return problem
	}
	e.examineVariable(r.Variable, credentials)
	e.examineRows(r.Indicator, noted)
	e.examineRefusals()
	retryPastEnd := e.examineLimit()
	units := e.examineBody()
	e.examineInactive()
	e.examineNaiveDates()
	e.examineUnits(units)
	e.examineDeleted()
	if retryPastEnd {
		e.examinePastEnd()
	}
	return fmt.Sprintf("ok (clock %s, %d owners, fields %s)", e.clock, e.owners, e.fields)
}

// sendProbe sends a probe for a question, which it answers itself where there is no reply to go by.
func (e *tcExamination) sendProbe(id string, p threatconnect.Probe) (threatconnect.Reply, bool) {
	if e.left == 0 {
		e.answers.Set(id, Answer{Verdict: NotTried, Evidence: fmt.Sprintf("the bound of %d requests a run was reached", MostThreatConnectRequests)})
		return threatconnect.Reply{}, false
	}
	e.left--
	reply, err := e.client.Ask(e.ctx, p)
	if err != nil {
		e.answers.Set(id, Answer{Verdict: Failed, Evidence: err.Error()})
		return reply, false
	}
	switch reply.Status {
	case http.StatusTooManyRequests, http.StatusBadGateway, http.StatusServiceUnavailable, http.StatusGatewayTimeout:
		e.answers.Set(id, Answer{Verdict: Failed, Evidence: describeReply(reply), Effect: "Run the doctor again."})
		return reply, false
	}
	return reply, true
}

// selectIndicators is a probe of the list of indicators with these parameters, by name and value.
func selectIndicators(pairs ...string) threatconnect.Probe {
	params := url.Values{"createActivityLog": {"false"}, "resultLimit": {"1"}}
	for i := 0; i < len(pairs); i += 2 {
		params.Set(pairs[i], pairs[i+1])
	}
	return threatconnect.Probe{Path: "/v3/indicators", Params: params}
}

var ownersProbe = threatconnect.Probe{Path: "/v3/security/owners", Params: url.Values{"resultLimit": {"500"}, "count": {"true"}}}

// describeReply says what came back: status, form and length, never what stands in rows.
func describeReply(r threatconnect.Reply) string {
	says := fmt.Sprintf("%d in %v, %s of %d bytes", r.Status, r.Took.Round(time.Millisecond), orWord(r.MediaType, "no media type"), r.Length)
	if r.Cut {
		says += " and more"
	}
	if !r.JSON {
		return says + ", no JSON"
	}
	says += ": status " + strconv.Quote(r.Word)
	switch {
	case r.Succeeded():
		if r.List {
			says += fmt.Sprintf(", %d rows", len(r.Rows))
		}
		if r.Count >= 0 {
			says += fmt.Sprintf(", count %d", r.Count)
		}
	case r.Code == "":
		says += ", no errCode, message " + strconv.Quote(r.Message)
	default:
		says += ", errCode " + r.Code + ", message " + strconv.Quote(r.Message)
	}
	return says
}

func orWord(s, otherwise string) string {
	if s == "" {
		return otherwise
	}
	return s
}

func yesOrNo(yes bool) Verdict {
	if yes {
		return Yes
	}
	return No
}

// examineOwners asks who the API user is to ThreatConnect. What it returns is the summary where nothing else can be asked.
func (e *tcExamination) examineOwners() (problem string) {
	reply, ok := e.sendProbe(tcAnswers, ownersProbe)
	switch {
	case !ok:
		return "not reached"
	case !reply.Succeeded():
		e.answers.Set(tcAnswers, Answer{Verdict: No, Evidence: describeReply(reply), Differs: true,
			Effect: "Nothing can be downloaded: check ThreatConnect Access ID, ThreatConnect Secret Key and the API path (tc_api_path)."})
		e.examineClock(reply)
		return "refused (" + strconv.Itoa(reply.Status) + ")"
	}
	e.answers.Set(tcAnswers, Answer{Verdict: Yes, Evidence: describeReply(reply)})
	var names []string
	for name, length := range reply.Headers {
		names = append(names, fmt.Sprintf("%s (%d bytes)", name, length))
	}
	slices.Sort(names)
	e.answers.Set(tcHeaders, Answer{Verdict: Value, Evidence: strings.Join(names, ", ")})
	e.examineClock(reply)
	e.countOwners(reply)
	return ""
}

// maxClockOff is by how much the clocks may differ without a word.
const maxClockOff = time.Minute

const (
	clockRemedy  = "From 5 minutes on ThreatConnect refuses every request: set the clock of this machine right, or have ThreatConnect's set right."
	ownersRemedy = "give the API user access to owners and the permission to read indicators."
)

// isReadableOwner says that the API user may read indicators of an owner.
func isReadableOwner(row tcRow) bool {
	return !strings.EqualFold(row.memberText("permIndicator"), "NONE")
}

// examineClock compares the clocks, to a second.
func (e *tcExamination) examineClock(reply threatconnect.Reply) {
	if reply.Date.IsZero() {
		e.clock = "not told"
		e.answers.Set(tcClock, Answer{Verdict: NotTried, Evidence: "the answer has no header Date",
			Effect: "Where ThreatConnect refuses a signature, the App cannot tell whether a clock is the cause."})
		return
	}
	ahead := clockAhead(reply)
	e.clock = fmt.Sprintf("%+d s", int(ahead.Seconds()))
	answer := Answer{Verdict: Value, Evidence: "ThreatConnect's clock shows " + e.clock + " from ours"}
	if ahead.Abs() > maxClockOff {
		answer.Differs, answer.Effect = true, clockRemedy
	}
	e.answers.Set(tcClock, answer)
}

func (e *tcExamination) countOwners(reply threatconnect.Reply) {
	byType, unreadable := map[string]int{}, 0
	for _, raw := range reply.Rows {
		row := parseTCRow(raw)
		if !isReadableOwner(row) {
			unreadable++
			continue
		}
		byType[row.memberText("type")]++
		e.owners++
	}
	says := []string{fmt.Sprintf("%d owners with indicators to read", e.owners)}
	for _, typ := range []string{"Organization", "Community", "Source"} {
		says = append(says, fmt.Sprintf("%d %s", byType[typ], typ))
	}
	answer := Answer{Verdict: Value, Evidence: fmt.Sprintf("%s; %d whose indicators it may not read; count %d", strings.Join(says, ", "), unreadable, reply.Count)}
	if e.owners == 0 {
		answer.Differs, answer.Effect = true, "CONFIGURE has no owner to offer: "+ownersRemedy
	}
	e.answers.Set(tcOwners, answer)
}

// examineVariable looks a variable up with each of the credentials. Only the status is looked at.
func (e *tcExamination) examineVariable(name string, credentials []platform.Credential) {
	if name == "" {
		e.answers.Set(tcVariable, Answer{Verdict: NotTried, Evidence: "no variable was named"})
		return
	}
	var says []string
	opened := false
	for _, c := range credentials {
		reply, ok := e.sendProbe(tcVariable, threatconnect.Probe{Path: "/internal/variable/runtime/TC/" + url.PathEscape(name), Authorize: c.Authorize})
		if !ok {
			return
		}
		says = append(says, fmt.Sprintf("with %s: %d", c.Name, reply.Status))
		opened = opened || reply.Status/100 == 2
	}
	answer := Answer{Verdict: yesOrNo(opened), Evidence: strings.Join(says, "; ")}
	if len(credentials) == 1 {
		answer.Evidence += "; nothing else proves who asks (a Service must not expect a token)"
	}
	if !opened {
		answer.Differs, answer.Effect = true, "A parameter that refers to this variable cannot be resolved: type the value in, or choose a variable that the API user may read."
	}
	e.answers.Set(tcVariable, answer)
}
