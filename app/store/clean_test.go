package store

import (
	"context"
	"fmt"
	"os"
	"path/filepath"
	"sync"
	"testing"
	"time"

	"mssentinel/app/job"
	"mssentinel/app/ledger"
)

// The last 500 jobs are kept, and older ones that still mean something: that wait for an answer, that have something in the
// outbox, whose errors are not old enough.
func TestCleanJobs(t *testing.T) {
	f := newFixture(t)
	asking, waiting, reporting, reported := f.begin(job.Full), f.begin(job.Full), f.begin(job.Full), f.begin(job.Full)
	f.apply(waiting, 0, 3)
	f.do(f.AddProblems(ctx(), reporting.Number, []job.Problem{{Step: "Convert", Code: "x", Message: "new", DateAdded: f.now.Add(-keptProblems)}}))
	f.do(f.AddProblems(ctx(), reported.Number, []job.Problem{{Step: "Convert", Code: "x", Message: "old", DateAdded: f.now.Add(-keptProblems - time.Second)}}))
	f.status(asking, job.ConfirmationRequired)
	f.status(waiting, job.Failed)
	f.status(reporting, job.Failed)
	f.status(reported, job.UploadComplete)
	for i := range 502 {
		f.status(f.begin(job.Delta), []job.Status{job.UploadComplete, job.Failed, job.Cancelled}[i%3])
	}
	f.do(f.Clean(ctx(), f.now))
	f.wantNumber(503, "jobs", `SELECT count(*) FROM job`)
	f.wantNumber(500, "newest jobs", `SELECT count(*) FROM job WHERE number > (SELECT max(number) - 500 FROM job)`)
	f.wantNumber(1, "errors", `SELECT count(*) FROM problem`)
	for _, j := range []job.Job{asking, waiting, reporting} {
		f.get(j)
	}
	// What kept them is over.
	f.upload()
	f.status(asking, job.UploadComplete)
	f.do(f.Clean(ctx(), f.now.Add(time.Second)))
	f.wantNumber(500, "jobs", `SELECT count(*) FROM job`)
	f.wantNumber(0, "errors", `SELECT count(*) FROM problem`)
}

// Deliveries stay as long as an object's sends name them, and the newest one always does.
func TestCleanDeliveries(t *testing.T) {
	f := newFixture(t)
	f.do(f.dropDeliveries(ctx()))
	f.fill(3)
	for range 11 {
		f.now = f.now.Add(time.Hour)
		f.fill(2) // the third indicator was sent once
	}
	f.wantNumber(12, "deliveries", `SELECT count(*) FROM delivery`)
	for range 2 {
		f.do(f.dropDeliveries(ctx()))
		f.wantNumber(11, "deliveries", `SELECT count(*) FROM delivery`)
		f.wantNumber(0, "the second", `SELECT count(*) FROM delivery WHERE number = 2`)
	}
	f.do(second(f.write.Exec(`DELETE FROM send WHERE object = 3`)))
	f.do(f.dropDeliveries(ctx()))
	f.wantNumber(toMillis(noon.Add(2*time.Hour)), "the oldest", `SELECT min(at) FROM delivery`)
	f.do(second(f.write.Exec(`DELETE FROM send`)))
	f.do(f.dropDeliveries(ctx()))
	f.wantNumber(12, "the only one", `SELECT sum(number) FROM delivery`)
	f.fill(1)
	f.wantNumber(13, "the next one", `SELECT delivery FROM send`)
}

// All sends are read to find those that may go, and that costs more than a small update: a few of them stay.
func TestCleanFewDeliveries(t *testing.T) {
	f := newFixture(t)
	f.fill(1)
	add := func(n int64) {
		f.do(second(f.write.Exec(`WITH RECURSIVE n(i) AS (SELECT 1 UNION ALL SELECT i + 1 FROM n WHERE i < ?)
			INSERT INTO delivery (at, job, retire, query) SELECT i, 0, 0, 0 FROM n`, n)))
	}
	add(fewDeliveries - 2)
	f.do(f.Clean(ctx(), f.now))
	f.wantNumber(fewDeliveries-1, "few deliveries", `SELECT count(*) FROM delivery`)
	add(1)
	f.do(f.Clean(ctx(), f.now))
	f.wantNumber(2, "that of the object, and the newest", `SELECT count(*) FROM delivery`)
	add(fewDeliveries + 1)
	f.do(f.Clean(ctx(), f.now))
	f.wantNumber(fewDeliveries+3, "few beside the two that stayed", `SELECT count(*) FROM delivery`)
	add(1)
	f.do(f.Clean(ctx(), f.now))
	f.wantNumber(2, "the same two kinds", `SELECT count(*) FROM delivery`)
}

// What is sent while deliveries are dropped keeps its own.
func TestCleanDeliveriesBesideSettle(t *testing.T) {
	f := newFixture(t)
	var cleaning sync.WaitGroup
	over := make(chan struct{})
	cleaning.Go(func() {
		for {
			if err := f.dropDeliveries(ctx()); err != nil {
				t.Error(err)
			}
			select {
			case <-over:
				return
			default:
			}
		}
	})
	end := sync.OnceFunc(func() {
		close(over)
		cleaning.Wait()
	})
	t.Cleanup(end) // before the database is closed
	for range 30 {
		f.fill(2)
	}
	end()
	f.do(f.dropDeliveries(ctx()))
	f.wantNumber(keptSends, "deliveries", `SELECT count(*) FROM delivery`)
	f.wantNumber(30, "the newest", `SELECT max(number) FROM delivery`)
	known, err := f.LookupIndicator(ctx(), 1, f.now)
	f.do(err)
	if len(known[0].Sends) != keptSends {
		t.Errorf("%d sends are left", len(known[0].Sends))
	}
}

