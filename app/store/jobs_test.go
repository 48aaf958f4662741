package store

import (
	"context"
	"errors"
	"fmt"
	"slices"
	"strings"
	"testing"
	"time"

	"mssentinel/app/job"
	"mssentinel/app/ledger"

	"github.com/google/go-cmp/cmp"
)

func TestNextJob(t *testing.T) {
	f := newFixture(t)
	add := func(kind job.Type) job.Job {
		j, err := f.AddJob(ctx(), job.Request{Type: kind, Mode: job.Delta}, f.now)
		f.do(err)
		return j
	}
	next := func(want *job.Job) {
		t.Helper()
		got, found, err := f.NextJob(ctx(), f.now)
		f.do(err)
		if found != (want != nil) || found && got.RequestID != want.RequestID {
			t.Errorf("next is %+v, want %+v", got, want)
		}
	}
	next(nil)
	asked, scheduled, second := add(job.AdHoc), add(job.Scheduled), add(job.Scheduled)
	next(&scheduled)
	later := f.now.Add(time.Minute)
	f.wait(scheduled, later)
	next(&second)
	f.status(asked, job.UploadInProgress)
	next(&asked)
	f.status(asked, job.UploadComplete)
	f.status(second, job.Failed)
	next(nil)
	f.now = later
	next(&scheduled)
	f.wait(scheduled, later.AddDate(0, 1, 0)) // the clock ran ahead then
	next(&scheduled)
}

// Asking twice by hand does it once, as long as the first one has not begun.
func TestAskingTwice(t *testing.T) {
	f := newFixture(t)
	add := func(r job.Request) job.Job {
		t.Helper()
		j, err := f.AddJob(ctx(), r, f.now)
		f.do(err)
		return j
	}
	from, to := f.now.Add(-2*time.Hour), f.now.Add(-time.Hour)
	requests := []job.Request{
		{Type: job.AdHoc, Mode: job.Delta}, {Type: job.AdHoc, Mode: job.Full}, {Type: job.AdHoc, Mode: job.Reconcile},
		{Type: job.AdHoc, Mode: job.Delta, From: from, To: to}, {Type: job.AdHoc, Mode: job.Delta, From: from, To: to.Add(time.Minute)},
	}
	first := map[job.Request]string{}
	for _, r := range requests {
		j := add(r)
		first[r] = j.RequestID
		if j.Ranged != r.HasRange() || r.HasRange() && (!j.WindowStart.Equal(r.From) || !j.WindowEnd.Equal(r.To)) {
			t.Errorf("%+v was kept as %+v", r, j)
		}
	}
	for _, r := range requests {
		if again := add(r); again.RequestID != first[r] {
			t.Errorf("%+v was queued a second time", r)
		}
	}
	if _, total, err := f.Jobs(ctx(), JobFilter{}); err != nil || total != int64(len(requests)) {
		t.Errorf("%d jobs, %v", total, err)
	}
	// A scheduled one is another thing, and so is one that has begun, whatever became of it.
	if a, b := add(job.Request{Type: job.Scheduled, Mode: job.Delta}), add(job.Request{Type: job.Scheduled, Mode: job.Delta}); a.RequestID == b.RequestID {
		t.Error("a scheduled update was not queued")
	}
	f.do(second(f.BeginAttempt(ctx(), first[requests[0]], f.now, f.now)))
	if again := add(requests[0]); again.RequestID == first[requests[0]] {
		t.Error("a delta was not queued behind one that runs")
	}
}

func (f *fixture) wait(update job.Job, until time.Time) {
	f.Helper()
	f.do(second(f.UpdateJob(ctx(), update.RequestID, func(j *job.Job) error { j.RetryAfter = &until; return nil })))
}

func TestUpdateJob(t *testing.T) {
	f := newFixture(t)
	update := f.begin(job.Full)
	f.apply(update, 0, 3)
	at := func(n int) *time.Time { t := noon.Add(time.Duration(n) * time.Minute); return &t }
	want := job.Job{Number: update.Number, RequestID: update.RequestID, Type: job.AdHoc, Mode: job.Full, Status: job.UploadInProgress, Message: "so far",
		DateQueued: noon, DateStarted: at(1), DateDownloadStart: at(2), DateDownloadComplete: at(3), DateConvertStart: at(4),
		DateConvertComplete: at(5), DateUploadStart: at(6), DateUploadComplete: at(7), DateCompleted: at(8), DateFailed: at(9),
		WindowStart: at(10), WindowEnd: at(11), FailureCount: 2, RetryAfter: at(12), Counts: job.Counts{Downloaded: 3, Queued: 3}}
	got, err := f.UpdateJob(ctx(), update.RequestID, func(j *job.Job) error {
		*j = want
		j.Counts = job.Counts{Uploaded: 99}
		return nil
	})
	f.do(err)
	if diff := cmp.Diff(want, f.get(update)); diff != "" {
		t.Errorf("kept (-want +got):\n%s", diff)
	}
	refusal := errors.New("no")
	if _, err := f.UpdateJob(ctx(), update.RequestID, func(j *job.Job) error { j.Message = "changed"; return refusal }); !errors.Is(err, refusal) {
		t.Errorf("error %v", err)
	}
	if f.get(got).Message != "so far" {
		t.Error("a change that failed was kept")
	}
	if _, err := f.UpdateJob(ctx(), "none", func(*job.Job) error { return nil }); !errors.Is(err, ErrNotFound) {
		t.Errorf("no such job: %v", err)
	}
}

