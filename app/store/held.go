package store

import (
	"cmp"
	"context"
	"fmt"
	"slices"
	"strings"
	"time"

	"github.com/jmoiron/sqlx"

	"mssentinel/app/job"
	"mssentinel/app/ledger"
	"mssentinel/app/stix"
)

// Held is an object that a job in Confirmation Required asks about.
type Held struct {
	// Number is the object's in the ledger, by which they are in order; ID is the STIX id.
	Number int64
	ID     string
	// Value and Owner are those of the copy that was sent; Type is ThreatConnect's.
	Value, Owner, Type string
	// Query is the id of the query that gave it, "" where that is not known; Position is its place on CONFIGURE, 0 for none, and
	// TQL what it asks.
	Query, TQL string
	Position   int
	Cause      ledger.Cause
	// Sent is when it was last sent, zero for never; ValidUntil is how long it stands if it is kept.
	Sent, ValidUntil time.Time
}

// HeldFilter selects some of them. Zero members select everything.
type HeldFilter struct {
	// Text is part of the value or the owner.
	Text string
	// Type and Owner are compared without regard to case.
	Type, Owner string
	// Query is the id of the query that gave it.
	Query string
	Cause ledger.Cause
}

func (f *HeldFilter) selects(h *Held) bool {
	return (f.Query == "" || f.Query == h.Query) && (f.Cause == "" || f.Cause == h.Cause) &&
		(f.Type == "" || strings.EqualFold(f.Type, h.Type)) && (f.Owner == "" || strings.EqualFold(f.Owner, h.Owner))
}

// heldName is the name under which an object stands, or will by the time that it is answered.
var heldName = `iif(` + objectName + ` <> '', ` + objectName + `, ` + outboxName + `)`

// selectHeld adds to each object its sends, and of the newest when it was, by which query, and whether it retired the object.
var selectHeld = `SELECT object.number, object.pattern, (SELECT name FROM type WHERE type.number = object.type), ` + heldName + `, object.indicator,
		coalesce(object.valid_until, outbox.valid_until, 0),
		coalesce(send.delivery, 0), send.earlier, coalesce(delivery.at, 0), coalesce(delivery.query, 0), coalesce(delivery.retire, 0)` +
	joinQueued + ` LEFT JOIN send ON send.object = object.number LEFT JOIN delivery ON delivery.number = send.delivery` + whereDeparted + mayStand + ` AND object.number > ?`

// EachHeld gives what the question of a job is about, of the objects after one, in the order of their numbers, until handle
// returns false or an error, which is returned as it is. What a query gives again by now is not among it. A job that asks
// nothing is [job.ErrState].
func (s *Store) EachHeld(ctx context.Context, requestID string, f HeldFilter, after int64, now time.Time, handle func(Held) (more bool, err error)) error {
	tx, err := s.read.BeginTxx(ctx, nil)
	if err != nil {
		return fmt.Errorf("reading what a job asks about: %w", err)
	}
	defer tx.Rollback() //nolint:errcheck // nothing was written
	j, err := readJob(ctx, tx, requestID)
	if err != nil {
		return err
	}
	if j.Status != job.ConfirmationRequired {
		return fmt.Errorf("reading what job %s asks about: %w", requestID, job.ErrState)
	}
	return readHeld(ctx, tx, f, after, now, handle)
}

func readHeld(ctx context.Context, tx *sqlx.Tx, f HeldFilter, after int64, now time.Time, handle func(Held) (bool, error)) error {
	d, err := currentDestination(ctx, tx)
	if err != nil {
		return err
	}
	handed, err := numberSetting(ctx, tx, settingHanded)
	if err != nil {
		return err
	}
	givers, err := readGivers(ctx, tx)
	if err != nil {
		return err
	}
	statement, args := selectHeld, []any{d.Number, int64(0), d.Asked, ledger.Certain, toMillis(now), handed, after}
	if f.Text != "" {
		statement, args = statement+` AND `+heldName+` LIKE ? ESCAPE '\'`, append(args, likePart(f.Text))
	}
	rows, err := tx.QueryContext(ctx, statement+` ORDER BY object.number`, args...)
	if err != nil {
		return fmt.Errorf("reading what a job asks about: %w", err)
	}
	defer rows.Close()
	for more := true; more && rows.Next(); {
		var h Held
		var sends sendRow
		var pattern, name string
		var loss, until, sent, query int64
		var retired bool
		err := rows.Scan(&h.Number, &pattern, &h.Type, &name, &loss, &until, &sends.Delivery, &sends.Earlier, &sent, &query, &retired)
		if err != nil {
			return fmt.Errorf("reading what a job asks about: %w", err)
		}
		if retired { // seldom: what was sent since is under way, or may stand although it was rejected
			sends.Object = h.Number
			if sent, query, err = sentBefore(ctx, tx, &sends); err != nil {
				return fmt.Errorf("reading what a job asks about: %w", err)
			}
		}
		h.describe(pattern, name, until, sent)
		g := givers[query]
		h.Query, h.TQL, h.Position = g.id, g.tql, g.position
		h.Cause = ledger.ExplainLoss(ledger.Loss(loss), sent, h.Owner, g.giver)
		if !f.selects(&h) {
			continue
		}
		if more, err = handle(h); err != nil {
			return err
		}
	}
	return rows.Err()
}