// However much is too old, and however little, all of it is dropped at once.
func TestCleanDropsAllThatIsTooOld(t *testing.T) {
	for _, n := range []int{1, cleanChunk + 1} {
		f := newFixture(t)
		f.fill(n)
		var old []TaskRuns
		for i := range n {
			old = append(old, TaskRuns{Slug: fmt.Sprint(i), Day: noon.AddDate(0, 0, -40), Runs: 1})
		}
		f.do(f.AddTaskRuns(ctx(), old))
		f.do(f.inTransaction(ctx(), func(ctx context.Context, tx *transaction) error {
			_, err := tx.ExecContext(ctx, `WITH RECURSIVE n(i) AS (SELECT 1 UNION ALL SELECT i + 1 FROM n WHERE i < ?)
				INSERT INTO delivery (at, job, retire, query) SELECT i, 0, 0, 0 FROM n`, n+1)
			return err
		}))
		f.do(f.Clean(ctx(), f.now))
		f.do(f.dropDeliveries(ctx())) // Clean leaves a few
		f.wantNumber(0, "runs of tasks", `SELECT count(*) FROM daily_task`)
		f.wantNumber(int64((n+99)/100+1), "deliveries, those of the fill and the newest", `SELECT count(*) FROM delivery`)
		f.wantNumber(int64(n), "objects that were sent", `SELECT count(*) FROM send`)
		f.newKeys = 1
		f.do(f.inTransaction(ctx(), f.indexNewKeys))
		f.wantNumber(int64(n), "indexed keys", `SELECT count(*) FROM object_key`)

		// Nobody gives them, half of them are vacant, and they stand nowhere for long.
		f.do(f.inTransaction(ctx(), func(ctx context.Context, tx *transaction) error {
			_, err := tx.ExecContext(ctx, `DELETE FROM candidate`)
			if err == nil {
				_, err = tx.ExecContext(ctx, `UPDATE object SET query = CASE WHEN number % 2 THEN ? ELSE ? END, indicator = 0, state = ?`,
					ledger.QueryNobody, ledger.QueryVacant, ledger.Retired)
			}
			return err
		}))
		f.do(f.Clean(ctx(), f.now.Add(100*day24)))
		f.wantNumber(0, "objects", `SELECT count(*) FROM object`)
		f.wantNumber(0, "sends", `SELECT count(*) FROM send`)
		f.wantNumber(0, "keys", `SELECT count(*) FROM object_key`)
	}
}

func TestCleanDays(t *testing.T) {
	f := newFixture(t)
	for _, days := range []int{401, 400, 0} {
		f.now = noon.AddDate(0, 0, -days)
		f.fill(1)
		f.do(f.AddWait(ctx(), f.now, time.Second))
		f.do(second(f.BeginSlot(ctx(), f.now)))
	}
	for _, days := range []int{32, 31, 0} {
		f.do(f.AddTaskRuns(ctx(), []TaskRuns{{Slug: "cleaner", Day: noon.AddDate(0, 0, -days), Runs: 1}}))
	}
	f.do(f.Clean(ctx(), f.now))
	f.wantNumber(2, "days", `SELECT count(*) FROM daily`)
	f.wantNumber(2, "days of waiting", `SELECT count(*) FROM daily_wait`)
	f.wantNumber(2, "days of updates", `SELECT count(*) FROM daily_update`)
	f.wantNumber(2, "days of tasks", `SELECT count(*) FROM daily_task`)
	f.wantNumber(1, "requests", `SELECT count(*) FROM slot`)
}

// A query that is deleted while a job reads it stays until what it gave was taken out of the ledger again.
func TestCleanKeepsAQueryThatIsBeingRead(t *testing.T) {
	f := newFixture(t)
	j := f.begin(job.Full)
	other := f.save(Query{Owners: []string{"o"}, Types: []string{"Host"}, TQL: "two"})[0].Number
	f.do(f.Clean(ctx(), f.now))
	f.apply(j, 0, 3)
	f.status(j, job.Failed)
	f.do(f.Clean(ctx(), f.now))
	f.wantNumber(2, "queries", `SELECT count(*) FROM query`)
	j = f.begin(job.Full)
	f.do(f.SweepDeparted(ctx(), j.Number, []int64{other}))
	f.status(j, job.UploadComplete)
	f.wantNumber(0, "candidates", `SELECT count(*) FROM candidate`)
}

// What stands nowhere is forgotten a month after its time, and the file gives the room back.
func TestCleanObjects(t *testing.T) {
	f := newFixture(t)
	f.fill(5000)
	f.leave(4600, 5000)
	f.do(f.AnswerRetirement(ctx(), f.newest().RequestID, true, f.now))
	f.upload()
	retired := f.now
	f.do(f.Clean(ctx(), retired.Add(keptGone)))
	f.wantNumber(5000, "objects", `SELECT count(*) FROM object`)
	before := f.size()
	f.do(f.Clean(ctx(), retired.Add(keptGone+time.Second)))
	f.wantNumber(400, "objects", `SELECT count(*) FROM object`)
	f.wantNumber(400, "sends", `SELECT count(*) FROM send`)
	if after := f.size(); after > before/2 {
		t.Errorf("the file shrank from %d to %d bytes", before, after)
	}
}

func (f *fixture) newest() job.Job {
	f.Helper()
	jobs, _, err := f.Jobs(ctx(), JobFilter{Limit: 1})
	f.do(err)
	return jobs[0]
}

// size is that of the database and its log, in bytes.
func (f *fixture) size() (n int64) {
	f.Helper()
	for _, name := range []string{FileName, FileName + "-wal"} {
		info, err := os.Stat(filepath.Join(f.dir, name))
		f.do(err)
		n += info.Size()
	}
	return n
}
