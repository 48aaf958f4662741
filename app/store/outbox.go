package store

import (
	"cmp"
	"context"
	"fmt"
	"slices"

	"mssentinel/app/job"
	"mssentinel/app/ledger"
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
	// repeated: the row was given away before and was not settled. It may be at Sentinel.
	repeated bool
}

// outboxRow is a row of the outbox.
type outboxRow struct {
	ledger.Row
	ledger.Origin
	object, job int64
	typ         int64
	// sent is the name of a row that was read to be sent; a retirement has it whole. Name is that of one that was taken off.
	sent sentName
}

// toOutgoing gives the row as Upload gets it, but for what it sends.
func (r *outboxRow) toOutgoing(source string) *Outgoing {
	return &Outgoing{Seq: r.Seq, Object: r.object, Job: r.job, Source: source, Retire: r.Retire, row: *r}
}

const rowColumns = `seq, object, job, retire, query, indicator, type, created, valid_until`

// scanTargets are where the columns are scanned to.
func (r *outboxRow) scanTargets() []any {
	return []any{&r.Seq, &r.object, &r.job, &r.Retire, &r.Query, &r.Indicator, &r.typ, &r.Created, &r.ValidUntil}
}

var insertRows = newBulk(12, `INSERT INTO outbox (seq, object, job, destination, retire, query, indicator, type, value, owner, created, valid_until) VALUES `, ``)

// Outgoing are the next rows of the outbox after a row, in order. What was given away once is taken to be under way, until
// it is settled.
func (s *Store) Outgoing(ctx context.Context, after int64, limit int) (out []*Outgoing, err error) {
	err = s.inTransaction(ctx, func(ctx context.Context, tx *transaction) error {
		if out, err = s.findRows(ctx, tx, after, limit); err != nil {
			return fmt.Errorf("reading the outbox: %w", err)
		}
		for i := range out {
			out[i].repeated = out[i].Seq <= s.handed
		}
		if len(out) == 0 || out[len(out)-1].Seq <= s.handed {
			return nil
		}
		s.handed = out[len(out)-1].Seq
		return putSetting(ctx, tx, settingHanded, fmt.Sprint(s.handed))
	})
	return out, err
}

// findRows finds the next rows after a row, in the table and behind that in memory.
func (s *Store) findRows(ctx context.Context, tx *transaction, after int64, limit int) (out []*Outgoing, err error) {
	if newest := s.unwritten.rows; len(newest) == 0 || after < newest[0].Seq {
		if out, err = s.readOutbox(ctx, tx, after, limit); err != nil {
			return nil, err
		}
	}
	behind := s.unwritten.findBehind(after)
	return append(out, behind[:min(len(behind), limit-len(out))]...), nil
}

// TakeBack says that Upload knows nothing of the outbox any more: what it was given behind the row sent never left, and waits
// again. What was given away before the database was opened stays under way, since nobody knows what became of it. All rows go to the
// table: they may wait for long.
func (s *Store) TakeBack(ctx context.Context, sent int64) error {
	err := s.inTransaction(ctx, func(ctx context.Context, tx *transaction) error {
		if err := s.writeUnwritten(ctx, tx); err != nil {
			return err
		}
		left := max(sent, s.handedBefore)
		if left >= s.handed {
			return nil
		}
		s.handed = left
		return putSetting(ctx, tx, settingHanded, fmt.Sprint(s.handed))
	})
	if err != nil {
		return fmt.Errorf("taking back what was not sent: %w", err)
	}
	return nil
}

// readOutbox reads rows with what they send.
func (s *Store) readOutbox(ctx context.Context, tx *transaction, after int64, limit int) ([]*Outgoing, error) {
	sources, err := readSources(ctx, tx)
	if err != nil {
		return nil, err
	}
	rows, err := tx.QueryContext(ctx, `SELECT `+rowColumns+`, destination, value, outbox.owner,
			CASE WHEN retire THEN (SELECT pattern FROM object WHERE number = object) ELSE '' END
		FROM outbox WHERE seq > ? ORDER BY seq LIMIT ?`, after, limit)
	if err != nil {
		return nil, err
	}
	defer rows.Close()
	out := make([]*Outgoing, 0, min(limit, 1000))
	var r outboxRow
	var destination int64
	var pattern string
	into := append(r.scanTargets(), &destination, &r.sent.value, &r.sent.owner, &pattern)
	var block payloadBlock
	for rows.Next() {
		if err := rows.Scan(into...); err != nil {
			return nil, err
		}
		o := r.toOutgoing(sources[destination])
		if o.Retire {
			o.Payload = retiredObject(&r, pattern).AppendJSON(nil)
		} else if o.Payload, err = block.readObject(ctx, tx, o.Seq); err != nil {
			return nil, err
		}
		out = append(out, o)
	}
	return out, rows.Err()
}

