package web

import (
	"net/http"
	"strings"
	"testing"
	"time"

	"mssentinel/app/job"
	"mssentinel/app/ledger"
	"mssentinel/app/store"
)

// someKnown is an object with each kind of candidate.
func someKnown() store.Known {
	return store.Known{ID: "indicator--1", Pattern: "[domain-name:value = '<b>.example']", Type: "Host", Name: "<b>.example | Alpha", Created: noon,
		ValidUntil: noon.Add(time.Hour), State: ledger.Live, Outlook: ledger.SentWhenChanged,
		Candidates: []store.KnownCandidate{
			{Query: 2, Indicator: 9007199254740993, Owner: "Alpha", Decision: ledger.Wins},
			{Query: 2, Indicator: 8, Owner: "<i>Beta", Decision: ledger.LosesInQuery},
			{Query: 5, Indicator: 7, Owner: "Beta", Decision: ledger.LosesToQuery},
			{Indicator: 6, Owner: "Gamma", Decision: ledger.QueryDeleted}},
		Sends: []store.Send{{At: noon, RequestID: jobID, Indicator: 9007199254740993}, {At: noon.Add(-time.Hour), Retire: true, Indicator: 8}}}
}

func TestIndicatorPage(t *testing.T) {
	w := newWorld()
	v := w.visit(t, "ui/report")
	v.follow("INDICATOR")
	v.sees("Value, ThreatConnect ID or STIX ID")
	v.misses("No query gives")
	v.fill("value", "nothing.example")
	v.press("Look up")
	v.sees("No query gives nothing.example at present")

	w.known = []store.Known{someKnown()}
	w.problems = []job.Problem{{ID: 7, Step: job.StepConvert, Code: job.CodeNote, Message: "a note about it"}}
	v.fill("value", "<b>.example")
	v.press("Look up")
	v.sees("[domain-name:value = '<b>.example']", "Its time to live ended at 2026-11-24 13:00:00", "Type Host", "Name as last sent <b>.example | Alpha",
		"2 9007199254740993 in ThreatConnect, opens in a new tab Alpha Wins: no query in a higher position",
		"Loses to indicator 9007199254740993", "Loses to query 2, which stands in a higher position", "deleted 6", "Its query was deleted",
		"sent", "retired", "A delta update sends it again once it is modified", "A note about it")
	link := v.called("a", "9007199254740993 in ThreatConnect, opens in a new tab")
	if got := attr(link, "href"); got != "https://tc.example/#/details/indicators/9007199254740993/overview" || attr(link, "rel") != "noopener noreferrer" {
		t.Errorf("the link leads to %s", got)
	}
}

// What each state, decision and outlook is called. None is left without a sentence.
func TestDescribeKnown(t *testing.T) {
	k := someKnown()
	for want, change := range map[string]func(*store.Known){
		"Stands until 2026-11-24 13:00:00":              func(*store.Known) {},
		"Its time to live ended at 2026-11-24 12:00:00": func(k *store.Known) { k.ValidUntil = noon },
		"Retired at 2026-11-24 12:00:00":                func(k *store.Known) { k.State, k.ValidUntil = ledger.Retired, noon },
		"no version of it was accepted":                 func(k *store.Known) { k.State = ledger.Nothing },
	} {
		changed := k
		change(&changed)
		if got := describeState(changed, noon); !strings.Contains(strings.ReplaceAll(got, "\u00a0", " "), want) {
			t.Errorf("%q, want %q", got, want)
		}
	}
	for o := ledger.Settled; o <= ledger.KeptByAnswer; o++ {
		if outlooks[o] == "" {
			t.Errorf("outlook %d is not described", o)
		}
	}
	for d := ledger.Wins; d <= ledger.QueryDeleted; d++ {
		if describeDecision(store.KnownCandidate{Decision: d}, store.KnownCandidate{}) == "" {
			t.Errorf("decision %d is not described", d)
		}
	}
}

func TestIndicatorAPI(t *testing.T) {
	w := newWorld()
	w.known = []store.Known{someKnown()}
	h := w.handler()
	for target, want := range map[string]int{"/api/indicator": 400, "/api/indicator?value=": 400, "/api/indicator?value=x": 200, "/api/indicator?id=7": 200,
		"/api/indicator?value=" + strings.Repeat("x", 10_000): 400, "/api/indicator?value=nothing": 200} {
		if rec := call(t, h, http.MethodGet, target, ""); rec.Code != want {
			t.Errorf("%.40s: %d %s", target, rec.Code, rec.Body)
		}
	}
}
