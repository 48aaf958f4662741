package store

import (
	"bytes"
	"fmt"
	"strings"
	"testing"

	"mssentinel/app/job"
	"mssentinel/app/ledger"
)

// Each row goes out with its own object, wherever reading begins and whatever was dropped within its batch, and the objects go when
// the last row of their batch has left.
func TestRowsHaveTheirObjects(t *testing.T) {
	f := newFixture(t)
	j := f.begin(job.Full)
	f.do(second(f.Apply(ctx(), ledger.Batch{Job: j.Number, Mode: j.Mode, Query: f.query, Now: f.now,
		Found: []ledger.Found{f.found(0, 0), f.found(2, 0), f.found(1, 0), f.found(0, 1), f.found(1, 1)}}))) // the first row is dropped, and the third
	f.apply(j, 3, 5)
	f.writeOut()
	rows, err := f.Outgoing(ctx(), 0, 100)
	f.do(err)
	var names []string
	for i, o := range rows {
		_, name, _ := payload(t, o.Payload)
		names = append(names, name)
		again, err := f.Outgoing(ctx(), o.Seq-1, 1)
		f.do(err)
		if !bytes.Equal(again[0].Payload, o.Payload) {
			t.Errorf("row %d, read alone, sends %s instead of %s", i, again[0].Payload, o.Payload)
		}
	}
	if got := strings.Join(names, ", "); got != "2.example v0, 0.example v1, 1.example v1, 3.example v0, 4.example v0" {
		t.Errorf("sent: %s", got)
	}
	for n, want := range []int64{2, 2, 1, 1, 0} {
		f.do(f.Settle(ctx(), Settlement{At: f.now, Accepted: rows[n : n+1]}))
		f.wantNumber(want, fmt.Sprintf("blocks after %d rows", n+1), `SELECT count(*) FROM payload_block`)
	}
}

// The objects of a job that is cancelled go with its rows.
func TestObjectsOfACancelledJobGo(t *testing.T) {
	f := newFixture(t)
	j := f.begin(job.Full)
	f.apply(j, 0, 5)
	f.writeOut()
	f.do(f.CancelJob(ctx(), j.RequestID, f.now))
	f.wantNumber(0, "blocks", `SELECT count(*) FROM payload_block`)
}

// A row whose object is missing or cannot be read is an error that says which, and nothing is sent in its place.
func TestObjectThatCannotBeRead(t *testing.T) {
	f := newFixture(t)
	f.apply(f.begin(job.Full), 0, 3)
	f.writeOut()
	for _, damage := range []string{`UPDATE payload_block SET payloads = x'00'`,
		`UPDATE payload_block SET payloads = substr(payloads, 1, 10) || x'00' || substr(payloads, 12)`, `UPDATE payload_block SET last = 2`, `DELETE FROM payload_block`} {
		f.do(second(f.write.Exec(damage)))
		if rows, err := f.Outgoing(ctx(), 2, 10); err == nil || !strings.Contains(err.Error(), "the object of row 3") {
			t.Errorf("%s: %d rows, %v", damage, len(rows), err)
		}
	}
}

// The room of a block is used again, unless it is very large.
func TestRoomIsBounded(t *testing.T) {
	var p packer
	for _, c := range []struct{ room, want int }{{maxRoom, maxRoom}, {10, 10}, {maxRoom + 1, 0}} {
		if p.pack(make([]byte, 0, c.room)); cap(p.lines) != c.want {
			t.Errorf("of %d bytes %d are kept, want %d", c.room, cap(p.lines), c.want)
		}
	}
}
