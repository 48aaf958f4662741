package store

import (
	"context"
	"database/sql"
	"fmt"
	"slices"
	"strconv"
	"time"

	"mssentinel/app/job"
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

	row outboxRow
}

// outboxRow is what else the outbox knows of an object that is sent.
type outboxRow struct {
	seq, object, job, query, indicator int64
	retire                             bool
	name                               string
	created, validUntil                int64
	typ                                int64
}

// Outgoing are the next rows of the outbox after a row, in order. What was given away once is taken to be under way, until
// it is settled.
func (s *Store) Outgoing(ctx context.Context, after int64, limit int) (out []Outgoing, err error) {
	err = s.inTransaction(ctx, func(ctx context.Context, tx *transaction) error {
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

// roomSize is how many bytes of payloads share an allocation.
const roomSize = 128 << 10

func readOutbox(ctx context.Context, tx *transaction, after int64, limit int) ([]Outgoing, error) {
	sources, err := readSources(ctx, tx)
	if err != nil {
		return nil, err
	}
	rows, err := tx.QueryContext(ctx, `SELECT seq, object, job, destination, retire, query, indicator, type, name, created, valid_until, payload,
			CASE WHEN retire THEN (SELECT pattern FROM object WHERE number = object) ELSE '' END
		FROM outbox WHERE seq > ? ORDER BY seq LIMIT ?`, after, limit)
	if err != nil {
		return nil, err
	}
	defer rows.Close()
	out := make([]Outgoing, 0, min(limit, 1000))
	var room []byte
	for rows.Next() {
		var r outboxRow
		var destination int64
		var payload sql.RawBytes
		var pattern string
		if err := rows.Scan(&r.seq, &r.object, &r.job, &destination, &r.retire, &r.query, &r.indicator, &r.typ, &r.name, &r.created,
			&r.validUntil, &payload, &pattern); err != nil {
			return nil, err
		}
		o := Outgoing{Seq: r.seq, Object: r.object, Job: r.job, Source: sources[destination], Retire: r.retire, row: r}
		if o.Retire {
			o.Payload = stix.Retired{Pattern: pattern, Name: r.name, Created: fromMillis(r.created),
				ValidUntil: fromMillis(r.validUntil), Modified: fromMillis(r.validUntil)}.AppendJSON(nil)
		} else {
			if cap(room)-len(room) < len(payload) {
				room = make([]byte, 0, max(len(payload), roomSize))
			}
			from := len(room)
			room = append(room, payload...)
			o.Payload = room[from:len(room):len(room)]
		}
		out = append(out, o)
	}
	return out, rows.Err()
}

// readSources are the source names by the number of their destination.
func readSources(ctx context.Context, q querier) (map[int64]string, error) {
	var all []destination
	if err := q.SelectContext(ctx, &all, `SELECT number, source FROM destination`); err != nil {
		return nil, err
	}
	sources := make(map[int64]string, len(all))
	for _, d := range all {
		sources[d.Number] = d.Source
	}
	return sources, nil
}

// inOutbox is how many rows of a job wait: what it queued and was not answered. The table itself would be slow to count.
const inOutbox = `count_queued - count_uploaded - count_rejected - count_retired`

// OutboxSize is how many rows wait for Sentinel, in all and of a job.
func (s *Store) OutboxSize(ctx context.Context, number int64) (total, ofJob int64, err error) {
	row := s.read.QueryRowxContext(ctx, `SELECT coalesce(sum(`+inOutbox+`), 0) + (SELECT count(*) FROM outbox WHERE job = 0),
		coalesce(sum(iif(number = ?, `+inOutbox+`, 0)), 0) FROM job`, number)
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
	return s.inTransaction(ctx, func(ctx context.Context, tx *transaction) error {
		x := &settlement{Settlement: st, store: s, tx: tx, at: millis(st.At), tally: job.Tally{}, days: map[int64]*day{}}
		if err := x.unload(ctx); err != nil {
			return fmt.Errorf("taking what was sent off the outbox: %w", err)
		}
		for i := range st.Accepted {
			if err := x.accept(ctx, &st.Accepted[i].row); err != nil {
				return err
			}
		}
		for i := range st.Refused {
			if err := x.refuse(ctx, &st.Refused[i]); err != nil {
				return err
			}
		}
		return x.write(ctx)
	})
}

type settlement struct {
	Settlement
	store *Store
	tx    *transaction
	at    int64

	// waiting are the rows that were still in the outbox.
	waiting                        map[int64]bool
	tally                          job.Tally
	days                           map[int64]*day
	lived, retired, refused, sends []any
	problems                       []any
}

type day struct{ sent, refused, retired int64 }

// unload takes the rows off the outbox.
func (x *settlement) unload(ctx context.Context) error {
	seqs := make([]int64, 0, len(x.Accepted)+len(x.Refused))
	for i := range x.Accepted {
		seqs = append(seqs, x.Accepted[i].Seq)
	}
	for i := range x.Refused {
		seqs = append(seqs, x.Refused[i].Seq)
	}
	slices.Sort(seqs)
	rows, err := x.tx.QueryContext(ctx, `DELETE FROM outbox WHERE seq IN (SELECT value FROM json_each(?)) RETURNING seq`, set(seqs))
	if err != nil {
		return err
	}
	defer rows.Close()
	x.waiting = make(map[int64]bool, len(seqs))
	for rows.Next() {
		var seq int64
		if err := rows.Scan(&seq); err != nil {
			return err
		}
		x.waiting[seq] = true
	}
	return rows.Err()
}

// counts are what a row is counted in; nil for a row that the outbox knew no more: it was counted before, or its job was
// cancelled.
func (x *settlement) counts(ctx context.Context, r *outboxRow) (*job.Counts, *day, error) {
	if !x.waiting[r.seq] {
		return nil, nil, nil
	}
	delete(x.waiting, r.seq)
	typ, err := x.store.names.typeName(ctx, x.tx, r.typ)
	if err != nil {
		return nil, nil, err
	}
	d := x.days[r.typ]
	if d == nil {
		d = new(day)
		x.days[r.typ] = d
	}
	return x.tally.Of(r.job, r.query, typ), d, nil
}

func (x *settlement) accept(ctx context.Context, r *outboxRow) error {
	count, d, err := x.counts(ctx, r)
	if err != nil {
		return err
	}
	// Sentinel holds it, whether the outbox knows it or not.
	if r.retire {
		x.retired = append(x.retired, r.object, r.seq, r.validUntil)
	} else {
		x.lived = append(x.lived, r.object, r.seq, r.name, r.created, r.validUntil)
	}
	switch {
	case count == nil:
		return nil
	case r.retire:
		count.Retired++
		d.retired++
	default:
		count.Uploaded++
		d.sent++
	}
	x.sends = append(x.sends, r.object, x.at, r.job, r.retire, r.query, r.indicator)
	return nil
}

func (x *settlement) refuse(ctx context.Context, o *RefusedObject) error {
	r := &o.row
	count, d, err := x.counts(ctx, r)
	if count == nil || err != nil {
		return err
	}
	count.Rejected++
	d.refused++
	x.refused = append(x.refused, r.object, r.seq)
	x.problems = appendProblem(x.problems, r.job, r.query, r.indicator, job.Problem{DateAdded: x.At, Step: job.StepUpload, Code: job.Code(o.Code),
		Message: o.Message, Raw: string(o.Payload)})
	return nil
}

// What was answered for an older row does not touch what is known of a newer one.
var (
	settleLived = newSingle(5, `UPDATE object SET settled = ?2, queued = iif(queued = ?2, 0, queued), state = 1,
		name = ?3, created = ?4, valid_until = ?5 WHERE number = ?1 AND settled < ?2`)
	settleRetired = newSingle(3, `UPDATE object SET settled = ?2, queued = iif(queued = ?2, 0, queued), state = 2,
		valid_until = ?3 WHERE number = ?1 AND settled < ?2`)
	settleRefused = newSingle(2, `UPDATE object SET settled = ?2, queued = iif(queued = ?2, 0, queued)
		WHERE number = ?1 AND settled < ?2`)
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
	if err := addProblems(ctx, x.tx, x.problems); err != nil {
		return err
	}
	if err := writeTally(ctx, x.tx, x.tally); err != nil {
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
