package store

import (
	"context"
	"database/sql"
	"fmt"
	"time"
)

// TaskRuns are the runs of a task that ended on a day, or since one.
type TaskRuns struct {
	Slug string
	Day  time.Time
	Runs int64
	// Took is for how long all of them did, Longest for how long one did.
	Took, Longest time.Duration
}

// AddTaskRuns adds runs to the totals of their days, which are kept for 31 days.
func (s *Store) AddTaskRuns(ctx context.Context, all []TaskRuns) error {
	return s.inTransaction(ctx, func(ctx context.Context, tx *transaction) error {
		for _, r := range all {
			_, err := tx.ExecContext(ctx, `INSERT INTO daily_task (day, slug, runs, millis, longest) VALUES (?, ?, ?, ?, ?)
				ON CONFLICT DO UPDATE SET runs = runs + excluded.runs, millis = millis + excluded.millis, longest = max(longest, excluded.longest)`,
				dayNumber(r.Day), r.Slug, r.Runs, r.Took.Milliseconds(), r.Longest.Milliseconds())
			if err != nil {
				return fmt.Errorf("adding to the runs of %s: %w", r.Slug, err)
			}
		}
		return nil
	})
}

// TaskRuns sums up the runs that were added for the day of since and later, by task.
func (s *Store) TaskRuns(ctx context.Context, since time.Time) ([]TaskRuns, error) {
	rows, err := s.read.QueryContext(ctx, `SELECT slug, sum(runs), sum(millis), max(longest) FROM daily_task WHERE day >= ? GROUP BY slug ORDER BY slug`,
		dayNumber(since))
	if err != nil {
		return nil, fmt.Errorf("reading the runs of the tasks: %w", err)
	}
	defer rows.Close()
	var all []TaskRuns
	for rows.Next() {
		r := TaskRuns{Day: since}
		var took, longest int64
		if err := rows.Scan(&r.Slug, &r.Runs, &took, &longest); err != nil {
			return nil, fmt.Errorf("reading the runs of the tasks: %w", err)
		}
		r.Took, r.Longest = time.Duration(took)*time.Millisecond, time.Duration(longest)*time.Millisecond
		all = append(all, r)
	}
	return all, rows.Err()
}

// Stages are for how long Download, Convert and Upload worked on updates.
type Stages struct{ Download, Convert, Upload TaskRuns }

// StageRuns sums up the stages of updates that ended since a time: of each job, those of its last attempt.
func (s *Store) StageRuns(ctx context.Context, since time.Time) (Stages, error) {
	var stages Stages
	for _, stage := range []struct {
		name  string
		total *TaskRuns
	}{{"download", &stages.Download}, {"convert", &stages.Convert}, {"upload", &stages.Upload}} {
		var sum struct {
			Runs    int64         `db:"runs"`
			Millis  sql.NullInt64 `db:"millis"`
			Longest sql.NullInt64 `db:"longest"`
		}
		took := fmt.Sprintf(`max(0, date_%[1]s_complete - date_%[1]s_start)`, stage.name)
		err := s.read.GetContext(ctx, &sum, fmt.Sprintf(`SELECT count(*) AS runs, sum(%s) AS millis, max(%s) AS longest FROM job
			WHERE date_%[3]s_start IS NOT NULL AND date_%[3]s_complete >= ?`, took, took, stage.name), toMillis(since))
		if err != nil {
			return Stages{}, fmt.Errorf("reading how long %s took: %w", stage.name, err)
		}
		*stage.total = TaskRuns{Day: since, Runs: sum.Runs, Took: time.Duration(sum.Millis.Int64) * time.Millisecond,
			Longest: time.Duration(sum.Longest.Int64) * time.Millisecond}
	}
	return stages, nil
}
