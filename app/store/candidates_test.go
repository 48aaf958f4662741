package store

import (
	"maps"
	"slices"
	"testing"
	"time"

	"github.com/google/uuid"

	"mssentinel/app/job"
	"mssentinel/app/ledger"
)

// An owner is the same however a query writes it.
func TestCandidatesOfAnOwnerInOtherLetters(t *testing.T) {
	f := newFixture(t)
	f.fill(1)
	if got, err := f.OriginsOf(ctx(), "O", []uuid.UUID{f.found(0, 0).Objects[0].ID}); err != nil || len(got) != 1 {
		t.Errorf("%+v, %v", got, err)
	}
}

// An indicator is known from the query that gave it, by the fingerprint with which it was mapped last.
func TestFingerprints(t *testing.T) {
	f := newFixture(t)
	j := f.begin(job.Reconcile)
	b := ledger.Batch{Job: j.Number, Mode: j.Mode, Query: f.query, Now: f.now, Found: []ledger.Found{f.found(1, 0), f.found(2, 0), f.found(3, 0)}}
	b.Found[0].Fingerprint, b.Found[1].Fingerprint = 5, 6
	f.do(second(f.Apply(ctx(), b)))
	b.Found[1].Fingerprint = 7
	f.do(second(f.Apply(ctx(), b)))
	for query, want := range map[int64]map[int64]int64{f.query: {2: 5, 3: 7}, f.query + 1: {}} {
		got, err := f.Fingerprints(ctx(), query, []int64{2, 3, 4, 9})
		f.do(err)
		if !maps.Equal(got, want) {
			t.Errorf("query %d knows %v, want %v", query, got, want)
		}
	}
	f.do(f.Close())
	if _, err := f.Fingerprints(ctx(), f.query, []int64{2}); err == nil {
		t.Error("a closed store knows something")
	}
}

// What is known and is to be sent again has nothing written, until it is mapped.
func TestUnknownIsNotWritten(t *testing.T) {
	f := newFixture(t)
	j := f.begin(job.Reconcile)
	b := ledger.Batch{Job: j.Number, Mode: j.Mode, Query: f.query, Now: f.now, Found: []ledger.Found{f.found(1, 0)}}
	b.Found[0].Fingerprint = 5
	f.do(second(f.Apply(ctx(), b)))
	known, fresh := b.Found[0], f.found(2, 0)
	known.Known, known.Objects, known.Modified = true, nil, known.Modified.Add(time.Second)
	b.Found = []ledger.Found{fresh, known}
	applied, err := f.Apply(ctx(), b)
	f.do(err)
	if !slices.Equal(applied.Unknown, []int{1}) || applied.Counts != (job.Counts{}) {
		t.Errorf("%+v", applied)
	}
	f.wantNumber(1, "objects", `SELECT count(*) FROM object`)
	b.Found[1] = f.found(1, 1)
	f.do(second(f.Apply(ctx(), b)))
	f.wantNumber(2, "objects", `SELECT count(*) FROM object`)
}

// What an attempt has read of a query is seen, whatever it gave, and no other attempt's reading counts.
func TestUnseen(t *testing.T) {
	f := newFixture(t)
	f.fill(4)
	j := f.begin(job.Full)
	f.apply(j, 2, 5)
	empty := ledger.Batch{Job: j.Number, Mode: j.Mode, Query: f.query, Now: f.now, Found: []ledger.Found{{Indicator: 9, Owner: "o", Type: "Host", Modified: f.now}}}
	f.do(second(f.Apply(ctx(), empty)))
	unseen := func(query int64, want ...int64) {
		t.Helper()
		if got, err := f.Unseen(ctx(), j.Number, query, []int64{9, 8, 5, 1, 3, 2}); err != nil || !slices.Equal(got, want) {
			t.Errorf("unseen are %v (%v), want %v", got, err, want)
		}
	}
	unseen(f.query, 8, 1, 2)
	unseen(f.query+1, 9, 8, 5, 1, 3, 2)
	f.beginAgain(j)
	unseen(f.query, 9, 8, 5, 1, 3, 2)
	if _, err := f.Unseen(ctx(), j.Number+1, f.query, []int64{1}); err == nil {
		t.Error("a job that is none has seen something")
	}
}

// What a complete read does not find any more is taken out, however much that is, and its objects are vacant.
func TestSweepInChunks(t *testing.T) {
	f := newFixture(t)
	f.fill(2*sweepChunk + 10)
	if vacant, err := f.HasVacant(ctx()); err != nil || vacant {
		t.Errorf("something is vacant: %v (%v)", vacant, err)
	}
	j := f.begin(job.Reconcile)
	f.apply(j, 7, 10)
	f.do(f.SweepDeparted(ctx(), j.Number, []int64{f.query}))
	f.wantNumber(3, "candidates that are left", `SELECT count(*) FROM candidate`)
	f.wantNumber(2*sweepChunk+7, "vacant objects", `SELECT count(*) FROM object WHERE query = ?`, ledger.QueryVacant)
	if vacant, err := f.HasVacant(ctx()); err != nil || !vacant {
		t.Errorf("something is vacant: %v (%v)", vacant, err)
	}
}

// The objects without a winner are given page by page, each with who is next, and a page leaves nothing open.
func TestVacantInPages(t *testing.T) {
	f := newFixture(t)
	j := f.begin(job.Full)
	f.apply(j, 0, 5)
	f.do(f.CancelJob(ctx(), j.RequestID, f.now))
	var indicators []int64
	pages := 0
	for after := int64(0); ; pages++ {
		origins, next, err := f.Vacant(ctx(), after, 2)
		f.do(err)
		if open := f.read.Stats().InUse; open > 0 {
			t.Errorf("%d connections are in use after page %d", open, pages)
		}
		if len(origins) == 0 {
			break
		}
		for _, o := range origins {
			indicators = append(indicators, o.Indicator)
		}
		after = next
	}
	if !slices.Equal(indicators, []int64{1, 2, 3, 4, 5}) || pages != 3 {
		t.Errorf("vacant are those of %v in %d pages", indicators, pages)
	}
}

// What a query gave and a job has not read is told in parts, and of this query alone.
func TestMissed(t *testing.T) {
	f := newFixture(t)
	f.fill(7) // the indicators 1 to 7
	other := f.save(Query{Owners: []string{"o"}, Types: []string{"Host"}, TQL: "one"}, Query{Owners: []string{"o"}, Types: []string{"Host"}, TQL: "two"})[1].Number
	j := f.begin(job.Reconcile)
	f.apply(j, 2, 4)
	for after, want := range map[int64][]int64{0: {1, 2, 5}, 5: {6, 7}, 7: nil} {
		if got, err := f.Missed(ctx(), j.Number, f.query, after, 3); err != nil || !slices.Equal(got, want) {
			t.Errorf("after %d: %v, %v", after, got, err)
		}
	}
	if got, err := f.Missed(ctx(), j.Number, other, 0, 3); err != nil || len(got) != 0 {
		t.Errorf("of the other query: %v, %v", got, err)
	}
	j = f.beginAgain(j)
	if got, err := f.Missed(ctx(), j.Number, f.query, 0, 9); err != nil || len(got) != 7 {
		t.Errorf("another attempt: %v, %v", got, err)
	}
}
