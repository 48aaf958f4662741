package store

import (
	"bytes"
	"fmt"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"
	"github.com/google/uuid"

	"mssentinel/app/job"
	"mssentinel/app/ledger"
	"mssentinel/app/stix"
)

// recordedAll reads the ledger in pages.
func (f *fixture) recordedAll(after, upTo uuid.UUID, limit int) (all []ledger.Recorded) {
	f.Helper()
	for {
		page, covered, err := f.Recorded(ctx(), after, upTo, limit)
		f.do(err)
		for _, r := range page {
			if bytes.Compare(r.ID[:], after[:]) <= 0 || bytes.Compare(r.ID[:], covered[:]) > 0 {
				f.Fatalf("%s is not after %s and up to %s", r.ID, after, covered)
			}
		}
		all = append(all, page...)
		if covered == upTo {
			return all
		}
		if bytes.Compare(covered[:], after[:]) <= 0 {
			f.Fatalf("nothing after %s is covered: %s", after, covered)
		}
		after = covered
	}
}

// However large the pages are, each object of the current ledger comes once, in the order of the ids as they are written.
func TestRecordedInPages(t *testing.T) {
	f := newFixture(t)
	f.fill(60)
	var want []string
	for n := range 60 {
		want = append(want, stix.ID(fmt.Sprintf("[domain-name:value = '%d.example']", n)).String())
	}
	slices.Sort(want)
	for _, limit := range []int{1, 2, 7, 59, 60, 61, 1000} {
		var got []string
		for _, r := range f.recordedAll(uuid.Nil, uuid.Max, limit) {
			got = append(got, r.ID.String())
			if r.State != ledger.Live || r.Sent != f.now.UnixMilli() || r.Pattern == "" || r.Name == "" || r.ValidUntil != f.now.Add(30*day24).UnixMilli() {
				t.Fatalf("%+v", r)
			}
		}
		if diff := cmp.Diff(want, got); diff != "" {
			t.Errorf("pages of %d (-want +got):\n%s", limit, diff)
		}
	}
	var got []string
	for _, r := range f.recordedAll(uuid.MustParse(want[9]), uuid.MustParse(want[49]), 7) {
		got = append(got, r.ID.String())
	}
	if diff := cmp.Diff(want[10:50], got); diff != "" {
		t.Errorf("a part (-want +got):\n%s", diff)
	}
	f.do(second(f.SetDestination(ctx(), "workspace", "other source")))
	if rest := f.recordedAll(uuid.Nil, uuid.Max, 7); len(rest) != 0 {
		t.Errorf("%d objects of another source name", len(rest))
	}
}

// What was sent before the clock was put back may not show in the workspace yet: the latest time counts, not that of the newest send.
func TestRecordedAfterTheClockWasPutBack(t *testing.T) {
	f := newFixture(t)
	f.fill(4)
	f.now = f.now.Add(-time.Hour)
	f.fill(3)
	f.do(second(f.write.Exec(`UPDATE send SET earlier = x'00ff' || earlier WHERE object = 2; DELETE FROM send WHERE object = 3`)))
	sent := map[int64]int{}
	for _, r := range f.recordedAll(uuid.Nil, uuid.Max, 3) {
		if r.Sent != 0 {
			sent[r.Number] = int(time.UnixMilli(r.Sent).Sub(noon) / time.Minute)
		}
	}
	if diff := cmp.Diff(map[int64]int{1: 0, 2: -60, 4: 0}, sent); diff != "" {
		t.Errorf("minutes after noon (-want +got):\n%s", diff)
	}
}

// Objects that share the first half of their id are not torn apart by a page.
func TestKeysThatAreShared(t *testing.T) {
	f := newFixture(t)
	f.fill(6)
	f.do(second(f.write.Exec(`UPDATE object SET key = 7 WHERE number IN (2, 3, 4)`)))
	f.do(second(f.write.Exec(`UPDATE object SET key = number WHERE number NOT IN (2, 3, 4)`)))
	page, _, err := f.Recorded(ctx(), uuid.Nil, uuid.Max, 6)
	f.do(err)
	if len(page) > 3 {
		t.Errorf("a full page keeps the last key: %d objects", len(page))
	}
}

