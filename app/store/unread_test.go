package store

import (
	"testing"

	"github.com/google/go-cmp/cmp"

	"mssentinel/app/job"
	"mssentinel/app/ledger"
)

// outgoing gives the rows behind one as Upload gets them, and fails where those that the database has differ.
func (f *fixture) outgoing(after int64, limit int) []*Outgoing {
	f.Helper()
	rows, err := f.Outgoing(ctx(), after, limit)
	f.do(err)
	kept := f.unread
	f.unread.forget()
	stored, err := f.Outgoing(ctx(), after, limit)
	f.do(err)
	f.unread = kept
	sameButRepeated := cmp.FilterPath(func(p cmp.Path) bool { return p.Last().String() == ".repeated" }, cmp.Ignore())
	if diff := cmp.Diff(stored, rows, cmp.AllowUnexported(Outgoing{}, outboxRow{}, sentName{}), sameButRepeated); diff != "" {
		f.Fatalf("the rows behind %d (-stored +given):\n%s", after, diff)
	}
	return rows
}

// What Upload gets of rows that are still in memory is what it would get of the database, to the byte.
func TestUnreadRowsAreThoseOfTheDatabase(t *testing.T) {
	f := newFixture(t)
	j := f.begin(job.Full)
	f.do(second(f.Apply(ctx(), ledger.Batch{Job: j.Number, Mode: j.Mode, Query: f.query, Now: f.now,
		Found: []ledger.Found{f.found(0, 0), f.found(2, 0), f.found(1, 0), f.found(0, 1), f.found(1, 1)}}))) // the first row is dropped, and the third
	f.apply(j, 3, 5)
	after := int64(1)
	for _, want := range []int{2, 2, 1, 0} {
		if !f.unread.known || f.unread.after > after {
			t.Fatalf("the rows behind %d are not in memory: %+v", after, f.unread)
		}
		rows := f.outgoing(after, 2)
		if len(rows) != want {
			t.Fatalf("%d rows behind %d, want %d", len(rows), after, want)
		}
		if want > 0 {
			after = rows[want-1].Seq
		}
	}
	f.apply(j, 5, 7)
	rows := f.outgoing(after, 10)
	if len(rows) != 2 || len(f.unread.rows) != 0 {
		t.Errorf("%d rows, and %d are kept", len(rows), len(f.unread.rows))
	}
	f.do(f.Settle(ctx(), Settlement{At: f.now, Accepted: rows}))
	if !f.unread.known {
		t.Error("rows that were given away and settled are taken to be unread")
	}
}

// However rows come and go, Upload gets each of them that waits, in order, from wherever it reads on.
func TestUnreadRowsThatChange(t *testing.T) {
	for name, change := range map[string]func(f *fixture, j job.Job){
		"a newer row of the same object": func(f *fixture, j job.Job) {
			f.do(second(f.Apply(ctx(), ledger.Batch{Job: j.Number, Mode: j.Mode, Query: f.query, Now: f.now, Found: []ledger.Found{f.found(1, 7)}})))
		},
		"a job that is cancelled": func(f *fixture, j job.Job) { f.do(f.CancelJob(ctx(), j.RequestID, f.now)) },
		"rows that were settled, read from the database": func(f *fixture, _ job.Job) {
			kept := f.unread
			f.unread.forget()
			rows := f.outgoing(0, 5)
			f.unread = kept
			f.do(f.Settle(ctx(), Settlement{At: f.now, Accepted: rows[2:4]}))
		},
		"a batch that fails": func(f *fixture, j job.Job) {
			f.do(second(f.write.Exec(`CREATE TRIGGER fault BEFORE INSERT ON job_detail BEGIN SELECT RAISE(ABORT, 'fault'); END`)))
			f.do(second(f.write.Exec(`DELETE FROM job_detail`)))
			batch := ledger.Batch{Job: j.Number, Mode: j.Mode, Query: f.query, Now: f.now, Found: []ledger.Found{f.found(8, 0), f.found(9, 0)}}
			if _, err := f.Apply(ctx(), batch); err == nil {
				f.Fatal("there was no fault")
			}
			f.do(second(f.write.Exec(`DROP TRIGGER fault`)))
		},
		"a restart":                 func(f *fixture, _ job.Job) { f.reopen() },
		"memory that is given back": func(f *fixture, _ job.Job) { f.do(f.ReleaseMemory(ctx())) },
	} {
		t.Run(name, func(t *testing.T) {
			for after := range int64(7) {
				f := newFixture(t)
				j := f.begin(job.Full)
				f.apply(j, 0, 3)
				f.apply(j, 3, 5)
				change(f, j)
				f.outgoing(after, 3)
				f.outgoing(after, 10)
				if f.get(j).Status.Open() {
					f.apply(j, 5, 6)
				}
				f.outgoing(after, 10)
			}
		})
	}
}

// Retirements stand in their place behind what was queued before them.
func TestRetirementsBehindUnreadRows(t *testing.T) {
	f := newFixture(t)
	f.fill(6)
	uploaded := f.unread.after
	f.leave(0, 3)
	j := f.begin(job.Full)
	f.do(second(f.Apply(ctx(), ledger.Batch{Job: j.Number, Mode: j.Mode, Query: f.query, Now: f.now, Found: []ledger.Found{f.found(1, 1)}})))
	rows := f.outgoing(uploaded, 100)
	var retired, sent int
	for _, o := range rows {
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

// An Upload that is far behind reads from the database, and rows that it may not want for long stay out of memory.
func TestUnreadRowsAreBounded(t *testing.T) {
	var u unreadRows
	rows := func(from, to int64) (rows []*Outgoing) {
		for seq := from; seq <= to; seq++ {
			rows = append(rows, &Outgoing{Seq: seq})
		}
		return rows
	}
	u.add(0, rows(1, maxUnread/2))
	u.add(maxUnread/2, rows(maxUnread/2+1, maxUnread))
	if taken, known := u.take(0, maxUnread+1); !known || len(taken) != maxUnread {
		t.Fatalf("%d rows, known: %t", len(taken), known)
	}
	u.add(maxUnread, rows(maxUnread+1, 2*maxUnread))
	u.add(2*maxUnread, rows(2*maxUnread+1, 2*maxUnread+1))
	if _, known := u.take(2*maxUnread-1, 10); known || len(u.rows) != 1 {
		t.Errorf("%d rows are kept, and those before them known: %t", len(u.rows), known)
	}
	if taken, known := u.take(2*maxUnread, 10); !known || len(taken) != 1 {
		t.Errorf("%d rows, known: %t", len(taken), known)
	}
	u.add(2*maxUnread+1, rows(2*maxUnread+2, 2*maxUnread+3))
	u.take(2*maxUnread+3, 10)
	if _, known := u.take(2*maxUnread+1, 10); known {
		t.Error("rows that somebody read past are taken not to be there")
	}
}
