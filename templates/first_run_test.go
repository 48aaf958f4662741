package templates

import (
	"testing"
	"time"
)

func allTested(r *FirstRun) {
	for i := range r.Connections {
		r.Connections[i].Works, r.Connections[i].Tested = true, time.Unix(0, 0)
	}
}

// Each state of the first run has its next step, which leads somewhere.
func TestNextStep(t *testing.T) {
	broken := func(r *FirstRun) { allTested(r); r.Connections[1].Works = false }
	update := func(status, why string) func(*FirstRun) {
		return func(r *FirstRun) {
			r.HasQueries, r.Update, r.Why = true, &StatusJob{RequestID: "id", Status: status}, why
		}
	}
	for name, tt := range map[string]struct {
		change      func(*FirstRun)
		text, leads string
	}{
		"nothing":              {func(*FirstRun) {}, "The connections were not tested yet.", "./#first-run"},
		"a broken connection":  {broken, "A connection does not work yet.", "./#first-run"},
		"tested":               {allTested, "There is no query yet.", "edit?window=add"},
		"saved":                {func(r *FirstRun) { r.HasQueries = true }, "The first update starts within half a minute.", "./#first-run"},
		"under way":            {update("Download In Progress", ""), "The first update is under way.", "jobs?id=id"},
		"failed":               {update("Failed", "the role"), "The first update failed.", "jobs?id=id"},
		"tried again":          {update("Pending", "the role"), "The first update failed.", "jobs?id=id"},
		"cancelled":            {update("Cancelled", ""), "The first update was cancelled.", "jobs"},
		"failed and broken":    {func(r *FirstRun) { broken(r); update("Failed", "x")(r) }, "A connection does not work yet.", "./#first-run"},
		"under way and broken": {func(r *FirstRun) { broken(r); update("Pending", "")(r) }, "The first update is under way.", "jobs?id=id"},
	} {
		r := FirstRun{Connections: make([]ConnectionTest, 2)}
		tt.change(&r)
		if got := r.NextStep(); got.Text != tt.text || got.Link.URL != tt.leads || got.Link.Text == "" {
			t.Errorf("%s: %+v", name, got)
		}
	}
}