// A page that is full of one key is given as it is, else nothing would come of it.
func TestPageOfOneKey(t *testing.T) {
	object := func(key int64) ledger.Recorded {
		r := ledger.Recorded{Object: &ledger.Object{Key: key}}
		r.ID[4] = byte(key)
		return r
	}
	for _, c := range []struct{ keys, want []int64 }{{[]int64{7, 7}, []int64{7, 7}}, {[]int64{7}, []int64{7}}, {[]int64{6, 7, 7}, []int64{6}}, {[]int64{6, 6, 7}, []int64{6, 6}}} {
		var page []ledger.Recorded
		for _, key := range c.keys {
			page = append(page, object(key))
		}
		rest, covered := dropLastKey(page)
		if len(rest) != len(c.want) || covered != ledger.LastOfKey(rest[len(rest)-1].ID) || int64(covered[4]) != c.want[0] {
			t.Errorf("of %v are left %d, up to %v", c.keys, len(rest), covered)
		}
	}
}

func TestCountRecorded(t *testing.T) {
	f := newFixture(t)
	f.fill(5)
	f.leave(2, 5)
	f.upload()
	types, err := f.CountRecorded(ctx(), f.now)
	f.do(err)
	if diff := cmp.Diff([]RecordedType{{Type: "domain-name", Live: 3, Sent: noon.UnixMilli()}}, types); diff != "" {
		t.Errorf("(-want +got):\n%s", diff)
	}
	if types, err = f.CountRecorded(ctx(), f.now.Add(31*day24)); err != nil || len(types) != 0 {
		t.Errorf("after the time to live: %v, %v", types, err)
	}
}

// differing is a difference about the object that indicator n+1 gives; recorded says that the ledger knows it, standing that the
// workspace does.
func (f *fixture) differing(n int, verdict ledger.Verdict, recorded, standing bool) ledger.Difference {
	f.Helper()
	pattern := fmt.Sprintf("[domain-name:value = '%d.example']", n)
	d := ledger.Difference{ID: stix.ID(pattern), Verdict: verdict}
	if recorded {
		for _, r := range f.recordedAll(uuid.Nil, uuid.Max, 100) {
			if r.ID == d.ID {
				d.Recorded = &r
			}
		}
		if d.Recorded == nil {
			f.Fatalf("the ledger does not know %s", pattern)
		}
	}
	if standing {
		d.Standing = &ledger.Standing{ID: d.ID, Pattern: pattern, Name: fmt.Sprintf("%d.example of old", n), Created: toMillis(noon.Add(-day24)),
			Modified: toMillis(noon), ValidUntil: toMillis(noon.Add(9 * day24)), Active: true}
	}
	return d
}

// What is to be sent again is vacant, and goes out by the next delta update, even if nothing in ThreatConnect changed.
func TestSendDifferencesAgain(t *testing.T) {
	f := newFixture(t)
	f.fill(4)
	f.now = f.now.Add(time.Hour)
	j := f.begin(job.Full)
	f.apply(j, 3, 4) // a row of it is on its way
	f.do(f.AddDifferences(ctx(), []ledger.Difference{f.differing(0, ledger.Missing, true, false), f.differing(1, ledger.Expired, true, true),
		f.differing(3, ledger.OtherContent, true, true), f.differing(9, ledger.Unexpected, false, true)}))
	if r, err := f.Repairable(ctx(), f.now); err != nil || r != (Repairable{SendAgain: 3, Retire: 1}) {
		t.Fatalf("%+v, %v", r, err)
	}
	if n, err := f.SendDifferencesAgain(ctx()); err != nil || n != 2 {
		t.Fatalf("%d objects are sent again, %v", n, err)
	}
	origins, _, err := f.Vacant(ctx(), 0, 10)
	f.do(err)
	if diff := cmp.Diff([]ledger.Origin{{Query: f.query, Indicator: 1}, {Query: f.query, Indicator: 2}}, origins); diff != "" {
		t.Errorf("vacant (-want +got):\n%s", diff)
	}
	f.upload()
	f.complete(j)
	delta := f.begin(job.Delta)
	f.apply(delta, 0, 4)
	if sent := f.upload(); len(sent) != 2 {
		t.Errorf("%d objects were sent again", len(sent))
	}
	f.wantNumber(1, "differences", `SELECT count(*) FROM difference`)
	if n, err := f.SendDifferencesAgain(ctx()); err != nil || n != 0 {
		t.Errorf("a second time: %d, %v", n, err)
	}
}

