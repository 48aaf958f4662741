package store

import (
	"context"
	"fmt"
	"testing"
	"time"

	"github.com/tidwall/gjson"

	"mssentinel/app/job"
	"mssentinel/app/ledger"
	"mssentinel/app/stix"
)

var noon = time.Date(2026, 11, 24, 12, 0, 0, 0, time.UTC)

const day24 = 24 * time.Hour

func ctx() context.Context { return context.Background() }

// fixture is a store with one query, at a time that the test moves.
type fixture struct {
	*testing.T
	*Store
	dir   string
	now   time.Time
	query int64
}

func newFixture(t *testing.T) *fixture {
	f := &fixture{T: t, dir: t.TempDir(), now: noon}
	f.open()
	t.Cleanup(func() { f.Close() })
	f.do(second(f.SetDestination(ctx(), "workspace", "source")))
	f.query = f.save(Query{Owners: []string{"o"}, Types: []string{"Host"}, TQL: "one"})[0].Number
	return f
}

func second[T any](_ T, err error) error { return err }

func (f *fixture) do(err error) {
	f.Helper()
	if err != nil {
		f.Fatal(err)
	}
}

func (f *fixture) open() {
	f.Helper()
	s, err := Open(ctx(), f.dir)
	f.do(err)
	f.Store = s
}

func (f *fixture) reopen() {
	f.Helper()
	f.do(f.Close())
	f.open()
}

func (f *fixture) save(queries ...Query) []RunQuery {
	f.Helper()
	f.do(second(f.SaveQueries(ctx(), queries, "", job.Delta, "")))
	saved, err := f.RunQueries(ctx())
	f.do(err)
	return saved
}

// begin queues a job and begins to read.
func (f *fixture) begin(mode job.Mode) job.Job {
	f.Helper()
	j, err := f.AddJob(ctx(), job.Request{Type: job.AdHoc, Mode: mode}, f.now)
	f.do(err)
	return f.beginAgain(j)
}

func (f *fixture) beginAgain(j job.Job) job.Job {
	f.Helper()
	j, err := f.BeginAttempt(ctx(), j.RequestID, f.now, f.now)
	f.do(err)
	return j
}

func (f *fixture) status(update job.Job, s job.Status) job.Job {
	f.Helper()
	update, err := f.UpdateJob(ctx(), update.RequestID, func(j *job.Job) error {
		j.Status = s
		return nil
	})
	f.do(err)
	return update
}

// apply takes indicators into the ledger, each of which gives one object of its own.
func (f *fixture) apply(j job.Job, from, to int) job.Counts {
	f.Helper()
	b := ledger.Batch{Job: j.Number, Mode: j.Mode, Query: f.query, Now: f.now}
	for id := from; id < to; id++ {
		b.Found = append(b.Found, f.found(int64(id), 0))
	}
	applied, err := f.Apply(ctx(), b)
	f.do(err)
	return applied.Counts
}

// found is what indicator id+1 gives: an object of its own, with a value made of id.
func (f *fixture) found(id int64, version int) ledger.Found {
	o := &stix.Indicator{Pattern: fmt.Sprintf("[domain-name:value = '%d.example']", id), Name: fmt.Sprintf("%d.example v%d", id, version),
		Created: noon, Description: "{}", IndicatorTypes: []string{"unknown"}}
	return ledger.Found{Indicator: id + 1, Owner: "o", Type: "Host", Modified: noon.Add(time.Duration(version) * time.Second),
		Objects: []ledger.FoundObject{{Indicator: o, ID: stix.ID(o.Pattern), Hash: o.ContentHash(), ValidUntil: f.now.Add(30 * day24)}}}
}

