package store

import (
	"context"
	"errors"
	"fmt"
	"time"
)

// DestinationChange says how the place where objects go differs from where they went before.
type DestinationChange int

// The changes. Every one but None makes the next update a full one.
const (
	None DestinationChange = iota
	// First: there was no destination before.
	First
	// SourceChanged: what stands under the old name is queued to be retired under it.
	SourceChanged
	// WorkspaceChanged: a new ledger begins, and the old workspace is left to its times to live.
	WorkspaceChanged
)

// moveChunk is how many objects one transaction moves out of the current ledger.
const moveChunk = 2000

// SetDestination says where objects go from now on. To be called at start, before anything else runs: it works in
// transactions of bounded size, and goes on where it was cut short.
func (s *Store) SetDestination(ctx context.Context, workspace, source string) (change DestinationChange, err error) {
	old, err := currentDestination(ctx, s.read)
	switch {
	case errors.Is(err, errNoDestination):
		return First, s.inTransaction(ctx, func(ctx context.Context, tx *transaction) error { return beginLedger(ctx, tx, workspace, source) })
	case err != nil:
		return None, err
	case old.Workspace != workspace:
		change = WorkspaceChanged
	case old.Source != source:
		change = SourceChanged
	default:
		return None, nil
	}
	if err := s.leave(ctx, old, change); err != nil {
		return None, fmt.Errorf("leaving %s in workspace %s: %w", old.Source, old.Workspace, err)
	}
	return change, s.inTransaction(ctx, func(ctx context.Context, tx *transaction) error { return beginLedger(ctx, tx, workspace, source) })
}

// beginLedger makes a destination the current one; nothing was read for it yet. What was read before is known until then: the
// old destination may be put back while it is being left.
func beginLedger(ctx context.Context, tx *transaction, workspace, source string) error {
	for _, w := range []struct {
		text string
		args []any
	}{
		{`DELETE FROM candidate`, nil},
		{`UPDATE destination SET current = 0`, nil},
		{`INSERT INTO destination (workspace, source, current) VALUES (?, ?, 1) ON CONFLICT (workspace, source) DO UPDATE SET current = 1, asked = 0, kept = 0`, []any{workspace, source}},
	} {
		if _, err := tx.ExecContext(ctx, w.text, w.args...); err != nil {
			return fmt.Errorf("beginning a ledger: %w", err)
		}
	}
	return forgetReading(ctx, tx)
}

// leave empties the current ledger: what stands is retired or left behind.
func (s *Store) leave(ctx context.Context, old destination, change DestinationChange) error {
	err := s.inTransaction(ctx, func(ctx context.Context, tx *transaction) error {
		// A question about what is left behind is answered by leaving it.
		if err := closeQuestions(ctx, tx, 0, "The destination was changed before the question was answered."); err != nil {
			return err
		}
		// From here on the ledger is incomplete, even if the old destination is put back before the end.
		return forgetReading(ctx, tx)
	})
	if err != nil {
		return err
	}
	if change == WorkspaceChanged {
		if err := s.dropUnsent(ctx, `TRUE`); err != nil {
			return err
		}
	}
	now := millis(time.Now())
	for after, more := int64(0), true; more; {
		err := s.inTransaction(ctx, func(ctx context.Context, tx *transaction) (err error) {
			after, more, err = s.leaveChunk(ctx, tx, old, change, after, now)
			return err
		})
		if err != nil {
			return err
		}
	}
	return nil
}

// leaveChunk leaves the next objects after one.
func (s *Store) leaveChunk(ctx context.Context, tx *transaction, old destination, change DestinationChange, after, now int64) (last int64, more bool, err error) {
	var objects []departure
	err = tx.SelectContext(ctx, &objects, `SELECT `+departureColumns+` FROM object LEFT JOIN outbox ON outbox.seq = object.queued
		WHERE object.number > ? AND object.destination = ? ORDER BY object.number LIMIT ?`, after, old.Number, moveChunk)
	if err != nil || len(objects) == 0 {
		return after, false, err
	}
	last = objects[len(objects)-1].Number
	w := &withdrawal{store: s, destination: old.Number, generation: old.Generation, now: now}
	if change == SourceChanged {
		if err := w.retireAll(ctx, tx, objects); err != nil {
			return after, false, err
		}
	} else {
		w.abandonAll(objects)
	}
	return last, len(objects) == moveChunk, w.write(ctx, tx)
}
