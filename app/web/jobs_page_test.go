package web

import (
	"context"
	"fmt"
	"log/slog"
	"net/http"
	"slices"
	"strings"
	"testing"
	"testing/synctest"
	"time"

	"github.com/google/go-cmp/cmp"
	"golang.org/x/net/html"

	"mssentinel/app/job"
	"mssentinel/app/pipeline"
)

// everyJob has a job in each state that takes other commands.
func everyJob() []job.Job {
	return []job.Job{
		{RequestID: "running", Type: job.Scheduled, Mode: job.Full, Status: job.UploadInProgress, DateQueued: noon, DateStarted: &noon, Counts: job.Counts{Downloaded: 12345, Uploaded: 7}},
		{RequestID: "pending", Type: job.AdHoc, Mode: job.Delta, Status: job.Pending, DateQueued: noon, RetryAfter: &noon},
		{RequestID: "asking", Type: job.Scheduled, Mode: job.Reconcile, Status: job.ConfirmationRequired, DateQueued: noon, RetirementsHeld: 1},
		{RequestID: "failed", Type: job.Scheduled, Mode: job.Delta, Status: job.Failed, Message: "Check <Client Secret>.", DateQueued: noon, DateStarted: &noon, DateFailed: &noon, OtherErrors: 1},
		{RequestID: "complete", Type: job.AdHoc, Mode: job.Delta, Status: job.UploadComplete, DateQueued: noon, DateStarted: &noon, DateCompleted: &noon, Counts: job.Counts{Invalid: 2, Rejected: 1}},
	}
}

// manyJobs has n completed jobs, job-n first.
func manyJobs(n int) []job.Job {
	var jobs []job.Job
	for i := range n {
		jobs = append(jobs, job.Job{RequestID: fmt.Sprintf("job%03d", n-i), Type: job.Scheduled, Mode: job.Delta, Status: job.UploadComplete, DateQueued: noon})
	}
	return jobs
}

func TestJobs(t *testing.T) {
	w := twoSaved()
	w.jobs = everyJob()
	v := w.visit(t, "ui/")
	v.follow("JOBS")
	if diff := cmp.Diff([]string{"Request ID", "Job Type", "Update", "Status", "Downloaded", "Uploaded", "Retired", "Errors", "Start Time", "End Time", "Options"}, v.heads()); diff != "" {
		t.Errorf("columns (-want +got):\n%s", diff)
	}
	v.sees("Request ID", "12,345", "2026-11-24 12:00:00 UTC", "Check <Client Secret>.", "Would retire 1 object", "Next attempt 2026-11-24")
	want := []string{"Cancel Details", "Cancel Details", "Confirm Dismiss Details", "Retry Details", "Details"}
	if got := v.column(10); !slices.Equal(got, want) {
		t.Errorf("options are %q", got)
	}
	for label, j := range map[string]string{"3 errors of this job": "complete", "1 error of this job": "failed"} {
		v.open("ui/jobs")
		v.follow(label)
		if got := v.at.RawQuery; got != "request_id="+j {
			t.Errorf("the errors are those of %q", got)
		}
	}
}

func TestJobsEmpty(t *testing.T) {
	v := newWorld().visit(t, "ui/jobs")
	v.sees("No jobs yet. The first one starts when queries are saved.", "There is nothing to run yet.", "Run Delta Run Full Reconcile now")
	v.follow("Add a query on CONFIGURE")
	v.sees("No queries yet")
}

// Without queries a job is of use all the same, where there were some: it retires what they gave.
func TestJobsWithoutQueries(t *testing.T) {
	w := newWorld()
	w.jobs = everyJob()
	v := w.visit(t, "ui/jobs?request_id=nobody")
	v.misses("nothing to run yet")
	v.follow("Reconcile now")
	v.press("Reconcile now")
	w.mustHaveDone(t, "submit reconcile")
}

func TestJobFilters(t *testing.T) {
	w := twoSaved()
	w.jobs = everyJob()
	v := w.visit(t, "ui/jobs")
	v.press("Search") // all are preselected
	v.misses("Clear")
	if got := len(v.column(0)); got != 5 {
		t.Errorf("%d jobs", got)
	}
	v.fill("status", "Failed", "Upload Complete")
	v.press("Search")
	v.sees("Upload Complete, Failed")
	if got := v.column(0); !slices.Equal(got, []string{"failed", "complete"}) {
		t.Errorf("jobs %q", got)
	}
	v.fill("request_id", " comp ")
	v.press("Search")
	if got := v.column(0); !slices.Equal(got, []string{"complete"}) {
		t.Errorf("jobs %q", got)
	}
	v.open("ui/jobs?request_id=e&status=Failed&status=Upload+Complete")
	v.follow("View only Upload Complete")
	v.sees("Upload Complete", "Clear")
	if got := v.column(0); !slices.Equal(got, []string{"complete"}) {
		t.Errorf("jobs %q", got)
	}
	v.fill("request_id", "nobody")
	v.press("Search")
	v.sees("No jobs found. Change the filters to see others.")
	v.follow("Clear")
	if got := len(v.column(0)); got != 5 {
		t.Errorf("%d jobs", got)
	}
}