// What is unexpected is retired as the workspace has it, by the next update, unless a query gives it.
func TestRetireDifferences(t *testing.T) {
	f := newFixture(t)
	f.fill(3)
	f.leave(1, 3)
	f.upload() // 0 is retired
	f.now = f.now.Add(time.Hour)
	stranger := f.differing(7, ledger.Unexpected, false, true)
	stranger.ID = stix.ID("something else")
	stranger.Standing.ID = stranger.ID
	f.do(f.AddDifferences(ctx(), []ledger.Difference{f.differing(0, ledger.Unexpected, true, true), f.differing(2, ledger.Missing, true, false),
		f.differing(8, ledger.Unexpected, false, true), f.differing(9, ledger.Unexpected, false, true), stranger}))
	if r, err := f.Repairable(ctx(), f.now); err != nil || r != (Repairable{SendAgain: 1, Retire: 3}) {
		t.Fatalf("%+v, %v", r, err)
	}
	if n, err := f.RetireDifferences(ctx(), f.now); err != nil || n != 3 {
		t.Fatalf("%d objects are retired, %v", n, err)
	}
	f.wantNumber(5, "objects, of which the ledger knew three", `SELECT count(*) FROM object`)
	j := f.begin(job.Delta)
	f.apply(j, 9, 10) // a query gives it by now
	if r := f.retire(j); r != (Retirement{Queued: 2}) {
		t.Errorf("%+v", r)
	}
	got := map[string]bool{}
	for _, o := range f.upload() {
		pattern, name, end := payload(t, o.Payload)
		got[fmt.Sprintf("%s %s %v %v", pattern, name, o.Retire, end.Equal(f.now))] = true
	}
	want := map[string]bool{"[domain-name:value = '0.example'] 0.example of old true true": true, "[domain-name:value = '8.example'] 8.example of old true true": true,
		"[domain-name:value = '9.example'] 9.example v0 false false": true}
	if diff := cmp.Diff(want, got); diff != "" {
		t.Errorf("sent (-want +got):\n%s", diff)
	}
	left, err := f.Differences(ctx(), ledger.Unexpected, 10)
	f.do(err)
	if len(left) != 1 || !left[0].Stranger || left[0].ID != "indicator--"+stranger.ID.String() {
		t.Errorf("what is left: %+v", left)
	}
}

// The brake holds for what is unexpected as for all that departs.
func TestTheBrakeLetsATenthPass(t *testing.T) {
	f := newFixture(t)
	f.fill((ledger.BrakePart - 1) * (ledger.BrakeObjects + 1))
	var all []ledger.Difference
	for n := range ledger.BrakeObjects + 2 {
		all = append(all, f.differing(1_000_000+n, ledger.Unexpected, false, true))
	}
	f.do(f.AddDifferences(ctx(), all[:ledger.BrakeObjects+1]))
	if r, err := f.Repairable(ctx(), f.now); err != nil || r.Retire != ledger.BrakeObjects+1 || r.NeedsConfirmation {
		t.Errorf("a tenth of what stands then: %+v, %v", r, err)
	}
	f.do(f.AddDifferences(ctx(), all[ledger.BrakeObjects+1:]))
	if r, err := f.Repairable(ctx(), f.now); err != nil || r.Retire != ledger.BrakeObjects+2 || !r.NeedsConfirmation {
		t.Errorf("one more: %+v, %v", r, err)
	}
}

