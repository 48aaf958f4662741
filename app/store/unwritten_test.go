package store

import (
	"errors"
	"fmt"
	"slices"
	"strings"
	"testing"

	"github.com/google/go-cmp/cmp"
	"github.com/google/go-cmp/cmp/cmpopts"
	"github.com/mattn/go-sqlite3"

	"mssentinel/app/job"
	"mssentinel/app/ledger"
)

// outgoing gives the rows behind one as Upload gets them, and fails where they are others once all are in the table.
func (f *fixture) outgoing(after int64, limit int) []*Outgoing {
	f.Helper()
	rows, err := f.Outgoing(ctx(), after, limit)
	f.do(err)
	f.writeOut()
	stored, err := f.Outgoing(ctx(), after, limit)
	f.do(err)
	sameButRepeated := cmp.FilterPath(func(p cmp.Path) bool { return p.Last().String() == ".repeated" }, cmp.Ignore())
	if diff := cmp.Diff(stored, rows, cmp.AllowUnexported(Outgoing{}, outboxRow{}, sentName{}), sameButRepeated, cmpopts.EquateEmpty()); diff != "" {
		f.Fatalf("the rows behind %d (-stored +given):\n%s", after, diff)
	}
	return rows
}

// What Upload gets of rows that are in memory is what it would get of the table, to the byte, whatever their names, and from
// wherever it reads on.
func TestRowsInMemoryAreThoseOfTheTable(t *testing.T) {
	for after := range int64(9) {
		f := newFixture(t)
		j := f.begin(job.Full)
		named := f.found(7, 0)
		named.Objects[0].Name = "7.example | o"
		f.do(second(f.Apply(ctx(), ledger.Batch{Job: j.Number, Mode: j.Mode, Query: f.query, Now: f.now,
			Found: []ledger.Found{f.found(0, 0), f.found(2, 0), f.found(1, 0), f.found(0, 1), f.found(1, 1), named}}))) // the first row is dropped, and the third
		f.apply(j, 3, 5)
		f.wantNumber(0, "rows in the table", `SELECT count(*) FROM outbox`)
		want := []int64{2, 4, 5, 6, 7, 8}
		want = want[slices.IndexFunc(append(want, 9), func(seq int64) bool { return seq > after }):]
		for _, limit := range []int{2, 100} {
			var got []int64
			for _, o := range f.outgoing(after, limit) {
				got = append(got, o.Seq)
			}
			if diff := cmp.Diff(append([]int64(nil), want[:min(limit, len(want))]...), got); diff != "" {
				t.Errorf("behind %d (-want +got):\n%s", after, diff)
			}
		}
	}
}

// Upload reads on from the table into memory without a gap.
func TestRowsInTheTableAndInMemory(t *testing.T) {
	f := newFixture(t)
	j := f.begin(job.Full)
	f.apply(j, 0, 3)
	f.writeOut()
	f.apply(j, 3, 6)
	rows, err := f.Outgoing(ctx(), 1, 4)
	f.do(err)
	var got []int64
	for _, o := range rows {
		got = append(got, o.Seq)
	}
	if diff := cmp.Diff([]int64{2, 3, 4, 5}, got); diff != "" {
		t.Errorf("rows (-want +got):\n%s", diff)
	}
	f.do(f.Settle(ctx(), Settlement{At: f.now, Accepted: rows[1:3]}))
	f.wantWaiting(4, "rows that wait")
	f.wantNumber(2, "of them in the table", `SELECT count(*) FROM outbox`)
	if counts := f.get(j).Counts; counts.Queued != 6 || counts.Uploaded != 2 {
		t.Errorf("%+v", counts)
	}
}