// Filters and place stay from page to page, also when the page asks for itself again.
func TestJobPaging(t *testing.T) {
	w := twoSaved()
	w.jobs = manyJobs(45)
	v := w.visit(t, "ui/jobs?request_id=job0&status=Upload+Complete&job_type=scheduled")
	v.sees("1–20 of 45")
	v.misses("Newer")
	v.follow("Older")
	v.sees("21–40 of 45")
	v.follow("Older")
	v.sees("41–45 of 45", "job005", "job001")
	v.misses("Older")
	for name, want := range map[string]string{"request_id": "job0", "status": "Upload Complete", "job_type": "scheduled", "offset": "40"} {
		if got := v.at.Query().Get(name); got != want {
			t.Errorf("%s is %q", name, got)
		}
	}
	again := attr(v.find("live part", func(n *html.Node) bool { return attr(n, "id") == "live" }), "hx-get")
	if got := v.resolve(again); got.Query().Encode() != v.at.Query().Encode() {
		t.Errorf("the page asks for %s", got)
	}
	v.follow("Newer")
	v.follow("Newer")
	v.sees("1–20 of 45")
	w.jobs = manyJobs(3) // the Cleaner was there
	v.open("ui/jobs?status=Upload+Complete&offset=40")
	v.sees("1–3 of 3", "job003")
}

func TestJobDetails(t *testing.T) {
	w := twoSaved()
	w.jobs = everyJob()
	w.details = []job.Detail{{QueryID: "a", Type: "Host", Counts: job.Counts{Downloaded: 4000}}, {QueryID: "gone", Type: "File"}}
	v := w.visit(t, "ui/jobs")
	v.follow("Details of job complete")
	v.sees("Job Details", "complete", "Job Type Ad-Hoc", "Update Delta", "Date Queued 2026-11-24 12:00:00", "Date Completed", "Count Rejected 1", "By query and type", "1: rating > 3", "4,000", "a query that was deleted")
	v.misses("Date Failed", "Cancel", "Retry")
	v.follow("Errors")
	v.sees("Report", "No errors found")
	v.open("ui/jobs?id=asking")
	v.sees("This update would retire 1 object in Microsoft Sentinel", "Confirm", "Dismiss")
}

func TestJobCommands(t *testing.T) {
	for _, tt := range []struct{ link, title, button, says, did string }{
		{"Run Delta", "Run Delta", "Run Delta", "The job is queued.", "submit delta"},
		{"Run Full", "Run Full", "Run Full", "The job is queued.", "submit full"},
		{"Reconcile now", "Reconcile now", "Reconcile now", "The job is queued.", "submit reconcile"},
		{"Cancel job running", "Cancel Job", "Cancel Job", "The job is cancelled.", "cancel running"},
		{"Cancel job pending", "Cancel Job", "Cancel Job", "The job is cancelled.", "cancel pending"},
		{"Retry job failed", "Retry Job", "Retry Job", "The job is queued again.", "retry failed"},
		{"Confirm job asking", "Confirm Retirement", "Retire", "Confirmed: the objects are being retired.", "retire asking true"},
		{"Dismiss job asking", "Dismiss Retirement", "Keep the objects", "Dismissed: the objects stay.", "retire asking false"},
	} {
		t.Run(tt.link, func(t *testing.T) {
			w := twoSaved()
			w.jobs = everyJob()
			v := w.visit(t, "ui/jobs")
			v.follow(tt.link)
			v.sees(tt.title)
			v.leaveWindow()
			w.mustHaveDone(t)
			v.open("ui/jobs")
			v.follow(tt.link)
			v.press(tt.button)
			v.sees(tt.says)
			w.mustHaveDone(t, tt.did)
		})
	}
}

