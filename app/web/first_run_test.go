package web

import (
	"context"
	"net/http"
	"regexp"
	"slices"
	"strings"
	"testing"
	"testing/synctest"

	"mssentinel/app/job"
)

// With nothing configured, CONFIGURE leads from the connections to the first query to the first update. Each step says how it
// stands, JOBS and REPORT point to the next one, and when an update was complete all that goes away.
func TestFirstRun(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		role := false
		w, h := settled(
			Connection{Slug: "threatconnect", Name: "ThreatConnect", Test: func(context.Context) (bool, []string) { return true, []string{"12 owners."} }},
			Connection{Slug: "sentinel", Name: "Microsoft Sentinel", Test: func(context.Context) (bool, []string) {
				return role, []string{"Give it the role <b>."}
			}})
		v := visitHandler(t, h, "ui/jobs")
		v.sees("No jobs yet. The first one starts when queries are saved. The connections were not tested yet. Test them first .")
		v.open("ui/report")
		v.sees("No errors yet, since no update has ended yet. The connections were not tested yet.")
		v.follow("Test them first")
		v.sees("Connections tested To do", "ThreatConnect: not tested since the Service was started.", "First query To do", "First update To do")
		w.mustHaveDone(t)

		v.press("Test the connections")
		v.sees("Connections tested Failed", "ThreatConnect: it works, tested at 2000-01-01 00:00:00 UTC.",
			"Microsoft Sentinel: it does not work yet, tested at 2000-01-01 00:00:00 UTC. Give it the role <b>.")
		v.misses("12 owners")
		v.open("ui/jobs")
		v.sees("A connection does not work yet.")
		role = true
		v.follow("See what to do")
		v.press("Test again")
		v.sees("Connections tested Done", "Microsoft Sentinel: it works")
		v.open("ui/jobs")
		v.follow("Add your first query")
		v.sees("Add TQL Configuration")

		v.open("ui/settings")
		v.sees("It works. Tested 2000-01-01 00:00:00 UTC 12 owners.")

		first := oneSaved("a", "rating > 1")
		w.queries = append(w.queries, first)
		v.open("ui/")
		v.sees("First query Done", "First update To do The list is saved: its update starts within half a minute.", "rating > 1")
		w.jobs = []job.Job{{RequestID: jobID, Type: job.Scheduled, Mode: job.Full, Status: job.DownloadInProgress, DateQueued: noon}}
		v.open("ui/")
		v.sees("First update Under way Full update: Download In Progress")
		w.jobs[0].Status, w.jobs[0].Message = job.Failed, "Microsoft refuses the role: assign it <now>."
		v.open("ui/")
		v.sees("First update Failed Microsoft refuses the role: assign it <now>. Full update: Failed")
		v.open("ui/report")
		v.follow("See why")
		v.sees("Job Details")
		w.jobs[0].Status, w.jobs[0].RetryAfter = job.Pending, &noon
		v.open("ui/")
		v.sees("First update Failed Microsoft refuses the role")
		w.jobs[0].Status, w.jobs[0].Message, w.jobs[0].RetryAfter = job.Cancelled, "", nil
		v.open("ui/")
		v.sees("First update To do The update was cancelled. Run one on JOBS")

		w.jobs = slices.Insert(w.jobs, 0, job.Job{RequestID: "second", Mode: job.Full, Status: job.UploadComplete, DateQueued: noon})
		for _, page := range []string{"ui/", "ui/jobs", "ui/report"} {
			v.open(page)
			v.misses("First steps", "The first update")
		}
		w.jobs, w.queries = nil, nil // as when they were cleaned up, and the list emptied
		v.open("ui/")
		v.misses("First steps")
		v.sees("No queries", "the next full update or reconcile retires")
	})
}

// The first page weighs at most 150 kB with all that a browser loads for it, uncompressed.
func TestFirstPageIsSmall(t *testing.T) {
	h := newWorld().handler()
	page := call(t, h, http.MethodGet, "/ui/", "").Body.String()
	size := len(page)
	parts := regexp.MustCompile(`(?:src|href)="\.\.(/static/[^"]+)"`).FindAllStringSubmatch(page, -1)
	for _, part := range parts {
		rec := call(t, h, http.MethodGet, part[1], "")
		if rec.Code != http.StatusOK {
			t.Errorf("%s: %d", part[1], rec.Code)
		}
		size += rec.Body.Len()
	}
	if len(parts) < 8 || !strings.Contains(page, "First query") || size > 150_000 {
		t.Errorf("the page and its %d parts have %d bytes", len(parts), size)
	}
}
