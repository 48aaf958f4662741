package store

import (
	"errors"
	"fmt"
	"slices"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"

	"mssentinel/app/job"
	"mssentinel/app/ledger"
	"mssentinel/app/stix"
)

// heldNow is what a question is about, in one line each.
func (f *fixture) heldNow(j job.Job, filter HeldFilter) (lines []string) {
	f.Helper()
	f.do(f.EachHeld(ctx(), j.RequestID, filter, 0, f.now, func(h Held) (bool, error) {
		lines = append(lines, fmt.Sprintf("%s|%s|%s|%d|%s", h.Value, h.Owner, h.Type, h.Position, h.Cause))
		return true, nil
	}))
	return lines
}

// A question tells its objects one by one, by whom they were given and why nobody gives them any more.
func TestHeldObjects(t *testing.T) {
	f := newFixture(t)
	f.now = time.Now().UTC().Add(time.Minute) // later than the query was saved
	f.fill(400)
	f.do(f.Forget(ctx(), f.query, []int64{1, 2, 3}, ledger.Certain)) // on ThreatConnect's list, while no update retires
	asking, got := f.leave(150, 400)
	if got.Held != 150 {
		t.Fatalf("%+v", got)
	}
	all := f.heldNow(asking, HeldFilter{})
	if len(all) != 150 || all[0] != "0.example v0||Host|1|deleted-in-threatconnect" || all[3] != "3.example v0||Host|1|not-selected" {
		t.Errorf("%d objects: %.4q", len(all), all)
	}
	f.do(f.EachHeld(ctx(), asking.RequestID, HeldFilter{}, 0, f.now, func(h Held) (bool, error) {
		if h.ID != "indicator--"+stix.ID("[domain-name:value = '0.example']").String() || !h.ValidUntil.Equal(f.now.Add(30*day24-time.Hour).Truncate(time.Millisecond)) ||
			!h.Sent.Equal(f.now.Add(-time.Hour).Truncate(time.Millisecond)) {
			t.Errorf("the first is %+v", h)
		}
		return false, nil
	}))
	if open := f.read.Stats().InUse; open > 0 {
		t.Errorf("%d connections are in use", open)
	}
	for _, c := range []struct {
		filter HeldFilter
		want   int
	}{
		{HeldFilter{Text: "14"}, 12}, {HeldFilter{Text: "%"}, 0}, {HeldFilter{Type: "host"}, 150}, {HeldFilter{Type: "File"}, 0}, {HeldFilter{Owner: "o"}, 0},
		{HeldFilter{Cause: ledger.SourceGone}, 3}, {HeldFilter{Query: f.mark("one").ID, Cause: ledger.NotSelected}, 147}, {HeldFilter{Query: "other"}, 0},
	} {
		if got := f.heldNow(asking, c.filter); len(got) != c.want {
			t.Errorf("%+v selects %d, want %d: %.3q", c.filter, len(got), c.want, got)
		}
	}
	sum, err := f.SummarizeHeld(ctx(), asking.RequestID, 100, f.now)
	f.do(err)
	if sum.Objects != 150 || len(sum.Groups) != 2 || sum.Groups[0].Objects != 147 || sum.Groups[1].Cause != ledger.SourceGone || sum.Rest != 0 || len(sum.Starts) != 2 || sum.Starts[0] != 0 {
		t.Errorf("%+v", sum)
	}
	second := 0
	f.do(f.EachHeld(ctx(), asking.RequestID, HeldFilter{}, sum.Starts[1], f.now, func(Held) (bool, error) { second++; return second < 1000, nil }))
	if second != 50 {
		t.Errorf("the second part has %d", second)
	}
	// What is given again is not asked about, and what is to be retired is exactly what was told.
	f.apply(f.begin(job.Delta), 10, 20)
	if left := f.heldNow(asking, HeldFilter{}); len(left) != 140 {
		t.Errorf("%d are left", len(left))
	}
	f.do(f.AnswerRetirement(ctx(), asking.RequestID, true, f.now))
	if err := f.EachHeld(ctx(), asking.RequestID, HeldFilter{}, 0, f.now, nil); !errors.Is(err, job.ErrState) {
		t.Errorf("after the answer: %v", err)
	}
	if err := f.EachHeld(ctx(), "nobody", HeldFilter{}, 0, f.now, nil); !errors.Is(err, ErrNotFound) {
		t.Errorf("of no job: %v", err)
	}
}

// What was retired and came back is told with the send before its retirement, as long as Sentinel has accepted none since.
func TestHeldAfterARetirement(t *testing.T) {
	f := newFixture(t)
	f.fill(400)
	first := f.now
	f.leave(3, 400)
	f.upload()
	f.now = f.now.Add(time.Hour)
	f.apply(f.begin(job.Delta), 0, 3)
	out, err := f.Outgoing(ctx(), 0, 10)
	f.do(err)
	if len(out) != 3 || out[0].Retire {
		t.Fatalf("%d wait", len(out))
	}
	f.do(f.Settle(ctx(), Settlement{At: f.now, Rejected: []RejectedObject{{Outgoing: out[0], Code: "Bad", Message: "no", MayStand: true}}}))
	f.do(f.Settle(ctx(), Settlement{At: f.now, Accepted: out[1:2]})) // the third is under way
	f.do(second(f.write.Exec(`UPDATE send SET earlier = NULL WHERE object = 3`)))
	accepted := f.now
	asking, _ := f.leave(150, 400)
	var sent []time.Time
	var queries []int
	f.do(f.EachHeld(ctx(), asking.RequestID, HeldFilter{}, 0, f.now, func(h Held) (bool, error) {
		sent, queries = append(sent, h.Sent), append(queries, h.Position)
		return true, nil
	}))
	if len(sent) != 150 {
		t.Fatalf("%d are held", len(sent))
	}
	if diff := cmp.Diff([]time.Time{first, accepted, {}, first}, sent[:4]); diff != "" {
		t.Errorf("when they were sent (-want +got):\n%s", diff)
	}
	if !slices.Equal(queries[:4], []int{1, 1, 0, 1}) {
		t.Errorf("by the queries %v", queries[:4])
	}
}

