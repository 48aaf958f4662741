package store

import (
	"context"
	"fmt"
	"time"
)

// day counts what was settled on a day.
type day struct{ sent, rejected, retired int64 }

// addDay adds to the totals of a day, by the numbers of types.
func addDay(ctx context.Context, tx *transaction, at time.Time, days map[int64]*day) error {
	for typ, d := range days {
		_, err := tx.ExecContext(ctx, `INSERT INTO daily (day, type, sent, rejected, retired) VALUES (?, ?, ?, ?, ?)
			ON CONFLICT DO UPDATE SET sent = sent + excluded.sent, rejected = rejected + excluded.rejected, retired = retired + excluded.retired`,
			dayNumber(at), typ, d.sent, d.rejected, d.retired)
		if err != nil {
			return fmt.Errorf("counting for the day: %w", err)
		}
	}
	return nil
}

// AddWait adds to the time that was spent waiting for Sentinel's limit on a day.
func (s *Store) AddWait(ctx context.Context, day time.Time, d time.Duration) error {
	return s.inTransaction(ctx, func(ctx context.Context, tx *transaction) error {
		_, err := tx.ExecContext(ctx, `INSERT INTO daily_wait VALUES (?, ?) ON CONFLICT DO UPDATE SET millis = millis + excluded.millis`,
			dayNumber(day), d.Milliseconds())
		if err != nil {
			return fmt.Errorf("adding to the time spent waiting: %w", err)
		}
		return nil
	})
}

// dayNumber is the number of t's day since 1970, UTC.
func dayNumber(t time.Time) int64 { return t.Unix() / (24 * 60 * 60) }
