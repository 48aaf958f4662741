package web

import (
	"bytes"
	"context"
	"encoding/json"
	"fmt"
	"mime/multipart"
	"net/http"
	"net/http/httptest"
	"net/url"
	"runtime"
	"sort"
	"strings"
	"testing"
	"testing/synctest"
	"time"

	"golang.org/x/net/html"

	"mssentinel/app/job"
	"mssentinel/app/pipeline"
	"mssentinel/app/store"
	"mssentinel/app/threatconnect"
)

// carried is how large an answer may be on the platform, in bytes, app/docs/platform.md#requests.
const carried = 8 << 20

// postForm sends a form as a foreign page could.
func postForm(t testing.TB, h http.Handler, target string, fields url.Values) *httptest.ResponseRecorder {
	t.Helper()
	r := httptest.NewRequest(http.MethodPost, target, strings.NewReader(fields.Encode()))
	r.Header.Set("Content-Type", "application/x-www-form-urlencoded")
	rec := httptest.NewRecorder()
	h.ServeHTTP(rec, r)
	return rec
}

// editFields are the hidden fields of a page of Edit mode.
func (w *world) editFields(t testing.TB) url.Values {
	t.Helper()
	v := w.visit(t, "ui/edit")
	values := fields(v.find("form", func(n *html.Node) bool { return n.Data == "form" }))
	delete(values, "")
	return values
}

// allocated is how many bytes do allocates.
func allocated(do func()) uint64 {
	var before, after runtime.MemStats
	runtime.ReadMemStats(&before)
	do()
	runtime.ReadMemStats(&after)
	return after.TotalAlloc - before.TotalAlloc
}

func emptyQueries(n int) string { return "[" + strings.TrimSuffix(strings.Repeat("{},", n), ",") + "]" }

// A list that nobody edited in a page of ours costs next to nothing, and is not drawn.
func TestForeignListsAreNotRead(t *testing.T) {
	for name, tt := range map[string]struct {
		draft string
		token func(fields url.Values) string
	}{
		"many queries, no token":      {emptyQueries(400_000), func(url.Values) string { return "" }},
		"a long query, no token":      {`[{"tql":"` + strings.Repeat("'", 1_000_000) + `"}]`, func(url.Values) string { return "" }},
		"many queries, a made up one": {emptyQueries(400_000), func(url.Values) string { return strings.Repeat("A", 54) }},
		"one query, no token":         {`[{"key":"new-1","tql":"theirs"}]`, func(url.Values) string { return "" }},
		"the draft in its place":      {`[{"key":"new-1","tql":"theirs"}]`, func(f url.Values) string { return f.Get("seal") }},
	} {
		t.Run(name, func(t *testing.T) {
			w := twoSaved()
			form := w.editFields(t)
			token := tt.token(form)
			form.Set("token", token)
			form.Set("draft", tt.draft)
			form.Set("action", "save")
			h := w.handler()
			var rec *httptest.ResponseRecorder
			bytes := allocated(func() { rec = postForm(t, h, "/ui/edit", form) })
			if rec.Code != http.StatusForbidden || rec.Body.Len() > 20_000 || strings.Contains(rec.Body.String(), "theirs") {
				t.Errorf("%d, %d bytes: %.500s", rec.Code, rec.Body.Len(), rec.Body)
			}
			if bytes > 60<<20 {
				t.Errorf("it cost %d MiB", bytes>>20)
			}
			w.mustHaveDone(t)
		})
	}
}

// Only a list that our page sealed comes back once the token has run out.
func TestOnlySealedListsAreKept(t *testing.T) {
	for name, tt := range map[string]struct {
		tamper func(url.Values)
		keeps  bool
	}{
		"as it was":         {func(url.Values) {}, true},
		"another list":      {func(f url.Values) { f.Set("draft", `[{"key":"new-1","tql":"theirs"}]`) }, false},
		"another base":      {func(f url.Values) { f.Set("base", "0123456789abcdef") }, false},
		"no seal":           {func(f url.Values) { f.Del("seal") }, false},
		"no token, sealed":  {func(f url.Values) { f.Del("token") }, false},
		"seal as the token": {func(f url.Values) { f.Set("token", f.Get("seal")) }, false},
	} {
		t.Run(name, func(t *testing.T) {
			synctest.Test(t, func(t *testing.T) {
				w := twoSaved()
				form := w.editFields(t)
				form.Set("action", "save")
				tt.tamper(form)
				time.Sleep(tokenLife)
				rec := postForm(t, w.handler(), "/ui/edit", form)
				kept := strings.Contains(rec.Body.String(), "your edits are still here")
				if rec.Code != http.StatusForbidden || kept != tt.keeps || strings.Contains(rec.Body.String(), "theirs") {
					t.Errorf("%d, kept %v: %.300s", rec.Code, kept, rec.Body)
				}
				w.mustHaveDone(t)
			})
		})
	}
}

