package web

import (
	"bytes"
	"encoding/csv"
	"encoding/json"
	"net/http"
	"net/http/httptest"
	"slices"
	"strings"
	"testing"
	"unicode/utf8"

	"mssentinel/app/job"
)

// FuzzImport reads lists of queries, as CONFIGURE imports them and as a script sends them. A list that is taken is within its
// bounds and the same after an export; what is wrong with another can be shown.
func FuzzImport(f *testing.F) {
	types := []string{"Address", "Host", "File"}
	f.Fuzz(func(t *testing.T, content []byte) {
		queries, err := parseImport(content)
		if err != nil {
			if said := err.Error(); len(said) > 1000 || !utf8.ValidString(said) {
				t.Fatalf("the error %q cannot be shown", said)
			}
			return
		}
		if len(queries) > maxQueries || !json.Valid(bytes.TrimPrefix(bytes.TrimSpace(content), []byte("\ufeff"))) {
			t.Fatalf("%q gives %d queries", content, len(queries))
		}
		d := newDraft(nil, "v1")
		d.replaceQueries(queries, nil)
		for _, fault := range checkList(d.queryList(), nil, types) {
			if len(fault) > 1000 || !utf8.ValidString(fault) {
				t.Fatalf("the fault %q cannot be shown", fault)
			}
		}
		exported, err := json.Marshal(newQueryViews(d.queryList()))
		if err != nil {
			t.Fatal(err)
		}
		again, err := parseImport(exported)
		if err != nil || !slices.EqualFunc(d.queryList(), again, sameQuery) {
			t.Fatalf("%q comes back as %+v (%v)", exported, again, err)
		}
		checkDraft(t, d)
	})
}

// packDraft gives a draft as its page carries it.
func packDraft(t interface {
	Helper()
	Fatal(...any)
}, d *draft) string {
	t.Helper()
	encoded, err := d.encodeQueries()
	if err != nil {
		t.Fatal(err)
	}
	packed, err := packText(encoded)
	if err != nil {
		t.Fatal(err)
	}
	return packed
}

// checkDraft carries a list through its page.
func checkDraft(t *testing.T, d *draft) {
	t.Helper()
	carried, err := parseDraft(packDraft(t, d), d.Version, d.Base)
	if err != nil || !slices.EqualFunc(d.queryList(), carried.queryList(), sameQuery) {
		t.Fatalf("%+v comes back as %+v (%v)", d, carried, err)
	}
}

// FuzzDraft reads what a page says of an unsaved list: nothing large is made of a small text, and what is read is carried on.
func FuzzDraft(f *testing.F) {
	f.Fuzz(func(t *testing.T, packed, version string) {
		d, err := parseDraft(packed, version, "base")
		if err != nil {
			return
		}
		size := 0
		for _, q := range d.Queries {
			size += len(q.TQL) + len(q.ID) + len(q.Key) + len(strings.Join(q.Owners, "")) + len(strings.Join(q.Types, ""))
		}
		if len(d.Queries) > maxQueries || size > 3*maxList {
			t.Fatalf("%d queries of %d bytes", len(d.Queries), size)
		}
		checkDraft(t, d)
	})
}

// FuzzCSV exports a line of REPORT. It is one row of the columns that the file names, no cell of it is a formula, and no text
// is lost but what the bounds cut.
func FuzzCSV(f *testing.F) {
	f.Fuzz(func(t *testing.T, message, value, kind, owner string, indicator int64) {
		p := job.Problem{ID: 7, RequestID: jobID, DateAdded: noon, Step: job.StepConvert, Code: "invalid", Message: message,
			Subject: job.Subject{Indicator: indicator, Type: kind, Value: value, Owner: owner}}.Bounded()
		w := newWorld()
		w.problems = []job.Problem{p}
		answer := httptest.NewRecorder()
		w.handler().ServeHTTP(answer, httptest.NewRequest(http.MethodGet, "/api/report/batch-error.csv", nil))
		rows, err := csv.NewReader(answer.Body).ReadAll()
		if err != nil || len(rows) != 2 || len(rows[0]) != len(rows[1]) || answer.Code != http.StatusOK {
			t.Fatalf("status %d, %q: %v", answer.Code, rows, err)
		}
		for i, cell := range rows[1] {
			if first, _ := utf8.DecodeRuneInString(cell); strings.ContainsRune("=+-@\t\r\n\u0000＝＋－＠", first) && cell != "" {
				t.Fatalf("%s is the formula %q", rows[0][i], cell)
			}
			if len(cell) > job.MaxValue+1 || !utf8.ValidString(cell) {
				t.Fatalf("%s has %d bytes", rows[0][i], len(cell))
			}
		}
		if got := strings.TrimPrefix(rows[1][6], "'"); got != strings.TrimPrefix(p.Type, "'") {
			t.Fatalf("the type %q became %q", p.Type, got)
		}
	})
}
