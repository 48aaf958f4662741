package web

import (
	"context"
	"errors"
	"fmt"
	"net/http"
	"net/http/httptest"
	"slices"
	"strings"
	"testing"
	"testing/synctest"
	"time"

	"github.com/google/go-cmp/cmp"
	"github.com/mattn/go-sqlite3"
	"golang.org/x/net/html"

	"mssentinel/app/job"
	"mssentinel/app/pipeline"
	"mssentinel/app/store"
	"mssentinel/app/threatconnect"
)

// twoSaved is a world with two queries in the list, and a completed update.
func twoSaved() *world {
	w := newWorld()
	w.queries = []store.Query{oneSaved("a", "rating > 3"), oneSaved("b", "rating < 3")}
	w.jobs = []job.Job{{RequestID: jobID, Status: job.UploadComplete}}
	return w
}

// fillIn fills in the window of a query.
func (v *visitor) fillIn(tql string) {
	v.t.Helper()
	v.fill("owner", "O'Brien & <Sons>", "Common Community")
	v.fill("type", "Host")
	v.fill("tql", tql)
	v.fill("sort_field", "threatAssessScore")
	v.fill("sort_direction", "DESC")
}

func (w *world) mustHaveDone(t *testing.T, calls ...string) {
	t.Helper()
	if diff := cmp.Diff(calls, w.did()); diff != "" {
		t.Errorf("what was done (-want +got):\n%s", diff)
	}
}

// From the API Path link to the first update, as the README tells it.
func TestFirstQuery(t *testing.T) {
	w := newWorld()
	v := w.visit(t, "")
	v.sees("Microsoft Sentinel", "Version: 1.0.0 | Source: ThreatConnect-Demo", "CONFIGURE JOBS TASKS REPORT", "First steps")
	v.follow("Edit")
	v.sees("No queries in the list")
	v.press("Add")
	v.sees("Add TQL Configuration")
	if diff := cmp.Diff([]string{"Owners to Query", "Indicator Types to Retrieve", "TQL", "Sort Field", "Sort Direction", "What is sent", "Confidence Floor", "TTL Hours",
		"Labels to Add", "TLP at Least"}, v.labels()); diff != "" {
		t.Errorf("labels (-want +got):\n%s", diff)
	}
	v.fillIn("rating > 3\r\nand confidence > 50")
	v.press("Validate TQL")
	v.sees("TQL is valid — 1,234 matching results.")
	v.press("Preview")
	v.sees("1,234 matching indicators. The first 100 are shown", "bad.example | <b>Owner</b>", "Some cannot be sent: *.example is a wildcard")
	v.press("Submit")
	v.status(http.StatusOK)
	v.sees("New", "Unsaved changes.", "O'Brien & <Sons>, Common Community")
	v.press("Save")
	v.sees("Save Changes", "No update has completed yet", "Back to editing", "Cancel", "Save and Run Delta Update", "Save and Run Full Update")
	w.mustHaveDone(t)
	v.press("Save and Run Full Update")
	v.sees("Saved. A full update starts now; JOBS shows it.")
	w.mustHaveDone(t, "save 1 full", "due")
	want := []store.Query{{ID: "q-2-0", Rank: 1, Owners: []string{"O'Brien & <Sons>", "Common Community"}, Types: []string{"Host"},
		TQL: "rating > 3\nand confidence > 50", SortField: "threatAssessScore", SortDirection: "DESC"}}
	if diff := cmp.Diff(want, w.queries); diff != "" {
		t.Errorf("saved (-want +got):\n%s", diff)
	}
}

