package store

import (
	"context"
	"fmt"
	"slices"
	"strings"
	"time"

	"mssentinel/app/job"
	"mssentinel/app/ledger"
)

// What is kept, and for how long.
const (
	keptJobs     = 500
	keptProblems = 30 * 24 * time.Hour
	keptDays     = 400
	keptTaskDays = 31
	// keptGone is how long the ledger remembers an object that stands nowhere.
	keptGone = 30 * 24 * time.Hour
	// keptSlots is longer than any window of Sentinel's limit.
	keptSlots = 24 * time.Hour
)

// cleanChunk is how many rows one transaction of Clean drops, vacuumPages how many pages one gives back.
const (
	cleanChunk  = 1000
	vacuumPages = 2000
)

// Clean drops what is kept no longer, gives free pages back to the disk and cuts the log. Every transaction is of bounded
// size, so that others wait little. A query that was deleted stays while a job reads: it may be reading that one.
func (s *Store) Clean(ctx context.Context, now time.Time) error {
	for _, c := range []struct {
		what, text string
		args       []any
	}{
		{"errors", `DELETE FROM problem WHERE id IN (SELECT id FROM problem WHERE at < ? LIMIT ?)`, []any{toMillis(now.Add(-keptProblems))}},
		{"jobs", `DELETE FROM job WHERE number IN (` + oldJobs + ` LIMIT ?)`, []any{keptJobs}},
		{"daily totals", `DELETE FROM daily WHERE day IN (SELECT day FROM daily WHERE day < ? LIMIT ?)`, []any{dayNumber(now) - keptDays}},
		{"waiting times", `DELETE FROM daily_wait WHERE day IN (SELECT day FROM daily_wait WHERE day < ? LIMIT ?)`, []any{dayNumber(now) - keptDays}},
		{"durations of updates", `DELETE FROM daily_update WHERE day IN (SELECT day FROM daily_update WHERE day < ? LIMIT ?)`, []any{dayNumber(now) - keptDays}},
		{"runs of tasks", `DELETE FROM daily_task WHERE (day, slug) IN (SELECT day, slug FROM daily_task WHERE day < ? LIMIT ?)`, []any{dayNumber(now) - keptTaskDays}},
		{"requests", `DELETE FROM slot WHERE id IN (SELECT id FROM slot WHERE coalesce(ended, started) < ? LIMIT ?)`, []any{toMillis(now.Add(-keptSlots))}},
		{"deleted queries", `DELETE FROM query WHERE number IN (SELECT number FROM query WHERE rank IS NULL
			AND NOT EXISTS (SELECT 1 FROM job WHERE status IN (` + quoteStatuses(job.DownloadInProgress, job.DownloadComplete) + `))
			AND NOT EXISTS (SELECT 1 FROM candidate WHERE candidate.query = query.number)
			AND NOT EXISTS (SELECT 1 FROM job_detail WHERE job_detail.query_id = query.id) LIMIT ?)`, nil},
	} {
		if err := s.dropChunks(ctx, c.text, c.args); err != nil {
			return fmt.Errorf("dropping old %s: %w", c.what, err)
		}
	}
	if err := s.dropGone(ctx, now); err != nil {
		return fmt.Errorf("dropping objects that stand nowhere: %w", err)
	}
	if err := s.cleanDeliveries(ctx); err != nil {
		return fmt.Errorf("dropping old deliveries: %w", err)
	}
	return s.compactFile(ctx)
}

// oldJobs are over, have nothing in the outbox and no errors that are still kept, and are not among the last ones.
var oldJobs = `SELECT number FROM job WHERE status IN (` + quoteStatuses(job.EndedStatuses...) + `)
	AND number <= (SELECT number FROM job ORDER BY number DESC LIMIT 1 OFFSET ?)
	AND ` + inOutbox + ` = 0 AND NOT EXISTS (SELECT 1 FROM problem WHERE problem.job = job.number)`

// quoteStatuses lists statuses as SQL.
func quoteStatuses(statuses ...job.Status) string {
	quoted := make([]string, len(statuses))
	for i, s := range statuses {
		quoted[i] = "'" + string(s) + "'"
	}
	return strings.Join(quoted, ", ")
}

func (s *Store) dropChunks(ctx context.Context, text string, args []any) error {
	args = append(args, cleanChunk)
	for n := int64(cleanChunk); n >= cleanChunk; {
		err := s.inTransaction(ctx, func(ctx context.Context, tx *transaction) error {
			r, err := tx.ExecContext(ctx, text, args...)
			if err != nil {
				return err
			}
			n, err = r.RowsAffected()
			return err
		})
		if err != nil {
			return err
		}
	}
	return nil
}

