package e2e

import (
	"bytes"
	"encoding/json"
	"fmt"
	"maps"
	"net/http"
	"os"
	"slices"
	"strings"
	"testing"
	"time"

	"mssentinel/app/standin/sentinelserver"
	"mssentinel/app/standin/tcserver"
)

// Bad input through the JSON routes gets an answer that says what to change, and changes nothing.
func TestBadInput(t *testing.T) {
	t.Parallel()
	p := tcserver.Generate(300, 3, time.Now().Add(-time.Hour))
	w := newWorld(t, p, sentinelserver.Options{Limit: sentinelserver.Unlimited})
	a := w.start()
	good := overlapping(p)[4]
	a.save([]query{good})
	done := a.first().mustComplete(t)
	state := func() string {
		var text strings.Builder
		for _, path := range []string{"api/tql-config", "api/job/request", "api/report/batch-error"} {
			said, err := a.call(http.MethodGet, path, nil)
			if err != nil || said.status != http.StatusOK {
				t.Fatalf("%s: %d %v", path, said.status, err)
			}
			text.Write(said.body)
		}
		return text.String()
	}
	edited := func(change func(*query)) query {
		q := good
		change(&q)
		return q
	}
	unparsable := edited(func(q *query) { q.TQL = "rating >= " })
	const save, test, preview, jobs = "api/tql-config?reset=false", "api/tql-config/test", "api/tql-config/preview", "api/job/request"
	const syntax = "Syntax error(s) found with your TQL query"
	before := state()
	for _, c := range []struct {
		method, path string
		body         any
		status       int
		says         string
	}{
		{"POST", save, []query{good, unparsable}, 422, syntax},
		{"POST", save, []query{good, unparsable}, 422, "Query 2"},
		{"POST", test, unparsable, 400, syntax},
		{"POST", preview, unparsable, 400, syntax},
		{"POST", save, []query{edited(func(q *query) { q.TQL = "unknownKeyword = 1" })}, 422, syntax},
		{"POST", save, []query{edited(func(q *query) { q.TQL = `rating > 1) or (ownerName = "x"` })}, 422, "parenthesis"},
		{"POST", save, []query{edited(func(q *query) { q.TQL = `rating > 1 and OwnerName = "x"` })}, 422, "ownerName"},
		{"POST", save, []query{edited(func(q *query) { q.TQL = `rating > 1) or (rating < 1` })}, 422, "parenthesis"},
		{"POST", save, []query{edited(func(q *query) { q.TQL = "" })}, 422, "TQL is empty"},
		{"POST", save, []query{edited(func(q *query) { q.Owners = []string{"Nobody's Owner"} })}, 422, "Nobody's Owner"},
		{"POST", save, []query{edited(func(q *query) { q.Owners = nil })}, 422, "Owners to Query"},
		{"POST", test, edited(func(q *query) { q.Types = nil }), 400, "Indicator Types to Retrieve"},
		{"POST", save, []query{edited(func(q *query) { q.Types = []string{"Mutex"} })}, 422, "Mutex"},
		{"POST", save, []query{edited(func(q *query) { q.SortField = "colour" })}, 422, "colour"},
		{"POST", save, []query{edited(func(q *query) { q.SortDirection = "SIDEWAYS" })}, 422, "SIDEWAYS"},
		{"POST", save, []query{good, good}, 422, "Query 2"},
		{"POST", save, `[{"owners":`, 400, "not JSON"},
		{"POST", save, `owners = all`, 400, "not JSON"},
		{"POST", save, ``, 400, "empty"},
		{"POST", save, `null`, 400, "null"},
		{"POST", save, `{}`, 400, "list"},
		{"POST", save, `[{"owner":"x"}]`, 400, "owner"},
		{"POST", save, `[][]`, 400, "one value"},
		{"POST", save, `[` + strings.Repeat(" ", 8<<20) + `]`, 413, "MiB"},
		{"POST", "api/tql-config?reset=perhaps", []query{good}, 400, "perhaps"},
		{"POST", save + "&version=outdated", []query{}, 409, "Someone else"},
		{"POST", jobs, map[string]string{"mode": "sideways"}, 400, "delta, full or reconcile"},
		{"POST", jobs, `{`, 400, "breaks off"},
		{"POST", jobs + "/no-such-job/retry", nil, 404, "nothing under this name"},
		{"POST", jobs + "/" + done.RequestID + "/retry", nil, 409, "moved on"},
		{"POST", jobs + "/" + done.RequestID + "/retirement", `{"confirm":true}`, 409, "moved on"},
		{"POST", jobs + "/" + done.RequestID + "/retirement", `{}`, 400, "confirm"},
		{"DELETE", jobs + "/" + done.RequestID, nil, 409, "moved on"},
		{"GET", jobs + "?status=Sideways", nil, 400, "Upload Complete"},
		{"GET", jobs + "?limit=0", nil, 400, "limit"},
		{"PUT", "api/task/no-such-task?run=true", nil, 404, "no-such-task"},
		{"DELETE", "api/task/no-such-task", nil, 404, "download"},
		{"PUT", "api/task/download?run=perhaps", nil, 400, "run=true"},
		{"GET", "api/report/batch-error?step=Sideways", nil, 400, "Convert"},
		{"PATCH", "api/tql-config", nil, 405, "method"},
		{"GET", "api/no-such-route", nil, 404, "no such page"},
	} {
		said, err := a.call(c.method, c.path, c.body)
		if err != nil {
			t.Errorf("%s %s: %v", c.method, c.path, err)
			continue
		}
		if said.status != c.status || !strings.Contains(said.message(), c.says) {
			t.Errorf("%s %s %.80v: %d %s, want %d and %q", c.method, c.path, c.body, said.status, said.body, c.status, c.says)
		}
		if after := state(); after != before {
			t.Fatalf("%s %s %.80v changed the state to %s", c.method, c.path, c.body, after)
		}
	}
	a.stop()
}

