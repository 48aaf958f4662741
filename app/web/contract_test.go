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
	"mssentinel/app/store"
	"mssentinel/app/threatconnect"
)

var update = flag.Bool("update", false, "write testdata/answers.txt anew")

// Scripts read the answers of the JSON routes, so each is kept byte for byte: testdata/answers.txt is the contract.
// `go test ./app/web -run TestAnswers -update` writes it anew.
func TestAnswers(t *testing.T) {
	var got strings.Builder
	synctest.Test(t, func(t *testing.T) {
		h := fullWorld().handler()
		time.Sleep(90 * time.Second)
		for _, r := range []struct{ method, target, body string }{
			{"GET", "/api/health", ""},
			{"GET", "/api/tc_info", ""},
			{"GET", "/api/tql-config", ""},
			{"POST", "/api/tql-config/test", routes[4].body},
			{"POST", "/api/tql-config/preview", routes[4].body},
			{"GET", "/api/job/request", ""},
			{"GET", "/api/job/request?request_id=nobody", ""},
			{"POST", "/api/job/request", `{"mode":"delta"}`},
			{"POST", "/api/job/request/" + jobID + "/retirement", `{"confirm":true}`},
			{"DELETE", "/api/job/request/" + jobID, ""},
			{"DELETE", "/api/job/request/nobody", ""},
			{"GET", "/api/task", ""},
			{"PUT", "/api/task/download?pause=true", ""},
			{"GET", "/api/report/batch-error", ""},
			{"GET", "/api/report/batch-error?text=nothing", ""},
			{"GET", "/ui/export", ""},
			{"POST", "/api/tql-config?version=v0", "[]"},
			{"POST", "/api/tql-config?version=v1", "[]"},
			{"GET", "/api/tql-config", ""},
		} {
			writeAnswer(t, &got, h, r.method, r.target, r.body)
		}
		w := fullWorld()
		w.trouble = "The disk is full."
		w.owners = func(context.Context) ([]threatconnect.Owner, error) { return nil, errors.New("no answer") }
		h = w.handler()
		writeAnswer(t, &got, h, "GET", "/api/health", "")
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
	w.queries = []store.Query{oneSaved("a", "rating > 3 and summary like '<%>'"), {ID: "b", Rank: 2, Version: "y"}}
	w.jobs = []job.Job{
		{Number: 2, RequestID: jobID, Type: job.AdHoc, Mode: job.Reconcile, Status: job.ConfirmationRequired, Message: "1 query <failed>",
			DateQueued: noon, DateStarted: at(1), DateDownloadStart: at(2), DateDownloadComplete: at(3), DateConvertStart: at(4),
			DateConvertComplete: at(5), DateUploadStart: at(6), DateUploadComplete: at(7), DateCompleted: at(8), DateFailed: at(9),
			WindowStart: at(10), WindowEnd: at(11), Attempt: 3, FailureCount: 4, RetryAfter: at(12),
			Counts:          job.Counts{Downloaded: 1, Invalid: 2, Duplicate: 3, Unchanged: 4, Queued: 5, Uploaded: 6, Rejected: 7, Retired: 8},
			RetirementsHeld: 9, OtherErrors: 10},
		{Number: 1, RequestID: "running", Type: job.Scheduled, Mode: job.Full, Status: job.UploadInProgress, DateQueued: noon},
	}
	w.progress.RequestID, w.progress.Stage = "running", "Upload"
	w.progress.Expected, w.progress.Downloaded, w.progress.Converted, w.progress.Queued, w.progress.Uploaded = 1, 2, 3, 4, 5
	w.progress.Rate, w.progress.WaitUntil, w.progress.WaitReason, w.progress.Remaining = 1.5, noon, "Sentinel's limit", 61*time.Second
	w.tasks[0].NextRun, w.tasks[0].Detail = noon.In(time.FixedZone("east", 3600)), "Reading query 1 of 2"
	w.problems = someProblems()
	return w
}
