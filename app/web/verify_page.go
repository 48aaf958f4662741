package web

import (
	"context"
	"fmt"
	"net/http"
	"net/url"

	"github.com/labstack/echo/v4"

	"mssentinel/app/ledger"
	"mssentinel/app/pipeline"
	"mssentinel/app/store"
	"mssentinel/templates"
)

// differenceKinds are the ways in which an object can differ, in the order of the page.
var differenceKinds = []struct {
	verdict     ledger.Verdict
	label, text string
}{
	{ledger.Missing, "Missing", "Accepted and still valid, but the workspace has no active row: it was deleted or revoked there, or never arrived."},
	{ledger.Expired, "Expired", "Ends earlier in the workspace than it was sent, or has ended there already."},
	{ledger.OtherContent, "Other content", "Stands in the workspace with another end, name or pattern than it was sent."},
	{ledger.Unexpected, "Unexpected", "Active in the workspace under this source, but no query gives it: somebody else sent it, or it is from before " +
		"the database was lost."},
}

func (s *server) showVerify(c echo.Context) error {
	v, err := s.Pipeline.Verification(c.Request().Context())
	if err != nil {
		return err
	}
	view := templates.Verify{
		Frame: s.newFrame(c, "Verify", "jobs"), State: string(v.State), Message: v.Message, Facts: verificationFacts(v), TooNew: explainTooNew(v.TooNew),
		SendAgain: v.Repairable.SendAgain, Retire: v.Repairable.Retire, Unread: !v.ReadAll,
		Differences: differenceSections(v), Ask: askVerify(c.QueryParam("ask"), v),
	}
	if v.Running {
		view.Progress = &templates.Bar{Label: "Compared", Unit: "objects", Value: v.Compared()}
		if v.Expected > 0 {
			view.Progress.Max = max(v.Expected, v.Compared())
		}
	}
	for _, t := range v.Types {
		view.Types = append(view.Types, templates.VerifiedType{Type: patternLabel(t.Type), Recorded: t.Recorded, Active: t.Active,
			Expired: t.Expired, Sent: t.Sent, Newest: t.Newest})
	}
	for _, r := range v.Repairs {
		view.Repairs = append(view.Repairs, templates.Repair{At: r.At, Text: repairText(r), RequestID: r.RequestID})
	}
	for _, q := range v.Queries {
		view.Queries = append(view.Queries, templates.WorkspaceQuery(q))
	}
	return renderPage(c, http.StatusOK, templates.VerifyPage(view))
}

// verificationFacts list what is known of a verification.
func verificationFacts(v pipeline.Verification) []templates.Fact {
	if v.State == "" {
		return nil
	}
	scope := "All objects"
	if !v.All {
		scope = "A sample"
		if v.Share > 0 {
			scope = fmt.Sprintf("A sample: %.3g %% of all ids", 100*v.Share)
		}
	}
	facts := []templates.Fact{{Label: "Scope", Value: scope}, {Label: "Date Started", Time: &v.Began}}
	if !v.Ended.IsZero() {
		facts = append(facts, templates.Fact{Label: "Date Completed", Time: &v.Ended})
	}
	if len(v.Types) == 0 && v.State != store.VerificationComplete {
		return facts // nothing was counted
	}
	for _, count := range []struct {
		label string
		n     int64
	}{{"Count Compared", v.Compared()}, {"Count Agreed", v.Agreed}, {"Count Too New To Tell", v.TooNew}, {"Count Different", v.CountDifferences()}} {
		facts = append(facts, templates.Fact{Label: count.label, Value: templates.Number(count.n)})
	}
	return facts
}

// explainTooNew says why objects are too new to tell; "" where none is.
func explainTooNew(n int64) string {
	if n == 0 {
		return ""
	}
	minutes := int(ledger.IngestionBound.Minutes())
	return fmt.Sprintf("%s too new to tell: accepted within the %d minutes before, since the workspace shows what it accepted only minutes later, still waiting to be sent, "+
		"or up to the next update to decide. Verify again %d minutes after the last update.",
		templates.Amount(n, "object is", "objects are"), minutes, minutes)
}

// differenceSections are the kinds of which there are any, with examples.
func differenceSections(v pipeline.Verification) []templates.Differences {
	var sections []templates.Differences
	for _, kind := range differenceKinds {
		count := v.Differences[kind.verdict]
		if count == 0 {
			continue
		}
		d := templates.Differences{ID: string(kind.verdict), Label: kind.label, Text: kind.text, Count: count}
		for _, e := range v.Examples {
			if e.Verdict == kind.verdict {
				d.Examples = append(d.Examples, differenceLine(e))
			}
		}
		if len(d.Examples) > 0 && int64(len(d.Examples)) < count {
			d.Text += fmt.Sprintf(" Shown: the first %d.", len(d.Examples))
		}
		sections = append(sections, d)
	}
	return sections
}

