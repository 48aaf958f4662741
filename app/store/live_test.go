package store

import (
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"

	"mssentinel/app/ledger"
)

func (f *fixture) wantLive(want LiveTotals) {
	f.Helper()
	got, err := f.LiveTotals(ctx())
	f.do(err)
	if diff := cmp.Diff(want, got); diff != "" {
		f.Errorf("live objects (-want +got):\n%s", diff)
	}
	total, asOf, err := f.LiveObjects(ctx())
	if f.do(err); total != want.Total || !asOf.Equal(want.AsOf) {
		f.Errorf("%d live objects at %s, want %d at %s", total, asOf, want.Total, want.AsOf)
	}
}

// What is counted stays what it was until it is counted again, over a restart; it goes with the destination.
func TestLiveObjects(t *testing.T) {
	f := newFixture(t)
	f.wantLive(LiveTotals{})
	f.do(f.KeepLiveTotals(ctx(), f.now))
	f.wantLive(LiveTotals{AsOf: f.now})
	f.fill(liveChunk + 1) // more than one statement counts
	f.wantLive(LiveTotals{AsOf: f.now})
	f.now = f.now.Add(time.Minute)
	f.do(f.KeepLiveTotals(ctx(), f.now))
	all := LiveTotals{AsOf: f.now, Total: liveChunk + 1, Types: []NameTotal{{"Host", liveChunk + 1}}, Owners: []NameTotal{{"o", liveChunk + 1}}}
	f.wantLive(all)

	f.do(f.Forget(ctx(), f.query, []int64{1, 2}, ledger.Certain)) // no one gives them, and they stand
	f.do(f.KeepLiveTotals(ctx(), f.now))
	all.Owners[0].Objects, all.Unowned = liveChunk-1, 2
	f.wantLive(all)
	f.reopen()
	f.wantLive(all)
	f.do(f.KeepLiveTotals(ctx(), f.now.Add(31*day24))) // their time to live has ended
	f.wantLive(LiveTotals{AsOf: f.now.Add(31 * day24)})

	f.do(f.KeepLiveTotals(ctx(), f.now))
	f.do(second(f.SetDestination(ctx(), "workspace", "another")))
	f.wantLive(LiveTotals{})
	f.do(f.KeepLiveTotals(ctx(), f.now))
	f.wantLive(LiveTotals{AsOf: f.now})
}

// Before the first start there is nothing to count.
func TestLiveObjectsOfNoDestination(t *testing.T) {
	f := &fixture{T: t, dir: t.TempDir(), now: noon}
	f.open()
	t.Cleanup(func() { f.Close() })
	f.do(f.KeepLiveTotals(ctx(), f.now))
	f.wantLive(LiveTotals{})
}
