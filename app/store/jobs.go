package store

import (
	"context"
	"database/sql"
	"errors"
	"fmt"
	"strings"
	"time"

	"github.com/google/uuid"
	"github.com/jmoiron/sqlx"
)

// Bounds of a page of a list.
const (
	defaultLimit = 50
	maxLimit     = 500
)

// jobRow is a job as it stands in the file.
type jobRow struct {
	Number               int64         `db:"number"`
	RequestID            string        `db:"request_id"`
	JobType              JobType       `db:"job_type"`
	Mode                 Mode          `db:"mode"`
	Status               Status        `db:"status"`
	Message              string        `db:"message"`
	DateQueued           int64         `db:"date_queued"`
	DateStarted          sql.NullInt64 `db:"date_started"`
	DateDownloadStart    sql.NullInt64 `db:"date_download_start"`
	DateDownloadComplete sql.NullInt64 `db:"date_download_complete"`
	DateConvertStart     sql.NullInt64 `db:"date_convert_start"`
	DateConvertComplete  sql.NullInt64 `db:"date_convert_complete"`
	DateUploadStart      sql.NullInt64 `db:"date_upload_start"`
	DateUploadComplete   sql.NullInt64 `db:"date_upload_complete"`
	DateCompleted        sql.NullInt64 `db:"date_completed"`
	DateFailed           sql.NullInt64 `db:"date_failed"`
	WindowStart          sql.NullInt64 `db:"window_start"`
	WindowEnd            sql.NullInt64 `db:"window_end"`
	FailureCount         int           `db:"failure_count"`
	Attempt              int64         `db:"attempt"`
	RetryAfter           sql.NullInt64 `db:"retry_after"`
	CountRetirementHeld  int64         `db:"count_retirement_held"`
	CountOtherErrors     int64         `db:"count_other_errors"`
	Counts
}

func (r jobRow) job() Job {
	if r.Status != ConfirmationRequired {
		r.CountRetirementHeld = 0 // nobody can answer it, yet or any more
	}
	return Job{
		Number: r.Number, RequestID: r.RequestID, JobType: r.JobType, Mode: r.Mode, Status: r.Status, Message: r.Message,
		DateQueued: fromMillis(r.DateQueued), DateStarted: fromNull(r.DateStarted),
		DateDownloadStart: fromNull(r.DateDownloadStart), DateDownloadComplete: fromNull(r.DateDownloadComplete),
		DateConvertStart: fromNull(r.DateConvertStart), DateConvertComplete: fromNull(r.DateConvertComplete),
		DateUploadStart: fromNull(r.DateUploadStart), DateUploadComplete: fromNull(r.DateUploadComplete),
		DateCompleted: fromNull(r.DateCompleted), DateFailed: fromNull(r.DateFailed),
		WindowStart: fromNull(r.WindowStart), WindowEnd: fromNull(r.WindowEnd),
		FailureCount: r.FailureCount, RetryAfter: fromNull(r.RetryAfter),
		Counts: r.Counts, CountRetirementHeld: r.CountRetirementHeld, CountOtherErrors: r.CountOtherErrors,
	}
}

func rowOf(j Job) jobRow {
	return jobRow{
		RequestID: j.RequestID, JobType: j.JobType, Mode: j.Mode, Status: j.Status, Message: j.Message,
		DateQueued: millis(j.DateQueued), DateStarted: nullMillis(j.DateStarted),
		DateDownloadStart: nullMillis(j.DateDownloadStart), DateDownloadComplete: nullMillis(j.DateDownloadComplete),
		DateConvertStart: nullMillis(j.DateConvertStart), DateConvertComplete: nullMillis(j.DateConvertComplete),
		DateUploadStart: nullMillis(j.DateUploadStart), DateUploadComplete: nullMillis(j.DateUploadComplete),
		DateCompleted: nullMillis(j.DateCompleted), DateFailed: nullMillis(j.DateFailed),
		WindowStart: nullMillis(j.WindowStart), WindowEnd: nullMillis(j.WindowEnd),
		FailureCount: j.FailureCount, RetryAfter: nullMillis(j.RetryAfter),
	}
}

