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
	"sync/atomic"
	"testing"
	"time"

	"mssentinel/app/doctor"
	"mssentinel/app/job"
	"mssentinel/app/ledger"
	"mssentinel/app/pipeline"
	"mssentinel/app/store"
	"mssentinel/app/threatconnect"
)

// world is the Service around the screens: what they read, and what they had done.
type world struct {
	mu       sync.Mutex
	queries  []store.Query
	version  int
	saved    []savedVersion
	caller   string
	next     job.Mode
	jobs     []job.Job
	attempts []job.Attempt
	details  []job.Detail
	held     []store.Held
	problems []job.Problem
	tasks    []pipeline.Task
	runs     map[string]pipeline.Runs
	progress pipeline.Progress
	verified pipeline.Verification
	trouble  string
	overview pipeline.Overview
	calls    []string
	pages    atomic.Int64

	owners  func(context.Context) ([]threatconnect.Owner, error)
	count   func(context.Context, threatconnect.Query) (int64, error)
	preview func(context.Context, threatconnect.Query) (pipeline.Preview, error)
	// previewed are the settings of the last preview.
	previewed ledger.Settings
	known     []store.Known
	totals    store.QueryTotals
	leaving   func(context.Context, []string) (int64, error)
	refuse    error
	key       string
	broken    error
	stuck     bool // what is cancelled does not end
	doctor    *doctor.Doctor
	asked     []doctor.Request // what runs of the doctor were allowed

	// activity is what was done on all days, live what was last counted.
	activity store.Activity
	live     store.LiveTotals
}

// savedVersion is the list of queries as it was saved once.
type savedVersion struct {
	store.ListVersion
	queries []store.Query
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
			Objects:    []json.RawMessage{json.RawMessage(`{"name":"bad.example | <b>Owner</b>","pattern":"[domain-name:value = 'bad.example']"}`)},
			BelowFloor: 2,
			Rows: []pipeline.PreviewRow{{Subject: job.Subject{Indicator: 7, Value: "bad.example", Type: "Host", Owner: "Demo Organization"},
				Object:  json.RawMessage(`{"name":"bad.example | <b>Owner</b>","pattern":"[domain-name:value = 'bad.example']"}`),
				Pattern: "[domain-name:value = 'bad.example']"}},
			Problems: []string{"*.example is a wildcard"}}, nil
	}
	w.doctor = w.newDoctor(doctor.PagesProbe())
	w.leaving = func(_ context.Context, ids []string) (int64, error) { return 591 * int64(len(ids)), nil }
	w.tasks = []pipeline.Task{
		{Name: "Download", Slug: "download", Description: "Downloads indicators from ThreatConnect.", Status: "Running", Schedule: "when a job needs it", HeartbeatTimeout: 20 * time.Minute, LastHeartbeat: noon, LastRun: noon},
		{Name: "Cleaner", Slug: "cleaner", Description: "Cleans the filesystem and the database.", Status: "Idle", Schedule: "Every 2 hours", HeartbeatTimeout: 30 * time.Minute, NextRun: noon.Add(time.Hour)},
	}
	return w
}

// withDoctor is a world whose pipeline has the doctor's task.
func (w *world) withDoctor() *world {
	w.tasks = append(w.tasks, pipeline.Task{Name: "Doctor", Slug: "doctor", Description: "Asks.", Status: "Idle", Schedule: "Run only", RunOnly: true})
	return w
}

