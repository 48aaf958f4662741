package web

import (
	"encoding/csv"
	"encoding/json"
	"fmt"
	"net/http"
	"slices"
	"strings"
	"testing"

	"github.com/google/go-cmp/cmp"
	"golang.org/x/net/html"

	"mssentinel/app/job"
)

func someProblems() []job.Problem {
	return []job.Problem{
		{ID: 9007199254740993, RequestID: jobID, DateAdded: noon, Step: "Convert", Code: "invalid-value", Message: "<*.example> is a wildcard", Raw: `{"id":9007199254740993}`,
			Subject: job.Subject{Indicator: 9007199254740993, Type: "Host", Value: "<*.example>", Owner: "O'Brien & <Sons>"}},
		{ID: 2, RequestID: "other", DateAdded: noon, Step: "Upload", Code: "long-pattern", Message: "rules may not match it", Note: true},
	}
}

func TestReport(t *testing.T) {
	w := newWorld()
	w.problems = someProblems()
	v := w.visit(t, "ui/")
	v.follow("REPORT")
	v.sees("ERRORS", "Sent all the same")
	if diff := cmp.Diff([]string{"Error Code", "Step", "Type", "Lines", "Newest", "What to do"}, v.heads("groups")); diff != "" {
		t.Errorf("columns (-want +got):\n%s", diff)
	}
	if diff := cmp.Diff([]string{"Date Added", "Indicator", "Step", "Error Code", "Error Message", "Request ID", "Details"}, v.heads("problems")); diff != "" {
		t.Errorf("columns (-want +got):\n%s", diff)
	}
	v.sees("<*.example> Host · O'Brien & <Sons>", "Correct the value in ThreatConnect, or exclude it by TQL.")
	v.follow("Details of error 9007199254740993")
	v.sees("Error Details", "ID 9007199254740993", "Request ID "+jobID, "Step Convert", "Error Code invalid-value", "Error Message <*.example> is a wildcard", `"id": 9007199254740993`)
	v.follow("Report")
	v.sees("ERRORS")
}

