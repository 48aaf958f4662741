package store

import (
	"slices"
	"testing"

	"github.com/google/uuid"

	"mssentinel/app/job"
)

// An owner is the same however a query writes it.
func TestCandidatesOfAnOwnerInOtherLetters(t *testing.T) {
	f := newFixture(t)
	f.fill(1)
	if got, err := f.OriginsOf(ctx(), "O", []uuid.UUID{f.found(0, 0).Objects[0].ID}); err != nil || len(got) != 1 {
		t.Errorf("%+v, %v", got, err)
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
