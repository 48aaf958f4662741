package store

import (
	"context"
	"fmt"
	"regexp"

	"mssentinel/app/job"
)

const (
	countColumns = `count_downloaded, count_below_floor, count_invalid, count_duplicate, count_unchanged, count_queued, count_uploaded, count_rejected, count_retired`
	addCounts    = `count_downloaded = count_downloaded + ?, count_below_floor = count_below_floor + ?, count_invalid = count_invalid + ?, count_duplicate = count_duplicate + ?,
		count_unchanged = count_unchanged + ?, count_queued = count_queued + ?, count_uploaded = count_uploaded + ?,
		count_rejected = count_rejected + ?, count_retired = count_retired + ?`
	addDetail = `INSERT INTO job_detail (job, query_id, type, ` + countColumns + `)
		SELECT job.number, query.id, ?, ?, ?, ?, ?, ?, ?, ?, ?, ? FROM job, query WHERE job.number = ? AND query.number = ?
		ON CONFLICT DO UPDATE SET count_downloaded = count_downloaded + excluded.count_downloaded,
			count_below_floor = count_below_floor + excluded.count_below_floor, count_invalid = count_invalid + excluded.count_invalid, count_duplicate = count_duplicate + excluded.count_duplicate,
			count_unchanged = count_unchanged + excluded.count_unchanged, count_queued = count_queued + excluded.count_queued,
			count_uploaded = count_uploaded + excluded.count_uploaded, count_rejected = count_rejected + excluded.count_rejected,
			count_retired = count_retired + excluded.count_retired`
)

// sumColumns are the sums of countColumns, under the same names.
var sumColumns = regexp.MustCompile(`\w+`).ReplaceAllString(countColumns, `sum($0) AS $0`)

func countValues(c *job.Counts) []any {
	return []any{c.Downloaded, c.BelowFloor, c.Invalid, c.Duplicate, c.Unchanged, c.Queued, c.Uploaded, c.Rejected, c.Retired}
}

// writeTally adds counts to the jobs and their details. A job that is gone takes none.
func writeTally(ctx context.Context, tx *transaction, t job.Tally) error {
	jobs := map[int64]*job.Counts{}
	for key, c := range t {
		if *c == (job.Counts{}) || key.Job == 0 {
			continue
		}
		if jobs[key.Job] == nil {
			jobs[key.Job] = new(job.Counts)
		}
		jobs[key.Job].Add(*c)
		if key.Query == 0 {
			continue
		}
		args := append(append([]any{key.Type}, countValues(c)...), key.Job, key.Query)
		if _, err := tx.ExecContext(ctx, addDetail, args...); err != nil {
			return fmt.Errorf("counting for a query: %w", err)
		}
	}
	for number, c := range jobs {
		if _, err := tx.ExecContext(ctx, `UPDATE job SET `+addCounts+` WHERE number = ?`, append(countValues(c), number)...); err != nil {
			return fmt.Errorf("counting for a job: %w", err)
		}
	}
	return nil
}
