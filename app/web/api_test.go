package web

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"net/http"
	"slices"
	"strings"
	"testing"
	"testing/synctest"

	"github.com/google/go-cmp/cmp"

	"mssentinel/app/store"
	"mssentinel/app/threatconnect"
)

func TestReading(t *testing.T) {
	w := newWorld()
	w.queries = []store.Query{oneSaved("a", "rating > 3")}
	w.jobs = []store.Job{{RequestID: jobID, JobType: store.Scheduled, Mode: store.Full, Status: store.UploadInProgress, DateQueued: noon, Counts: store.Counts{Uploaded: 7}}}
	w.progress = Progress{RequestID: jobID, Stage: "Upload", Expected: 10, Uploaded: 7}
	w.problems = []store.Problem{{ID: 9007199254740993, RequestID: jobID, DateAdded: noon, Step: "Convert", Code: "invalid-value", Message: "no value", Raw: `{"id":9007199254740993}`}}
	h := w.handler()
	for target, want := range map[string]string{
		"/api/health":                    `"status":"ok"`,
		"/api/health/":                   `"version":"1.0.0"`,
		"/api/tc_info":                   `"owners":["Demo Organization","O'Brien \u0026 \u003cSons\u003e","Common Community"]`,
		"/api/tql-config":                `"count":1,"data":[{"id":"a","rank":1,"owners":["Demo Organization"],"types":["Address"],"tql":"rating \u003e 3","sort_field":"dateAdded","sort_direction":"DESC","version":"x"}],"version":"v1"`,
		"/api/job/request":               `"total_count":1`,
		"/api/job/request?limit=1":       `"count_uploaded":7`,
		"/api/job/request?offset=5":      `"count":0,"data":[]`,
		"/api/job/request?status=failed": `"data":[]`,
		"/api/task":                      `"heartbeat_timeout_minutes":20`,
		"/api/report/batch-error":        `"id":"9007199254740993"`,
		"/api/report/batch-error?step=download&request_id=5f0c": `"total_count":0`,
	} {
		rec := call(t, h, http.MethodGet, target, "")
		if rec.Code != http.StatusOK || !strings.Contains(rec.Body.String(), want) {
			t.Errorf("GET %s: %d %s, want %s", target, rec.Code, rec.Body, want)
		}
	}
	if body := call(t, h, http.MethodGet, "/api/job/request", "").Body.String(); !strings.Contains(body, `"progress":{"stage":"Upload"`) {
		t.Errorf("the running job has no progress: %s", body)
	}
}

func TestBadCalls(t *testing.T) {
	w := newWorld()
	w.queries = []store.Query{oneSaved("a", "rating > 3")}
	w.jobs = []store.Job{{RequestID: jobID}}
	h := w.handler()
	huge := `"` + strings.Repeat("x", maxBody) + `"`
	for _, tt := range []struct {
		method, target, body string
		headers              []string
		status               int
		says                 string
	}{
		{"POST", "/api/tql-config", "[]", []string{"X-Requested-With", ""}, 403, "X-Requested-With"},
		{"POST", "/api/tql-config", "[]", []string{"Content-Type", "text/plain"}, 403, "application/json"},
		{"POST", "/api/tql-config/test", "{}", []string{"Content-Type", ""}, 403, "application/json"},
		{"PUT", "/api/task/download?run=true", "", []string{"X-Requested-With", ""}, 403, "X-Requested-With"},
		{"DELETE", "/api/task/download", "", []string{"X-Requested-With", ""}, 403, "X-Requested-With"},
		{"DELETE", "/api/job/request/" + jobID, "", []string{"X-Requested-With", ""}, 403, "X-Requested-With"},
		{"POST", "/api/tql-config", "", nil, 400, "empty"},
		{"POST", "/api/tql-config", "{", nil, 400, "breaks off"},
		{"POST", "/api/tql-config", "nope", nil, 400, "not JSON"},
		{"POST", "/api/tql-config", "null", nil, 400, "array"},
		{"POST", "/api/tql-config", `{"owners":[]}`, nil, 400, "list"},
		{"POST", "/api/tql-config", `[{"sortField":"id"}]`, nil, 400, `"sortField"`},
		{"POST", "/api/tql-config", `[] []`, nil, 400, "after the end"},
		{"POST", "/api/tql-config", huge, nil, 413, "4 MiB"},
		{"POST", "/api/tql-config?reset=maybe", "[]", nil, 400, "reset"},
		{"POST", "/api/tql-config?version=v0", "[]", nil, 409, "Someone else"},
		{"POST", "/api/tql-config/test", `{"owners":["Demo Organization"],"types":["Address"],"tql":"nonsense"}`, nil, 400, "Unable to parse"},
		{"POST", "/api/tql-config/test", `{"owners":[],"types":["Mutex"],"tql":""}`, nil, 400, "Mutex"},
		{"POST", "/api/tql-config/preview", `{}`, nil, 400, "Owners to Query is empty"},
		{"GET", "/api/job/request?status=Sleeping", "", nil, 400, "Upload Complete"},
		{"GET", "/api/job/request?job_type=weekly", "", nil, 400, "scheduled"},
		{"GET", "/api/job/request?limit=0", "", nil, 400, "from 1 to 500"},
		{"GET", "/api/job/request?limit=501", "", nil, 400, "from 1 to 500"},
		{"GET", "/api/job/request?offset=-1", "", nil, 400, "offset"},
		{"POST", "/api/job/request", `{"mode":"partial"}`, nil, 400, "delta, full or reconcile"},
		{"POST", "/api/job/request/" + jobID + "/retirement", `{}`, nil, 400, "confirm"},
		{"POST", "/api/job/request/unknown/retirement", `{"confirm":true}`, nil, 404, ""},
		{"DELETE", "/api/job/request/unknown", "", nil, 404, ""},
		{"POST", "/api/job/request/unknown/retry", "", nil, 404, ""},
		{"PUT", "/api/task/nothing?run=true", "", nil, 404, "download, cleaner"},
		{"PUT", "/api/task/download", "", nil, 400, "?run=true"},
		{"PUT", "/api/task/download?pause=yes", "", nil, 400, "?pause=true"},
		{"DELETE", "/api/task/nothing", "", nil, 404, "nothing"},
		{"GET", "/api/report/batch-error?step=Dance", "", nil, 400, "Download, Convert, Upload"},
		{"GET", "/api/nothing", "", nil, 404, "no such page"},
		{"PATCH", "/api/task", "", nil, 405, "method"},
	} {
		rec := call(t, h, tt.method, tt.target, tt.body, tt.headers...)
		if got := message(t, rec); rec.Code != tt.status || got == "" || !strings.Contains(got, tt.says) {
			t.Errorf("%s %s %.40s: %d %q, want %d and %q", tt.method, tt.target, tt.body, rec.Code, got, tt.status, tt.says)
		}
	}
	if did := w.did(); len(did) > 0 {
		t.Errorf("bad calls had things done: %q", did)
	}
}