// describe fills in what an object is called. One without a name is called by its pattern.
func (h *Held) describe(pattern, name string, until, sent int64) {
	h.ID = "indicator--" + stix.ID(pattern).String()
	if h.Value, h.Owner = splitName(name); h.Value == "" {
		h.Value = pattern
	}
	h.ValidUntil = fromMillis(until)
	if sent != 0 {
		h.Sent = fromMillis(sent)
	}
}

// knownGiver is a query that may have given an object.
type knownGiver struct {
	id, tql  string
	position int
	giver    *ledger.Giver
}

// readGivers reads all queries that are kept, the deleted ones among them, by number.
func readGivers(ctx context.Context, q querier) (map[int64]knownGiver, error) {
	var rows []struct {
		queryRow
		Changed int64 `db:"changed"`
	}
	if err := q.SelectContext(ctx, &rows, `SELECT `+queryColumns+`, changed FROM query`); err != nil {
		return nil, fmt.Errorf("reading the queries: %w", err)
	}
	givers := make(map[int64]knownGiver, len(rows))
	for _, r := range rows {
		query, err := r.toQuery()
		if err != nil {
			return nil, err
		}
		givers[r.Number] = knownGiver{id: r.ID, tql: r.TQL, position: query.Rank,
			giver: &ledger.Giver{Saved: r.Rank.Valid, Owners: query.Owners, Changed: r.Changed}}
	}
	return givers, nil
}

// HeldGroup counts what a question is about by query, owner, type and cause.
type HeldGroup struct {
	Query, TQL  string
	Position    int
	Owner, Type string
	Cause       ledger.Cause
	Objects     int64
}

// HeldSummary is what a question is about at a glance.
type HeldSummary struct {
	Objects int64
	// Groups are the largest first, at most 1,000; Rest counts the objects of all others.
	Groups []HeldGroup
	Rest   int64
	// Starts are the numbers after which each part of so many objects begins that the caller asked for.
	Starts []int64
}

// maxHeldGroups bounds how many groups are told, maxCountedGroups how many are counted.
const (
	maxHeldGroups    = 1000
	maxCountedGroups = 20_000
)

// SummarizeHeld counts what the question of a job is about, and where the parts of a list of it begin, each of part objects. A job
// that asks nothing is [job.ErrState].
func (s *Store) SummarizeHeld(ctx context.Context, requestID string, part int64, now time.Time) (sum HeldSummary, err error) {
	type key struct {
		query, owner, typ string
		cause             ledger.Cause
	}
	groups := map[key]*HeldGroup{}
	last := int64(0)
	err = s.EachHeld(ctx, requestID, HeldFilter{}, 0, now, func(h Held) (bool, error) {
		if sum.Objects%part == 0 {
			sum.Starts = append(sum.Starts, last)
		}
		sum.Objects++
		last = h.Number
		k := key{h.Query, h.Owner, h.Type, h.Cause}
		g := groups[k]
		switch {
		case g != nil:
			g.Objects++
		case len(groups) >= maxCountedGroups:
			sum.Rest++
		default:
			groups[k] = &HeldGroup{Query: h.Query, TQL: h.TQL, Position: h.Position, Owner: h.Owner, Type: h.Type, Cause: h.Cause, Objects: 1}
		}
		return true, nil
	})
	for _, g := range groups {
		sum.Groups = append(sum.Groups, *g)
	}
	slices.SortFunc(sum.Groups, func(a, b HeldGroup) int {
		return cmp.Or(cmp.Compare(b.Objects, a.Objects), cmp.Compare(a.Position, b.Position), cmp.Compare(a.Query, b.Query),
			cmp.Compare(a.Owner, b.Owner), cmp.Compare(a.Type, b.Type), cmp.Compare(a.Cause, b.Cause))
	})
	for _, g := range sum.Groups[min(len(sum.Groups), maxHeldGroups):] {
		sum.Rest += g.Objects
	}
	sum.Groups = sum.Groups[:min(len(sum.Groups), maxHeldGroups)]
	return sum, err
}
