package store

import (
	"context"
	"database/sql"
	"errors"
	"fmt"
	"slices"
	"strconv"
	"time"

	"github.com/jmoiron/sqlx"
	"github.com/tidwall/gjson"

	"mssentinel/app/stix"
)

// Outgoing is an object on its way to Sentinel.
type Outgoing struct {
	// Seq orders what goes out. Of two rows of one object the later one counts: it may not overtake the earlier.
	Seq, Object, Job int64
	// Source is the name under which Sentinel lists the object.
	Source string
	Retire bool
	// Payload is the STIX object.
	Payload []byte
}

// Outgoing are the next rows of the outbox after a row, in order. What was given away once is taken to be under way, until
// it is settled.
func (s *Store) Outgoing(ctx context.Context, after int64, limit int) (out []Outgoing, err error) {
	err = s.tx(ctx, func(ctx context.Context, tx *sqlx.Tx) error {
		if out, err = readOutbox(ctx, tx, after, limit); err != nil {
			return fmt.Errorf("reading the outbox: %w", err)
		}
		if len(out) == 0 || out[len(out)-1].Seq <= s.handed {
			return nil
		}
		s.handed = out[len(out)-1].Seq
		return putSetting(ctx, tx, settingHanded, strconv.FormatInt(s.handed, 10))
	})
	return out, err
}

func readOutbox(ctx context.Context, tx *sqlx.Tx, after int64, limit int) ([]Outgoing, error) {
	rows, err := tx.QueryContext(ctx, `SELECT seq, object, job, source, retire, outbox.name, outbox.created, outbox.valid_until, payload,
			CASE WHEN retire THEN (SELECT pattern FROM object WHERE number = object) ELSE '' END
		FROM outbox JOIN destination ON destination.number = outbox.destination WHERE seq > ? ORDER BY seq LIMIT ?`, after, limit)
	if err != nil {
		return nil, err
	}
	defer rows.Close()
	out := make([]Outgoing, 0, limit)
	for rows.Next() {
		var o Outgoing
		var created, until int64
		var name, pattern string
		if err := rows.Scan(&o.Seq, &o.Object, &o.Job, &o.Source, &o.Retire, &name, &created, &until, &o.Payload, &pattern); err != nil {
			return nil, err
		}
		if o.Retire {
			o.Payload = stix.Retired{Pattern: pattern, Name: name, Created: fromMillis(created),
				ValidUntil: fromMillis(until), Modified: fromMillis(until)}.AppendJSON(nil)
		}
		out = append(out, o)
	}
	return out, rows.Err()
}

// OutboxSize is how many rows wait for Sentinel, in all and of a job.
func (s *Store) OutboxSize(ctx context.Context, job int64) (total, ofJob int64, err error) {
	row := s.read.QueryRowxContext(ctx, `SELECT (SELECT count(*) FROM outbox), (SELECT count(*) FROM outbox WHERE job = ?)`, job)
	if err := row.Scan(&total, &ofJob); err != nil {
		return 0, 0, fmt.Errorf("counting the outbox: %w", err)
	}
	return total, ofJob, nil
}

// Settlement is what Sentinel answered to a request.
type Settlement struct {
	// Slot is the request's, 0 for none.
	Slot     int64
	At       time.Time
	Accepted []Outgoing
	Refused  []RefusedObject
}

// RefusedObject is an object that Sentinel does not take.
type RefusedObject struct {
	Outgoing
	Code, Message string
}

// Settle writes down what Sentinel answered: ledger, sends, counts, lines on REPORT, and the end of the slot, in one
// transaction with taking the rows off the outbox. What was settled before is passed over.
func (s *Store) Settle(ctx context.Context, st Settlement) error {
	return s.tx(ctx, func(ctx context.Context, tx *sqlx.Tx) error {
		x := &settlement{Settlement: st, store: s, tx: tx, at: millis(st.At), tally: tally{}, days: map[int64]*day{}}
		if err := x.load(ctx); err != nil {
			return fmt.Errorf("reading what was settled: %w", err)
		}
		for _, o := range st.Accepted {
			if err := x.accept(ctx, o); err != nil {
				return err
			}
		}
		for _, r := range st.Refused {
			if err := x.refuse(ctx, r); err != nil {
				return err
			}
		}
		return x.write(ctx)
	})
}