func TestListFaults(t *testing.T) {
	good := `{"owners":["Demo Organization"],"types":["Address"],"tql":"rating > 1"}`
	for name, tt := range map[string]struct {
		body string
		says []string
	}{
		"unknown owner":         {`[` + good + `,{"owners":["Nobody"],"types":["Host"],"tql":"rating > 1"}]`, []string{`Query 2: The owner "Nobody"`}},
		"unknown type":          {`[{"owners":["Demo Organization"],"types":["Mutex"],"tql":"rating > 1"}]`, []string{`Query 1: "Mutex" is not an indicator type`}},
		"twice":                 {`[` + good + `,` + good + `]`, []string{"Query 2: It selects the same as query 1"}},
		"twice in other order":  {`[{"owners":["Demo Organization","Common Community"],"types":["Address"],"tql":"x"},{"owners":["Common Community","Demo Organization"],"types":["Address"],"tql":" x "}]`, []string{"Query 2: It selects the same as query 1"}},
		"no TQL":                {`[{"owners":["Demo Organization"],"types":["Address"],"tql":"  "}]`, []string{"Query 1: TQL is empty"}},
		"names the owner":       {`[{"owners":["Demo Organization"],"types":["Address"],"tql":"OwnerName = 'x'"}]`, []string{"Query 1: "}},
		"names the type":        {`[{"owners":["Demo Organization"],"types":["Address"],"tql":"typename = 'x'"}]`, []string{"Query 1: "}},
		"sort field":            {`[{"owners":["Demo Organization"],"types":["Address"],"tql":"x","sort_field":"colour","sort_direction":"ASC"}]`, []string{`Query 1: "colour" is not a sort field`}},
		"sort direction":        {`[{"owners":["Demo Organization"],"types":["Address"],"tql":"x","sort_field":"id","sort_direction":"up"}]`, []string{`Query 1: "UP" is not a sort direction`}},
		"direction alone":       {`[{"owners":["Demo Organization"],"types":["Address"],"tql":"x","sort_direction":"ASC"}]`, []string{"without a sort field"}},
		"unknown id":            {`[{"id":"zz","owners":["Demo Organization"],"types":["Address"],"tql":"x"}]`, []string{`no saved query with the id "zz"`}},
		"id twice":              {`[{"id":"a","owners":["Demo Organization"],"types":["Address"],"tql":"x"},{"id":"a","owners":["Demo Organization"],"types":["Address"],"tql":"y"}]`, []string{"Query 2: It has the id of query 1"}},
		"ThreatConnect says no": {`[{"owners":["Demo Organization"],"types":["Address"],"tql":"nonsense"},` + good + `]`, []string{"Query 1: ThreatConnect does not accept it: Unable to parse"}},
		"all at once":           {`[{"owners":[],"types":[],"tql":""},{"owners":["Demo Organization"],"types":["Mutex"],"tql":"x","sort_field":"colour"}]`, []string{"Query 1: Owners", "Query 1: Indicator Types", "Query 1: TQL", `Query 2: "Mutex"`, `Query 2: "colour"`}},
		"too many":              {`[` + strings.TrimSuffix(strings.Repeat(good+",", maxQueries+1), ",") + `]`, []string{"it may have 500"}},
	} {
		t.Run(name, func(t *testing.T) {
			w := newWorld()
			w.queries = []store.Query{oneSaved("a", "rating > 3")}
			rec := call(t, w.handler(), http.MethodPost, "/api/tql-config", tt.body)
			got := message(t, rec)
			if rec.Code != http.StatusUnprocessableEntity {
				t.Errorf("status %d: %s", rec.Code, got)
			}
			for _, says := range tt.says {
				if !strings.Contains(got, says) {
					t.Errorf("message %q lacks %q", got, says)
				}
			}
			if did := w.did(); len(did) > 0 {
				t.Errorf("a list with faults had things done: %q", did)
			}
		})
	}
}

