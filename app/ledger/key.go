package ledger

import (
	"encoding/binary"
	"math"

	"github.com/google/uuid"
)

// keyBits is how many bits a key has: as many as a database keeps in six bytes, as long as it is not negative.
const keyBits = 47

// Key is what the ledger finds an object by: the first 47 bits of its STIX id, so that keys are in the order of the ids. Of five million
// objects two may well share one.
func Key(id uuid.UUID) int64 { return int64(binary.BigEndian.Uint64(id[:]) >> (64 - keyBits)) }

// LastOfKey is the last id that has the same key.
func LastOfKey(id uuid.UUID) uuid.UUID {
	last := uuid.Max
	binary.BigEndian.PutUint64(last[:], binary.BigEndian.Uint64(id[:])|math.MaxUint64>>keyBits)
	return last
}
