package pipeline

import (
	"bytes"
	"context"
	"errors"
	"strings"
	"testing"
	"time"

	"mssentinel/app/job"
	"mssentinel/app/ledger"
	"mssentinel/app/standin/sentinelserver"
	"mssentinel/app/standin/tcserver"
	"mssentinel/app/store"
)

// retry retries lines of REPORT, and waits for the update that does it.
func (w *world) retry(f store.ProblemFilter, lines int64) job.Job {
	w.t.Helper()
	ctx, cancel := context.WithCancel(w.t.Context())
	cancel() // whoever asked has gone by now
	j, n, err := w.p.RetryProblems(ctx, f)
	w.must(err)
	if n != lines {
		w.t.Errorf("%d lines are retried, want %d", n, lines)
	}
	return w.await(j.RequestID)
}

func (w *world) wantLines(lines int64) {
	w.t.Helper()
	if _, total, err := w.store.Problems(w.t.Context(), store.ProblemFilter{}); err != nil || total != lines {
		w.t.Errorf("%d lines on REPORT, want %d (%v)", total, lines, err)
	}
}

// What Sentinel or a mapper did not take is sent or mapped again without a whole update, as often as it is retried. What fails again is
// on REPORT once.
func TestRetryOfRecords(t *testing.T) {
	in(t, func(t *testing.T) {
		w := newWorld(t)
		w.fill(50)
		w.mappers.fails = func(raw []byte) bool { return bytes.Contains(raw, []byte("h7.example")) }
		w.must(w.far.Inject(sentinelserver.Fault{Kind: sentinelserver.RefuseRecord, Match: "'h42.example'", Count: -1}))
		w.must(w.far.Inject(sentinelserver.Fault{Kind: sentinelserver.RefuseBatch, Match: "'h43.example'", Count: -1}))
		time.Sleep(time.Hour)
		w.done(w.save(job.Full, query("", "Alpha")))
		w.wantLines(3)
		time.Sleep(time.Hour)
		if _, lines, err := w.p.RetryProblems(t.Context(), store.ProblemFilter{Step: job.StepDownload}); !errors.Is(err, ErrNothingToRetry) || lines != 0 {
			t.Errorf("nothing to retry: %d, %v", lines, err)
		}
		w.counts(w.done(w.retry(store.ProblemFilter{}, 3)), job.Counts{Downloaded: 3, Invalid: 1, Queued: 2, Rejected: 2})
		w.wantLines(3)

		w.mappers.fails = nil
		w.counts(w.done(w.retry(store.ProblemFilter{Step: job.StepConvert}, 1)), job.Counts{Downloaded: 1, Queued: 1, Uploaded: 1})
		w.wantWinner("h7.example", "Alpha")
		w.wantLines(2)
		w.far.ClearFaults()
		w.counts(w.done(w.retry(store.ProblemFilter{Code: job.CodeRejected}, 1)), job.Counts{Downloaded: 1, Queued: 1, Uploaded: 1})
		w.counts(w.done(w.retry(store.ProblemFilter{}, 1)), job.Counts{Downloaded: 1, Queued: 1, Uploaded: 1})
		w.wantLines(0)
		w.sentOnce()
		w.check(true)
	})
}

// oneRecheck is a store that gives one by one what was retried, and that may not let go of it.
type oneRecheck struct {
	taskStores
	fault func() error
}

func (o oneRecheck) Rechecks(ctx context.Context, after ledger.Origin, _ int) ([]ledger.Origin, error) {
	return o.taskStores.Rechecks(ctx, after, 1)
}

func (o oneRecheck) DropRechecks(ctx context.Context, origins []ledger.Origin) error {
	if err := o.fault(); err != nil {
		return err
	}
	return o.taskStores.DropRechecks(ctx, origins)
}

// All that was retried is asked for, in however many parts, and once more where that it was cannot be kept.
func TestRetryInParts(t *testing.T) {
	in(t, func(t *testing.T) {
		var fault error
		w := newWorld(t, func(w *world) {
			w.wrap = func(s *store.Store) taskStores { return oneRecheck{s, func() error { return fault }} }
		})
		w.fill(3)
		w.mappers.fails = func([]byte) bool { return true }
		time.Sleep(time.Hour)
		w.done(w.save(job.Full, query("", "Alpha")))
		w.mappers.fails = nil
		time.Sleep(time.Hour)
		fault = errors.New("constraint failed")
		if j := w.retry(store.ProblemFilter{}, 3); j.Status != job.Failed || !strings.Contains(j.Message, "onstraint failed") {
			t.Errorf("%s: %s", j.Status, j.Message)
		}
		fault = nil
		if j := w.done(w.runJob(job.Delta)); j.Downloaded != 3 {
			t.Errorf("%+v", j.Counts)
		}
		w.counts(w.done(w.runJob(job.Delta)), job.Counts{})
		w.check(true)
	})
}

// A retry outlives a restart, and waits for a query that cannot be read; what is gone by then is asked for in vain.
func TestRetryWaitsForItsQuery(t *testing.T) {
	in(t, func(t *testing.T) {
		w := newWorld(t)
		w.fill(5)
		w.mappers.fails = func(raw []byte) bool {
			return bytes.Contains(raw, []byte("h1.example")) || bytes.Contains(raw, []byte("h2.example"))
		}
		time.Sleep(time.Hour)
		w.done(w.save(job.Full, query("confidence > 1", "Alpha")))
		w.mappers.fails = nil
		time.Sleep(time.Hour)
		w.must(w.tc.Inject(tcserver.Fault{Kind: tcserver.TQLRefuse, Match: "confidence > 1", Count: -1}))
		if j := w.retry(store.ProblemFilter{Step: job.StepConvert}, 2); j.Uploaded != 0 {
			t.Errorf("%+v", j.Counts)
		}
		w.restart()
		w.tc.ClearFaults()
		for _, row := range w.tc.Rows() {
			if bytes.Contains(row.JSON(), []byte("h2.example")) {
				w.must(w.tc.Delete(row.ID))
			}
		}
		w.done(w.runJob(job.Delta))
		w.wantWinner("h1.example", "Alpha")
		w.check(true)
		w.counts(w.done(w.runJob(job.Delta)), job.Counts{})
	})
}

// A retirement that Sentinel rejected is tried again by the update that the retry starts.
func TestRetryOfARetirement(t *testing.T) {
	in(t, func(t *testing.T) {
		w := newWorld(t)
		gone := w.put("Alpha", "gone.example")
		w.put("Alpha", "a.example")
		time.Sleep(time.Hour)
		w.done(w.save(job.Full, query("", "Alpha")))
		time.Sleep(time.Hour)
		w.must(w.tc.Delete(gone))
		w.must(w.far.Inject(sentinelserver.Fault{Kind: sentinelserver.RefuseRecord, Match: "gone.example", Count: -1}))
		w.counts(w.done(w.runJob(job.Delta)), job.Counts{Queued: 1, Rejected: 1})
		w.counts(w.done(w.retry(store.ProblemFilter{}, 1)), job.Counts{Queued: 1, Rejected: 1})
		w.wantLines(1)
		w.far.ClearFaults()
		w.counts(w.done(w.retry(store.ProblemFilter{}, 1)), job.Counts{Queued: 1, Retired: 1})
		w.wantLines(0)
		w.check(true)
	})
}
