package store

import (
	"context"
	"database/sql"
	"encoding/binary"
	"errors"
	"fmt"
	"slices"
)

// The last sends of an object are kept in two tables. A row of delivery says what is the same for most objects of an answer: when Sentinel
// accepted them, for which job and query, and whether that retired them. Its number grows from answer to answer. A row of send is one
// object's: the delivery of its newest send and whose copy that was and, in the column earlier, the sends before it, the newest first; NULL where
// there is none. Each of these is a varint, twice how far its delivery is below that of the send after it. Where it was another indicator's
// copy than the send after it, the varint is one more, and the indicator follows as a signed varint. So an object that is sent once more
// grows by two or three bytes.

// keptSends is how many sends of an object are kept.
const keptSends = 10

// keptSend is a send as it is kept: in which delivery, and whose copy it was.
type keptSend struct {
	Delivery  int64 `db:"delivery"`
	Indicator int64 `db:"indicator"`
}

// sendRow is a row of the table send.
type sendRow struct {
	Object int64 `db:"object"`
	keptSend
	Earlier []byte `db:"earlier"`
}

// errSends is why the sends of an object cannot be read.
var errSends = errors.New("the earlier ones are damaged")

// packSends makes the column earlier of an object's sends, the newest of which comes first.
func packSends(sends []keptSend) (earlier []byte) {
	for i, send := range sends[1:] {
		after := sends[i]
		back := uint64(after.Delivery-send.Delivery) << 1
		if send.Indicator == after.Indicator {
			earlier = binary.AppendUvarint(earlier, back)
			continue
		}
		earlier = binary.AppendVarint(binary.AppendUvarint(earlier, back|1), send.Indicator)
	}
	return earlier
}

// unpackSends gives the sends of an object, the newest first, in room where that is large enough; of damaged ones those before the damage.
func (r *sendRow) unpackSends(room []keptSend) ([]keptSend, error) {
	sends := append(slices.Grow(room[:0], keptSends), r.keptSend)
	for rest := r.Earlier; len(rest) > 0; {
		send, length := sends[len(sends)-1].unpackEarlier(rest)
		if length == 0 || len(sends) == keptSends {
			return sends, fmt.Errorf("sends of object %d: %w", r.Object, errSends)
		}
		sends, rest = append(sends, send), rest[length:]
	}
	return sends, nil
}

// unpackEarlier gives the send before this one, which stands first in packed, and how many bytes it takes there; 0 where it is none.
func (k keptSend) unpackEarlier(packed []byte) (earlier keptSend, length int) {
	back, length := binary.Uvarint(packed)
	if length <= 0 {
		return k, 0
	}
	if k.Delivery -= int64(back >> 1); k.Delivery < 1 {
		return k, 0
	}
	if back&1 == 0 {
		return k, length
	}
	indicator, more := binary.Varint(packed[length:])
	if more <= 0 {
		return k, 0
	}
	return keptSend{k.Delivery, indicator}, length + more
}

// delivery is what is true of many objects that Sentinel accepted at once.
type delivery struct {
	at, job int64
	retire  bool
	query   int64
}

// newSend is an object that Sentinel accepted.
type newSend struct {
	object, indicator int64
	delivery
}

var (
	insertDeliveries = newBulk(5, `INSERT INTO delivery (number, at, job, retire, query) VALUES `, ``)
	replaceSends     = newBulk(4, `INSERT OR REPLACE INTO send (object, delivery, indicator, earlier) VALUES `, ``)
)

// addSends adds to the sends of objects, and drops the oldest of those that have too many.
func addSends(ctx context.Context, tx *transaction, added []newSend) error {
	if len(added) == 0 {
		return nil
	}
	objects := make([]int64, len(added))
	for i, a := range added {
		objects[i] = a.object
	}
	sends, err := readSends(ctx, tx, objects)
	if err != nil && !errors.Is(err, errSends) { // damage keeps no answer from being written down, and ends with that
		return err
	}
	var newest int64
	if err := tx.GetContext(ctx, &newest, `SELECT coalesce(max(number), 0) FROM delivery`); err != nil {
		return err
	}
	numbers := map[delivery]int64{}
	var deliveries []any
	rows := make([]any, 0, replaceSends.columns*len(added))
	for _, a := range added {
		number := numbers[a.delivery]
		if number == 0 {
			newest++
			number = newest
			numbers[a.delivery] = number
			deliveries = append(deliveries, number, a.at, a.job, a.retire, a.query)
		}
		all := append([]keptSend{{number, a.indicator}}, sends[a.object]...)
		all = all[:min(len(all), keptSends)]
		sends[a.object] = all
		rows = append(rows, a.object, number, a.indicator, packSends(all))
	}
	if err := insertDeliveries.execRows(ctx, tx, deliveries); err != nil {
		return err
	}
	return replaceSends.execRows(ctx, tx, rows)
}

