package web

import (
	"bytes"
	"context"
	"encoding/json"
	"fmt"
	"io"
	"log/slog"
	"net/http"
	"net/http/httptest"
	"slices"
	"strings"
	"sync"
	"testing"
	"time"

	"mssentinel/app/job"
	"mssentinel/app/pipeline"
	"mssentinel/app/store"
	"mssentinel/app/threatconnect"
)

// world is the Service around the screens: what they read, and what they had done.
type world struct {
	mu       sync.Mutex
	queries  []store.Query
	version  int
	next     job.Mode
	jobs     []job.Job
	details  []job.Detail
	problems []job.Problem
	tasks    []pipeline.Task
	progress pipeline.Progress
	trouble  string
	calls    []string

	owners  func(context.Context) ([]threatconnect.Owner, error)
	count   func(context.Context, threatconnect.Query) (int64, error)
	preview func(context.Context, threatconnect.Query) (pipeline.Preview, error)
	refuse  error
	key     string
	broken  error
	stuck   bool // what is cancelled does not end
}

const jobID = "5f0c6a52-4c1b-4d3e-9f63-0f1f2f3f4f5f"

func newWorld() *world {
	w := &world{version: 1, key: "key of the tests"}
	w.owners = func(context.Context) ([]threatconnect.Owner, error) {
		return []threatconnect.Owner{{ID: 1, Name: "Demo Organization"}, {ID: 2, Name: "O'Brien & <Sons>"}, {ID: 3, Name: "Common Community"}}, nil
	}
	w.count = func(_ context.Context, q threatconnect.Query) (int64, error) {
		if strings.Contains(q.TQL, "nonsense") {
			return 0, &threatconnect.Error{Status: http.StatusBadRequest, Message: "Unable to parse the TQL near 'nonsense'"}
		}
		return 1234, nil
	}
	w.preview = func(context.Context, threatconnect.Query) (pipeline.Preview, error) {
		return pipeline.Preview{TotalCount: 1234, ReturnedCount: 1, Cap: 100, Truncated: true,
			Objects:  []json.RawMessage{json.RawMessage(`{"name":"bad.example | <b>Owner</b>","pattern":"[domain-name:value = 'bad.example']"}`)},
			Problems: []string{"*.example is a wildcard"}}, nil
	}
	w.tasks = []pipeline.Task{
		{Name: "Download", Slug: "download", Description: "Downloads indicators from ThreatConnect.", Status: "Running", Schedule: "when a job needs it", HeartbeatTimeout: 20 * time.Minute, LastHeartbeat: noon, LastRun: noon},
		{Name: "Cleaner", Slug: "cleaner", Description: "Cleans the filesystem and the database.", Status: "Idle", Schedule: "Every 2 hours", HeartbeatTimeout: 30 * time.Minute, NextRun: noon.Add(time.Hour)},
	}
	return w
}

var noon = time.Date(2026, 11, 24, 12, 0, 0, 0, time.UTC)

func (w *world) note(format string, args ...any) {
	w.calls = append(w.calls, fmt.Sprintf(format, args...))
}

func (w *world) did() []string {
	w.mu.Lock()
	defer w.mu.Unlock()
	return slices.Clone(w.calls)
}

func (w *world) Queries(context.Context) ([]store.Query, string, error) {
	w.mu.Lock()
	defer w.mu.Unlock()
	return slices.Clone(w.queries), w.current(), w.broken
}

func (w *world) SaveQueries(_ context.Context, queries []store.Query, version string, next job.Mode) (string, error) {
	w.mu.Lock()
	defer w.mu.Unlock()
	if w.refuse != nil {
		return "", w.refuse
	}
	if version != "" && version != w.current() {
		return "", store.ErrOutdated
	}
	w.version++
	for i := range queries {
		if queries[i].ID == "" {
			queries[i].ID = fmt.Sprintf("q-%d-%d", w.version, i)
		}
	}
	w.queries, w.next = queries, next
	w.note("save %d %s", len(queries), next)
	return w.current(), nil
}

// current is the version of the list.
func (w *world) current() string { return fmt.Sprint("v", w.version) }

func (w *world) Jobs(_ context.Context, f store.JobFilter) ([]job.Job, int64, error) {
	w.mu.Lock()
	defer w.mu.Unlock()
	var found []job.Job
	for _, j := range w.jobs {
		if strings.Contains(j.RequestID, f.RequestID) && (len(f.Statuses) == 0 || slices.Contains(f.Statuses, j.Status)) &&
			(f.Type == "" || f.Type == j.Type) {
			found = append(found, j)
		}
	}
	total := len(found)
	found = found[min(f.Offset, total):min(f.Offset+f.Limit, total)]
	return found, int64(total), w.broken
}

func (w *world) Job(_ context.Context, id string) (job.Job, error) {
	w.mu.Lock()
	defer w.mu.Unlock()
	for _, j := range w.jobs {
		if j.RequestID == id {
			return j, w.broken
		}
	}
	return job.Job{}, store.ErrNotFound
}

func (w *world) JobDetails(context.Context, string) ([]job.Detail, error) {
	return w.details, w.broken
}

