package store

import (
	"context"
	"fmt"
	"time"

	"mssentinel/app/job"
)

// day counts what was settled on a day.
type day struct{ sent, rejected, retired int64 }

// dayOfType is a day since 1970, UTC, and the number of a type.
type dayOfType struct{ day, typ int64 }

// addDays adds to the totals of days.
func addDays(ctx context.Context, tx *transaction, days map[dayOfType]*day) error {
	for of, d := range days {
		_, err := tx.ExecContext(ctx, `INSERT INTO daily (day, type, sent, rejected, retired) VALUES (?, ?, ?, ?, ?)
			ON CONFLICT DO UPDATE SET sent = sent + excluded.sent, rejected = rejected + excluded.rejected, retired = retired + excluded.retired`,
			of.day, of.typ, d.sent, d.rejected, d.retired)
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

// addUpdate adds the attempt at a job that ends now to the totals of the day. One that has ended before is not added again.
func addUpdate(ctx context.Context, tx *transaction, j *job.Job, now time.Time) error {
	_, err := tx.ExecContext(ctx, `INSERT INTO daily_update (day, mode, attempts, millis, longest)
		SELECT ?1, ?2, 1, max(0, ?3 - started), max(0, ?3 - started) FROM attempt WHERE number = ?4 AND ended IS NULL
		ON CONFLICT DO UPDATE SET attempts = attempts + 1, millis = millis + excluded.millis, longest = max(longest, excluded.longest)`,
		dayNumber(now), j.Mode, toMillis(now), j.Attempt)
	if err != nil {
		return fmt.Errorf("adding to the duration of updates: %w", err)
	}
	return nil
}

// dayNumber is the number of t's day since 1970, UTC.
func dayNumber(t time.Time) int64 { return t.Unix() / (24 * 60 * 60) }

// startOfDay is the first moment of a day since 1970, UTC.
func startOfDay(number int64) time.Time { return time.Unix(number*24*60*60, 0).UTC() }

// Activity is what was done on some days. A day on which nothing was done is left out. Days are UTC, and named by their first
// moment.
type Activity struct {
	Types   []TypeDay
	Waits   []WaitDay
	Updates []UpdateDay
}

// TypeDay is what Sentinel answered on a day about objects of a type of ThreatConnect.
type TypeDay struct {
	Day                     time.Time
	Type                    string
	Sent, Rejected, Retired int64
}

// WaitDay is for how long Sentinel's limit made Upload wait on a day. A wait counts for the day in which it is written down, at
// most half a minute later.
type WaitDay struct {
	Day    time.Time
	Waited time.Duration
}

// UpdateDay is how long the attempts at updates of a mode took that ended on a day, however they ended. One that the end of the
// process cut off is not among them.
type UpdateDay struct {
	Day      time.Time
	Mode     job.Mode
	Attempts int64
	// Took is for how long all of them did, Longest for how long one did.
	Took, Longest time.Duration
}

// Activity is what was done from one day to another, both included. The last 400 days are kept.
func (s *Store) Activity(ctx context.Context, from, to time.Time) (a Activity, err error) {
	var day int64
	var t TypeDay
	err = s.readDays(ctx, from, to, `SELECT day, type.name, sent, rejected, retired FROM daily JOIN type ON type.number = daily.type
		WHERE day BETWEEN ? AND ? ORDER BY day, type.name`, []any{&day, &t.Type, &t.Sent, &t.Rejected, &t.Retired}, func() {
		t.Day = startOfDay(day)
		a.Types = append(a.Types, t)
	})
	if err != nil {
		return Activity{}, fmt.Errorf("reading the totals of the days: %w", err)
	}
	var millis, longest int64
	err = s.readDays(ctx, from, to, `SELECT day, millis FROM daily_wait WHERE day BETWEEN ? AND ? ORDER BY day`, []any{&day, &millis}, func() {
		a.Waits = append(a.Waits, WaitDay{startOfDay(day), time.Duration(millis) * time.Millisecond})
	})
	if err != nil {
		return Activity{}, fmt.Errorf("reading the time spent waiting: %w", err)
	}
	var u UpdateDay
	err = s.readDays(ctx, from, to, `SELECT day, mode, attempts, millis, longest FROM daily_update WHERE day BETWEEN ? AND ? ORDER BY day, mode`,
		[]any{&day, &u.Mode, &u.Attempts, &millis, &longest}, func() {
			u.Day, u.Took, u.Longest = startOfDay(day), time.Duration(millis)*time.Millisecond, time.Duration(longest)*time.Millisecond
			a.Updates = append(a.Updates, u)
		})
	if err != nil {
		return Activity{}, fmt.Errorf("reading the duration of updates: %w", err)
	}
	return a, nil
}

// readDays reads the rows of some days into targets, one after the other, and has each taken.
func (s *Store) readDays(ctx context.Context, from, to time.Time, query string, targets []any, take func()) error {
	rows, err := s.read.QueryContext(ctx, query, dayNumber(from), dayNumber(to))
	if err != nil {
		return err
	}
	defer rows.Close()
	for rows.Next() {
		if err := rows.Scan(targets...); err != nil {
			return err
		}
		take()
	}
	return rows.Err()
}
