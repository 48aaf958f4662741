package web

import (
	"errors"
	"net/http"
	"time"

	"github.com/labstack/echo/v4"

	"mssentinel/app/pipeline"
	"mssentinel/app/store"
)

// verificationView is the answer of GET api/verify: the verification that runs, or else the last one. Times are UTC; null is "never" or
// "not yet". Counts are of STIX objects.
type verificationView struct {
	// State is none, running, complete, cancelled, refused (the application may not read the workspace) or failed.
	State string `json:"state"`
	// Message says why it did not come to its end, with the remedy; "" else.
	Message string `json:"message"`
	// Scope is sample or all; Share is which part of all ids was compared.
	Scope string     `json:"scope"`
	Share float64    `json:"share"`
	Began *time.Time `json:"date_started"`
	Ended *time.Time `json:"date_completed"`
	// Expected is about how many objects are compared, null unless a verification runs that knows it.
	Expected *int64 `json:"count_expected"`
	Compared int64  `json:"count_compared"`
	Agreed   int64  `json:"count_agreed"`
	// TooNew counts those of which it cannot be told yet.
	TooNew int64 `json:"count_too_new"`
	// Differences are counts by kind: missing, expired, other_content, unexpected. Strangers are those of the unexpected that this
	// App did not make, and so cannot retire.
	Differences map[string]int64 `json:"differences"`
	Strangers   int64            `json:"count_strangers"`
	// Kept is how many differences can be put right; what is beyond is counted alone.
	Kept       int64              `json:"count_kept"`
	Types      []verifiedTypeView `json:"types"`
	Repairable repairableView     `json:"repairable"`
	// Examples are the first 20 differences of each kind.
	Examples []differenceView     `json:"examples"`
	Repairs  []repairView         `json:"repairs"`
	Queries  []workspaceQueryView `json:"queries"`
}

// verifiedTypeView is what both sides have of one STIX type, such as ipv4-addr.
type verifiedTypeView struct {
	Type     string     `json:"type"`
	Live     int64      `json:"count_live"` // as sent
	Accepted *time.Time `json:"last_accepted"`
	Active   int64      `json:"count_active"` // in the workspace
	Expired  int64      `json:"count_expired"`
	Newest   *time.Time `json:"newest_row"`
}

// repairableView is how many of the differences that are left POST api/verify/repair can put right.
type repairableView struct {
	SendAgain int64 `json:"send_again"`
	Retire    int64 `json:"retire"`
	// Asks: the update that retires them asks first.
	Asks bool `json:"retirement_asks"`
}

// differenceView is one object that differs.
type differenceView struct {
	ID         string `json:"id"`
	Difference string `json:"difference"`
	Name       string `json:"name"`
	Pattern    string `json:"pattern"`
	// Accepted is when a row of it was last accepted, RecordedUntil until when that is valid.
	Accepted      *time.Time `json:"last_accepted"`
	RecordedUntil *time.Time `json:"valid_until"`
	// InWorkspace: there is a row, which is valid until WorkspaceUntil; null is for ever.
	InWorkspace    bool       `json:"in_workspace"`
	WorkspaceUntil *time.Time `json:"workspace_valid_until"`
	Stranger       bool       `json:"stranger"`
}

// repairView is a command that was given about the differences since.
type repairView struct {
	Date    time.Time `json:"date"`
	Action  string    `json:"action"`
	Objects int64     `json:"count_objects"`
	// RequestID is that of the job, "" where there was nothing to do.
	RequestID string `json:"request_id"`
}

// workspaceQueryView is KQL that asks the workspace for the same.
type workspaceQueryView struct {
	Title string `json:"title"`
	KQL   string `json:"kql"`
}

// verifyBody is what POST api/verify takes.
type verifyBody struct {
	// Scope is sample or all.
	Scope string `json:"scope"`
}

// repairBody is what POST api/verify/repair takes: send_again, or retire with "confirm":true.
type repairBody struct {
	Action  string `json:"action"`
	Confirm bool   `json:"confirm"`
}

// repairedView is its answer.
type repairedView struct {
	Objects   int64  `json:"count_objects"`
	RequestID string `json:"request_id"`
}

// What POST api/verify/repair does, in the words of scripts.
const (
	actionSendAgain = "send_again"
	actionRetire    = "retire"
)

