package web

import (
	"net/http"
	"slices"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"

	"mssentinel/app/ledger"
	"mssentinel/app/pipeline"
	"mssentinel/app/store"
)

// someVerification has a value in every member.
func someVerification() pipeline.Verification {
	return pipeline.Verification{
		Verification: store.Verification{Began: noon, Ended: noon.Add(time.Minute), State: store.VerificationComplete, Message: "Only <a part> was told.", Share: 0.25, ReadAll: true,
			Types:  []store.VerifiedType{{Type: "domain-name", Recorded: 12, Sent: noon, Active: 11, Expired: 3, Newest: noon.Add(time.Second)}, {Type: "x-other"}},
			Agreed: 1000, TooNew: 20, Differences: map[ledger.Verdict]int64{ledger.Missing: 1, ledger.Expired: 2, ledger.OtherContent: 3, ledger.Unexpected: 24}, Strangers: 1, Kept: 30,
			Repairs: []store.Repair{{At: noon.Add(time.Hour), Objects: 5, RequestID: jobID}, {At: noon.Add(2 * time.Hour), Retire: true, Objects: 1}, {At: noon, Retire: true}}},
		Expected: 1100, Repairable: store.Repairable{SendAgain: 6, Retire: 23, NeedsConfirmation: true},
		Examples: []store.Difference{
			{ID: "indicator--1", Verdict: ledger.Missing, Name: "bad.example | <b>Owner</b>", Pattern: "[domain-name:value = 'bad.example']", Sent: noon, RecordedUntil: noon.Add(time.Hour)},
			{ID: "indicator--2", Verdict: ledger.Unexpected, Pattern: "[domain-name:value = 'old.example']", Standing: true, ValidUntil: noon.Add(time.Hour), Stranger: true}},
		Queries: []pipeline.WorkspaceQuery{{Title: "Counts by type", Text: "ThreatIntelIndicators | where SourceSystem == 'ThreatConnect-Demo'"}},
	}
}

func TestVerifyPage(t *testing.T) {
	w := twoSaved()
	v := w.visit(t, "ui/jobs")
	v.misses("Last verified")
	v.follow("Verify")
	v.sees("Nothing was verified yet")
	v.misses("Send again", "Retire", "Count Compared")
	v.follow("Verify a sample")
	v.leaveWindow()
	v.follow("Verify all")
	v.sees("a query to the workspace for each 5,000")
	v.press("Verify")
	v.status(http.StatusOK)
	v.sees("The verification was started.", "All objects")
	v.misses("Verify all", "Verify a sample")
	w.mustHaveDone(t, "verify all true")

	w.verified.Expected, w.verified.Agreed = 2000, 500
	v.open("ui/verify")
	v.sees("500 of 2,000 objects · 25 %")
	v.open("ui/jobs")
	v.misses("Last verified")
	v.open("ui/verify")
	v.follow("Cancel")
	v.press("Cancel Verification")
	v.sees("The verification is cancelled.")
	w.mustHaveDone(t, "verify all true", "cancel verification")
}

func TestVerifyPageThatDiffers(t *testing.T) {
	w := twoSaved()
	w.verified = someVerification()
	v := w.visit(t, "ui/jobs")
	v.sees("Last verified 2026-11-24 12:01:00 UTC: 30 objects differ.")
	v.follow("Last verified")
	v.sees("A sample: 25 % of all ids", "Count Compared 1,050", "20 objects are too new to tell: accepted within the 15 minutes before", "Count Too New To Tell 20", "Count Different 30", "Missing: 1", "Expired: 2", "Other content: 3",
		"Unexpected: 24", "bad.example | <b>Owner</b>", "[domain-name:value = 'old.example']", "no row", "Not made by this App",
		"6 objects can be sent again.", "23 objects can be retired.", "5 objects are sent again.", "1 object is retired.", "Nothing had to be done.",
		"SourceSystem == 'ThreatConnect-Demo'", "Shown: the first 1.")
	if diff := cmp.Diff([]string{"Host (domain-name)", "x-other"}, v.column(0)); diff != "" {
		t.Errorf("types (-want +got):\n%s", diff)
	}
	v.follow("Send again")
	v.sees("Send 6 objects again?")
	v.leaveWindow()
	v.follow("Send again")
	w.jobs = everyJob()
	w.jobs[0].RequestID = jobID
	v.press("Send again")
	v.sees("This update sends again", "Job Details")
	v.open("ui/verify")
	v.follow("Retire")
	v.sees("Retire 23 objects", "asks once more before it retires them")
	v.press("Retire")
	v.sees("This update retires")
	w.mustHaveDone(t, "send again", "retire unexpected")

	w.verified.ReadAll = false
	v.open("ui/verify?ask=retire")
	v.sees("Nothing can be retired before an update has read everything")
	if v.has("dialog") || v.has("button") {
		t.Error("what is not known yet can be retired")
	}
	w.verified = pipeline.Verification{Verification: store.Verification{Began: noon, Ended: noon, State: store.VerificationComplete, All: true, Agreed: 7}}
	v.open("ui/jobs")
	v.sees("Last verified 2026-11-24 12:00:00 UTC: nothing differs.")
}

