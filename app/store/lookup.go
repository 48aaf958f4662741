package store

import (
	"context"
	"database/sql"
	"errors"
	"fmt"
	"time"

	"github.com/google/uuid"
	"github.com/jmoiron/sqlx"

	"mssentinel/app/ledger"
	"mssentinel/app/stix"
)

// Bounds of what is told about objects.
const (
	maxKnown      = 50  // objects
	maxCandidates = 200 // of each object
)

// Known is all that the ledger knows of one object.
type Known struct {
	// ID is the STIX id, "indicator--" and a UUID.
	ID, Pattern, Type string
	// Name, Created and ValidUntil are with which it was last accepted; zero where it never was.
	Name                string
	Created, ValidUntil time.Time
	// ContentHash is of what was last decided to be right for Sentinel, where Decided says that anything was.
	ContentHash int64
	Decided     bool
	// State is what Sentinel holds; RetiredAt stands in ValidUntil where it is retired.
	State   ledger.State
	Outlook ledger.Outlook
	// Candidates are who gives it, the most important first; at most 200.
	Candidates []KnownCandidate
	// Sends are the last ones, newest first.
	Sends []Send
}

// KnownCandidate is an indicator that a query selects and that gives an object.
type KnownCandidate struct {
	// Query is the position of the query on CONFIGURE, 0 for one that was deleted.
	Query     int
	Indicator int64 // in ThreatConnect
	Owner     string
	Decision  ledger.Decision
}

// Send is one time that Sentinel accepted the object.
type Send struct {
	At time.Time
	// RequestID is that of the job, "" where it is not kept any more.
	RequestID string
	Retire    bool
	// Indicator is whose copy was sent.
	Indicator int64
}

// Lookup tells what the current ledger knows of objects by their ids; what it does not know is left out. At most 50 are told.
func (s *Store) Lookup(ctx context.Context, ids []uuid.UUID, now time.Time) ([]Known, error) {
	return s.lookup(ctx, now, func(tx querier, d destination) ([]int64, error) {
		var numbers []int64
		for _, id := range ids {
			number, found, err := findObject(ctx, tx, d, id)
			if err != nil {
				return nil, err
			}
			if found {
				numbers = append(numbers, number)
			}
		}
		return numbers, nil
	})
}

// selectGiven selects the objects that an indicator gives. Candidates are ordered by their queries, so each query is asked: left to
// itself, SQLite reads all candidates instead.
const selectGiven = `SELECT DISTINCT c.object FROM query q CROSS JOIN candidate c ON c.query = q.number AND c.indicator = ?
	JOIN object o ON o.number = c.object AND o.destination = ? ORDER BY 1 LIMIT ?`

// LookupIndicator tells what the current ledger knows of the objects that an indicator gives. At most 50 are told.
func (s *Store) LookupIndicator(ctx context.Context, indicator int64, now time.Time) ([]Known, error) {
	return s.lookup(ctx, now, func(tx querier, d destination) (numbers []int64, err error) {
		err = tx.SelectContext(ctx, &numbers, selectGiven, indicator, d.Number, maxKnown)
		return numbers, err
	})
}

// lookup tells what is known of the objects that find names, all as of one moment.
func (s *Store) lookup(ctx context.Context, now time.Time, find func(querier, destination) ([]int64, error)) (all []Known, err error) {
	defer func() {
		if err != nil {
			err = fmt.Errorf("looking an indicator up in the ledger: %w", err)
		}
	}()
	tx, err := s.read.BeginTxx(ctx, nil)
	if err != nil {
		return nil, err
	}
	defer tx.Rollback() //nolint:errcheck // nothing was written
	d, err := currentDestination(ctx, tx)
	if err != nil {
		return nil, err
	}
	numbers, err := find(tx, d)
	if err != nil {
		return nil, err
	}
	for _, number := range numbers[:min(len(numbers), maxKnown)] {
		k, err := readKnown(ctx, tx, d, number, now)
		if err != nil {
			return nil, err
		}
		all = append(all, k)
	}
	return all, nil
}

var selectPattern = selectByKey(`object.number, object.pattern`)

