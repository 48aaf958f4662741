package store

import (
	"testing"

	"github.com/google/uuid"

	"mssentinel/app/job"
)

// New objects stand apart until there are enough of them, over restarts as well, and are found by their keys all the same.
func TestNewKeysAreMerged(t *testing.T) {
	f := newFixture(t)
	f.newKeys = 10
	j := f.begin(job.Full)
	apart := func(want int64) {
		t.Helper()
		f.wantNumber(want, "objects whose keys are new", `SELECT count(*) FROM object WHERE merged = 0`)
	}
	f.apply(j, 0, 6)
	apart(6)
	f.apply(j, 6, 9)
	f.reopen()
	f.newKeys = 10
	f.apply(j, 9, 10)
	apart(10)
	f.apply(j, 10, 12)
	apart(2)
	f.apply(j, 12, 19)
	f.apply(j, 19, 20)
	apart(10)
	if counts := f.apply(j, 0, 20); counts.Queued != 0 {
		t.Errorf("%d objects are not known any more", counts.Queued)
	}
	f.wantNumber(20, "objects", `SELECT count(*) FROM object`)
	f.upload()
	for id := range int64(20) {
		if known, err := f.Lookup(ctx(), []uuid.UUID{f.found(id, 0).Objects[0].ID}, f.now); err != nil || len(known) != 1 {
			t.Errorf("object %d is known as %+v, %v", id, known, err)
		}
	}
}