func newVerificationView(v pipeline.Verification) verificationView {
	view := verificationView{
		State: string(v.State), Message: v.Message, Scope: scopeName(v.All), Share: v.Share, Began: optionalTime(v.Began), Ended: optionalTime(v.Ended),
		Compared: v.Compared(), Agreed: v.Agreed, TooNew: v.TooNew, Strangers: v.Strangers, Kept: v.Kept,
		Differences: map[string]int64{}, Types: []verifiedTypeView{}, Examples: []differenceView{}, Repairs: []repairView{},
		Queries:    []workspaceQueryView{},
		Repairable: repairableView{SendAgain: v.Repairable.SendAgain, Retire: v.Repairable.Retire, Asks: v.Repairable.NeedsConfirmation},
	}
	if v.State == "" {
		view.State, view.Scope = "none", ""
	}
	if v.Expected > 0 {
		view.Expected = &v.Expected
	}
	for _, k := range differenceKinds {
		view.Differences[string(k.verdict)] = v.Differences[k.verdict]
	}
	for _, t := range v.Types {
		view.Types = append(view.Types, verifiedTypeView{Type: t.Type, Live: t.Recorded, Accepted: optionalTime(t.Sent), Active: t.Active,
			Expired: t.Expired, Newest: optionalTime(t.Newest)})
	}
	for _, e := range v.Examples {
		view.Examples = append(view.Examples, newDifferenceView(e))
	}
	for _, r := range v.Repairs {
		view.Repairs = append(view.Repairs, repairView{Date: r.At, Action: repairName(r.Retire), Objects: r.Objects, RequestID: r.RequestID})
	}
	for _, q := range v.Queries {
		view.Queries = append(view.Queries, workspaceQueryView{Title: q.Title, KQL: q.Text})
	}
	return view
}

func newDifferenceView(e store.Difference) differenceView {
	return differenceView{ID: e.ID, Difference: string(e.Verdict), Name: e.Name, Pattern: e.Pattern, Accepted: optionalTime(e.Sent),
		RecordedUntil: optionalTime(e.RecordedUntil), InWorkspace: e.Standing, WorkspaceUntil: optionalTime(e.ValidUntil), Stranger: e.Stranger}
}

func scopeName(all bool) string {
	if all {
		return "all"
	}
	return "sample"
}

func repairName(retire bool) string {
	if retire {
		return actionRetire
	}
	return actionSendAgain
}

func (s *server) getVerification(c echo.Context) error {
	v, err := s.Pipeline.Verification(c.Request().Context())
	if err != nil {
		return err
	}
	return c.JSON(http.StatusOK, newVerificationView(v))
}

func (s *server) startVerification(c echo.Context) error {
	body, err := decodeBody[verifyBody](c)
	if err != nil {
		return err
	}
	if err := s.startScope(c, body.Scope); err != nil {
		return err
	}
	return s.getVerification(c)
}

// startScope begins a verification of what is called sample or all.
func (s *server) startScope(c echo.Context, scope string) error {
	if scope != "sample" && scope != "all" {
		return httpErrorf(http.StatusBadRequest, "There is no scope %s: send sample or all.", quoteValue(scope))
	}
	return explainVerify(s.Pipeline.Verify(c.Request().Context(), scope == "all"))
}

func (s *server) cancelVerification(c echo.Context) error {
	if err := explainVerify(s.Pipeline.CancelVerification()); err != nil {
		return err
	}
	return c.NoContent(http.StatusNoContent)
}

func (s *server) repairDifferences(c echo.Context) error {
	body, err := decodeBody[repairBody](c)
	if err != nil {
		return err
	}
	switch {
	case body.Action != actionSendAgain && body.Action != actionRetire:
		return httpErrorf(http.StatusBadRequest, "There is no action %s: send %s or %s.", quoteValue(body.Action), actionSendAgain, actionRetire)
	case body.Action == actionRetire && !body.Confirm:
		return httpErrorf(http.StatusBadRequest,
			`What is retired stops matching as soon as that arrives in Microsoft Sentinel: send "confirm":true to retire it.`)
	}
	answer, err := s.commandRepair(c, body.Action == actionRetire)
	if err != nil {
		return err
	}
	return c.JSON(http.StatusOK, answer)
}

// commandRepair has an update put right what the last verification found.
func (s *server) commandRepair(c echo.Context, retire bool) (repairedView, error) {
	command := s.Pipeline.SendAgain
	if retire {
		command = s.Pipeline.RetireUnexpected
	}
	j, objects, err := command(c.Request().Context())
	return repairedView{objects, j.RequestID}, explainVerify(err)
}

// explainVerify says why a command to Verify was not carried out.
func explainVerify(err error) error {
	switch {
	case errors.Is(err, pipeline.ErrAtWork):
		return httpErrorf(http.StatusConflict, "A verification runs already. Wait for its end, or cancel it.")
	case errors.Is(err, pipeline.ErrNotAtWork):
		return httpErrorf(http.StatusConflict, "No verification runs: there is nothing to cancel.")
	case errors.Is(err, pipeline.ErrNoDifference):
		return httpErrorf(http.StatusConflict, "Nothing is left to do: the last verification found nothing of this kind, or it was put right. Verify again.")
	case errors.Is(err, pipeline.ErrNotReadYet):
		return httpErrorf(http.StatusConflict, "No update has read everything that the queries select yet, so it is not known what nobody gives. "+
			"Wait for a full update or a reconcile, and verify again.")
	}
	return err
}