// What settles the last row of a batch in memory ends what is kept of it.
func TestBatchesInMemoryEnd(t *testing.T) {
	f := newFixture(t)
	j := f.begin(job.Full)
	f.apply(j, 0, 2)
	f.apply(j, 2, 4)
	rows, err := f.Outgoing(ctx(), 0, 10)
	f.do(err)
	for n, want := range []int64{2, 2, 1, 0} {
		f.do(f.Settle(ctx(), Settlement{At: f.now, Accepted: []*Outgoing{rows[[]int{2, 0, 1, 3}[n]]}}))
		f.wantNumber(want, fmt.Sprintf("batches after %d rows", n+1), `SELECT count(*) FROM outbox_batch`)
	}
	f.wantNumber(0, "rows that were ever in the table", `SELECT count(*) FROM sqlite_sequence WHERE name = 'outbox'`)
	f.kill()
	f.apply(j, 4, 5)
	if rows, err = f.Outgoing(ctx(), 0, 10); err != nil || len(rows) != 1 || rows[0].Seq != 5 {
		t.Errorf("%v, %v: a number was given twice", rows, err)
	}
}

// However rows come and go, Upload gets each of them that waits, in order, from wherever it reads on.
func TestRowsInMemoryThatChange(t *testing.T) {
	for name, change := range map[string]func(f *fixture, j job.Job){
		"a newer row of the same object": func(f *fixture, j job.Job) {
			f.do(second(f.Apply(ctx(), ledger.Batch{Job: j.Number, Mode: j.Mode, Query: f.query, Now: f.now, Found: []ledger.Found{f.found(1, 7)}})))
			f.wantWaiting(5, "rows that wait")
		},
		"a job that is cancelled": func(f *fixture, j job.Job) {
			f.do(f.CancelJob(ctx(), j.RequestID, f.now))
			f.wantWaiting(0, "rows that wait")
		},
		"rows that were settled": func(f *fixture, _ job.Job) {
			rows, err := f.Outgoing(ctx(), 0, 5)
			f.do(err)
			f.do(f.Settle(ctx(), Settlement{At: f.now, Accepted: rows[2:4]}))
			f.wantWaiting(3, "rows that wait")
		},
		"a batch that fails": func(f *fixture, j job.Job) {
			f.do(second(f.write.Exec(`CREATE TRIGGER fault BEFORE INSERT ON outbox_batch BEGIN SELECT RAISE(ABORT, 'fault'); END`)))
			batch := ledger.Batch{Job: j.Number, Mode: j.Mode, Query: f.query, Now: f.now, Found: []ledger.Found{f.found(8, 0), f.found(9, 0)}}
			if _, err := f.Apply(ctx(), batch); err == nil {
				f.Fatal("there was no fault")
			}
			f.do(second(f.write.Exec(`DROP TRIGGER fault`)))
			f.wantWaiting(5, "rows that wait")
		},
		"an Upload that lets go": func(f *fixture, _ job.Job) {
			f.do(second(f.Outgoing(ctx(), 0, 3)))
			f.do(f.TakeBack(ctx(), 1))
			f.wantNumber(5, "rows in the table", `SELECT count(*) FROM outbox`)
		},
		"the end of the process": func(f *fixture, _ job.Job) {
			f.reopen()
			f.wantNumber(5, "rows in the table", `SELECT count(*) FROM outbox`)
		},
		"memory that is given back": func(f *fixture, _ job.Job) {
			f.do(f.ReleaseMemory(ctx()))
			f.wantNumber(5, "rows in the table", `SELECT count(*) FROM outbox`)
		},
		"a process that was killed": func(f *fixture, _ job.Job) {
			f.kill()
			f.wantWaiting(0, "rows that wait")
		},
	} {
		t.Run(name, func(t *testing.T) {
			for after := range int64(7) {
				f := newFixture(t)
				j := f.begin(job.Full)
				f.apply(j, 0, 3)
				f.apply(j, 3, 5)
				change(f, j)
				f.outgoing(after, 3)
				if f.get(j).Status.Open() {
					f.apply(j, 5, 6)
				}
				f.outgoing(after, 10)
			}
		})
	}
}

