package store

import (
	"context"
	"fmt"
	"slices"

	"github.com/google/uuid"
)

// sweepChunk is how many candidates one transaction takes out of the ledger.
const sweepChunk = 2000

// Unseen are those of ids that the job, in its present attempt, has not read from the query yet, in the order given.
func (s *Store) Unseen(ctx context.Context, number, query int64, ids []int64) ([]int64, error) {
	run, err := presentAttempt(ctx, s.read, number)
	if err != nil {
		return nil, err
	}
	var seen []int64
	err = s.read.SelectContext(ctx, &seen, `SELECT DISTINCT indicator FROM candidate
		WHERE query = ? AND indicator IN (SELECT value FROM json_each(?)) AND seen = ?`, query, set(ids), run)
	if err != nil {
		return nil, fmt.Errorf("looking for what was not read yet: %w", err)
	}
	known := make(map[int64]bool, len(seen))
	for _, id := range seen {
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

// Forget takes indicators that a query selects no more out of the ledger. Objects that they won become vacant.
func (s *Store) Forget(ctx context.Context, number, query int64, indicators []int64) error {
	for chunk := range slices.Chunk(indicators, sweepChunk) {
		err := s.inTransaction(ctx, func(ctx context.Context, tx *transaction) error {
			var gone []claimRow
			err := tx.SelectContext(ctx, &gone, `DELETE FROM candidate WHERE query = ? AND indicator IN (SELECT value FROM json_each(?))
				RETURNING query, indicator, object`, query, set(chunk))
			if err != nil {
				return err
			}
			return vacateLost(ctx, tx, gone)
		})
		if err != nil {
			return fmt.Errorf("forgetting what is no longer selected: %w", err)
		}
	}
	return nil
}

type claimRow struct {
	Query     int64 `db:"query"`
	Indicator int64 `db:"indicator"`
	Object    int64 `db:"object"`
}

var vacateObjects = newSingle(4, `UPDATE object SET query = -1, indicator = 0, lost = ?4
	WHERE number = ?1 AND (query = ?2 AND indicator = ?3 OR query = -1)`)

// vacateLost makes the objects vacant whose winners are gone.
func vacateLost(ctx context.Context, tx *transaction, gone []claimRow) error {
	d, err := currentDestination(ctx, tx)
	if err != nil {
		return err
	}
	values := make([]any, 0, 4*len(gone))
	for _, c := range gone {
		if c.Object != 0 {
			values = append(values, c.Object, c.Query, c.Indicator, d.Generation)
		}
	}
	return vacateObjects.exec(ctx, tx, values)
}

// SweepDeparted takes out of the ledger what these queries, which the job has read completely, select no more, and, where no
// saved query is missing among them, all that deleted queries selected. It works in transactions of bounded size, and may be
// called again after it was cut short.
func (s *Store) SweepDeparted(ctx context.Context, number int64, queries []int64) error {
	run, err := presentAttempt(ctx, s.read, number)
	if err != nil {
		return err
	}
	var deleted []int64
	err = s.read.SelectContext(ctx, &deleted, `SELECT number FROM query WHERE rank IS NULL AND NOT EXISTS (
		SELECT 1 FROM query WHERE rank IS NOT NULL AND number NOT IN (SELECT value FROM json_each(?)))`, set(queries))
	if err != nil {
		return fmt.Errorf("reading the deleted queries: %w", err)
	}
	for _, query := range slices.Compact(slices.Sorted(slices.Values(append(deleted, queries...)))) {
		at := claimRow{Query: query, Indicator: -1 << 63}
		for more := true; more; {
			err := s.inTransaction(ctx, func(ctx context.Context, tx *transaction) (err error) {
				more, err = sweep(ctx, tx, run, &at)
				return err
			})
			if err != nil {
				return fmt.Errorf("taking out what is no longer selected: %w", err)
			}
		}
	}
	return nil
}

// sweep takes out one chunk of a query's candidates after at, and moves it.
func sweep(ctx context.Context, tx *transaction, run int64, at *claimRow) (more bool, err error) {
	var gone []claimRow
	err = tx.SelectContext(ctx, &gone, `SELECT query, indicator, object FROM candidate
		WHERE query = ? AND (indicator, object) > (?, ?) AND seen <> ? ORDER BY indicator, object LIMIT ?`,
		at.Query, at.Indicator, at.Object, run, sweepChunk)
	if err != nil || len(gone) == 0 {
		return false, err
	}
	values := make([]any, 0, 3*len(gone))
	for _, c := range gone {
		values = append(values, c.Query, c.Indicator, c.Object)
	}
	if err := deleteClaims.exec(ctx, tx, values); err != nil {
		return false, err
	}
	*at = gone[len(gone)-1]
	return len(gone) == sweepChunk, vacateLost(ctx, tx, gone)
}

// CandidatesOf are those who give these objects in an owner, however its name is written, deleted queries' included.
func (s *Store) CandidatesOf(ctx context.Context, owner string, ids []uuid.UUID) ([]Candidate, error) {
	keys := make([]int64, len(ids))
	for i, id := range ids {
		keys[i] = key(id)
	}
	slices.Sort(keys)
	return s.candidates(ctx, `SELECT DISTINCT c.query, c.indicator FROM object o JOIN destination d ON d.number = o.destination AND d.current
		JOIN candidate c ON c.object = o.number AND c.object <> 0
		WHERE o.key IN (SELECT value FROM json_each(?)) AND c.owner IN (SELECT number FROM owner WHERE name = ? COLLATE NOCASE) ORDER BY 1, 2`, set(keys), owner)
}

// CandidatesFor are the queries that these indicators are known from, deleted ones included.
func (s *Store) CandidatesFor(ctx context.Context, indicators []int64) ([]Candidate, error) {
	return s.candidates(ctx, `SELECT DISTINCT c.query, c.indicator FROM query q CROSS JOIN json_each(?) i
		JOIN candidate c ON c.query = q.number AND c.indicator = i.value ORDER BY 1, 2`, set(indicators))
}

func (s *Store) candidates(ctx context.Context, query string, args ...any) ([]Candidate, error) {
	var rows []claimRow
	if err := s.read.SelectContext(ctx, &rows, query, args...); err != nil {
		return nil, fmt.Errorf("reading candidates: %w", err)
	}
	found := make([]Candidate, len(rows))
	for i, r := range rows {
		found[i] = Candidate{r.Query, r.Indicator}
	}
	return found, nil
}

// Vacant are, for at most limit objects after one whose winner went away, the candidates that are next. None: there are no
// more. The candidate has to be read, and applied as in a delta update, or forgotten.
func (s *Store) Vacant(ctx context.Context, after int64, limit int) (candidates []Candidate, next int64, err error) {
	rows, err := s.read.QueryContext(ctx, `SELECT o.number, c.query, c.indicator
		FROM object o JOIN candidate c ON c.object = o.number AND c.object <> 0 JOIN query q ON q.number = c.query AND q.rank IS NOT NULL
		WHERE o.query = -1 AND o.destination = (SELECT number FROM destination WHERE current) AND o.number > ? ORDER BY o.number, q.rank, c.place, c.indicator`, after)
	if err != nil {
		return nil, 0, fmt.Errorf("looking for objects without a winner: %w", err)
	}
	defer rows.Close()
	next = after
	for rows.Next() {
		var object int64
		var c Candidate
		if err := rows.Scan(&object, &c.Query, &c.Indicator); err != nil {
			return nil, 0, fmt.Errorf("looking for objects without a winner: %w", err)
		}
		if object == next {
			continue
		}
		if len(candidates) == limit {
			break
		}
		next = object
		candidates = append(candidates, c)
	}
	return candidates, next, rows.Err()
}
