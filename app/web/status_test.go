package web

import (
	"errors"
	"net/http"
	"net/http/httptest"
	"net/url"
	"strings"
	"testing"
	"time"

	"golang.org/x/net/html"

	"mssentinel/app/job"
	"mssentinel/app/pipeline"
	"mssentinel/app/store"
)

// screenPaths are the screens that have the strip and the navigation.
var screenPaths = []string{"ui/", "ui/edit", "ui/preview?id=a", "ui/jobs", "ui/jobs?id=" + jobID, "ui/tasks", "ui/report", "ui/report?id=1", "ui/indicator", "ui/activity", "ui/settings",
	"ui/status?section=report", "ui/nothing"}

func standing() *world {
	w := twoSaved()
	w.jobs = everyJob()
	w.problems = []job.Problem{{ID: 1, RequestID: jobID}}
	return w
}

// How the updates stand is said on every screen.
func TestStatusOnEveryScreen(t *testing.T) {
	w := standing()
	v := w.visit(t, "ui/")
	v.sees("Last update none yet", "Next update not planned")
	v.misses("Live objects")
	ended := noon
	w.overview = pipeline.Overview{Last: &job.Job{RequestID: jobID, Mode: job.Full, Status: job.UploadComplete, DateCompleted: &ended},
		Next: noon.Add(6 * time.Hour), Errors: 1234, Live: 991182, LiveAsOf: noon}
	for _, page := range screenPaths {
		v.open(page)
		v.sees("Last update Full Upload Complete 2026-11-24 12:00:00 UTC", "Next update 2026-11-24 18:00:00 UTC", "Live objects 991,182", "Errors, 24 h 1,234")
		v.misses("needs you")
	}
	w.overview.Errors, w.overview.Last.OtherErrors = store.MaxCounted, 1
	w.overview.Unsent = 14700
	v.open("ui/tasks")
	v.sees("Now sending 14,700 objects of updates that are over")
	w.overview.Running, w.overview.Next = &job.Job{RequestID: "running", Mode: job.Delta, Status: job.UploadInProgress, DateQueued: noon}, time.Time{}
	v.open("ui/")
	v.sees("Errors, 24 h 10,000 or more", "Upload Complete with errors", "Now Delta Upload In Progress")
}

// What needs a person is counted in the navigation of every screen, and leads to where it is dealt with.
func TestAlertsOnEveryScreen(t *testing.T) {
	failed := job.Job{RequestID: "failed", Mode: job.Full, Status: job.Failed, Message: "Check <Client Secret>."}
	for _, tt := range []struct {
		name     string
		overview pipeline.Overview
		trouble  string
		screen   string
		says     string
		leadsTo  string
	}{
		{"failed", pipeline.Overview{Failed: []job.Job{failed}}, "", "JOBS", "The full update failed, and none made up for it since.", "Check <Client Secret>."},
		{"failed more often", pipeline.Overview{Failed: []job.Job{failed, failed}}, "", "JOBS", "2 updates failed", "Failed"},
		{"confirmation", pipeline.Overview{Asking: 1, AskingID: "asking"}, "", "JOBS", "An update waits for your answer.", "Confirm"},
		{"confirmations", pipeline.Overview{Asking: 2, AskingID: "asking"}, "", "JOBS", "2 updates wait for your answer.", "Confirmation Required"},
		{"silent", pipeline.Overview{Silent: "Sentinel at h cannot be reached"}, "", "JOBS", "Sentinel at h cannot be reached.", "Jobs"},
		{"retried", pipeline.Overview{Retried: &failed}, "", "JOBS", "The full update is tried again. Check <Client Secret>.", "Check <Client Secret>."},
		{"paused", pipeline.Overview{Paused: []string{"Download", "Upload"}}, "", "TASKS", "Download and Upload are paused.", "Tasks"},
		{"disk", pipeline.Overview{}, "The disk is full.", "TASKS", "The database cannot be written.", "Tasks"},
	} {
		t.Run(tt.name, func(t *testing.T) {
			w := standing()
			w.overview, w.trouble = tt.overview, tt.trouble
			v := w.visit(t, "ui/")
			for _, page := range screenPaths {
				v.open(page)
				v.sees(tt.says)
				link := v.find("badge", func(n *html.Node) bool {
					return n.Data == "a" && strings.HasPrefix(words(n), tt.screen+" 1 thing needs you")
				})
				if attr(link, "id") != "screen-"+strings.ToLower(tt.screen) {
					t.Errorf("%s: the badge is at %s", page, attr(link, "id"))
				}
			}
			v.open("ui/report")
			alert := v.find("alert", func(n *html.Node) bool { return n.Data == "a" && strings.HasPrefix(attr(n, "id"), "alert-") })
			v.send(http.MethodGet, v.resolve(attr(alert, "href")), "", nil)
			v.status(http.StatusOK)
			v.sees(tt.leadsTo)
		})
	}
}