func TestEditing(t *testing.T) {
	w := twoSaved()
	v := w.visit(t, "ui/")
	v.follow("Edit")
	if diff := cmp.Diff([]string{"#", "Order", "Owners", "Indicator Types", "TQL", "Sort Field", "Sort Direction", "Actions"}, v.heads()); diff != "" {
		t.Errorf("columns (-want +got):\n%s", diff)
	}
	order := func(want ...string) {
		t.Helper()
		if got := v.column(4); !slices.Equal(got, want) {
			t.Errorf("the list is %q, want %q", got, want)
		}
	}
	v.press("Move query 1 up") // it is the first
	order("rating > 3", "rating < 3")
	v.misses("Unsaved changes.")
	v.press("Move query 2 up")
	order("rating < 3", "rating > 3")
	v.sees("Unsaved changes.")
	v.misses("Changed")
	v.press("Move query 1 down")
	v.misses("Unsaved changes.")
	v.press("Move query 2 down") // it is the last
	order("rating > 3", "rating < 3")

	v.press("Edit query 2")
	v.sees("Edit TQL Configuration")
	v.fill("tql", "rating = 5")
	v.press("Cancel")
	order("rating > 3", "rating < 3")
	v.press("Edit query 2")
	v.fill("tql", "rating = 5")
	v.press("Submit")
	order("rating > 3", "rating = 5")
	v.sees("Changed", "Unsaved changes.")

	v.press("Delete query 1")
	v.sees("Delete Configuration", "Delete query 1 from the list?", "cannot be undone")
	v.press("Cancel")
	order("rating > 3", "rating = 5")
	v.press("Delete query 1")
	v.press("Delete")
	order("rating = 5")

	v.press("Save")
	v.sees("1 query is new or changed: a delta update reads them from the last update on.", "1 query is deleted: 591 live objects are no longer selected.", "Recommended")
	v.press("Back to editing")
	order("rating = 5")
	v.press("Save")
	v.press("Cancel")
	v.sees("Drop all changes that are not saved?")
	v.press("Keep editing")
	order("rating = 5")
	w.mustHaveDone(t)
	v.press("Save")
	v.press("Save and Run Delta Update")
	v.sees("Saved. A delta update starts now")
	w.mustHaveDone(t, "save 1 delta", "due")
	if w.queries[0].ID != "b" {
		t.Errorf("the query lost its identity: %+v", w.queries)
	}
}

func TestDroppingChanges(t *testing.T) {
	w := twoSaved()
	v := w.visit(t, "ui/edit")
	v.press("Cancel") // nothing to drop
	v.follow("Edit")
	v.press("Move query 2 up")
	v.press("Cancel")
	v.press("Drop changes")
	if got := v.column(3); !slices.Equal(got, []string{"rating > 3", "rating < 3"}) {
		t.Errorf("the list is %q", got)
	}
	v.misses("Editing")
	w.mustHaveDone(t)
}

// What is wrong with a query stays in its window, with what was typed.
func TestQueryWindowFaults(t *testing.T) {
	for _, button := range []string{"Validate TQL", "Preview", "Submit"} {
		w := twoSaved()
		v := w.visit(t, "ui/edit?window=add")
		v.press(button)
		v.status(http.StatusUnprocessableEntity)
		v.sees("The query cannot be used yet:", "choose at least one owner", "choose at least one type", "TQL is empty")
		v.fillIn("ownerName = 'x'")
		v.press(button)
		v.status(http.StatusUnprocessableEntity)
		v.sees("The TQL names ownerName: leave it out", "ownerName = 'x'")
		if button == "Preview" {
			continue
		}
		v.fill("tql", "nonsense")
		v.press(button)
		v.status(http.StatusUnprocessableEntity)
		v.sees("ThreatConnect does not accept this query: Unable to parse the TQL near 'nonsense'")
		v.fill("tql", "rating = 1")
		v.press("Submit")
		v.status(http.StatusOK)
		v.sees("New")
		w.mustHaveDone(t)
	}
}

// An owner that the API user cannot read any more is named in the window, and one that is new is known at once.
func TestOwnersChange(t *testing.T) {
	w := twoSaved()
	w.queries[0].Owners = []string{"Gone"}
	v := w.visit(t, "ui/edit")
	v.press("Edit query 1")
	for _, button := range []string{"Validate TQL", "Preview", "Submit"} {
		v.press(button)
		v.status(http.StatusUnprocessableEntity)
		v.sees(`The owner "Gone" is not among those that the ThreatConnect API user can read: choose another`)
	}
	w.owners = func(context.Context) ([]threatconnect.Owner, error) {
		return []threatconnect.Owner{{Name: "Gone"}}, nil
	}
	v.press("Validate TQL")
	v.sees("TQL is valid")
	w.mustHaveDone(t)
}

