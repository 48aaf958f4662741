package web

import (
	"encoding/json"
	"fmt"
	"net/http"
	"slices"
	"strings"
	"testing"
	"testing/synctest"
	"time"

	"github.com/google/go-cmp/cmp"
	"golang.org/x/net/html"
	"pgregory.net/rapid"

	"mssentinel/app/job"
	"mssentinel/app/ledger"
	"mssentinel/app/store"
)

// withSettings has each of them set.
func withSettings(q store.Query) store.Query {
	hours := 72
	q.MinConfidence, q.TTLHours, q.Labels, q.TLP = 60, &hours, []string{"SOC <one>", "vip"}, "AMBER"
	return q
}

// A script saves settings in the form in which they are kept. A list without them is saved without.
func TestSavingSettings(t *testing.T) {
	w := newWorld()
	h := w.handler()
	const owners = `"owners":["Demo Organization"],"types":["Host"]`
	body := `[{` + owners + `,"tql":"x","min_confidence":60,"ttl_hours":87600,"labels":[" a "," ","b","a"],"tlp":" amber "},
		{` + owners + `,"tql":"x"},
		{` + owners + `,"tql":"y","min_confidence":0,"ttl_hours":null,"labels":[],"tlp":""}]`
	if rec := call(t, h, http.MethodPost, "/api/tql-config", body); rec.Code != http.StatusOK {
		t.Fatalf("%d %s", rec.Code, rec.Body)
	}
	settings := make([]ledger.Settings, len(w.queries))
	for i, q := range w.queries {
		settings[i] = q.Settings()
	}
	want := []ledger.Settings{{MinConfidence: 60, TTL: 87_600 * time.Hour, Labels: []string{"a", "b"}, TLP: "AMBER"}, {}, {}}
	if diff := cmp.Diff(want, settings); diff != "" {
		t.Errorf("(-want +got):\n%s", diff)
	}
	given := call(t, h, http.MethodGet, "/api/tql-config", "").Body.String()
	for _, member := range []string{"min_confidence", "ttl_hours", "labels", "tlp"} {
		if strings.Count(given, member) != 1 {
			t.Errorf("%s is not given for the first query alone: %s", member, given)
		}
	}
	w.did()
	// The same list again changes nothing, and ThreatConnect is not asked about it.
	w.hang()
	var answer queriesView
	if err := json.Unmarshal([]byte(given), &answer); err != nil {
		t.Fatal(err)
	}
	again, err := json.Marshal(answer.Data)
	if err != nil {
		t.Fatal(err)
	}
	if rec := call(t, h, http.MethodPost, "/api/tql-config", string(again)); rec.Code != http.StatusOK || strings.Contains(rec.Body.String(), "warning") {
		t.Errorf("saved again: %d %s", rec.Code, rec.Body)
	}
}

// Two queries may select the same where their floors differ; labels alone make no other selection.
func TestSameSelectionUnderTwoFloors(t *testing.T) {
	high, low := withSettings(oneSaved("", "x")), oneSaved("", "x")
	if faults := checkList([]store.Query{high, low}, nil, []string{"Address"}); len(faults) > 0 {
		t.Error(faults)
	}
	low.MinConfidence = high.MinConfidence
	if faults := checkList([]store.Query{high, low}, nil, []string{"Address"}); len(faults) != 1 || !strings.Contains(faults[0], "selects the same as query 1") {
		t.Error(faults)
	}
}

// A preview is made with the settings that it was sent.
func TestPreviewOfSettings(t *testing.T) {
	w := newWorld()
	rec := call(t, w.handler(), http.MethodPost, "/api/tql-config/preview",
		`{"owners":["Demo Organization"],"types":["Host"],"tql":"x","min_confidence":60,"ttl_hours":5,"labels":["a"],"tlp":"red"}`)
	want := ledger.Settings{MinConfidence: 60, TTL: 5 * time.Hour, Labels: []string{"a"}, TLP: "RED"}
	if diff := cmp.Diff(want, w.previewed); diff != "" || rec.Code != http.StatusOK {
		t.Errorf("%d (-want +got):\n%s", rec.Code, diff)
	}
}

