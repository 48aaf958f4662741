package store

import (
	"bytes"
	"context"
	"fmt"
	"math"
	"slices"
	"time"

	"github.com/google/uuid"

	"mssentinel/app/ledger"
	"mssentinel/app/stix"
)

// selectRecorded are objects of a destination by their keys, with their sends.
var selectRecorded = `SELECT ` + objectColumns + `, object.pattern, coalesce(send.delivery, 0), send.earlier
	FROM object LEFT JOIN send ON send.object = object.number WHERE object.number IN (SELECT number FROM (
		SELECT * FROM (SELECT number, object.key AS key FROM object_key CROSS JOIN object ON object.number = object_key.object
			WHERE object_key.key BETWEEN ?1 AND ?2 AND destination = ?3 ORDER BY object_key.key LIMIT ?4)
		UNION ALL SELECT * FROM (SELECT number, key FROM object WHERE ` + isNew + ` AND key BETWEEN ?1 AND ?2 AND destination = ?3 ORDER BY key LIMIT ?4)
	) ORDER BY key LIMIT ?4) ORDER BY object.key`

// Recorded are at most limit objects of the current ledger in the order of their ids, those after one id and up to another. The page
// is complete up to covered, which is upTo where there are no more.
func (s *Store) Recorded(ctx context.Context, after, upTo uuid.UUID, limit int) (page []ledger.Recorded, covered uuid.UUID, err error) {
	if bytes.Compare(after[:], upTo[:]) >= 0 {
		return nil, upTo, nil
	}
	d, err := currentDestination(ctx, s.read)
	if err != nil {
		return nil, covered, err
	}
	from := ledger.Key(after)
	if after == lastOfKey(after) {
		from++ // which leads from the last key without the first bit to the first one with it
	}
	for _, keys := range keyRanges(from, ledger.Key(upTo)) {
		if page, err = s.readRecorded(ctx, page, keys, d.Number, limit-len(page)); err != nil {
			return nil, covered, fmt.Errorf("reading the ledger: %w", err)
		}
	}
	covered = upTo
	if len(page) == limit {
		page, covered = dropLastKey(page)
	}
	slices.SortFunc(page, func(a, b ledger.Recorded) int { return bytes.Compare(a.ID[:], b.ID[:]) })
	page = slices.DeleteFunc(page, func(r ledger.Recorded) bool {
		return bytes.Compare(r.ID[:], after[:]) <= 0 || bytes.Compare(r.ID[:], upTo[:]) > 0
	})
	return page, covered, nil
}

// keyRanges are the keys from one to another in the order of the ids. Keys are signed, ids are not: those with the first bit set come
// last.
func keyRanges(from, to int64) []keyRange {
	if from >= 0 && to < 0 {
		return []keyRange{{from, math.MaxInt64}, {math.MinInt64, to}}
	}
	return []keyRange{{from, to}}
}

// keyRange are the keys from one to another, both included.
type keyRange struct{ from, to int64 }

func (s *Store) readRecorded(ctx context.Context, page []ledger.Recorded, keys keyRange, destination int64, limit int) ([]ledger.Recorded, error) {
	if limit <= 0 {
		return page, nil
	}
	rows, err := s.read.QueryContext(ctx, selectRecorded, keys.from, keys.to, destination, limit)
	if err != nil {
		return nil, err
	}
	defer rows.Close()
	var sends [][]keptSend
	for rows.Next() {
		var r ledger.Recorded
		var pattern string
		var kept sendRow
		if r.Object, err = scanObject(rows, &pattern, &kept.Delivery, &kept.Earlier); err != nil {
			return nil, err
		}
		r.Pattern, r.ID = pattern, stix.ID(pattern)
		of, _ := kept.unpackSends(nil) // those before any damage
		page, sends = append(page, r), append(sends, of)
	}
	if err := rows.Err(); err != nil {
		return nil, err
	}
	times, err := readDeliveryTimes(ctx, s.read, sends)
	if err != nil {
		return nil, err
	}
	read := page[len(page)-len(sends):]
	for i, of := range sends {
		for _, send := range of { // not the newest alone: the clock may have been put back
			read[i].Sent = max(read[i].Sent, times[send.Delivery])
		}
	}
	return page, nil
}

// dropLastKey takes the last key off a page that is full: objects that share it may have been cut off. covered is the last id that
// the page has all objects up to.
func dropLastKey(page []ledger.Recorded) (_ []ledger.Recorded, covered uuid.UUID) {
	last := page[len(page)-1].Key
	rest := page
	for len(rest) > 0 && rest[len(rest)-1].Key == last {
		rest = rest[:len(rest)-1]
	}
	if len(rest) == 0 { // no two ids of a million share their first eight bytes, unless somebody looked for them
		rest = page
	}
	return rest, lastOfKey(rest[len(rest)-1].ID)
}

// lastOfKey is the last id that has the same key.
func lastOfKey(id uuid.UUID) uuid.UUID {
	last := uuid.Max
	copy(last[:8], id[:8])
	return last
}

// RecordedType is how many objects of one type of pattern the ledger says are live.
type RecordedType struct {
	// Type is the STIX type of the pattern, such as ipv4-addr or file.
	Type string `db:"type"`
	Live int64  `db:"live"`
	// Sent is when Sentinel last accepted a row of them, milliseconds since 1970.
	Sent int64 `db:"sent"`
}

// CountRecorded counts what the current ledger says is live, by type, in the order of the types.
func (s *Store) CountRecorded(ctx context.Context, now time.Time) ([]RecordedType, error) {
	d, err := currentDestination(ctx, s.read)
	if err != nil {
		return nil, err
	}
	var types []RecordedType
	err = s.read.SelectContext(ctx, &types, `SELECT substr(pattern, 2, instr(pattern, ':') - 2) AS type, count(*) AS live,
		max(coalesce((SELECT delivery.at FROM send JOIN delivery ON delivery.number = send.delivery WHERE send.object = object.number), 0)) AS sent`+live+` GROUP BY 1 ORDER BY 1`, d.Number, toMillis(now))
	if err != nil {
		return nil, fmt.Errorf("counting the ledger: %w", err)
	}
	return types, nil
}