// What a query gave that was deleted or changed since is told as such, with the query.
func TestHeldByEditedQueries(t *testing.T) {
	f := newFixture(t)
	f.fill(400)
	edited := f.mark("one").Query
	f.now = time.Now().UTC()
	f.query = f.save(Query{ID: edited.ID, Owners: []string{"p"}, Types: []string{"Host"}, TQL: "one"})[0].Number
	asking, _ := f.leave(150, 400)
	if got := f.heldNow(asking, HeldFilter{}); len(got) != 150 || got[0] != "0.example v0||Host|1|query-edited" {
		t.Errorf("%d: %.1q", len(got), got)
	}
	first := f.query
	f.query = f.save(Query{Owners: []string{"p"}, Types: []string{"Host"}, TQL: "two"})[0].Number
	f.now = f.now.Add(time.Hour)
	j := f.begin(job.Reconcile)
	f.apply(j, 150, 160)
	f.do(f.SweepDeparted(ctx(), j.Number, []int64{first, f.query}))
	f.retire(j)
	sum, err := f.SummarizeHeld(ctx(), j.RequestID, 1000, f.now)
	f.do(err)
	if len(sum.Groups) != 1 || sum.Groups[0].Cause != ledger.QueryRemoved || sum.Groups[0].TQL != "one" || sum.Groups[0].Position != 0 || sum.Objects != 390 {
		t.Errorf("%+v", sum)
	}
}

// The parts of a long list fit together.
func TestManyHeldObjects(t *testing.T) {
	const many = maxCountedGroups + 20
	f := newFixture(t)
	j := f.begin(job.Full)
	b := ledger.Batch{Job: j.Number, Mode: j.Mode, Query: f.query, Now: f.now}
	for id := range int64(many) {
		found := f.found(id, 0)
		found.Objects[0].Name = fmt.Sprintf("%d.example | Owner %d", id, id)
		b.Found = append(b.Found, found)
	}
	f.do(second(f.Apply(ctx(), b)))
	f.upload()
	f.complete(j)
	asking, got := f.leave(many-10, many)
	if got.Held != many-10 {
		t.Fatalf("%+v", got)
	}
	sum, err := f.SummarizeHeld(ctx(), asking.RequestID, 4000, f.now)
	f.do(err)
	if len(sum.Starts) != 6 || sum.Objects != many-10 {
		t.Fatalf("%d parts of %d", len(sum.Starts), sum.Objects)
	}
	if len(sum.Groups) != maxHeldGroups || sum.Rest != many-10-maxHeldGroups || sum.Groups[0].Objects != 1 || sum.Groups[0].Owner == "" {
		t.Errorf("%d groups and %d in others, the first is %+v", len(sum.Groups), sum.Rest, sum.Groups[0])
	}
	seen := map[string]bool{}
	for _, start := range sum.Starts {
		n := 0
		f.do(f.EachHeld(ctx(), asking.RequestID, HeldFilter{}, start, f.now, func(h Held) (bool, error) {
			seen[h.ID] = true
			n++
			return n < 4000, nil
		}))
	}
	if len(seen) != many-10 {
		t.Errorf("the parts have %d objects", len(seen))
	}
}

// An object without a name is called by its pattern, and one that was never sent has no time of that.
func TestDescribeHeld(t *testing.T) {
	for _, c := range []struct {
		name         string
		sent         int64
		value, owner string
	}{{"", 0, "[a]", ""}, {"v | o", 1, "v", "o"}, {" | o", 7, "[a]", "o"}} {
		var h Held
		h.describe("[a]", c.name, 5, c.sent)
		if h.Value != c.value || h.Owner != c.owner || h.Sent.IsZero() != (c.sent == 0) || c.sent != 0 && h.Sent.UnixMilli() != c.sent || h.ValidUntil.UnixMilli() != 5 {
			t.Errorf("%q: %+v", c.name, h)
		}
	}
}

func TestHeldFilter(t *testing.T) {
	h := &Held{Type: "Host", Owner: "Alpha", Query: "q", Cause: "gone"}
	for _, c := range []struct {
		filter HeldFilter
		want   bool
	}{
		{HeldFilter{}, true}, {HeldFilter{Type: "host", Owner: "ALPHA", Query: "q", Cause: "gone"}, true},
		{HeldFilter{Type: "File"}, false}, {HeldFilter{Owner: "Beta"}, false}, {HeldFilter{Query: "Q"}, false}, {HeldFilter{Cause: "other"}, false},
		{HeldFilter{Owner: "alpha"}, true}, {HeldFilter{Type: "HOST"}, true}, {HeldFilter{Query: "q"}, true}, {HeldFilter{Cause: "gone"}, true},
	} {
		if got := c.filter.selects(h); got != c.want {
			t.Errorf("%+v selects it: %v", c.filter, got)
		}
	}
}