// drawQuery is a query that may be saved, with any settings.
func drawQuery(t *rapid.T, n int) store.Query {
	q := oneSaved("", fmt.Sprintf("rating > %d", n))
	q.Rank, q.Version = 0, ""
	q.MinConfidence = rapid.IntRange(0, 100).Draw(t, "floor")
	q.TTLHours = rapid.Ptr(rapid.IntRange(1, 87_600), true).Draw(t, "hours")
	q.Labels = rapid.SliceOfN(rapid.StringMatching(`[a-zA-Zא-ת ,:<>&"']{1,30}`), 0, 5).Draw(t, "labels")
	q.TLP = rapid.SampledFrom([]string{"", "WHITE", "GREEN", "AMBER", "RED"}).Draw(t, "level")
	return tidyQuery(q)
}

// What Export gave is imported as it was, also through the page of an unsaved list, and a query without settings is exported as it
// was before there were any.
func TestSettingsComeBackFromExport(t *testing.T) {
	rapid.Check(t, func(t *rapid.T) {
		var list []store.Query
		for i := range rapid.IntRange(0, 5).Draw(t, "queries") {
			list = append(list, drawQuery(t, i))
		}
		exported, err := json.MarshalIndent(newQueryViews(list), "", "  ")
		if err != nil {
			t.Fatal(err)
		}
		imported, err := parseImport(exported)
		if err != nil {
			t.Fatal(err)
		}
		d := newDraft(nil, "v1")
		d.replaceQueries(imported, nil)
		carried, err := parseDraft(packDraft(t, d), d.Version, d.Base)
		if err != nil {
			t.Fatal(err)
		}
		for name, got := range map[string][]store.Query{"imported": d.queryList(), "carried": carried.queryList()} {
			if !slices.EqualFunc(list, got, func(a, b store.Query) bool { return cmp.Equal(a, b) }) {
				t.Fatalf("%s: %s", name, cmp.Diff(list, got))
			}
		}
		if faults := checkList(list, nil, []string{"Address"}); len(faults) > 0 {
			t.Fatal(faults)
		}
	})
	plain, err := json.Marshal(newQueryViews([]store.Query{oneSaved("a", "rating > 3")}))
	const before = `[{"id":"a","rank":1,"owners":["Demo Organization"],"types":["Address"],"tql":"rating \u003e 3","sort_field":"dateAdded","sort_direction":"DESC","version":"x"}]`
	if err != nil || string(plain) != before {
		t.Errorf("%s, %v", plain, err)
	}
	if old, err := parseImport([]byte(before)); err != nil || !cmp.Equal(old[0], oneSaved("a", "rating > 3")) {
		t.Errorf("%+v, %v", old, err)
	}
}

// Anything that a save would keep makes a list another: what is on the page of Edit mode is unsaved then.
func TestSettingsAreEdits(t *testing.T) {
	hours := 73
	for name, change := range map[string]func(*store.Query){
		"floor": func(q *store.Query) { q.MinConfidence++ }, "hours": func(q *store.Query) { q.TTLHours = &hours }, "no hours": func(q *store.Query) { q.TTLHours = nil },
		"labels": func(q *store.Query) { q.Labels = []string{"SOC", "<one>", "vip"} }, "level": func(q *store.Query) { q.TLP = "" },
	} {
		before := withSettings(oneSaved("a", "x"))
		after := before
		change(&after)
		d := newDraft([]store.Query{before}, "v1")
		if d.Queries[0].Query = after; !d.isDirty() || sameQuery(before, after) || selectionKey(before) != selectionKey(after) {
			t.Errorf("%s: dirty %v, the same %v", name, d.isDirty(), sameQuery(before, after))
		}
	}
}

