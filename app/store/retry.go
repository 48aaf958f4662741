package store

import (
	"context"
	"encoding/json"
	"fmt"
	"strings"

	"github.com/google/uuid"

	"mssentinel/app/ledger"
)

const (
	// retryChunk is how many lines one transaction takes off REPORT.
	retryChunk = 1000
	// MaxRetried is how many lines are retried at once: each is asked for by its id.
	MaxRetried = 50_000
)

// retriable are lines about an indicator of a saved query that was not sent, or whose retirement was rejected.
const retriable = `(problem.retry < 0 OR problem.retry IN (SELECT number FROM query WHERE rank IS NOT NULL))`

// RetryProblems takes the lines that f selects and that can be retried off REPORT, and has the next update ask for their indicators and
// send what they give, whether it changed or not; what fails again is on REPORT again. A retirement that was rejected is one more time
// the next update's. retried is how many lines that are, at most [MaxRetried]: the newest first.
func (s *Store) RetryProblems(ctx context.Context, f ProblemFilter) (retried int64, err error) {
	w := f.conditions()
	w.addCondition(retriable)
	statement := `SELECT problem.id, query, indicator, raw FROM problem JOIN problem_raw ON problem_raw.id = problem.id` + w.String() +
		fmt.Sprintf(` ORDER BY problem.id DESC LIMIT %d`, retryChunk)
	for more := true; more && retried < MaxRetried; {
		err := s.inTransaction(ctx, func(ctx context.Context, tx *transaction) error {
			var rows []retriedRow
			if err := tx.SelectContext(ctx, &rows, statement, w.args...); err != nil {
				return err
			}
			more = len(rows) == retryChunk
			retried += int64(len(rows))
			return retryRows(ctx, tx, rows)
		})
		if err != nil {
			return retried, fmt.Errorf("retrying what was not sent: %w", err)
		}
	}
	return retried, nil
}

// retriedRow is a line that is retried.
type retriedRow struct {
	ID        int64  `db:"id"`
	Query     *int64 `db:"query"`
	Indicator *int64 `db:"indicator"`
	Raw       string `db:"raw"`
}

// objectID is the id of the object that Sentinel did not take; ok is false where the line is about no object.
func (r *retriedRow) objectID() (id uuid.UUID, ok bool) {
	var object struct {
		ID string `json:"id"`
	}
	if json.Unmarshal([]byte(r.Raw), &object) != nil {
		return id, false
	}
	text, isSTIX := strings.CutPrefix(object.ID, "indicator--")
	id, err := uuid.Parse(text)
	return id, isSTIX && err == nil
}

var insertRechecks = newBulk(2, `INSERT INTO recheck (query, indicator) VALUES `, ` ON CONFLICT DO NOTHING`)

// retryRows takes lines off REPORT, and has the next update ask for what they are about.
func retryRows(ctx context.Context, tx *transaction, rows []retriedRow) error {
	d, err := currentDestination(ctx, tx)
	if err != nil {
		return err
	}
	var rechecks []any
	var lines []int64
	var ids []uuid.UUID
	for i := range rows {
		r := &rows[i]
		lines = append(lines, r.ID)
		if id, ok := r.objectID(); ok {
			ids = append(ids, id)
			continue
		}
		if r.Query != nil && r.Indicator != nil {
			rechecks = append(rechecks, *r.Query, *r.Indicator)
		}
	}
	if _, err := tx.ExecContext(ctx, `DELETE FROM problem WHERE id IN (SELECT value FROM json_each(?))`, jsonList(lines)); err != nil {
		return err
	}
	if err := insertRechecks.execRows(ctx, tx, rechecks); err != nil {
		return err
	}
	numbers, err := findObjects(ctx, tx, d, ids)
	if err != nil {
		return err
	}
	objects, err := readObjects(ctx, tx, numbers)
	if err != nil {
		return err
	}
	var changed []*ledger.Object
	for _, o := range objects {
		if o.SendAgain(d.Generation) || o.RetireAgain() {
			changed = append(changed, o)
		}
	}
	return writeObjects(ctx, tx, changed)
}

// Rechecks are, after one, the next indicators that are to be asked for by their ids, at most limit.
func (s *Store) Rechecks(ctx context.Context, after ledger.Origin, limit int) ([]ledger.Origin, error) {
	return s.readOrigins(ctx, `SELECT query, indicator FROM recheck WHERE (query, indicator) > (?, ?) ORDER BY query, indicator LIMIT ?`,
		after.Query, after.Indicator, limit)
}

var deleteRechecks = newSingle(2, `DELETE FROM recheck WHERE query = ? AND indicator = ?`)

// DropRechecks says that indicators were asked for.
func (s *Store) DropRechecks(ctx context.Context, origins []ledger.Origin) error {
	values := make([]any, 0, deleteRechecks.columns*len(origins))
	for _, o := range origins {
		values = append(values, o.Query, o.Indicator)
	}
	return s.inTransaction(ctx, func(ctx context.Context, tx *transaction) error {
		if err := deleteRechecks.execRows(ctx, tx, values); err != nil {
			return fmt.Errorf("forgetting what was asked for again: %w", err)
		}
		return nil
	})
}