func differenceLine(e store.Difference) templates.Difference {
	line := templates.Difference{Value: e.Name, ID: e.ID, Sent: e.Sent, RecordedUntil: e.RecordedUntil, Standing: e.Standing,
		ValidUntil: e.ValidUntil, Stranger: e.Stranger}
	if line.Value == "" {
		line.Value = e.Pattern
	}
	return line
}

// patternLabels are ThreatConnect's names of the types that give patterns of a STIX type.
var patternLabels = map[string]string{"ipv4-addr": "Address, CIDR", "ipv6-addr": "Address, CIDR", "domain-name": "Host", "file": "File", "url": "URL",
	"autonomous-system": "ASN", "email-addr": "EmailAddress", "email-message": "Email Subject", "windows-registry-key": "Registry Key"}

func patternLabel(name string) string {
	switch label := patternLabels[name]; {
	case name == "":
		return "no pattern"
	case label != "":
		return fmt.Sprintf("%s (%s)", label, name)
	}
	return name
}

func repairText(r store.Repair) string {
	switch {
	case r.Objects == 0:
		return "Nothing had to be done."
	case r.Retire:
		return templates.Amount(r.Objects, "object is", "objects are") + " retired."
	}
	return templates.Amount(r.Objects, "object is", "objects are") + " sent again."
}

// askVerify asks before a command on the page; nil when it is not taken now.
func askVerify(action string, v pipeline.Verification) *templates.Question {
	q := &templates.Question{Action: "verify", Back: "verify#" + action, Fields: []templates.Field{{Name: "action", Value: action}}}
	switch {
	case action == "sample" && !v.Running:
		q.Title, q.Button = "Verify a sample", "Verify"
		q.Text = []string{"Compares about 1,000 objects. The result of the last verification is replaced."}
	case action == "all" && !v.Running:
		q.Title, q.Button = "Verify all", "Verify"
		q.Text = []string{"Compares every object, with a query to the workspace for each 5,000 of them. Updates run meanwhile. The result of the " +
			"last verification is replaced."}
	case action == "stop" && v.Running:
		q.Title, q.Button, q.Keep, q.Danger = "Cancel Verification", "Cancel Verification", "Go on", true
		q.Text = []string{"What was found so far is kept."}
	case action == "again" && v.Repairable.SendAgain > 0:
		q.Title, q.Button = "Send again", "Send again"
		q.Text = []string{fmt.Sprintf("Send %s again? A delta update that starts now asks ThreatConnect for each of them. What no query gives any more "+
			"is retired instead.", templates.Amount(v.Repairable.SendAgain, "object", "objects"))}
	case action == "retire" && v.Repairable.Retire > 0 && v.ReadAll:
		q.Title, q.Button, q.Danger = "Retire", "Retire", true
		q.Text = []string{fmt.Sprintf("Retire %s in Microsoft Sentinel that no query gives? What is retired stops matching as soon as that arrives there.",
			templates.Amount(v.Repairable.Retire, "object", "objects"))}
		if v.Repairable.NeedsConfirmation {
			q.Text = append(q.Text, "That is more than 10 % of what is live: the update asks once more before it retires them.")
		}
	default:
		return nil
	}
	return q
}

// submitVerifyForm takes the answer of a window on the page.
func (s *server) submitVerifyForm(c echo.Context) error {
	switch action := formValue(c, "action"); action {
	case "sample", "all":
		if err := s.startScope(c, action); err != nil {
			return err
		}
		return seeOther(c, "verify?done="+action)
	case "stop":
		if err := explainVerify(s.Pipeline.CancelVerification()); err != nil {
			return err
		}
		return seeOther(c, "verify?done=stop")
	case "again", "retire":
		answer, err := s.commandRepair(c, action == "retire")
		if err != nil {
			return err
		}
		if answer.RequestID == "" {
			return seeOther(c, "verify?done=nothing")
		}
		return seeOther(c, pageURL("jobs", url.Values{"id": {answer.RequestID}, "done": {action}}))
	}
	return httpErrorf(http.StatusBadRequest, "Verify has no such button. Reload the page.")
}

// lastVerified says on JOBS what came of the last verification; nil where there was none or one runs.
func (s *server) lastVerified(ctx context.Context) (*templates.Fact, error) {
	v, err := s.Pipeline.LastVerification(ctx)
	if err != nil || v.State == "" || v.State == store.VerificationRunning {
		return nil, err
	}
	fact := &templates.Fact{Time: &v.Ended}
	switch n := v.CountDifferences(); {
	case v.State != store.VerificationComplete:
		fact.Time, fact.Value = &v.Began, "it did not come to its end."
	case n > 0:
		fact.Value = templates.Amount(n, "object differs.", "objects differ.")
	default:
		fact.Value = "nothing differs."
	}
	return fact, nil
}
