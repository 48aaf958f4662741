package store

import (
	"context"
	"database/sql"
	"errors"
	"fmt"
	"time"

	"github.com/google/uuid"
	"github.com/jmoiron/sqlx"

	"mssentinel/app/job"
	"mssentinel/app/mask"
	"mssentinel/app/text"
)

// jobRow is a job as it stands in the file.
type jobRow struct {
	Number               int64         `db:"number"`
	RequestID            string        `db:"request_id"`
	Type                 job.Type      `db:"job_type"`
	Mode                 job.Mode      `db:"mode"`
	Status               job.Status    `db:"status"`
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
	Ranged               bool          `db:"ranged"`
	WindowStart          sql.NullInt64 `db:"window_start"`
	WindowEnd            sql.NullInt64 `db:"window_end"`
	Attempt              int64         `db:"attempt"`
	FailureCount         int           `db:"failure_count"`
	RetryAfter           sql.NullInt64 `db:"retry_after"`
	RetirementsHeld      int64         `db:"count_retirement_held"`
	OtherErrors          int64         `db:"count_other_errors"`
	job.Counts
}

func (r *jobRow) toJob() job.Job {
	return job.Job{
		Number: r.Number, RequestID: r.RequestID, Type: r.Type, Mode: r.Mode, Status: r.Status, Message: r.Message,
		DateQueued: fromMillis(r.DateQueued), DateStarted: fromNull(r.DateStarted),
		DateDownloadStart: fromNull(r.DateDownloadStart), DateDownloadComplete: fromNull(r.DateDownloadComplete),
		DateConvertStart: fromNull(r.DateConvertStart), DateConvertComplete: fromNull(r.DateConvertComplete),
		DateUploadStart: fromNull(r.DateUploadStart), DateUploadComplete: fromNull(r.DateUploadComplete),
		DateCompleted: fromNull(r.DateCompleted), DateFailed: fromNull(r.DateFailed),
		Ranged: r.Ranged, WindowStart: fromNull(r.WindowStart), WindowEnd: fromNull(r.WindowEnd),
		Attempt: r.Attempt, FailureCount: r.FailureCount, RetryAfter: fromNull(r.RetryAfter),
		Counts: r.Counts, RetirementsHeld: r.RetirementsHeld, OtherErrors: r.OtherErrors,
	}
}

func toRow(j *job.Job) jobRow {
	return jobRow{
		Number: j.Number, Mode: j.Mode, Status: j.Status, Message: boundMessage(j.Message),
		DateQueued: toMillis(j.DateQueued), DateStarted: nullMillis(j.DateStarted),
		DateDownloadStart: nullMillis(j.DateDownloadStart), DateDownloadComplete: nullMillis(j.DateDownloadComplete),
		DateConvertStart: nullMillis(j.DateConvertStart), DateConvertComplete: nullMillis(j.DateConvertComplete),
		DateUploadStart: nullMillis(j.DateUploadStart), DateUploadComplete: nullMillis(j.DateUploadComplete),
		DateCompleted: nullMillis(j.DateCompleted), DateFailed: nullMillis(j.DateFailed),
		WindowStart: nullMillis(j.WindowStart), WindowEnd: nullMillis(j.WindowEnd),
		Attempt: j.Attempt, FailureCount: j.FailureCount, RetryAfter: nullMillis(j.RetryAfter), RetirementsHeld: j.RetirementsHeld,
	}
}

// selectJob counts what no other count has, of the last attempt: lines about an indicator, which are counted otherwise, name the
// query that gave it.
const selectJob = `SELECT *, (SELECT count(*) FROM problem WHERE problem.job = job.number AND query IS NULL AND NOT note
	AND at >= coalesce(date_download_start, 0)) AS count_other_errors FROM job`

// JobFilter selects jobs, newest first. Zero members select everything.
type JobFilter struct {
	// RequestID is part of a request ID.
	RequestID string
	Statuses  []job.Status
	Type      job.Type
	// Mode is the kind of update. Updates for a range are of a kind of their own: Ranged selects them, and Mode leaves them out.
	Mode   job.Mode
	Ranged bool
	// Since and Before bound when a job was queued: Since included, Before not.
	Since, Before time.Time
	Offset        int
	// Limit is 1 to 500; 0 means 50.
	Limit int
}