// An update that is killed costs a reading: what was in memory alone is sent when it is read again, once, and what was settled is not.
func TestRowsInMemoryThatAreLost(t *testing.T) {
	f := newFixture(t)
	j := f.begin(job.Full)
	f.apply(j, 0, 6)
	rows, err := f.Outgoing(ctx(), 0, 4) // of which the last may be at Sentinel
	f.do(err)
	f.do(f.Settle(ctx(), Settlement{At: f.now, Accepted: rows[:2], Rejected: []RejectedObject{{Outgoing: rows[2], Code: "Bad", Message: "no"}}}))
	f.kill()
	f.wantWaiting(0, "rows that wait")
	f.wantNumber(0, "blocks of what they send", `SELECT count(*) FROM payload_block`)
	f.wantNumber(3, "vacant objects that are to be sent", `SELECT count(*) FROM object WHERE query = ? AND hash IS NULL AND queued = 0 AND number > 3`, ledger.QueryVacant)
	f.wantNumber(3, "objects that stand or may stand", `SELECT count(*) FROM object WHERE state = ? AND number IN (1, 2, 4)`, ledger.Live)
	f.wantNumber(1, "what may stand as it was sent", `SELECT count(*) FROM object WHERE number = 4 AND `+objectName+` = '3.example v0' AND created = ? AND valid_until = ?`,
		toMillis(noon), toMillis(f.now.Add(30*day24)))
	if counts := f.get(j).Counts; counts.Queued != 3 || counts.Uploaded != 2 || counts.Rejected != 1 {
		t.Errorf("after the end: %+v", counts)
	}
	j = f.beginAgain(j)
	f.apply(j, 0, 6)
	var sent []string
	for _, o := range f.upload() {
		_, name, _ := payload(t, o.Payload)
		sent = append(sent, name)
	}
	if diff := cmp.Diff([]string{"3.example v0", "4.example v0", "5.example v0"}, sent); diff != "" {
		t.Errorf("sent (-want +got):\n%s", diff)
	}
	if counts := f.get(j).Counts; counts.Downloaded != 6 || counts.Queued != 6 || counts.Uploaded != 5 || counts.Rejected != 1 {
		t.Errorf("in the end: %+v", counts)
	}
}

// A transaction whose end nobody knows, since the disk failed with it, may have come to pass or not. Neither loses a row nor sends one twice.
func TestUncertainTransactions(t *testing.T) {
	for _, committed := range []bool{false, true} {
		t.Run(fmt.Sprint("committed ", committed), func(t *testing.T) {
			f := newFixture(t)
			var fault error
			f.commit = func(commit func() error) error {
				if fault == nil {
					return commit()
				}
				if committed {
					f.do(commit())
				}
				return fault
			}
			try := func(do func() error) {
				t.Helper()
				fault = sqlite3.Error{Code: sqlite3.ErrIoErr}
				if err := do(); !Unavailable(err) {
					t.Fatalf("with a failing disk: %v", err)
				}
				fault = nil
				f.do(do())
			}
			j := f.begin(job.Full)
			f.apply(j, 0, 2)
			rows, err := f.Outgoing(ctx(), 0, 10)
			f.do(err)
			batch := ledger.Batch{Job: j.Number, Mode: j.Mode, Query: f.query, Now: f.now, Found: []ledger.Found{f.found(2, 0), f.found(3, 0)}}
			try(func() error { return second(f.Apply(ctx(), batch)) })
			try(func() error { return f.Settle(ctx(), Settlement{At: f.now, Accepted: rows[:1]}) })
			f.apply(j, 4, 5)
			try(func() error { return f.TakeBack(ctx(), rows[1].Seq) })
			f.do(f.Settle(ctx(), Settlement{At: f.now, Accepted: rows[1:]}))
			var sent []string
			for _, o := range f.upload() {
				_, name, _ := payload(t, o.Payload)
				sent = append(sent, name)
			}
			slices.Sort(sent)
			if diff := cmp.Diff([]string{"2.example v0", "3.example v0", "4.example v0"}, sent); diff != "" {
				t.Errorf("sent (-want +got):\n%s", diff)
			}
			if counts := f.get(j).Counts; counts.Queued != 5 || counts.Uploaded != 5 {
				t.Errorf("%+v", counts)
			}
		})
	}
}

