package store

import (
	"context"
	"fmt"
)

// newKeys is how many objects stand in the index of new keys before they move to that of all others. Keys are random: a batch of new
// ones touches a page of an index for each of them, until the index has fewer pages. The index of new keys has some 75.
const newKeys = 16_384

// selectByKey selects columns of the objects of a destination, ?2, that have one of the keys in a list, ?1, as JSON. The keys are looked up
// in both indexes, since which one has a key is not known.
func selectByKey(columns string) string {
	from := `SELECT ` + columns + ` FROM json_each(?1) AS wanted CROSS JOIN object WHERE object.key = wanted.value AND object.destination = ?2 AND merged = `
	return from + `1 UNION ALL ` + from + `0`
}

// mergeKeys moves the new keys to the index of all others, once there are enough.
func (s *Store) mergeKeys(ctx context.Context, tx *transaction) error {
	if s.unmerged < s.newKeys {
		return nil
	}
	if _, err := tx.ExecContext(ctx, `UPDATE object SET merged = 1 WHERE merged = 0`); err != nil {
		return fmt.Errorf("moving new objects to the index: %w", err)
	}
	s.unmerged = 0
	return nil
}
