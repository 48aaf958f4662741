package sentinel

import (
	"context"
	"fmt"
	"slices"
	"sync"
	"time"
)

// Slots keep the times of the last requests across restarts. Times may be rounded down to the millisecond.
type Slots interface {
	// LoadSlots returns when the requests of at least the last window ended, in any order. It notes now as the end of
	// those that have none: a process that ended never saw their answers.
	LoadSlots(ctx context.Context, now time.Time) (ended []time.Time, err error)
	// BeginSlot notes that a request starts; once it returns, a crash of the process does not lose that. The id is above 0.
	BeginSlot(ctx context.Context, started time.Time) (id int64, err error)
	// EndSlot notes that the answer to a request arrived, or that none will arrive any more.
	EndSlot(ctx context.Context, id int64, ended time.Time) error
}

// recordEndTimeout bounds the note that a request is over, which is written even when its job has been stopped. It
// is long because a long read of the database may hold up its writer.
const recordEndTimeout = 30 * time.Second

// Pacer keeps requests to a limit in any window, wherever in an exchange the server counts the request: a slot is taken
// from the start of a request until one window after its answer arrived. Clients that share a limit share one pacer,
// which may be used by several goroutines at once. app/docs/sentinel.md#limits
//
// Clients of other processes may share the limit too, of which the server's throttle alone tells. Then the pacer looks for its
// share: it spreads that many requests over a window, an eighth fewer after each throttle, not less than a tenth of the limit, and
// half a one more for each that passes. Who has more meets more throttles, so that all come to about the same, however near the
// server is. Once its share is the limit it is alone, and spreads nothing.
type Pacer struct {
	slots  Slots
	limit  int
	window time.Duration

	free   chan time.Time // one element for each slot that no request holds: when it is free
	unread chan struct{}  // holds one element until the slots of an earlier process are loaded; then it is closed
	turn   chan struct{}  // holds one element unless a request is the next to start, or a probe waits for its answer

	mu        sync.Mutex
	paused    time.Time // no request starts before, because the server said so
	probing   bool      // after a throttle: one request has to pass before others follow
	share     float64   // of the limit
	spread    time.Time // no request starts before, because of the share
	throttled time.Time // when the share was made smaller
}

// NewPacer makes a pacer of at most limit requests in any window. A limit of 0 or less means none. Without slots (nil) the
// times do not outlive the process.
func NewPacer(slots Slots, limit int, window time.Duration) *Pacer {
	limit = max(limit, 0)
	if slots == nil {
		slots = lostSlots{}
	}
	p := &Pacer{
		slots: slots, limit: limit, window: window, share: float64(limit),
		free: make(chan time.Time, limit), unread: make(chan struct{}, 1), turn: make(chan struct{}, 1),
	}
	p.unread <- struct{}{}
	p.turn <- struct{}{}
	return p
}

// lostSlots keep nothing.
type lostSlots struct{}

func (lostSlots) LoadSlots(context.Context, time.Time) ([]time.Time, error)  { return nil, nil }
func (lostSlots) BeginSlot(context.Context, time.Time) (id int64, err error) { return 1, nil }
func (lostSlots) EndSlot(context.Context, int64, time.Time) error            { return nil }

// sleepFunc waits until an instant and says why. It returns an error when ctx ends before.
type sleepFunc func(ctx context.Context, until time.Time, reason string) error

// turn is one request's place among those of a pacer.
type turn struct {
	slot    int64 // 0 where there is no limit
	started time.Time
	probe   bool // the others wait for its answer
}

// takeTurn waits until a request may start, and notes that it does. After it, endTurn has to be called and the end be noted, by
// recordEnd or in the transaction that settles the request.
func (p *Pacer) takeTurn(ctx context.Context, sleep sleepFunc) (turn, error) {
	if err := p.loadSlots(ctx); err != nil {
		return turn{}, err
	}
	select {
	case <-p.turn:
	case <-ctx.Done():
		return turn{}, context.Cause(ctx)
	}
	t, err := p.startNext(ctx, sleep)
	if !t.probe {
		p.turn <- struct{}{}
	}
	return t, err
}

// startNext waits for a slot, and for all that keeps requests back. What does not start is no probe.
func (p *Pacer) startNext(ctx context.Context, sleep sleepFunc) (t turn, err error) {
	var at time.Time
	if p.limit > 0 {
		select {
		case at = <-p.free:
		case <-ctx.Done():
			return turn{}, context.Cause(ctx)
		}
	}
	if t.probe, err = p.awaitStart(ctx, at, sleep); err == nil {
		t.started = time.Now()
		if p.limit > 0 {
			t.slot, err = p.slots.BeginSlot(ctx, t.started)
		}
	}
	if err == nil {
		return t, nil
	}
	if p.limit > 0 {
		p.free <- at
	}
	return turn{}, fmt.Errorf("waiting for a slot to send: %w", err)
}

