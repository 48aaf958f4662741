package store

import (
	"context"
	"database/sql"
	"fmt"
	"time"
)

// Slot is a request to Sentinel that may count against its limit.
type Slot struct {
	ID      int64
	Started time.Time
	// Ended is when the answer arrived; zero: it was never seen.
	Ended time.Time
}

// maxSlots bounds what LoadSlots gives: no limit is higher.
const maxSlots = 1000

// LoadSlots are the last requests, oldest first.
func (s *Store) LoadSlots(ctx context.Context) ([]Slot, error) {
	var rows []struct {
		ID      int64         `db:"id"`
		Started int64         `db:"started"`
		Ended   sql.NullInt64 `db:"ended"`
	}
	err := s.read.SelectContext(ctx, &rows, `SELECT * FROM (SELECT id, started, ended FROM slot ORDER BY id DESC LIMIT ?) ORDER BY id`, maxSlots)
	if err != nil {
		return nil, fmt.Errorf("reading the last requests: %w", err)
	}
	slots := make([]Slot, len(rows))
	for i, r := range rows {
		slots[i] = Slot{ID: r.ID, Started: fromMillis(r.Started)}
		if r.Ended.Valid {
			slots[i].Ended = fromMillis(r.Ended.Int64)
		}
	}
	return slots, nil
}

// BeginSlot writes down that a request begins.
func (s *Store) BeginSlot(ctx context.Context, started time.Time) (id int64, err error) {
	err = s.inTransaction(ctx, func(ctx context.Context, tx *transaction) error {
		r, err := tx.ExecContext(ctx, `INSERT INTO slot (started) VALUES (?)`, millis(started))
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
	if _, err := tx.ExecContext(ctx, `UPDATE slot SET ended = ? WHERE id = ?`, millis(ended), id); err != nil {
		return fmt.Errorf("writing down the end of a request: %w", err)
	}
	return nil
}

// PausedTasks are the slugs of the tasks that are paused.
func (s *Store) PausedTasks(ctx context.Context) ([]string, error) {
	slugs := []string{}
	if err := s.read.SelectContext(ctx, &slugs, `SELECT slug FROM paused_task ORDER BY slug`); err != nil {
		return nil, fmt.Errorf("reading which tasks are paused: %w", err)
	}
	return slugs, nil
}

// SetPaused keeps whether a task is paused.
func (s *Store) SetPaused(ctx context.Context, slug string, paused bool) error {
	text := `DELETE FROM paused_task WHERE slug = ?`
	if paused {
		text = `INSERT INTO paused_task VALUES (?) ON CONFLICT DO NOTHING`
	}
	return s.inTransaction(ctx, func(ctx context.Context, tx *transaction) error {
		if _, err := tx.ExecContext(ctx, text, slug); err != nil {
			return fmt.Errorf("keeping whether %s is paused: %w", slug, err)
		}
		return nil
	})
}

// AddWait adds to the time that was spent waiting for Sentinel's limit on a day.
func (s *Store) AddWait(ctx context.Context, day time.Time, d time.Duration) error {
	return s.inTransaction(ctx, func(ctx context.Context, tx *transaction) error {
		_, err := tx.ExecContext(ctx, `INSERT INTO daily_wait VALUES (?, ?) ON CONFLICT DO UPDATE SET millis = millis + excluded.millis`,
			dayOf(day), d.Milliseconds())
		if err != nil {
			return fmt.Errorf("adding to the time spent waiting: %w", err)
		}
		return nil
	})
}
