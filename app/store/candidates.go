package store

import (
	"context"
	"fmt"
	"math"
	"slices"

	"github.com/google/uuid"

	"mssentinel/app/ledger"
)

// sweepChunk is how many candidates one transaction takes out of the ledger.
const sweepChunk = 2000

const candidateColumns = `query, indicator, object, owner, attempt, place, fingerprint`

var (
	upsertCandidates = newBulk(7, `INSERT INTO candidate (`+candidateColumns+`) VALUES `,
		` ON CONFLICT DO UPDATE SET owner = excluded.owner, attempt = excluded.attempt, place = excluded.place, fingerprint = excluded.fingerprint`)
	deleteCandidates = newSingle(3, `DELETE FROM candidate WHERE query = ? AND indicator = ? AND object = ?`)
)

// candidateKey names a row of the table candidate.
type candidateKey struct {
	Query     int64 `db:"query"`
	Indicator int64 `db:"indicator"`
	Object    int64 `db:"object"`
}

func (k candidateKey) toOrigin() ledger.Origin {
	return ledger.Origin{Query: k.Query, Indicator: k.Indicator}
}

// Unseen are those of ids that the job, in its present attempt, has not read from the query yet, in the order given.
func (s *Store) Unseen(ctx context.Context, number, query int64, ids []int64) ([]int64, error) {
	attempt, err := presentAttempt(ctx, s.read, number)
	if err != nil {
		return nil, err
	}
	var read []int64
	err = s.read.SelectContext(ctx, &read, `SELECT DISTINCT indicator FROM candidate
		WHERE query = ? AND indicator IN (SELECT value FROM json_each(?)) AND attempt = ?`, query, jsonList(ids), attempt)
	if err != nil {
		return nil, fmt.Errorf("looking for what was not read yet: %w", err)
	}
	known := make(map[int64]bool, len(read))
	for _, id := range read {
		known[id] = true
	}
	var unseen []int64
	for _, id := range ids {
		if !known[id] {
			unseen = append(unseen, id)
		}
	}
	return unseen, nil
}

// Missed are at most limit of the indicators after one that the query gave and that the job, in its present attempt, has not read
// from it, in ascending order.
func (s *Store) Missed(ctx context.Context, number, query, after int64, limit int) (ids []int64, err error) {
	attempt, err := presentAttempt(ctx, s.read, number)
	if err != nil {
		return nil, err
	}
	err = s.read.SelectContext(ctx, &ids, `SELECT DISTINCT indicator FROM candidate
		WHERE query = ? AND indicator > ? AND attempt <> ? ORDER BY indicator LIMIT ?`, query, after, attempt, limit)
	if err != nil {
		return nil, fmt.Errorf("looking for what did not come: %w", err)
	}
	return ids, nil
}

// Fingerprints are those with which these indicators are known from the query; those of indicators that are mapped each time are missing.
func (s *Store) Fingerprints(ctx context.Context, query int64, indicators []int64) (map[int64]int64, error) {
	var rows []struct{ Indicator, Fingerprint int64 }
	err := s.read.SelectContext(ctx, &rows, `SELECT indicator, fingerprint FROM json_each(?) AS wanted CROSS JOIN candidate
		WHERE query = ? AND indicator = wanted.value AND fingerprint <> 0`, jsonList(indicators), query)
	if err != nil {
		return nil, fmt.Errorf("looking for what is known: %w", err)
	}
	known := make(map[int64]int64, len(rows))
	for _, r := range rows {
		known[r.Indicator] = r.Fingerprint
	}
	return known, nil
}

// Forget takes indicators that a query selects no more out of the ledger. Objects that they won become vacant, by this loss.
func (s *Store) Forget(ctx context.Context, query int64, indicators []int64, loss ledger.Loss) error {
	for chunk := range slices.Chunk(indicators, sweepChunk) {
		err := s.inTransaction(ctx, func(ctx context.Context, tx *transaction) error {
			var gone []candidateKey
			err := tx.SelectContext(ctx, &gone, `DELETE FROM candidate WHERE query = ? AND indicator IN (SELECT value FROM json_each(?))
				RETURNING query, indicator, object`, query, jsonList(chunk))
			if err != nil {
				return err
			}
			return withdrawObjects(ctx, tx, gone, loss)
		})
		if err != nil {
			return fmt.Errorf("forgetting what is no longer selected: %w", err)
		}
	}
	return nil
}

// withdrawObjects has objects lose candidates that are gone; see [ledger.Object.Withdraw].
func withdrawObjects(ctx context.Context, tx *transaction, gone []candidateKey, loss ledger.Loss) error {
	d, err := currentDestination(ctx, tx)
	if err != nil {
		return err
	}
	var numbers []int64
	for _, k := range gone {
		if k.Object != 0 {
			numbers = append(numbers, k.Object)
		}
	}
	if len(numbers) == 0 {
		return nil
	}
	objects, err := readObjects(ctx, tx, numbers)
	if err != nil {
		return err
	}
	var changed []*ledger.Object
	for _, k := range gone {
		if o := objects[k.Object]; o != nil && o.Withdraw(k.toOrigin(), d.Generation, loss) {
			changed = append(changed, o)
		}
	}
	return writeObjects(ctx, tx, changed)
}

