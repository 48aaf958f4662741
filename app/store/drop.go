package store

import (
	"context"
	"fmt"

	"mssentinel/app/job"
)

// dropChunk is how many rows of the outbox one transaction drops.
const dropChunk = 2000

// dropUnsent drops the rows of the outbox that which selects, in transactions of bounded size; their objects count as not sent.
func (s *Store) dropUnsent(ctx context.Context, which string, args ...any) error {
	for after, more := int64(0), true; more; {
		err := s.inTransaction(ctx, func(ctx context.Context, tx *transaction) error {
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

var (
	// Its winner is asked for again by the next job, whose window need not reach back to it; what nobody gives any more gets
	// its question back: its retirement was dropped.
	unsend = newSingle(3, `UPDATE object SET hash = NULL, queued = 0, query = -1, indicator = 0, lost = iif(query > 0, ?3, lost)
		WHERE number = ?1 AND queued = ?2`)
	// What was under way when its answer was given up may stand in Sentinel: its name is the newest, and it stands as long as
	// any that may.
	mayStand = newSingle(5, `UPDATE object SET state = 1, name = ?3, created = ?4, valid_until = iif(state = 1, max(valid_until, ?5), ?5)
		WHERE number = ?1 AND settled < ?2`)
)

func (s *Store) dropRows(ctx context.Context, tx *transaction, seqs []int64) error {
	d, err := currentDestination(ctx, tx)
	if err != nil {
		return err
	}
	t := job.Tally{}
	rows, err := s.drop(ctx, tx, seqs, t)
	if err != nil {
		return err
	}
	var unsent, perhaps []any
	for _, r := range rows {
		unsent = append(unsent, r.object, r.seq, d.Generation)
		if !r.retire && r.seq <= s.handed {
			perhaps = append(perhaps, r.object, r.seq, r.name, r.created, r.validUntil)
		}
	}
	if err := unsend.exec(ctx, tx, unsent); err != nil {
		return err
	}
	if err := mayStand.exec(ctx, tx, perhaps); err != nil {
		return err
	}
	return writeTally(ctx, tx, t)
}

// drop drops rows of the outbox and takes them out of what their jobs queued. It gives what it dropped.
func (s *Store) drop(ctx context.Context, tx *transaction, seqs []int64, t job.Tally) ([]outboxRow, error) {
	if len(seqs) == 0 {
		return nil, nil
	}
	rows, err := tx.QueryContext(ctx, `DELETE FROM outbox WHERE seq IN (SELECT value FROM json_each(?))
		RETURNING seq, object, job, retire, query, indicator, name, created, valid_until, type`, set(seqs))
	if err != nil {
		return nil, err
	}
	defer rows.Close()
	dropped := make([]outboxRow, 0, len(seqs))
	for rows.Next() {
		var r outboxRow
		if err := rows.Scan(&r.seq, &r.object, &r.job, &r.retire, &r.query, &r.indicator, &r.name, &r.created, &r.validUntil, &r.typ); err != nil {
			return nil, err
		}
		dropped = append(dropped, r)
	}
	if err := rows.Err(); err != nil {
		return nil, err
	}
	for _, r := range dropped {
		typ, err := s.names.typeName(ctx, tx, r.typ)
		if err != nil {
			return nil, err
		}
		t.Of(r.job, r.query, typ).Queued--
	}
	return dropped, nil
}
