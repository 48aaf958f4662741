package store

import (
	"context"
	"database/sql"
	"fmt"
	"maps"
	"slices"
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
	return s.lookup(ctx, now, func(tx querier, d destination) ([]int64, error) { return findObjects(ctx, tx, d, ids) })
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
	return readKnown(ctx, tx, d, numbers[:min(len(numbers), maxKnown)], now)
}

var selectPattern = selectByKey(`object.number, object.pattern`)

// findObjects finds the numbers of objects of a destination, in the order of their ids; what is not known is left out. Two ids may share
// the key that is indexed.
func findObjects(ctx context.Context, q querier, d destination, ids []uuid.UUID) (numbers []int64, err error) {
	keys := make([]int64, len(ids))
	for i, id := range ids {
		keys[i] = ledger.Key(id)
	}
	slices.Sort(keys)
	var rows []struct {
		Number  int64  `db:"number"`
		Pattern string `db:"pattern"`
	}
	if err := q.SelectContext(ctx, &rows, selectPattern, jsonList(slices.Compact(keys)), d.Number); err != nil {
		return nil, err
	}
	known := make(map[uuid.UUID]int64, len(rows))
	for _, r := range rows {
		known[stix.ID(r.Pattern)] = r.Number
	}
	for _, id := range ids {
		if number, found := known[id]; found {
			numbers = append(numbers, number)
		}
	}
	return numbers, nil
}

// readKnown tells what is known of objects, in the order of their numbers.
func readKnown(ctx context.Context, q *sqlx.Tx, d destination, numbers []int64, now time.Time) ([]Known, error) {
	if len(numbers) == 0 {
		return nil, nil
	}
	objects, known, err := readKnownObjects(ctx, q, numbers)
	if err != nil {
		return nil, err
	}
	candidates, err := readKnownCandidates(ctx, q, numbers)
	if err != nil {
		return nil, err
	}
	if err := readKnownSends(ctx, q, numbers, known); err != nil {
		return nil, err
	}
	all := make([]Known, 0, len(numbers))
	for _, number := range numbers {
		o, k := objects[number], known[number]
		if o == nil {
			return nil, fmt.Errorf("object %d: %w", number, sql.ErrNoRows)
		}
		k.Outlook = o.Outlook(d.Question, k.explainCandidates(o, candidates[number]), toMillis(now))
		all = append(all, *k)
	}
	return all, nil
}

// readKnownObjects reads objects, by their numbers, and what their own rows tell of them.
func readKnownObjects(ctx context.Context, q *sqlx.Tx, numbers []int64) (map[int64]*ledger.Object, map[int64]*Known, error) {
	rows, err := q.QueryContext(ctx, `SELECT `+objectColumns+`, object.pattern, type.name FROM object JOIN type ON type.number = object.type
		WHERE object.number IN (SELECT value FROM json_each(?))`, jsonList(numbers))
	if err != nil {
		return nil, nil, err
	}
	defer rows.Close()
	objects, known := map[int64]*ledger.Object{}, map[int64]*Known{}
	for rows.Next() {
		k := new(Known)
		o, err := scanObject(rows, &k.Pattern, &k.Type)
		if err != nil {
			return nil, nil, err
		}
		k.ID, k.State = "indicator--"+stix.ID(k.Pattern).String(), o.State
		k.ContentHash, k.Decided = o.Hash, !o.Resend
		if o.State != ledger.Nothing {
			k.Name, k.Created, k.ValidUntil = o.Name, fromMillis(o.Created), fromMillis(o.ValidUntil)
		}
		objects[o.Number], known[o.Number] = o, k
	}
	return objects, known, rows.Err()
}

// candidateRow is a candidate as an object is explained by it.
type candidateRow struct {
	candidateKey
	Rank  sql.NullInt64 `db:"rank"`
	Place int64         `db:"place"`
	Owner string        `db:"owner"`
}

// selectKnownCandidates selects who gives objects, ?1: of each no more than ?2, the winner first.
const selectKnownCandidates = `SELECT query, indicator, object, rank, place, owner FROM (
		SELECT c.query, c.indicator, c.object, q.rank, c.place, owner.name AS owner, row_number() OVER (PARTITION BY c.object
			ORDER BY NOT (c.query = o.query AND c.indicator = o.indicator), q.rank IS NULL, q.rank, c.place, c.indicator) AS turn
		FROM json_each(?1) AS wanted CROSS JOIN candidate c ON c.object = wanted.value AND c.object <> 0
		JOIN object o ON o.number = c.object JOIN query q ON q.number = c.query JOIN owner ON owner.number = c.owner)
	WHERE turn <= ?2 ORDER BY object, turn`

// readKnownCandidates reads who gives objects, by their numbers, best first: the winner, then those of the highest query, in its order.
func readKnownCandidates(ctx context.Context, q querier, numbers []int64) (map[int64][]candidateRow, error) {
	var rows []candidateRow
	err := q.SelectContext(ctx, &rows, selectKnownCandidates, jsonList(numbers), maxCandidates)
	if err != nil {
		return nil, err
	}
	byObject := map[int64][]candidateRow{}
	for _, r := range rows {
		byObject[r.Object] = append(byObject[r.Object], r)
	}
	return byObject, nil
}

// explainCandidates takes over who gives the object, and returns what was decided about each.
func (k *Known) explainCandidates(o *ledger.Object, rows []candidateRow) []ledger.Decision {
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
	return decisions
}

// readKnownSends adds the last sends of objects, newest first.
func readKnownSends(ctx context.Context, q querier, numbers []int64, known map[int64]*Known) error {
	sends, err := readSends(ctx, q, numbers)
	if err != nil {
		return err
	}
	var rows []struct {
		Number    int64          `db:"number"`
		At        int64          `db:"at"`
		RequestID sql.NullString `db:"request_id"`
		Retire    bool           `db:"retire"`
	}
	err = q.SelectContext(ctx, &rows, `SELECT delivery.number, delivery.at, job.request_id, delivery.retire FROM delivery LEFT JOIN job ON job.number = delivery.job
		WHERE delivery.number IN (SELECT value FROM json_each(?))`, jsonList(listDeliveries(slices.Collect(maps.Values(sends)))))
	if err != nil {
		return err
	}
	deliveries := make(map[int64]Send, len(rows))
	for _, r := range rows {
		deliveries[r.Number] = Send{At: fromMillis(r.At), RequestID: r.RequestID.String, Retire: r.Retire}
	}
	for number, k := range known {
		for _, kept := range sends[number] {
			send, found := deliveries[kept.Delivery]
			if !found {
				return fmt.Errorf("delivery %d: %w", kept.Delivery, sql.ErrNoRows)
			}
			send.Indicator = kept.Indicator
			k.Sends = append(k.Sends, send)
		}
	}
	return nil
}