// A token counts in the body or in its header alone. Addresses stand in histories and logs.
func TestTokenInTheAddress(t *testing.T) {
	w := twoSaved()
	form := w.editFields(t)
	token := form.Get("token")
	form.Del("token")
	form.Set("action", "save")
	h := w.handler()
	for target, fields := range map[string]url.Values{
		"/ui/edit?token=" + token:                               form,
		"/ui/jobs?action=run&mode=full&token=" + token:          {},
		"/ui/jobs?token=" + token:                               {"action": {"run"}, "mode": {"full"}},
		"/ui/tasks?token=" + token + "&action=run&task=cleaner": {"action": {"run"}, "task": {"cleaner"}},
	} {
		if rec := postForm(t, h, target, fields); rec.Code != http.StatusForbidden {
			t.Errorf("%s: %d", target, rec.Code)
		}
	}
	// And what a button does stands in the body alone.
	if rec := postForm(t, h, "/ui/jobs?action=run&mode=full", url.Values{"token": {token}}); rec.Code != http.StatusBadRequest {
		t.Errorf("an action in the address: %d", rec.Code)
	}
	w.mustHaveDone(t)
}

// A list that is too long is refused at once, from wherever it comes.
func TestTooLongLists(t *testing.T) {
	long := func(n, size int) string {
		var list []string
		for i := range n {
			list = append(list, fmt.Sprintf(`{"owners":["Demo Organization"],"types":["Host"],"tql":"%s %d"}`, strings.Repeat("'", size), i))
		}
		return "[" + strings.Join(list, ",") + "]"
	}
	names := `[{"owners":[` + strings.TrimSuffix(strings.Repeat(`"a",`, 300_000), ",") + `],"types":["Host"],"tql":"x"}]`
	for i := range 10 {
		names = strings.Replace(names, `"a"`, fmt.Sprintf(`"%d"`, i), 20_000)
	}
	lists := map[string]struct{ list, says string }{
		"40,000 empty queries":   {emptyQueries(40_000), "it may have 500"},
		"1,300,000 of them":      {emptyQueries(1_300_000), "it may have 500"},
		"one more than 500":      {emptyQueries(501), "it may have 500"},
		"apostrophes":            {long(100, 19_900), "longer than the page can carry"},
		"many long ones":         {long(500, 4_000), "longer than the page can carry"},
		"inside an API's answer": {`{"data":` + emptyQueries(40_000) + `,"count":1,"version":"v"}`, "it may have 500"},
	}
	for name, tt := range lists {
		t.Run(name, func(t *testing.T) {
			w := twoSaved()
			h := w.handler()
			began := time.Now()
			form := w.editFields(t)
			rec := importFile(t, h, form, tt.list)
			if rec.Code != http.StatusUnprocessableEntity || !strings.Contains(rec.Body.String(), tt.says) {
				t.Errorf("imported: %d %.300s", rec.Code, rec.Body)
			}
			if tt.list[0] == '[' {
				rec = call(t, h, http.MethodPost, "/api/tql-config", tt.list)
				if rec.Code != http.StatusUnprocessableEntity || !strings.Contains(rec.Body.String(), tt.says) {
					t.Errorf("sent: %d %.300s", rec.Code, rec.Body)
				}
			}
			form.Set("draft", tt.list)
			form.Set("action", "save")
			rec = postForm(t, h, "/ui/edit", form)
			if rec.Code/100 != 4 || rec.Body.Len() > carried {
				t.Errorf("as a draft: %d, %d bytes", rec.Code, rec.Body.Len())
			}
			if took := time.Since(began); took > 5*time.Second {
				t.Errorf("it took %s", took)
			}
			w.mustHaveDone(t)
		})
	}
	if len(names) > maxBody {
		t.Fatal("the body is too long to be read at all")
	}
	w := twoSaved()
	began := time.Now()
	rec := call(t, w.handler(), http.MethodPost, "/api/tql-config", names)
	if rec.Code != http.StatusUnprocessableEntity || rec.Body.Len() > 20_000 || time.Since(began) > 5*time.Second {
		t.Errorf("many owners: %d, %d bytes, %s", rec.Code, rec.Body.Len(), time.Since(began))
	}
}