// Whoever wonders on JOBS why nothing moves learns that a task is paused.
func TestJobsWhilePaused(t *testing.T) {
	w := twoSaved()
	w.jobs = everyJob()
	w.progress = pipeline.Progress{RequestID: "running", Stage: "Upload", Remaining: time.Hour}
	v := w.visit(t, "ui/jobs")
	v.sees("about 1 h 0 min")
	v.misses("paused")
	w.tasks = append(w.tasks, pipeline.Task{Name: "Upload", Slug: "upload", Paused: true})
	w.tasks[0].Paused, w.tasks[1].Paused = true, true
	for _, page := range []string{"ui/jobs", "ui/jobs?id=running", "ui/jobs?id=pending"} {
		v.open(page)
		v.sees("Download and Upload are paused. Jobs wait until that is ended on TASKS")
		v.misses("about 1 h")
	}
	v.open("ui/jobs?id=complete")
	v.misses("paused")
	w.tasks[2].Paused = false
	v.open("ui/jobs")
	v.sees("Download is paused.")
	v.follow("TASKS")
	v.sees("Heartbeat Timeout")
}

// A job that does not end when it is cancelled keeps nobody waiting for longer than the platform does.
func TestJobCommandTakesLong(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		w := twoSaved()
		w.jobs, w.stuck = everyJob(), true
		v := w.visit(t, "ui/jobs?id=running&ask=cancel")
		start := time.Now()
		v.press("Cancel Job")
		v.status(http.StatusGatewayTimeout)
		v.sees("The Service did not finish this within 25 seconds. It may still do so: reload to see")
		if took := time.Since(start); took != timeLimit {
			t.Errorf("the page took %s", took)
		}
		var log strings.Builder
		o := w.options()
		o.Logger = slog.New(slog.NewTextHandler(&log, nil))
		rec := call(t, New(o), http.MethodDelete, "/api/job/request/running", "")
		if got := message(t, rec); rec.Code != http.StatusGatewayTimeout || !strings.Contains(got, "within 25 seconds") {
			t.Errorf("%d %q", rec.Code, got)
		}
		if !strings.Contains(log.String(), "path=/api/job/request/running") || !strings.Contains(log.String(), context.DeadlineExceeded.Error()) {
			t.Errorf("the log says %q", log.String())
		}
	})
}

// A link to a command that the job does not take any more, or that does not exist, asks nothing.
func TestJobCommandsTooLate(t *testing.T) {
	w := twoSaved()
	w.jobs = everyJob()
	v := w.visit(t, "ui/jobs")
	for _, page := range []string{"ui/jobs?id=complete&ask=cancel", "ui/jobs?id=running&ask=retry", "ui/jobs?id=failed&ask=confirm", "ui/jobs?id=failed&ask=dance", "ui/jobs?ask=run&mode=partial", "ui/jobs?ask=dance"} {
		v.open(page)
		v.status(http.StatusOK)
		if v.has("dialog") {
			t.Errorf("%s asks", page)
		}
	}
	for field, value := range map[string]string{"mode": "partial", "action": "dance"} {
		v.open("ui/jobs?ask=run&mode=full")
		v.tamper(field, value)
		v.press("Run Full")
		v.status(http.StatusBadRequest)
	}
	w.mustHaveDone(t)
}

func TestRunningJob(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		w := twoSaved()
		w.jobs = everyJob()
		w.progress = pipeline.Progress{RequestID: "running", Stage: "Upload", Expected: 20000, Downloaded: 12345, Converted: 900, Queued: 100, Uploaded: 7,
			Rate: 166.6, WaitUntil: time.Now().Add(23 * time.Second), WaitReason: "Sentinel's limit reached", Remaining: 65 * time.Minute}
		v := w.visit(t, "ui/jobs")
		for _, page := range []string{"ui/jobs", "ui/jobs?id=running"} {
			v.open(page)
			v.sees("12,345 of 20,000 indicators · 61 %", "900 of 900 objects made · 100 %", "7 of 100 objects · 7 %", "167 objects/s", "about 1 h 5 min", "Sentinel's limit reached. Next request in 23 s.")
		}
		v.open("ui/jobs?id=complete")
		v.misses("objects/s")
		w.progress = pipeline.Progress{RequestID: "running", Stage: "Download", WaitReason: "ThreatConnect is silent"}
		v.open("ui/jobs")
		v.sees("not known yet", "Waiting ThreatConnect is silent", "0 indicators")
		w.progress.WaitReason, w.progress.WaitUntil = "The name does not resolve. Check it", time.Now().Add(-time.Second)
		v.open("ui/jobs")
		v.sees("Waiting The name does not resolve. Check it. The next request is under way.")
		w.progress.WaitReason, w.progress.WaitUntil = "", time.Time{}
		v.open("ui/jobs")
		v.sees("Waiting no")
		if trigger := attr(v.find("live part", func(n *html.Node) bool { return attr(n, "id") == "live" }), "hx-trigger"); !strings.Contains(trigger, "2s") {
			t.Errorf("a page with a running job is asked for %s", trigger)
		}
	})
}