func TestJobs(t *testing.T) {
	f := newFixture(t)
	var jobs []job.Job
	for i := range 7 {
		kind := job.Scheduled
		if i%2 == 0 {
			kind = job.AdHoc
		}
		update, err := f.AddJob(ctx(), job.Request{Type: kind, Mode: job.Delta}, f.now)
		f.do(err)
		f.status(update, job.UploadComplete) // so that the next one is another
		jobs = append(jobs, update)
	}
	f.status(jobs[2], job.Failed)
	for _, c := range []struct {
		name   string
		filter JobFilter
		want   []int
		total  int64
	}{
		{"all", JobFilter{}, []int{6, 5, 4, 3, 2, 1, 0}, 7},
		{"a page", JobFilter{Offset: 2, Limit: 2}, []int{4, 3}, 7},
		{"beyond", JobFilter{Offset: 100}, nil, 7},
		{"negative", JobFilter{Offset: -1, Limit: -1}, []int{6, 5, 4, 3, 2, 1, 0}, 7},
		{"status", JobFilter{Statuses: []job.Status{job.Failed, job.Cancelled}}, []int{2}, 1},
		{"type", JobFilter{Type: job.Scheduled}, []int{5, 3, 1}, 3},
		{"a part of the id", JobFilter{RequestID: strings.ToUpper(jobs[4].RequestID[3:30])}, []int{4}, 1},
		{"no pattern", JobFilter{RequestID: "%"}, nil, 0},
		{"none either", JobFilter{RequestID: "_"}, nil, 0},
	} {
		got, total, err := f.Jobs(ctx(), c.filter)
		f.do(err)
		var numbers []int
		for _, j := range got {
			numbers = append(numbers, int(j.Number-jobs[0].Number))
		}
		if diff := cmp.Diff(c.want, numbers); diff != "" || total != c.total {
			t.Errorf("%s: %d in all, want %d (-want +got):\n%s", c.name, total, c.total, diff)
		}
	}
	if _, err := f.Job(ctx(), "none"); !errors.Is(err, ErrNotFound) {
		t.Errorf("no such job: %v", err)
	}
}

func TestJobDetails(t *testing.T) {
	f := newFixture(t)
	queries := f.save(Query{Owners: []string{"o"}, Types: []string{"Host"}, TQL: "high"}, f.mark("one").Query)
	j := f.begin(job.Full)
	high := f.found(1, 1)
	high.Type = "URL"
	bad := ledger.Found{Indicator: 9, Owner: "o", Type: "Host", Problems: []job.Problem{{Step: "Convert", Code: "invalid-value", Message: "no value"}}}
	for _, q := range queries {
		found := []ledger.Found{high}
		if q.TQL == "one" {
			found = []ledger.Found{f.found(1, 0), f.found(2, 0), bad}
		}
		f.do(second(f.Apply(ctx(), ledger.Batch{Job: j.Number, Mode: job.Full, Query: q.Number, Now: f.now, Found: found})))
	}
	f.upload()
	f.do(second(f.Apply(ctx(), ledger.Batch{Job: j.Number, Mode: job.Full, Query: queries[0].Number, Now: f.now, Found: []ledger.Found{bad}})))
	got, err := f.JobDetails(ctx(), j.RequestID, "")
	f.do(err)
	want := []job.Detail{
		{QueryID: queries[0].ID, Type: "Host", Counts: job.Counts{Downloaded: 1, Invalid: 1}},
		{QueryID: queries[0].ID, Type: "URL", Counts: job.Counts{Downloaded: 1, Queued: 1, Uploaded: 1}},
		{QueryID: queries[1].ID, Type: "Host", Counts: job.Counts{Downloaded: 3, Invalid: 1, Duplicate: 1, Queued: 1, Uploaded: 1}},
	}
	if diff := cmp.Diff(want, got); diff != "" {
		t.Errorf("details (-want +got):\n%s", diff)
	}
	for _, q := range queries {
		of := slices.DeleteFunc(slices.Clone(want), func(d job.Detail) bool { return d.QueryID != q.ID })
		got, err := f.JobDetails(ctx(), j.RequestID, q.ID)
		f.do(err)
		if diff := cmp.Diff(of, got); diff != "" {
			t.Errorf("details of query %d (-want +got):\n%s", q.Rank, diff)
		}
	}
	sums, err := f.JobQueries(ctx(), j.RequestID)
	f.do(err)
	wantSums := []QueryCounts{
		{QueryID: queries[0].ID, Types: 2, Type: "Host", Counts: job.Counts{Downloaded: 2, Invalid: 1, Queued: 1, Uploaded: 1}},
		{QueryID: queries[1].ID, Types: 1, Type: "Host", Counts: want[2].Counts},
	}
	if diff := cmp.Diff(wantSums, sums); diff != "" {
		t.Errorf("sums (-want +got):\n%s", diff)
	}
	_, err = f.JobQueries(ctx(), "none")
	if _, other := f.JobDetails(ctx(), "none", ""); !errors.Is(err, ErrNotFound) || !errors.Is(other, ErrNotFound) {
		t.Errorf("no such job: %v, %v", err, other)
	}
}

