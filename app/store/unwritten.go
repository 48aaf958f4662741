package store

import (
	"cmp"
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"slices"

	"github.com/mattn/go-sqlite3"

	"mssentinel/app/ledger"
)

// The rows of the outbox that a batch queues lie in memory until they are settled, as long as Upload keeps up: most would be written only to
// be deleted seconds later. With the batch goes one row of outbox_batch, which says what has to be known of them should the process
// end before: which object each is about, and with which members it went out, but not what was to be sent. The next start drops them, as
// if their job had been cancelled, and their objects are read from ThreatConnect again.
//
// Rows go to the table outbox, with what they send, when Upload falls behind or lets go, when memory is given back, at the end of
// the process, and before anything but Apply, Outgoing and Settle looks at the outbox.

// maxUnread is how many rows that Upload was not given yet are in memory, about: two batches.
const maxUnread = 2_000

// unwrittenRows are the rows of the outbox that are in memory alone, in order. The rows of the table are all older.
type unwrittenRows struct {
	// rows is never changed in place: a transaction that fails puts back what was there.
	rows []*Outgoing
	// uncertain: a transaction failed or a process ended, so that outbox_batch may have other rows. It has those that count.
	uncertain bool
}

// findBehind gives the rows behind one.
func (u *unwrittenRows) findBehind(seq int64) []*Outgoing {
	i, _ := slices.BinarySearchFunc(u.rows, seq+1, compareSeq)
	return u.rows[i:]
}

// find gives a row, nil for one that is not there.
func (u *unwrittenRows) find(seq int64) *Outgoing {
	if i, found := slices.BinarySearchFunc(u.rows, seq, compareSeq); found {
		return u.rows[i]
	}
	return nil
}

func compareSeq(o *Outgoing, seq int64) int { return cmp.Compare(o.Seq, seq) }

// findUnderWay finds what readUnderWay does, for a sorted list of objects, without their names.
func (u *unwrittenRows) findUnderWay(handed int64, objects []int64) map[int64]ledger.Row {
	underWay := map[int64]ledger.Row{}
	for _, o := range u.rows {
		if _, wanted := slices.BinarySearch(objects, o.Object); wanted && o.Seq <= handed {
			underWay[o.Object] = o.row.Row
		}
	}
	return underWay
}

// outboxBatch is a row of outbox_batch: the rows that a batch queued and that are not in the table outbox.
type outboxBatch struct {
	First       int64  `db:"first"`
	Job         int64  `db:"job"`
	Destination int64  `db:"destination"`
	Query       int64  `db:"query"`
	Rows        []byte `db:"rows"`
}

// batchRows are the columns of the table outbox in which the rows of a batch differ. An owner is 0 where the table has NULL.
type batchRows struct {
	Seq        []int64 `json:"seq"`
	Object     []int64 `json:"object"`
	Indicator  []int64 `json:"indicator"`
	Type       []int64 `json:"type"`
	Value      []any   `json:"value"`
	Owner      []int64 `json:"owner"`
	Created    []int64 `json:"created"`
	ValidUntil []int64 `json:"valid_until"`
}

func (b *batchRows) add(r *outboxRow) {
	owner, _ := r.sent.owner.(int64)
	b.Seq, b.Object, b.Indicator, b.Type = append(b.Seq, r.Seq), append(b.Object, r.object), append(b.Indicator, r.Indicator), append(b.Type, r.typ)
	b.Value, b.Owner = append(b.Value, r.sent.value), append(b.Owner, owner)
	b.Created, b.ValidUntil = append(b.Created, r.Created), append(b.ValidUntil, r.ValidUntil)
}

// areWhole says that each row has all columns.
func (b *batchRows) areWhole() bool {
	for _, n := range []int{len(b.Object), len(b.Indicator), len(b.Type), len(b.Value), len(b.Owner), len(b.Created), len(b.ValidUntil)} {
		if n != len(b.Seq) {
			return false
		}
	}
	return true
}

// appendValues appends the nth row as insertRows takes it.
func (b *batchRows) appendValues(values []any, n int, of *outboxBatch) []any {
	var owner any
	if b.Owner[n] != 0 {
		owner = b.Owner[n]
	}
	return append(values, b.Seq[n], b.Object[n], of.Job, of.Destination, false, of.Query, b.Indicator[n], b.Type[n], b.Value[n], owner,
		b.Created[n], b.ValidUntil[n])
}

var insertBatch = newSingle(6, `INSERT INTO outbox_batch (first, last, job, destination, query, rows) VALUES (?1, ?2, ?3, ?4, ?5, ?6)`)