// newDoctor asks one question of its own, and those of other probes.
func (w *world) newDoctor(others ...doctor.Probe) *doctor.Doctor {
	return doctor.New(doctor.Options{Version: "1.0.0", Clean: func(s string) string { return s }, Logger: slog.New(slog.DiscardHandler),
		Keep: func(doctor.Report) error { return w.broken }, Probes: append([]doctor.Probe{{Area: doctor.Azure, Questions: []doctor.Question{{ID: "azure.role", Text: "Is the role <assigned>?"}},
			Examine: func(_ context.Context, r doctor.Request, a *doctor.Answers) string {
				w.asked = append(w.asked, r)
				a.Set("azure.role", doctor.Answer{Verdict: doctor.No, Evidence: "status 403 <b>", Effect: "Nothing arrives: assign it.", Differs: true})
				return "role missing"
			}}}, others...)})
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

func (w *world) SaveQueries(_ context.Context, queries []store.Query, version string, next job.Mode, by string) (string, error) {
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
	kept := savedVersion{ListVersion: store.ListVersion{Number: int64(len(w.saved) + 1), SavedAt: noon, SavedBy: by, Next: next, Queries: len(queries),
		Changes: store.CountChanges(store.CompareLists(w.queries, queries))}, queries: slices.Clone(queries)}
	w.queries, w.next, w.saved = queries, next, append(w.saved, kept)
	w.note("save %d %s", len(queries), next)
	return w.current(), nil
}

func (w *world) ListVersions(context.Context) (versions []store.ListVersion, err error) {
	for _, v := range slices.Backward(w.saved) {
		versions = append(versions, v.ListVersion)
	}
	return versions, w.broken
}

func (w *world) ListVersion(_ context.Context, number int64) (store.ListVersion, []store.Query, error) {
	if number < 1 || number > int64(len(w.saved)) {
		return store.ListVersion{}, nil, store.ErrNotFound
	}
	v := w.saved[number-1]
	return v.ListVersion, slices.Clone(v.queries), w.broken
}

func (w *world) QueryTotals(context.Context) (store.QueryTotals, error) { return w.totals, w.broken }

func (w *world) CountLeaving(ctx context.Context, ids []string, _ time.Time) (int64, error) {
	return w.leaving(ctx, ids)
}

// current is the version of the list.
func (w *world) current() string { return fmt.Sprint("v", w.version) }

func (w *world) Jobs(_ context.Context, f store.JobFilter) ([]job.Job, int64, error) {
	w.mu.Lock()
	defer w.mu.Unlock()
	var found []job.Job
	for _, j := range w.jobs {
		if strings.Contains(j.RequestID, f.RequestID) && (len(f.Statuses) == 0 || slices.Contains(f.Statuses, j.Status)) &&
			(f.Type == "" || f.Type == j.Type) && (f.Mode == "" && !f.Ranged || j.Ranged == f.Ranged && (f.Mode == "" || f.Mode == j.Mode)) &&
			!j.DateQueued.Before(f.Since) && (f.Before.IsZero() || j.DateQueued.Before(f.Before)) {
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

func (w *world) JobQueries(context.Context, string) (counts []store.QueryCounts, err error) {
	for _, d := range w.details {
		if last := len(counts) - 1; last < 0 || counts[last].QueryID != d.QueryID {
			counts = append(counts, store.QueryCounts{QueryID: d.QueryID, Type: d.Type})
		}
		q := &counts[len(counts)-1]
		q.Types++
		q.Add(d.Counts)
	}
	return counts, w.broken
}

func (w *world) JobDetails(_ context.Context, _, query string) (details []job.Detail, err error) {
	for _, d := range w.details {
		if query == "" || query == d.QueryID {
			details = append(details, d)
		}
	}
	return details, w.broken
}

func (w *world) Attempts(context.Context, string) ([]job.Attempt, error) {
	return w.attempts, w.broken
}

func (w *world) EachHeld(_ context.Context, id string, f store.HeldFilter, after int64, _ time.Time, handle func(store.Held) (bool, error)) error {
	j, err := w.Job(context.Background(), id)
	if err != nil {
		return err
	}
	if j.Status != job.ConfirmationRequired {
		return job.ErrState
	}
	for _, h := range w.held {
		if h.Number <= after || f.Query != "" && f.Query != h.Query || f.Cause != "" && f.Cause != h.Cause || f.Type != "" && f.Type != h.Type ||
			f.Owner != "" && f.Owner != h.Owner || !strings.Contains(h.Value+h.Owner, f.Text) {
			continue
		}
		if more, err := handle(h); err != nil || !more {
			return err
		}
	}
	return nil
}

func (w *world) SummarizeHeld(ctx context.Context, id string, part int64, now time.Time) (sum store.HeldSummary, err error) {
	last := int64(0)
	err = w.EachHeld(ctx, id, store.HeldFilter{}, 0, now, func(h store.Held) (bool, error) {
		if sum.Objects%part == 0 {
			sum.Starts = append(sum.Starts, last)
		}
		last, sum.Objects = h.Number, sum.Objects+1
		i := slices.IndexFunc(sum.Groups, func(g store.HeldGroup) bool {
			return g.Query == h.Query && g.Owner == h.Owner && g.Type == h.Type && g.Cause == h.Cause
		})
		if i < 0 {
			i = len(sum.Groups)
			sum.Groups = append(sum.Groups, store.HeldGroup{Query: h.Query, TQL: h.TQL, Position: h.Position, Owner: h.Owner, Type: h.Type, Cause: h.Cause})
		}
		sum.Groups[i].Objects++
		return true, nil
	})
	return sum, err
}

func (w *world) LastEnded(context.Context) (job.Job, bool, error) {
	w.mu.Lock()
	defer w.mu.Unlock()
	for _, j := range w.jobs {
		if !j.Status.Open() || j.Status == job.ConfirmationRequired {
			return j, true, w.broken
		}
	}
	return job.Job{}, false, w.broken
}

func (w *world) Lookup(_ context.Context, wanted string) ([]store.Known, error) {
	if strings.Contains(wanted, "nothing") {
		return nil, w.broken
	}
	return w.known, w.broken
}

// selected are the lines that a filter selects, as far as the tests need.
func (w *world) selected(f store.ProblemFilter) []job.Problem {
	var found []job.Problem
	for _, p := range w.problems {
		if strings.Contains(p.RequestID, f.RequestID) && (f.Step == "" || f.Step == p.Step) && (f.Code == "" || strings.EqualFold(string(f.Code), string(p.Code))) &&
			(f.Type == "" || strings.EqualFold(f.Type, p.Type)) && (f.Owner == "" || strings.EqualFold(f.Owner, p.Owner)) &&
			(f.Severity == "" || p.Note == (f.Severity == store.Notes)) && (f.Newest == 0 || p.ID <= f.Newest) &&
			(f.Since.IsZero() || !p.DateAdded.Before(f.Since)) && (f.Before.IsZero() || p.DateAdded.Before(f.Before)) && strings.Contains(p.Message, f.Text) {
			found = append(found, p)
		}
	}
	return found
}

func (w *world) Problems(_ context.Context, f store.ProblemFilter) ([]job.Problem, int64, error) {
	found := w.selected(f)
	total := len(found)
	found = found[min(f.Offset, total):min(f.Offset+f.Limit, total)]
	return found, int64(total), w.broken
}

// retriable are the lines that can be retried, as far as the tests need.
func (w *world) retriable(f store.ProblemFilter) []job.Problem {
	return slices.DeleteFunc(w.selected(f), func(p job.Problem) bool { return p.Note || p.Indicator == 0 })
}

func (w *world) RetryProblems(_ context.Context, f store.ProblemFilter) (job.Job, int64, error) {
	n := len(w.retriable(f))
	if n == 0 {
		return job.Job{}, 0, pipeline.ErrNothingToRetry
	}
	w.jobs = []job.Job{{RequestID: jobID, Type: job.AdHoc, Mode: job.Delta, Status: job.Pending, DateQueued: noon}}
	return w.jobs[0], int64(n), w.order(true, "retry %d lines %s", n, f.Code)
}

func (w *world) EachProblem(_ context.Context, f store.ProblemFilter, limit int, handle func(job.Problem) error) error {
	found := w.selected(f)
	for _, p := range found[min(f.Offset, len(found)):min(f.Offset+limit, len(found))] {
		if err := handle(p); err != nil {
			return err
		}
	}
	return w.broken
}

func (w *world) ProblemGroups(_ context.Context, f store.ProblemFilter) (groups []store.ProblemGroup, newest int64, err error) {
	for _, p := range w.selected(f) {
		newest = max(newest, p.ID)
		i := slices.IndexFunc(groups, func(g store.ProblemGroup) bool {
			return g.Step == p.Step && g.Code == p.Code && g.Type == p.Type && g.Note == p.Note
		})
		if i < 0 {
			i = len(groups)
			groups = append(groups, store.ProblemGroup{Step: p.Step, Code: p.Code, Type: p.Type, Note: p.Note, Newest: p.DateAdded})
		}
		groups[i].Count++
		if !p.Note && p.Indicator != 0 {
			groups[i].Retriable++
		}
	}
	return groups, newest, w.broken
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

func (w *world) TaskRuns(context.Context) (map[string]pipeline.Runs, error) { return w.runs, w.broken }

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

func (w *world) Submit(_ context.Context, r job.Request) (job.Job, error) {
	j := job.Job{RequestID: jobID, Type: job.AdHoc, Mode: r.Mode, Status: job.Pending, DateQueued: noon}
	did := "submit " + string(r.Mode)
	if r.HasRange() {
		j.Ranged, j.WindowStart, j.WindowEnd = true, &r.From, &r.To
		did += r.From.Format(" from 2006-01-02T15:04Z07:00") + r.To.Format(" to 2006-01-02T15:04Z07:00")
	}
	err := w.order(true, "%s", did)
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

func (w *world) Verify(_ context.Context, all bool) error {
	err := w.order(true, "verify all %t", all)
	if err == nil {
		w.mu.Lock()
		defer w.mu.Unlock()
		w.verified = pipeline.Verification{Running: true, Verification: store.Verification{State: store.VerificationRunning, Began: noon, All: all}}
	}
	return err
}

func (w *world) CancelVerification() error { return w.order(true, "cancel verification") }

func (w *world) LastVerification(context.Context) (store.Verification, error) {
	w.mu.Lock()
	defer w.mu.Unlock()
	return w.verified.Verification, w.broken
}

func (w *world) Verification(context.Context) (pipeline.Verification, error) {
	w.mu.Lock()
	defer w.mu.Unlock()
	v := w.verified
	v.Types, v.Examples = slices.Clone(v.Types), slices.Clone(v.Examples)
	return v, w.broken
}

func (w *world) SendAgain(context.Context) (job.Job, int64, error) {
	return job.Job{RequestID: jobID}, 5, w.order(true, "send again")
}

func (w *world) RetireUnexpected(context.Context) (job.Job, int64, error) {
	return job.Job{RequestID: jobID}, 2, w.order(true, "retire unexpected")
}

func (w *world) QueriesSaved() {
	w.mu.Lock()
	defer w.mu.Unlock()
	w.note("due")
}

func (w *world) Preview(ctx context.Context, q threatconnect.Query, settings ledger.Settings) (pipeline.Preview, error) {
	w.mu.Lock()
	w.previewed = settings
	w.mu.Unlock()
	return w.preview(ctx, q)
}
func (w *world) BeginPage() (done func()) {
	w.pages.Add(1)
	return func() { w.pages.Add(-1) }
}

func (w *world) Trouble() string { return w.trouble }

func (w *world) Overview(context.Context) (pipeline.Overview, error) {
	w.mu.Lock()
	defer w.mu.Unlock()
	return w.overview, w.broken
}

// asked is the part of the world that is ThreatConnect.
type asked struct{ w *world }

func (a asked) Owners(ctx context.Context) ([]threatconnect.Owner, error) { return a.w.owners(ctx) }
func (a asked) Count(ctx context.Context, q threatconnect.Query) (int64, error) {
	return a.w.count(ctx, q)
}

func (w *world) options() Options {
	return Options{Store: w, Pipeline: w, ThreatConnect: asked{w}, ObjectsPerSecond: 100, Doctor: w.doctor, Types: []string{"Address", "File", "Host"},
		Version: "1.0.0", Caller: func(context.Context) string { return w.caller }, ThreatConnectPages: "https://tc.example", Source: "ThreatConnect-Demo", Key: []byte(w.key), Logger: slog.New(slog.DiscardHandler)}
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
