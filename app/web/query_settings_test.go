package web

import (
	"encoding/json"
	"fmt"
	"net/http"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"
	"pgregory.net/rapid"

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
		packed, err := d.packQueries()
		if err != nil {
			t.Fatal(err)
		}
		carried, err := parseDraft(packed, d.Version, d.Base)
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
