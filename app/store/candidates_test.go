package store

import (
	"testing"

	"github.com/google/uuid"
)

// An owner is the same however a query writes it.
func TestCandidatesOfAnOwnerInOtherLetters(t *testing.T) {
	f := newFixture(t)
	f.fill(1)
	if got, err := f.OriginsOf(ctx(), "O", []uuid.UUID{f.found(0, 0).Objects[0].ID}); err != nil || len(got) != 1 {
		t.Errorf("%+v, %v", got, err)
	}
}
