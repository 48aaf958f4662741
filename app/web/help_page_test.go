package web

import (
	"net/http"
	"os"
	"regexp"
	"slices"
	"strings"
	"testing"

	"golang.org/x/net/html"

	"mssentinel/app/job"
)

// codeConstant finds the codes that a line of REPORT can bear.
var codeConstant = regexp.MustCompile(`\tCode\w+ +Code = "([\w-]+)"`)

// Every code that a line of REPORT can bear has its remedy, there and on Help, which has it from the README: the same one.
func TestRemedies(t *testing.T) {
	source, err := os.ReadFile("../job/problem.go")
	if err != nil {
		t.Fatal(err)
	}
	v := newWorld().visit(t, "ui/help")
	known := codeConstant.FindAllSubmatch(source, -1)
	for _, match := range known {
		code := string(match[1])
		row := v.find("the line of "+code, func(n *html.Node) bool { return attr(n, "id") == "code-"+code })
		cells := slices.Collect(row.ChildNodes())
		cells = slices.DeleteFunc(cells, func(n *html.Node) bool { return n.Type != html.ElementNode })
		if remedies[job.Code(code)] == "" || len(cells) != 3 || words(cells[2]) != remedies[job.Code(code)] {
			t.Errorf("%s: write into the README, below What REPORT says:\n%s", code, remedies[job.Code(code)])
		}
	}
	if len(known) < 10 || len(remedies) != len(known) {
		t.Errorf("%d codes are known, and %d remedies", len(known), len(remedies))
	}
}

// Each page leads to what Help says of it.
func TestWaysToHelp(t *testing.T) {
	w := twoSaved()
	w.jobs = everyJob()
	w.problems = []job.Problem{{ID: 1, RequestID: jobID, Code: job.CodeNote}}
	v := w.visit(t, "ui/help")
	v.status(http.StatusOK)
	places := map[string]bool{}
	for n := range v.page.Descendants() {
		places[attr(n, "id")] = true
	}
	for page, want := range map[string]string{
		"ui/": "help-configure-the-queries", "ui/edit": "help-configure-the-queries", "ui/preview?id=a": "help-configure-the-queries",
		"ui/jobs": "help-jobs-the-updates", "ui/jobs?id=failed": "help-jobs-the-updates", "ui/verify": "help-verify",
		"ui/tasks": "help-tasks-the-workers", "ui/doctor": "help-first-real-instance",
		"ui/report": "help-report-what-was-not-sent", "ui/report?id=1": "help-report-what-was-not-sent",
		"ui/activity": "help-report-what-was-not-sent", "ui/content": "help-content-for-sentinel", "ui/indicator": "help-report-what-was-not-sent",
		"ui/settings": "help-settings-and-tests",
	} {
		v.open(page)
		found := false
		for n := range v.page.Descendants() {
			_, id, leads := strings.Cut(attr(n, "href"), "help#")
			if leads && !places[id] {
				t.Errorf("%s leads to %s on Help, where nothing is", page, id)
			}
			found = found || attr(n, "id") == "aside-help" && id == want
		}
		if !found {
			t.Errorf("%s does not lead to %s", page, want)
		}
	}
}