type settlement struct {
	Settlement
	store *Store
	tx    *sqlx.Tx
	at    int64

	rows                           map[int64]*outboxRow
	tally                          tally
	days                           map[int64]*day
	seqs                           []int64
	lived, retired, refused, sends []any
	problems                       []any
}

// outboxRow is what the outbox and the ledger know of an object that was sent.
type outboxRow struct {
	seq, object, job, query, indicator int64
	retire                             bool
	name                               string
	created, validUntil                int64
	typ, settled                       int64
}

type day struct{ sent, refused, retired int64 }

func (x *settlement) load(ctx context.Context) error {
	seqs := make([]int64, 0, len(x.Accepted)+len(x.Refused))
	for _, o := range x.Accepted {
		seqs = append(seqs, o.Seq)
	}
	for _, r := range x.Refused {
		seqs = append(seqs, r.Seq)
	}
	slices.Sort(seqs)
	rows, err := x.tx.QueryContext(ctx, `SELECT seq, object, outbox.job, retire, outbox.query, outbox.indicator, outbox.name, outbox.created,
			outbox.valid_until, type, settled
		FROM outbox JOIN object ON object.number = outbox.object WHERE seq IN (SELECT value FROM json_each(?))`, set(seqs))
	if err != nil {
		return err
	}
	defer rows.Close()
	x.rows = make(map[int64]*outboxRow, len(seqs))
	for rows.Next() {
		r := new(outboxRow)
		if err := rows.Scan(&r.seq, &r.object, &r.job, &r.retire, &r.query, &r.indicator, &r.name, &r.created, &r.validUntil, &r.typ, &r.settled); err != nil {
			return err
		}
		x.rows[r.seq] = r
	}
	return rows.Err()
}

// take takes a row off the outbox, once.
func (x *settlement) take(ctx context.Context, seq int64) (*outboxRow, *Counts, *day, error) {
	r := x.rows[seq]
	if r == nil {
		return nil, nil, nil, nil
	}
	delete(x.rows, seq)
	x.seqs = append(x.seqs, seq)
	typ, err := x.store.names.typeName(ctx, x.tx, r.typ)
	if err != nil {
		return nil, nil, nil, err
	}
	d := x.days[r.typ]
	if d == nil {
		d = new(day)
		x.days[r.typ] = d
	}
	return r, x.tally.of(r.job, r.query, typ), d, nil
}

func (x *settlement) accept(ctx context.Context, o Outgoing) error {
	r, count, d, err := x.take(ctx, o.Seq)
	if err != nil {
		return err
	}
	if r == nil {
		// Its job was cancelled meanwhile. Sentinel holds it all the same.
		return x.acceptDropped(ctx, o)
	}
	x.sends = append(x.sends, r.object, x.at, r.job, r.retire, r.query, r.indicator)
	if r.retire {
		count.Retired++
		d.retired++
		x.retired = append(x.retired, r.object, r.seq, r.validUntil)
		return nil
	}
	count.Uploaded++
	d.sent++
	x.lived = append(x.lived, r.object, r.seq, r.name, r.created, r.validUntil)
	return nil
}

