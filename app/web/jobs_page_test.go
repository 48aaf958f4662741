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
	"mssentinel/app/store"
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
	if diff := cmp.Diff([]string{"Request ID", "Job Type", "Update", "Status", "Outcome", "Downloaded", "Uploaded", "Retired", "Errors", "Start Time", "Duration", "Options"}, v.heads()); diff != "" {
		t.Errorf("columns (-want +got):\n%s", diff)
	}
	v.sees("Request ID", "12,345", "2026-11-24 12:00:00 UTC", "Check <Client Secret>.", "Would retire 1 object", "Next attempt 2026-11-24")
	want := []string{"Cancel Details", "Cancel Details", "Confirm Dismiss Details", "Retry Details", "Details"}
	if got := v.column(11); !slices.Equal(got, want) {
		t.Errorf("options are %q", got)
	}
	for label, j := range map[string]string{"3 errors of job complete": "complete", "1 error of job failed": "failed"} {
		v.open("ui/jobs")
		v.follow(label)
		if got := v.at.RawQuery; got != "request_id="+j {
			t.Errorf("the errors are those of %q", got)
		}
	}
}

// A line says how long the update took, what became of what was read, and that complete is not all well.
func TestJobLines(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		w := twoSaved()
		began, ended := time.Now().Add(-90*time.Second), time.Now().Add(-time.Second)
		w.jobs = []job.Job{
			{RequestID: "flawed", Status: job.UploadComplete, DateStarted: &began, DateCompleted: &ended, Message: "Query 2 could not be read.",
				Counts: job.Counts{Downloaded: 30, Invalid: 2, Duplicate: 3, Unchanged: 4, Queued: 8, Uploaded: 6, Rejected: 1, Retired: 1}, OtherErrors: 1},
			{RequestID: "dismissed", Status: job.UploadComplete, DateStarted: &began, DateCompleted: &ended, Message: "Dismissed: 150 objects stay in Sentinel."},
			{RequestID: "running", Status: job.UploadInProgress, DateStarted: &began, Counts: job.Counts{Queued: 8, Uploaded: 6}},
			{RequestID: "pending", Status: job.Pending},
		}
		v := w.visit(t, "ui/jobs")
		for i, want := range []string{"Upload Complete with errors Query 2 could not be read.", "Upload Complete Dismissed: 150 objects stay in Sentinel.", "Upload In Progress", "Pending"} {
			if got := v.column(3)[i]; got != want {
				t.Errorf("line %d has the status %q, want %q", i, got, want)
			}
		}
		for i, want := range []string{"6 uploaded, 4 unchanged, 3 duplicate, 2 invalid, 1 rejected", "–", "6 uploaded, 2 waiting", "–"} {
			if got := v.column(4)[i]; got != want {
				t.Errorf("line %d has the outcome %q, want %q", i, got, want)
			}
		}
		if got := v.column(10); !slices.Equal(got, []string{"1 min 29 s", "1 min 29 s", "1 min 30 s", "–"}) {
			t.Errorf("durations are %q", got)
		}
	})
}

