package store

import (
	"context"
	"database/sql"
	"errors"
	"fmt"
	"time"

	"mssentinel/app/ledger"
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

// destination is where the objects of the ledger stand, and what the operator was asked about them.
type destination struct {
	Number    int64  `db:"number"`
	Workspace string `db:"workspace"`
	Source    string `db:"source"`
	ledger.Question
}

var errNoDestination = errors.New("the ledger belongs to no workspace yet")

func currentDestination(ctx context.Context, q querier) (d destination, err error) {
	err = q.GetContext(ctx, &d, `SELECT number, workspace, source, generation, asked, kept FROM destination WHERE current`)
	switch {
	case errors.Is(err, sql.ErrNoRows):
		return d, errNoDestination
	case err != nil:
		return d, fmt.Errorf("reading the destination: %w", err)
	}
	return d, nil
}

// leaveChunk is how many objects one transaction moves out of the current ledger.
const leaveChunk = 2000

// SetDestination says where objects go from now on. To be called at start, before anything else runs: it works in
// transactions of bounded size, and goes on where it was cut short.
func (s *Store) SetDestination(ctx context.Context, workspace, source string) (change DestinationChange, err error) {
	old, err := currentDestination(ctx, s.read)
	switch {
	case errors.Is(err, errNoDestination):
		return First, s.beginLedger(ctx, workspace, source)
	case err != nil:
		return None, err
	case old.Workspace != workspace:
		change = WorkspaceChanged
	case old.Source != source:
		change = SourceChanged
	default:
		return None, nil
	}
	if err := s.leaveDestination(ctx, old, change); err != nil {
		return None, fmt.Errorf("leaving %s in workspace %s: %w", old.Source, old.Workspace, err)
	}
	return change, s.beginLedger(ctx, workspace, source)
}

// beginLedger makes a destination the current one; nothing was read for it yet. What was read before is known until then: the
// old destination may be put back while it is being left.
func (s *Store) beginLedger(ctx context.Context, workspace, source string) error {
	return s.inTransaction(ctx, func(ctx context.Context, tx *transaction) error {
		for _, w := range []struct {
			text string
			args []any
		}{
			{`DELETE FROM candidate`, nil},
			{`DELETE FROM difference`, nil},
			{`DELETE FROM setting WHERE name = ?`, []any{settingVerification}},
			{`DELETE FROM live_total`, nil},
			{`DELETE FROM setting WHERE name = ?`, []any{settingLiveCounted}},
			{`UPDATE destination SET current = 0`, nil},
			{`INSERT INTO destination (workspace, source, current) VALUES (?, ?, 1)
				ON CONFLICT (workspace, source) DO UPDATE SET current = 1, asked = 0, kept = 0`, []any{workspace, source}},
		} {
			if _, err := tx.ExecContext(ctx, w.text, w.args...); err != nil {
				return fmt.Errorf("beginning a ledger: %w", err)
			}
		}
		return forgetReading(ctx, tx)
	})
}

// leaveDestination empties the current ledger: what stands is retired or left behind.
func (s *Store) leaveDestination(ctx context.Context, old destination, change DestinationChange) error {
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
	now := time.Now()
	for after, more := int64(0), true; more; {
		err := s.inTransaction(ctx, func(ctx context.Context, tx *transaction) (err error) {
			after, more, err = s.leaveObjects(ctx, tx, old, change, after, now)
			return err
		})
		if err != nil {
			return err
		}
	}
	return nil
}

// leaveObjects leaves the next objects after one.
func (s *Store) leaveObjects(ctx context.Context, tx *transaction, old destination, change DestinationChange, after int64, now time.Time) (last int64, more bool, err error) {
	objects, err := s.readDepartures(ctx, tx, ` FROM object LEFT JOIN outbox ON outbox.seq = object.queued
		WHERE object.number > ? AND object.destination = ? ORDER BY object.number LIMIT ?`, after, old.Number, leaveChunk)
	if err != nil || len(objects) == 0 {
		return after, false, err
	}
	last, more = objects[len(objects)-1].Number, len(objects) == leaveChunk
	if change == SourceChanged {
		_, err := s.departObjects(ctx, tx, objects, 0, &old, now)
		return last, more, err
	}
	abandoned := make([]*ledger.Object, 0, len(objects))
	for _, o := range objects {
		o.Abandon(old.Generation)
		abandoned = append(abandoned, o.Object)
	}
	return last, more, writeObjects(ctx, tx, abandoned)
}