// The window of a query keeps its settings, tells beside a field what is wrong with it, and loses nothing that was typed.
func TestSettingsInTheWindow(t *testing.T) {
	w := newWorld()
	v := w.visit(t, "ui/edit?window=add")
	v.fillIn("rating > 3")
	typed := map[string]string{"min_confidence": "high", "ttl_hours": "0", "labels": " SOC <one>\r\n" + strings.Repeat("x", 101) + "\r\n", "tlp": "AMBER"}
	for field, text := range typed {
		v.fill(field, text)
	}
	for _, button := range []string{"Validate TQL", "Preview", "Submit"} {
		v.press(button)
		v.status(http.StatusUnprocessableEntity)
		for field, want := range map[string]string{
			"min-confidence": `Confidence Floor is "high": enter a whole number from 0 to 100, or leave it out.`,
			"ttl-hours":      "TTL Hours is 0: enter a whole number from 1 to 87,600, or leave it out for that of each type.",
			"labels":         "is longer than 100 bytes: shorten it.",
			"tlp":            "",
		} {
			input := v.find(field, func(n *html.Node) bool { return attr(n, "id") == field })
			fault := words(v.find("fault", func(n *html.Node) bool { return attr(n, "id") == field+"-fault" }))
			if !strings.Contains(fault, want) || (fault == "") != (want == "") || (attr(input, "aria-invalid") == "true") != (want != "") ||
				!strings.Contains(attr(input, "aria-describedby"), field+"-fault") {
				t.Errorf("%s: at %s stands %q, invalid %q", button, field, fault, attr(input, "aria-invalid"))
			}
		}
		shown := fields(v.find("form", func(n *html.Node) bool { return attr(n, "id") == "editor" }))
		for field, text := range typed {
			if got := shown.Get(field); got != strings.TrimSuffix(strings.ReplaceAll(text, "\r\n", "\n"), " ") {
				t.Errorf("%s: of %q in %s is left %q", button, text, field, got)
			}
		}
	}
	w.mustHaveDone(t)
	v.fill("min_confidence", " 60 ")
	v.fill("ttl_hours", "72")
	v.fill("labels", "SOC <one>\r\n\r\nvip\r\nvip")
	v.press("Submit")
	v.status(http.StatusOK)
	if diff := cmp.Diff([]string{"#", "Order", "Owners", "Indicator Types", "TQL", "Sort Field", "Sort Direction", "Floor", "TTL", "Labels", "TLP", "Actions"}, v.heads()); diff != "" {
		t.Errorf("columns (-want +got):\n%s", diff)
	}
	v.sees("≥ 60 72 h SOC <one>, vip AMBER")
	v.press("Edit query 1")
	shown := fields(v.find("form", func(n *html.Node) bool { return attr(n, "id") == "editor" }))
	if shown.Get("min_confidence") != "60" || shown.Get("ttl_hours") != "72" || shown.Get("labels") != "SOC <one>\nvip" || shown.Get("tlp") != "AMBER" {
		t.Errorf("the window has %q", shown)
	}
	v.press("Preview")
	want := ledger.Settings{MinConfidence: 60, TTL: 72 * time.Hour, Labels: []string{"SOC <one>", "vip"}, TLP: "AMBER"}
	if diff := cmp.Diff(want, w.previewed); diff != "" {
		t.Errorf("previewed (-want +got):\n%s", diff)
	}
	v.press("Submit")
	v.press("Save")
	v.press("Save and Run Full Update")
	if diff := cmp.Diff(want, w.queries[0].Settings()); diff != "" {
		t.Errorf("saved (-want +got):\n%s", diff)
	}
	v.follow("Edit")
	v.misses("Unsaved changes.")
	v.press("Edit query 1")
	for _, field := range []string{"min_confidence", "ttl_hours", "labels", "tlp"} {
		v.fill(field, "")
	}
	v.press("Submit")
	v.sees("Changed", "Unsaved changes.")
	v.misses("Floor", "TLP")
	w.mustHaveDone(t, "save 1 full", "due")
}

// A page that was open for too long comes back with the settings that were typed.
func TestExpiredPageKeepsSettings(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		v := twoSaved().visit(t, "ui/edit")
		v.press("Edit query 2")
		v.fill("min_confidence", "6o")
		v.fill("labels", "one\r\ntwo")
		time.Sleep(tokenLife)
		v.press("Submit")
		v.status(http.StatusForbidden)
		shown := fields(v.find("form", func(n *html.Node) bool { return attr(n, "id") == "editor" }))
		if shown.Get("min_confidence") != "6o" || shown.Get("labels") != "one\ntwo" {
			t.Errorf("the window has %q", shown)
		}
	})
}

