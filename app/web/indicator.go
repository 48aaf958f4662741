package web

import (
	"context"
	"fmt"
	"net/http"
	"strconv"
	"time"

	"github.com/labstack/echo/v4"

	"mssentinel/app/job"
	"mssentinel/app/ledger"
	"mssentinel/app/store"
	"mssentinel/app/text"
	"mssentinel/templates"
)

// Bounds of what is shown of REPORT beside what is looked up.
const (
	maxIndicatorErrors = 20  // lines
	maxErrorSources    = 500 // indicators whose lines are looked for
)

// describeState says what Sentinel holds of an object.
func describeState(k store.Known, now time.Time) string {
	switch {
	case k.State == ledger.Retired:
		return "Retired at " + templates.Instant(k.ValidUntil)
	case k.State == ledger.Live && k.ValidUntil.After(now):
		return "Stands until " + templates.Instant(k.ValidUntil)
	case k.State == ledger.Live:
		return "Its time to live ended at " + templates.Instant(k.ValidUntil)
	}
	return "Not in Microsoft Sentinel: no version of it was accepted yet"
}

// describeDecision says why the copy of a candidate is sent, or is not. winner is the one that is, or is next.
func describeDecision(c, winner store.KnownCandidate) string {
	switch c.Decision {
	case ledger.Wins:
		return "Wins: no query in a higher position gives it, and no indicator of its query comes before it."
	case ledger.LosesToQuery:
		return fmt.Sprintf("Loses to query %d, which stands in a higher position.", winner.Query)
	case ledger.LosesInQuery:
		return fmt.Sprintf("Loses to indicator %d, which won first or comes first in the order of the same query.", winner.Indicator)
	case ledger.IsNext:
		return "Is next: the winner went away, and the next update asks ThreatConnect for this one."
	}
	return "Its query was deleted, and wins nothing. It goes with the next full update or reconcile."
}

// outlooks say what the next updates do about an object.
var outlooks = map[ledger.Outlook]string{
	ledger.Settled:            "Nothing: no query gives it, and it stands nowhere.",
	ledger.OnItsWay:           "Its newest version is on its way to Microsoft Sentinel.",
	ledger.SentWhenChanged:    "A delta update sends it again once it is modified in ThreatConnect, a reconcile where it differs, a full update in any case.",
	ledger.SentAnyway:         "The next update that reads it sends it: the last version was dropped with its job.",
	ledger.AskedFor:           "The next update asks ThreatConnect for the candidate that is next, and sends its copy.",
	ledger.RetiredNext:        "The next update retires it: ThreatConnect lists it as gone.",
	ledger.RetiredWhenAllRead: "The next update in which every query can be read retires it: no query returned it.",
	ledger.RetiredByReading:   "The next full update or reconcile retires it.",
	ledger.HeldForAnswer:      "It waits for your answer on JOBS: it is among what shall be retired.",
	ledger.KeptByAnswer:       "It stays until its time to live ends, since its retirement was dismissed on JOBS.",
}

// winnerOf is the candidate that wins, or is next; the zero value where there is none.
func winnerOf(candidates []store.KnownCandidate) store.KnownCandidate {
	for _, c := range candidates {
		if c.Decision == ledger.Wins || c.Decision == ledger.IsNext {
			return c
		}
	}
	return store.KnownCandidate{}
}

// indicatorsOf are the ids in ThreatConnect behind what was found, and what was looked for if it is one, each once.
func indicatorsOf(known []store.Known, wanted string) []int64 {
	var ids []int64
	seen := map[int64]bool{}
	if id, err := strconv.ParseInt(wanted, 10, 64); err == nil {
		ids, seen[id] = []int64{id}, true
	}
	for _, k := range known {
		for _, c := range k.Candidates {
			if !seen[c.Indicator] {
				seen[c.Indicator] = true
				ids = append(ids, c.Indicator)
			}
		}
	}
	return ids
}

// found is what is known of an indicator.
type found struct {
	objects []store.Known
	errors  []job.Problem
}

// findIndicator looks an indicator up. A failure that the reader can do something about is an answer with a status.
func (s *server) findIndicator(ctx context.Context, wanted string) (f found, err error) {
	if f.objects, err = s.Pipeline.Lookup(ctx, wanted); err != nil {
		return found{}, err
	}
	ids := indicatorsOf(f.objects, wanted)
	if len(ids) == 0 {
		return f, nil
	}
	f.errors, _, err = s.Store.Problems(ctx, store.ProblemFilter{Indicators: ids[:min(len(ids), maxErrorSources)], Limit: maxIndicatorErrors})
	return f, err
}

// indicatorView is an object as GET api/indicator gives it.
type indicatorView struct {
	ID      string `json:"id"`
	Pattern string `json:"pattern"`
	// Type is ThreatConnect's.
	Type string `json:"type"`
	// State is none, live or retired.
	State string `json:"state"`
	// Name, Created and ValidUntil are with which it was last accepted; empty and null where it never was.
	Name       string          `json:"name"`
	Created    *time.Time      `json:"created"`
	ValidUntil *time.Time      `json:"valid_until"`
	Outlook    string          `json:"outlook"`
	Candidates []candidateView `json:"candidates"`
	Sends      []sendView      `json:"sends"`
}

