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
type Pacer struct {
	slots  Slots
	limit  int
	window time.Duration

	free   chan time.Time // one element for each slot that no request holds: when it is free
	unread chan struct{}  // holds one element until the slots of an earlier process are loaded; then it is closed

	mu     sync.Mutex
	paused time.Time // no request starts before, because the server said so
}

// NewPacer makes a pacer of at most limit requests in any window. A limit of 0 or less means none. Without slots (nil) the
// times do not outlive the process.
func NewPacer(slots Slots, limit int, window time.Duration) *Pacer {
	limit = max(limit, 0)
	if slots == nil {
		slots = lostSlots{}
	}
	p := &Pacer{
		slots: slots, limit: limit, window: window,
		free: make(chan time.Time, limit), unread: make(chan struct{}, 1),
	}
	p.unread <- struct{}{}
	return p
}

// lostSlots keep nothing.
type lostSlots struct{}

func (lostSlots) LoadSlots(context.Context, time.Time) ([]time.Time, error)  { return nil, nil }
func (lostSlots) BeginSlot(context.Context, time.Time) (id int64, err error) { return 1, nil }
func (lostSlots) EndSlot(context.Context, int64, time.Time) error            { return nil }

// sleepFunc waits until an instant and says why. It returns an error when ctx ends before.
type sleepFunc func(ctx context.Context, until time.Time, reason string) error

// takeSlot waits for a slot and notes the start of a request. After it, freeSlot has to be called and the end be noted,
// by recordEnd or in the transaction that settles the request.
func (p *Pacer) takeSlot(ctx context.Context, sleep sleepFunc) (id int64, err error) {
	if p.limit == 0 {
		return 0, p.awaitStart(ctx, time.Time{}, sleep)
	}
	if err := p.loadSlots(ctx); err != nil {
		return 0, err
	}
	var at time.Time
	select {
	case at = <-p.free:
	case <-ctx.Done():
		return 0, context.Cause(ctx)
	}
	if err = p.awaitStart(ctx, at, sleep); err == nil {
		id, err = p.slots.BeginSlot(ctx, time.Now())
	}
	if err != nil {
		p.free <- at
		return 0, fmt.Errorf("waiting for a slot to send: %w", err)
	}
	return id, nil
}

// freeSlot gives a slot back, to be free one window from now. It is called when the answer has arrived or will not
// arrive.
func (p *Pacer) freeSlot() time.Time {
	now := time.Now()
	if p.limit > 0 {
		p.free <- now.Add(p.window)
	}
	return now
}

// recordEnd notes the end of a request that is not settled.
func (p *Pacer) recordEnd(ctx context.Context, id int64, ended time.Time) error {
	if p.limit == 0 {
		return nil
	}
	ctx, cancel := context.WithTimeout(context.WithoutCancel(ctx), recordEndTimeout)
	defer cancel()
	if err := p.slots.EndSlot(ctx, id, ended); err != nil {
		return fmt.Errorf("noting the end of a request: %w", err)
	}
	return nil
}

// pauseRequests keeps all requests from starting for a while. It never shortens a pause.
func (p *Pacer) pauseRequests(d time.Duration) {
	until := time.Now().Add(d)
	p.mu.Lock()
	defer p.mu.Unlock()
	if until.After(p.paused) {
		p.paused = until
	}
}

// LimitReached begins the reason of a wait that Sentinel's limit alone causes.
const LimitReached = "Sentinel's limit of requests is reached"

// awaitStart returns when a slot is free and no pause is on. A pause may begin while it waits.
func (p *Pacer) awaitStart(ctx context.Context, free time.Time, sleep sleepFunc) error {
	for {
		until, reason := free, LimitReached
		p.mu.Lock()
		if p.paused.After(until) {
			until, reason = p.paused, LimitReached+": it asked to wait"
		}
		p.mu.Unlock()
		if !until.After(time.Now()) {
			return context.Cause(ctx)
		}
		if err := sleep(ctx, until, reason); err != nil {
			return err
		}
	}
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
