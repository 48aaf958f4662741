package pipeline

import (
	"fmt"
	"hash/maphash"

	"mssentinel/app/ledger"
)

// fillVacancies gives every object whose winner went away to its next candidate, which is asked for by its id, since
// the ledger does not keep what it gives. It works in rounds. A round asks for the next candidate of every vacant
// object: one that comes becomes the winner, one that does not come is forgotten, so that the next round asks for the
// one behind it.
//
// It ends when a round asks for none, or for exactly the candidates of the round before. Those are the ones that can
// be neither taken nor forgotten: their mapper fails on them, or their query cannot be read. They keep their places
// until the next job. Every other round makes progress: it gives an object a winner or takes a candidate out of the
// ledger. There are finitely many of both, and only what changes in ThreatConnect meanwhile adds to them. Two rounds
// are compared by a 64-bit checksum of what they asked for, so that memory does not grow with the number of vacant
// objects.
func (r *reader) fillVacancies() error {
	for seed, before := maphash.MakeSeed(), uint64(0); ; {
		if err := r.awaitApplied(r.attempt); err != nil {
			return err
		}
		asked, err := r.askNextCandidates(seed)
		if err != nil || asked == before {
			return err
		}
		before = asked
	}
}

// askNextCandidates makes one round. asked is a checksum of the candidates that it asked for, 0 for none.
func (r *reader) askNextCandidates(seed maphash.Seed) (asked uint64, err error) {
	for after := int64(0); ; {
		origins, next, err := r.ledger.Vacant(r.ctx, after, chunkSize)
		if err != nil {
			return 0, fmt.Errorf("asking the ledger for objects without a winner: %w", err)
		}
		if len(origins) == 0 {
			return asked, nil
		}
		for _, o := range origins {
			asked += maphash.Comparable(seed, o)
		}
		if err := r.recheckOrigins(origins, ledger.Uncertain); err != nil {
			return 0, err
		}
		after = next
	}
}