// candidateView is who gives an object, or would.
type candidateView struct {
	// Query is its position on CONFIGURE, 0 for one that was deleted.
	Query int `json:"query"`
	// IndicatorID is ThreatConnect's, as text since a browser rounds large numbers.
	IndicatorID int64  `json:"indicator_id,string"`
	Owner       string `json:"owner"`
	Wins        bool   `json:"wins"`
	Reason      string `json:"reason"`
}

// sendView is one time that Sentinel accepted an object.
type sendView struct {
	At          time.Time `json:"at"`
	RequestID   string    `json:"request_id"`
	Retired     bool      `json:"retired"`
	IndicatorID int64     `json:"indicator_id,string"`
}

// indicatorsView is the answer of GET api/indicator.
type indicatorsView struct {
	Count int             `json:"count"`
	Data  []indicatorView `json:"data"`
	// Errors are the newest lines of REPORT about the indicators.
	Errors []problemView `json:"errors"`
}

var stateNames = map[ledger.State]string{ledger.Nothing: "none", ledger.Live: "live", ledger.Retired: "retired"}

func newIndicatorView(k store.Known) indicatorView {
	v := indicatorView{ID: k.ID, Pattern: k.Pattern, Type: k.Type, State: stateNames[k.State], Name: k.Name,
		Created: optionalTime(k.Created), ValidUntil: optionalTime(k.ValidUntil), Outlook: outlooks[k.Outlook],
		Candidates: []candidateView{}, Sends: []sendView{}}
	winner := winnerOf(k.Candidates)
	for _, c := range k.Candidates {
		v.Candidates = append(v.Candidates, candidateView{Query: c.Query, IndicatorID: c.Indicator, Owner: c.Owner,
			Wins: c.Decision == ledger.Wins, Reason: describeDecision(c, winner)})
	}
	for _, send := range k.Sends {
		v.Sends = append(v.Sends, sendView{At: send.At, RequestID: send.RequestID, Retired: send.Retire, IndicatorID: send.Indicator})
	}
	return v
}

// lookUpIndicator is GET api/indicator?value= or ?id=, which is ThreatConnect's or a STIX id.
func (s *server) lookUpIndicator(c echo.Context) error {
	wanted := readWanted(c)
	if wanted == "" {
		return httpErrorf(http.StatusBadRequest, "Say what to look up: value= in any spelling, or id= of ThreatConnect or of STIX.")
	}
	f, err := s.findIndicator(c.Request().Context(), wanted)
	if err != nil {
		return err
	}
	view := indicatorsView{Count: len(f.objects), Data: []indicatorView{}, Errors: []problemView{}}
	for _, k := range f.objects {
		view.Data = append(view.Data, newIndicatorView(k))
	}
	for _, p := range f.errors {
		p.Raw = text.Cut(p.Raw, maxRaws/maxIndicatorErrors)
		view.Errors = append(view.Errors, newProblemView(p))
	}
	return c.JSON(http.StatusOK, view)
}

// readWanted is what an address asks to be looked up.
func readWanted(c echo.Context) string {
	if id := readParam(c, "id"); id != "" {
		return id
	}
	return readParam(c, "value")
}

// showIndicator is the INDICATOR view of REPORT.
func (s *server) showIndicator(c echo.Context) error {
	view := templates.IndicatorPage{Frame: s.newFrame(c, "REPORT", "report"), Wanted: readWanted(c)}
	if view.Wanted == "" {
		return renderPage(c, http.StatusOK, templates.Indicator(view))
	}
	f, err := s.findIndicator(c.Request().Context(), view.Wanted)
	if err != nil {
		return err
	}
	now := time.Now()
	for _, k := range f.objects {
		view.Objects = append(view.Objects, s.indicatorObject(k, now))
	}
	for _, p := range f.errors {
		view.Errors = append(view.Errors, s.problemRow(p))
	}
	return renderPage(c, http.StatusOK, templates.Indicator(view))
}

// indicatorObject is what INDICATOR shows of an object.
func (s *server) indicatorObject(k store.Known, now time.Time) templates.KnownObject {
	o := templates.KnownObject{ID: k.ID, Pattern: k.Pattern, Type: k.Type, Name: k.Name, State: describeState(k, now),
		Stands: k.State == ledger.Live && k.ValidUntil.After(now), Created: optionalTime(k.Created), Outlook: outlooks[k.Outlook]}
	winner := winnerOf(k.Candidates)
	for _, c := range k.Candidates {
		o.Candidates = append(o.Candidates, templates.KnownCandidate{Query: c.Query, Indicator: s.indicatorLink(c.Indicator), Owner: c.Owner,
			Wins: c.Decision == ledger.Wins, Reason: describeDecision(c, winner)})
	}
	for _, send := range k.Sends {
		o.Sends = append(o.Sends, templates.KnownSend{At: send.At, RequestID: send.RequestID, Retired: send.Retire, Indicator: s.indicatorLink(send.Indicator)})
	}
	return o
}

// indicatorLink names an indicator, with its page in ThreatConnect, app/docs/threatconnect.md#indicators.
func (s *server) indicatorLink(id int64) templates.Link {
	link := templates.Link{Text: strconv.FormatInt(id, 10)}
	if s.ThreatConnectPages != "" {
		link.URL = s.ThreatConnectPages + "/#/details/indicators/" + link.Text + "/overview"
	}
	return link
}