func TestSaving(t *testing.T) {
	w := newWorld()
	w.queries = []store.Query{oneSaved("a", "rating > 3")}
	counted := 0
	inner := w.count
	w.count = func(ctx context.Context, q threatconnect.Query) (int64, error) { counted++; return inner(ctx, q) }
	h := w.handler()
	body := `[{"owners":[" Demo Organization "],"types":["Host"],"tql":" x ","sort_field":"id","sort_direction":"asc"},
		{"id":"a","rank":1,"owners":["Demo Organization"],"types":["Address"],"tql":"rating > 3","sort_field":"dateAdded","sort_direction":"DESC","version":"x"}]`
	rec := call(t, h, http.MethodPost, "/api/tql-config?reset=true&version=v1", body, "Content-Type", "application/json; charset=utf-8")
	if rec.Code != http.StatusOK || strings.TrimSpace(rec.Body.String()) != `{"saved":2,"version":"v2"}` {
		t.Fatalf("save: %d %s", rec.Code, rec.Body)
	}
	want := []store.Query{
		{ID: "q-2-0", Rank: 1, Owners: []string{"Demo Organization"}, Types: []string{"Host"}, TQL: "x", SortField: "id", SortDirection: "ASC"},
		{ID: "a", Rank: 2, Owners: []string{"Demo Organization"}, Types: []string{"Address"}, TQL: "rating > 3", SortField: "dateAdded", SortDirection: "DESC", Version: "x"},
	}
	if diff := cmp.Diff(want, w.queries); diff != "" {
		t.Errorf("saved list (-want +got):\n%s", diff)
	}
	if !slices.Equal(w.did(), []string{"save 2 full", "due"}) {
		t.Errorf("did %q", w.did())
	}
	if counted != 1 {
		t.Errorf("ThreatConnect was asked about %d queries, want the new one alone", counted)
	}
	if rec := call(t, h, http.MethodPost, "/api/tql-config?reset=false&version=v1", "[]"); rec.Code != http.StatusConflict || len(w.queries) != 2 {
		t.Errorf("outdated version: %d %s", rec.Code, rec.Body)
	}
	if rec := call(t, h, http.MethodPost, "/api/tql-config", "[]"); rec.Code != http.StatusOK || len(w.queries) != 0 || w.next != store.Delta {
		t.Errorf("without a version: %d %s", rec.Code, rec.Body)
	}
}

// A ThreatConnect that is away is no fault of the list.
func TestSavingWithoutThreatConnect(t *testing.T) {
	w := newWorld()
	w.owners = func(context.Context) ([]threatconnect.Owner, error) { return nil, errors.New("connection refused") }
	rec := call(t, w.handler(), http.MethodPost, "/api/tql-config", `[{"owners":["Anyone"],"types":["Host"],"tql":"x"}]`)
	if rec.Code != http.StatusOK || !strings.Contains(rec.Body.String(), `"warning"`) || len(w.queries) != 1 {
		t.Errorf("%d %s", rec.Code, rec.Body)
	}
	if rec := call(t, w.handler(), http.MethodGet, "/api/tc_info", ""); rec.Code != http.StatusBadGateway {
		t.Errorf("tc_info: %d %s", rec.Code, rec.Body)
	}
}