// retiredObject is what a row sends that retires: the object as last sent, with an end.
func retiredObject(r *outboxRow, pattern string) stix.Retired {
	return stix.Retired{Pattern: pattern, Name: r.sent.value.(string), Created: fromMillis(r.Created),
		ValidUntil: fromMillis(r.ValidUntil), Modified: fromMillis(r.ValidUntil)}
}

// readSources are the source names by the number of their destination.
func readSources(ctx context.Context, q querier) (map[int64]string, error) {
	var all []struct {
		Number int64  `db:"number"`
		Source string `db:"source"`
	}
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

// OutboxSize is how many rows wait for Sentinel.
func (s *Store) OutboxSize(ctx context.Context) (rows int64, err error) {
	err = s.read.GetContext(ctx, &rows, `SELECT coalesce(sum(`+inOutbox+`), 0) + (SELECT count(*) FROM outbox WHERE job = 0) FROM job`)
	if err != nil {
		return 0, fmt.Errorf("counting the outbox: %w", err)
	}
	return rows, nil
}

// dropChunk is how many rows of the outbox one transaction drops.
const dropChunk = 2000

// dropUnsent drops the rows of the outbox that which selects, in transactions of bounded size; their objects count as not sent.
func (s *Store) dropUnsent(ctx context.Context, which string, args ...any) error {
	for after, more := int64(0), true; more; {
		err := s.inTransaction(ctx, func(ctx context.Context, tx *transaction) error {
			if err := s.writeUnwritten(ctx, tx); err != nil {
				return err
			}
			var seqs []int64
			err := tx.SelectContext(ctx, &seqs, `SELECT seq FROM outbox WHERE seq > ? AND `+which+` ORDER BY seq LIMIT ?`,
				append(append([]any{after}, args...), dropChunk)...)
			if more = len(seqs) == dropChunk; more {
				after = seqs[len(seqs)-1]
			}
			if err != nil {
				return err
			}
			return s.dropRows(ctx, tx, seqs)
		})
		if err != nil {
			return fmt.Errorf("dropping what waits for Sentinel: %w", err)
		}
	}
	return nil
}

// dropRows drops rows of the outbox, and has their objects know it. What was under way may be accepted all the same.
func (s *Store) dropRows(ctx context.Context, tx *transaction, seqs []int64) error {
	d, err := currentDestination(ctx, tx)
	if err != nil {
		return err
	}
	t := job.Tally{}
	rows, err := s.takeCounted(ctx, tx, seqs, t)
	if err != nil {
		return err
	}
	numbers := make([]int64, len(rows))
	for i := range rows {
		numbers[i] = rows[i].object
	}
	objects, err := readObjects(ctx, tx, numbers)
	if err != nil {
		return err
	}
	left, err := readUnderWay(ctx, tx, s.handed, numbers)
	if err != nil {
		return err
	}
	changed := make([]*ledger.Object, 0, len(rows))
	for i := range rows {
		r := &rows[i]
		o := objects[r.object]
		if o == nil {
			continue
		}
		o.DropRow(r.Seq, left[o.Number].Seq, d.Generation)
		if !r.Retire && r.Seq <= s.handed {
			o.AssumeAccepted(r.Row)
		}
		changed = append(changed, o)
	}
	if err := writeObjects(ctx, tx, changed); err != nil {
		return err
	}
	if err := dropBlocks(ctx, tx); err != nil {
		return err
	}
	return writeTally(ctx, tx, t)
}

// takeCounted takes rows off the outbox and out of what their jobs queued.
func (s *Store) takeCounted(ctx context.Context, tx *transaction, seqs []int64, t job.Tally) ([]outboxRow, error) {
	rows, err := s.takeRows(ctx, tx, seqs)
	if err != nil {
		return nil, err
	}
	for i := range rows {
		typ, err := s.names.typeName(ctx, tx, rows[i].typ)
		if err != nil {
			return nil, err
		}
		t.Of(rows[i].job, rows[i].Query, typ).Queued--
	}
	return rows, nil
}

// takeRows takes rows off the outbox, and gives them in order.
func (s *Store) takeRows(ctx context.Context, tx *transaction, seqs []int64) ([]outboxRow, error) {
	if len(seqs) == 0 {
		return nil, nil
	}
	if err := s.writeUnwritten(ctx, tx); err != nil {
		return nil, err
	}
	rows, err := tx.QueryContext(ctx, `DELETE FROM outbox WHERE seq IN (SELECT value FROM json_each(?)) RETURNING `+rowColumns+`, `+outboxName, jsonList(seqs))
	if err != nil {
		return nil, err
	}
	defer rows.Close()
	taken := make([]outboxRow, 0, len(seqs))
	for rows.Next() {
		var r outboxRow
		if err := rows.Scan(append(r.scanTargets(), &r.Name)...); err != nil {
			return nil, err
		}
		taken = append(taken, r)
	}
	slices.SortFunc(taken, func(a, b outboxRow) int { return cmp.Compare(a.Seq, b.Seq) })
	return taken, rows.Err()
}