// importFile presses Import in the window of that name.
func importFile(t *testing.T, h http.Handler, form url.Values, content string) *httptest.ResponseRecorder {
	t.Helper()
	var buf bytes.Buffer
	m := multipart.NewWriter(&buf)
	for name := range form {
		if err := m.WriteField(name, form.Get(name)); err != nil {
			t.Fatal(err)
		}
	}
	for name, value := range map[string]string{"action": "do-import", "pasted": content} {
		if err := m.WriteField(name, value); err != nil {
			t.Fatal(err)
		}
	}
	if err := m.Close(); err != nil {
		t.Fatal(err)
	}
	r := httptest.NewRequest(http.MethodPost, "/ui/edit", &buf)
	r.Header.Set("Content-Type", m.FormDataContentType())
	rec := httptest.NewRecorder()
	h.ServeHTTP(rec, r)
	if rec.Body.Len() > carried {
		t.Errorf("the page has %d bytes", rec.Body.Len())
	}
	return rec
}

// Whatever list is saved, CONFIGURE and Edit mode can be shown by the platform, and what Edit mode gets it takes back.
func TestLargestListCanBeEdited(t *testing.T) {
	for name, part := range map[string]string{"quotes": `"`, "controls": "\x01"} {
		t.Run(name, func(t *testing.T) {
			var queries []store.Query
			for i := range maxQueries {
				q := oneSaved(fmt.Sprintf("00000000-0000-0000-0000-%012d", i), strings.Repeat(part, 1500)+fmt.Sprint(i))
				q.Owners = []string{"Demo Organization", strings.Repeat(part, 300)}
				queries = append(queries, q)
			}
			queries = queries[:sort.Search(len(queries), func(n int) bool { return checkSize(queries[:n+1]) != nil })]
			if len(queries) < 50 {
				t.Errorf("only %d such queries can be saved", len(queries))
			}
			w := newWorld()
			w.queries = queries
			h := w.handler()
			for _, page := range []string{"/ui/", "/ui/edit", "/api/tql-config", "/ui/export"} {
				if rec := call(t, h, http.MethodGet, page, ""); rec.Code != http.StatusOK || rec.Body.Len() > carried {
					t.Errorf("%s: %d, %d bytes", page, rec.Code, rec.Body.Len())
				}
			}
			form := w.editFields(t)
			form.Set("action", "edit:"+queries[0].ID)
			if rec := postForm(t, h, "/ui/edit", form); rec.Code != http.StatusOK || rec.Body.Len() > carried {
				t.Errorf("edit: %d, %d bytes", rec.Code, rec.Body.Len())
			}
			form.Set("action", "add")
			if rec := postForm(t, h, "/ui/edit", form); rec.Code != http.StatusOK {
				t.Errorf("add: %d", rec.Code)
			}
		})
	}
}

// A query that would make the list too long is refused in its window, and the list stays.
func TestSubmitBeyondTheBounds(t *testing.T) {
	w := newWorld()
	for i := range maxQueries {
		w.queries = append(w.queries, oneSaved(fmt.Sprintf("id-%d", i), fmt.Sprintf("rating > %d", i)))
	}
	v := w.visit(t, "ui/edit?window=add")
	v.fill("owner", "Demo Organization")
	v.fill("type", "Host")
	v.fill("tql", "confidence > 1")
	v.press("Submit")
	v.status(http.StatusUnprocessableEntity)
	v.sees("it may have 500", "Add TQL Configuration", "confidence > 1")
	if n := len(v.column(0)); n != maxQueries {
		t.Errorf("the list has %d queries", n)
	}
}

