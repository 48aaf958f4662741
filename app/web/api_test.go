package web

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"log/slog"
	"maps"
	"net/http"
	"slices"
	"strconv"
	"strings"
	"testing"
	"testing/synctest"
	"time"

	"github.com/google/go-cmp/cmp"
	"github.com/mattn/go-sqlite3"

	"mssentinel/app/job"
	"mssentinel/app/pipeline"
	"mssentinel/app/store"
	"mssentinel/app/threatconnect"
)

func TestReading(t *testing.T) {
	w := newWorld()
	w.queries = []store.Query{oneSaved("a", "rating > 3")}
	w.jobs = []job.Job{{RequestID: jobID, Type: job.Scheduled, Mode: job.Full, Status: job.UploadInProgress, DateQueued: noon, Counts: job.Counts{Uploaded: 7}}}
	w.progress = pipeline.Progress{RequestID: jobID, Stage: "Upload", Expected: 10, Uploaded: 7}
	w.problems = []job.Problem{{ID: 9007199254740993, RequestID: jobID, DateAdded: noon, Step: "Convert", Code: "invalid-value", Message: "no value", Raw: `{"id":9007199254740993}`}}
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

// routes are the calls of the JSON routes, each with a body that it takes.
var routes = []struct {
	method, target, body string
	changes              bool
}{
	{"GET", "/api/health", "", false},
	{"GET", "/api/tc_info", "", false},
	{"GET", "/api/tql-config", "", false},
	{"POST", "/api/tql-config", "[]", true},
	{"POST", "/api/tql-config/test", `{"owners":["Demo Organization"],"types":["Host"],"tql":"x"}`, false},
	{"POST", "/api/tql-config/preview", `{"owners":["Demo Organization"],"types":["Host"],"tql":"x"}`, false},
	{"GET", "/api/job/request", "", false},
	{"POST", "/api/job/request", `{"mode":"full"}`, true},
	{"POST", "/api/job/request/" + jobID + "/retirement", `{"confirm":true}`, true},
	{"DELETE", "/api/job/request/" + jobID, "", true},
	{"POST", "/api/job/request/" + jobID + "/retry", "", true},
	{"GET", "/api/task", "", false},
	{"PUT", "/api/task/download?run=true", "", true},
	{"PUT", "/api/task/download?pause=true", "", true},
	{"DELETE", "/api/task/download", "", true},
	{"GET", "/api/report/batch-error", "", false},
	{"GET", "/api/verify", "", false},
	{"POST", "/api/verify", `{"scope":"all"}`, true},
	{"DELETE", "/api/verify", "", true},
	{"POST", "/api/verify/repair", `{"action":"retire","confirm":true}`, true},
	{"GET", "/api/doctor", "", false},
	{"GET", "/api/doctor.txt", "", false},
	{"POST", "/api/doctor", `{"indicator":"bad.example"}`, true},
	{"GET", "/api/doctor/pages", "", false},
	{"GET", "/api/activity", "", false},
	{"GET", "/api/content", "", false},
}

// What makes any call a bad one, whatever it is about.
func TestEveryRoute(t *testing.T) {
	w := newWorld().withDoctor()
	w.jobs = []job.Job{{RequestID: jobID}}
	h := w.handler()
	refused := func(status int, says, method, target, body string, headers ...string) {
		t.Helper()
		rec := call(t, h, method, target, body, headers...)
		if got := message(t, rec); rec.Code != status || !strings.Contains(got, says) {
			t.Errorf("%s %s %.40q %q: %d %q, want %d and %q", method, target, body, headers, rec.Code, got, status, says)
		}
		if did := w.did(); len(did) > 0 {
			t.Fatalf("%s %s %.40q %q had done %q", method, target, body, headers, did)
		}
	}
	for _, r := range routes {
		refused(405, "does not take this method", "PATCH", r.target, "{}")
		refused(404, "no such page", r.method, strings.Replace(r.target, "/api/", "/api/no/such/", 1), r.body)
		if r.changes {
			refused(403, "Send the header X-Requested-With", r.method, r.target, r.body, "X-Requested-With", "")
		}
		if r.body == "" {
			continue
		}
		for _, kind := range []string{"", "text/plain", "application/x-www-form-urlencoded", "multipart/form-data; boundary=x", "application/json; ;"} {
			refused(403, "Content-Type: application/json", r.method, r.target, r.body, "Content-Type", kind)
		}
		refused(400, "empty", r.method, r.target, "")
		refused(400, "it breaks off", r.method, r.target, r.body[:1])
		refused(400, "not JSON", r.method, r.target, "nope")
		refused(400, "after the end", r.method, r.target, r.body+r.body)
		refused(413, "longer than 4 MiB", r.method, r.target, `"`+strings.Repeat("x", maxBody)+`"`)
		member := `{"colour":1}`
		if r.body[0] == '[' {
			member = "[" + member + "]"
		}
		refused(400, `unknown field "colour"`, r.method, r.target, member)
	}
	w.refuse = job.ErrState
	for _, r := range routes {
		if r.changes && r.target != "/api/tql-config" {
			says := "The job has moved on"
			if strings.HasPrefix(r.target, "/api/task/") {
				says = `The task "download" is paused. Resume it first.`
			}
			if r.target == "/api/doctor" {
				says = `The task "doctor" is paused. Resume it first.`
			}
			refused(409, says, r.method, r.target, r.body)
		}
	}
}

// The members of each answer are those that scripts were written for.
func TestMembers(t *testing.T) {
	w := newWorld()
	w.queries = []store.Query{withSettings(oneSaved("a", "rating > 3"))}
	w.saved = []savedVersion{{store.ListVersion{Number: 1}, w.queries}}
	w.jobs = []job.Job{{RequestID: jobID}}
	w.progress = pipeline.Progress{RequestID: jobID, WaitUntil: noon, Remaining: time.Minute}
	w.problems = someProblems()
	h := w.handler()
	const jobMembers = "count_below_floor count_downloaded count_duplicate count_invalid count_other_errors count_queued count_rejected count_retired count_retirement_held count_unchanged count_uploaded " +
		"date_completed date_convert_complete date_convert_start date_download_complete date_download_start date_failed date_queued date_started " +
		"date_upload_complete date_upload_start failure_count job_type last_modified_filter_end last_modified_filter_start message mode"
	const verifyMembers = "count_agreed count_compared count_expected count_kept count_strangers count_too_new date_completed date_started differences " +
		"examples message queries repairable repairs scope share state types"
	w.verified = someVerification()
	for _, tt := range []struct{ method, target, body, list, members, of string }{
		{"GET", "/api/health", "", "", "status uptime_seconds version", ""},
		{"GET", "/api/tc_info", "", "", "owners sort_fields types", ""},
		{"GET", "/api/tql-config", "", "data", "count data version", "id labels min_confidence owners rank sort_direction sort_field tlp tql ttl_hours types version"},
		{"GET", "/api/tql-config/versions", "", "data", "count data", "added changed count deleted mode moved number saved_at saved_by"},
		{"GET", "/api/tql-config/versions/1", "", "data", "added changed count data deleted mode moved number saved_at saved_by", "id labels min_confidence owners rank sort_direction sort_field tlp tql ttl_hours types version"},
		{"POST", "/api/tql-config/test", routes[4].body, "", "count status", ""},
		{"POST", "/api/tql-config/preview", routes[4].body, "stix_objects", "below_floor_count cap errors returned_count stix_objects total_count truncated", "name pattern"},
		{"GET", "/api/job/request", "", "data", "count data total_count", jobMembers + " progress ranged request_id retry_after status"},
		{"GET", "/api/task", "", "data", "count data", "average_run_seconds description detail heartbeat_timeout_minutes last_heartbeat last_run longest_run_seconds name next_run paused runs schedule slug status"},
		{"GET", "/api/report/batch-error", "", "data", "count data total_count", "code date_added id indicator_id message note owner raw request_id step type value"},
		{"GET", "/api/verify", "", "examples", verifyMembers, "difference id in_workspace last_accepted name pattern stranger valid_until workspace_valid_until"},
		{"GET", "/api/verify", "", "types", verifyMembers, "count_active count_expired count_live last_accepted newest_row type"},
		{"GET", "/api/verify", "", "repairs", verifyMembers, "action count_objects date request_id"},
		{"GET", "/api/verify", "", "queries", verifyMembers, "kql title"},
		{"POST", "/api/verify/repair", `{"action":"send_again"}`, "", "count_objects request_id", ""},
		{"POST", "/api/job/request", `{"mode":"delta"}`, "", jobMembers + " ranged request_id retry_after status", ""},
		{"POST", "/api/tql-config?reset=false&version=v1", "[]", "", "saved version", ""},
	} {
		rec := call(t, h, tt.method, tt.target, tt.body)
		var got map[string]json.RawMessage
		if err := json.Unmarshal(rec.Body.Bytes(), &got); err != nil || rec.Code != http.StatusOK {
			t.Errorf("%s %s: %d %v %s", tt.method, tt.target, rec.Code, err, rec.Body)
			continue
		}
		if members := strings.Join(slices.Sorted(maps.Keys(got)), " "); members != tt.members {
			t.Errorf("%s %s has %s, want %s", tt.method, tt.target, members, tt.members)
		}
		if tt.list == "" {
			continue
		}
		var rows []map[string]json.RawMessage
		if err := json.Unmarshal(got[tt.list], &rows); err != nil || len(rows) == 0 {
			t.Errorf("%s %s: %v %s", tt.method, tt.target, err, rec.Body)
			continue
		}
		if members := strings.Join(slices.Sorted(maps.Keys(rows[0])), " "); members != tt.of {
			t.Errorf("%s %s has rows of %s, want %s", tt.method, tt.target, members, tt.of)
		}
	}
}

func TestBadCalls(t *testing.T) {
	w := newWorld()
	w.queries = []store.Query{oneSaved("a", "rating > 3")}
	w.jobs = []job.Job{{RequestID: jobID}}
	h := w.handler()
	for _, tt := range []struct {
		method, target, body string
		status               int
		says                 string
	}{
		{"POST", "/api/tql-config", "null", 400, "array"},
		{"POST", "/api/tql-config", `{"owners":[]}`, 400, "holds object in the place of list"},
		{"POST", "/api/tql-config", `[{"owners":"x"}]`, 400, `holds string in the place of list (member "owners")`},
		{"POST", "/api/tql-config", `[{"rank":"1"}]`, 400, `holds string in the place of whole number (member "rank")`},
		{"POST", "/api/tql-config/test", `{"rank":1.5}`, 400, "holds number 1.5 in the place of whole number"},
		{"POST", "/api/tql-config/test", `[]`, 400, "holds array in the place of object"},
		{"POST", "/api/tql-config", `[{"min_confidence":60.5}]`, 400, `holds number 60.5 in the place of whole number (member "min_confidence")`},
		{"POST", "/api/tql-config", `[{"ttl_hours":"72"}]`, 400, `holds string in the place of whole number (member "ttl_hours")`},
		{"POST", "/api/tql-config", `[{"labels":"one"}]`, 400, `holds string in the place of list (member "labels")`},
		{"POST", "/api/tql-config", `[{"ttlHours":72}]`, 400, `"ttlHours"`},
		{"POST", "/api/tql-config/preview", `{"owners":["Demo Organization"],"types":["Address"],"tql":"x","tlp":"purple"}`, 400, "is not a level of TLP"},
		{"POST", "/api/tql-config", `[{"sortField":"id"}]`, 400, `"sortField"`},
		{"POST", "/api/tql-config?reset=maybe", "[]", 400, "reset"},
		{"POST", "/api/tql-config?version=v0", "[]", 409, "Someone else"},
		{"POST", "/api/tql-config/test", `{"owners":["Demo Organization"],"types":["Address"],"tql":"nonsense"}`, 400, "Unable to parse"},
		{"POST", "/api/tql-config/test", `{"owners":[],"types":["Mutex"],"tql":""}`, 400, "Mutex"},
		{"POST", "/api/tql-config/test", `{"owners":["Nobody","Demo Organization"],"types":["Address"],"tql":"x"}`, 400, `The owner "Nobody" is not among`},
		{"POST", "/api/tql-config/preview", `{"owners":["Nobody"],"types":["Address"],"tql":"x"}`, 400, `The owner "Nobody" is not among`},
		{"POST", "/api/tql-config/preview", `{"owners":["Demo Organization"],"types":["Address"],"tql":"typeName = 'x'"}`, 400, "leave it out, the types are those chosen in Indicator Types to Retrieve."},
		{"POST", "/api/tql-config/preview", `{}`, 400, "Owners to Query is empty"},
		{"GET", "/api/job/request?status=Sleeping", "", 400, "Upload Complete"},
		{"GET", "/api/job/request?job_type=weekly", "", 400, "scheduled"},
		{"GET", "/api/job/request?limit=0", "", 400, "from 1 to 500"},
		{"GET", "/api/job/request?limit=501", "", 400, "from 1 to 500"},
		{"GET", "/api/job/request?limit=ten", "", 400, "from 1 to 500"},
		{"GET", "/api/job/request?offset=-1", "", 400, "offset"},
		{"GET", "/api/job/request?offset=2147483648", "", 400, "offset"},
		{"GET", "/api/report/batch-error?limit=0", "", 400, "from 1 to 500"},
		{"GET", "/api/report/batch-error?offset=-1", "", 400, "offset"},
		{"POST", "/api/job/request", `null`, 400, "delta, full or reconcile"},
		{"POST", "/api/job/request", `{}`, 400, "delta, full or reconcile"},
		{"POST", "/api/job/request", `{"mode":"partial"}`, 400, "delta, full or reconcile"},
		{"POST", "/api/job/request/" + jobID + "/retirement", `{}`, 400, "confirm"},
		{"POST", "/api/job/request/" + jobID + "/retirement", `{"confirm":null}`, 400, "confirm"},
		{"POST", "/api/job/request/unknown/retirement", `{"confirm":true}`, 404, "reload the list"},
		{"DELETE", "/api/job/request/unknown", "", 404, "reload the list"},
		{"POST", "/api/job/request/unknown/retry", "", 404, "reload the list"},
		{"PUT", "/api/task/nothing?run=true", "", 404, "download, cleaner"},
		{"PUT", "/api/task/download", "", 400, "?run=true"},
		{"PUT", "/api/task/download?pause=yes", "", 400, "?pause=true"},
		{"PUT", "/api/task/download?run=false", "", 400, "?run=true"},
		{"PUT", "/api/task/download?run=true&pause=true", "", 400, "?run=true"},
		{"PUT", "/api/task/nothing?pause=true", "", 404, "download, cleaner"},
		{"DELETE", "/api/task/nothing", "", 404, "nothing"},
		{"GET", "/api/report/batch-error?step=Dance", "", 400, "Download, Convert, Upload"},
		{"GET", "/api/nothing", "", 404, "no such page"},
		{"GET", "/api/doctor", "", 404, "has not run yet"},
		{"GET", "/api/doctor.txt", "", 404, "has not run yet"},
		{"POST", "/api/doctor", `{"variable":"` + strings.Repeat("x", 201) + `"}`, 400, "The variable is not what this takes"},
		{"POST", "/api/doctor", `{"indicator":"a\nb"}`, 400, "The indicator is not what this takes"},
		{"POST", "/api/doctor", `{"large_bodies":"yes"}`, 400, `holds string in the place of bool (member "large_bodies")`},
		{"POST", "/api/doctor", `{}`, 404, `There is no task "doctor"`},
		{"GET", "/api/doctor/pages?waits=5,x", "", 400, `"x" is no number of seconds from 0 to 45`},
		{"POST", "/api/doctor/pages", `{"token":"x","results":[]}`, 403, "reload the page"},
	} {
		rec := call(t, h, tt.method, tt.target, tt.body)
		if got := message(t, rec); rec.Code != tt.status || got == "" || !strings.Contains(got, tt.says) {
			t.Errorf("%s %s %.40s: %d %q, want %d and %q", tt.method, tt.target, tt.body, rec.Code, got, tt.status, tt.says)
		}
	}
	if did := w.did(); len(did) > 0 {
		t.Errorf("bad calls had things done: %q", did)
	}
}

func TestListFaults(t *testing.T) {
	var manyLabels []string
	for i := range maxLabels + 1 {
		manyLabels = append(manyLabels, strconv.Quote(strconv.Itoa(i)))
	}
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
		"long TQL":              {`[{"owners":["Demo Organization"],"types":["Address"],"tql":"` + strings.Repeat("x", maxTQL+1) + `"}]`, []string{"Query 1: TQL is longer than 20000 bytes"}},
		"names the owner":       {`[{"owners":["Demo Organization"],"types":["Address"],"tql":"OwnerName = 'x'"}]`, []string{"Query 1: "}},
		"names the type":        {`[{"owners":["Demo Organization"],"types":["Address"],"tql":"typename = 'x'"}]`, []string{"Query 1: "}},
		"sort field":            {`[{"owners":["Demo Organization"],"types":["Address"],"tql":"x","sort_field":"colour","sort_direction":"ASC"}]`, []string{`Query 1: "colour" is not a sort field`}},
		"sort direction":        {`[{"owners":["Demo Organization"],"types":["Address"],"tql":"x","sort_field":"id","sort_direction":"up"}]`, []string{`Query 1: "UP" is not a sort direction`}},
		"direction alone":       {`[{"owners":["Demo Organization"],"types":["Address"],"tql":"x","sort_direction":"ASC"}]`, []string{"without a sort field"}},
		"unknown id":            {`[{"id":"zz","owners":["Demo Organization"],"types":["Address"],"tql":"x"}]`, []string{`no saved query with the id "zz"`}},
		"id twice":              {`[{"id":"a","owners":["Demo Organization"],"types":["Address"],"tql":"x"},{"id":"a","owners":["Demo Organization"],"types":["Address"],"tql":"y"}]`, []string{"Query 2: It has the id of query 1"}},
		"ThreatConnect says no": {`[{"owners":["Demo Organization"],"types":["Address"],"tql":"nonsense"},` + good + `]`, []string{"Query 1: ThreatConnect does not accept it: Unable to parse"}},
		"floor too high":        {`[{"owners":["Demo Organization"],"types":["Address"],"tql":"x","min_confidence":101}]`, []string{"Query 1: Confidence Floor is 101: enter a whole number from 0 to 100"}},
		"floor below 0":         {`[{"owners":["Demo Organization"],"types":["Address"],"tql":"x","min_confidence":-1}]`, []string{"Query 1: Confidence Floor is -1: enter"}},
		"no hours":              {`[{"owners":["Demo Organization"],"types":["Address"],"tql":"x","ttl_hours":0}]`, []string{"Query 1: TTL Hours is 0: enter a whole number from 1 to 87,600, or leave it out"}},
		"too many hours":        {`[{"owners":["Demo Organization"],"types":["Address"],"tql":"x","ttl_hours":87601}]`, []string{"Query 1: TTL Hours is 87601: enter"}},
		"too many labels":       {`[{"owners":["Demo Organization"],"types":["Address"],"tql":"x","labels":[` + strings.Join(manyLabels, ",") + `]}]`, []string{"Query 1: There are more than 20 labels to add"}},
		"a long label":          {`[{"owners":["Demo Organization"],"types":["Address"],"tql":"x","labels":["ok","` + strings.Repeat("ä", 51) + `"]}]`, []string{"Query 1: The label ", "is longer than 100 bytes: shorten it"}},
		"a label of two lines":  {`[{"owners":["Demo Organization"],"types":["Address"],"tql":"x","labels":["a\nb"]}]`, []string{"has a character that does not show: remove it"}},
		"a hidden mark":         {`[{"owners":["Demo Organization"],"types":["Address"],"tql":"x","labels":["a\u202eb"]}]`, []string{"has a character that does not show: remove it"}},
		"no level of TLP":       {`[{"owners":["Demo Organization"],"types":["Address"],"tql":"x","tlp":"purple"}]`, []string{`Query 1: "PURPLE" is not a level of TLP: choose among WHITE, GREEN, AMBER, RED`}},
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
	if rec := call(t, h, http.MethodPost, "/api/tql-config", "[]"); rec.Code != http.StatusOK || len(w.queries) != 0 || w.next != job.Delta {
		t.Errorf("without a version: %d %s", rec.Code, rec.Body)
	}
}

// A ThreatConnect that is away is no fault of the list.
func TestSavingWithoutThreatConnect(t *testing.T) {
	w := newWorld()
	w.owners = func(context.Context) ([]threatconnect.Owner, error) { return nil, errors.New("connection refused") }
	var log strings.Builder
	o := w.options()
	o.Logger = slog.New(slog.NewTextHandler(&log, nil))
	rec := call(t, New(o), http.MethodPost, "/api/tql-config", `[{"owners":["Anyone"],"types":["Host"],"tql":"x"}]`)
	if rec.Code != http.StatusOK || !strings.Contains(rec.Body.String(), `"warning"`) || len(w.queries) != 1 {
		t.Errorf("%d %s", rec.Code, rec.Body)
	}
	if !strings.Contains(log.String(), `msg="queries saved unchecked" error="connection refused"`) {
		t.Errorf("the log says %s", log.String())
	}
	if rec := call(t, w.handler(), http.MethodGet, "/api/tc_info", ""); rec.Code != http.StatusBadGateway {
		t.Errorf("tc_info: %d %s", rec.Code, rec.Body)
	}
}

func TestAskingEndsInTime(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		w := newWorld()
		w.hang()
		h := w.handler()
		start := time.Now()
		took := func(target string, limit time.Duration) {
			if d := time.Since(start); d > limit {
				t.Errorf("%s took %s", target, d)
			}
			start = time.Now()
		}
		rec := call(t, h, http.MethodGet, "/api/tc_info", "")
		if got := message(t, rec); rec.Code != http.StatusGatewayTimeout || !strings.Contains(got, "did not answer within 25 seconds. Try again.") {
			t.Errorf("tc_info: %d %q", rec.Code, got)
		}
		took("tc_info", timeLimit)
		body := `{"owners":["Demo Organization"],"types":["Host"],"tql":"x"}`
		for _, target := range []string{"/api/tql-config/test", "/api/tql-config/preview"} {
			rec := call(t, h, http.MethodPost, target, body, "X-Requested-With", "")
			if got := message(t, rec); rec.Code != http.StatusGatewayTimeout || !strings.Contains(got, "within 25 seconds") || !strings.Contains(got, "narrow") {
				t.Errorf("%s: %d %q", target, rec.Code, got)
			}
			took(target, timeLimit)
		}
		if rec := call(t, h, http.MethodPost, "/api/tql-config", "["+body+"]"); rec.Code != http.StatusOK {
			t.Errorf("a slow ThreatConnect stops a save: %d %s", rec.Code, rec.Body)
		}
		took("a save", saveLimit)
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
	w.jobs = []job.Job{{RequestID: jobID}}
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
	w.refuse = job.ErrState
	if rec := call(t, h, http.MethodDelete, "/api/job/request/"+jobID, ""); rec.Code != http.StatusConflict {
		t.Errorf("wrong state: %d", rec.Code)
	}
}

// A write that the disk does not take is 503 with what to do, whoever tries it, and before its time is over.
func TestAFullDisk(t *testing.T) {
	const trouble = "The Service cannot write its database (database or disk is full). Free some space on its disk or make it writable."
	calls := []struct{ method, target, body string }{
		{http.MethodPost, "/api/job/request", `{"mode":"delta"}`},
		{http.MethodPost, "/api/job/request/" + jobID + "/retry", ""},
		{http.MethodPost, "/api/job/request/" + jobID + "/retirement", `{"confirm":true}`},
		{http.MethodDelete, "/api/job/request/" + jobID, ""},
		{http.MethodPut, "/api/task/cleaner?pause=true", ""},
		{http.MethodPost, "/api/tql-config", "[]"},
	}
	for _, known := range []bool{true, false} {
		for _, c := range calls {
			w := newWorld()
			w.jobs = []job.Job{{RequestID: jobID, Status: job.ConfirmationRequired}}
			w.refuse = fmt.Errorf("writing: %w", sqlite3.Error{Code: sqlite3.ErrFull})
			if known {
				w.trouble = trouble
			}
			rec := call(t, w.handler(), c.method, c.target, c.body)
			if rec.Code != http.StatusServiceUnavailable || known && message(t, rec) != trouble || !strings.Contains(message(t, rec), "Free some space") {
				t.Errorf("%s %s: %d %s", c.method, c.target, rec.Code, rec.Body)
			}
		}
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