func TestVerifyPageThatCouldNotRead(t *testing.T) {
	w := twoSaved()
	w.verified = someVerification()
	for state, says := range map[store.VerificationState]string{store.VerificationRefused: "Until then the queries at the end", store.VerificationFailed: "The verification failed: Only <a part>",
		store.VerificationCancelled: "Only <a part> was told."} {
		w.verified.State = state
		v := w.visit(t, "ui/verify")
		v.sees(says, "By type", "ThreatIntelIndicators | where SourceSystem")
		v.open("ui/jobs")
		v.sees("Last verified 2026-11-24 12:00:00 UTC: it did not come to its end.")
	}
}

// Where nothing was counted, no zero looks like a result.
func TestVerifyPageWithoutCounts(t *testing.T) {
	w := twoSaved()
	w.verified = pipeline.Verification{Verification: store.Verification{Began: noon, Ended: noon, State: store.VerificationRefused, Message: "No right."}}
	v := w.visit(t, "ui/verify")
	v.sees("No right.", "A sample")
	v.misses("Count Different", "By type", "% of all ids")
}

// A command that comes too late, or too early, says so and changes nothing.
func TestVerifyRefusals(t *testing.T) {
	w := twoSaved()
	h := w.handler()
	for _, tt := range []struct {
		err          error
		method, body string
		target       string
		says         string
	}{
		{pipeline.ErrAtWork, "POST", `{"scope":"all"}`, "/api/verify", "A verification runs already. Wait for its end, or cancel it."},
		{pipeline.ErrNotAtWork, "DELETE", "", "/api/verify", "No verification runs: there is nothing to cancel."},
		{pipeline.ErrNoDifference, "POST", `{"action":"send_again"}`, "/api/verify/repair", "Nothing is left to do: the last verification found nothing of this kind, or it was put right. Verify again."},
		{pipeline.ErrNotReadYet, "POST", `{"action":"retire","confirm":true}`, "/api/verify/repair", "No update has read everything that the queries select yet, so it is not known what nobody gives. " +
			"Wait for a full update or a reconcile, and verify again."},
	} {
		w.refuse = tt.err
		rec := call(t, h, tt.method, tt.target, tt.body)
		if got := message(t, rec); rec.Code != http.StatusConflict || got != tt.says {
			t.Errorf("%v: %d %q", tt.err, rec.Code, got)
		}
	}
	for _, err := range []error{pipeline.ErrAtWork, pipeline.ErrRunOnly} {
		w.refuse = err
		if rec := call(t, h, "PUT", "/api/task/cleaner?run=true", ""); rec.Code != http.StatusConflict {
			t.Errorf("%v: %d %s", err, rec.Code, rec.Body)
		}
	}
	w.refuse = nil
	for body, says := range map[string]string{
		`{"action":"retire"}`:                 `What is retired stops matching as soon as that arrives in Microsoft Sentinel: send "confirm":true to retire it.`,
		`{"action":"retire","confirm":false}`: `What is retired stops matching as soon as that arrives in Microsoft Sentinel: send "confirm":true to retire it.`,
		`{"action":"delete"}`:                 `There is no action "delete": send send_again or retire.`,
		`{}`:                                  `There is no action "": send send_again or retire.`,
	} {
		rec := call(t, h, "POST", "/api/verify/repair", body)
		if got := message(t, rec); rec.Code != http.StatusBadRequest || got != says {
			t.Errorf("%s: %d %q", body, rec.Code, got)
		}
	}
	if rec := call(t, h, "POST", "/api/verify", `{"scope":"some"}`); rec.Code != http.StatusBadRequest || message(t, rec) != `There is no scope "some": send sample or all.` {
		t.Errorf("%d %s", rec.Code, rec.Body)
	}
	w.mustHaveDone(t)
}

// The page and scripts know each kind of difference, in the order of the ledger.
func TestDifferenceKinds(t *testing.T) {
	var got []ledger.Verdict
	for _, k := range differenceKinds {
		got = append(got, k.verdict)
	}
	if !slices.Equal(got, ledger.Differences) {
		t.Errorf("%v, want %v", got, ledger.Differences)
	}
}