// readSends reads the sends of objects, by object, the newest first. With errSends they are those before the damage.
func readSends(ctx context.Context, q querier, objects []int64) (map[int64][]keptSend, error) {
	var rows []sendRow
	err := q.SelectContext(ctx, &rows, `SELECT object, delivery, indicator, earlier FROM send WHERE object IN (SELECT value FROM json_each(?))`, jsonList(objects))
	if err != nil {
		return nil, err
	}
	sends := make(map[int64][]keptSend, len(objects))
	var damage error
	for i := range rows {
		if sends[rows[i].Object], err = rows[i].unpackSends(nil); err != nil {
			damage = err
		}
	}
	return sends, damage
}

// listDeliveries are the deliveries that sends are part of, each once.
func listDeliveries(sends [][]keptSend) (numbers []int64) {
	for _, of := range sends {
		for _, send := range of {
			numbers = append(numbers, send.Delivery)
		}
	}
	slices.Sort(numbers)
	return slices.Compact(numbers)
}

// readDeliveryTimes reads when Sentinel accepted what was sent, by delivery.
func readDeliveryTimes(ctx context.Context, q querier, sends [][]keptSend) (map[int64]int64, error) {
	var rows []struct{ Number, At int64 }
	err := q.SelectContext(ctx, &rows, `SELECT number, at FROM delivery WHERE number IN (SELECT value FROM json_each(?))`, jsonList(listDeliveries(sends)))
	times := make(map[int64]int64, len(rows))
	for _, r := range rows {
		times[r.Number] = r.At
	}
	return times, err
}

// sentBefore is when and by which query an object was sent before the newest of its sends, retirements aside; 0 for never.
func sentBefore(ctx context.Context, q querier, r *sendRow) (at, query int64, err error) {
	sends, err := r.unpackSends(nil)
	if err != nil {
		return 0, 0, err
	}
	numbers := make([]int64, len(sends))
	for i, send := range sends {
		numbers[i] = send.Delivery
	}
	var last struct{ At, Query int64 }
	err = q.GetContext(ctx, &last, `SELECT at, query FROM delivery WHERE number IN (SELECT value FROM json_each(?)) AND NOT retire
		ORDER BY number DESC LIMIT 1`, jsonList(numbers))
	if errors.Is(err, sql.ErrNoRows) {
		err = nil
	}
	return last.At, last.Query, err
}

// findUnused finds the deliveries, but for the newest one, that no object's sends are part of. It reads the whole table outside of
// a transaction: sends are only ever added to a new delivery, so that what nobody refers to stays so, and what is made meanwhile is not looked at.
func (s *Store) findUnused(ctx context.Context) (unused []int64, err error) {
	var bounds struct{ First, Newest int64 }
	err = s.read.GetContext(ctx, &bounds, `SELECT coalesce((SELECT min(number) FROM delivery), 0) AS first, coalesce((SELECT max(number) FROM delivery), 0) AS newest`)
	if err != nil {
		return nil, err
	}
	used, err := s.markUsed(ctx, bounds.First, bounds.Newest)
	if err != nil {
		return nil, err
	}
	rows, err := s.read.QueryContext(ctx, `SELECT number FROM delivery WHERE number < ?`, bounds.Newest)
	if err != nil {
		return nil, err
	}
	defer rows.Close()
	for rows.Next() {
		var number int64
		if err := rows.Scan(&number); err != nil {
			return nil, err
		}
		if !used.has(number) {
			unused = append(unused, number)
		}
	}
	return unused, rows.Err()
}

// markUsed marks the deliveries from one number to another that sends are part of.
func (s *Store) markUsed(ctx context.Context, from, to int64) (deliverySet, error) {
	used := newDeliverySet(from, to)
	rows, err := s.read.QueryContext(ctx, `SELECT object, delivery, earlier FROM send`)
	if err != nil {
		return used, err
	}
	defer rows.Close()
	var sends []keptSend
	for rows.Next() {
		var r sendRow
		if err := rows.Scan(&r.Object, &r.Delivery, (*sql.RawBytes)(&r.Earlier)); err != nil {
			return used, err
		}
		sends, _ = r.unpackSends(sends) // what stands behind damage is lost, and its deliveries need not stay
		for _, send := range sends {
			used.add(send.Delivery)
		}
	}
	return used, rows.Err()
}

// deliverySet is a set of deliveries from a first one to a last one, a bit for each.
type deliverySet struct {
	first int64
	bits  []uint64
}

func newDeliverySet(first, last int64) deliverySet {
	return deliverySet{first: first, bits: make([]uint64, (last-first)/64+1)}
}

// add adds a delivery, unless it lies outside.
func (d *deliverySet) add(number int64) {
	if i := uint64(number - d.first); i/64 < uint64(len(d.bits)) {
		d.bits[i/64] |= 1 << (i % 64)
	}
}

func (d *deliverySet) has(number int64) bool {
	i := number - d.first
	return d.bits[i/64]>>(i%64)&1 == 1
}
