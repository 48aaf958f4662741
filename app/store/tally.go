package store

import (
	"context"
	"fmt"
)

// add adds what another count says.
func (c *Counts) add(d Counts) {
	c.Downloaded += d.Downloaded
	c.Invalid += d.Invalid
	c.Duplicate += d.Duplicate
	c.Unchanged += d.Unchanged
	c.Queued += d.Queued
	c.Uploaded += d.Uploaded
	c.Rejected += d.Rejected
	c.Retired += d.Retired
}

func (c Counts) values() []any {
	return []any{c.Downloaded, c.Invalid, c.Duplicate, c.Unchanged, c.Queued, c.Uploaded, c.Rejected, c.Retired}
}

const (
	countColumns = `count_downloaded, count_invalid, count_duplicate, count_unchanged, count_queued, count_uploaded, count_rejected, count_retired`
	addCounts    = `count_downloaded = count_downloaded + ?, count_invalid = count_invalid + ?, count_duplicate = count_duplicate + ?,
		count_unchanged = count_unchanged + ?, count_queued = count_queued + ?, count_uploaded = count_uploaded + ?,
		count_rejected = count_rejected + ?, count_retired = count_retired + ?`
	addDetail = `INSERT INTO job_detail (job, query_id, type, ` + countColumns + `)
		SELECT job.number, query.id, ?, ?, ?, ?, ?, ?, ?, ?, ? FROM job, query WHERE job.number = ? AND query.number = ?
		ON CONFLICT DO UPDATE SET count_downloaded = count_downloaded + excluded.count_downloaded,
			count_invalid = count_invalid + excluded.count_invalid, count_duplicate = count_duplicate + excluded.count_duplicate,
			count_unchanged = count_unchanged + excluded.count_unchanged, count_queued = count_queued + excluded.count_queued,
			count_uploaded = count_uploaded + excluded.count_uploaded, count_rejected = count_rejected + excluded.count_rejected,
			count_retired = count_retired + excluded.count_retired`
)

// tally is what a transaction adds to the counts of jobs.
type tally map[tallyKey]*Counts

type tallyKey struct {
	job, query int64
	typ        string
}

// of is the count to be changed for a query, 0 for none, and a type of a job.
func (t tally) of(job, query int64, typ string) *Counts {
	k := tallyKey{job, query, typ}
	c := t[k]
	if c == nil {
		c = new(Counts)
		t[k] = c
	}
	return c
}

// write adds the counts to the jobs and their details. A job that is gone takes none.
func (t tally) write(ctx context.Context, tx *transaction) error {
	jobs := map[int64]*Counts{}
	for k, c := range t {
		if *c == (Counts{}) || k.job == 0 {
			continue
		}
		if jobs[k.job] == nil {
			jobs[k.job] = new(Counts)
		}
		jobs[k.job].add(*c)
		if k.query == 0 {
			continue
		}
		args := append(append([]any{k.typ}, c.values()...), k.job, k.query)
		if _, err := tx.ExecContext(ctx, addDetail, args...); err != nil {
			return fmt.Errorf("counting for a query: %w", err)
		}
	}
	for job, c := range jobs {
		if _, err := tx.ExecContext(ctx, `UPDATE job SET `+addCounts+` WHERE number = ?`, append(c.values(), job)...); err != nil {
			return fmt.Errorf("counting for a job: %w", err)
		}
	}
	return nil
}

// total is what is added to one job.
func (t tally) total(job int64) Counts {
	var total Counts
	for k, c := range t {
		if k.job == job {
			total.add(*c)
		}
	}
	return total
}