// A list that has become wrong as a whole is refused when it is saved.
func TestSavingFaults(t *testing.T) {
	w := twoSaved()
	v := w.visit(t, "ui/edit")
	v.press("Edit query 2")
	v.fill("tql", "rating > 3")
	v.press("Submit")
	v.press("Save")
	v.status(http.StatusUnprocessableEntity)
	v.sees("The list cannot be saved yet:", "Query 2: It selects the same as query 1: remove one of the two.")
	v.press("Edit query 2")
	v.fill("tql", "rating > 4")
	v.press("Submit")
	v.press("Save")
	w.owners = func(context.Context) ([]threatconnect.Owner, error) { return nil, nil }
	v.press("Save and Run Delta Update")
	v.status(http.StatusUnprocessableEntity)
	v.sees("Nothing was saved:", `Query 2: The owner "Demo Organization" is not among those that the ThreatConnect API user can read`)
	w.mustHaveDone(t)
}

func TestThreatConnectAway(t *testing.T) { synctest.Test(t, testThreatConnectAway) }

func testThreatConnectAway(t *testing.T) {
	w := twoSaved()
	away := errors.New("ThreatConnect at tc.example gives no usable answer: connection refused. Check the network")
	w.count = func(context.Context, threatconnect.Query) (int64, error) { return 0, away }
	v := w.visit(t, "ui/edit?window=add")
	v.fillIn("rating = 1")
	v.press("Validate TQL")
	v.status(http.StatusBadGateway)
	v.sees("The query cannot be checked: ThreatConnect at tc.example gives no usable answer", "Check the network", "rating = 1")
	w.preview = func(context.Context, threatconnect.Query) (pipeline.Preview, error) {
		return pipeline.Preview{}, errors.New("the mapper of Host does not start")
	}
	v.press("Preview")
	v.status(http.StatusBadGateway)
	v.sees("The preview cannot be made: the mapper of Host does not start")
	v.press("Submit")
	v.status(http.StatusOK)
	v.sees("ThreatConnect could not be asked about this query. It is checked again when you save.", "New")

	w.owners = func(context.Context) ([]threatconnect.Owner, error) { return nil, away }
	v.press("Edit query 1")
	v.misses("The owners cannot be listed") // they were a moment ago
	v.press("Cancel")
	time.Sleep(ownersFresh)
	v.press("Edit query 1")
	v.sees("The owners cannot be listed: ThreatConnect at tc.example")
	v.find("owner that was listed last", func(n *html.Node) bool { return attr(n, "name") == "owner" && attr(n, "value") == "Common Community" })
	v.press("Cancel")
	v.h = http.StripPrefix("/api/services/ms_sentinel/v1", w.handler()) // which knows no owners yet
	v.press("Edit query 1")
	v.sees("The owners cannot be listed: ThreatConnect at tc.example", "Demo Organization") // the one it has stays
	v.press("Cancel")
	v.press("Save")
	v.press("Save and Run Delta Update")
	v.sees("Saved, and the update starts now. ThreatConnect could not be asked")
	w.mustHaveDone(t, "save 3 delta", "due")
}

// A slow ThreatConnect keeps no page longer than the platform waits for it, whatever the page has to ask.
func TestPagesEndInTime(t *testing.T) {
	for _, button := range []string{"Validate TQL", "Preview", "Submit", "Save and Run Full Update"} {
		t.Run(button, func(t *testing.T) {
			synctest.Test(t, func(t *testing.T) {
				w := twoSaved()
				v := w.visit(t, "ui/edit")
				v.press("Edit query 1")
				v.fill("tql", "x")
				if strings.HasPrefix(button, "Save") {
					v.press("Submit")
					v.press("Save")
				}
				restart := *v
				restart.h = http.StripPrefix("/api/services/ms_sentinel/v1", w.handler()) // which knows no owners yet
				w.hang()
				start := time.Now()
				restart.press(button)
				if took := time.Since(start); took > timeLimit {
					t.Errorf("the page took %s", took)
				}
				switch button {
				case "Validate TQL", "Preview":
					restart.status(http.StatusGatewayTimeout)
					restart.sees("ThreatConnect did not answer within 25 seconds", "narrow the TQL")
				case "Submit":
					restart.sees("It is checked again when you save")
				default:
					restart.sees("Saved, and the update starts now. ThreatConnect could not be asked")
				}
			})
		})
	}
	for page, code := range map[string]int{"ui/edit?window=add": http.StatusOK, "ui/preview?id=a": http.StatusGatewayTimeout} {
		synctest.Test(t, func(t *testing.T) {
			w := twoSaved()
			w.hang()
			start := time.Now()
			v := w.visit(t, page)
			v.status(code)
			v.sees("ThreatConnect did not answer within 25 seconds")
			if took := time.Since(start); took > timeLimit {
				t.Errorf("%s took %s", page, took)
			}
		})
	}
}