// SweepDeparted takes out of the ledger what these queries, which the job has read completely, select no more, and, where no
// saved query is missing among them, all that deleted queries selected. It works in transactions of bounded size, and may be
// called again after it was cut short.
func (s *Store) SweepDeparted(ctx context.Context, number int64, queries []int64) error {
	attempt, err := presentAttempt(ctx, s.read, number)
	if err != nil {
		return err
	}
	var deleted []int64
	err = s.read.SelectContext(ctx, &deleted, `SELECT number FROM query WHERE rank IS NULL AND NOT EXISTS (
		SELECT 1 FROM query WHERE rank IS NOT NULL AND number NOT IN (SELECT value FROM json_each(?)))`, jsonList(queries))
	if err != nil {
		return fmt.Errorf("reading the deleted queries: %w", err)
	}
	for _, query := range slices.Compact(slices.Sorted(slices.Values(append(deleted, queries...)))) {
		after := candidateKey{Query: query, Indicator: math.MinInt64}
		for more := true; more; {
			err := s.inTransaction(ctx, func(ctx context.Context, tx *transaction) (err error) {
				more, err = sweepChunkAfter(ctx, tx, attempt, &after)
				return err
			})
			if err != nil {
				return fmt.Errorf("taking out what is no longer selected: %w", err)
			}
		}
	}
	return nil
}

// sweepChunkAfter takes out one chunk of a query's candidates after a row that the attempt has not read, and moves after.
func sweepChunkAfter(ctx context.Context, tx *transaction, attempt int64, after *candidateKey) (more bool, err error) {
	var gone []candidateKey
	err = tx.SelectContext(ctx, &gone, `SELECT query, indicator, object FROM candidate
		WHERE query = ? AND (indicator, object) > (?, ?) AND attempt <> ? ORDER BY indicator, object LIMIT ?`,
		after.Query, after.Indicator, after.Object, attempt, sweepChunk)
	if err != nil || len(gone) == 0 {
		return false, err
	}
	values := make([]any, 0, deleteCandidates.columns*len(gone))
	for _, k := range gone {
		values = append(values, k.Query, k.Indicator, k.Object)
	}
	if err := deleteCandidates.execRows(ctx, tx, values); err != nil {
		return false, err
	}
	*after = gone[len(gone)-1]
	return len(gone) == sweepChunk, withdrawObjects(ctx, tx, gone, ledger.Uncertain)
}

// OriginsOf are the queries and indicators that give these objects in an owner, however its name is written, those of deleted
// queries included.
func (s *Store) OriginsOf(ctx context.Context, owner string, ids []uuid.UUID) ([]ledger.Origin, error) {
	d, err := currentDestination(ctx, s.read)
	if err != nil {
		return nil, err
	}
	keys := make([]int64, len(ids))
	for i, id := range ids {
		keys[i] = ledger.Key(id)
	}
	return s.readOrigins(ctx, `SELECT DISTINCT c.query, c.indicator FROM candidate c
		WHERE c.object IN (`+selectByKey("object.number")+`) AND c.object <> 0
		AND c.owner IN (SELECT number FROM owner WHERE name = ?3 COLLATE NOCASE) ORDER BY 1, 2`, jsonList(keys), d.Number, owner)
}

// OriginsFor are the queries that these indicators are known from, deleted ones included.
func (s *Store) OriginsFor(ctx context.Context, indicators []int64) ([]ledger.Origin, error) {
	return s.readOrigins(ctx, `SELECT DISTINCT c.query, c.indicator FROM query q CROSS JOIN json_each(?) i
		JOIN candidate c ON c.query = q.number AND c.indicator = i.value ORDER BY 1, 2`, jsonList(indicators))
}

func (s *Store) readOrigins(ctx context.Context, query string, args ...any) ([]ledger.Origin, error) {
	var keys []candidateKey
	if err := s.read.SelectContext(ctx, &keys, query, args...); err != nil {
		return nil, fmt.Errorf("reading candidates: %w", err)
	}
	origins := make([]ledger.Origin, len(keys))
	for i, k := range keys {
		origins[i] = k.toOrigin()
	}
	return origins, nil
}

var hasVacant = fmt.Sprintf(`SELECT EXISTS (SELECT 1 FROM object
	WHERE query = %d AND destination = (SELECT number FROM destination WHERE current))`, ledger.QueryVacant)

// HasVacant says that the winner of some object went away: another takes its place, or it is retired.
func (s *Store) HasVacant(ctx context.Context) (vacant bool, err error) {
	if err := s.read.GetContext(ctx, &vacant, hasVacant); err != nil {
		return false, fmt.Errorf("looking for objects without a winner: %w", err)
	}
	return vacant, nil
}

// selectVacant orders the candidates of vacant objects as [ledger.Best] does, so that the first of an object is the next one.
var selectVacant = fmt.Sprintf(`SELECT o.number, c.query, c.indicator
	FROM object o JOIN candidate c ON c.object = o.number AND c.object <> 0 JOIN query q ON q.number = c.query AND q.rank IS NOT NULL
	WHERE o.query = %d AND o.destination = (SELECT number FROM destination WHERE current) AND o.number > ?
	ORDER BY o.number, q.rank, c.place, c.indicator`, ledger.QueryVacant)

// Vacant are, for at most limit objects after one whose winner went away, the origins that are next. None: there are no more.
// What they select has to be read, and applied as in a delta update, or forgotten.
func (s *Store) Vacant(ctx context.Context, after int64, limit int) (origins []ledger.Origin, next int64, err error) {
	rows, err := s.read.QueryContext(ctx, selectVacant, after)
	if err != nil {
		return nil, 0, fmt.Errorf("looking for objects without a winner: %w", err)
	}
	defer rows.Close()
	next = after
	for rows.Next() {
		var object int64
		var origin ledger.Origin
		if err := rows.Scan(&object, &origin.Query, &origin.Indicator); err != nil {
			return nil, 0, fmt.Errorf("looking for objects without a winner: %w", err)
		}
		if object == next {
			continue
		}
		if len(origins) == limit {
			break
		}
		next = object
		origins = append(origins, origin)
	}
	return origins, next, rows.Err()
}