// Jobs are the jobs that f selects, newest first, and how many there are in all.
func (s *Store) Jobs(ctx context.Context, f JobFilter) (jobs []job.Job, total int64, err error) {
	var w where
	w.addContains("request_id", f.RequestID)
	w.addAmong("status", f.Statuses)
	w.addEqual("job_type", string(f.Type))
	w.addEqual("mode", string(f.Mode))
	if f.Mode != "" || f.Ranged {
		w.addCondition("ranged = ?", f.Ranged)
	}
	if !f.Since.IsZero() {
		w.addCondition("date_queued >= ?", toMillis(f.Since))
	}
	if !f.Before.IsZero() {
		w.addCondition("date_queued < ?", toMillis(f.Before))
	}
	var rows []jobRow
	if total, err = s.readPage(ctx, &rows, selectJob, `SELECT count(*) FROM job`, w, "number", f.Offset, f.Limit); err != nil {
		return nil, 0, fmt.Errorf("reading the jobs: %w", err)
	}
	jobs = make([]job.Job, len(rows))
	for i := range rows {
		jobs[i] = rows[i].toJob()
	}
	return jobs, total, nil
}

// Job is one job; [ErrNotFound] where there is none of this request ID.
func (s *Store) Job(ctx context.Context, requestID string) (job.Job, error) {
	return readJob(ctx, s.read, requestID)
}

func readJob(ctx context.Context, q querier, requestID string) (job.Job, error) {
	var row jobRow
	err := q.GetContext(ctx, &row, selectJob+` WHERE request_id = ?`, requestID)
	switch {
	case errors.Is(err, sql.ErrNoRows):
		return job.Job{}, fmt.Errorf("job %q: %w", requestID, ErrNotFound)
	case err != nil:
		return job.Job{}, fmt.Errorf("reading job %s: %w", requestID, err)
	}
	return row.toJob(), nil
}

func readJobNumber(ctx context.Context, q querier, number int64) (job.Job, error) {
	var row jobRow
	if err := q.GetContext(ctx, &row, selectJob+` WHERE number = ?`, number); err != nil {
		return job.Job{}, fmt.Errorf("reading job %d: %w", number, err)
	}
	return row.toJob(), nil
}

// QueryCounts are a job's counts of one query.
type QueryCounts struct {
	QueryID string `db:"query_id"`
	// Types is of how many types they are the sum, and Type one of them.
	Types int    `db:"types"`
	Type  string `db:"type"`
	job.Counts
}

// JobQueries are a job's counts by query, in rank order.
func (s *Store) JobQueries(ctx context.Context, requestID string) ([]QueryCounts, error) {
	var counts []QueryCounts
	err := s.readDetails(ctx, &counts, requestID, `SELECT query_id, count(*) AS types, min(type) AS type, `+sumColumns, `GROUP BY query_id ORDER BY rank IS NULL, rank, query_id`)
	return counts, err
}

// JobDetails are a job's counts by query, in rank order, and type; those of one query where that is not empty.
func (s *Store) JobDetails(ctx context.Context, requestID, query string) ([]job.Detail, error) {
	var details []job.Detail
	err := s.readDetails(ctx, &details, requestID, `SELECT query_id, type, `+countColumns, `AND ?2 IN ('', query_id) ORDER BY rank IS NULL, rank, query_id, type`, query)
	return details, err
}

// readDetails reads what a statement selects of a job's counts by query and type.
func (s *Store) readDetails(ctx context.Context, into any, requestID, columns, rest string, args ...any) error {
	j, err := readJob(ctx, s.read, requestID)
	if err != nil {
		return err
	}
	err = s.read.SelectContext(ctx, into, columns+` FROM job_detail LEFT JOIN query ON query.id = query_id WHERE job = ?1 `+rest, append([]any{j.Number}, args...)...)
	if err != nil {
		return fmt.Errorf("reading the details of job %s: %w", requestID, err)
	}
	return nil
}

