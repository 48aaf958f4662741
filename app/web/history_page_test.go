package web

import (
	"net/http"
	"slices"
	"strings"
	"testing"

	"mssentinel/app/job"
	"mssentinel/app/store"
)

// savedTwice is a world whose list was saved by a user, and then by somebody who is not known.
func savedTwice(t *testing.T) *world {
	t.Helper()
	w := newWorld()
	w.caller = "J. Doe <jdoe>"
	a, b, c := oneSaved("a", "rating > 1"), oneSaved("b", "rating > 2"), oneSaved("c", "rating > 3")
	save := func(next job.Mode, queries ...store.Query) {
		for i := range queries {
			queries[i].Rank = i + 1
		}
		if _, err := w.SaveQueries(t.Context(), queries, "", next, w.caller); err != nil {
			t.Fatal(err)
		}
	}
	save(job.Full, a, b, c)
	w.caller = ""
	c.TQL, c.Owners = "rating > 4", []string{"Common Community", "O'Brien & <Sons>"}
	save(job.Delta, c, a, oneSaved("d", "rating > 5"))
	w.calls = nil
	return w
}

// HISTORY says who saved the list when, and what changed by it.
func TestHistory(t *testing.T) {
	w := savedTwice(t)
	v := w.visit(t, "ui/")
	v.sees("The list was saved at 2026-11-24 12:00:00 UTC by somebody whose name is not known .")
	v.follow("History")
	for i, want := range map[int][]string{
		0: {"2", "1"},
		1: {"2026-11-24 12:00:00 UTC Current", "2026-11-24 12:00:00 UTC"},
		2: {"not known", "J. Doe <jdoe>"},
		3: {"Delta", "Full"},
		4: {"3", "3"},
		5: {"1 added, 1 changed, 1 deleted, 1 moved", "3 added"},
		6: {"Show", "Show Restore"},
	} {
		if got := v.column(i); !slices.Equal(got, want) {
			t.Errorf("column %d is %q, want %q", i, got, want)
		}
	}
	v.follow("Show version 1")
	v.sees("Saved at 2026-11-24 12:00:00 UTC by J. Doe <jdoe>, with the full update that followed.", "1 added, 1 changed, 1 deleted, 1 moved",
		"Changed Moved 3 1 rating > 4 Owners: Demo Organization Common Community, O'Brien & <Sons> TQL: rating > 3 rating > 4",
		"Added – 3 rating > 5", "Deleted 2 – rating > 2", "3 queries of this version")
	v.follow("History")
	v.follow("Show version 2")
	v.sees("The list stands as in this version.")
	if v.has("#restore") {
		t.Error("what stands can be restored")
	}
	newWorld().visit(t, "ui/history").sees("No list was saved yet.")
	for page, says := range map[string]string{"ui/history?version=7": "There is no version 7", "ui/edit?restore=7": "There is no version 7",
		"ui/history?version=last": `"last" is no number of a version`, "ui/edit?restore=-": "is no number of a version"} {
		v.open(page)
		if v.code != http.StatusNotFound && v.code != http.StatusBadRequest {
			t.Errorf("%s: %d", page, v.code)
		}
		v.sees(says)
	}
	w.mustHaveDone(t)
}

// Restore puts a version into Edit mode. It is saved by the window Save Changes alone, queries keep their identity, and the
// restored list is the next version.
func TestRestore(t *testing.T) {
	w := savedTwice(t)
	w.caller = "asmith"
	v := w.visit(t, "ui/history")
	v.follow("Restore version 1")
	v.sees("Version 1 of 2026-11-24 12:00:00 UTC is loaded. It replaces the saved list once you save.", "Unsaved changes.")
	w.mustHaveDone(t)
	if w.queries[0].ID != "c" {
		t.Error("saved without being asked")
	}
	v.press("Save")
	v.sees("Save Changes", "Save and Run Full Update")
	w.mustHaveDone(t)
	v.press("Save and Run Full Update")
	w.mustHaveDone(t, "save 3 full", "due")
	var got []string
	for _, q := range w.queries {
		got = append(got, q.ID+" "+q.TQL)
	}
	if want := "a rating > 1,q-4-1 rating > 2,c rating > 3"; strings.Join(got, ",") != want {
		t.Errorf("restored %q, want %q", strings.Join(got, ","), want)
	}
	v.open("ui/history")
	if got := v.column(2); got[0] != "asmith" {
		t.Errorf("saved by %q", got)
	}
	// What was deleted and restored is the same query as before: nothing is left to restore.
	v.open("ui/edit?restore=1")
	v.sees("Version 1 is the same as the saved list.", "Changes take effect when you save them.")
}

// A list that was emptied can be brought back from the page that says that there are no queries.
func TestRestoreOfAnEmptiedList(t *testing.T) {
	w := savedTwice(t)
	if _, err := w.SaveQueries(t.Context(), nil, "", job.Delta, ""); err != nil {
		t.Fatal(err)
	}
	v := w.visit(t, "ui/")
	v.follow("History")
	v.follow("Restore version 2")
	v.sees("Version 2 of", "rating > 5")
}

// Who saves by JSON is kept as well, and a list that was imported counts.
func TestVersionOfScripts(t *testing.T) {
	w := newWorld()
	w.caller = "API user …9012"
	rec := call(t, w.handler(), "POST", "/api/tql-config?reset=true", `[{"owners":["Demo Organization"],"types":["Host"],"tql":"rating > 1"}]`)
	if rec.Code != http.StatusOK || len(w.saved) != 1 || w.saved[0].SavedBy != w.caller || w.saved[0].Next != job.Full {
		t.Errorf("%d %s, kept %+v", rec.Code, rec.Body, w.saved)
	}
}
