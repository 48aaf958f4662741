package main

import (
	"context"
	"database/sql"
	"errors"
	"fmt"
	"path/filepath"
	"time"

	_ "github.com/mattn/go-sqlite3" // the driver that the App uses
)

// history are the statements that add what years leave: copies of the job and of the lines on REPORT that the first update gave, and
// days of work. Each adds what is missing up to a number, so that a folder that has it already stays as it is. ?1 is that number, ?2
// the present time in milliseconds.
var history = []struct{ what, statement string }{
	{"jobs", `WITH RECURSIVE n(i) AS (SELECT count(*) + 1 FROM job UNION ALL SELECT i + 1 FROM n WHERE i < ?1),
		model AS (SELECT * FROM job WHERE status = 'Upload Complete' ORDER BY number LIMIT 1)
	INSERT INTO job (number, request_id, job_type, mode, status, date_queued, date_started, date_download_start, date_download_complete,
		date_convert_start, date_convert_complete, date_upload_start, date_upload_complete, date_completed, window_start, window_end, count_downloaded,
		count_invalid, count_duplicate, count_unchanged, count_queued, count_uploaded)
	SELECT -i, lower(printf('%s-%s-4%s-8%s-%s', hex(randomblob(4)), hex(randomblob(2)), substr(hex(randomblob(2)), 2), substr(hex(randomblob(2)), 2), hex(randomblob(6)))),
		iif(i % 7, 'scheduled', 'adhoc'), iif(i % 20, 'delta', 'full'), iif(i % 50, 'Upload Complete', 'Cancelled'), date_queued - i * 3600000,
		date_started - i * 3600000, date_download_start - i * 3600000, date_download_complete - i * 3600000, date_convert_start - i * 3600000,
		date_convert_complete - i * 3600000, date_upload_start - i * 3600000, date_upload_complete - i * 3600000, date_completed - i * 3600000,
		window_end - (i + 1) * 3600000, window_end - i * 3600000, count_downloaded, count_invalid, count_duplicate, count_unchanged, count_queued, count_uploaded
	FROM n, model WHERE i <= ?1 AND ?2`},
	// Of every twenty jobs one has all lines of the model, as a full update has.
	{"details of jobs", `INSERT OR IGNORE INTO job_detail SELECT job.number, d.query_id, d.type, d.count_downloaded, d.count_below_floor, d.count_invalid, d.count_duplicate,
		d.count_unchanged, d.count_queued, d.count_uploaded, d.count_rejected, d.count_retired
	FROM job, job_detail AS d WHERE job.number < 0 AND d.job = (SELECT min(number) FROM job WHERE number > 0)
		AND (job.number % 20 = 0 OR d.type = 'Address' AND d.query_id < '1') AND ?1 AND ?2`},
	{"attempts", `INSERT INTO attempt (job, started, ended) SELECT number, date_started, date_completed FROM job
		WHERE number < 0 AND NOT EXISTS (SELECT 1 FROM attempt WHERE job = job.number) AND ?1 AND ?2`},
	// All within the last day, where each page counts them.
	{"errors", `WITH RECURSIVE n(i) AS (SELECT count(*) + 1 FROM problem UNION ALL SELECT i + 1 FROM n WHERE i < ?1),
		model AS (SELECT *, row_number() OVER (ORDER BY id) - 1 AS place, count(*) OVER () AS amount FROM (SELECT * FROM problem ORDER BY note, id LIMIT 1000)),
		place AS MATERIALIZED (SELECT * FROM model)
	INSERT INTO problem (job, query, indicator, type, value, owner, at, step, code, message, note, retry)
	SELECT (SELECT coalesce(min(number), 0) FROM job WHERE number > -1000000) + i % (SELECT count(*) FROM job WHERE number < 0), query, indicator, type, value, owner,
		?2 - (?1 - i) * 80000000 / ?1, step, code, message, note, retry
	FROM n JOIN place ON place.place = i % place.amount WHERE i <= ?1`},
	{"objects concerned", `WITH model AS MATERIALIZED (SELECT row_number() OVER (ORDER BY id) - 1 AS place, count(*) OVER () AS amount, raw
		FROM (SELECT * FROM problem_raw ORDER BY id LIMIT 1000))
	INSERT OR IGNORE INTO problem_raw SELECT problem.id, model.raw FROM problem JOIN model ON model.place = problem.id % model.amount
	WHERE problem.id > (SELECT max(id) FROM problem_raw) AND ?1 AND ?2`},
	{"days", `WITH RECURSIVE n(i) AS (SELECT 1 UNION ALL SELECT i + 1 FROM n WHERE i < 399)
	INSERT OR IGNORE INTO daily SELECT ?2 / 86400000 - i, type.number, 1000 + i * 7, i % 9, i % 50 FROM n, type WHERE ?1`},
	{"waits", `WITH RECURSIVE n(i) AS (SELECT 1 UNION ALL SELECT i + 1 FROM n WHERE i < 399)
	INSERT OR IGNORE INTO daily_wait SELECT ?2 / 86400000 - i, i * 1000 FROM n WHERE ?1`},
	{"durations", `WITH RECURSIVE n(i) AS (SELECT 1 UNION ALL SELECT i + 1 FROM n WHERE i < 399)
	INSERT OR IGNORE INTO daily_update SELECT ?2 / 86400000 - i, mode, 10, 600000, 90000 FROM n, (SELECT 'full' AS mode UNION SELECT 'delta') WHERE ?1`},
}

// writeHistory writes to the database of the Service, which is off, what no stand-in can provoke in minutes: the rows of more than a
// year. The statements know the schema, app/store/migrations, and fail where it is another.
func (s *screens) writeHistory(ctx context.Context) (err error) {
	files, err := filepath.Glob(filepath.Join(s.service.Folder(), "out", "*.db"))
	if err != nil || len(files) != 1 {
		return errors.Join(err, fmt.Errorf("there are %d databases in %s", len(files), s.service.Folder()))
	}
	db, err := sql.Open("sqlite3", files[0])
	if err != nil {
		return err
	}
	defer func() { err = errors.Join(err, db.Close()) }()
	numbers := map[string]int{"jobs": s.jobs, "errors": s.errors}
	for _, h := range history {
		if _, err := db.ExecContext(ctx, h.statement, max(numbers[h.what], 1), time.Now().UnixMilli()); err != nil {
			return fmt.Errorf("%s: %w", h.what, err)
		}
	}
	return nil
}
