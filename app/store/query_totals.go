package store

import (
	"context"
	"database/sql"
	"errors"
	"fmt"
	"slices"
	"time"

	"mssentinel/app/job"
	"mssentinel/app/ledger"
)

// QueryTotals is what the saved queries gave.
type QueryTotals struct {
	// ReadAt is when the last update was complete that read the queries whole, CountedAt when the live objects were last
	// counted; zero where neither ever was.
	ReadAt, CountedAt time.Time
	// Queries are by the ids of the queries.
	Queries map[string]QueryTotal
}

// QueryTotal is what one query gave.
type QueryTotal struct {
	// Read says that the last update that read everything read the query as it is now. The five numbers below are of it:
	// indicators that matched, those of them below its confidence floor, and that cannot be sent, objects that the query won,
	// and those that it lost to a query in a higher position or to another of its indicators.
	Read                                    bool
	Matched, BelowFloor, Invalid, Won, Lost int64
	// Live is how many objects stood in Sentinel that the query won.
	Live int64
}

// QueryTotals is what the saved queries gave when they were last read whole and when objects were last counted. It costs
// next to nothing, whatever the size of the ledger.
func (s *Store) QueryTotals(ctx context.Context) (t QueryTotals, err error) {
	defer func() {
		if err != nil {
			t, err = QueryTotals{}, fmt.Errorf("reading what the queries gave: %w", err)
		}
	}()
	tx, err := s.read.BeginTxx(ctx, nil)
	if err != nil {
		return t, err
	}
	defer tx.Rollback() //nolint:errcheck // nothing was written
	t.Queries = map[string]QueryTotal{}
	if t.CountedAt, err = timeSetting(ctx, tx, settingLiveCounted); err != nil {
		return t, err
	}
	var live []struct {
		ID      string `db:"id"`
		Objects int64  `db:"objects"`
	}
	err = tx.SelectContext(ctx, &live, `SELECT query.id, objects FROM (SELECT query, sum(objects) AS objects FROM live_total GROUP BY query) AS live
		JOIN query ON query.number = live.query WHERE rank IS NOT NULL`)
	if err != nil {
		return t, err
	}
	for _, l := range live {
		t.Queries[l.ID] = QueryTotal{Live: l.Objects}
	}
	return t, t.addRead(ctx, tx)
}

// addRead adds what the last complete update of everything counted. A query that it could not read, or that was changed since, has
// no numbers: its mark has not come to where that update ended, or it was changed after that began.
func (t *QueryTotals) addRead(ctx context.Context, tx querier) error {
	var last struct {
		Number    int64 `db:"number"`
		Completed int64 `db:"completed"`
		Started   int64 `db:"started"`
		End       int64 `db:"window_end"`
	}
	err := tx.GetContext(ctx, &last, `SELECT number, date_completed AS completed, coalesce(date_started, date_queued) AS started, window_end FROM job
		WHERE status IN (?, ?) AND mode IN (?, ?) AND date_completed IS NOT NULL AND window_end IS NOT NULL ORDER BY number DESC LIMIT 1`,
		job.UploadComplete, job.ConfirmationRequired, job.Full, job.Reconcile)
	if errors.Is(err, sql.ErrNoRows) {
		return nil
	}
	if err != nil {
		return err
	}
	t.ReadAt = fromMillis(last.Completed)
	var rows []struct {
		ID         string `db:"id"`
		Matched    int64  `db:"matched"`
		BelowFloor int64  `db:"below_floor"`
		Invalid    int64  `db:"invalid"`
		Won        int64  `db:"won"`
		Lost       int64  `db:"lost"`
	}
	err = tx.SelectContext(ctx, &rows, `SELECT query.id, coalesce(sum(count_downloaded), 0) AS matched, coalesce(sum(count_below_floor), 0) AS below_floor,
			coalesce(sum(count_invalid), 0) AS invalid, coalesce(sum(count_unchanged + count_queued), 0) AS won, coalesce(sum(count_duplicate), 0) AS lost
		FROM query LEFT JOIN job_detail ON job_detail.job = ? AND job_detail.query_id = query.id
		WHERE rank IS NOT NULL AND mark >= ? AND changed <= ? GROUP BY query.id`, last.Number, last.End, last.Started)
	for _, r := range rows {
		total := t.Queries[r.ID]
		total.Read, total.Matched, total.BelowFloor, total.Invalid, total.Won, total.Lost = true, r.Matched, r.BelowFloor, r.Invalid, r.Won, r.Lost
		t.Queries[r.ID] = total
	}
	return err
}

// countLeaving counts the live objects that queries win and that no other saved query gives.
var countLeaving = fmt.Sprintf(`SELECT count(*) FROM object WHERE number > ? AND number <= ? AND destination = ? AND state = %d AND valid_until > ?
	AND query IN (SELECT value FROM json_each(?)) AND NOT EXISTS (SELECT 1 FROM candidate JOIN query ON query.number = candidate.query
		WHERE candidate.object = object.number AND candidate.object <> 0 AND query.rank IS NOT NULL AND query.number NOT IN (SELECT value FROM json_each(?)))`, ledger.Live)

// CountLeaving counts what would leave Sentinel if the queries with these ids were deleted: live objects that no other saved
// query gives. It reads the ledger in parts, about a second for a million objects; ctx bounds it.
func (s *Store) CountLeaving(ctx context.Context, ids []string, now time.Time) (n int64, err error) {
	defer func() {
		if err != nil {
			err = fmt.Errorf("counting what the deleted queries leave: %w", err)
		}
	}()
	d, err := currentDestination(ctx, s.read)
	if errors.Is(err, errNoDestination) {
		return 0, nil
	}
	if err != nil {
		return 0, err
	}
	var known []struct {
		Number int64  `db:"number"`
		ID     string `db:"id"`
	}
	if err := s.read.SelectContext(ctx, &known, `SELECT number, id FROM query`); err != nil {
		return 0, err
	}
	var numbers []int64
	for _, q := range known {
		if slices.Contains(ids, q.ID) {
			numbers = append(numbers, q.Number)
		}
	}
	var last int64
	if err := s.read.GetContext(ctx, &last, `SELECT coalesce(max(number), 0) FROM object`); err != nil {
		return 0, err
	}
	list := jsonList(numbers)
	for after := int64(0); after < last; after += liveChunk {
		var part int64
		if err := s.read.GetContext(ctx, &part, countLeaving, after, after+liveChunk, d.Number, toMillis(now), list, list); err != nil {
			return 0, err
		}
		n += part
	}
	return n, nil
}