// keepUnwritten keeps the rows of a batch, the newest of all and in order, in memory.
func (s *Store) keepUnwritten(ctx context.Context, tx *transaction, destination int64, rows []*Outgoing) error {
	if len(s.unwritten.findBehind(s.handed))+len(rows) > s.maxUnread {
		if err := s.writeUnwritten(ctx, tx); err != nil {
			return err
		}
	}
	var saved batchRows
	for _, o := range rows {
		saved.add(&o.row)
	}
	packed, err := json.Marshal(&saved)
	if err != nil {
		return err
	}
	first, last := rows[0], rows[len(rows)-1]
	if err := insertBatch.execRows(ctx, tx, []any{first.Seq, last.Seq, first.Job, destination, first.row.Query, packed}); err != nil {
		return err
	}
	s.unwritten.rows = append(s.unwritten.rows, rows...)
	return nil
}

// forgetSettled forgets rows that leave the outbox, and gives those of them that it did not know.
func (s *Store) forgetSettled(ctx context.Context, tx *transaction, seqs []int64) (others []int64, err error) {
	gone := make(map[int64]bool, len(seqs))
	for _, seq := range seqs {
		if s.unwritten.find(seq) != nil {
			gone[seq] = true
		} else {
			others = append(others, seq)
		}
	}
	if len(gone) == 0 {
		return others, nil
	}
	left := slices.DeleteFunc(slices.Clone(s.unwritten.rows), func(o *Outgoing) bool { return gone[o.Seq] })
	s.unwritten.rows = left
	next := s.nextSeq
	if len(left) > 0 {
		next = left[0].Seq
	}
	_, err = tx.ExecContext(ctx, `DELETE FROM outbox_batch WHERE last < ?`, next)
	return others, err
}

// writeUnwritten puts the rows that are in memory alone into the table outbox. Those that another process had in memory are dropped.
func (s *Store) writeUnwritten(ctx context.Context, tx *transaction) error {
	if len(s.unwritten.rows) == 0 && !s.unwritten.uncertain {
		return nil
	}
	var batches []outboxBatch
	if err := tx.SelectContext(ctx, &batches, `SELECT first, job, destination, query, rows FROM outbox_batch ORDER BY first`); err != nil {
		return fmt.Errorf("reading what waits: %w", err)
	}
	var lost []int64
	for i := range batches {
		of, err := s.writeBatch(ctx, tx, &batches[i])
		if err != nil {
			return fmt.Errorf("writing what waits, of the batch of row %d: %w", batches[i].First, err)
		}
		lost = append(lost, of...)
	}
	if _, err := tx.ExecContext(ctx, `DELETE FROM outbox_batch`); err != nil {
		return fmt.Errorf("writing what waits: %w", err)
	}
	s.unwritten = unwrittenRows{}
	if len(lost) == 0 {
		return nil
	}
	return s.dropRows(ctx, tx, lost)
}

// writeBatch puts the rows of a batch that wait into the table outbox, with what they send, and says of which of them that is lost.
func (s *Store) writeBatch(ctx context.Context, tx *transaction, b *outboxBatch) (lost []int64, err error) {
	var rows batchRows
	if err := json.Unmarshal(b.Rows, &rows); err != nil || !rows.areWhole() {
		return nil, errors.Join(err, sqlite3.Error{Code: sqlite3.ErrCorrupt})
	}
	settled, err := readSettled(ctx, tx, rows.Object)
	if err != nil {
		return nil, err
	}
	values := make([]any, 0, insertRows.columns*len(rows.Seq))
	next, lines := b.First, s.packer.lines[:0]
	for i, seq := range rows.Seq {
		if newest, found := settled[rows.Object[i]]; !found || newest >= seq {
			continue
		}
		values = rows.appendValues(values, i, b)
		o := s.unwritten.find(seq)
		if o == nil {
			lost = append(lost, seq)
			continue
		}
		for ; next < seq; next++ {
			lines = append(lines, '\n')
		}
		lines = append(append(lines, o.Payload...), '\n')
		next++
	}
	if err := insertRows.execRows(ctx, tx, values); err != nil || next == b.First {
		return lost, err
	}
	return lost, insertBlock.execRows(ctx, tx, []any{b.First, next - 1, s.packer.pack(lines)})
}

// readSettled reads the newest row that was answered, by object.
func readSettled(ctx context.Context, tx *transaction, objects []int64) (map[int64]int64, error) {
	var rows []struct{ Number, Settled int64 }
	err := tx.SelectContext(ctx, &rows, `SELECT number, settled FROM object WHERE number IN (SELECT value FROM json_each(?))`, jsonList(objects))
	settled := make(map[int64]int64, len(rows))
	for _, r := range rows {
		settled[r.Number] = r.Settled
	}
	return settled, err
}
