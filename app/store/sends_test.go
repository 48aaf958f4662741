package store

import (
	"bytes"
	"context"
	"errors"
	"math"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"
	"github.com/google/uuid"

	"mssentinel/app/job"
	"mssentinel/app/stix"
)

func TestPackSends(t *testing.T) {
	var ten []keptSend
	for i := range int64(keptSends) {
		ten = append(ten, keptSend{10 - i, 7})
	}
	for _, c := range []struct {
		name   string
		sends  []keptSend
		packed []byte
	}{
		{"one alone", []keptSend{{5, 7}}, nil},
		{"of the same indicator", []keptSend{{5, 7}, {4, 7}, {1, 7}}, []byte{2, 6}},
		{"of others", []keptSend{{5, 7}, {4, -1}, {3, -1}, {1, 0}}, []byte{3, 1, 2, 5, 0}},
		{"twice in one delivery", []keptSend{{5, 7}, {5, 7}, {5, 1}}, []byte{0, 1, 2}},
		{"long ago", []keptSend{{65, 7}, {1, 7}}, []byte{0x80, 1}},
		{"as far apart as can be", []keptSend{{math.MaxInt64, 0}, {1, math.MaxInt64}, {1, math.MinInt64}}, slices.Concat(
			[]byte{0xfd, 0xff, 0xff, 0xff, 0xff, 0xff, 0xff, 0xff, 0xff, 1}, []byte{0xfe, 0xff, 0xff, 0xff, 0xff, 0xff, 0xff, 0xff, 0xff, 1},
			[]byte{1}, []byte{0xff, 0xff, 0xff, 0xff, 0xff, 0xff, 0xff, 0xff, 0xff, 1})},
		{"as many as are kept", ten, bytes.Repeat([]byte{2}, 9)},
	} {
		packed := packSends(c.sends)
		if !bytes.Equal(packed, c.packed) || (packed == nil) != (c.packed == nil) {
			t.Errorf("%s: packed %v, want %v", c.name, packed, c.packed)
		}
		room := make([]keptSend, 3, 20)
		again, err := (&sendRow{keptSend: c.sends[0], Earlier: packed}).unpackSends(room)
		if diff := cmp.Diff(c.sends, again); diff != "" || err != nil {
			t.Errorf("%s (-packed +unpacked): %s%v", c.name, diff, err)
		}
		if &room[0] != &again[0] {
			t.Errorf("%s: the room was not used", c.name)
		}
	}
}

// damagedSends are none of an object whose newest send is in delivery 100.
var damagedSends = map[string][]byte{
	"cut":                     {2, 0x80},
	"too long":                bytes.Repeat([]byte{0xff}, 11),
	"without its indicator":   {3},
	"with half its indicator": {3, 0x80},
	"with too long a one":     append([]byte{3}, bytes.Repeat([]byte{0xff}, 11)...),
	"before the first":        {2, 99<<1&0x7f | 0x80, 99 >> 6},
	"before the first by far": {0xfe, 0xff, 0xff, 0xff, 0xff, 0xff, 0xff, 0xff, 0xff, 1},
	"one too many":            bytes.Repeat([]byte{2}, 10),
	"zeros":                   make([]byte, 4096),
}

func TestUnpackDamagedSends(t *testing.T) {
	for name, packed := range damagedSends {
		r := sendRow{Object: 12, keptSend: keptSend{100, 1}, Earlier: packed}
		sends, err := r.unpackSends(nil)
		if !errors.Is(err, errSends) || len(sends) == 0 || len(sends) > keptSends || !strings.Contains(err.Error(), "object 12") {
			t.Errorf("%s: %v, %v", name, sends, err)
		}
	}
}

// Nothing that shows its sends takes an object for one that has others, or none, where they are damaged. What Sentinel answered is written
// down all the same, which ends the damage, and cleaning goes on.
func TestDamagedSends(t *testing.T) {
	f := newFixture(t)
	f.fill(400)
	damage := func() { f.do(second(f.write.Exec(`UPDATE send SET earlier = x'03' WHERE object = 2`))) }
	wantDamage := func(what string, err error) {
		t.Helper()
		if !errors.Is(err, errSends) || !strings.Contains(err.Error(), "object 2") {
			t.Errorf("%s: %v", what, err)
		}
	}
	damage()
	f.do(f.Clean(ctx(), f.now))
	object := []uuid.UUID{stix.ID("[domain-name:value = '1.example']")}
	wantDamage("looking up", second(f.Lookup(ctx(), object, f.now)))
	j := f.begin(job.Full)
	f.apply(j, 0, 3)
	out, err := f.Outgoing(ctx(), 0, 3)
	f.do(err)
	f.do(f.Settle(ctx(), Settlement{At: f.now, Accepted: out}))
	f.wantWaiting(0, "rows that wait")
	known, err := f.Lookup(ctx(), object, f.now)
	f.do(err)
	if len(known[0].Sends) != 2 || known[0].Sends[0].RequestID != j.RequestID {
		t.Errorf("sent again, after the damage: %+v", known[0].Sends)
	}

	damage()
	f.do(second(f.write.Exec(`UPDATE delivery SET retire = 1`)))
	asking, _ := f.leave(150, 400)
	wantDamage("telling what is held", f.EachHeld(ctx(), asking.RequestID, HeldFilter{}, 0, f.now, func(Held) (bool, error) { return true, nil }))

	f.do(second(f.write.Exec(`DELETE FROM delivery`)))
	if known, err := f.Lookup(ctx(), []uuid.UUID{stix.ID("[domain-name:value = '0.example']")}, f.now); err == nil || !strings.Contains(err.Error(), "delivery") {
		t.Errorf("without the deliveries: %+v, %v", known, err)
	}
}

