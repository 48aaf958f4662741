package web

import (
	"context"
	"errors"
	"flag"
	"fmt"
	"io"
	"net/http"
	"os"
	"path/filepath"
	"strings"
	"testing"
	"testing/synctest"
	"time"

	"github.com/google/go-cmp/cmp"

	"mssentinel/app/job"
	"mssentinel/app/pipeline"
	"mssentinel/app/store"
	"mssentinel/app/threatconnect"
)

var update = flag.Bool("update", false, "write testdata/answers.txt anew")

// Scripts read the answers of the JSON routes, so each is kept byte for byte: testdata/answers.txt is the contract.
// `go test ./app/web -run TestAnswers -update` writes it anew.
func TestAnswers(t *testing.T) {
	var got strings.Builder
	synctest.Test(t, func(t *testing.T) {
		w := fullWorld().withDoctor()
		w.doctor = w.newDoctor()
		h := w.handler()
		time.Sleep(90 * time.Second)
		for _, r := range []struct{ method, target, body string }{
			{"GET", "/api/health", ""},
			{"GET", "/api/status", ""},
			{"GET", "/api/tc_info", ""},
			{"GET", "/api/tql-config", ""},
			{"GET", "/api/tql-config/versions", ""},
			{"GET", "/api/tql-config/versions/1", ""},
			{"GET", "/api/tql-config/versions/9", ""},
			{"GET", "/api/tql-config/versions/newest", ""},
			{"POST", "/api/tql-config/test", routes[4].body},
			{"POST", "/api/tql-config/preview", routes[4].body},
			{"GET", "/api/job/request", ""},
			{"GET", "/api/job/request?request_id=nobody", ""},
			{"GET", "/api/job/request/" + jobID + "/retirement", ""},
			{"GET", "/api/job/request/" + jobID + "/retirement?cause=query-deleted&limit=1", ""},
			{"GET", "/api/job/request/" + jobID + "/retirement?cause=bad+luck", ""},
			{"GET", "/api/job/request/running/retirement", ""},
			{"GET", "/api/job/request/" + jobID + "/retirement.csv", ""},
			{"POST", "/api/job/request", `{"mode":"delta"}`},
			{"POST", "/api/job/request", `{"mode":"delta","from":"1999-12-30T12:00:00Z","to":"1999-12-31"}`},
			{"POST", "/api/job/request", `{"mode":"delta","from":"1999-12-31","to":"1999-12-30"}`},
			{"POST", "/api/job/request/" + jobID + "/retirement", `{"confirm":true}`},
			{"DELETE", "/api/job/request/" + jobID, ""},
			{"DELETE", "/api/job/request/nobody", ""},
			{"GET", "/api/task", ""},
			{"PUT", "/api/task/download?pause=true", ""},
			{"GET", "/api/report/batch-error", ""},
			{"GET", "/api/report/batch-error?text=nothing", ""},
			{"GET", "/api/activity?days=3", ""},
			{"GET", "/api/activity?days=366", ""},
			{"GET", "/api/indicator?value=bad.example", ""},
			{"GET", "/api/indicator?value=nothing", ""},
			{"GET", "/api/verify", ""},
			{"POST", "/api/verify/repair", `{"action":"retire","confirm":true}`},
			{"DELETE", "/api/verify", ""},
			{"POST", "/api/verify", `{"scope":"all"}`},
			{"GET", "/ui/export", ""},
			{"POST", "/api/tql-config?version=v0", "[]"},
			{"POST", "/api/tql-config?version=v1", "[]"},
			{"GET", "/api/tql-config", ""},
			{"GET", "/api/doctor", ""},
			{"POST", "/api/doctor", `{"large_bodies":true,"variable":"name","indicator":"bad.example"}`},
			{"POST", "/api/doctor", `{"large_bodies":true,"confirm":true,"variable":"name","indicator":"bad.example"}`},
		} {
			writeAnswer(t, &got, h, r.method, r.target, r.body)
		}
		if err := w.doctor.Run(t.Context(), func(string) {}); err != nil {
			t.Fatal(err)
		}
		writeAnswer(t, &got, h, "GET", "/api/doctor", "")
		writeAnswer(t, &got, h, "GET", "/api/doctor.txt", "")
		w.task("doctor").Status = "Running"
		writeAnswer(t, &got, h, "POST", "/api/doctor", "{}")
		w = fullWorld()
		w.trouble = "The disk is full."
		w.owners = func(context.Context) ([]threatconnect.Owner, error) { return nil, errors.New("no answer") }
		w.activity, w.live = store.Activity{}, store.LiveTotals{}
		h = w.handler()
		writeAnswer(t, &got, h, "GET", "/api/health", "")
		writeAnswer(t, &got, newWorld().handler(), "GET", "/api/verify", "")
		writeAnswer(t, &got, h, "GET", "/api/activity?days=1", "")
		w.overview = pipeline.Overview{}
		writeAnswer(t, &got, h, "GET", "/api/status", "")
		writeAnswer(t, &got, h, "POST", "/api/tql-config", "["+routes[4].body+"]")
	})
	path := filepath.Join("testdata", "answers.txt")
	if *update {
		if err := os.WriteFile(path, []byte(got.String()), 0o600); err != nil {
			t.Fatal(err)
		}
	}
	want, err := os.ReadFile(path)
	if err != nil {
		t.Fatal(err)
	}
	if diff := cmp.Diff(string(want), got.String()); diff != "" {
		t.Errorf("answers (-want +got):\n%s", diff)
	}
}