// endTurn gives the place of a request back: its slot is free one window after the answer arrived, or it was certain that none
// will. What the answer says of the limit has to be told before, by pass or throttle.
func (p *Pacer) endTurn(t turn, ended time.Time) {
	if p.limit > 0 {
		p.free <- ended.Add(p.window)
	}
	if t.probe {
		p.turn <- struct{}{}
	}
}

// pass notes that the server let a request through.
func (p *Pacer) pass(t turn) {
	p.mu.Lock()
	defer p.mu.Unlock()
	p.share = min(p.share+0.5, float64(p.limit))
	if t.probe {
		p.probing = false
	}
}

// throttle notes that the server wants no request for a while. It never shortens a pause. Requests that were under way together
// meet the same throttle.
func (p *Pacer) throttle(t turn, d time.Duration) {
	now := time.Now()
	p.mu.Lock()
	defer p.mu.Unlock()
	if until := now.Add(d); until.After(p.paused) {
		p.paused = until
	}
	p.probing = true
	if t.started.After(p.throttled) {
		p.share, p.throttled = max(1, float64(p.limit)/10, p.share*7/8), now
	}
}

// recordEnd notes the end of a request that is not settled.
func (p *Pacer) recordEnd(ctx context.Context, slot int64, ended time.Time) error {
	if p.limit == 0 {
		return nil
	}
	ctx, cancel := context.WithTimeout(context.WithoutCancel(ctx), recordEndTimeout)
	defer cancel()
	if err := p.slots.EndSlot(ctx, slot, ended); err != nil {
		return fmt.Errorf("noting the end of a request: %w", err)
	}
	return nil
}

// LimitReached begins the reason of a wait that Sentinel's limit alone causes.
const LimitReached = "Sentinel's limit of requests is reached"

// awaitStart returns when a slot is free, no pause is on and the share allows it, and says whether the request is a probe. A pause
// may begin while it waits.
func (p *Pacer) awaitStart(ctx context.Context, free time.Time, sleep sleepFunc) (probe bool, err error) {
	for {
		until, reason, probe := p.nextStart(free)
		if !until.After(time.Now()) {
			return probe, context.Cause(ctx)
		}
		if err := sleep(ctx, until, reason); err != nil {
			return false, err
		}
	}
}

// nextStart is when the next request may start, and what it waits for. Where that is now, its share is taken.
func (p *Pacer) nextStart(free time.Time) (until time.Time, reason string, probe bool) {
	p.mu.Lock()
	defer p.mu.Unlock()
	now := time.Now()
	until, reason = free, LimitReached
	if p.spread.After(until) {
		until, reason = p.spread, LimitReached+": others use the same app registration"
	}
	if p.paused.After(until) {
		until, reason = p.paused, LimitReached+": it asked to wait"
	}
	if p.share < float64(p.limit) && !until.After(now) {
		p.spread = now.Add(time.Duration(float64(p.window) / p.share))
	}
	return until, reason, p.probing
}

// loadSlots takes over, once, what an earlier process noted.
func (p *Pacer) loadSlots(ctx context.Context) error {
	select {
	case _, first := <-p.unread:
		if !first {
			return nil
		}
	case <-ctx.Done():
		return context.Cause(ctx)
	}
	times, err := p.readFreeTimes(ctx)
	if err != nil {
		p.unread <- struct{}{}
		return fmt.Errorf("reading the times of the last requests: %w", err)
	}
	for _, at := range times {
		p.free <- at
	}
	close(p.unread)
	return nil
}

// readFreeTimes returns when each slot is free, the earliest first. A request that ended in the future counts from now:
// only a clock that was set back explains it. The millisecond makes up for the rounding of [Slots].
func (p *Pacer) readFreeTimes(ctx context.Context) ([]time.Time, error) {
	now := time.Now()
	ends, err := p.slots.LoadSlots(ctx, now)
	if err != nil {
		return nil, err
	}
	times := make([]time.Time, p.limit, p.limit+len(ends)) // all free
	for _, ended := range ends {
		if ended.After(now) {
			ended = now
		}
		times = append(times, ended.Add(p.window+time.Millisecond))
	}
	slices.SortFunc(times, time.Time.Compare)
	return times[len(times)-p.limit:], nil
}
