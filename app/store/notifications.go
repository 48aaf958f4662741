package store

import (
	"context"
	"database/sql"
	"encoding/json"
	"fmt"
	"time"

	"github.com/jmoiron/sqlx"

	"mssentinel/app/job"
	"mssentinel/app/notification"
)

// Completions is what the updates that completed have achieved, but for those of a range, which stand beside the others.
// Zero times are "never".
type Completions struct {
	// Covered is up to when they have read what changed, CoveredAll those of them that read everything.
	Covered, CoveredAll time.Time
	// Last is when one last completed.
	Last time.Time
	// Queued is when the first scheduled update was queued after that, which has not completed; a cancelled one does not count.
	Queued time.Time
}

// Completions reads what the updates that completed have achieved.
func (s *Store) Completions(ctx context.Context) (Completions, error) {
	var row struct {
		Covered    sql.NullInt64 `db:"covered"`
		CoveredAll sql.NullInt64 `db:"covered_all"`
		Last       sql.NullInt64 `db:"last"`
		Queued     sql.NullInt64 `db:"queued"`
	}
	query, args, err := sqlx.In(`WITH completed AS (SELECT * FROM job WHERE status IN (?) AND NOT ranged)
		SELECT max(window_end) AS covered, max(CASE WHEN mode <> ? THEN window_end END) AS covered_all, max(date_completed) AS last,
			(SELECT min(date_queued) FROM job WHERE job_type = ? AND status NOT IN (?)
				AND date_queued > coalesce((SELECT max(date_completed) FROM completed), 0)) AS queued
		FROM completed`, []job.Status{job.UploadComplete, job.ConfirmationRequired}, job.Delta, job.Scheduled,
		[]job.Status{job.UploadComplete, job.ConfirmationRequired, job.Cancelled})
	if err == nil {
		err = s.read.GetContext(ctx, &row, query, args...)
	}
	if err != nil {
		return Completions{}, fmt.Errorf("reading which updates have completed: %w", err)
	}
	return Completions{Covered: timeOrZero(row.Covered), CoveredAll: timeOrZero(row.CoveredAll), Last: timeOrZero(row.Last),
		Queued: timeOrZero(row.Queued)}, nil
}

func timeOrZero(ms sql.NullInt64) time.Time {
	if t := fromNull(ms); t != nil {
		return *t
	}
	return time.Time{}
}

// NotificationStates is what is remembered of the causes of notifications. What cannot be read, such as that of a newer
// version, counts as nothing: people are told once more then.
func (s *Store) NotificationStates(ctx context.Context) (states []notification.State, err error) {
	kept, err := readSetting(ctx, s.read, settingNotified)
	if err != nil || kept == "" {
		return nil, err
	}
	if json.Unmarshal([]byte(kept), &states) != nil {
		return nil, nil
	}
	return states, nil
}

// SetNotificationStates keeps them.
func (s *Store) SetNotificationStates(ctx context.Context, states []notification.State) error {
	kept, err := json.Marshal(states)
	if err != nil {
		return fmt.Errorf("keeping what people were notified of: %w", err)
	}
	return s.inTransaction(ctx, func(ctx context.Context, tx *transaction) error {
		return putSetting(ctx, tx, settingNotified, string(kept))
	})
}
