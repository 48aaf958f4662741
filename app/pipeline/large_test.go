package pipeline

import (
	"fmt"
	"strings"
	"testing"
	"time"

	"mssentinel/app/job"
	"mssentinel/app/ledger"
	"mssentinel/app/threatconnect"
)

// A record beyond the size of an answer costs itself, and the query no more than that: it is sent without what is too large, or
// stands on REPORT with its id; then what it gave before stands.
func TestARecordBeyondTheSizeOfAnAnswer(t *testing.T) {
	large := strings.Repeat("x", 34<<20)
	for name, c := range map[string]struct {
		members map[string]any
		order   string // of the query; each way of reading costs its time
		code    job.Code
		message string
		sent    int64
	}{
		"an attribute": {map[string]any{"attributes": map[string]any{"data": []any{map[string]any{"type": "Description", "value": large}}}},
			"lastModified", job.CodeNote, "without", 30},
		"its description": {map[string]any{"description": large}, "", job.CodeUnreadable, "too large", 29},
	} {
		t.Run(name, func(t *testing.T) {
			in(t, func(t *testing.T) {
				w := newWorld(t)
				ids := w.fill(29)
				w.put("Alpha", "stands.example")
				q := query("", "Alpha")
				if q.SortField = c.order; c.order == "" {
					q.SortDirection = ""
				}
				time.Sleep(time.Hour)
				w.done(w.save(job.Full, q))
				w.must(w.tc.Modify(ids[13], c.members))
				for _, mode := range []job.Mode{job.Full, job.Delta} {
					j := w.done(w.runJob(mode))
					p := w.problems(j)
					if len(p) != 1 || p[0].Code != c.code || !strings.Contains(p[0].Message, c.message) || !strings.Contains(p[0].Raw, fmt.Sprint(ids[13])) {
						t.Errorf("%s: %+v", mode, p)
					}
					if mode == job.Full && j.Uploaded != c.sent || j.Retired != 0 {
						t.Errorf("%s: %+v", mode, j.Counts)
					}
					w.wantWinner("h13.example", "Alpha")
				}
				v, err := w.p.Preview(t.Context(), threatconnect.Query{Owners: q.Owners, Types: q.Types}, ledger.Settings{})
				if w.must(err); len(v.Problems) > 1 {
					t.Errorf("%v", v.Problems)
				}
			})
		})
	}
}
