package pipeline

import (
	"bytes"
	"encoding/binary"
	"math"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"
	"github.com/google/uuid"

	"mssentinel/app/ledger"
	"mssentinel/app/sentinel"
	"mssentinel/app/store"
)

// A sample is a range of ids that lies anywhere, as wide as its share of the objects; fewer objects than it has are all compared.
func TestChooseIDs(t *testing.T) {
	for name, c := range map[string]struct {
		recorded, active int64
		all              bool
		share            float64
		expected         int64
	}{
		"few":                      {recorded: 999, active: 998, share: 1, expected: 999},
		"as many as a sample":      {recorded: 1000, active: 998, share: 1, expected: 1000},
		"many":                     {recorded: 4000, active: 10, share: 0.25, expected: 1000},
		"many that are not ours":   {recorded: 10, active: 4000, share: 0.25, expected: 1000},
		"many, and all are wanted": {recorded: 4000, active: 10, all: true, share: 1, expected: 4000},
	} {
		high := 0
		for range 100 {
			r := &verification{verifier: &verifier{sampleSize: 1000}, result: &store.Verification{All: c.all, Types: []store.VerifiedType{{Recorded: 5, Active: 5}, {Recorded: c.recorded - 5, Active: c.active - 5}}}}
			after, upTo := r.chooseIDs()
			if r.expected != c.expected || r.result.Share != c.share {
				t.Errorf("%s: %d objects, a share of %v", name, r.expected, r.result.Share)
			}
			if c.share == 1 {
				if after != uuid.Nil || upTo != uuid.Max {
					t.Errorf("%s: from %v to %v", name, after, upTo)
				}
				continue
			}
			first, last := binary.BigEndian.Uint64(after[:8]), binary.BigEndian.Uint64(upTo[:8])
			if width := float64(last - first); math.Abs(width/math.MaxUint64-c.share) > 0.001 || !bytes.Equal(after[8:], uuid.Nil[8:]) || !bytes.Equal(upTo[8:], uuid.Max[8:]) {
				t.Errorf("%s: from %v to %v", name, after, upTo)
			}
			if after[0] >= 0x80 {
				high++
			}
		}
		if c.share < 1 && (high == 0 || high == 100) {
			t.Errorf("%s: %d of 100 samples lie in the upper half", name, high)
		}
	}
}

// Both sides are counted beside each other by type. What was never sent has no time.
func TestJoinTypes(t *testing.T) {
	got := joinTypes([]store.RecordedType{{Type: "url", Live: 3, Sent: 1000}, {Type: "file", Live: 0}},
		[]sentinel.TypeCount{{Type: "url", Active: 4, Expired: 5, Newest: day(2)}, {Type: "domain-name", Active: 1}})
	want := []store.VerifiedType{{Type: "domain-name", Active: 1}, {Type: "file"},
		{Type: "url", Recorded: 3, Sent: time.UnixMilli(1000).UTC(), Active: 4, Expired: 5, Newest: day(2)}}
	if diff := cmp.Diff(want, got); diff != "" {
		t.Errorf("(-want +got)\n%s", diff)
	}
}

// A page of the workspace is read up to the last id that is compared, which is part of it. What has another form is a stranger where it is active.
func TestReadStanding(t *testing.T) {
	id := func(n byte) uuid.UUID { return uuid.UUID{0: n, 15: 1} }
	row := func(n byte) sentinel.Standing {
		return sentinel.Standing{ID: indicatorID(id(n)), Created: day(1), ValidUntil: day(2), Active: true}
	}
	strange := sentinel.Standing{ID: "indicator--XYZ", Active: true}
	for name, c := range map[string]struct {
		rows      []sentinel.Standing
		ids       []uuid.UUID
		covered   uuid.UUID
		strangers int64
	}{
		"nothing":                 {nil, nil, id(9), 0},
		"less than to the end":    {[]sentinel.Standing{row(2), row(3)}, []uuid.UUID{id(2), id(3)}, id(3), 0},
		"to the end":              {[]sentinel.Standing{row(2), row(9)}, []uuid.UUID{id(2), id(9)}, id(9), 0},
		"beyond the end":          {[]sentinel.Standing{row(2), row(10)}, []uuid.UUID{id(2)}, id(9), 0},
		"strangers":               {[]sentinel.Standing{strange, row(2), strange}, []uuid.UUID{id(2)}, id(2), 2},
		"a stranger that is gone": {[]sentinel.Standing{{ID: "indicator--XYZ"}}, nil, id(1), 0},
	} {
		r := &verification{result: &store.Verification{}}
		standing, covered := r.readStanding(c.rows, id(1), id(9))
		var ids []uuid.UUID
		for _, s := range standing {
			ids = append(ids, s.ID)
			if s.Created != day(1).UnixMilli() || s.Modified != 0 || !s.Active {
				t.Errorf("%s: %+v", name, s)
			}
		}
		if diff := cmp.Diff(c.ids, ids); diff != "" || covered != c.covered || r.result.Strangers != c.strangers || r.result.Differences[ledger.Unexpected] != c.strangers {
			t.Errorf("%s: up to %v, %d strangers (-want +got)\n%s", name, covered, r.result.Strangers, diff)
		}
	}
}

// What only its end keeps from being active has ended; what was deleted or revoked has not.
func TestHasEnded(t *testing.T) {
	for name, c := range map[string]struct {
		s    sentinel.Standing
		want bool
	}{
		"before its end":       {sentinel.Standing{ValidUntil: day(3)}, false},
		"at its end":           {sentinel.Standing{ValidUntil: day(2)}, true},
		"after its end":        {sentinel.Standing{ValidUntil: day(1)}, true},
		"without an end":       {sentinel.Standing{}, false},
		"deleted":              {sentinel.Standing{Deleted: true, ValidUntil: day(1)}, false},
		"revoked":              {sentinel.Standing{Revoked: true, ValidUntil: day(1)}, false},
		"deleted before then":  {sentinel.Standing{Deleted: true, ValidUntil: day(3)}, false},
		"revoked and deleted":  {sentinel.Standing{Deleted: true, Revoked: true, ValidUntil: day(1)}, false},
		"revoked without ends": {sentinel.Standing{Revoked: true}, false},
	} {
		if got := hasEnded(&c.s, day(2)); got != c.want {
			t.Errorf("%s: %t", name, got)
		}
	}
}

// Differences are all counted, and kept up to a bound.
func TestCountVerdict(t *testing.T) {
	r := &verification{result: &store.Verification{Kept: store.MaxDifferences - 1}}
	var kept []bool
	for _, verdict := range []ledger.Verdict{ledger.Agrees, ledger.TooNew, ledger.Missing, ledger.Missing} {
		kept = append(kept, r.countVerdict(ledger.Difference{Verdict: verdict}))
	}
	if diff := cmp.Diff([]bool{false, false, true, false}, kept); diff != "" || r.result.Agreed != 1 || r.result.TooNew != 1 || r.result.Differences[ledger.Missing] != 2 || r.result.Kept != store.MaxDifferences {
		t.Errorf("%+v\n%s", r.result, diff)
	}
}
