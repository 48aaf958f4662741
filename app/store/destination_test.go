package store

import (
	"fmt"
	"testing"
	"time"

	"mssentinel/app/job"
)

// A Service that comes back to a workspace retires what it left behind there and nothing selects any more.
func TestBackToAWorkspace(t *testing.T) {
	f := newFixture(t)
	f.fill(3)
	for _, c := range []struct {
		workspace string
		want      DestinationChange
	}{{"workspace", None}, {"another", WorkspaceChanged}, {"workspace", WorkspaceChanged}} {
		if got, err := f.SetDestination(ctx(), c.workspace, "source"); err != nil || got != c.want {
			t.Errorf("to %s: %v (%v), want %v", c.workspace, got, err, c.want)
		}
	}
	f.now = f.now.Add(time.Hour)
	j := f.begin(job.Full)
	if got := f.apply(j, 1, 3); got.Queued != 2 {
		t.Errorf("counted %+v", got)
	}
	if got := f.retire(j); got != (Retirement{Queued: 1}) {
		t.Errorf("retired %+v", got)
	}
}

// Before there is a destination, nothing stands.
func TestCountLiveOfNoDestination(t *testing.T) {
	s, err := Open(ctx(), t.TempDir())
	if err != nil {
		t.Fatal(err)
	}
	defer s.Close()
	if n, err := s.CountLive(ctx(), noon); err != nil || n != 0 {
		t.Errorf("%d, %v", n, err)
	}
}

// What stands is counted for the present destination alone, and no longer than it is valid.
func TestCountLive(t *testing.T) {
	f := newFixture(t)
	count := func(now time.Time) int64 {
		t.Helper()
		n, err := f.CountLive(ctx(), now)
		f.do(err)
		return n
	}
	before := count(f.now)
	f.fill(3)
	after := count(f.now)
	late := count(f.now.Add(100 * 365 * 24 * time.Hour))
	f.do(second(f.SetDestination(ctx(), "another", "source")))
	if elsewhere := count(f.now); before != 0 || after != 3 || late != 0 || elsewhere != 0 {
		t.Errorf("%d before, %d after, %d when they have expired, %d elsewhere", before, after, late, elsewhere)
	}
}

// A source name that is put back before the change was through is a change as well: part of the ledger is gone.
func TestDestinationPutBackHalfway(t *testing.T) {
	f := newFixture(t)
	f.fill(3)
	f.do(f.SetMarks(ctx(), f.started(time.Now().Add(time.Hour)).Number, []int64{f.query}, f.now))
	f.do(second(f.AddJob(ctx(), job.Request{Type: job.Scheduled, Mode: job.Full}, f.now))) // takes up what was asked for until now
	old, err := currentDestination(ctx(), f.read)
	f.do(err)
	f.do(f.Store.leaveDestination(ctx(), old, SourceChanged))
	f.reopen()
	f.do(second(f.SetDestination(ctx(), "workspace", "source")))
	if q := f.mark("one"); !q.Mark.IsZero() {
		t.Errorf("the query is still read from %v", q.Mark)
	}
	if sch, err := f.Schedule(ctx()); err != nil || sch.NextMode != job.Full || sch.Completed {
		t.Errorf("%+v, %v", sch, err)
	}
}

// What the change did not get to before it was put back is still known to have been read, and so is seen to leave.
func TestWhatLeavesAfterADestinationWasPutBackHalfway(t *testing.T) {
	f := newFixture(t)
	f.fill(leaveChunk + 500)
	f.do(second(f.write.Exec(fmt.Sprintf(`CREATE TRIGGER cut BEFORE UPDATE ON object WHEN old.number > %d BEGIN SELECT raise(ABORT, 'cut short'); END`, leaveChunk))))
	if _, err := f.SetDestination(ctx(), "workspace", "other"); err == nil {
		t.Fatal("the change was not cut short")
	}
	f.do(second(f.write.Exec(`DROP TRIGGER cut`)))
	f.reopen()
	f.do(second(f.SetDestination(ctx(), "workspace", "source")))
	j := f.begin(job.Full)
	f.apply(j, 0, leaveChunk+400)
	f.do(f.SweepDeparted(ctx(), j.Number, []int64{f.query}))
	if got := f.retire(j); got != (Retirement{Queued: 100}) {
		t.Errorf("retired %+v", got)
	}
}

// A source name that comes back before anything was sent under the other: what returns is not retired, what does not is,
// once, and nothing goes out under the name that was never used.
func TestSourceNameComesBack(t *testing.T) {
	f := newFixture(t)
	f.fill(3)
	f.do(second(f.SetDestination(ctx(), "workspace", "other")))
	f.apply(f.begin(job.Full), 0, 3)
	f.do(second(f.SetDestination(ctx(), "workspace", "source")))
	j := f.begin(job.Full)
	f.apply(j, 0, 2)
	if got := f.retire(j); got != (Retirement{}) {
		t.Errorf("retired %+v", got)
	}
	live, retired := 0, 0
	for _, o := range f.upload() {
		if o.Source != "source" {
			t.Errorf("something is sent under %q", o.Source)
		}
		if o.Retire {
			retired++
		} else {
			live++
		}
	}
	if live != 2 || retired != 1 {
		t.Errorf("%d live, %d retired", live, retired)
	}
}
