package store

import (
	"context"
	"fmt"
	"time"
)

// maxSlots bounds what LoadSlots returns: no limit is higher.
const maxSlots = 1000

// LoadSlots returns when the last requests to Sentinel ended. A request whose answer nobody saw, because the process ended
// before, ends now.
func (s *Store) LoadSlots(ctx context.Context, now time.Time) (ended []time.Time, err error) {
	var rows []int64
	err = s.inTransaction(ctx, func(ctx context.Context, tx *transaction) error {
		if _, err := tx.ExecContext(ctx, `UPDATE slot SET ended = ? WHERE ended IS NULL`, toMillis(now)); err != nil {
			return fmt.Errorf("ending the requests without an answer: %w", err)
		}
		if err := tx.SelectContext(ctx, &rows, `SELECT ended FROM slot ORDER BY id DESC LIMIT ?`, maxSlots); err != nil {
			return fmt.Errorf("reading the last requests: %w", err)
		}
		return nil
	})
	for _, ms := range rows {
		ended = append(ended, fromMillis(ms))
	}
	return ended, err
}

// BeginSlot writes down that a request begins.
func (s *Store) BeginSlot(ctx context.Context, started time.Time) (id int64, err error) {
	err = s.inTransaction(ctx, func(ctx context.Context, tx *transaction) error {
		r, err := tx.ExecContext(ctx, `INSERT INTO slot (started) VALUES (?)`, toMillis(started))
		if err != nil {
			return fmt.Errorf("writing down a request: %w", err)
		}
		id, err = r.LastInsertId()
		return err
	})
	return id, err
}

// EndSlot writes down that the answer arrived, or that the request failed.
func (s *Store) EndSlot(ctx context.Context, id int64, ended time.Time) error {
	return s.inTransaction(ctx, func(ctx context.Context, tx *transaction) error { return endSlot(ctx, tx, id, ended) })
}

func endSlot(ctx context.Context, tx *transaction, id int64, ended time.Time) error {
	if _, err := tx.ExecContext(ctx, `UPDATE slot SET ended = ? WHERE id = ?`, toMillis(ended), id); err != nil {
		return fmt.Errorf("writing down the end of a request: %w", err)
	}
	return nil
}