// No filter, path or body makes an answer fail or repeat it at length.
func TestLongValuesFromOutside(t *testing.T) {
	w := newWorld()
	w.jobs, w.problems = everyJob(), someProblems()
	h := w.handler()
	long := strings.Repeat("7", 60_000)
	for _, name := range []string{"request_id", "status", "job_type", "offset", "limit", "code", "text", "step", "id", "ask", "mode", "done", "task", "window", "version", "other"} {
		for _, page := range []string{"/ui/jobs", "/ui/report", "/ui/tasks", "/ui/edit", "/ui/preview", "/api/job/request", "/api/report/batch-error", "/api/task", "/ui/activity", "/api/activity"} {
			rec := call(t, h, http.MethodGet, page+"?"+name+"="+long, "")
			if rec.Code != http.StatusBadRequest || rec.Body.Len() > 20_000 || strings.Contains(rec.Body.String(), long[:1000]) {
				t.Errorf("%s?%s: %d, %d bytes", page, name, rec.Code, rec.Body.Len())
			}
		}
	}
	for target, status := range map[string]int{
		"/api/job/request?" + strings.Repeat("status=Failed&", 1000): http.StatusBadRequest,
		"/api/job/request?" + strings.Repeat("status=Failed&", 50):   http.StatusOK,
		"/api/job/request?limit=" + long[:400]:                       http.StatusBadRequest,
		"/ui/report?id=" + long[:400]:                                http.StatusNotFound,
		"/api/report/batch-error?text=%00%ff":                        http.StatusOK,
	} {
		if rec := call(t, h, http.MethodGet, target, ""); rec.Code != status || rec.Body.Len() > 60_000 {
			t.Errorf("%.60s: %d, %d bytes", target, rec.Code, rec.Body.Len())
		}
	}
	digits := strings.Repeat("1", 100_000)
	for body, target := range map[string]string{
		`{"mode":` + digits + `}`:                                 "/api/job/request",
		`{"mode":"` + digits + `"}`:                               "/api/job/request",
		`{"` + digits + `":1}`:                                    "/api/job/request",
		`[{"owners":` + digits + `}]`:                             "/api/tql-config",
		`[{"rank":` + digits + `}]`:                               "/api/tql-config",
		`[{"types":["` + digits + `"],"owners":["x"],"tql":"x"}]`: "/api/tql-config",
		`{"confirm":` + digits + `}`:                              "/api/job/request/" + jobID + "/retirement",
	} {
		rec := call(t, h, http.MethodPost, target, body)
		if rec.Code/100 != 4 || rec.Body.Len() > 2000 {
			t.Errorf("%s %.30s: %d, %d bytes", target, body, rec.Code, rec.Body.Len())
		}
	}
	for _, target := range []string{"/api/task/" + long[:2000] + "?run=true"} {
		if rec := call(t, h, http.MethodPut, target, ""); rec.Code != http.StatusNotFound || rec.Body.Len() > 2000 {
			t.Errorf("%.30s: %d, %d bytes", target, rec.Code, rec.Body.Len())
		}
	}
}

// As many lines of REPORT as may be asked for at once fit into an answer.
func TestLongReportFits(t *testing.T) {
	w := newWorld()
	raw, err := json.Marshal(map[string]string{"value": strings.Repeat(`<`, job.MaxRaw)})
	if err != nil {
		t.Fatal(err)
	}
	for i := range maxLimit {
		p := job.Problem{ID: int64(i + 1), DateAdded: noon, Step: "Convert", Message: strings.Repeat("<", job.MaxMessage), Raw: string(raw)}
		w.problems = append(w.problems, p.Bounded())
		w.jobs = append(w.jobs, job.Job{RequestID: fmt.Sprint(i), DateQueued: noon, Message: strings.Repeat("<", job.MaxMessage)})
	}
	for _, page := range []string{"/api/report/batch-error", "/api/job/request"} {
		rec := call(t, w.handler(), http.MethodGet, fmt.Sprintf("%s?limit=%d", page, maxLimit), "")
		if rec.Code != http.StatusOK || rec.Body.Len() > carried || !strings.Contains(rec.Body.String(), `"count":500`) {
			t.Errorf("%s: %d, %d bytes", page, rec.Code, rec.Body.Len())
		}
	}
}

// However long the objects of a preview are, it fits into an answer.
func TestLongPreviewFits(t *testing.T) {
	w := twoSaved()
	w.preview = func(context.Context, threatconnect.Query) (pipeline.Preview, error) {
		p := pipeline.Preview{TotalCount: 100, ReturnedCount: 100, Cap: 100}
		object, err := json.Marshal(map[string]string{"name": strings.Repeat("'", 1000), "pattern": strings.Repeat(`<`, 40_000)})
		object = bytes.ReplaceAll(object, []byte(`\u003c`), []byte("<"))
		for range 100 {
			p.Objects = append(p.Objects, object)
			for range 3 {
				p.Problems = append(p.Problems, strings.Repeat("<", 1000))
			}
		}
		return p, err
	}
	h := w.handler()
	query := `{"owners":["Demo Organization"],"types":["Host"],"tql":"x"}`
	if rec := call(t, h, http.MethodGet, "/ui/preview?id=a", ""); rec.Code != http.StatusOK || rec.Body.Len() > carried {
		t.Errorf("the page: %d, %d bytes", rec.Code, rec.Body.Len())
	}
	rec := call(t, h, http.MethodPost, "/api/tql-config/preview", query)
	if rec.Code != http.StatusOK || rec.Body.Len() > carried || !strings.Contains(rec.Body.String(), `"truncated":true`) {
		t.Errorf("the answer: %d, %d bytes", rec.Code, rec.Body.Len())
	}
}