// CONFIGURE has a column for each setting that a query has, and says how many indicators a floor kept out.
func TestSettingsOnConfigure(t *testing.T) {
	w := savedWithNumbers()
	v := w.visit(t, "ui/")
	v.misses("Floor", "TTL", "Labels", "TLP")
	w.queries[0].MinConfidence, w.queries[0].Labels = 60, []string{"a", "b", "c", "d"}
	gave := w.totals.Queries["a"]
	gave.BelowFloor = 1234
	w.totals.Queries["a"] = gave
	v = w.visit(t, "ui/")
	v.sees("≥ 60 1,234 below", "4 labels a, b, c, d")
	v.misses("TTL", "TLP")
	v.follow("Preview query 1")
	v.sees("Confidence Floor 60", "Labels to Add a, b, c, d")
}

// HISTORY tells of settings what they were and are, and Restore brings them back.
func TestSettingsInHistory(t *testing.T) {
	w := newWorld()
	before := withSettings(oneSaved("a", "rating > 1"))
	after := oneSaved("a", "rating > 1")
	after.MinConfidence, after.Labels = 70, []string{"vip"}
	for _, q := range []store.Query{before, after} {
		if _, err := w.SaveQueries(t.Context(), []store.Query{q}, "", job.Delta, ""); err != nil {
			t.Fatal(err)
		}
	}
	v := w.visit(t, "ui/history?version=1")
	v.sees("1 changed", "Confidence Floor: 60 70 TTL Hours: 72 Labels to Add: SOC <one>, vip vip TLP at Least: AMBER", "≥ 60 72 h SOC <one>, vip AMBER")
	v.follow("Restore")
	v.sees("Unsaved changes.", "≥ 60 72 h SOC <one>, vip AMBER")
	w.did()
	v.press("Save")
	v.press("Save and Run Delta Update")
	want := before.Settings()
	if got := w.queries[0].Settings(); !got.Equal(&want) {
		t.Errorf("restored as %+v", got)
	}
}

// Of a query of which settings alone are others, the window says that a delta update reads it whole, and how much that is. It is no
// reason to recommend a full one.
func TestSaveWindowOfOtherSettings(t *testing.T) {
	w := savedWithNumbers()
	v := w.visit(t, "ui/edit")
	v.press("Edit query 1")
	v.fill("min_confidence", "60")
	v.press("Submit")
	v.press("Save")
	v.sees("Reads everything that the queries select: about 1,091 indicators", "Reads what was modified since the last update: about 1,100 indicators",
		"1 query has other settings: a delta update reads them whole, about 1,000 indicators, and sends what differs.")
	v.misses("Recommended", "new or changed")
	if got := v.primary(); got != "Save and Run Delta Update" {
		t.Errorf("%s is recommended", got)
	}
	v.press("Back to editing")
	v.press("Edit query 2")
	v.fill("tql", "rating = 5")
	v.press("Submit")
	v.press("Save")
	v.sees("1 query has other settings", "1 query is new or changed", "about 900 indicators, comes with the next full update", "about 2,000 indicators", "about 1,100 indicators", "Recommended")
}

// JOBS counts what is below a floor where there is any, as no error.
func TestBelowFloorOnJobs(t *testing.T) {
	w := newWorld()
	w.jobs = []job.Job{{RequestID: jobID, Status: job.UploadComplete, DateQueued: noon, Counts: job.Counts{Downloaded: 10, BelowFloor: 4, Queued: 6, Uploaded: 6}}}
	w.details = []job.Detail{{QueryID: "a", Type: "Host", Counts: w.jobs[0].Counts}}
	v := w.visit(t, "ui/jobs?id="+jobID)
	v.sees("Below floor 4 indicators that their query does not select, for their confidence")
	v.misses("with errors")
	if heads := v.heads("counts-table"); !slices.Contains(heads, "Below floor") || v.column(3, "counts-table")[0] != "4" {
		t.Errorf("columns %q", heads)
	}
	w.jobs[0].BelowFloor, w.details[0].BelowFloor = 0, 0
	v = w.visit(t, "ui/jobs?id="+jobID)
	v.misses("Below floor")
}
