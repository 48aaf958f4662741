package store

import (
	"context"
	"fmt"
	"time"

	"github.com/jmoiron/sqlx"

	"mssentinel/app/job"
)

// Schedule is what the scheduler has to know. Zero times are "never".
type Schedule struct {
	// HasWork: there are queries, or candidates of queries that were deleted. Without either there is nothing to do.
	HasWork bool
	// NextMode is the mode that was asked for with Save, "" for none, and Due when.
	NextMode job.Mode
	Due      time.Time
	// LastScheduled is when the last scheduled update was queued, LastFullRead when a full or reconcile one completed.
	LastScheduled, LastFullRead time.Time
	// Completed: any update has ever completed for this destination.
	Completed bool
	// Open: a scheduled update is waiting or running.
	Open bool
}

// Schedule reads what the next scheduled update depends on.
func (s *Store) Schedule(ctx context.Context) (sch Schedule, err error) {
	tx, err := s.read.BeginTxx(ctx, nil)
	if err != nil {
		return Schedule{}, fmt.Errorf("reading the schedule: %w", err)
	}
	defer tx.Rollback() //nolint:errcheck // nothing was written
	if err := tx.GetContext(ctx, &sch.HasWork, `SELECT EXISTS (SELECT 1 FROM query WHERE rank IS NOT NULL) OR EXISTS (SELECT 1 FROM candidate)`); err != nil {
		return Schedule{}, fmt.Errorf("reading the schedule: %w", err)
	}
	open, args, err := sqlx.In(`SELECT EXISTS (SELECT 1 FROM job WHERE job_type = ? AND (status = ? OR status IN (?)))`,
		job.Scheduled, job.Pending, job.ActiveStatuses)
	if err != nil {
		return Schedule{}, fmt.Errorf("reading the schedule: %w", err)
	}
	if err := tx.GetContext(ctx, &sch.Open, open, args...); err != nil {
		return Schedule{}, fmt.Errorf("reading the schedule: %w", err)
	}
	for name, t := range map[string]*time.Time{settingDue: &sch.Due, settingScheduled: &sch.LastScheduled, settingFullRead: &sch.LastFullRead} {
		if *t, err = timeSetting(ctx, tx, name); err != nil {
			return Schedule{}, err
		}
	}
	mode, err := readSetting(ctx, tx, settingNextMode)
	if err != nil {
		return Schedule{}, err
	}
	completed, err := readSetting(ctx, tx, settingCompleted)
	sch.NextMode, sch.Completed = job.Mode(mode), completed != ""
	return sch, err
}

// requestUpdate makes the next scheduled update due now. A full one that was asked for before stays full.
func requestUpdate(ctx context.Context, tx *transaction, mode job.Mode) error {
	pending, err := readSetting(ctx, tx, settingNextMode)
	if err != nil {
		return err
	}
	if job.Mode(pending) == job.Full {
		mode = job.Full
	}
	if err := putSetting(ctx, tx, settingNextMode, string(mode)); err != nil {
		return err
	}
	return putTime(ctx, tx, settingDue, time.Now())
}

// takeRequestedUpdate clears what [requestUpdate] asked for, and gives the mode of the update that answers it.
func takeRequestedUpdate(ctx context.Context, tx *transaction, mode job.Mode, now time.Time) (job.Mode, error) {
	asked, err := readSetting(ctx, tx, settingNextMode)
	if err != nil {
		return "", err
	}
	if _, err := tx.ExecContext(ctx, `DELETE FROM setting WHERE name IN (?, ?)`, settingNextMode, settingDue); err != nil {
		return "", fmt.Errorf("taking over what was asked for: %w", err)
	}
	if job.Mode(asked) == job.Full {
		mode = job.Full
	}
	return mode, putTime(ctx, tx, settingScheduled, now)
}

// noteCompletion keeps that an update completed, and when everything was last read. One for a range says nothing about the
// updates that the schedule is about.
func noteCompletion(ctx context.Context, tx *transaction, j *job.Job, now time.Time) error {
	if j.Ranged {
		return nil
	}
	if err := putSetting(ctx, tx, settingCompleted, j.RequestID); err != nil {
		return err
	}
	if !j.Mode.ReadsAll() {
		return nil
	}
	return putTime(ctx, tx, settingFullRead, now)
}

// forgetReading has a full update begin with nothing read.
func forgetReading(ctx context.Context, tx *transaction) error {
	if _, err := tx.ExecContext(ctx, `UPDATE query SET mark = NULL`); err != nil {
		return fmt.Errorf("taking back the marks: %w", err)
	}
	_, err := tx.ExecContext(ctx, `DELETE FROM setting WHERE name IN (?, ?, ?)`, settingCompleted, settingFullRead, settingWindowEnd)
	if err != nil {
		return fmt.Errorf("forgetting what was read: %w", err)
	}
	return requestUpdate(ctx, tx, job.Full)
}