func TestTheBrakeHoldsForDifferences(t *testing.T) {
	f := newFixture(t)
	f.fill(20)
	f.now = f.now.Add(time.Hour)
	var all []ledger.Difference
	for n := 100; n < 100+ledger.BrakeObjects+1; n++ {
		all = append(all, f.differing(n, ledger.Unexpected, false, true))
	}
	f.do(f.AddDifferences(ctx(), all))
	if r, err := f.Repairable(ctx(), f.now); err != nil || !r.NeedsConfirmation {
		t.Fatalf("%+v, %v", r, err)
	}
	f.do(second(f.RetireDifferences(ctx(), f.now)))
	j := f.begin(job.Delta)
	if r := f.retire(j); r != (Retirement{Held: ledger.BrakeObjects + 1}) {
		t.Fatalf("%+v", r)
	}
	f.do(f.AnswerRetirement(ctx(), j.RequestID, true, f.now))
	if sent := f.upload(); len(sent) != ledger.BrakeObjects+1 || !sent[0].Retire {
		t.Errorf("%d objects were retired", len(sent))
	}
}

// A verification is kept over a restart, begins with nothing found, and is forgotten with its destination.
func TestVerificationIsKept(t *testing.T) {
	f := newFixture(t)
	f.fill(1)
	if got, err := f.Verification(ctx()); got.State != "" || err != nil {
		t.Errorf("before the first: %+v, %v", got, err)
	}
	v := Verification{Began: noon, Ended: noon.Add(time.Minute), State: VerificationComplete, All: true, Share: 1, Agreed: 3, TooNew: 2,
		Differences: map[ledger.Verdict]int64{ledger.Missing: 1}, Kept: 1, Types: []VerifiedType{{Type: "file", Recorded: 6, Sent: noon, Active: 5, Newest: noon}}}
	f.do(f.KeepVerification(ctx(), v))
	f.do(f.AddDifferences(ctx(), []ledger.Difference{f.differing(0, ledger.Missing, true, false)}))
	f.reopen()
	got, err := f.Verification(ctx())
	if diff := cmp.Diff(v, got); diff != "" || err != nil {
		t.Errorf("%v (-want +got):\n%s", err, diff)
	}
	long := v
	long.Message = strings.Repeat("ä", job.MaxMessage)
	f.do(f.KeepVerification(ctx(), long))
	if got, err := f.Verification(ctx()); err != nil || len(got.Message) > job.MaxMessage || !strings.HasSuffix(got.Message, "ä…") {
		t.Errorf("a message of %d bytes is kept (%v)", len(got.Message), err)
	}
	f.do(f.KeepVerification(ctx(), v))
	if got.Compared() != 6 || got.CountDifferences() != 1 {
		t.Errorf("compared %d, %d of them differ", got.Compared(), got.CountDifferences())
	}
	differences, err := f.Differences(ctx(), ledger.Missing, 10)
	f.do(err)
	want := []Difference{{ID: "indicator--" + stix.ID("[domain-name:value = '0.example']").String(), Verdict: ledger.Missing,
		Pattern: "[domain-name:value = '0.example']", Name: "0.example v0", Sent: noon, RecordedUntil: noon.Add(30 * day24)}}
	if diff := cmp.Diff(want, differences); diff != "" {
		t.Errorf("(-want +got):\n%s", diff)
	}
	f.do(f.BeginVerification(ctx(), Verification{Began: noon, State: VerificationRunning}))
	f.wantNumber(0, "differences", `SELECT count(*) FROM difference`)
	f.do(f.AddDifferences(ctx(), []ledger.Difference{f.differing(0, ledger.Missing, true, false)}))
	f.do(second(f.SetDestination(ctx(), "workspace", "other source")))
	f.wantNumber(0, "differences of the old source name", `SELECT count(*) FROM difference`)
	if got, err := f.Verification(ctx()); got.State != "" || err != nil {
		t.Errorf("under another source name: %+v, %v", got, err)
	}
}