func TestAskingEndsInTime(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		w := newWorld()
		w.count = func(ctx context.Context, _ threatconnect.Query) (int64, error) { <-ctx.Done(); return 0, ctx.Err() }
		w.preview = func(ctx context.Context, _ threatconnect.Query) (Preview, error) {
			<-ctx.Done()
			return Preview{}, fmt.Errorf("read the first rows: %w", ctx.Err())
		}
		h := w.handler()
		body := `{"owners":["Demo Organization"],"types":["Host"],"tql":"x"}`
		for _, target := range []string{"/api/tql-config/test", "/api/tql-config/preview"} {
			rec := call(t, h, http.MethodPost, target, body, "X-Requested-With", "")
			if got := message(t, rec); rec.Code != http.StatusGatewayTimeout || !strings.Contains(got, "within 25 seconds") || !strings.Contains(got, "narrow") {
				t.Errorf("%s: %d %q", target, rec.Code, got)
			}
		}
		if rec := call(t, h, http.MethodPost, "/api/tql-config", "["+body+"]"); rec.Code != http.StatusOK {
			t.Errorf("a slow ThreatConnect stops a save: %d %s", rec.Code, rec.Body)
		}
	})
}

func TestTestAndPreview(t *testing.T) {
	h := newWorld().handler()
	body := `{"owners":["Demo Organization"],"types":["Host"],"tql":"x"}`
	if rec := call(t, h, http.MethodPost, "/api/tql-config/test", body); rec.Code != http.StatusOK || strings.TrimSpace(rec.Body.String()) != `{"count":1234,"status":"Success"}` {
		t.Errorf("test: %d %s", rec.Code, rec.Body)
	}
	rec := call(t, h, http.MethodPost, "/api/tql-config/preview", body)
	var got map[string]any
	if err := json.Unmarshal(rec.Body.Bytes(), &got); err != nil || got["total_count"] != 1234.0 || got["cap"] != 100.0 || got["truncated"] != true || len(got["stix_objects"].([]any)) != 1 {
		t.Errorf("preview: %v %s", err, rec.Body)
	}
}

func TestCommands(t *testing.T) {
	w := newWorld()
	w.jobs = []store.Job{{RequestID: jobID}}
	h := w.handler()
	for _, tt := range []struct {
		method, target, body string
		status               int
		did                  string
	}{
		{"POST", "/api/job/request", `{"mode":"reconcile"}`, 200, "submit reconcile"},
		{"DELETE", "/api/job/request/" + jobID, "", 204, "cancel " + jobID},
		{"POST", "/api/job/request/" + jobID + "/retry", "", 204, "retry " + jobID},
		{"POST", "/api/job/request/" + jobID + "/retirement", `{"confirm":false}`, 204, "retire " + jobID + " false"},
		{"PUT", "/api/task/download?run=true", "", 204, "run download"},
		{"PUT", "/api/task/cleaner?pause=true", "", 204, "pause cleaner true"},
		{"PUT", "/api/task/cleaner?pause=false", "", 204, "pause cleaner false"},
		{"DELETE", "/api/task/download", "", 204, "kill download"},
	} {
		rec := call(t, h, tt.method, tt.target, tt.body)
		did := w.did()
		if rec.Code != tt.status || did[len(did)-1] != tt.did {
			t.Errorf("%s %s: %d, did %q", tt.method, tt.target, rec.Code, did)
		}
	}
	w.refuse = store.ErrState
	if rec := call(t, h, http.MethodDelete, "/api/job/request/"+jobID, ""); rec.Code != http.StatusConflict {
		t.Errorf("wrong state: %d", rec.Code)
	}
}

// What went wrong inside is for the log; a reader gets the trouble that every screen shows.
func TestFaultsInside(t *testing.T) {
	w := newWorld()
	w.broken = errors.New("secret path /var/lib")
	h := w.handler()
	if rec := call(t, h, http.MethodGet, "/api/tql-config", ""); rec.Code != http.StatusInternalServerError || strings.Contains(rec.Body.String(), "secret") {
		t.Errorf("%d %s", rec.Code, rec.Body)
	}
	w.trouble = "The disk is full: free some space."
	if rec := call(t, h, http.MethodGet, "/api/tql-config", ""); rec.Code != http.StatusServiceUnavailable || message(t, rec) != w.trouble {
		t.Errorf("%d %s", rec.Code, rec.Body)
	}
	if rec := call(t, h, http.MethodGet, "/api/health", ""); !strings.Contains(rec.Body.String(), `"status":"trouble"`) {
		t.Errorf("health: %s", rec.Body)
	}
	w.count = func(context.Context, threatconnect.Query) (int64, error) { panic("boom") }
	rec := call(t, h, http.MethodPost, "/api/tql-config/test", `{"owners":["Demo Organization"],"types":["Host"],"tql":"x"}`)
	if rec.Code != http.StatusInternalServerError {
		t.Errorf("panic: %d %s", rec.Code, rec.Body)
	}
}