func TestReportEmpty(t *testing.T) {
	v := newWorld().visit(t, "ui/report")
	v.sees("No errors yet, since no update has ended yet.")
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
		"type":       {"Host", []string{"5f0c6a52"}},
		"owner":      {"o'brien & <sons>", []string{"5f0c6a52"}},
		"severity":   {"notes", []string{"other"}},
	} {
		w := newWorld()
		w.problems = someProblems()
		v := w.visit(t, "ui/report")
		v.fill(field, tt.value)
		v.press("Search")
		if got := v.column(5, "problems"); !slices.Equal(got, tt.found) {
			t.Errorf("%s=%s: %q", field, tt.value, got)
		}
		if got := v.find(field, func(n *html.Node) bool { return attr(n, "name") == field }); fields(got.Parent).Get(field) != tt.value {
			t.Errorf("the filter %s does not keep %q", field, tt.value)
		}
		v.fill("text", "nothing like it")
		v.press("Search")
		v.sees("No errors found. Change the filters to see others.")
		v.follow("Clear")
		if got := len(v.column(0, "problems")); got != 2 {
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
	v.sees("1–20 of 45", "Message 45")
	v.follow("Older")
	v.follow("Older")
	v.sees("41–45 of 45", "Message 01")
	v.follow("Newer")
	v.sees("21–40 of 45")
	w.problems = w.problems[:3] // the Cleaner was there
	v.open("ui/report?offset=40")
	v.sees("1–3 of 3", "Message 45")
	v.misses("No errors")
}

// That all is well is said only where the last update was complete.
func TestNoErrors(t *testing.T) {
	complete := job.Job{Status: job.UploadComplete}
	for name, c := range map[string]struct {
		jobs []job.Job
		says string
	}{
		"no update":           {nil, "No errors yet, since no update has ended yet."},
		"one that runs":       {[]job.Job{{Status: job.UploadInProgress}}, "No errors yet"},
		"complete":            {[]job.Job{complete}, "No errors. Everything that the queries returned could be sent."},
		"failed":              {[]job.Job{{Status: job.Failed, Message: "No."}, complete}, "the last update was not complete (Failed)"},
		"cancelled":           {[]job.Job{{Status: job.Cancelled, Message: "Cancelled by the operator."}, complete}, "the last update was not complete (Cancelled)"},
		"a query not read":    {[]job.Job{{Status: job.UploadComplete, Message: "Query 1 could not be read."}}, "the last update was not complete (Upload Complete)"},
		"lines that are gone": {[]job.Job{{Status: job.UploadComplete, Counts: job.Counts{Rejected: 1}}}, "the last update was not complete (Upload Complete)"},
		"a range":             {[]job.Job{{Status: job.UploadComplete, Ranged: true}, complete}, "The last update was one for a range"},
	} {
		t.Run(name, func(t *testing.T) {
			w := newWorld()
			w.jobs, w.problems = c.jobs, nil
			v := w.visit(t, "ui/report")
			v.sees(c.says)
			if name != "complete" {
				v.misses("could be sent")
			}
			v.open("ui/report?text=nothing")
			v.sees("No errors found. Change the filters to see others.")
		})
	}
}

// A kind of lines leads to the lines; the kinds stay, so that another can be chosen.
func TestReportByKind(t *testing.T) {
	w := newWorld()
	w.problems = someProblems()
	v := w.visit(t, "ui/report?text=i")
	if got := v.column(3, "groups"); !slices.Equal(got, []string{"1", "1"}) {
		t.Errorf("%q lines", got)
	}
	v.follow("invalid-value")
	if got := v.column(5, "problems"); !slices.Equal(got, []string{"5f0c6a52"}) || len(v.column(0, "groups")) != 2 {
		t.Errorf("lines of %q", got)
	}
	v.follow("<*.example>")
	v.sees("Look up", "No query gives 9007199254740993")
	v.open("ui/report?id=9007199254740993")
	v.sees("Indicator <*.example> Host", "In ThreatConnect 9007199254740993", "What to do Correct the value", "Raw object")
	for _, bad := range []string{"severity=some", "since=yesterday", "before=2026-13-01", "step=nothing", "offset=-1"} {
		v.open("ui/report?" + bad)
		v.status(http.StatusBadRequest)
	}
}

// From a line the way back leads to the list with its filters, on its page.
func TestWayBackToTheReport(t *testing.T) {
	w := newWorld()
	w.problems = someProblems()
	const list = "report?text=i"
	v := w.visit(t, "ui/"+list)
	v.follow("Details of error 2")
	v.sees("Error Details")
	v.follow("Report")
	if got := v.at.Path + "?" + v.at.RawQuery; !strings.HasSuffix(got, list) {
		t.Errorf("the way back leads to %s", got)
	}
	v.open("ui/report?id=2&list=javascript%3A%26text%3Di%26evil%3D1%26offset%3D20")
	if got := attr(v.called("a", "Report"), "href"); got != "report?offset=20&text=i" {
		t.Errorf("a made up list leads to %s", got)
	}
}

// The export has every line once, over all its files, and nothing in it is a formula.
func TestExport(t *testing.T) {
	w := newWorld()
	for i := range int64(csvLines + 2) {
		w.problems = append(w.problems, job.Problem{ID: csvLines + 2 - i, RequestID: jobID, DateAdded: noon, Step: "Convert", Code: "invalid-value", Message: "=1+1",
			Subject: job.Subject{Indicator: 7 + i, Type: "Host", Value: "@SUM(A1)", Owner: "-\"quoted\", owner"}, Raw: strings.Repeat("x", 20_000)})
	}
	v := w.visit(t, "ui/report")
	v.sees("CSV in 2 parts", "JSON in 9 parts")
	w.problems = append([]job.Problem{{ID: csvLines + 3, Message: "came later"}}, w.problems...)
	h := w.handler()
	ids := map[string]bool{}
	for part := 1; part <= 3; part++ {
		rec := call(t, h, http.MethodGet, fmt.Sprintf("/api/report/batch-error.csv?newest=%d&part=%d", csvLines+2, part), "")
		rows, err := csv.NewReader(rec.Body).ReadAll()
		if err != nil || rec.Code != http.StatusOK || !strings.Contains(rec.Header().Get("Content-Disposition"), fmt.Sprintf(`"ms-sentinel-errors-%d.csv"`, part)) {
			t.Fatalf("part %d: %d %v %v", part, rec.Code, err, rec.Header())
		}
		for _, row := range rows[1:] {
			if ids[row[11]] {
				t.Errorf("%s comes twice", row[11])
			}
			ids[row[11]] = true
			if row[4] != "'=1+1" || row[5] != "'@SUM(A1)" || row[7] != "'-\"quoted\", owner" || !strings.HasPrefix(row[9], "https://tc.example/#/details/indicators/") {
				t.Fatalf("a row is %q", row)
			}
		}
	}
	if len(ids) != csvLines+2 {
		t.Errorf("%d lines, want %d", len(ids), csvLines+2)
	}
	rec := call(t, h, http.MethodGet, "/api/report/batch-error.json?part=9&type=host", "")
	var lines []problemView
	if err := json.Unmarshal(rec.Body.Bytes(), &lines); err != nil || len(lines) != 2 || len(lines[0].Raw) > jsonRaw {
		t.Errorf("%v, %d lines", err, len(lines))
	}
	for _, c := range []struct {
		target string
		status int
		body   string
	}{
		{"/api/report/batch-error.json?part=99", 200, "[]\n"}, {"/api/report/batch-error.csv?part=0", 400, ""},
		{"/api/report/batch-error.csv?part=x", 400, ""}, {"/api/report/batch-error.csv?since=x", 400, ""},
	} {
		if rec := call(t, h, http.MethodGet, c.target, ""); rec.Code != c.status || c.body != "" && rec.Body.String() != c.body {
			t.Errorf("%s: %d %s", c.target, rec.Code, rec.Body)
		}
	}
}

// The longest lines that can be kept make files that the platform carries.
func TestExportFits(t *testing.T) {
	w := newWorld()
	long := job.Problem{RequestID: jobID, DateAdded: noon, Step: "Download", Code: "sentinel-rejected", Message: strings.Repeat("\"", job.MaxMessage), Raw: strings.Repeat("\x01", job.MaxRaw),
		Subject: job.Subject{Indicator: 1 << 62, Type: strings.Repeat("\"", 60), Value: strings.Repeat("\"", job.MaxValue), Owner: strings.Repeat("\"", job.MaxValue)}}
	for i := range int64(csvLines) {
		long.ID = 1<<62 + i
		w.problems = append(w.problems, long)
	}
	h := w.handler()
	for _, kind := range []string{"csv", "json"} {
		if rec := call(t, h, http.MethodGet, "/api/report/batch-error."+kind, ""); rec.Body.Len() > carried {
			t.Errorf("a file of %s has %d bytes", kind, rec.Body.Len())
		}
	}
}

// What can be retried is retried as the filters have it, after a question.
func TestReportRetry(t *testing.T) {
	w := newWorld()
	w.problems = append(someProblems(), job.Problem{ID: 1, Step: "Upload", Code: job.CodeRejected, Subject: job.Subject{Indicator: 7}},
		job.Problem{ID: 3, Step: "Download", Code: job.CodeUpdateFailed})
	v := w.visit(t, "ui/report?code=long-pattern")
	v.misses("Retry 1 line")
	v.open("ui/report")
	v.sees("Retry 2 lines")
	v.open("ui/report?code=" + string(job.CodeRejected))
	v.follow("Retry 1 line")
	v.sees("What fits the filters, 1 line, leaves this list.")
	v.leaveWindow()
	w.mustHaveDone(t)
	v.open("ui/report?code=" + string(job.CodeRejected))
	v.follow("Retry 1 line")
	v.press("Retry")
	v.sees("Job Details", "The lines are retried by this update.")
	w.mustHaveDone(t, "retry 1 lines sentinel-rejected")
	h := w.handler()
	if rec := call(t, h, http.MethodPost, "/api/report/batch-error/retry?severity=errors", ""); rec.Code != http.StatusOK ||
		strings.TrimSpace(rec.Body.String()) != `{"retried":2,"request_id":"`+jobID+`"}` {
		t.Errorf("%d %s", rec.Code, rec.Body)
	}
	for target, status := range map[string]int{"?code=long-pattern": 409, "?step=nothing": 400} {
		if rec := call(t, h, http.MethodPost, "/api/report/batch-error/retry"+target, ""); rec.Code != status {
			t.Errorf("%s: %d %s", target, rec.Code, rec.Body)
		}
	}
}