// acceptDropped notes what Sentinel took although the outbox knows it no more. It is not counted: the same may have been
// settled before.
func (x *settlement) acceptDropped(ctx context.Context, o Outgoing) error {
	members := gjson.GetManyBytes(o.Payload, "name", "created", "valid_until")
	created, err := time.Parse(time.RFC3339, members[1].String())
	if err != nil {
		return fmt.Errorf("reading what Sentinel took: %w", err)
	}
	until, err := time.Parse(time.RFC3339, members[2].String())
	if err != nil {
		return fmt.Errorf("reading what Sentinel took: %w", err)
	}
	var settled int64
	if err := x.tx.GetContext(ctx, &settled, `SELECT settled FROM object WHERE number = ?`, o.Object); err != nil {
		if errors.Is(err, sql.ErrNoRows) {
			return nil
		}
		return fmt.Errorf("reading the ledger: %w", err)
	}
	switch {
	case settled >= o.Seq:
	case o.Retire:
		x.retired = append(x.retired, o.Object, o.Seq, millis(until))
	default:
		x.lived = append(x.lived, o.Object, o.Seq, members[0].String(), millis(created), millis(until))
	}
	return nil
}

func (x *settlement) refuse(ctx context.Context, o RefusedObject) error {
	r, count, d, err := x.take(ctx, o.Seq)
	if r == nil || err != nil {
		return err
	}
	count.Rejected++
	d.refused++
	x.refused = append(x.refused, r.object, r.seq)
	x.problems = appendProblem(x.problems, r.job, r.query, r.indicator, Problem{DateAdded: x.At, Step: "Upload", Code: o.Code,
		Message: o.Message, Raw: string(o.Payload)})
	return nil
}

// What was answered for an older row does not touch what is known of a newer one.
var (
	settleLived = newBulk(5, `UPDATE object SET settled = v.column2, queued = iif(queued = v.column2, 0, queued), state = 1,
		name = v.column3, created = v.column4, valid_until = v.column5 FROM (VALUES `, `) AS v WHERE number = v.column1 AND settled < v.column2`)
	settleRetired = newBulk(3, `UPDATE object SET settled = v.column2, queued = iif(queued = v.column2, 0, queued), state = 2,
		valid_until = v.column3 FROM (VALUES `, `) AS v WHERE number = v.column1 AND settled < v.column2`)
	settleRefused = newBulk(2, `UPDATE object SET settled = v.column2, queued = iif(queued = v.column2, 0, queued)
		FROM (VALUES `, `) AS v WHERE number = v.column1 AND settled < v.column2`)
	insertSends = newBulk(6, `INSERT OR REPLACE INTO send (object, at, job, retire, query, indicator) VALUES `, ``)
)

func (x *settlement) write(ctx context.Context) error {
	for _, w := range []struct {
		bulk   bulk
		values []any
	}{{settleLived, x.lived}, {settleRetired, x.retired}, {settleRefused, x.refused}, {insertSends, x.sends}} {
		if err := w.bulk.exec(ctx, x.tx, w.values); err != nil {
			return fmt.Errorf("writing down what Sentinel answered: %w", err)
		}
	}
	if len(x.seqs) > 0 {
		if _, err := x.tx.ExecContext(ctx, `DELETE FROM outbox WHERE seq IN (SELECT value FROM json_each(?))`, set(x.seqs)); err != nil {
			return fmt.Errorf("taking what was sent off the outbox: %w", err)
		}
	}
	if err := addProblems(ctx, x.tx, x.problems); err != nil {
		return err
	}
	if err := x.tally.write(ctx, x.tx); err != nil {
		return err
	}
	for typ, d := range x.days {
		_, err := x.tx.ExecContext(ctx, `INSERT INTO daily (day, type, sent, refused, retired) VALUES (?, ?, ?, ?, ?)
			ON CONFLICT DO UPDATE SET sent = sent + excluded.sent, refused = refused + excluded.refused, retired = retired + excluded.retired`,
			dayOf(x.At), typ, d.sent, d.refused, d.retired)
		if err != nil {
			return fmt.Errorf("counting for the day: %w", err)
		}
	}
	if x.Slot == 0 {
		return nil
	}
	return endSlot(ctx, x.tx, x.Slot, x.At)
}

// dayOf is the number of t's day since 1970, UTC.
func dayOf(t time.Time) int64 { return t.Unix() / (24 * 60 * 60) }
