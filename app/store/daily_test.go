package store

import (
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"

	"mssentinel/app/job"
)

// What was done is told by days that end at midnight UTC; nothing else is told than what was asked for.
func TestActivity(t *testing.T) {
	f := newFixture(t)
	midnight := time.Date(2026, 11, 25, 0, 0, 0, 0, time.UTC)
	f.now = midnight.Add(-time.Millisecond)
	j := f.begin(job.Full)
	f.apply(j, 0, 5)
	out, err := f.Outgoing(ctx(), 0, 100)
	f.do(err)
	f.do(f.Settle(ctx(), Settlement{At: f.now, Accepted: out[:2], Rejected: []RejectedObject{{Outgoing: out[2], Code: "Bad"}}}))
	f.do(f.AddWait(ctx(), f.now, 90*time.Second))
	f.now = midnight
	f.do(f.Settle(ctx(), Settlement{At: f.now, Accepted: out[3:]}))
	f.do(f.AddWait(ctx(), f.now, time.Second))
	f.do(f.AddWait(ctx(), f.now.Add(23*time.Hour), time.Second))
	f.complete(j)

	j = f.begin(job.Delta)
	f.now = f.now.Add(10 * time.Second)
	j, err = f.FailJob(ctx(), j.RequestID, f.now, "It failed.", false, 0)
	f.do(err)
	f.do(second(f.UpdateJob(ctx(), j.RequestID, (*job.Job).Retry)))
	f.now = f.now.Add(time.Hour) // which is no work
	j = f.beginAgain(j)
	f.now = f.now.Add(20 * time.Second)
	f.complete(j)
	other := f.begin(job.Delta)
	f.now = f.now.Add(-time.Hour) // the clock was put back
	f.do(f.CancelJob(ctx(), other.RequestID, f.now))

	dayBefore := midnight.Add(-day24)
	want := Activity{
		Types:   []TypeDay{{dayBefore, "Host", 2, 1, 0}, {midnight, "Host", 2, 0, 0}},
		Waits:   []WaitDay{{dayBefore, 90 * time.Second}, {midnight, 2 * time.Second}},
		Updates: []UpdateDay{{midnight, job.Delta, 3, 30 * time.Second, 20 * time.Second}, {midnight, job.Full, 1, time.Millisecond, time.Millisecond}},
	}
	for _, c := range []struct {
		from, to time.Time
		want     Activity
	}{
		{dayBefore.Add(time.Hour), midnight, want},
		{dayBefore.Add(-365 * day24), midnight.Add(23 * time.Hour), want},
		{midnight, midnight, Activity{Types: want.Types[1:], Waits: want.Waits[1:], Updates: want.Updates}},
		{midnight.Add(day24), midnight.Add(2 * day24), Activity{}},
		{midnight, dayBefore, Activity{}},
	} {
		got, err := f.Activity(ctx(), c.from, c.to)
		f.do(err)
		if diff := cmp.Diff(c.want, got); diff != "" {
			t.Errorf("from %s to %s (-want +got):\n%s", c.from, c.to, diff)
		}
	}
}