// hang has ThreatConnect give no answer any more.
func (w *world) hang() {
	w.owners = func(ctx context.Context) ([]threatconnect.Owner, error) { <-ctx.Done(); return nil, ctx.Err() }
	w.count = func(ctx context.Context, _ threatconnect.Query) (int64, error) { <-ctx.Done(); return 0, ctx.Err() }
	w.preview = func(ctx context.Context, _ threatconnect.Query) (pipeline.Preview, error) {
		<-ctx.Done()
		return pipeline.Preview{}, ctx.Err()
	}
}

func TestTwoOperators(t *testing.T) {
	w := twoSaved()
	mine, theirs := w.visit(t, "ui/edit"), w.visit(t, "ui/edit")
	mine.press("Delete query 1")
	mine.press("Delete")
	mine.press("Save")
	theirs.press("Delete query 2")
	theirs.press("Delete")
	theirs.press("Move query 1 down")
	theirs.press("Save")
	theirs.press("Save and Run Delta Update")
	mine.press("Save and Run Full Update")
	mine.status(http.StatusConflict)
	mine.sees("Someone else saved the queries while you were editing.")
	w.mustHaveDone(t, "save 1 delta", "due")
	mine.press("Save") // says so again, and offers nothing that cannot be
	mine.status(http.StatusConflict)
	if mine.has("dialog") {
		t.Error("the outdated list is offered to be saved")
	}
	mine.press("Keep my list, to save it over theirs")
	mine.misses("Someone else")
	mine.press("Save")
	mine.press("Save and Run Full Update")
	w.mustHaveDone(t, "save 1 delta", "due", "save 1 full", "due")
	if q := w.queries[0]; q.TQL != "rating < 3" || q.ID == "b" { // they deleted it: it is a new one
		t.Errorf("saved %+v", q)
	}
}

// Two operators who make the first list of all do not overwrite each other either.
func TestTwoOperatorsBeginning(t *testing.T) {
	w := newWorld()
	empty := w.current()
	first, second := w.visit(t, "ui/edit?window=add"), w.visit(t, "ui/edit?window=add")
	for _, v := range []*visitor{first, second} {
		v.fillIn("rating = 1")
		v.press("Submit")
		v.press("Save")
	}
	first.press("Save and Run Full Update")
	second.press("Save and Run Full Update")
	second.status(http.StatusConflict)
	second.sees("Someone else saved the queries")
	w.mustHaveDone(t, "save 1 full", "due")
	if rec := call(t, w.handler(), http.MethodPost, "/api/tql-config?version="+empty, "[]"); rec.Code != http.StatusConflict {
		t.Errorf("a script that read the empty list: %d %s", rec.Code, rec.Body)
	}
}

func TestSavingOnAFullDisk(t *testing.T) {
	w := twoSaved()
	v := w.visit(t, "ui/edit")
	v.press("Move query 1 down")
	v.press("Save")
	w.refuse, w.trouble = errors.New("database or disk is full"), "The database cannot be written: the disk is full. Free some space."
	v.press("Save and Run Delta Update")
	v.status(http.StatusServiceUnavailable)
	v.sees("The Service is in trouble. The database cannot be written", "Not saved, and your edits are still here. The database cannot be written", "Unsaved changes.")
	w.mustHaveDone(t)
	w.refuse, w.trouble = nil, ""
	v.press("Save")
	v.press("Save and Run Delta Update")
	v.misses("trouble")
	w.mustHaveDone(t, "save 2 delta", "due")
}