// A database that cannot be read leaves the strip empty, and says so where nothing else does.
func TestStatusThatCannotBeRead(t *testing.T) {
	w := standing()
	w.broken = errors.New("no such table")
	v := w.visit(t, "ui/status")
	v.sees("How the updates stand is not known")
	v.misses("Last update")
	if rec := call(t, w.handler(), http.MethodGet, "/api/status", ""); rec.Code != http.StatusInternalServerError {
		t.Errorf("%d %s", rec.Code, rec.Body)
	}
}

// A page that asks for itself again gets nothing while it is the same, whatever its token; and a new one when anything in
// it changed, be it in the strip.
func TestUnchangedPageIsNotSentAgain(t *testing.T) {
	w := standing()
	h := w.handler()
	poll := func(page string) (polled string) {
		t.Helper()
		for n := range parsePage(t, call(t, h, http.MethodGet, page, "").Body.String()).Descendants() {
			if attr(n, "hx-get") != "" {
				polled = attr(n, "hx-get") // the last one: the page's own part, where there is one
			}
		}
		if polled == "" {
			t.Fatalf("%s does not ask for itself", page)
		}
		to, err := url.Parse(page)
		if err != nil {
			t.Fatal(err)
		}
		next, err := to.Parse(polled)
		if err != nil {
			t.Fatal(err)
		}
		return next.String()
	}
	for _, page := range []string{"/ui/", "/ui/jobs", "/ui/jobs?status=Failed", "/ui/jobs?id=" + jobID, "/ui/tasks", "/ui/report", "/ui/indicator"} {
		polled := poll(page)
		rec := call(t, h, http.MethodGet, polled, "")
		if rec.Code != http.StatusNoContent || rec.Body.Len() > 0 {
			t.Errorf("%s: the same page is sent again: %d, %d bytes", polled, rec.Code, rec.Body.Len())
		}
		w.overview.Errors++
		if rec = call(t, h, http.MethodGet, polled, ""); rec.Code != http.StatusOK || !strings.Contains(rec.Body.String(), `id="strip"`) {
			t.Errorf("%s: a change is not sent: %d", polled, rec.Code)
		}
		if again := poll(polled); again == polled || strings.Count(again, "seen=") != 1 {
			t.Errorf("%s is followed by %s", polled, again)
		}
	}
	rec := httptest.NewRecorder()
	h.ServeHTTP(rec, httptest.NewRequest(http.MethodGet, "/ui/jobs?seen=made-up", nil))
	if rec.Code != http.StatusOK {
		t.Errorf("a made-up fingerprint: %d", rec.Code)
	}
}

func parsePage(t *testing.T, page string) *html.Node {
	t.Helper()
	n, err := html.Parse(strings.NewReader(page))
	if err != nil {
		t.Fatal(err)
	}
	return n
}

// TASKS asks often only while a task runs.
func TestTasksPollFastOnlyWhileOneRuns(t *testing.T) {
	w := newWorld()
	trigger := func() string {
		return attr(w.visit(t, "ui/tasks").find("part that asks for itself", func(n *html.Node) bool { return attr(n, "id") == "live" }), "hx-trigger")
	}
	if got := trigger(); got != "every 2s" {
		t.Errorf("while Download runs: %s", got)
	}
	w.tasks[0].Status = "Idle"
	if got := trigger(); got != "every 20s" {
		t.Errorf("while nothing runs: %s", got)
	}
}
