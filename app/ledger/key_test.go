package ledger

import (
	"bytes"
	"testing"

	"github.com/google/uuid"
	"pgregory.net/rapid"
)

// Keys are in the order of the ids, and as small as the database keeps in six bytes.
func TestKey(t *testing.T) {
	ids := rapid.Map(rapid.SliceOfN(rapid.Byte(), 16, 16), func(b []byte) uuid.UUID { return uuid.UUID(b) })
	rapid.Check(t, func(t *rapid.T) {
		a, b := ids.Draw(t, "a"), ids.Draw(t, "b")
		if key := Key(a); key < 0 || key >= 1<<47 {
			t.Fatalf("%v has the key %d", a, key)
		}
		if bytes.Compare(a[:], b[:]) <= 0 && Key(a) > Key(b) {
			t.Fatalf("%v has the key %d, %v has %d", a, Key(a), b, Key(b))
		}
		last := LastOfKey(a)
		if Key(last) != Key(a) || bytes.Compare(a[:], last[:]) > 0 {
			t.Fatalf("%v is the last id with the key %d of %v", last, Key(a), a)
		}
		next := last
		for i := len(next) - 1; i >= 0; i-- { // the id behind it
			if next[i]++; next[i] != 0 {
				break
			}
		}
		if last != uuid.Max && Key(next) != Key(a)+1 {
			t.Fatalf("%v is not the last id with the key of %v: %v", last, a, next)
		}
	})
}