func TestJobsEmpty(t *testing.T) {
	v := newWorld().visit(t, "ui/jobs")
	v.sees("No jobs yet. The first one starts when queries are saved.", "There is nothing to run yet.", "Run Delta Run Range Run Full Reconcile now")
	v.follow("Add a query on CONFIGURE")
	v.sees("First steps")
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

// The filters combine, stay in the address, and what is none gets a sentence.
func TestJobFiltersCombine(t *testing.T) {
	w := twoSaved()
	w.jobs = everyJob()
	at := noon.Add(-time.Hour)
	w.jobs = append(w.jobs, job.Job{RequestID: "ranged", Type: job.AdHoc, Mode: job.Delta, Ranged: true, Status: job.UploadComplete, DateQueued: at})
	v := w.visit(t, "ui/jobs")
	v.fill("kind", "delta")
	v.press("Search")
	if got := v.column(0); !slices.Equal(got, []string{"pending", "failed", "complete"}) {
		t.Errorf("delta updates are %q", got)
	}
	v.fill("job_type", "ad-hoc")
	v.fill("since", "2026-11-24T12:00")
	v.press("Search")
	if got := v.column(0); !slices.Equal(got, []string{"pending", "complete"}) {
		t.Errorf("ad-hoc delta updates since noon are %q", got)
	}
	if q := v.at.Query(); q.Get("kind") != "delta" || q.Get("job_type") != "ad-hoc" {
		t.Errorf("the address is %s", v.at)
	}
	v.follow("View only Upload Complete")
	if got := v.column(0); !slices.Equal(got, []string{"complete"}) || v.at.Query().Get("kind") != "delta" || v.at.Query().Get("since") == "" {
		t.Errorf("complete among those are %q at %s", got, v.at)
	}
	v.open("ui/jobs?kind=range&before=2026-11-24+12:00")
	if got := v.column(0); !slices.Equal(got, []string{"ranged"}) {
		t.Errorf("updates for a range before noon are %q", got)
	}
	v.open("ui/jobs?before=2026-11-24T11:30:00Z&kind=full")
	v.sees("No jobs found. Change the filters to see others.")
	for address, says := range map[string]string{
		"kind=partial": `There is no kind "partial": use one of delta, range, full, reconcile.`, "since=yesterday": `since is "yesterday", which is no time`,
		"before=" + strings.Repeat("9", 400): "which is no time", "since=2026-11-25&before=2026-11-24": "The time ends before it begins",
		"job_type=manual": `There is no job type "manual"`,
	} {
		v.open("ui/jobs?" + address)
		v.status(http.StatusBadRequest)
		v.sees(says)
	}
	rec := call(t, w.handler(), http.MethodGet, "/api/job/request?kind=range&since=2026-11-24T10:00:00Z", "")
	if rec.Code != http.StatusOK || !strings.Contains(rec.Body.String(), `"request_id":"ranged"`) || !strings.Contains(rec.Body.String(), `"total_count":1`) {
		t.Errorf("%d %s", rec.Code, rec.Body)
	}
}

// A question that was opened from a list returns to the list as it was, answered or not; so does the way back from a job.
func TestQuestionsReturnToTheList(t *testing.T) {
	w := twoSaved()
	w.jobs = manyJobs(45)
	for i := range w.jobs {
		w.jobs[i].Status = job.Failed
	}
	const list = "kind=delta&offset=20&status=Failed"
	v := w.visit(t, "ui/jobs?"+list)
	isThere := func(what, want string) {
		t.Helper()
		if got := v.at.Query(); got.Encode() != want || !strings.HasSuffix(v.at.Path, "/ui/jobs") {
			t.Errorf("%s leads to %s", what, v.at)
		}
	}
	v.follow("Retry job job020")
	v.sees("Retry Job", "job020", "21–40 of 45")
	v.leaveWindow()
	isThere("leaving the question", list)
	w.mustHaveDone(t)
	v.follow("Retry job job020")
	v.press("Retry Job")
	v.sees("The job is queued again.")
	isThere("the answer", "done=retry&"+list)
	w.mustHaveDone(t, "retry job020")
	v.open("ui/jobs?" + list)
	v.follow("Run Full")
	v.leaveWindow()
	isThere("leaving the question", list)
	v.follow("Run Full")
	v.press("Run Full")
	isThere("the new job", "done=submitted&kind=delta&status=Failed")
	v.open("ui/jobs?" + list)
	v.follow("Run Range")
	v.fill("from", "yesterday")
	v.press("Run Range")
	v.sees("21–40 of")
	v.leaveWindow()
	isThere("leaving a range", list)
	v.follow("Details of job job022")
	v.follow("Jobs")
	isThere("the way back", list)
	v.open("ui/jobs?id=job022&list=javascript%3A%26status%3DFailed%26evil%3D1%26status%3D%3Cb%3E")
	if got := attr(v.called("a", "Jobs"), "href"); got != "jobs?status=Failed&status=%3Cb%3E" {
		t.Errorf("a made up list leads to %s", got)
	}
	v.open("ui/jobs?id=job022")
	v.follow("Retry job job022")
	v.press("Retry Job")
	v.sees("Job Details", "The job is queued again.")
	for _, page := range []string{"job=nobody&ask=retry", "job=job022&ask=dance", "job=job022", "ask=retry"} {
		v.open("ui/jobs?" + page)
		v.status(http.StatusOK)
		if v.has("dialog") {
			t.Errorf("%s asks", page)
		}
	}
}

// What is asked from the list says why objects would leave, as the job's page does.
func TestConfirmFromTheList(t *testing.T) {
	w := asking(250)
	v := w.visit(t, "ui/jobs?kind=reconcile")
	v.follow("Confirm job asking")
	v.sees("Retire 250 objects in Microsoft Sentinel?", "The query was deleted: 125 objects.", "The query does not return it any more: 125 objects.")
	v.press("Retire")
	w.mustHaveDone(t, "retire asking true")
}

// Who asks for an update while one like it runs or waits is told, and a window that is sent twice queues one job.
func TestRunTwice(t *testing.T) {
	w := twoSaved()
	w.jobs = []job.Job{{RequestID: "running", Mode: job.Full, Status: job.UploadInProgress, DateQueued: noon, DateStarted: &noon}}
	v := w.visit(t, "ui/jobs?ask=run&mode=full")
	v.sees("A full update runs already, since 2026-11-24 12:00:00 UTC: this one begins when that has ended.")
	form := fields(v.find("form", func(n *html.Node) bool { return n.Data == "form" && attr(n, "method") == "post" }))
	h := w.handler()
	for range 2 {
		if rec := postForm(t, h, "/ui/jobs", form); rec.Code != http.StatusSeeOther {
			t.Errorf("%d %.200s", rec.Code, rec.Body)
		}
	}
	w.mustHaveDone(t, "submit full")
	v.open("ui/jobs?ask=run&mode=full")
	v.sees("A full update that was asked for waits already: asking again changes nothing.")
	v.open("ui/jobs?ask=run&mode=delta")
	v.misses("already")
	w.jobs[0] = job.Job{RequestID: "again", Type: job.Scheduled, Mode: job.Reconcile, Status: job.Pending, Attempt: 3, DateQueued: noon}
	v.open("ui/jobs?ask=run&mode=reconcile")
	v.sees("A reconcile waits already for its next attempt")
	// What could not be carried out may be sent again.
	v.open("ui/jobs?ask=run&mode=delta")
	form = fields(v.find("form", func(n *html.Node) bool { return n.Data == "form" && attr(n, "method") == "post" }))
	h = w.handler()
	w.refuse = store.ErrOutdated
	if rec := postForm(t, h, "/ui/jobs", form); rec.Code != http.StatusConflict {
		t.Errorf("%d", rec.Code)
	}
	w.refuse = nil
	if rec := postForm(t, h, "/ui/jobs", form); rec.Code != http.StatusSeeOther {
		t.Errorf("%d", rec.Code)
	}
	w.mustHaveDone(t, "submit full", "submit delta")
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
	got := v.resolve(again).Query()
	got.Del("seen")
	if got.Encode() != v.at.Query().Encode() {
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
	v.sees("Job Details", "complete", "Job Type Ad-Hoc", "Update Delta", "Date Queued 2026-11-24 12:00:00", "Date Completed", "What became of it", "Rejected 1 objects that Sentinel refused", "Time line", "By query and type", "1: rating > 3", "4,000", "a query that was deleted")
	v.misses("Date Failed", "Cancel", "Retry")
	v.follow("Errors")
	v.sees("Report", "No errors found")
	v.open("ui/jobs?id=asking")
	v.sees("This update would retire 1 object in Microsoft Sentinel", "Confirm", "Dismiss")
}

// Of a job of many queries the page shows the counts by query, and the types of one that is asked for. The way back to the list stays.
func TestJobOfManyQueries(t *testing.T) {
	w := largeList()
	w.jobs = everyJob()
	for _, q := range w.queries {
		for i, typ := range []string{"Address", "File", "Host"} {
			w.details = append(w.details, job.Detail{QueryID: q.ID, Type: typ, Counts: job.Counts{Downloaded: int64(i + 1)}})
		}
	}
	v := w.visit(t, "ui/jobs?status=Upload+Complete")
	v.follow("Details of job complete")
	v.sees("3 types", "All queries", "3,000")
	v.misses("Address")
	if size := call(t, w.handler(), http.MethodGet, "/ui/jobs?id=complete", "").Body.Len(); size > 300_000 {
		t.Errorf("the page has %d bytes", size)
	}
	v.follow("3 types") // the first query's
	v.sees("Address", "Hide the types", "All queries")
	v.follow("Hide the types")
	v.misses("Address")
	v.follow("Jobs")
	v.sees("Upload Complete", "complete")
}

// Up to a hundred counts are shown as they are, and what one query gives alone is no sum of all.
func TestJobOfFewCounts(t *testing.T) {
	for _, tt := range []struct {
		queries, types int
		folded         bool
	}{{1, 2, false}, {50, 2, false}, {51, 2, true}} {
		w := largeList()
		w.jobs = everyJob()
		for _, q := range w.queries[:tt.queries] {
			for _, typ := range []string{"Address", "File"}[:tt.types] {
				w.details = append(w.details, job.Detail{QueryID: q.ID, Type: typ, Counts: job.Counts{Downloaded: 1}})
			}
		}
		page := call(t, w.handler(), http.MethodGet, "/ui/jobs?id=complete", "").Body.String()
		if folded := strings.Contains(page, "2 types"); folded != tt.folded || strings.Contains(page, "Address") == tt.folded {
			t.Errorf("%d counts are folded: %t", tt.queries*tt.types, folded)
		}
		if all := strings.Contains(page, "All queries"); all != (tt.queries > 1) {
			t.Errorf("of %d queries there is a sum of all: %t", tt.queries, all)
		}
	}
}

// A question over a job keeps the way back to its list, and so does the answer.
func TestQuestionKeepsTheList(t *testing.T) {
	w := twoSaved()
	w.jobs = everyJob()
	v := w.visit(t, "ui/jobs?id=running&list=status%3DUpload%2BIn%2BProgress")
	v.follow("Cancel")
	v.press("Cancel Job")
	v.sees("The job is cancelled.")
	if back := attr(v.find("the way back", func(n *html.Node) bool {
		return n.Data == "a" && textOf(n) == "Jobs" && strings.Contains(attr(n, "href"), "?")
	}), "href"); back != "jobs?status=Upload+In+Progress" {
		t.Errorf("the way back is %q", back)
	}
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

// The details show when each stage worked, what became of what was read, and what each query gave in all.
func TestJobStagesAndTotals(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		w := twoSaved()
		at := func(s int) *time.Time { at := noon.Add(time.Duration(s) * time.Second); return &at }
		w.jobs = []job.Job{{RequestID: "done", Status: job.UploadComplete, DateQueued: noon, DateStarted: at(10), DateDownloadStart: at(10), DateDownloadComplete: at(70), DateConvertStart: at(15),
			DateConvertComplete: at(75), DateUploadStart: at(20), DateUploadComplete: at(110), DateCompleted: at(110), Counts: job.Counts{Downloaded: 5000, Invalid: 50, Queued: 4000, Uploaded: 4000}}}
		w.details = []job.Detail{{QueryID: "a", Type: "File", Counts: job.Counts{Downloaded: 3000, Uploaded: 2500}}, {QueryID: "a", Type: "Host", Counts: job.Counts{Downloaded: 1000, Uploaded: 900}},
			{QueryID: "b", Type: "Host", Counts: job.Counts{Downloaded: 1000, Uploaded: 600}}}
		v := w.visit(t, "ui/jobs?id=done")
		if got := v.column(3, "stages-table"); !slices.Equal(got, []string{"10 s", "1 min 0 s", "1 min 0 s", "1 min 30 s"}) {
			t.Errorf("runtimes are %q", got)
		}
		if got := v.column(2, "funnel-table"); !slices.Equal(got, []string{"5,000", "50", "0", "0", "4,000", "4,000", "0", "0"}) {
			t.Errorf("the funnel counts %q", got)
		}
		if got := v.column(2, "counts-table"); !slices.Equal(got, []string{"4,000", "3,000", "1,000", "1,000", "5,000"}) {
			t.Errorf("downloaded are %q by %q", got, v.column(1, "counts-table"))
		}
		stages := jobStages(w.jobs[0], noon)
		if s := stages[3]; s.Label != "Upload" || int(s.From) != 18 || s.To != 100 || stages[0].From != 0 {
			t.Errorf("the time line is %+v", stages)
		}
		// One that runs has no end yet, one that failed on the way ends with its attempt.
		running := job.Job{Status: job.DownloadInProgress, DateQueued: noon, DateStarted: at(10), DateDownloadStart: at(10)}
		if s := jobStages(running, *at(40)); len(s) != 2 || s[1].Ended != nil || s[1].Runtime != 30*time.Second {
			t.Errorf("running: %+v", s)
		}
		running.Status, running.DateFailed = job.Failed, at(30)
		if s := jobStages(running, *at(4000)); s[1].Ended == nil || s[1].Runtime != 20*time.Second {
			t.Errorf("failed: %+v", s)
		}
		if s := jobStages(job.Job{Status: job.Pending, DateQueued: noon}, noon); s != nil || jobFunnel(job.Counts{}) != nil {
			t.Errorf("one that waits: %+v", s)
		}
	})
}

// Why each attempt failed, and when the next one is, stands on the job's page.
func TestAttempts(t *testing.T) {
	w := twoSaved()
	w.jobs = everyJob()
	v := w.visit(t, "ui/jobs?id=pending")
	v.misses("Attempts")
	at := func(minute int) *time.Time {
		at := noon.Add(time.Duration(minute) * time.Minute)
		return &at
	}
	pending := slices.IndexFunc(w.jobs, func(j job.Job) bool { return j.RequestID == "pending" })
	w.jobs[pending].Attempt, w.jobs[pending].RetryAfter = 9, at(30)
	w.attempts = []job.Attempt{{Number: 9, Started: *at(20), Ended: at(21), Failure: "The role is missing."}, {Number: 7, Started: *at(10)},
		{Number: 5, Started: *at(1), Ended: at(2), Failure: "ThreatConnect answered 500."}}
	v.open("ui/jobs?id=pending")
	v.sees("Attempts", "2026-11-24 12:20:00", "The role is missing. The next attempt begins at 2026-11-24 12:30:00", "Cut off by the end of the process", "ThreatConnect answered 500.")
	v.misses("Complete.", "Under way.")
	w.attempts = []job.Attempt{{Number: 1, Started: noon, Ended: at(1)}}
	v.open("ui/jobs?id=complete")
	v.misses("Attempts")
	w.attempts = append(w.attempts, job.Attempt{Number: 0, Started: noon, Ended: at(1), Failure: "No."})
	v.open("ui/jobs?id=complete")
	v.sees("Complete.", "No.")
}

// A range is asked for with two times. What is none is said beside what was typed, and nothing is lost.
func TestRunRange(t *testing.T) {
	w := twoSaved()
	v := w.visit(t, "ui/jobs")
	for _, c := range []struct{ from, to, says string }{
		{"", "", "Say from when until when."},
		{"2026-05-31T14:30", "", "The range has no end: say until when."},
		{"2026-05-31T14:30", "2026-05-31T14:30", "The range ends before it begins: let it end later."},
		{"yesterday", "2026-05-31T14:30", `from is "yesterday", which is no time: write it as 2026-05-31T14:30, in UTC.`},
		{"2026-01-01T00:00", strings.Repeat("9", 10000), "which is no time"},
	} {
		v.open("ui/jobs")
		v.follow("Run Range")
		v.sees("Modified from", "until, not included")
		v.fill("from", c.from)
		v.fill("to", c.to)
		v.press("Run Range")
		v.status(http.StatusBadRequest)
		v.sees(c.says)
		typed := v.find("what was typed", func(n *html.Node) bool { return attr(n, "id") == "range-from" })
		if attr(typed, "value") != c.from || attr(typed, "aria-invalid") != "true" {
			t.Errorf("%q became %q", c.from, attr(typed, "value"))
		}
		w.mustHaveDone(t)
	}
	v.fill("from", "2026-05-30T14:30")
	v.fill("to", "2026-05-31")
	v.press("Run Range")
	v.sees("The job is queued.", "Delta for a range")
	w.mustHaveDone(t, "submit delta from 2026-05-30T14:30Z to 2026-05-31T00:00Z")
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
	w.progress.Remaining, w.progress.Blocked = 0, "Download and Upload are paused"
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

// The end of an update is told to listeners for a minute, with what came of it.
func TestEndIsAnnounced(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		w := twoSaved()
		now := time.Now()
		for want, j := range map[string]job.Job{
			"Full update complete: 24,871 uploaded, 0 errors.":                             {Mode: job.Full, Status: job.UploadComplete, DateCompleted: &now, Counts: job.Counts{Uploaded: 24871}},
			"Delta update for a range complete with errors: 1 uploaded, 20 errors.":        {Mode: job.Delta, Ranged: true, Status: job.UploadComplete, DateCompleted: &now, Counts: job.Counts{Uploaded: 1, Invalid: 20}},
			"Reconcile needs your answer: 0 uploaded, 0 errors, 1,200 objects to confirm.": {Mode: job.Reconcile, Status: job.ConfirmationRequired, DateCompleted: &now, RetirementsHeld: 1200},
			"Delta update failed. The role is missing.":                                    {Mode: job.Delta, Status: job.Failed, DateFailed: &now, Message: "The role is missing."},
			"Delta update failed and is tried again. ThreatConnect answered 500.":          {Mode: job.Delta, Status: job.Pending, DateFailed: &now, Message: "ThreatConnect answered 500."},
			"Full update cancelled: 7 uploaded, 0 errors.":                                 {Mode: job.Full, Status: job.Cancelled, DateFailed: &now, Counts: job.Counts{Uploaded: 7}},
		} {
			j.RequestID = "one"
			w.jobs = []job.Job{j}
			pages := []string{"ui/jobs?id=one"}
			if j.Status != job.Pending {
				pages = append(pages, "ui/jobs", "ui/jobs?request_id=other")
			}
			for _, page := range pages {
				v := w.visit(t, page)
				if got := attr(v.find("announcement", func(n *html.Node) bool { return attr(n, "data-announce") != "" }), "data-announce"); got != want {
					t.Errorf("%s says %q, want %q", page, got, want)
				}
			}
		}
		time.Sleep(justEnded + time.Second)
		if v := w.visit(t, "ui/jobs"); slices.ContainsFunc(slices.Collect(v.page.Descendants()), func(n *html.Node) bool { return attr(n, "data-announce") != "" }) {
			t.Error("it is told for longer than a minute")
		}
	})
}

