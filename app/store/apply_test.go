package store

import (
	"strings"
	"testing"

	"github.com/tidwall/gjson"

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
	applied, err := f.Apply(ctx(), ledger.Batch{Job: j.Number, Mode: job.Full, Query: f.query, Now: f.now, Found: []ledger.Found{changed, emptied}})
	f.do(err)
	if applied.Counts != (job.Counts{}) {
		t.Errorf("counted %+v, want nothing: one row took the other's place", applied.Counts)
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

// What an indicator gave before its value changed is withdrawn, with no word of it in the batch.
func TestValueThatChanges(t *testing.T) {
	f := newFixture(t)
	f.fill(3)
	j := f.begin(job.Delta)
	changed := f.found(0, 1)
	changed.Objects = f.found(900, 1).Objects
	applied, err := f.Apply(ctx(), ledger.Batch{Job: j.Number, Mode: j.Mode, Query: f.query, Now: f.now, Found: []ledger.Found{changed}})
	f.do(err)
	if applied.Counts.Queued != 1 {
		t.Errorf("counted %+v", applied.Counts)
	}
	if got := f.retire(j); got != (Retirement{Queued: 1}) {
		t.Errorf("retired %+v", got)
	}
	var sent []string
	for _, o := range f.upload() {
		pattern, _, _ := payload(t, o.Payload)
		sent = append(sent, pattern)
	}
	if got := strings.Join(sent, " "); got != "[domain-name:value = '900.example'] [domain-name:value = '0.example']" {
		t.Errorf("sent %s", got)
	}
}

// What is under way may come to stand, so that a newer version of it is sent with the same created.
func TestCreatedOfWhatIsUnderWay(t *testing.T) {
	f := newFixture(t)
	j := f.begin(job.Full)
	f.apply(j, 0, 1)
	away, err := f.Outgoing(ctx(), 0, 10)
	f.do(err)
	newer := f.found(0, 1)
	newer.Objects[0].Created = noon.Add(-day24)
	j = f.begin(job.Delta)
	f.do(second(f.Apply(ctx(), ledger.Batch{Job: j.Number, Mode: j.Mode, Query: f.query, Now: f.now, Found: []ledger.Found{newer}})))
	next, err := f.Outgoing(ctx(), away[0].Seq, 10)
	f.do(err)
	if len(next) != 1 || gjson.GetBytes(next[0].Payload, "created").Str != gjson.GetBytes(away[0].Payload, "created").Str {
		t.Errorf("after %s comes %v", away[0].Payload, next)
	}
}

// In a delta update an object stays with the query in the highest position that is known to give it, and goes to a higher one.
func TestRivalsInADeltaUpdate(t *testing.T) {
	f := newFixture(t)
	query := func(tql string) Query { return Query{Owners: []string{"o"}, Types: []string{"Host"}, TQL: tql} }
	saved := f.save(query("first"), f.mark("one").Query, query("third"))
	f.fill(1)
	for i, c := range []struct {
		query RunQuery
		want  job.Counts
	}{{saved[2], job.Counts{Downloaded: 1, Duplicate: 1}}, {saved[0], job.Counts{Downloaded: 1, Queued: 1}}} {
		j := f.begin(job.Delta)
		rival := f.found(0, 1)
		rival.Indicator = int64(100 + i)
		got, err := f.Apply(ctx(), ledger.Batch{Job: j.Number, Mode: j.Mode, Query: c.query.Number, Now: f.now, Found: []ledger.Found{rival}})
		if err != nil || got.Counts != c.want {
			t.Errorf("the query %s counts %+v (%v), want %+v", c.query.TQL, got, err, c.want)
		}
	}
}

// An indicator without an identity is told from another by what was reported of it: read again, it counts no second time.
func TestIndicatorsWithoutIdentity(t *testing.T) {
	f := newFixture(t)
	j := f.begin(job.Full)
	b := ledger.Batch{Job: j.Number, Mode: j.Mode, Query: f.query, Now: f.now}
	for _, raw := range []string{`{"a":1}`, `{"b":2}`} {
		b.Found = append(b.Found, ledger.Found{Type: "Host", Problems: []job.Problem{{Step: job.StepConvert, Code: job.CodeInvalidValue, Message: "it has no id", Raw: raw}}})
	}
	for _, want := range []job.Counts{{Downloaded: 2, Invalid: 2}, {}} {
		if got, err := f.Apply(ctx(), b); err != nil || got.Counts != want {
			t.Errorf("counted %+v (%v), want %+v", got, err, want)
		}
	}
	f.wantNumber(2, "lines", `SELECT count(*) FROM problem WHERE query IS NOT NULL AND indicator = 0`)
}