// What the screens show of texts from outside cannot act on them.
func TestHiddenCharactersAreShown(t *testing.T) {
	w := newWorld()
	w.queries = []store.Query{oneSaved("a", "summary = \"invoice\u202Efdp.exe\"")}
	w.queries[0].Owners = []string{"Demo\u2066 Organization"}
	w.problems = []job.Problem{{ID: 2, DateAdded: noon, Step: "Convert", Message: "x", Raw: "{\"summary\":\"a\u202Eb\"}"}}
	w.owners = func(context.Context) ([]threatconnect.Owner, error) {
		return []threatconnect.Owner{{ID: 1, Name: "Demo\u202E Organization"}}, nil
	}
	for _, page := range []string{"/ui/", "/ui/report?id=2", "/ui/preview?id=a"} {
		rec := call(t, w.handler(), http.MethodGet, page, "")
		if strings.ContainsAny(rec.Body.String(), "\u202E\u2066") {
			t.Errorf("%s turns the direction of writing", page)
		}
	}
	// What is typed and chosen stays what it is; what is shown beside it does not.
	rec := call(t, w.handler(), http.MethodGet, "/ui/edit?window=add", "")
	if !strings.Contains(rec.Body.String(), "value=\"Demo\u202E Organization\"") || !strings.Contains(rec.Body.String(), "Demo\uFFFD Organization") {
		t.Error("the owner cannot be chosen, or is shown as it is")
	}
}

// What others said about a request is masked, wherever a screen or a script meets it.
func TestTextsFromOutsideAreMasked(t *testing.T) {
	const said = "it got Authorization: Bearer eyJhbGciOiJub25lIn0.canary and client_secret=canary-2 \u202E"
	w := twoSaved()
	w.jobs = everyJob()
	w.trouble = said
	w.progress = pipeline.Progress{RequestID: "running", Stage: "Upload", WaitReason: said}
	w.tasks[0].Detail = said
	w.verified = someVerification()
	w.verified.Message, w.verified.Types[0].Type, w.verified.Examples[0].Name, w.verified.Examples[0].Pattern = said, said, said, said
	w.owners = func(context.Context) ([]threatconnect.Owner, error) {
		return nil, &threatconnect.Error{Status: 403, Message: said}
	}
	w.preview = func(context.Context, threatconnect.Query) (pipeline.Preview, error) {
		return pipeline.Preview{Problems: []string{said}}, nil
	}
	w.count = func(context.Context, threatconnect.Query) (int64, error) {
		return 0, &threatconnect.Error{Status: http.StatusBadRequest, Message: said}
	}
	h := w.handler()
	query := `{"owners":["Demo Organization"],"types":["Host"],"tql":"x"}`
	for _, c := range []struct{ method, target, body string }{
		{"GET", "/ui/", ""}, {"GET", "/ui/jobs", ""}, {"GET", "/ui/jobs?id=running", ""}, {"GET", "/ui/tasks", ""}, {"GET", "/ui/edit?window=add", ""}, {"GET", "/ui/verify", ""}, {"GET", "/api/verify", ""},
		{"GET", "/ui/preview?id=a", ""}, {"GET", "/api/health", ""}, {"GET", "/api/job/request", ""}, {"GET", "/api/task", ""}, {"GET", "/api/tc_info", ""},
		{"POST", "/api/tql-config/test", query}, {"POST", "/api/tql-config/preview", query}, {"POST", "/api/tql-config", "[" + query + "]"},
	} {
		rec := call(t, h, c.method, c.target, c.body)
		if strings.Contains(rec.Body.String(), "canary") || strings.Contains(rec.Body.String(), "\u202E") {
			t.Errorf("%s %s: %s", c.method, c.target, rec.Body)
		}
	}
}