// AddJob queues a job. A scheduled one is what the last Save asked for: a full update that was asked for meanwhile is not
// forgotten, whatever r says. One that was asked for by hand and is like another that still waits is that other one: asking
// twice does it once.
func (s *Store) AddJob(ctx context.Context, r job.Request, now time.Time) (j job.Job, err error) {
	err = s.inTransaction(ctx, func(ctx context.Context, tx *transaction) error {
		if r.Type == job.Scheduled {
			if r.Mode, err = takeRequestedUpdate(ctx, tx, r.Mode, now); err != nil {
				return err
			}
		}
		j, err = insertJob(ctx, tx, r, now)
		return err
	})
	return j, err
}

func insertJob(ctx context.Context, tx *transaction, r job.Request, now time.Time) (job.Job, error) {
	var from, to sql.NullInt64
	if r.HasRange() {
		from, to = nullMillis(&r.From), nullMillis(&r.To)
	}
	var id string
	err := tx.GetContext(ctx, &id, `SELECT request_id FROM job WHERE job_type = ? AND job_type = ? AND mode = ? AND status = ?
		AND attempt = 0 AND ranged = ? AND window_start IS ? AND window_end IS ?`,
		r.Type, job.AdHoc, r.Mode, job.Pending, r.HasRange(), from, to)
	if errors.Is(err, sql.ErrNoRows) {
		id = uuid.NewString()
		_, err = tx.ExecContext(ctx, `INSERT INTO job (request_id, job_type, mode, status, date_queued, ranged, window_start, window_end)
			VALUES (?, ?, ?, ?, ?, ?, ?, ?)`, id, r.Type, r.Mode, job.Pending, toMillis(now), r.HasRange(), from, to)
	}
	if err != nil {
		return job.Job{}, fmt.Errorf("queueing a job: %w", err)
	}
	return readJob(ctx, tx, id)
}

// longestPause is longer than any job waits for its next attempt: what waits longer, waits since a clock that ran ahead was
// put back.
const longestPause = 24 * time.Hour

// NextJob is the job to be worked on: one that was interrupted, else of those that are due a scheduled one before one that
// was asked for, the oldest first.
func (s *Store) NextJob(ctx context.Context, now time.Time) (job.Job, bool, error) {
	query, args, err := sqlx.In(`SELECT * FROM job
		WHERE status IN (?) OR status = ? AND (retry_after IS NULL OR retry_after <= ? OR retry_after > ?)
		ORDER BY status = ?, job_type = ?, number LIMIT 1`,
		job.ActiveStatuses, job.Pending, toMillis(now), toMillis(now.Add(longestPause)), job.Pending, job.AdHoc)
	if err != nil {
		return job.Job{}, false, fmt.Errorf("looking for the next job: %w", err)
	}
	var row jobRow
	switch err := s.read.GetContext(ctx, &row, query, args...); {
	case errors.Is(err, sql.ErrNoRows):
		return job.Job{}, false, nil
	case err != nil:
		return job.Job{}, false, fmt.Errorf("looking for the next job: %w", err)
	}
	return row.toJob(), true, nil
}

// UpdateJob reads a job, has transition change it, and keeps it, all but its counts. An error of transition is returned as it
// is, and nothing is changed then. Attempts begin by [Store.BeginAttempt], jobs end by [Store.CompleteJob].
func (s *Store) UpdateJob(ctx context.Context, requestID string, transition func(*job.Job) error) (j job.Job, err error) {
	err = s.inTransaction(ctx, func(ctx context.Context, tx *transaction) error {
		if j, err = readJob(ctx, tx, requestID); err != nil {
			return err
		}
		if err := transition(&j); err != nil {
			return err
		}
		return writeJob(ctx, tx, &j)
	})
	return j, err
}