// Answers that are written together are told apart by their time, and in one answer the jobs and queries, and what it retires.
func TestDeliveries(t *testing.T) {
	f := newFixture(t)
	send := func(object, indicator int64, at time.Time, job int64, retire bool, query int64) newSend {
		return newSend{object, indicator, delivery{toMillis(at), job, retire, query}}
	}
	add := func(sends ...newSend) {
		t.Helper()
		f.do(f.inTransaction(ctx(), func(ctx context.Context, tx *transaction) error { return addSends(ctx, tx, sends) }))
	}
	deliveries := func() (lines []string) {
		t.Helper()
		f.do(f.read.Select(&lines, `SELECT printf('%d at %d job %d retire %d query %d', number, at - ?, job, retire, query) FROM delivery ORDER BY number`, toMillis(noon)))
		return lines
	}
	sends := func(object int64) []keptSend {
		t.Helper()
		all, err := readSends(ctx(), f.read, []int64{object, 999})
		f.do(err)
		return all[object]
	}
	later := noon.Add(time.Millisecond)
	add(send(1, 11, noon, 1, false, 1), send(2, 12, noon, 1, false, 2), send(3, 13, noon, 1, false, 1), send(4, 14, noon, 2, false, 1),
		send(5, 0, noon, 1, true, 1), send(6, 16, later, 1, false, 1))
	want := []string{"1 at 0 job 1 retire 0 query 1", "2 at 0 job 1 retire 0 query 2", "3 at 0 job 2 retire 0 query 1",
		"4 at 0 job 1 retire 1 query 1", "5 at 1 job 1 retire 0 query 1"}
	if diff := cmp.Diff(want, deliveries()); diff != "" {
		t.Errorf("the deliveries (-want +got):\n%s", diff)
	}
	add()
	add(send(1, 11, noon, 1, false, 1), send(3, 33, later, 1, false, 1), send(1, 10, later, 1, false, 1)) // one object twice
	want = append(want, "6 at 0 job 1 retire 0 query 1", "7 at 1 job 1 retire 0 query 1")
	if diff := cmp.Diff(want, deliveries()); diff != "" {
		t.Errorf("the deliveries (-want +got):\n%s", diff)
	}
	for object, want := range map[int64][]keptSend{1: {{7, 10}, {6, 11}, {1, 11}}, 2: {{2, 12}}, 3: {{7, 33}, {1, 13}}, 5: {{4, 0}}, 6: {{5, 16}}, 7: nil} {
		if diff := cmp.Diff(want, sends(object)); diff != "" {
			t.Errorf("the sends of object %d (-want +got):\n%s", object, diff)
		}
	}
	for i := range int64(keptSends) {
		add(send(1, i, noon, 3, false, 1))
	}
	if got := sends(1); len(got) != keptSends || got[0] != (keptSend{17, 9}) || got[9] != (keptSend{8, 0}) {
		t.Errorf("the sends of one that was sent often: %v", got)
	}
}

// All that is kept of an object's sends is told, the newest first, whatever became of the jobs.
func TestLookupOfManySends(t *testing.T) {
	f := newFixture(t)
	var want []Send
	for range keptSends + 2 {
		j := f.fill(3)
		want = slices.Insert(want, 0, Send{At: f.now, RequestID: j.RequestID, Indicator: 2})
		f.now = f.now.Add(-time.Second) // the clock was put back
	}
	want = want[:keptSends]
	f.do(second(f.write.Exec(`DELETE FROM job WHERE request_id = ?`, want[3].RequestID)))
	want[3].RequestID = ""
	f.do(f.Clean(ctx(), f.now))
	known, err := f.Lookup(ctx(), []uuid.UUID{stix.ID("[domain-name:value = '1.example']")}, f.now)
	f.do(err)
	if diff := cmp.Diff(want, known[0].Sends); diff != "" {
		t.Errorf("the sends (-want +got):\n%s", diff)
	}
}

// Deliveries outside of a set are not in it, and do no harm.
func TestDeliverySet(t *testing.T) {
	for last, words := range map[int64]int{10: 1, 73: 1, 74: 2, 10 + 64*65: 66} {
		if d := newDeliverySet(10, last); len(d.bits) != words {
			t.Errorf("from 10 to %d it takes %d words, want %d", last, len(d.bits), words)
		}
	}
	d := newDeliverySet(10, 137)
	in := []int64{10, 11, 73, 74, 137}
	for _, number := range append(in, math.MinInt64, -1, 9, 138, math.MaxInt64) {
		d.add(number)
	}
	var got []int64
	for number := range int64(138) {
		if number >= d.first && d.has(number) {
			got = append(got, number)
		}
	}
	if !slices.Equal(got, in) {
		t.Errorf("the set has %v", got)
	}
}
