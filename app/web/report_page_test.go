package web

import (
	"fmt"
	"slices"
	"testing"

	"github.com/google/go-cmp/cmp"
	"golang.org/x/net/html"

	"mssentinel/app/job"
)

func someProblems() []job.Problem {
	return []job.Problem{
		{ID: 9007199254740993, RequestID: jobID, DateAdded: noon, Step: "Convert", Code: "invalid-value", Message: "<*.example> is a wildcard", Raw: `{"id":9007199254740993}`},
		{ID: 2, RequestID: "other", DateAdded: noon, Step: "Upload", Code: "long-pattern", Message: "rules may not match it", Note: true},
	}
}

func TestReport(t *testing.T) {
	w := newWorld()
	w.problems = someProblems()
	v := w.visit(t, "ui/")
	v.follow("REPORT")
	v.sees("ERRORS", "Sent all the same")
	if diff := cmp.Diff([]string{"Date Added", "Request ID", "Step", "Error Code", "Error Message", "Details"}, v.heads()); diff != "" {
		t.Errorf("columns (-want +got):\n%s", diff)
	}
	v.follow("Details of error 9007199254740993")
	v.sees("Error Details", "ID 9007199254740993", "Request ID "+jobID, "Step Convert", "Error Code invalid-value", "Error Message <*.example> is a wildcard", `"id": 9007199254740993`)
	v.follow("Report")
	v.sees("ERRORS")
}

func TestReportEmpty(t *testing.T) {
	v := newWorld().visit(t, "ui/report")
	v.sees("No errors. Everything that the queries returned could be sent.")
}

func TestReportFilters(t *testing.T) {
	for field, tt := range map[string]struct {
		value string
		found []string
	}{
		"request_id": {"oth", []string{"other"}},
		"step":       {"Convert", []string{"5f0c6a52"}},
		"code":       {"long-pattern", []string{"other"}},
		"text":       {"wildcard", []string{"5f0c6a52"}},
	} {
		w := newWorld()
		w.problems = someProblems()
		v := w.visit(t, "ui/report")
		v.fill(field, tt.value)
		v.press("Search")
		if got := v.column(1); !slices.Equal(got, tt.found) {
			t.Errorf("%s=%s: %q", field, tt.value, got)
		}
		if got := v.find(field, func(n *html.Node) bool { return attr(n, "name") == field }); fields(got.Parent).Get(field) != tt.value {
			t.Errorf("the filter %s does not keep %q", field, tt.value)
		}
		v.fill("text", "nothing like it")
		v.press("Search")
		v.sees("No errors found. Change the filters to see others.")
		v.follow("Clear")
		if got := len(v.column(0)); got != 2 {
			t.Errorf("%d lines", got)
		}
	}
}

func TestReportPaging(t *testing.T) {
	w := newWorld()
	for i := range 45 {
		w.problems = append(w.problems, job.Problem{ID: int64(45 - i), RequestID: jobID, Step: "Upload", Message: fmt.Sprintf("message %02d", 45-i)})
	}
	v := w.visit(t, "ui/report?step=upload&text=message")
	v.sees("1–20 of 45", "message 45")
	v.follow("Older")
	v.follow("Older")
	v.sees("41–45 of 45", "message 01")
	v.follow("Newer")
	v.sees("21–40 of 45")
	w.problems = w.problems[:3] // the Cleaner was there
	v.open("ui/report?offset=40")
	v.sees("1–3 of 3", "message 45")
	v.misses("No errors")
}
