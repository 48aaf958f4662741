package store

import (
	"context"
	"sync"
	"testing"
	"testing/synctest"
	"time"

	"github.com/google/go-cmp/cmp"
	"github.com/mattn/go-sqlite3"

	"mssentinel/app/job"
	"mssentinel/app/ledger"
)

// What Sentinel answered is in the ledger, in the counts of job and day, on REPORT, and ends the slot of its request: once, however often
// it is settled.
func TestSettle(t *testing.T) {
	f := newFixture(t)
	j := f.begin(job.Full)
	f.apply(j, 0, 6)
	out, err := f.Outgoing(ctx(), 0, 5)
	f.do(err)
	slot, err := f.BeginSlot(ctx(), f.now)
	f.do(err)
	answer := Settlement{Slot: slot, At: f.now.Add(time.Second), Accepted: []*Outgoing{out[0], out[1], out[1]}, Rejected: []RejectedObject{
		{Outgoing: out[2], Code: "Bad", Message: "no"}, {Outgoing: out[3], Code: "Bad", Message: "no, though it may stand", MayStand: true}}}
	for range 2 {
		f.do(f.Settle(ctx(), answer))
		if got := f.get(j).Counts; got.Uploaded != 2 || got.Rejected != 2 || got.Retired != 0 {
			t.Errorf("counted %+v", got)
		}
		f.wantNumber(2, "sends", `SELECT count(*) FROM send`)
		f.wantWaiting(2, "rows that wait")
		if n, err := f.OutboxSize(ctx()); err != nil || n != 2 {
			t.Errorf("%d rows wait (%v)", n, err)
		}
	}
	again, err := f.Outgoing(ctx(), out[3].Seq, 1) // given away a second time: nobody knows what became of the first
	f.do(err)
	f.do(f.Settle(ctx(), Settlement{At: f.now, Rejected: []RejectedObject{{Outgoing: again[0], Code: "Bad", Message: "no, though it may stand"}}}))
	f.wantNumber(answer.At.UnixMilli(), "end of the request", `SELECT ended FROM slot WHERE id = ?`, slot)
	for i, want := range []ledger.State{ledger.Live, ledger.Live, ledger.Nothing, ledger.Live, ledger.Live, ledger.Nothing} {
		f.wantNumber(int64(want), out[min(i, 4)].row.Name, `SELECT state FROM object WHERE number = ?`, out[0].Object+int64(i))
	}
	f.wantNumber(1, "objects that nobody answered about", `SELECT count(*) FROM object WHERE queued <> 0`)
	f.wantNumber(5, "objects that were answered about", `SELECT count(*) FROM object WHERE settled <> 0`)
	if lines, _, err := f.Problems(ctx(), ProblemFilter{RequestID: j.RequestID, Step: job.StepUpload}); err != nil || len(lines) != 3 ||
		lines[2].Value != "2.example v0" || lines[2].Raw != string(out[2].Payload) || lines[2].Message != "no" {
		t.Errorf("REPORT has %+v %v", lines, err)
	}
	f.reopen()
	f.upload()
	f.complete(j)
	if details, err := f.JobDetails(ctx(), j.RequestID, ""); err != nil || len(details) != 1 || details[0].Type != "Host" || details[0].Uploaded != 3 || details[0].Rejected != 3 {
		t.Errorf("the details are %+v %v", details, err)
	}

	// Of what nobody gives any more, one retirement is accepted, and one is rejected, which is told and tried again.
	j, held := f.leave(2, 6)
	if held != (Retirement{Queued: 2}) {
		t.Fatalf("%+v", held)
	}
	out, err = f.Outgoing(ctx(), out[4].Seq+1, 10)
	f.do(err)
	if len(out) != 2 || !out[0].Retire || !out[1].Retire {
		t.Fatalf("%d rows wait", len(out))
	}
	f.do(f.Settle(ctx(), Settlement{At: f.now, Accepted: out[:1], Rejected: []RejectedObject{{Outgoing: out[1], Code: "Bad", Message: "no"}}}))
	if lines, _, err := f.Problems(ctx(), ProblemFilter{RequestID: j.RequestID, Step: job.StepUpload}); err != nil || len(lines) != 1 || lines[0].Indicator != 0 {
		t.Errorf("REPORT has %+v %v", lines, err)
	}
	if got := f.get(j).Counts; got.Retired != 1 || got.Rejected != 1 {
		t.Errorf("counted %+v", got)
	}
	f.wantNumber(int64(ledger.Retired), "state of what was retired", `SELECT state FROM object WHERE number = ?`, out[0].Object)
	f.wantNumber(int64(ledger.Disputed), "why it is to depart again", `SELECT indicator FROM object WHERE query = ? AND number = ?`, ledger.QueryVacant, out[1].Object)
	day, err := f.Activity(ctx(), noon, f.now)
	f.do(err)
	if diff := cmp.Diff([]TypeDay{{noon.Truncate(day24), "Host", 3, 4, 1}}, day.Types); diff != "" {
		t.Errorf("the day (-want +got):\n%s", diff)
	}
}