// BeginAttempt begins an attempt at a job under a number that no other attempt had or will have. What earlier attempts at the
// job have read counts as not read when it is asked what is unseen or departed, but is not counted again. A mark that lies ahead was
// set while the clock was wrong, and says nothing about what was read: it is taken away, so that nobody believes it when its time
// has come.
func (s *Store) BeginAttempt(ctx context.Context, requestID string, now, windowEnd time.Time) (j job.Job, err error) {
	err = s.inTransaction(ctx, func(ctx context.Context, tx *transaction) error {
		if j, err = readJob(ctx, tx, requestID); err != nil {
			return err
		}
		added, err := tx.ExecContext(ctx, `INSERT INTO attempt (job, started) VALUES (?, ?)`, j.Number, toMillis(now))
		if err != nil {
			return fmt.Errorf("adding an attempt at job %s: %w", requestID, err)
		}
		number, err := added.LastInsertId()
		if err != nil {
			return fmt.Errorf("adding an attempt at job %s: %w", requestID, err)
		}
		if err := j.Begin(number, now, windowEnd); err != nil {
			return err
		}
		if _, err := tx.ExecContext(ctx, `UPDATE query SET mark = NULL WHERE mark > ?`, toMillis(now)); err != nil {
			return fmt.Errorf("taking away marks that lie ahead: %w", err)
		}
		return writeJob(ctx, tx, &j)
	})
	return j, err
}

// CompleteJob ends a job of which everything was read, sent and answered, and keeps what the schedule depends on, since jobs
// are dropped after a while.
func (s *Store) CompleteJob(ctx context.Context, requestID string, now time.Time, message string) (j job.Job, err error) {
	err = s.inTransaction(ctx, func(ctx context.Context, tx *transaction) error {
		if j, err = readJob(ctx, tx, requestID); err != nil {
			return err
		}
		if err := j.Complete(now, message); err != nil {
			return err
		}
		if err := endAttempt(ctx, tx, &j, now, ""); err != nil {
			return err
		}
		return noteCompletion(ctx, tx, &j, now)
	})
	return j, err
}

// FailJob ends an attempt that failed, as [job.Job.Fail] has it; problems are put on REPORT with it.
func (s *Store) FailJob(ctx context.Context, requestID string, now time.Time, message string, mayHeal bool, spread float64, problems ...job.Problem) (j job.Job, err error) {
	err = s.inTransaction(ctx, func(ctx context.Context, tx *transaction) error {
		if j, err = readJob(ctx, tx, requestID); err != nil {
			return err
		}
		if err := j.Fail(now, message, mayHeal, spread); err != nil {
			return err
		}
		if err := endAttempt(ctx, tx, &j, now, message); err != nil {
			return err
		}
		var rows []newLine
		for _, p := range problems {
			rows = appendProblem(rows, j.Number, 0, p)
		}
		return addProblems(ctx, tx, rows)
	})
	return j, err
}

// endAttempt keeps a job whose present attempt is over, and why that failed, if it did.
func endAttempt(ctx context.Context, tx *transaction, j *job.Job, now time.Time, failure string) error {
	if err := addUpdate(ctx, tx, j, now); err != nil {
		return err
	}
	_, err := tx.ExecContext(ctx, `UPDATE attempt SET ended = ?, failure = ? WHERE number = ?`, toMillis(now), boundMessage(failure), j.Attempt)
	if err != nil {
		return fmt.Errorf("keeping the end of an attempt at job %s: %w", j.RequestID, err)
	}
	return writeJob(ctx, tx, j)
}

// boundMessage is a message as it is kept and shown.
func boundMessage(message string) string { return text.Cut(mask.Text(message), job.MaxMessage) }

// maxAttempts bounds how many attempts at a job are listed.
const maxAttempts = 100

// Attempts are the last attempts at a job, at most 100, newest first; [ErrNotFound] where there is none of this request ID.
func (s *Store) Attempts(ctx context.Context, requestID string) ([]job.Attempt, error) {
	j, err := readJob(ctx, s.read, requestID)
	if err != nil {
		return nil, err
	}
	var rows []struct {
		Number  int64         `db:"number"`
		Started int64         `db:"started"`
		Ended   sql.NullInt64 `db:"ended"`
		Failure string        `db:"failure"`
	}
	err = s.read.SelectContext(ctx, &rows, `SELECT number, started, ended, failure FROM attempt WHERE job = ? ORDER BY number DESC LIMIT ?`, j.Number, maxAttempts)
	if err != nil {
		return nil, fmt.Errorf("reading the attempts at job %s: %w", requestID, err)
	}
	attempts := make([]job.Attempt, len(rows))
	for i, r := range rows {
		attempts[i] = job.Attempt{Number: r.Number, Started: fromMillis(r.Started), Ended: fromNull(r.Ended), Failure: r.Failure}
	}
	return attempts, nil
}

