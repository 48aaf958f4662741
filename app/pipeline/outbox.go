package pipeline

import (
	"context"
	"fmt"
	"sync/atomic"
	"time"
)

// The outbox is kept between these sizes, in rows: Convert waits above the upper one until the lower one is reached.
const (
	outboxFull = 8_000
	outboxRoom = 6_000
)

// recountEvery is how often who waits for room counts again, since the size between counts is an estimate.
const recountEvery = 30 * time.Second

// outboxCounter counts the rows of the outbox.
type outboxCounter interface {
	OutboxSize(ctx context.Context) (int64, error)
}

// outboxGauge knows about how many rows of the outbox wait for Upload, so that disk and memory stay bounded however
// slowly Sentinel takes them.
type outboxGauge struct {
	store outboxCounter
	rows  atomic.Int64
	// room holds a token when the rows became fewer.
	room chan struct{}
}

func newOutboxGauge(s outboxCounter) *outboxGauge {
	return &outboxGauge{store: s, room: make(chan struct{}, 1)}
}

// recount replaces the estimate by the number in the store.
func (g *outboxGauge) recount(ctx context.Context) error {
	rows, err := g.store.OutboxSize(ctx)
	if err != nil {
		return fmt.Errorf("counting what waits for upload: %w", err)
	}
	g.rows.Store(rows)
	return nil
}

// addRows says that rows were queued.
func (g *outboxGauge) addRows(n int64) { g.rows.Add(n) }

// removeRows says that rows were taken off.
func (g *outboxGauge) removeRows(n int64) {
	g.rows.Add(-n)
	leaveToken(g.room)
}

func (g *outboxGauge) isFull() bool { return g.rows.Load() > outboxFull }

// awaitRoom waits until the outbox has room again.
func (g *outboxGauge) awaitRoom(ctx context.Context) error {
	for g.rows.Load() > outboxRoom {
		select {
		case <-ctx.Done():
			return context.Cause(ctx)
		case <-g.room:
		case <-time.After(recountEvery):
			if err := g.recount(ctx); err != nil {
				return err
			}
		}
	}
	return g.recount(ctx)
}