// findObject finds the number of an object of a destination. Two ids may share the key that is indexed.
func findObject(ctx context.Context, q querier, d destination, id uuid.UUID) (number int64, found bool, err error) {
	var rows []struct {
		Number  int64  `db:"number"`
		Pattern string `db:"pattern"`
	}
	err = q.SelectContext(ctx, &rows, selectPattern, jsonList([]int64{ledger.Key(id)}), d.Number)
	for _, r := range rows {
		if stix.ID(r.Pattern) == id {
			return r.Number, true, err
		}
	}
	return 0, false, err
}

func readKnown(ctx context.Context, q *sqlx.Tx, d destination, number int64, now time.Time) (Known, error) {
	o, k, err := readObject(ctx, q, number)
	if err != nil {
		return Known{}, err
	}
	decisions, err := k.readCandidates(ctx, q, o)
	if err != nil {
		return Known{}, err
	}
	k.Outlook = o.Outlook(d.Question, decisions, toMillis(now))
	return k, k.readSends(ctx, q, number)
}

func readObject(ctx context.Context, q *sqlx.Tx, number int64) (*ledger.Object, Known, error) {
	rows, err := q.QueryContext(ctx, `SELECT `+objectColumns+`, object.pattern, type.name FROM object JOIN type ON type.number = object.type
		WHERE object.number = ?`, number)
	if err != nil {
		return nil, Known{}, err
	}
	defer rows.Close()
	if !rows.Next() {
		return nil, Known{}, errors.Join(rows.Err(), sql.ErrNoRows)
	}
	var k Known
	o, err := scanObject(rows, &k.Pattern, &k.Type)
	if err != nil {
		return nil, Known{}, err
	}
	k.ID, k.State = "indicator--"+stix.ID(k.Pattern).String(), o.State
	k.ContentHash, k.Decided = o.Hash, !o.Resend
	if o.State != ledger.Nothing {
		k.Name, k.Created, k.ValidUntil = o.Name, fromMillis(o.Created), fromMillis(o.ValidUntil)
	}
	return o, k, nil
}

// readCandidates reads who gives the object, best first: those of the highest query, in its order.
func (k *Known) readCandidates(ctx context.Context, q querier, o *ledger.Object) ([]ledger.Decision, error) {
	var rows []struct {
		candidateKey
		Rank  sql.NullInt64 `db:"rank"`
		Place int64         `db:"place"`
		Owner string        `db:"owner"`
	}
	err := q.SelectContext(ctx, &rows, `SELECT c.query, c.indicator, c.object, q.rank, c.place, owner.name AS owner
		FROM candidate c JOIN query q ON q.number = c.query JOIN owner ON owner.number = c.owner
		WHERE c.object = ? AND c.object <> 0 ORDER BY NOT (c.query = ? AND c.indicator = ?), q.rank IS NULL, q.rank, c.place, c.indicator LIMIT ?`,
		o.Number, o.Winner.Query, o.Winner.Indicator, maxCandidates)
	if err != nil {
		return nil, err
	}
	ranks := map[int64]int64{}
	candidates := make([]*ledger.Candidate, len(rows))
	for i, r := range rows {
		if r.Rank.Valid {
			ranks[r.Query] = r.Rank.Int64
		}
		candidates[i] = &ledger.Candidate{Origin: r.toOrigin(), Object: o.Number, Place: r.Place}
	}
	decisions := ledger.Explain(candidates, ranks, o.Winner)
	for i, r := range rows {
		k.Candidates = append(k.Candidates, KnownCandidate{Query: int(r.Rank.Int64), Indicator: r.Indicator, Owner: r.Owner, Decision: decisions[i]})
	}
	return decisions, nil
}

func (k *Known) readSends(ctx context.Context, q querier, number int64) error {
	var rows []struct {
		At        int64          `db:"at"`
		RequestID sql.NullString `db:"request_id"`
		Retire    bool           `db:"retire"`
		Indicator int64          `db:"indicator"`
	}
	err := q.SelectContext(ctx, &rows, `SELECT send.at, job.request_id, send.retire, send.indicator FROM send LEFT JOIN job ON job.number = send.job
		WHERE send.object = ? ORDER BY send.at DESC`, number)
	for _, r := range rows {
		k.Sends = append(k.Sends, Send{At: fromMillis(r.At), RequestID: r.RequestID.String, Retire: r.Retire, Indicator: r.Indicator})
	}
	return err
}