func (w *world) Problems(_ context.Context, f store.ProblemFilter) ([]job.Problem, int64, error) {
	var found []job.Problem
	for _, p := range w.problems {
		if strings.Contains(p.RequestID, f.RequestID) && (f.Step == "" || f.Step == p.Step) && (f.Code == "" || f.Code == p.Code) &&
			strings.Contains(p.Message, f.Text) {
			found = append(found, p)
		}
	}
	total := len(found)
	found = found[min(f.Offset, total):min(f.Offset+f.Limit, total)]
	return found, int64(total), w.broken
}

func (w *world) Problem(_ context.Context, id int64) (job.Problem, error) {
	for _, p := range w.problems {
		if p.ID == id {
			return p, w.broken
		}
	}
	return job.Problem{}, store.ErrNotFound
}

func (w *world) Tasks() []pipeline.Task {
	w.mu.Lock()
	defer w.mu.Unlock()
	return slices.Clone(w.tasks)
}

// order notes a command to a task or a job, which is unknown, refused, or done.
func (w *world) order(known bool, format string, args ...any) error {
	w.mu.Lock()
	defer w.mu.Unlock()
	if !known {
		return store.ErrNotFound
	}
	if w.refuse != nil {
		return w.refuse
	}
	w.note(format, args...)
	return nil
}

func (w *world) task(slug string) *pipeline.Task {
	for i := range w.tasks {
		if w.tasks[i].Slug == slug {
			return &w.tasks[i]
		}
	}
	return nil
}

func (w *world) RunTask(_ context.Context, slug string) error {
	return w.order(w.task(slug) != nil, "run %s", slug)
}

func (w *world) PauseTask(_ context.Context, slug string, paused bool) error {
	t := w.task(slug)
	if err := w.order(t != nil, "pause %s %t", slug, paused); err != nil {
		return err
	}
	w.mu.Lock()
	defer w.mu.Unlock()
	t.Paused = paused
	t.Status = map[bool]string{true: "Paused", false: "Idle"}[paused]
	return nil
}

func (w *world) KillTask(_ context.Context, slug string) error {
	return w.order(w.task(slug) != nil, "kill %s", slug)
}

func (w *world) Submit(_ context.Context, mode job.Mode) (job.Job, error) {
	j := job.Job{RequestID: jobID, Type: job.AdHoc, Mode: mode, Status: job.Pending, DateQueued: noon}
	err := w.order(true, "submit %s", mode)
	if err == nil {
		w.mu.Lock()
		defer w.mu.Unlock()
		w.jobs = append([]job.Job{j}, w.jobs...)
	}
	return j, err
}

func (w *world) knows(id string) bool {
	_, err := w.Job(context.Background(), id)
	return err == nil
}

func (w *world) Cancel(ctx context.Context, id string) error {
	if w.stuck {
		<-ctx.Done()
		return ctx.Err()
	}
	return w.order(w.knows(id), "cancel %s", id)
}

func (w *world) Retry(_ context.Context, id string) error {
	return w.order(w.knows(id), "retry %s", id)
}

func (w *world) AnswerRetirement(_ context.Context, id string, confirm bool) error {
	return w.order(w.knows(id), "retire %s %t", id, confirm)
}

func (w *world) Progress() pipeline.Progress {
	w.mu.Lock()
	defer w.mu.Unlock()
	return w.progress
}

func (w *world) QueriesSaved() {
	w.mu.Lock()
	defer w.mu.Unlock()
	w.note("due")
}

func (w *world) Preview(ctx context.Context, q threatconnect.Query) (pipeline.Preview, error) {
	return w.preview(ctx, q)
}
func (w *world) Trouble() string { return w.trouble }

// asked is the part of the world that is ThreatConnect.
type asked struct{ w *world }

func (a asked) Owners(ctx context.Context) ([]threatconnect.Owner, error) { return a.w.owners(ctx) }
func (a asked) Count(ctx context.Context, q threatconnect.Query) (int64, error) {
	return a.w.count(ctx, q)
}

func (w *world) options() Options {
	return Options{Store: w, Pipeline: w, ThreatConnect: asked{w}, Types: []string{"Address", "File", "Host"},
		Version: "1.0.0", Source: "ThreatConnect-Demo", Key: []byte(w.key), Logger: slog.New(slog.DiscardHandler)}
}

func (w *world) handler() http.Handler { return New(w.options()) }

// call sends a request as a script would and gives the answer.
func call(t *testing.T, h http.Handler, method, target, body string, headers ...string) *httptest.ResponseRecorder {
	t.Helper()
	r := httptest.NewRequest(method, target, strings.NewReader(body))
	r.Header.Set("X-Requested-With", "test")
	r.Header.Set("Content-Type", "application/json")
	for i := 0; i+1 < len(headers); i += 2 {
		r.Header.Set(headers[i], headers[i+1])
	}
	rec := httptest.NewRecorder()
	h.ServeHTTP(rec, r)
	return rec
}

func message(t *testing.T, rec *httptest.ResponseRecorder) string {
	t.Helper()
	var answer struct{ Message string }
	if err := json.NewDecoder(bytes.NewReader(rec.Body.Bytes())).Decode(&answer); err != nil && err != io.EOF {
		t.Fatalf("answer is not JSON: %v: %s", err, rec.Body)
	}
	return answer.Message
}

func oneSaved(id, tql string) store.Query {
	return store.Query{ID: id, Rank: 1, Owners: []string{"Demo Organization"}, Types: []string{"Address"}, TQL: tql, SortField: "dateAdded", SortDirection: "DESC", Version: "x"}
}
