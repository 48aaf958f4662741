package pipeline

import (
	"context"
	"errors"
	"sync/atomic"
	"testing"
	"testing/synctest"
	"time"
)

// countedOutbox is an outbox of so many rows, below 0 for one that cannot be counted.
type countedOutbox struct{ rows, counts atomic.Int64 }

var errUncounted = errors.New("broken")

func (c *countedOutbox) OutboxSize(context.Context) (int64, error) {
	c.counts.Add(1)
	if n := c.rows.Load(); n >= 0 {
		return n, nil
	}
	return 0, errUncounted
}

// Who waits for room goes on when so many rows were sent, at once where that is told and else when they are counted again.
func TestRoomInTheOutbox(t *testing.T) {
	in(t, func(t *testing.T) {
		c := &countedOutbox{}
		c.rows.Store(outboxFull)
		g := newOutboxGauge(c)
		if err := g.recount(t.Context()); err != nil || g.isFull() {
			t.Errorf("%d rows are too many, %v", g.rows.Load(), err)
		}
		if g.addRows(1); !g.isFull() {
			t.Errorf("%d rows are not too many", g.rows.Load())
		}
		waits := func() chan error {
			ended := make(chan error, 1)
			go func() { ended <- g.awaitRoom(t.Context()) }()
			synctest.Wait()
			return ended
		}
		wantWaiting := func(ended chan error, want bool) {
			t.Helper()
			if synctest.Wait(); (len(ended) == 0) != want {
				t.Errorf("with %d rows it waits: %t", g.rows.Load(), !want)
			}
		}
		ended := waits()
		g.removeRows(outboxFull - outboxRoom)
		wantWaiting(ended, true)
		c.rows.Store(outboxRoom)
		g.removeRows(1)
		wantWaiting(ended, false)

		g.rows.Store(outboxFull + 1)
		ended = waits()
		c.counts.Store(0)
		time.Sleep(recountEvery)
		if wantWaiting(ended, false); c.counts.Load() != 2 {
			t.Errorf("counted %d times", c.counts.Load())
		}

		g.rows.Store(outboxFull + 1)
		ended = waits()
		c.rows.Store(-1)
		time.Sleep(recountEvery)
		if wantWaiting(ended, false); !errors.Is(<-ended, errUncounted) {
			t.Error("that the rows cannot be counted is not told")
		}
	})
}
