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
	// LoadSlots returns when the requests of at least the last window ended, in any order. It notes now as the end of those
	// that have none: a process that ended never saw their answers.
	LoadSlots(ctx context.Context, now time.Time) (ended []time.Time, err error)
	// BeginSlot notes that a request starts, durably once it returns. The id is above 0.
	BeginSlot(ctx context.Context, started time.Time) (id int64, err error)
	// EndSlot notes that the answer to a request arrived, or that none will arrive any more.
	EndSlot(ctx context.Context, id int64, ended time.Time) error
}

// endSlotTimeout bounds the note that a request is over, which is written even when its job has been stopped. A database
// in which a long read holds up the one that writes takes its time.
const endSlotTimeout = 30 * time.Second

// Pacer keeps requests to a limit in any window, as the server may measure it: a request counts from its start until one
// window after its answer arrived, since the server may have stamped it at any instant in between. It may be shared.
type Pacer struct {
	slots  Slots
	limit  int
	window time.Duration

	turns chan time.Time // one for each request that may count at once: when it may start
	fresh chan struct{}  // holds one element until the slots are loaded, then it is closed

	mu     sync.Mutex
	paused time.Time // nobody starts before, because the server said so
}

// NewPacer makes a pacer of at most limit requests in any window; 0 means no limit, and then slots may be nil.
func NewPacer(slots Slots, limit int, window time.Duration) *Pacer {
	p := &Pacer{
		slots: slots, limit: max(limit, 0), window: window,
		turns: make(chan time.Time, max(limit, 0)), fresh: make(chan struct{}, 1),
	}
	p.fresh <- struct{}{}
	return p
}

// sleeper waits until an instant and says why it does.
type sleeper func(ctx context.Context, until time.Time, reason string) error

// begin waits for a turn and notes its start. Whoever gets a slot has to end it, after done.
func (p *Pacer) begin(ctx context.Context, sleep sleeper) (slot int64, err error) {
	if p.limit == 0 {
		return 0, p.await(ctx, time.Time{}, sleep)
	}
	if err := p.load(ctx); err != nil {
		return 0, err
	}
	var at time.Time
	select {
	case at = <-p.turns:
	case <-ctx.Done():
		return 0, ctx.Err()
	}
	if err = p.await(ctx, at, sleep); err == nil {
		slot, err = p.slots.BeginSlot(ctx, time.Now())
	}
	if err != nil {
		p.turns <- at
		return 0, fmt.Errorf("waiting for a turn to send: %w", err)
	}
	return slot, nil
}

// done frees the turn one window from now, when the answer has arrived or will not arrive any more.
func (p *Pacer) done() time.Time {
	now := time.Now()
	if p.limit > 0 {
		p.turns <- now.Add(p.window)
	}
	return now
}

// end notes the end of a slot that nobody settles.
func (p *Pacer) end(ctx context.Context, slot int64, ended time.Time) error {
	if p.limit == 0 {
		return nil
	}
	ctx, cancel := context.WithTimeout(context.WithoutCancel(ctx), endSlotTimeout)
	defer cancel()
	if err := p.slots.EndSlot(ctx, slot, ended); err != nil {
		return fmt.Errorf("noting the end of a request: %w", err)
	}
	return nil
}

// pause keeps everybody from starting a request for a while.
func (p *Pacer) pause(d time.Duration) {
	until := time.Now().Add(d)
	p.mu.Lock()
	defer p.mu.Unlock()
	if until.After(p.paused) {
		p.paused = until
	}
}

// await returns when a turn has come and no pause is on. A pause may begin while it waits.
func (p *Pacer) await(ctx context.Context, at time.Time, sleep sleeper) error {
	for {
		until, reason := at, "Sentinel's limit of requests is reached"
		p.mu.Lock()
		if p.paused.After(until) {
			until, reason = p.paused, "Sentinel's limit of requests is reached: it asked to wait"
		}
		p.mu.Unlock()
		if !until.After(time.Now()) {
			return ctx.Err()
		}
		if err := sleep(ctx, until, reason); err != nil {
			return err
		}
	}
}

// load fills in the turns once, from the slots of an earlier process.
func (p *Pacer) load(ctx context.Context) error {
	select {
	case _, unloaded := <-p.fresh:
		if !unloaded {
			return nil
		}
	case <-ctx.Done():
		return ctx.Err()
	}
	turns, err := p.recorded(ctx)
	if err != nil {
		p.fresh <- struct{}{}
		return fmt.Errorf("reading the times of the last requests: %w", err)
	}
	for _, at := range turns {
		p.turns <- at
	}
	close(p.fresh)
	return nil
}

// recorded returns when each turn may start, the earliest first. A request whose answer nobody saw counts from now, and so
// does one from the future, which only a clock that was set back explains.
func (p *Pacer) recorded(ctx context.Context) ([]time.Time, error) {
	now := time.Now()
	ends, err := p.slots.LoadSlots(ctx, now)
	if err != nil {
		return nil, err
	}
	turns := make([]time.Time, p.limit, p.limit+len(ends)) // all free
	for _, ended := range ends {
		if ended.After(now) {
			ended = now
		}
		turns = append(turns, ended.Add(p.window+time.Millisecond))
	}
	slices.SortFunc(turns, time.Time.Compare)
	return turns[len(turns)-p.limit:], nil
}