// report takes indicators into the ledger that give no object; each has a line on REPORT, and one in three of these is a note.
func (f *fixture) report(j job.Job, from, to int64) {
	f.Helper()
	b := ledger.Batch{Job: j.Number, Mode: j.Mode, Query: f.query, Now: f.now}
	for id := from; id < to; id++ {
		found := f.found(id, 0)
		found.Objects = nil
		found.Problems = []job.Problem{{DateAdded: f.now, Step: job.StepConvert, Code: job.CodeInvalidValue, Message: fmt.Sprint("wrong ", id), Raw: "{}", Note: id%3 == 2,
			Subject: job.Subject{Indicator: found.Indicator, Type: "Host", Value: fmt.Sprintf("bad%d", id), Owner: "o"}}}
		b.Found = append(b.Found, found)
	}
	f.do(second(f.Apply(ctx(), b)))
}

// upload sends all that waits, and gives it back.
func (f *fixture) upload() []*Outgoing {
	f.Helper()
	var all []*Outgoing
	for after := int64(0); ; {
		out, err := f.Outgoing(ctx(), after, 100)
		f.do(err)
		if len(out) == 0 {
			return all
		}
		after = out[len(out)-1].Seq
		f.do(f.Settle(ctx(), Settlement{At: f.now, Accepted: out}))
		all = append(all, out...)
	}
}

// fill has indicators below to stand in Sentinel.
func (f *fixture) fill(to int) job.Job {
	f.Helper()
	j := f.begin(job.Full)
	f.apply(j, 0, to)
	f.upload()
	return f.complete(j)
}

func (f *fixture) complete(j job.Job) job.Job {
	f.Helper()
	f.status(j, job.UploadInProgress)
	j, err := f.CompleteJob(ctx(), j.RequestID, f.now, "")
	f.do(err)
	return j
}

// leave has a complete update read the indicators from one on, and says what is to be retired.
func (f *fixture) leave(from, to int) (job.Job, Retirement) {
	f.Helper()
	f.now = f.now.Add(time.Hour)
	j := f.begin(job.Reconcile)
	f.apply(j, from, to)
	f.do(f.SweepDeparted(ctx(), j.Number, []int64{f.query}))
	return j, f.retire(j)
}

func (f *fixture) retire(j job.Job) Retirement {
	f.Helper()
	r, err := f.Retire(ctx(), j.Number, true, f.now)
	f.do(err)
	if r.Held > 0 {
		f.complete(j)
	}
	return r
}

func (f *fixture) get(j job.Job) job.Job {
	f.Helper()
	j, err := f.Job(ctx(), j.RequestID)
	f.do(err)
	return j
}

// number is one number from the database.
func (f *fixture) number(query string, args ...any) (n int64) {
	f.Helper()
	f.do(f.read.Get(&n, query, args...))
	return n
}

func (f *fixture) wantNumber(want int64, what, query string, args ...any) {
	f.Helper()
	if got := f.number(query, args...); got != want {
		f.Errorf("%s: %d, want %d", what, got, want)
	}
}

// wantWaiting compares how many rows the outbox has, in the table and in memory.
func (f *fixture) wantWaiting(want int64, what string) {
	f.Helper()
	if got := f.number(`SELECT count(*) FROM outbox`) + int64(len(f.unwritten.rows)); got != want {
		f.Errorf("%s: %d, want %d", what, got, want)
	}
}

// writeOut puts the rows that are in memory alone into the table outbox.
func (f *fixture) writeOut() {
	f.Helper()
	f.do(f.inTransaction(ctx(), f.writeUnwritten))
}

// kill ends the process as kill -9 does, and begins another one.
func (f *fixture) kill() {
	f.Helper()
	f.unwritten = unwrittenRows{} // Close has nothing to write
	f.reopen()
}

type failer interface {
	Helper()
	Fatal(...any)
}

// payload reads what was sent of an object.
func payload(t failer, b []byte) (pattern, name string, expires time.Time) {
	t.Helper()
	m := gjson.GetManyBytes(b, "pattern", "name", "valid_until")
	expires, err := time.Parse(time.RFC3339, m[2].String())
	if err != nil || !gjson.ValidBytes(b) {
		t.Fatal("not an object: ", string(b), err)
	}
	return m[0].String(), m[1].String(), expires
}