// Answers that come in while something else is written are written in one transaction. One that cannot be written keeps no other from it.
func TestSettleTogether(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		f := newFixture(t)
		commits, full := 0, false
		f.do(f.Close())
		s, err := OpenWith(ctx(), f.dir, Options{Commit: func(commit func() error) error {
			if commits++; full && commits > 1 { // the first is of what was in hand
				return sqlite3.Error{Code: sqlite3.ErrFull}
			}
			return commit()
		}})
		f.do(err)
		f.Store = s
		j := f.begin(job.Full)
		f.apply(j, 0, 7)
		out, err := f.Outgoing(ctx(), 0, 7)
		f.do(err)
		slot, err := f.BeginSlot(ctx(), f.now)
		f.do(err)
		damaged := *out[2]
		damaged.Payload = []byte("{")

		settle := func(answers ...Settlement) (failures []error) {
			busy := make(chan struct{})
			var all sync.WaitGroup
			all.Go(func() {
				f.do(f.inTransaction(ctx(), func(context.Context, *transaction) error {
					<-busy
					return nil
				}))
			})
			synctest.Wait()
			failures = make([]error, len(answers))
			for i, a := range answers {
				all.Go(func() { failures[i] = f.Settle(ctx(), a) })
			}
			synctest.Wait()
			commits = 0
			close(busy)
			all.Wait()
			return failures
		}
		accept := func(o *Outgoing) Settlement { return Settlement{At: f.now, Accepted: []*Outgoing{o}} }
		reject := func(o *Outgoing) Settlement {
			return Settlement{At: f.now.Add(day24), Slot: slot, Rejected: []RejectedObject{{Outgoing: o, Code: "Bad", Message: "no"}}}
		}

		for i, err := range settle(accept(out[0]), accept(out[1]), reject(&damaged), accept(out[3])) {
			if (err != nil) != (i == 2) {
				t.Errorf("answer %d: %v", i, err)
			}
		}
		f.wantWaiting(4, "rows that wait beside the one that cannot be written")
		full = true
		for i, err := range settle(accept(out[4]), accept(out[5])) {
			if !Unavailable(err) {
				t.Errorf("answer %d with a full disk: %v", i, err)
			}
		}
		if full = false; commits != 2 {
			t.Errorf("%d transactions for what was in hand and two answers that a full disk does not take", commits)
		}
		for i, err := range settle(reject(&damaged), accept(out[4])) {
			if (err != nil) != (i == 0) {
				t.Errorf("answer %d of two: %v", i, err)
			}
		}
		for i, err := range settle(reject(out[2]), accept(out[5]), accept(out[5])) {
			if err != nil {
				t.Errorf("answer %d: %v", i, err)
			}
		}
		if commits != 2 {
			t.Errorf("%d transactions for what was in hand and three answers", commits)
		}
		f.wantWaiting(1, "rows that wait")
		if got := f.get(j).Counts; got.Uploaded != 5 || got.Rejected != 1 {
			t.Errorf("counted %+v", got)
		}
		f.wantNumber(reject(out[2]).At.UnixMilli(), "end of the request", `SELECT ended FROM slot WHERE id = ?`, slot)
		activity, err := f.Activity(ctx(), noon, noon.Add(day24))
		f.do(err)
		days := []TypeDay{{noon.Truncate(day24), "Host", 5, 0, 0}, {noon.Truncate(day24).Add(day24), "Host", 0, 1, 0}}
		if diff := cmp.Diff(days, activity.Types); diff != "" {
			t.Errorf("the days (-want +got):\n%s", diff)
		}
	})
}

// Who waits for a database that is closed is told so.
func TestSettleWhenClosed(t *testing.T) {
	f := newFixture(t)
	f.do(f.Close())
	if err := f.Settle(ctx(), Settlement{At: f.now}); err == nil {
		t.Error("settled in a closed database")
	}
}
