package store

import "testing"

// An indicator that is read twice in a page, and between the two lost what it gave, counts no copy that lost to another.
func TestEmptiedWithinAPage(t *testing.T) {
	f := newFixture(t)
	job := f.begin(Full)
	f.apply(job, 0, 1)
	changed, emptied := f.found(0, 1), f.found(0, 2)
	emptied.Objects = nil
	counts, err := f.Apply(ctx(), Batch{Job: job.Number, Mode: Full, Query: f.query, Now: f.now, Found: []Found{changed, emptied}})
	f.do(err)
	if counts != (Counts{}) {
		t.Errorf("counted %+v, want nothing: one row took the other's place", counts)
	}
}