// The first write that fails, before anything else has noticed, is told with what to do as well.
func TestSavingOnADiskJustFull(t *testing.T) {
	w := twoSaved()
	v := w.visit(t, "ui/edit")
	v.press("Move query 1 down")
	v.press("Save")
	w.refuse = fmt.Errorf("saving: %w", sqlite3.Error{Code: sqlite3.ErrFull})
	v.press("Save and Run Delta Update")
	v.status(http.StatusServiceUnavailable)
	v.sees("Not saved, and your edits are still here. The Service could not write its database. Free some space on its disk", "Unsaved changes.")
	w.mustHaveDone(t)
}

func TestExportAndImport(t *testing.T) {
	w := twoSaved()
	exported := call(t, w.handler(), http.MethodGet, "/ui/export", "")
	if got := exported.Header().Get("Content-Disposition"); !strings.Contains(got, `filename="ms-sentinel-queries.json"`) {
		t.Errorf("export is named %q", got)
	}
	answer := call(t, w.handler(), http.MethodGet, "/api/tql-config", "").Body.String()
	for name, content := range map[string]string{"the file of Export": exported.Body.String(), "the answer of the route": answer, "with a byte order mark": "\ufeff" + answer} {
		t.Run(name, func(t *testing.T) {
			other := newWorld()
			v := other.visit(t, "ui/")
			v.follow("Import queries")
			v.sees("Takes what Export gave, and replaces the list on this page.")
			v.file = content
			v.press("Import")
			v.sees("Imported 2 queries.", "New")
			v.press("Save")
			v.press("Save and Run Full Update")
			other.mustHaveDone(t, "save 2 full", "due")
		})
	}
	v := w.visit(t, "ui/edit")
	v.press("Delete query 1")
	v.press("Delete")
	v.press("Import")
	v.fill("pasted", exported.Body.String())
	v.press("Import")
	v.misses("New", "Unsaved changes.") // each is known by its id
}

func TestImportFaults(t *testing.T) {
	for content, says := range map[string]string{
		"":            "there is nothing to import: choose a file",
		"owners":      "this is not a list of queries",
		"null":        "this is not a list of queries",
		"{}":          "this is not a list of queries",
		`{"data":""}`: "this is not a list of queries",
		`["a"]`:       "this is not a list of queries",
		`[]]`:         "this is not a list of queries",
		`[{"owners":["Demo Organization"],"types":["Host"],"tql":"x","sortField":"rating"}]`:          "this is not a list of queries, or has a member that queries do not have",
		`{"data":[{"owners":["Demo Organization"],"types":["Host"],"tql":"x","sortField":"rating"}]}`: "this is not a list of queries, or has a member that queries do not have",
	} {
		w := twoSaved()
		v := w.visit(t, "ui/edit?window=import")
		v.fill("pasted", content)
		v.press("Import")
		v.status(http.StatusUnprocessableEntity)
		v.sees("Not imported: "+says, "rating > 3", "Import queries")
		if got := textOf(v.find("pasted text", func(n *html.Node) bool { return attr(n, "name") == "pasted" })); got != content {
			t.Errorf("of the pasted text %q is left", got)
		}
		w.mustHaveDone(t)
	}
}

// Where a window closes, the keyboard goes on from the button that opened it; where it stays, from the button in it. The
// buttons are told apart by their ids.
func TestFocus(t *testing.T) {
	v := twoSaved().visit(t, "ui/edit")
	focus := func(want string) {
		t.Helper()
		if got := attr(v.find("focus", func(n *html.Node) bool {
			return slices.ContainsFunc(n.Attr, func(a html.Attribute) bool { return a.Key == "autofocus" })
		}), "value"); got != want {
			t.Errorf("the focus is on %q, want %q", got, want)
		}
	}
	focus("add")
	v.press("Move query 1 down")
	focus("down:1")
	for _, w := range []struct{ opens, closes, id string }{
		{"Add", "Cancel", "add"}, {"Edit query 2", "Cancel", "edit:1"}, {"Delete query 2", "Cancel", "delete:1"},
		{"Import", "Cancel", "import"}, {"Save", "Back to editing", "save"}, {"Cancel", "Keep editing", "cancel"},
	} {
		v.press(w.opens)
		v.press(w.closes)
		focus(w.id)
	}
	v.press("Edit query 2")
	for _, b := range [][2]string{{"Validate TQL", "validate"}, {"Preview", "preview"}} {
		v.press(b[0])
		focus(b[1])
	}
	v.fill("tql", "nonsense")
	v.press("Submit")
	focus("submit")
	v.fill("tql", "rating > 4")
	v.press("Submit")
	focus("edit:1")
}

