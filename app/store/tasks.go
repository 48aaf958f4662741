package store

import (
	"context"
	"fmt"
)

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
