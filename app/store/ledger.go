package store

import (
	"context"
	"database/sql"
	"encoding/binary"
	"errors"
	"fmt"
	"time"

	"github.com/google/uuid"
	"github.com/jmoiron/sqlx"

	"mssentinel/app/job"
	"mssentinel/app/stix"
)

// Found is one indicator that a query returned, and what the mapper made of it.
type Found struct {
	// Indicator is ThreatConnect's number; 0 where it could not be read.
	Indicator int64
	Owner     string
	Type      string
	// Modified is lastModified.
	Modified time.Time
	Objects  []FoundObject
	Problems []job.Problem
	// Unconverted: the mapper failed, so that what the indicator gives is not known. What it gave before still stands.
	Unconverted bool
}

// FoundObject is an object as its mapper made it.
type FoundObject struct {
	*stix.Indicator
	// ID is stix.ID of the pattern, Hash its content hash.
	ID         uuid.UUID
	Hash       uint64
	ValidUntil time.Time
}

// Batch is a part of what a query returned, in the query's order.
type Batch struct {
	Job   int64
	Mode  job.Mode
	Query int64
	// Unread are queries whose read failed in this run: their candidates still stand.
	Unread []int64
	// Place is that of the first Found in the query's order.
	Place int64
	Found []Found
	// Now is the time of conversion.
	Now time.Time
}

// Candidate is an indicator that a query selects.
type Candidate struct {
	Query, Indicator int64
}

// What Sentinel holds of an object.
const (
	stateNothing = 0
	stateLive    = 1
	stateRetired = 2
)

// Who gives an object, where it is no query.
const (
	// nobody gives it, and nothing is left to do about that.
	nobody = 0
	// vacant: its winner went away, and neither was another elected nor was it retired.
	vacant = -1
)

// object is a row of the ledger, as far as decisions need it.
type object struct {
	Number    int64         `db:"number"`
	Key       int64         `db:"key"`
	Type      int64         `db:"type"`
	Pattern   string        `db:"pattern"`
	Query     int64         `db:"query"`
	Indicator int64         `db:"indicator"`
	Elected   int64         `db:"elected"`
	Lost      int64         `db:"lost"`
	Modified  int64         `db:"modified"`
	Hash      sql.NullInt64 `db:"hash"`
	Job       int64         `db:"job"`
	Queued    int64         `db:"queued"`
	Settled   int64         `db:"settled"`
	State     int64         `db:"state"`

	// fresh: it has no row yet. changed: its row is to be written.
	fresh, changed bool
}

const objectColumns = `number, object.key, object.type, pattern, query, indicator, elected, lost, modified, hash, job, queued, settled, state`

func (o *object) scan(rows *sqlx.Rows) error {
	return rows.Scan(&o.Number, &o.Key, &o.Type, &o.Pattern, &o.Query, &o.Indicator, &o.Elected, &o.Lost, &o.Modified,
		&o.Hash, &o.Job, &o.Queued, &o.Settled, &o.State)
}

// key is what the ledger finds an object by.
func key(id uuid.UUID) int64 { return int64(binary.BigEndian.Uint64(id[:8])) }

// destination is where the objects of the ledger stand.
type destination struct {
	Number     int64  `db:"number"`
	Workspace  string `db:"workspace"`
	Source     string `db:"source"`
	Generation int64  `db:"generation"`
	Asked      int64  `db:"asked"`
	Kept       int64  `db:"kept"`
}

var errNoDestination = errors.New("the ledger belongs to no workspace yet")

func currentDestination(ctx context.Context, q querier) (d destination, err error) {
	err = q.GetContext(ctx, &d, `SELECT number, workspace, source, generation, asked, kept FROM destination WHERE current`)
	switch {
	case errors.Is(err, sql.ErrNoRows):
		return d, errNoDestination
	case err != nil:
		return d, fmt.Errorf("reading the destination: %w", err)
	}
	return d, nil
}

// queryRanks are the ranks of the saved queries by number. A query that was deleted has none: its candidates never count.
func queryRanks(ctx context.Context, q querier) (map[int64]int64, error) {
	var rows []struct {
		Number int64 `db:"number"`
		Rank   int64 `db:"rank"`
	}
	if err := q.SelectContext(ctx, &rows, `SELECT number, rank FROM query WHERE rank IS NOT NULL`); err != nil {
		return nil, fmt.Errorf("reading the ranks of the queries: %w", err)
	}
	ranks := make(map[int64]int64, len(rows))
	for _, r := range rows {
		ranks[r.Number] = r.Rank
	}
	return ranks, nil
}