// dropGone drops the objects that nobody gives, that stand nowhere, and that are past.
func (s *Store) dropGone(ctx context.Context, now time.Time) error {
	for _, holder := range []int64{ledger.QueryNobody, ledger.QueryVacant} {
		if err := s.dropGoneOf(ctx, holder, now); err != nil {
			return err
		}
	}
	return nil
}

// selectGone are objects of one holder, after one, that stand nowhere and that no candidate gives.
var selectGone = fmt.Sprintf(`SELECT number FROM object WHERE query <= %d AND query = ? AND number > ? AND queued = 0
	AND coalesce(valid_until, 0) < ? AND NOT EXISTS (SELECT 1 FROM candidate WHERE candidate.object = number AND candidate.object <> 0)
	ORDER BY number LIMIT ?`, ledger.QueryNobody)

func (s *Store) dropGoneOf(ctx context.Context, holder int64, now time.Time) error {
	for after, more := int64(0), true; more; {
		err := s.inTransaction(ctx, func(ctx context.Context, tx *transaction) error {
			var gone []int64
			err := tx.SelectContext(ctx, &gone, selectGone, holder, after, toMillis(now.Add(-keptGone)), cleanChunk)
			if err != nil || len(gone) == 0 {
				more = false
				return err
			}
			after, more = gone[len(gone)-1], len(gone) == cleanChunk
			s.newObjects = keyedObjects{} // some of them may go
			for _, text := range []string{
				`DELETE FROM send WHERE object IN (SELECT value FROM json_each(?))`,
				`DELETE FROM object_key WHERE (key, object) IN (SELECT key, number FROM object WHERE number IN (SELECT value FROM json_each(?)))`,
				`DELETE FROM object WHERE number IN (SELECT value FROM json_each(?))`,
			} {
				if _, err := tx.ExecContext(ctx, text, jsonList(gone)); err != nil {
					return err
				}
			}
			return nil
		})
		if err != nil {
			return err
		}
	}
	return nil
}

// fewDeliveries are so few that those of them that may go are not looked for.
const fewDeliveries = 1000

// cleanDeliveries drops old deliveries once they may be as many as those that are needed. To find them all sends are read, which
// costs more than a small update.
func (s *Store) cleanDeliveries(ctx context.Context) error {
	const count = `SELECT count(*) FROM delivery`
	var now int64
	if err := s.read.GetContext(ctx, &now, count); err != nil || now < fewDeliveries+2*s.keptDeliveries {
		return err
	}
	if err := s.dropDeliveries(ctx); err != nil {
		return err
	}
	return s.read.GetContext(ctx, &s.keptDeliveries, count)
}

// dropDeliveries drops the deliveries that no object was sent by any more, as far as its sends are kept. The newest one stays, so that its
// number is not given again.
func (s *Store) dropDeliveries(ctx context.Context) error {
	unused, err := s.findUnused(ctx)
	if err != nil {
		return err
	}
	for chunk := range slices.Chunk(unused, cleanChunk) {
		err := s.inTransaction(ctx, func(ctx context.Context, tx *transaction) error {
			_, err := tx.ExecContext(ctx, `DELETE FROM delivery WHERE number IN (SELECT value FROM json_each(?))`, jsonList(chunk))
			return err
		})
		if err != nil {
			return err
		}
	}
	return nil
}

// compactFile gives free pages back while nothing waits that would want them again, and cuts the log.
func (s *Store) compactFile(ctx context.Context) error {
	var free int
	for before := -1; ; before = free {
		if err := s.write.GetContext(ctx, &free, `SELECT freelist_count * NOT EXISTS (SELECT 1 FROM outbox UNION ALL SELECT 1 FROM outbox_batch) FROM pragma_freelist_count`); err != nil {
			return fmt.Errorf("compacting: %w", err)
		}
		if free == 0 || free == before { // none left, or none that can be given back
			break
		}
		if err := s.freePages(ctx); err != nil {
			return fmt.Errorf("compacting: %w", err)
		}
	}
	if _, err := s.write.ExecContext(ctx, `PRAGMA wal_checkpoint(TRUNCATE)`); err != nil {
		return fmt.Errorf("cutting the log: %w", err)
	}
	return nil
}

// freePages gives some pages back. The pragma does one page a step.
func (s *Store) freePages(ctx context.Context) error {
	rows, err := s.write.QueryContext(ctx, fmt.Sprintf(`PRAGMA incremental_vacuum(%d)`, vacuumPages))
	if err != nil {
		return err
	}
	defer rows.Close()
	for rows.Next() {
	}
	return rows.Err()
}