func TestPreviewPage(t *testing.T) {
	w := twoSaved()
	v := w.visit(t, "ui/")
	v.follow("Preview")
	v.sees("Preview of query 1", "rating > 3", "1,234 matching indicators", "nothing is sent")
	v.follow("Configure")
	v.open("ui/preview?id=gone")
	v.status(http.StatusNotFound)
	v.sees("This query is not saved, or was deleted. Go back to CONFIGURE.")
	w.mustHaveDone(t)
}

// A list that a foreign page made up does not come back as if the operator had edited it.
func TestForeignDraft(t *testing.T) {
	h := twoSaved().handler()
	body := `draft=[{"key":"new-1","tql":"theirs"}]&action=save`
	r := httptest.NewRequest(http.MethodPost, "/ui/edit", strings.NewReader(body))
	r.Header.Set("Content-Type", "application/x-www-form-urlencoded")
	r.Header.Set("Sec-Fetch-Site", "cross-site")
	rec := httptest.NewRecorder()
	h.ServeHTTP(rec, r)
	if rec.Code != http.StatusForbidden || strings.Contains(rec.Body.String(), "theirs") || !strings.Contains(rec.Body.String(), "another site") {
		t.Errorf("%d %s", rec.Code, rec.Body)
	}
}

func TestDamagedDraft(t *testing.T) {
	w := twoSaved()
	for name, tampered := range map[string]struct{ field, value, says string }{
		"draft":  {"draft", "[{", "did not arrive whole. Open CONFIGURE again."},
		"action": {"action", "dance", "This page has no such button. Open CONFIGURE again."},
	} {
		t.Run(name, func(t *testing.T) {
			v := w.visit(t, "ui/edit")
			v.tamper(tampered.field, tampered.value)
			v.press("Save")
			v.status(http.StatusBadRequest)
			v.sees(tampered.says)
			v.follow("Go to CONFIGURE")
			w.mustHaveDone(t)
		})
	}
	r := httptest.NewRequest(http.MethodPost, "/ui/edit", strings.NewReader("--x\r\nbroken"))
	r.Header.Set("Content-Type", "multipart/form-data; boundary=x")
	rec := httptest.NewRecorder()
	w.handler().ServeHTTP(rec, r)
	if rec.Code != http.StatusBadRequest || !strings.Contains(rec.Body.String(), "The form did not arrive whole. Go back and try again.") {
		t.Errorf("a form that breaks off: %d %s", rec.Code, rec.Body)
	}
	v := w.visit(t, "ui/edit")
	v.tamper("draft", strings.Repeat("x", maxBody))
	v.press("Save")
	v.status(http.StatusRequestEntityTooLarge)
	v.sees("longer than 4 MiB")
}

// Each line says what its query last gave, and the page of when that is. What is not known is no number.
func TestWhatQueriesGave(t *testing.T) {
	w := twoSaved()
	v := w.visit(t, "ui/")
	v.sees("They come with the first full update or reconcile.")
	w.totals = store.QueryTotals{ReadAt: noon, CountedAt: noon.Add(time.Minute), Queries: map[string]store.QueryTotal{
		"a": {Read: true, Matched: 24_871, Invalid: 20, Won: 24_001, Lost: 850, Live: 23_990}, "b": {Live: 7}}}
	v.open("ui/")
	heads := v.heads()
	for i, want := range map[string][]string{"Matches": {"24,871", "–"}, "Won": {"24,001", "–"}, "Lost": {"850", "–"}, "Invalid": {"20", "–"}, "Live": {"23,990", "7"}} {
		if got := v.column(slices.Index(heads, i)); !slices.Equal(got, want) {
			t.Errorf("%s: %q, want %q", i, got, want)
		}
	}
	v.sees("They are of the last full update or reconcile, 2026-11-24 12:00:00", "Live was counted at 2026-11-24 12:01:00")
}
