package web

import (
	"encoding/csv"
	"fmt"
	"net/http"
	"slices"
	"strings"
	"testing"
	"time"

	"mssentinel/app/job"
	"mssentinel/app/ledger"
	"mssentinel/app/store"
)

// someHeld are objects that a job asks about: every second one of a query that was deleted, with a value that a spreadsheet would
// take for a formula.
func someHeld(n int) []store.Held {
	held := make([]store.Held, n)
	for i := range held {
		held[i] = store.Held{Number: int64(10 * (i + 1)), ID: fmt.Sprintf("indicator--5f0c6a52-4c1b-5d3e-9f63-%012d", i), Value: fmt.Sprintf("%d.example", i), Owner: "Alpha <a>",
			Type: "Host", Query: "a", TQL: "rating > 3", Position: 1, Cause: ledger.NotSelected, Sent: noon, ValidUntil: noon.Add(90 * 24 * time.Hour)}
		if i%2 == 1 {
			held[i].Value, held[i].Owner, held[i].Query, held[i].TQL, held[i].Position, held[i].Cause = "=cmd|"+held[i].Value, "Beta", "gone", "confidence > 5", 0, ledger.QueryRemoved
		}
	}
	return held
}

func asking(held int) *world {
	w := twoSaved()
	w.jobs, w.held = everyJob(), someHeld(held)
	i := slices.IndexFunc(w.jobs, func(j job.Job) bool { return j.RequestID == "asking" })
	w.jobs[i].RetirementsHeld = int64(held) + 3
	return w
}

// Whoever is asked sees what would leave, by whom it was given and why nobody gives it any more.
func TestWhatWouldBeRetired(t *testing.T) {
	w := asking(250)
	v := w.visit(t, "ui/jobs?id=asking")
	v.sees("What would be retired", "250 objects stand in Microsoft Sentinel that no query gives any more.", "3 others were given again or have ended",
		"125 The query does not return it any more 1: rating > 3", "125 The query was deleted deleted: confidence > 5", "125 Alpha <a>", "125 Beta", "250 Host",
		"0.example", "=cmd|99.example", "1–100 of 250")
	v.misses("100.example", "Shown are the first")
	v.follow("Older")
	v.sees("101–200 of 250", "100.example")
	v.follow("Older")
	v.sees("201–250 of 250")
	v.misses("Older")
	v.fill("text", "24")
	v.press("Search")
	v.sees("1–13 of 13", "24.example", "Show all")
	if got := v.at.Query().Get("id"); got != "asking" || v.at.Fragment != "held" {
		t.Errorf("the search leads to %s", v.at)
	}
	v.open("ui/jobs?id=asking")
	v.follow("125 objects: The query was deleted")
	v.sees("1–100 of 125")
	v.follow("125 objects: Alpha <a>")
	v.sees("Nothing of this is among what would be retired.")
	v.follow("125 objects: Alpha <a>")
	v.follow("250 objects: Host")
	if got := v.at.Query().Encode(); got != "cause=query-deleted&id=asking&query=gone&type=Host" {
		t.Errorf("the counts combine to %s", got)
	}
	v.sees("1–100 of 125")
	v.misses(" 0.example")
	v.fill("text", "nobody")
	v.press("Search")
	v.sees("Nothing of this is among what would be retired.")
	v.follow("Show all")
	v.sees("1–100 of 250")
	v.follow("Confirm job asking")
	v.sees("Retire 250 objects in Microsoft Sentinel?", "The query was deleted: 125 objects.")
	v.press("Retire")
	w.mustHaveDone(t, "retire asking true")
	v.open("ui/jobs?id=complete&text=x")
	v.misses("What would be retired")
	for _, bad := range []string{"cause=bad+luck", "offset=1000", "offset=x"} {
		v.open("ui/jobs?id=asking&" + bad)
		v.status(http.StatusBadRequest)
	}
}

// Of very many the first thousand are shown; the files have all of them.
func TestManyWouldBeRetired(t *testing.T) {
	w := asking(9000)
	v := w.visit(t, "ui/jobs?id=asking&offset=900")
	v.sees("901–1,000 of 1,000", "Shown are the first 1,000.", "CSV in 3 parts")
	v.misses("Older")
	h := w.handler()
	seen := map[string]bool{}
	for _, target := range []string{"?part=1&after=0", "?part=2&after=40000", "?part=3"} {
		rec := call(t, h, http.MethodGet, "/api/job/request/asking/retirement.csv"+target, "")
		rows, err := csv.NewReader(rec.Body).ReadAll()
		if err != nil || rec.Code != http.StatusOK || !strings.HasPrefix(rec.Header().Get("Content-Disposition"), "attachment; filename=\"ms-sentinel-retirement-") {
			t.Fatalf("%s: %d %v %v", target, rec.Code, err, rec.Header())
		}
		for _, row := range rows[1:] {
			if strings.ContainsAny(row[0][:1], "=+-@") {
				t.Fatalf("a formula: %q", row[0])
			}
			seen[row[len(row)-1]] = true
		}
	}
	if len(seen) != 9000 {
		t.Errorf("the files have %d objects", len(seen))
	}
	for target, status := range map[string]int{"asking/retirement.csv?part=4": 404, "asking/retirement.csv?part=x": 400, "asking/retirement.csv?after=-1": 400,
		"complete/retirement.csv": 409, "nobody/retirement.csv": 404, "complete/retirement": 409} {
		if rec := call(t, h, http.MethodGet, "/api/job/request/"+target, ""); rec.Code != status || rec.Header().Get("Content-Disposition") != "" {
			t.Errorf("%s: %d %s", target, rec.Code, rec.Body)
		}
	}
}

// The longest values there are fit into an answer of the platform.
func TestRetirementFilesFit(t *testing.T) {
	w := asking(heldLines)
	for i := range w.held {
		h := &w.held[i]
		h.Value, h.Owner, h.TQL, h.Query, h.Type = strings.Repeat(`"`, 10000), strings.Repeat(`"`, 1000), strings.Repeat(`"`, 10000), jobID, strings.Repeat("T", 50)
	}
	h := w.handler()
	for _, target := range []string{"/api/job/request/asking/retirement.csv", "/api/job/request/asking/retirement?limit=500", "/ui/jobs?id=asking"} {
		if rec := call(t, h, http.MethodGet, target, ""); rec.Code != http.StatusOK || rec.Body.Len() > carried {
			t.Errorf("%s: %d, %d bytes", target, rec.Code, rec.Body.Len())
		}
	}
}