// message is the sentence of a refusal.
func (a answer) message() string {
	var said struct{ Message string }
	if json.Unmarshal(a.body, &said) != nil {
		return ""
	}
	return said.Message
}

// A call that changes something needs two headers that a foreign page cannot send.
func TestForeignPages(t *testing.T) {
	t.Parallel()
	w := newWorld(t, tcserver.Generate(10, 3, time.Now()), sentinelserver.Options{})
	a := w.start()
	for name, headers := range map[string]http.Header{
		"no header":    {},
		"form":         {"Content-Type": {"application/x-www-form-urlencoded"}, "X-Requested-With": {"x"}},
		"content type": {"Content-Type": {"application/json"}},
	} {
		r, err := http.NewRequest(http.MethodPost, a.url+"/api/job/request", strings.NewReader(`{"mode":"full"}`))
		if err != nil {
			t.Fatal(err)
		}
		r.Header = headers
		resp, err := http.DefaultClient.Do(r)
		if err != nil {
			t.Fatal(err)
		}
		resp.Body.Close()
		if resp.StatusCode != http.StatusForbidden {
			t.Errorf("%s: %s", name, resp.Status)
		}
	}
	if j := a.newest(); j.RequestID != "" {
		t.Errorf("there is a job: %+v", j)
	}
}

// No secret reaches a page, an answer, the log at its most talkative, or a mapper; what the App wrote to files and printed is
// looked at after every test.
func TestSecretsStayInside(t *testing.T) {
	t.Parallel()
	p := tcserver.Generate(800, 3, time.Now().Add(-time.Hour))
	w := newWorld(t, p, sentinelserver.Options{Limit: sentinelserver.Unlimited})
	w.env["tc_log_level"] = "trace"
	w.env["upload_url"] = serve(t, answersLate(w.cloud, 300*time.Millisecond))
	for _, kind := range []sentinelserver.Kind{sentinelserver.Unauthorized, sentinelserver.TokenError} {
		if err := w.cloud.Inject(sentinelserver.Fault{Kind: kind}); err != nil {
			t.Fatal(err)
		}
	}
	a := w.start()
	a.save(overlapping(p)[4:])
	var requestID string
	var mappers []int
	a.eventually("mappers at work", func() bool {
		requestID, mappers = a.newest().RequestID, a.children()
		return requestID != "" && len(mappers) >= 5
	})
	for _, pid := range mappers {
		w.mapperKnowsLittle(pid)
	}
	if j := a.await(requestID); j.Status == "Failed" { // by the error of the login
		a.do(http.MethodPost, "api/job/request/"+requestID+"/retry", nil, nil)
		a.await(requestID).mustComplete(t)
	}
	w.cloud.SetSecret(clientID, "another")
	w.cloud.ExpireTokens()
	w.tc.SetSecretKey(tcserver.DefaultAccessID, "another")
	a.update("full")
	for _, path := range []string{"ui/", "ui/jobs", "ui/tasks", "ui/report", "ui/export", "ui/edit", "api/health", "api/tc_info", "api/tql-config",
		"api/job/request", "api/task", "api/report/batch-error", "no/such/page"} {
		said, err := a.call(http.MethodGet, path, nil)
		if err != nil {
			t.Fatal(err)
		}
		w.holdsNoSecret(path, said.body)
	}
	said, err := a.call(http.MethodPost, "api/tql-config/preview", overlapping(p)[4])
	if err != nil {
		t.Fatal(err)
	}
	w.holdsNoSecret("a preview that fails", said.body)
	a.stop()
}

// mapperKnowsLittle looks at the environment and the arguments of a mapper.
func (w *world) mapperKnowsLittle(pid int) {
	w.t.Helper()
	allowed := []string{"TMPDIR", "GOMAXPROCS", "GOGC", "GODEBUG"}
	environ, err := os.ReadFile(fmt.Sprintf("/proc/%d/environ", pid))
	if err != nil {
		return // it ended meanwhile
	}
	names := map[string]bool{}
	for variable := range bytes.SplitSeq(environ, []byte{0}) {
		if name, _, set := strings.Cut(string(variable), "="); set && !strings.HasPrefix(name, "PLUGIN_") && !slices.Contains(allowed, name) {
			names[name] = true
		}
	}
	// The name of go-plugin's cookie is the contract's own.
	if len(names) > 1 {
		w.t.Errorf("a mapper's environment has %q", slices.Sorted(maps.Keys(names)))
	}
	w.holdsNoSecret("a mapper's environment", environ)
	arguments, _ := os.ReadFile(fmt.Sprintf("/proc/%d/cmdline", pid))
	w.holdsNoSecret("a mapper's arguments", arguments)
}