// selectJob counts what no other count has: lines about an indicator, which are counted otherwise, name the query that gave it.
const selectJob = `SELECT *, (SELECT count(*) FROM problem WHERE problem.job = job.number AND query IS NULL AND NOT note) AS count_other_errors FROM job`

// Jobs are the jobs that f selects, newest first, and how many there are in all.
func (s *Store) Jobs(ctx context.Context, f JobFilter) (jobs []Job, total int64, err error) {
	var w where
	w.contains("request_id", f.RequestID)
	w.among("status", f.Statuses)
	w.equal("job_type", string(f.JobType))
	var rows []jobRow
	if total, err = s.page(ctx, &rows, selectJob, `SELECT count(*) FROM job`, w, "number", f.Offset, f.Limit); err != nil {
		return nil, 0, fmt.Errorf("reading the jobs: %w", err)
	}
	jobs = make([]Job, len(rows))
	for i, r := range rows {
		jobs[i] = r.job()
	}
	return jobs, total, nil
}

// Job is one job; [ErrNotFound] where there is none of this request ID.
func (s *Store) Job(ctx context.Context, requestID string) (Job, error) {
	row, err := readJob(ctx, s.read, requestID)
	return row.job(), err
}

func readJob(ctx context.Context, q querier, requestID string) (jobRow, error) {
	var row jobRow
	err := q.GetContext(ctx, &row, selectJob+` WHERE request_id = ?`, requestID)
	switch {
	case errors.Is(err, sql.ErrNoRows):
		return jobRow{}, fmt.Errorf("job %q: %w", requestID, ErrNotFound)
	case err != nil:
		return jobRow{}, fmt.Errorf("reading job %s: %w", requestID, err)
	}
	return row, nil
}

// JobDetails are a job's counts per query, in rank order, and type.
func (s *Store) JobDetails(ctx context.Context, requestID string) ([]JobDetail, error) {
	job, err := readJob(ctx, s.read, requestID)
	if err != nil {
		return nil, err
	}
	details := []JobDetail{}
	err = s.read.SelectContext(ctx, &details, `SELECT query_id, type, `+countColumns+` FROM job_detail LEFT JOIN query ON query.id = query_id
		WHERE job = ? ORDER BY rank IS NULL, rank, query_id, type`, job.Number)
	if err != nil {
		return nil, fmt.Errorf("reading the details of job %s: %w", requestID, err)
	}
	return details, nil
}

// Schedule is what the scheduler has to know. Zero times are "never".
type Schedule struct {
	// HasWork: there are queries, or candidates of queries that were deleted. Without either there is nothing to do.
	HasWork bool
	// NextMode is the mode that was asked for with Save, "" for none, and Due when.
	NextMode Mode
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
	if err := tx.GetContext(ctx, &sch.Open, `SELECT EXISTS (SELECT 1 FROM job WHERE job_type = ? AND status IN (?, ?, ?, ?, ?, ?))`,
		Scheduled, Pending, DownloadInProgress, DownloadComplete, ConvertInProgress, ConvertComplete, UploadInProgress); err != nil {
		return Schedule{}, fmt.Errorf("reading the schedule: %w", err)
	}
	for name, t := range map[string]*time.Time{settingDue: &sch.Due, settingScheduled: &sch.LastScheduled, settingFullRead: &sch.LastFullRead} {
		if *t, err = timeSetting(ctx, tx, name); err != nil {
			return Schedule{}, err
		}
	}
	mode, err := setting(ctx, tx, settingNextMode)
	if err != nil {
		return Schedule{}, err
	}
	completed, err := setting(ctx, tx, settingCompleted)
	sch.NextMode, sch.Completed = Mode(mode), completed != ""
	return sch, err
}