// LastEnded is the job that ended last, by its end; found is false where none has ended.
func (s *Store) LastEnded(ctx context.Context) (j job.Job, found bool, err error) {
	query, args, err := sqlx.In(selectJob+` WHERE status IN (?) ORDER BY coalesce(date_completed, date_failed) DESC, number DESC LIMIT 1`,
		append([]job.Status{job.ConfirmationRequired}, job.EndedStatuses...))
	if err != nil {
		return job.Job{}, false, fmt.Errorf("reading the last update: %w", err)
	}
	var row jobRow
	switch err := s.read.GetContext(ctx, &row, query, args...); {
	case errors.Is(err, sql.ErrNoRows):
		return job.Job{}, false, nil
	case err != nil:
		return job.Job{}, false, fmt.Errorf("reading the last update: %w", err)
	}
	return row.toJob(), true, nil
}

// CancelJob ends a job that is not over: what it queued is dropped, and its objects are vacant, so that the next update sends
// them. [job.ErrState] where it is over, or waits for an answer. None of its rows may be under way to Sentinel meanwhile.
func (s *Store) CancelJob(ctx context.Context, requestID string, now time.Time) error {
	j, err := readJob(ctx, s.read, requestID)
	if err != nil {
		return fmt.Errorf("cancelling: %w", err)
	}
	cancelled := j
	if err := cancelled.Cancel(now); err != nil {
		return err
	}
	if err := s.dropUnsent(ctx, `job = ?`, j.Number); err != nil {
		return fmt.Errorf("cancelling: %w", err)
	}
	err = s.inTransaction(ctx, func(ctx context.Context, tx *transaction) error {
		if j, err = readJob(ctx, tx, requestID); err != nil {
			return err
		}
		ran := j.Status.Active()
		if err := j.Cancel(now); err != nil {
			return err
		}
		if !ran {
			return writeJob(ctx, tx, &j)
		}
		return endAttempt(ctx, tx, &j, now, "")
	})
	if err != nil {
		return fmt.Errorf("cancelling: %w", err)
	}
	return nil
}

func writeJob(ctx context.Context, tx *transaction, j *job.Job) error {
	text, args, err := sqlx.Named(`UPDATE job SET mode = :mode, status = :status, message = :message, date_queued = :date_queued,
		date_started = :date_started, date_download_start = :date_download_start, date_download_complete = :date_download_complete,
		date_convert_start = :date_convert_start, date_convert_complete = :date_convert_complete,
		date_upload_start = :date_upload_start, date_upload_complete = :date_upload_complete,
		date_completed = :date_completed, date_failed = :date_failed, window_start = :window_start, window_end = :window_end,
		attempt = :attempt, failure_count = :failure_count, retry_after = :retry_after,
		count_retirement_held = :count_retirement_held WHERE number = :number`, toRow(j))
	if err == nil {
		_, err = tx.ExecContext(ctx, text, args...)
	}
	if err != nil {
		return fmt.Errorf("keeping job %s: %w", j.RequestID, err)
	}
	return nil
}

// attemptsAt are the numbers of all attempts at a job, the present one last.
func attemptsAt(ctx context.Context, q querier, number int64) ([]int64, error) {
	var attempts []int64
	if err := q.SelectContext(ctx, &attempts, `SELECT number FROM attempt WHERE job = ? ORDER BY number`, number); err != nil {
		return nil, fmt.Errorf("reading the attempts at job %d: %w", number, err)
	}
	return attempts, nil
}

// presentAttempt is the number of the attempt that has a job in hand.
func presentAttempt(ctx context.Context, q querier, number int64) (attempt int64, err error) {
	if err := q.GetContext(ctx, &attempt, `SELECT attempt FROM job WHERE number = ?`, number); err != nil {
		return 0, fmt.Errorf("reading the attempt at job %d: %w", number, err)
	}
	return attempt, nil
}