// Upload may go on when its job has ended: JOBS says so.
func TestUploadGoesOn(t *testing.T) {
	w := twoSaved()
	w.jobs = everyJob()
	w.progress = pipeline.Progress{Leftover: 14700}
	v := w.visit(t, "ui/jobs")
	v.sees("Upload goes on: about 14,700 objects of updates that have ended")
	w.progress.Leftover = 0
	v.open("ui/jobs")
	v.misses("Upload goes on")
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
		w.progress = pipeline.Progress{RequestID: "running", Stage: "Upload", Mode: job.Full, Started: time.Now().Add(-3 * time.Minute),
			Expected: 20000, Downloaded: 12345, Converted: 900, Queued: 100, Uploaded: 7, AllQueued: true, ExpectedUploads: 100, DownloadShare: 0.619, ConvertShare: 1, UploadShare: 0.07,
			Rate: 166.6, WaitUntil: time.Now().Add(23 * time.Second), WaitReason: "Sentinel's limit reached", Remaining: 65 * time.Minute}
		v := w.visit(t, "ui/jobs")
		for _, page := range []string{"ui/jobs", "ui/jobs?id=running"} {
			v.open(page)
			v.sees("Full update · started 3 min ago", "12,345 of 20,000 indicators · 61 %", "900 objects made · 100 %", "7 of 100 objects · 7 %", "167 objects/s", "about 1 h 5 min", "Sentinel's limit reached. Next request in 23 s.")
		}
		v.open("ui/jobs?id=complete")
		v.misses("objects/s")
		w.progress = pipeline.Progress{RequestID: "running", Stage: "Download", WaitReason: "ThreatConnect is silent", Blocked: "ThreatConnect is silent"}
		v.open("ui/jobs")
		v.sees("Time left not known", "Waiting ThreatConnect is silent", "0 indicators")
		v.misses("not known yet")
		w.progress = pipeline.Progress{RequestID: "running", Mode: job.Reconcile, Expected: 700, ExpectsMore: true, Downloaded: 70, Uploaded: 5, Remaining: time.Minute, AtLeast: true}
		v.open("ui/jobs")
		v.sees("Reconcile · started", "70 of at least 700 indicators", "5 objects", "at least 1 min 0 s")
		w.progress.ExpectedUploads, w.progress.UploadShare, w.progress.Blocked = 50, 0.1, "Upload is paused"
		v.open("ui/jobs")
		v.sees("5 of about 50 objects · 10 %", "Waiting Upload is paused.")
		if card := v.find("card", func(n *html.Node) bool { return strings.Contains(attr(n, "class"), "blocked") }); attr(card, "data-announce") != "Reconcile waits. Upload is paused." {
			t.Errorf("listeners are told %q", attr(card, "data-announce"))
		}
		w.progress.Blocked = ""
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
