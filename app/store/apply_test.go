package store

import (
	"testing"

	"mssentinel/app/job"
	"mssentinel/app/ledger"
)

// An indicator that is read twice in a page, and between the two lost what it gave, counts no copy that lost to another.
func TestEmptiedWithinAPage(t *testing.T) {
	f := newFixture(t)
	j := f.begin(job.Full)
	f.apply(j, 0, 1)
	changed, emptied := f.found(0, 1), f.found(0, 2)
	emptied.Objects = nil
	counts, err := f.Apply(ctx(), ledger.Batch{Job: j.Number, Mode: job.Full, Query: f.query, Now: f.now, Found: []ledger.Found{changed, emptied}})
	f.do(err)
	if counts != (job.Counts{}) {
		t.Errorf("counted %+v, want nothing: one row took the other's place", counts)
	}
}

// A job that is tried again after others read the same puts nothing on REPORT twice.
func TestReportedOnceAJob(t *testing.T) {
	f := newFixture(t)
	bad := f.found(0, 0)
	bad.Objects, bad.Problems = nil, []job.Problem{{Step: "Convert", Code: "invalid-value", Message: "no value"}}
	first, second := f.begin(job.Full), f.begin(job.Full)
	for _, j := range []job.Job{first, second, first} {
		_, err := f.Apply(ctx(), ledger.Batch{Job: j.Number, Mode: job.Full, Query: f.query, Now: f.now, Found: []ledger.Found{bad}})
		f.do(err)
	}
	f.wantNumber(1, "lines", `SELECT count(*) FROM problem WHERE job = ?`, first.Number)
}