// AddJob queues a job. A scheduled one is what the last Save asked for: a full update that was asked for meanwhile is not
// forgotten, whatever mode says.
func (s *Store) AddJob(ctx context.Context, kind JobType, mode Mode, now time.Time) (job Job, err error) {
	err = s.tx(ctx, func(ctx context.Context, tx *transaction) error {
		if kind == Scheduled {
			if mode, err = takeOver(ctx, tx, mode, now); err != nil {
				return err
			}
		}
		id := uuid.NewString()
		_, err := tx.ExecContext(ctx, `INSERT INTO job (request_id, job_type, mode, status, date_queued) VALUES (?, ?, ?, ?, ?)`,
			id, kind, mode, Pending, millis(now))
		if err != nil {
			return fmt.Errorf("queueing a job: %w", err)
		}
		row, err := readJob(ctx, tx, id)
		job = row.job()
		return err
	})
	return job, err
}

// takeOver takes what Save asked for off the list, and gives the mode of the update that answers it.
func takeOver(ctx context.Context, tx *transaction, mode Mode, now time.Time) (Mode, error) {
	asked, err := setting(ctx, tx, settingNextMode)
	if err != nil {
		return "", err
	}
	if _, err := tx.ExecContext(ctx, `DELETE FROM setting WHERE name IN (?, ?)`, settingNextMode, settingDue); err != nil {
		return "", fmt.Errorf("taking over what was asked for: %w", err)
	}
	if Mode(asked) == Full {
		mode = Full
	}
	return mode, putTime(ctx, tx, settingScheduled, now)
}

// longestWait is longer than any job waits for its next attempt: what waits longer, waits since a clock that ran ahead was
// put back.
const longestWait = 24 * time.Hour

// NextJob is the job to be worked on: one that was interrupted, else of those that are due a scheduled one before one that
// was asked for, the oldest first.
func (s *Store) NextJob(ctx context.Context, now time.Time) (Job, bool, error) {
	var row jobRow
	err := s.read.GetContext(ctx, &row, `SELECT * FROM job
		WHERE status IN (?, ?, ?, ?, ?) OR status = ? AND (retry_after IS NULL OR retry_after <= ? OR retry_after > ?)
		ORDER BY status = ?, job_type = ?, number LIMIT 1`,
		DownloadInProgress, DownloadComplete, ConvertInProgress, ConvertComplete, UploadInProgress, Pending,
		millis(now), millis(now.Add(longestWait)), Pending, AdHoc)
	switch {
	case errors.Is(err, sql.ErrNoRows):
		return Job{}, false, nil
	case err != nil:
		return Job{}, false, fmt.Errorf("looking for the next job: %w", err)
	}
	return row.job(), true, nil
}

// UpdateJob reads a job, has change alter it, and keeps it, all but its counts. An error of change is returned as it is,
// and changes nothing. A job that comes to Download In Progress, or is given
// a new DateDownloadStart in it, begins anew: what it has read before counts as read
// before, when it is asked what is unseen or departed, but is not counted again.
func (s *Store) UpdateJob(ctx context.Context, requestID string, change func(*Job) error) (job Job, err error) {
	err = s.tx(ctx, func(ctx context.Context, tx *transaction) error {
		row, err := readJob(ctx, tx, requestID)
		if err != nil {
			return err
		}
		job = row.job()
		if err := change(&job); err != nil {
			return err
		}
		if err := writeJob(ctx, tx, job); err != nil {
			return err
		}
		if job.Status == DownloadInProgress && (row.Status != DownloadInProgress || nullMillis(job.DateDownloadStart) != row.DateDownloadStart) {
			if err := newAttempt(ctx, tx, job.Number); err != nil {
				return err
			}
		}
		if completed(job.Status) && !completed(row.Status) {
			return noteCompletion(ctx, tx, job)
		}
		return nil
	})
	return job, err
}

