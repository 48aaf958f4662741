package store

import (
	"bytes"
	"context"
	"fmt"
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
	if after == ledger.LastOfKey(after) {
		from++
	}
	if page, err = s.readRecorded(ctx, from, ledger.Key(upTo), d.Number, limit); err != nil {
		return nil, covered, fmt.Errorf("reading the ledger: %w", err)
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

// readRecorded reads the objects with the keys from one to another, both included.
func (s *Store) readRecorded(ctx context.Context, from, to, destination int64, limit int) (page []ledger.Recorded, err error) {
	rows, err := s.read.QueryContext(ctx, selectRecorded, from, to, destination, limit)
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
	for i, of := range sends {
		for _, send := range of { // not the newest alone: the clock may have been put back
			page[i].Sent = max(page[i].Sent, times[send.Delivery])
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
	if len(rest) == 0 { // two may share a key, not as many as fill a page
		rest = page
	}
	return rest, ledger.LastOfKey(rest[len(rest)-1].ID)
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