func TestCancelJob(t *testing.T) {
	f := newFixture(t)
	update := f.begin(job.Full)
	const n = 2*dropChunk + 10
	f.apply(update, 0, n)
	away, err := f.Outgoing(ctx(), 0, 5)
	f.do(err)
	f.do(f.CancelJob(ctx(), update.RequestID, f.now))
	j := f.get(update)
	if j.Status != job.Cancelled || j.DateCompleted == nil || j.Queued != 0 {
		t.Errorf("cancelled: %s, %d queued", j.Status, j.Queued)
	}
	f.wantWaiting(0, "rows in the outbox")
	f.wantNumber(5, "objects that may stand", `SELECT count(*) FROM object WHERE state = 1`)
	// The answers to what was under way still come.
	f.do(f.Settle(ctx(), Settlement{At: f.now, Accepted: away[:3], Rejected: []RejectedObject{{away[3], "Bad", "no", false}}}))
	if got := f.get(update).Counts; got.Uploaded != 0 || got.Rejected != 0 {
		t.Errorf("counted %+v", got)
	}
	for _, s := range []job.Status{job.Cancelled, job.UploadComplete, job.Failed, job.ConfirmationRequired} {
		f.status(update, s)
		if err := f.CancelJob(ctx(), update.RequestID, f.now); !errors.Is(err, job.ErrState) {
			t.Errorf("cancelled while %s: %v", s, err)
		}
	}
	if err := f.CancelJob(ctx(), "none", f.now); !errors.Is(err, ErrNotFound) {
		t.Errorf("no such job: %v", err)
	}
	// A later delta sends what it reads of it, since nothing of it counts as sent.
	if got := f.apply(f.begin(job.Delta), 0, n); got.Queued != n {
		t.Errorf("the next update queued %d", got.Queued)
	}
}

// A retirement that was cancelled is found again.
func TestCancelRetirement(t *testing.T) {
	f := newFixture(t)
	f.fill(3)
	j, got := f.leave(1, 3)
	if got.Queued != 1 {
		t.Fatalf("%+v", got)
	}
	f.do(f.CancelJob(ctx(), j.RequestID, f.now))
	if again := f.retire(f.begin(job.Delta)); again != got {
		t.Errorf("after the cancellation: %+v", again)
	}
}