func newAttempt(ctx context.Context, tx *transaction, job int64) error {
	if _, err := tx.ExecContext(ctx, `UPDATE job SET attempt = attempt + 1 WHERE number = ?`, job); err != nil {
		return fmt.Errorf("counting an attempt: %w", err)
	}
	return nil
}

func completed(s Status) bool { return s == UploadComplete || s == ConfirmationRequired }

func writeJob(ctx context.Context, tx *transaction, job Job) error {
	text, args, err := sqlx.Named(`UPDATE job SET mode = :mode, status = :status, message = :message, date_queued = :date_queued,
		date_started = :date_started, date_download_start = :date_download_start, date_download_complete = :date_download_complete,
		date_convert_start = :date_convert_start, date_convert_complete = :date_convert_complete,
		date_upload_start = :date_upload_start, date_upload_complete = :date_upload_complete,
		date_completed = :date_completed, date_failed = :date_failed, window_start = :window_start, window_end = :window_end,
		failure_count = :failure_count, retry_after = :retry_after WHERE request_id = :request_id`, rowOf(job))
	if err == nil {
		_, err = tx.ExecContext(ctx, text, args...)
	}
	if err != nil {
		return fmt.Errorf("keeping job %s: %w", job.RequestID, err)
	}
	return nil
}

// noteCompletion keeps what the schedule depends on, since jobs are dropped after a while.
func noteCompletion(ctx context.Context, tx *transaction, job Job) error {
	if err := putSetting(ctx, tx, settingCompleted, job.RequestID); err != nil {
		return err
	}
	if job.Mode == Delta {
		return nil
	}
	at := time.Now()
	if job.DateCompleted != nil {
		at = *job.DateCompleted
	}
	return putTime(ctx, tx, settingFullRead, at)
}

// where collects the conditions of a filter.
type where struct {
	conditions []string
	args       []any
}

func (w *where) add(condition string, args ...any) {
	w.conditions, w.args = append(w.conditions, condition), append(w.args, args...)
}

func (w *where) equal(column, value string) {
	if value != "" {
		w.add(column+" = ?", value)
	}
}

// contains compares as LIKE does: ASCII letters without regard to case.
func (w *where) contains(column, part string) {
	if part != "" {
		w.add(column+` LIKE ? ESCAPE '\'`, "%"+likeEscape.Replace(part)+"%")
	}
}

var likeEscape = strings.NewReplacer(`\`, `\\`, `%`, `\%`, `_`, `\_`)

func (w *where) among(column string, values []Status) {
	if len(values) == 0 {
		return
	}
	args := make([]any, len(values))
	for i, v := range values {
		args[i] = v
	}
	w.add(column+" IN (?"+strings.Repeat(", ?", len(values)-1)+")", args...)
}

func (w *where) String() string {
	if len(w.conditions) == 0 {
		return ""
	}
	return " WHERE (" + strings.Join(w.conditions, ") AND (") + ")"
}

// page reads one page of a list, newest first, and the size of the whole, both of the same instant.
func (s *Store) page(ctx context.Context, dest any, list, count string, w where, order string, offset, limit int) (total int64, err error) {
	if limit <= 0 {
		limit = defaultLimit
	}
	tx, err := s.read.BeginTxx(ctx, nil)
	if err != nil {
		return 0, err
	}
	defer tx.Rollback() //nolint:errcheck // nothing was written
	if err := tx.GetContext(ctx, &total, count+w.String(), w.args...); err != nil {
		return 0, err
	}
	if int64(offset) >= total { // spares a second look at every line
		return total, nil
	}
	rest := fmt.Sprintf(" ORDER BY %s DESC LIMIT %d OFFSET %d", order, min(limit, maxLimit), max(offset, 0))
	return total, tx.SelectContext(ctx, dest, list+w.String()+rest, w.args...)
}