func writeAnswer(t *testing.T, to io.Writer, h http.Handler, method, target, body string) {
	t.Helper()
	rec := call(t, h, method, target, body)
	fmt.Fprintf(to, "%s\n%d %s\n\n", strings.TrimSpace(method+" "+target+" "+body), rec.Code, strings.TrimSuffix(rec.Body.String(), "\n"))
}

// fullWorld has a value in every member of every answer.
func fullWorld() *world {
	w := newWorld()
	at := func(minute int) *time.Time {
		t := noon.Add(time.Duration(minute)*time.Minute + time.Millisecond)
		return &t
	}
	w.queries = []store.Query{withSettings(oneSaved("a", "rating > 3 and summary like '<%>'")), {ID: "b", Rank: 2, Version: "y"}}
	w.saved = []savedVersion{{store.ListVersion{Number: 1, SavedAt: noon, SavedBy: "J. Doe <jdoe>", Next: job.Full, Queries: 1, Changes: store.ListChanges{Added: 1}}, w.queries[:1]},
		{store.ListVersion{Number: 2, SavedAt: noon.Add(time.Hour), Next: job.Delta, Queries: 2, Changes: store.ListChanges{Added: 1, Edited: 2, Deleted: 3, Moved: 4}}, w.queries}}
	w.jobs = []job.Job{
		{Number: 2, RequestID: jobID, Type: job.AdHoc, Mode: job.Reconcile, Status: job.ConfirmationRequired, Message: "1 query <failed>",
			DateQueued: noon, DateStarted: at(1), DateDownloadStart: at(2), DateDownloadComplete: at(3), DateConvertStart: at(4),
			DateConvertComplete: at(5), DateUploadStart: at(6), DateUploadComplete: at(7), DateCompleted: at(8), DateFailed: at(9),
			Ranged: true, WindowStart: at(10), WindowEnd: at(11), Attempt: 3, FailureCount: 4, RetryAfter: at(12),
			Counts:          job.Counts{Downloaded: 1, BelowFloor: 11, Invalid: 2, Duplicate: 3, Unchanged: 4, Queued: 5, Uploaded: 6, Rejected: 7, Retired: 8},
			RetirementsHeld: 9, OtherErrors: 10},
		{Number: 1, RequestID: "running", Type: job.Scheduled, Mode: job.Full, Status: job.UploadInProgress, DateQueued: noon},
	}
	w.progress.RequestID, w.progress.Stage = "running", "Upload"
	w.progress.Expected, w.progress.Downloaded, w.progress.Converted, w.progress.Queued, w.progress.Uploaded = 1, 2, 3, 4, 5
	w.progress.Started, w.progress.ExpectsMore, w.progress.ExpectedUploads, w.progress.AtLeast, w.progress.Blocked = noon, true, 6, true, "Upload is paused"
	w.progress.DownloadShare, w.progress.ConvertShare, w.progress.UploadShare = 0.5, 0.25, 0.125
	w.progress.Rate, w.progress.WaitUntil, w.progress.WaitReason, w.progress.Remaining = 1.5, noon, "Sentinel's limit", 61*time.Second
	w.tasks[0].NextRun, w.tasks[0].Detail = noon.In(time.FixedZone("east", 3600)), "Reading query 1 of 2"
	w.runs = map[string]pipeline.Runs{"download": {Count: 12, Average: 90500 * time.Millisecond, Longest: 2 * time.Hour}}
	w.held = someHeld(2)
	w.overview = pipeline.Overview{Last: &w.jobs[0], Running: &w.jobs[1], Next: noon, Live: 12345, LiveAsOf: noon, Unsent: 7, Errors: 12, Failed: w.jobs[:1], Asking: 1, AskingID: jobID,
		Retried: &w.jobs[0], Paused: []string{"Download"}, Silent: "ThreatConnect has not answered since 11:59:00 UTC"}
	w.problems, w.known = someProblems(), []store.Known{someKnown()}
	w.verified = someVerification()
	w.activity, w.live = someActivity(time.Date(2000, 1, 1, 0, 0, 0, 0, time.UTC)), someLive()
	return w
}