func TestProblems(t *testing.T) {
	f := newFixture(t)
	jobs := []job.Job{f.begin(job.Full), f.begin(job.Full)}
	long := strings.Repeat("ä", job.MaxRaw)
	f.do(f.AddProblems(ctx(), jobs[0].Number, []job.Problem{
		{Step: "Convert", Code: "invalid-value", Message: "50% of it", Raw: `{"summary":"x"}`, DateAdded: noon},
		{Step: "Download", Code: "query", Message: "snake_case \xff", Note: true},
	}))
	f.do(f.AddProblems(ctx(), jobs[1].Number, []job.Problem{{Step: "Upload", Code: "Bad", Message: long, Raw: long}}))
	f.do(f.AddProblems(ctx(), 0, []job.Problem{{Step: "Upload", Code: "Bad", Message: "of no job"}}))
	if listed, _, err := f.Jobs(ctx(), JobFilter{}); err != nil || listed[1].OtherErrors != 1 || f.get(jobs[0]).OtherErrors != 1 {
		t.Errorf("jobs say that one line is about no indicator: %v %+v", err, listed)
	}
	for _, c := range []struct {
		filter ProblemFilter
		want   string
	}{
		{ProblemFilter{}, "4 3 2 1 of 4"},
		{ProblemFilter{Offset: 4}, "of 4"},
		{ProblemFilter{Offset: 1, Limit: 2}, "3 2 of 4"},
		{ProblemFilter{RequestID: jobs[0].RequestID[:13]}, "2 1 of 2"},
		{ProblemFilter{Step: "Upload"}, "4 3 of 2"},
		{ProblemFilter{Step: "Upload", RequestID: jobs[1].RequestID}, "3 of 1"},
		{ProblemFilter{Code: "query"}, "2 of 1"},
		{ProblemFilter{Text: "50%"}, "1 of 1"},
		{ProblemFilter{Text: "e_c"}, "2 of 1"},
		{ProblemFilter{Text: "summary"}, "of 0"}, // of the object concerned,
		{ProblemFilter{Text: "%"}, "1 of 1"},
		{ProblemFilter{Text: `\`}, "of 0"},
		{ProblemFilter{Code: "QUERY"}, "2 of 1"},
		{ProblemFilter{Severity: Notes}, "2 of 1"},
		{ProblemFilter{Severity: Errors}, "4 3 1 of 3"},
		{ProblemFilter{Newest: 3, Limit: 1}, "3 of 3"},
		{ProblemFilter{Since: noon.Add(-time.Hour), Before: noon.Add(time.Millisecond)}, "1 of 1"},
		{ProblemFilter{Before: noon}, "of 0"},
		{ProblemFilter{Since: noon, Before: noon.Add(time.Millisecond)}, "1 of 1"},
		{ProblemFilter{Since: noon.Add(time.Millisecond), Before: noon.Add(time.Hour)}, "of 0"},
	} {
		got, total, err := f.Problems(ctx(), c.filter)
		f.do(err)
		var ids []string
		for _, p := range got {
			ids = append(ids, fmt.Sprint(p.ID))
		}
		if s := strings.TrimSpace(strings.Join(ids, " ") + fmt.Sprintf(" of %d", total)); s != c.want {
			t.Errorf("%+v: %s, want %s", c.filter, s, c.want)
		}
	}
	var each []int64
	f.do(f.EachProblem(ctx(), ProblemFilter{Offset: 1}, 2, func(p job.Problem) error {
		each = append(each, p.ID)
		return nil
	}))
	if !slices.Equal(each, []int64{3, 2}) {
		t.Errorf("one by one: %v", each)
	}
	_, total, err := f.Problems(ctx(), ProblemFilter{})
	f.do(err)
	for offset := range int(total) + 2 { // whether the total is known makes no difference
		for limit := 1; limit < int(total)+2; limit++ {
			var ids [2][]int64
			for i, known := range []int64{0, total} {
				f.do(f.EachProblem(ctx(), ProblemFilter{Offset: offset, Total: known}, limit, func(p job.Problem) error {
					ids[i] = append(ids[i], p.ID)
					return nil
				}))
			}
			if want := min(max(int(total)-offset, 0), limit); len(ids[0]) != want || !slices.Equal(ids[0], ids[1]) {
				t.Errorf("%d lines from %d on: %v, and %v of %d", limit, offset, ids[0], ids[1], total)
			}
		}
	}
	enough := errors.New("enough")
	if err := f.EachProblem(ctx(), ProblemFilter{}, 10, func(job.Problem) error { return enough }); !errors.Is(err, enough) || f.read.Stats().InUse > 0 {
		t.Errorf("ended with %v, %d connections in use", err, f.read.Stats().InUse)
	}
	for since, want := range map[time.Time]int64{{}: 3, noon: 3, noon.Add(time.Millisecond): 2} {
		if n, err := f.CountErrors(ctx(), since); err != nil || n != want {
			t.Errorf("%d errors since %s, want %d: %v", n, since, want, err)
		}
	}
	p, err := f.Problem(ctx(), 1)
	f.do(err)
	want := job.Problem{ID: 1, RequestID: jobs[0].RequestID, DateAdded: noon, Step: "Convert", Code: "invalid-value", Message: "50% of it", Raw: `{"summary":"x"}`}
	if diff := cmp.Diff(want, p); diff != "" {
		t.Errorf("line 1 (-want +got):\n%s", diff)
	}
	p, err = f.Problem(ctx(), 3)
	f.do(err)
	if len(p.Raw) > job.MaxRaw || len(p.Raw) < job.MaxRaw-4 || !strings.HasSuffix(p.Raw, "ä…") || len(p.Message) > job.MaxMessage {
		t.Errorf("not bounded: %d and %d bytes, ends in %q", len(p.Message), len(p.Raw), p.Raw[len(p.Raw)-6:])
	}
	if p, _ := f.Problem(ctx(), 2); p.Message != "snake_case \uFFFD" || !p.Note || p.DateAdded.IsZero() {
		t.Errorf("line 2: %+v", p)
	}
	if _, err := f.Problem(ctx(), 99); !errors.Is(err, ErrNotFound) {
		t.Errorf("no such line: %v", err)
	}
}

// Lines about indicators name them, from wherever they come, and are counted by step, code and type.
func TestProblemsByKind(t *testing.T) {
	f := newFixture(t)
	j := f.begin(job.Full)
	b := ledger.Batch{Job: j.Number, Mode: j.Mode, Query: f.query, Now: f.now}
	for id := range int64(5) {
		found := f.found(id, 0)
		if id > 1 {
			found.Objects = nil
			found.Problems = []job.Problem{{Step: job.StepConvert, Code: job.CodeInvalidValue, Message: fmt.Sprint("wrong ", id), Raw: "{}",
				Note: id == 4, Subject: job.Subject{Type: "Host", Value: fmt.Sprintf("bad%d", id), Owner: "o"}}}
		}
		b.Found = append(b.Found, found)
	}
	f.do(second(f.Apply(ctx(), b)))
	out, err := f.Outgoing(ctx(), 0, 10)
	f.do(err)
	f.now = f.now.Add(time.Minute)
	f.do(f.Settle(ctx(), Settlement{At: f.now, Accepted: out[:1], Rejected: []RejectedObject{{Outgoing: out[1], Code: "sentinel-rejected", Message: "no"}}}))
	groups, newest, err := f.ProblemGroups(ctx(), ProblemFilter{})
	f.do(err)
	want := []ProblemGroup{
		{Step: job.StepConvert, Code: job.CodeInvalidValue, Type: "Host", Count: 2, Retriable: 2, Newest: noon},
		{Step: job.StepUpload, Code: "sentinel-rejected", Type: "Host", Count: 1, Retriable: 1, Newest: f.now},
		{Step: job.StepConvert, Code: job.CodeInvalidValue, Type: "Host", Note: true, Count: 1, Newest: noon},
	}
	if diff := cmp.Diff(want, groups); diff != "" || newest != 4 {
		t.Errorf("newest %d, groups (-want +got):\n%s", newest, diff)
	}
	for filter, want := range map[string]ProblemFilter{
		"4 1.example v0|2 o": {Step: job.StepUpload}, "3 bad4|5 o 2 bad3|4 o 1 bad2|3 o": {Code: "Invalid-Value", Type: "host", Owner: "O"},
		"": {Type: "File"}, "2 bad3|4 o": {Text: "AD3"}, "1 bad2|3 o": {Indicators: []int64{3, 99}},
	} {
		var got []string
		f.do(f.EachProblem(ctx(), want, 100, func(p job.Problem) error {
			got = append(got, fmt.Sprintf("%d %s|%d %s", p.ID, p.Value, p.Indicator, p.Owner))
			return nil
		}))
		if strings.ReplaceAll(strings.Join(got, " "), "4 1.example v0|2 ", "4 1.example v0|2 o") != filter {
			t.Errorf("%+v gives %q, want %q", want, got, filter)
		}
	}
	stop := errors.New("enough")
	if err := f.EachProblem(ctx(), ProblemFilter{Offset: 1}, 2, func(job.Problem) error { return stop }); !errors.Is(err, stop) {
		t.Errorf("ended by %v", err)
	}
}

// Notes, updates that failed and lines of deleted queries are not retried.
func TestRetriable(t *testing.T) {
	f := newFixture(t)
	j := f.begin(job.Full)
	b := ledger.Batch{Job: j.Number, Mode: j.Mode, Query: f.query, Now: f.now}
	for id := range int64(retryChunk + 10) {
		found := f.found(id, 0)
		found.Objects = nil
		found.Problems = []job.Problem{{Step: job.StepConvert, Code: job.CodeInvalidValue, Message: "wrong", Note: id < 3}}
		b.Found = append(b.Found, found)
	}
	f.do(second(f.Apply(ctx(), b)))
	f.do(f.AddProblems(ctx(), j.Number, []job.Problem{{Step: job.StepDownload, Code: job.CodeUpdateFailed, Message: "failed"}}))
	want := func(retriable, lines int64) {
		t.Helper()
		groups, _, err := f.ProblemGroups(ctx(), ProblemFilter{})
		f.do(err)
		var n int64
		for _, g := range groups {
			n += g.Retriable
		}
		if n != retriable {
			t.Errorf("%d lines can be retried, want %d", n, retriable)
		}
		f.wantNumber(lines, "lines", `SELECT count(*) FROM problem`)
		f.wantNumber(lines, "objects concerned", `SELECT count(*) FROM problem_raw`)
	}
	want(retryChunk+7, retryChunk+11)
	if n, err := f.RetryProblems(ctx(), ProblemFilter{Indicators: []int64{20, 30}}); n != 2 || err != nil {
		t.Errorf("%d, %v", n, err)
	}
	if n, err := f.RetryProblems(ctx(), ProblemFilter{}); n != retryChunk+5 || err != nil {
		t.Errorf("%d, %v", n, err)
	}
	want(0, 4)
	f.reopen()
	var all []ledger.Origin
	for after := (ledger.Origin{}); ; {
		origins, err := f.Rechecks(ctx(), after, 500)
		f.do(err)
		if len(origins) == 0 {
			break
		}
		all, after = append(all, origins...), origins[len(origins)-1]
	}
	if len(all) != retryChunk+7 {
		t.Errorf("%d indicators are asked for", len(all))
	}
	f.do(f.DropRechecks(ctx(), all[1:]))
	f.wantNumber(1, "left", `SELECT count(*) FROM recheck`)

	// A query that was deleted is not asked any more.
	b.Found = b.Found[5:6]
	b.Job = f.begin(job.Full).Number
	f.do(second(f.Apply(ctx(), b)))
	f.save()
	want(0, 5)
}

// How an attempt failed is kept with it, and what went wrong is on REPORT, about no query. The job that ended last is found by its end.
func TestAttempts(t *testing.T) {
	f := newFixture(t)
	if _, found, err := f.LastEnded(ctx()); err != nil || found {
		t.Errorf("a job has ended: %v (%v)", found, err)
	}
	j := f.begin(job.Full)
	if _, found, err := f.LastEnded(ctx()); err != nil || found {
		t.Errorf("a job has ended: %v (%v)", found, err)
	}
	f.now = f.now.Add(time.Minute)
	j, err := f.FailJob(ctx(), j.RequestID, f.now, "It failed.", false, 0, job.Problem{Step: job.StepDownload, Code: job.CodeUpdateFailed, Message: "failed", DateAdded: f.now})
	f.do(err)
	if lines, n, err := f.Problems(ctx(), ProblemFilter{RequestID: j.RequestID}); err != nil || n != 1 || lines[0].Message != "failed" || f.get(j).OtherErrors != 1 {
		t.Errorf("REPORT has %+v (%v); %+v", lines, err, f.get(j).Counts)
	}
	f.do(second(f.UpdateJob(ctx(), j.RequestID, (*job.Job).Retry)))
	f.now = f.now.Add(time.Minute)
	j = f.beginAgain(j)
	other := f.begin(job.Delta)
	f.now = f.now.Add(time.Minute)
	f.complete(other)
	if last, found, err := f.LastEnded(ctx()); err != nil || !found || last.RequestID != other.RequestID {
		t.Errorf("the last one is %+v, %v (%v)", last, found, err)
	}
	f.now = f.now.Add(time.Minute)
	f.complete(j)
	if last, found, err := f.LastEnded(ctx()); err != nil || !found || last.RequestID != j.RequestID {
		t.Errorf("the last one is %+v, %v (%v)", last, found, err)
	}
	attempts, err := f.Attempts(ctx(), j.RequestID)
	f.do(err)
	minute := func(n int) time.Time { return noon.Add(time.Duration(n) * time.Minute) }
	first, last := minute(1), minute(4)
	want := []job.Attempt{{Number: 2, Started: minute(2), Ended: &last}, {Number: 1, Started: noon, Ended: &first, Failure: "It failed."}}
	if diff := cmp.Diff(want, attempts); diff != "" {
		t.Errorf("(-want +got):\n%s", diff)
	}
	if _, err := f.Attempts(ctx(), "none"); !errors.Is(err, ErrNotFound) {
		t.Errorf("attempts at no job: %v", err)
	}
}

// What Sentinel refused is sent again once its line is retried, a retirement as well, and what is about no object of the ledger is
// asked for again.
func TestRetryOfWhatSentinelRefused(t *testing.T) {
	f := newFixture(t)
	j := f.begin(job.Full)
	f.apply(j, 0, 3)
	out, err := f.Outgoing(ctx(), 0, 10)
	f.do(err)
	f.do(f.Settle(ctx(), Settlement{At: f.now, Accepted: []*Outgoing{out[0], out[2]}, Rejected: []RejectedObject{{Outgoing: out[1], Code: "Bad", Message: "no"}}}))
	f.complete(j)
	j, _ = f.leave(1, 3)
	if out, err = f.Outgoing(ctx(), out[2].Seq, 10); err != nil || len(out) != 1 {
		t.Fatal(len(out), err)
	}
	f.do(f.Settle(ctx(), Settlement{At: f.now, Rejected: []RejectedObject{{Outgoing: out[0], Code: "Bad", Message: "no"}}}))
	raws := map[int64]string{ // of indicators that were not sent
		0:  `{"of":"nobody"}`, // which nobody can ask for
		1:  `{"id":1}`,
		11: "no JSON", 12: `{"id":12}`, 13: `{"id":"indicator--13"}`, 14: `{"id":"6ba7b810-9dad-11d1-80b4-00c04fd430c8"}`, 15: `{}`,
		16: `{"id":"indicator--6ba7b810-9dad-51d1-80b4-00c04fd430c8"}`, // of no object of the ledger
	}
	b := ledger.Batch{Job: j.Number, Mode: j.Mode, Query: f.query, Now: f.now}
	for id, raw := range raws {
		b.Found = append(b.Found, ledger.Found{Indicator: id, Owner: "o", Type: "Host", Modified: f.now,
			Problems: []job.Problem{{Step: job.StepConvert, Code: job.CodeInvalidValue, Message: "wrong", Raw: raw}}})
	}
	f.do(second(f.Apply(ctx(), b)))
	f.complete(j)
	if got := f.retire(f.begin(job.Delta)); got != (Retirement{}) {
		t.Errorf("before the retry: %+v", got)
	}
	if vacant, err := f.HasVacant(ctx()); err != nil || !vacant { // the retirement
		t.Errorf("something is vacant: %v (%v)", vacant, err)
	}
	if _, n, err := f.Problems(ctx(), ProblemFilter{Indicators: []int64{12}}); err != nil || n != 1 {
		t.Errorf("%d lines are about one (%v)", n, err)
	}
	if n, err := f.RetryProblems(ctx(), ProblemFilter{}); err != nil || n != 9 {
		t.Errorf("%d lines are retried (%v)", n, err)
	}
	asked, err := f.Rechecks(ctx(), ledger.Origin{}, 100)
	f.do(err)
	var indicators []int64
	for _, o := range asked {
		indicators = append(indicators, o.Indicator)
	}
	if !slices.Equal(indicators, []int64{1, 11, 12, 13, 14, 15}) {
		t.Errorf("asked for again are %v", indicators)
	}
	if next, _, err := f.Vacant(ctx(), 0, 10); err != nil || len(next) != 1 || next[0] != (ledger.Origin{Query: f.query, Indicator: 2}) {
		t.Errorf("sent again is %v (%v)", next, err)
	}
	if got := f.retire(f.begin(job.Delta)); got != (Retirement{Queued: 1}) {
		t.Errorf("after the retry: %+v", got)
	}
}

// So many lines are retried at once, the newest first; the rest waits for the next time.
func TestRetriesAreBounded(t *testing.T) {
	f := newFixture(t)
	f.do(f.inTransaction(ctx(), func(ctx context.Context, tx *transaction) error {
		_, err := tx.ExecContext(ctx, `WITH RECURSIVE series (value) AS (SELECT 1 UNION ALL SELECT value + 1 FROM series LIMIT ?2)
			INSERT INTO problem (query, indicator, type, value, owner, at, step, code, message, note, retry)
			SELECT ?1, value, '', '', '', 0, 'Convert', 'mapper', '', 0, -1 FROM series`, f.query, MaxRetried+10)
		if err == nil {
			_, err = tx.ExecContext(ctx, `INSERT INTO problem_raw (id, raw) SELECT id, '{}' FROM problem`)
		}
		return err
	}))
	for _, want := range []int64{MaxRetried, 10, 0} {
		if n, err := f.RetryProblems(ctx(), ProblemFilter{}); err != nil || n != want {
			t.Errorf("%d lines are retried (%v), want %d", n, err, want)
		}
		if want == MaxRetried {
			f.wantNumber(10, "newest indicator that is left", `SELECT max(indicator) FROM problem`)
		}
	}
}

func TestSplitName(t *testing.T) {
	for name, want := range map[string][2]string{"bad.example | Alpha": {"bad.example", "Alpha"}, "a | b | c": {"a | b", "c"}, "plain": {"plain", ""}, "": {"", ""}, " | Alpha": {"", "Alpha"}, "a |": {"a |", ""}} {
		if value, owner := splitName(name); value != want[0] || owner != want[1] {
			t.Errorf("%q is %q of %q", name, value, owner)
		}
	}
}

// What a cancelled job had queued is asked for by its id in the next update, whatever that reads: the one who gives it may be
// older than its window.
func TestCancelledObjectsAreAskedForAgain(t *testing.T) {
	f := newFixture(t)
	f.fill(3)
	j := f.begin(job.Full)
	f.apply(j, 0, 2)
	f.do(f.CancelJob(ctx(), j.RequestID, f.now))
	next, _, err := f.Vacant(ctx(), 0, 10)
	f.do(err)
	if len(next) != 2 || next[0] != (ledger.Origin{Query: f.query, Indicator: 1}) || next[1] != (ledger.Origin{Query: f.query, Indicator: 2}) {
		t.Fatalf("asks for %+v", next)
	}
	delta := f.begin(job.Delta)
	if got := f.apply(delta, 0, 2); got.Queued != 2 {
		t.Errorf("counted %+v", got)
	}
	if got := f.retire(delta); got != (Retirement{}) {
		t.Errorf("retired %+v", got)
	}
}

// The filters of jobs combine. An update for a range is of a kind of its own.
func TestJobKindsAndTimes(t *testing.T) {
	f := newFixture(t)
	add := func(r job.Request) string {
		j, err := f.AddJob(ctx(), r, f.now)
		f.do(err)
		f.now = f.now.Add(time.Hour)
		return j.RequestID
	}
	names := map[string]string{
		add(job.Request{Type: job.AdHoc, Mode: job.Delta}):                                      "delta",
		add(job.Request{Type: job.AdHoc, Mode: job.Delta, From: noon, To: noon.Add(time.Hour)}): "range",
		add(job.Request{Type: job.AdHoc, Mode: job.Full}):                                       "full",
		add(job.Request{Type: job.AdHoc, Mode: job.Reconcile}):                                  "reconcile",
	}
	for _, c := range []struct {
		filter JobFilter
		want   string
	}{
		{JobFilter{}, "reconcile full range delta"}, {JobFilter{Mode: job.Delta}, "delta"}, {JobFilter{Ranged: true}, "range"}, {JobFilter{Mode: job.Full}, "full"},
		{JobFilter{Since: noon.Add(time.Hour)}, "reconcile full range"}, {JobFilter{Before: noon.Add(time.Hour)}, "delta"},
		{JobFilter{Since: noon.Add(time.Hour), Before: noon.Add(3 * time.Hour), Mode: job.Full, Type: job.AdHoc, Statuses: []job.Status{job.Pending}}, "full"},
		{JobFilter{Mode: job.Full, Type: job.Scheduled}, ""},
	} {
		jobs, total, err := f.Jobs(ctx(), c.filter)
		f.do(err)
		var got []string
		for _, j := range jobs {
			got = append(got, names[j.RequestID])
		}
		if strings.Join(got, " ") != c.want || total != int64(len(got)) {
			t.Errorf("%+v selects %v of %d, want %s", c.filter, got, total, c.want)
		}
	}
}

// What Upload was given and never sent need not be taken for what stands once its job is cancelled. What a process before this one
// was given may have left.
func TestTakeBack(t *testing.T) {
	for _, tt := range []struct {
		name      string
		restarted bool
		standing  int64
	}{{"two of five left", false, 2}, {"a process before had all", true, 5}} {
		t.Run(tt.name, func(t *testing.T) {
			f := newFixture(t)
			j := f.begin(job.Full)
			f.apply(j, 0, 5)
			away, err := f.Outgoing(ctx(), 0, 5)
			f.do(err)
			if tt.restarted {
				f.reopen()
			}
			f.do(f.TakeBack(ctx(), away[1].Seq))
			again, err := f.Outgoing(ctx(), 0, 5)
			f.do(err)
			for i := range again {
				if want := int64(i) < tt.standing; again[i].repeated != want {
					t.Errorf("row %d may have left: %t, want %t", i, again[i].repeated, want)
				}
			}
			f.do(f.TakeBack(ctx(), away[1].Seq))
			f.do(f.CancelJob(ctx(), j.RequestID, f.now))
			f.wantNumber(tt.standing, "may stand", `SELECT count(*) FROM object WHERE state = ?`, ledger.Live)
		})
	}
}

// Counts of nothing leave no line among the details of a job; what no query gives counts for the job alone.
func TestTally(t *testing.T) {
	f := newFixture(t)
	j := f.begin(job.Full)
	tally := job.Tally{}
	tally.Of(j.Number, f.query, "Host").Downloaded = 2
	tally.Of(j.Number, f.query, "File")
	tally.Of(j.Number, 0, "Host").Retired = 1
	tally.Of(0, f.query, "Host").Uploaded = 5
	f.do(f.inTransaction(ctx(), func(ctx context.Context, tx *transaction) error { return writeTally(ctx, tx, tally) }))
	f.wantNumber(1, "details", `SELECT count(*) FROM job_detail`)
	if got := f.newest().Counts; got != (job.Counts{Downloaded: 2, Retired: 1}) {
		t.Errorf("%+v", got)
	}
}
