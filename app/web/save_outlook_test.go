package web

import (
	"context"
	"net/http"
	"strings"
	"testing"
	"testing/synctest"
	"time"

	"golang.org/x/net/html"

	"mssentinel/app/store"
	"mssentinel/app/threatconnect"
)

// savedWithNumbers is twoSaved after an update that read 900 and 91 indicators. Of what a query matches, a tenth is recent.
func savedWithNumbers() *world {
	w := twoSaved()
	end := noon
	w.jobs[0].WindowEnd = &end
	w.totals = store.QueryTotals{ReadAt: noon, CountedAt: noon, Queries: map[string]store.QueryTotal{
		"a": {Read: true, Matched: 900, Won: 900, Live: 880}, "b": {Read: true, Matched: 91, Invalid: 1, Won: 40, Lost: 50, Live: 40}}}
	w.count = func(_ context.Context, q threatconnect.Query) (int64, error) {
		if strings.Contains(q.TQL, `and lastModified >= "2026-11-24T12:00:00Z"`) {
			return 100, nil
		}
		return 1000, nil
	}
	return w
}

// primary is the button of a window that Enter presses.
func (v *visitor) primary() string {
	return words(v.find("primary button", func(n *html.Node) bool {
		return n.Data == "button" && strings.Contains(attr(n, "class"), "primary") && strings.HasPrefix(attr(n, "id"), "save-")
	}))
}

func TestSaveWindowTellsNumbers(t *testing.T) {
	w := savedWithNumbers()
	v := w.visit(t, "ui/edit")
	v.press("Move query 1 down")
	v.press("Save")
	v.sees("Reads everything that the queries select: about 991 indicators, at least 10 s by the limit of Microsoft Sentinel.",
		"Reads what was modified since the last update: about 200 indicators, at least 2 s")
	v.misses("Recommended", "new or changed", "deleted")
	if got := v.primary(); got != "Save and Run Delta Update" {
		t.Errorf("%s is recommended for another order", got)
	}
	v.press("Back to editing")

	v.press("Add")
	v.fillIn("rating = 5")
	v.press("Submit")
	v.press("Save")
	v.sees("1 query is new or changed", "What else they select, about 900 indicators, comes with the next full update or reconcile.",
		"about 1,991 indicators", "about 300 indicators", "Recommended")
	if got := v.primary(); got != "Save and Run Full Update" {
		t.Errorf("%s is recommended for a new query", got)
	}
	v.press("Back to editing")
	for range 2 {
		v.press("Delete query 1")
		v.press("Delete")
	}
	v.press("Save")
	v.sees("2 queries are deleted: 1,182 live objects are no longer selected. A full update or reconcile retires them; a delta update does not.")
	w.mustHaveDone(t)
}

// The window waits for its numbers for a few seconds, and opens without those that did not come.
func TestSaveWindowOpensWithoutNumbers(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		w := savedWithNumbers()
		w.leaving = func(ctx context.Context, _ []string) (int64, error) { <-ctx.Done(); return 0, ctx.Err() }
		v := w.visit(t, "ui/edit")
		v.press("Edit query 2")
		v.fill("tql", "rating = 5")
		v.press("Submit")
		v.press("Delete query 1")
		v.press("Delete")
		w.hang()
		began := time.Now()
		v.press("Save")
		v.status(http.StatusOK)
		v.sees("up to 880 live objects are no longer selected", "how much that is, is not known yet", "1 query is new or changed", "Save and Run Full Update")
		if took := time.Since(began); took > outlookLimit {
			t.Errorf("it took %s", took)
		}
	})
}

// Of what was never read nothing is said that is not known.
func TestSaveWindowOfUnreadQueries(t *testing.T) {
	w := savedWithNumbers()
	w.totals = store.QueryTotals{}
	v := w.visit(t, "ui/edit")
	v.press("Move query 1 down")
	v.press("Save")
	v.sees("Reads everything that the queries select; how much that is, is not known yet.", "about 200 indicators")
}