// Rows that the table does not take stay in memory, and whoever wanted them there is told.
func TestRowsInMemoryThatCannotBeWritten(t *testing.T) {
	f := newFixture(t)
	f.apply(f.begin(job.Full), 0, 3)
	f.do(second(f.write.Exec(`CREATE TRIGGER fault BEFORE INSERT ON outbox BEGIN SELECT RAISE(ABORT, 'fault'); END`)))
	if err := f.ReleaseMemory(ctx()); err == nil || !strings.Contains(err.Error(), "fault") {
		t.Errorf("written: %v", err)
	}
	f.wantWaiting(3, "rows that wait")
	f.do(second(f.write.Exec(`DROP TRIGGER fault`)))
	if rows := f.outgoing(0, 10); len(rows) != 3 {
		t.Errorf("%d rows", len(rows))
	}
}

// A disk that takes nothing at the end costs what the end of the process costs.
func TestClosedOnAFailingDisk(t *testing.T) {
	f := newFixture(t)
	j := f.begin(job.Full)
	f.apply(j, 0, 3)
	f.commit = func(func() error) error { return sqlite3.Error{Code: sqlite3.ErrFull} }
	f.do(f.Close())
	f.open()
	f.wantWaiting(0, "rows that wait")
	f.apply(f.beginAgain(j), 0, 3)
	f.wantWaiting(3, "rows that wait once they are read again")
}

// Retirements stand in their place behind what was queued before them.
func TestRetirementsBehindRowsInMemory(t *testing.T) {
	f := newFixture(t)
	f.fill(6)
	f.leave(0, 3)
	j := f.begin(job.Full)
	f.do(second(f.Apply(ctx(), ledger.Batch{Job: j.Number, Mode: j.Mode, Query: f.query, Now: f.now, Found: []ledger.Found{f.found(1, 1)}})))
	var retired, sent int
	for _, o := range f.outgoing(6, 100) {
		if o.Retire {
			retired++
		} else {
			sent++
		}
	}
	if retired == 0 || sent == 0 {
		t.Errorf("%d retirements and %d others wait", retired, sent)
	}
}

// An Upload that is behind reads from the table, and rows that it will not want for long stay out of memory.
func TestRowsInMemoryAreBounded(t *testing.T) {
	f := newFixture(t)
	f.maxUnread = 10
	j := f.begin(job.Full)
	f.apply(j, 0, 4)
	f.do(second(f.Outgoing(ctx(), 0, 3))) // so that one is unread
	f.apply(j, 4, 13)
	f.wantNumber(0, "rows in the table with the bound reached", `SELECT count(*) FROM outbox`)
	f.apply(j, 13, 14)
	f.wantNumber(13, "rows in the table above the bound", `SELECT count(*) FROM outbox`)
	f.wantWaiting(14, "rows that wait")
	if got := len(f.outgoing(0, 100)); got != 14 {
		t.Errorf("%d rows", got)
	}
}

// A batch in memory of which nobody can read what was kept is a damaged database, and the error says what to do.
func TestDamagedBatchInMemory(t *testing.T) {
	for _, damage := range []string{`x'00'`, `CAST(replace(CAST(rows AS TEXT), '"seq":[1,', '"seq":[') AS BLOB)`} {
		f := newFixture(t)
		f.apply(f.begin(job.Full), 0, 3)
		f.do(second(f.write.Exec(`UPDATE outbox_batch SET rows = ` + damage)))
		f.unwritten = unwrittenRows{}
		f.do(f.Close())
		s, err := Open(ctx(), f.dir)
		if err == nil {
			f.do(s.Close())
		}
		if err == nil || !strings.Contains(err.Error(), "restore it from a backup") || !errors.As(err, new(sqlite3.Error)) {
			t.Errorf("%s: %v", damage, err)
		}
	}
}
