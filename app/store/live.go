package store

import (
	"context"
	"database/sql"
	"errors"
	"fmt"
	"time"

	"mssentinel/app/ledger"
)

// liveChunk is over how many numbers of objects one statement counts: what reads for long keeps the log from being written back.
const liveChunk = 20_000

// countLive counts the live objects of a destination by their type, the query that wins them and the owner of their winner, 0
// where nobody wins them.
var countLive = fmt.Sprintf(`SELECT object.type, max(object.query, 0), coalesce(candidate.owner, 0), count(*) FROM object
	LEFT JOIN candidate ON candidate.query = object.query AND candidate.indicator = object.indicator AND candidate.object = object.number
	WHERE object.number > ? AND object.number <= ? AND object.destination = ? AND object.state = %d AND object.valid_until > ?
	GROUP BY 1, 2, 3`, ledger.Live)

// liveKey names a total: the numbers of a type, a query and an owner.
type liveKey struct{ typ, query, owner int64 }

// KeepLiveTotals counts the objects that stand in Sentinel under the current destination, that is whose time to live has not ended,
// and keeps the totals. It reads the ledger in parts, so that nobody waits for it: some seconds for a million objects. What is
// sent meanwhile may be counted or not. Where there is no destination yet there is nothing to count.
func (s *Store) KeepLiveTotals(ctx context.Context, now time.Time) error {
	d, err := currentDestination(ctx, s.read)
	switch {
	case errors.Is(err, errNoDestination):
		return nil
	case err != nil:
		return err
	}
	var last int64
	if err := s.read.GetContext(ctx, &last, `SELECT coalesce(max(number), 0) FROM object`); err != nil {
		return fmt.Errorf("counting live objects: %w", err)
	}
	totals := map[liveKey]int64{}
	for after := int64(0); after < last; after += liveChunk {
		if err := s.addLive(ctx, totals, countLive, after, after+liveChunk, d.Number, toMillis(now)); err != nil {
			return fmt.Errorf("counting live objects: %w", err)
		}
	}
	return s.inTransaction(ctx, func(ctx context.Context, tx *transaction) error { return writeLive(ctx, tx, totals, now) })
}

// addLive adds what a statement counts to the totals.
func (s *Store) addLive(ctx context.Context, totals map[liveKey]int64, query string, args ...any) error {
	rows, err := s.read.QueryContext(ctx, query, args...)
	if err != nil {
		return err
	}
	defer rows.Close()
	for rows.Next() {
		var k liveKey
		var n int64
		if err := rows.Scan(&k.typ, &k.query, &k.owner, &n); err != nil {
			return err
		}
		totals[k] += n
	}
	return rows.Err()
}

var insertLive = newBulk(4, `INSERT INTO live_total (type, query, owner, objects) VALUES `, ``)

func writeLive(ctx context.Context, tx *transaction, totals map[liveKey]int64, now time.Time) error {
	if _, err := tx.ExecContext(ctx, `DELETE FROM live_total`); err != nil {
		return fmt.Errorf("keeping how many objects are live: %w", err)
	}
	values := make([]any, 0, insertLive.columns*len(totals))
	for k, n := range totals {
		values = append(values, k.typ, k.query, k.owner, n)
	}
	if err := insertLive.execRows(ctx, tx, values); err != nil {
		return fmt.Errorf("keeping how many objects are live: %w", err)
	}
	return putTime(ctx, tx, settingLiveCounted, now)
}

// LiveObjects is how many objects stood in Sentinel when [Store.KeepLiveTotals] last counted, and when that was: zero where it never
// did. It costs next to nothing, whatever the size of the ledger.
func (s *Store) LiveObjects(ctx context.Context) (total int64, asOf time.Time, err error) {
	var row struct {
		AsOf  sql.NullInt64 `db:"as_of"`
		Total int64         `db:"total"`
	}
	err = s.read.GetContext(ctx, &row, `SELECT (SELECT CAST(value AS INTEGER) FROM setting WHERE name = ?) AS as_of,
		(SELECT coalesce(sum(objects), 0) FROM live_total) AS total`, settingLiveCounted)
	if err != nil {
		return 0, time.Time{}, fmt.Errorf("reading how many objects are live: %w", err)
	}
	if row.AsOf.Valid {
		asOf = fromMillis(row.AsOf.Int64)
	}
	return row.Total, asOf, nil
}

// LiveTotals is how many objects stood in Sentinel when they were last counted.
type LiveTotals struct {
	// AsOf is when that was; zero where it never was.
	AsOf  time.Time
	Total int64
	// Types and Owners have the largest first. An object's owner is that of the indicator whose copy was sent, or is next;
	// Unowned is how many objects no query selects any more.
	Types, Owners []NameTotal
	Unowned       int64
}

// NameTotal is how many objects there are of a type or an owner.
type NameTotal struct {
	Name    string `db:"name"`
	Objects int64  `db:"objects"`
}

// LiveTotals is what [Store.KeepLiveTotals] last counted, by type and by owner.
func (s *Store) LiveTotals(ctx context.Context) (t LiveTotals, err error) {
	defer func() {
		if err != nil {
			t, err = LiveTotals{}, fmt.Errorf("reading how many objects are live: %w", err)
		}
	}()
	tx, err := s.read.BeginTxx(ctx, nil) // so that the totals and their time belong together
	if err != nil {
		return t, err
	}
	defer tx.Rollback() //nolint:errcheck // nothing was written
	if t.AsOf, err = timeSetting(ctx, tx, settingLiveCounted); err != nil {
		return t, err
	}
	err = tx.GetContext(ctx, &t.Unowned, `SELECT coalesce(sum(objects), 0) FROM live_total WHERE owner = 0`)
	if err != nil {
		return t, err
	}
	err = tx.SelectContext(ctx, &t.Owners, `SELECT owner.name, t.objects FROM (SELECT owner, sum(objects) AS objects FROM live_total GROUP BY owner) AS t
		JOIN owner ON owner.number = t.owner ORDER BY t.objects DESC, owner.name`)
	if err != nil {
		return t, err
	}
	err = tx.SelectContext(ctx, &t.Types, `SELECT type.name, t.objects FROM (SELECT type, sum(objects) AS objects FROM live_total GROUP BY type) AS t
		JOIN type ON type.number = t.type ORDER BY t.objects DESC, type.name`)
	for _, n := range t.Types {
		t.Total += n.Objects
	}
	return t, err
}
