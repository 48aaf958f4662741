package sentinel

import (
	"context"
	"errors"
	"fmt"
	"math/rand/v2"
	"slices"
	"sync"
	"testing"
	"testing/synctest"
	"time"

	"pgregory.net/rapid"
)

func sleepQuietly(ctx context.Context, until time.Time, _ string) error {
	timer := time.NewTimer(time.Until(until))
	defer timer.Stop()
	select {
	case <-timer.C:
		return nil
	case <-ctx.Done():
		return context.Cause(ctx)
	}
}

// call is one request: the server may stamp it at any instant between its two times.
type call struct{ started, ended time.Time }

// mostInWindow is the largest number of calls that a server could count in any window, wherever it stamps each.
func mostInWindow(calls []call, window time.Duration) int {
	most := 0
	for _, at := range calls { // a window that ends with the start of a call holds the most
		n := 0
		for _, c := range calls {
			if !c.started.After(at.started) && at.started.Sub(c.ended) < window {
				n++
			}
		}
		most = max(most, n)
	}
	return most
}

// makeRequests sends requests of random duration with several workers through a pacer, and is interrupted and taken up
// again.
func makeRequests(t *testing.T, p *Pacer, slots *memorySlots, random *rand.Rand, workers, requests int, slowest time.Duration) []call {
	var (
		mu    sync.Mutex
		calls []call
		group sync.WaitGroup
	)
	work := make(chan time.Duration, requests)
	for range requests {
		work <- time.Duration(random.Int64N(int64(slowest) + 1))
	}
	close(work)
	for range workers {
		group.Go(func() {
			for latency := range work {
				turn, err := p.takeTurn(t.Context(), sleepQuietly)
				if err != nil {
					t.Error(err)
					return
				}
				c := call{started: time.Now()}
				time.Sleep(latency)
				c.ended = time.Now()
				p.endTurn(turn, c.ended)
				if err := p.recordEnd(t.Context(), turn.slot, c.ended); err != nil {
					t.Error(err)
				}
				mu.Lock()
				calls = append(calls, c)
				mu.Unlock()
			}
		})
	}
	group.Wait()
	return calls
}

func TestNeverMoreThanTheLimitInAnyWindow(t *testing.T) {
	rapid.Check(t, func(r *rapid.T) {
		limit := rapid.IntRange(1, 30).Draw(r, "limit")
		workers := rapid.IntRange(1, 10).Draw(r, "workers")
		requests := rapid.IntRange(1, 120).Draw(r, "requests")
		slowest := time.Duration(rapid.Int64Range(0, int64(90*time.Second)).Draw(r, "slowest"))
		idle := time.Duration(rapid.Int64Range(0, int64(2*time.Minute)).Draw(r, "idle"))
		seed := rapid.Uint64().Draw(r, "seed")
		var most int
		synctest.Test(t, func(t *testing.T) {
			slots := &memorySlots{}
			random := rand.New(rand.NewPCG(seed, 1))
			calls := makeRequests(t, NewPacer(slots, limit, time.Minute), slots, random, workers, requests, slowest)
			time.Sleep(idle)
			// Another process takes over, and knows only what was kept.
			calls = append(calls, makeRequests(t, NewPacer(slots, limit, time.Minute), slots, random, workers, requests, slowest)...)
			most = mostInWindow(calls, time.Minute)
		})
		if most > limit {
			r.Fatalf("%d requests in a minute", most)
		}
	})
}

func TestSlotsAreFreeAWindowAfterTheAnswer(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		start := time.Now()
		slots := &memorySlots{}
		p := NewPacer(slots, 2, time.Minute)
		begin := func(want time.Duration) turn {
			t.Helper()
			turn, err := p.takeTurn(t.Context(), sleepQuietly)
			if got := time.Since(start); err != nil || got != want {
				t.Fatalf("began after %v (%v), want %v", got, err, want)
			}
			return turn
		}
		first, second := begin(0), begin(0)
		time.Sleep(5 * time.Second)
		answered := time.Now()
		time.Sleep(2 * time.Second)
		p.endTurn(first, answered)
		p.endTurn(second, time.Now())
		begin(65 * time.Second)
		begin(67 * time.Second)
	})
}

func TestRestart(t *testing.T) {
	ago := func(d time.Duration) time.Time { return time.Now().Add(-d) }
	tests := map[string]struct {
		limit int
		slots func() []slot
		want  []time.Duration // when the next requests begin
	}{
		"nothing kept":   {2, func() []slot { return nil }, []time.Duration{0, 0}},
		"long ago":       {2, func() []slot { return []slot{{ago(time.Hour), ago(time.Hour)}} }, []time.Duration{0, 0}},
		"half a minute":  {2, func() []slot { return []slot{{ago(31 * time.Second), ago(30 * time.Second)}} }, []time.Duration{0, 30*time.Second + time.Millisecond}},
		"never answered": {1, func() []slot { return []slot{{ago(time.Hour), time.Time{}}} }, []time.Duration{time.Minute + time.Millisecond}},
		"clock set back": {1, func() []slot { return []slot{{ago(-time.Hour), ago(-time.Hour)}} }, []time.Duration{time.Minute + time.Millisecond}},
		"lower limit": {1, func() []slot {
			return []slot{{ago(40 * time.Second), ago(40 * time.Second)}, {ago(10 * time.Second), ago(10 * time.Second)}, {ago(30 * time.Second), ago(30 * time.Second)}}
		}, []time.Duration{50*time.Second + time.Millisecond}},
	}
	for name, tt := range tests {
		t.Run(name, func(t *testing.T) {
			synctest.Test(t, func(t *testing.T) {
				slots := &memorySlots{slots: tt.slots()}
				p, start := NewPacer(slots, tt.limit, time.Minute), time.Now()
				for _, want := range tt.want {
					if _, err := p.takeTurn(t.Context(), sleepQuietly); err != nil || time.Since(start) != want {
						t.Fatalf("began after %v (%v), want %v", time.Since(start), err, want)
					}
				}
				if n := slots.open(); n != len(tt.want) {
					t.Fatalf("%d slots are open, want those of %d requests", n, len(tt.want))
				}
			})
		})
	}
}

// After a throttle nobody starts before its time, and then one alone. The others follow once it has passed; not when it was not
// answered or was throttled itself.
func TestThrottle(t *testing.T) {
	for limit, want := range map[int]string{0: "[25s 27s 1m0s 1m2s 1m2s]", 100: "[25s 27s 1m0s 1m2s 1m2.778588807s]"} {
		synctest.Test(t, func(t *testing.T) {
			p, start := NewPacer(&memorySlots{}, limit, time.Minute), time.Now()
			p.throttle(turn{started: start}, 10*time.Second)
			answers := []func(turn){func(turn) {}, func(u turn) { p.throttle(u, 31*time.Second) }, p.pass, p.pass, p.pass}
			var starts []time.Duration
			var group sync.WaitGroup
			var mu sync.Mutex
			for range answers {
				group.Go(func() {
					u, err := p.takeTurn(t.Context(), sleepQuietly)
					if err != nil {
						t.Error(err)
					}
					mu.Lock()
					n := len(starts)
					starts = append(starts, time.Since(start))
					mu.Unlock()
					time.Sleep(2 * time.Second)
					answers[n](u)
					p.endTurn(u, time.Now())
				})
			}
			time.Sleep(5 * time.Second)
			p.throttle(turn{started: start}, 20*time.Second) // those who wait already wait on
			p.throttle(turn{started: start}, time.Second)    // and a shorter pause takes nothing back
			group.Wait()
			if got := fmt.Sprint(starts); got != want {
				t.Errorf("limit %d: they began after %s, want %s", limit, got, want)
			}
		})
	}
}

// A request that was under way before a throttle and passes after it shows nothing, nor does a probe without an answer: the next one is
// the probe.
func TestProbeIsTheFirstToPass(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		p := NewPacer(nil, 100, time.Minute)
		before, err := p.takeTurn(t.Context(), sleepQuietly)
		if err != nil || before.probe {
			t.Fatalf("got %+v, %v", before, err)
		}
		p.throttle(turn{started: time.Now()}, 10*time.Second)
		p.pass(before)
		for _, passes := range []bool{false, true} {
			u, err := p.takeTurn(t.Context(), sleepQuietly)
			if err != nil || !u.probe || !u.started.Equal(time.Now()) {
				t.Errorf("the next one is %+v, %v", u, err)
			}
			if passes {
				p.pass(u)
			}
			p.endTurn(u, time.Now())
		}
		if u, err := p.takeTurn(t.Context(), sleepQuietly); err != nil || u.probe {
			t.Errorf("after the probe: %+v, %v", u, err)
		}
	})
}

// Who waits is told what for.
func TestReasonsOfTheLimit(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		p := NewPacer(nil, 3, time.Minute)
		for _, want := range []string{
			"[]", "[" + LimitReached + ": it asked to wait]", "[" + LimitReached + ": others use the same app registration]", "[" + LimitReached + "]",
		} {
			var reasons []string
			u, err := p.takeTurn(t.Context(), func(ctx context.Context, until time.Time, reason string) error {
				reasons = append(reasons, reason)
				return sleepQuietly(ctx, until, reason)
			})
			if got := fmt.Sprint(reasons); err != nil || got != want {
				t.Errorf("it waited for %s, want %s (%v)", got, want, err)
			}
			if want == "[]" {
				p.throttle(u, time.Second)
			} else {
				p.pass(u)
			}
			p.endTurn(u, time.Now())
		}
	})
}

// slowSlots take their time to read what an earlier process noted.
type slowSlots struct{ memorySlots }

func (s *slowSlots) LoadSlots(ctx context.Context, now time.Time) ([]time.Time, error) {
	time.Sleep(10 * time.Second)
	return s.memorySlots.LoadSlots(ctx, now)
}

// Who leaves goes at once, wherever it waits, takes nothing along, and the next one has its turn when it would have had it anyway.
func TestWhoWaitsMayLeave(t *testing.T) {
	left := errors.New("somebody left")
	throttled := func(p *Pacer) { p.throttle(turn{started: time.Now()}, 10*time.Second) }
	another := func(answer time.Duration) func(*Pacer) {
		return func(p *Pacer) {
			go func() {
				u, err := p.takeTurn(context.Background(), sleepQuietly)
				if time.Sleep(answer); err == nil {
					p.endTurn(u, time.Now())
				}
			}()
			synctest.Wait()
		}
	}
	for name, tt := range map[string]struct {
		limit   int
		slots   Slots
		prepare func(*Pacer)
		next    time.Duration
	}{
		"times are read":       {2, &slowSlots{}, another(0), 10 * time.Second},
		"another is next":      {0, nil, func(p *Pacer) { throttled(p); another(5 * time.Second)(p) }, 15 * time.Second},
		"all slots are in use": {1, nil, another(5 * time.Second), 65 * time.Second},
		"no slot is free":      {1, nil, another(0), time.Minute},
		"throttled":            {1, nil, throttled, 10 * time.Second},
		"without a limit":      {0, nil, throttled, 10 * time.Second},
	} {
		t.Run(name, func(t *testing.T) {
			synctest.Test(t, func(t *testing.T) {
				p, start := NewPacer(tt.slots, tt.limit, time.Minute), time.Now()
				tt.prepare(p)
				ctx, leave := context.WithCancelCause(t.Context())
				time.AfterFunc(time.Second, func() { leave(left) })
				if u, err := p.takeTurn(ctx, sleepQuietly); !errors.Is(err, left) || u != (turn{}) || time.Since(start) != time.Second {
					t.Errorf("it left after %v: %+v, %v", time.Since(start), u, err)
				}
				if _, err := p.takeTurn(t.Context(), sleepQuietly); err != nil || time.Since(start) != tt.next {
					t.Errorf("the next one began after %v, want %v (%v)", time.Since(start), tt.next, err)
				}
			})
		})
	}
}

// Who left before starts nothing, though everything is free.
func TestNothingStartsForWhoLeft(t *testing.T) {
	left := errors.New("somebody left")
	ctx, leave := context.WithCancelCause(t.Context())
	leave(left)
	for _, limit := range []int{0, 1} {
		p := NewPacer(nil, limit, time.Minute)
		for range 100 { // what is free and what ended are chosen at random
			if u, err := p.takeTurn(ctx, sleepQuietly); !errors.Is(err, left) {
				t.Fatalf("limit %d: %+v, %v", limit, u, err)
			}
		}
	}
}

// silentSlots never come to an end.
type silentSlots struct{ memorySlots }

func (*silentSlots) EndSlot(ctx context.Context, _ int64, _ time.Time) error {
	<-ctx.Done()
	return ctx.Err()
}

// The end of a request is noted though its job has been stopped, for as long as a database may be busy.
func TestEndIsNotedAfterAStop(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		stopped, stop := context.WithCancel(t.Context())
		stop()
		slots := &memorySlots{slots: []slot{{started: time.Now()}}}
		if err := NewPacer(slots, 1, time.Minute).recordEnd(stopped, 1, time.Now()); err != nil || slots.open() > 0 {
			t.Errorf("%d slots are open: %v", slots.open(), err)
		}
		start := time.Now()
		if err := NewPacer(&silentSlots{}, 1, time.Minute).recordEnd(stopped, 1, start); !errors.Is(err, context.DeadlineExceeded) || time.Since(start) != recordEndTimeout {
			t.Errorf("it gave up after %v: %v", time.Since(start), err)
		}
	})
}

// A throttle takes an eighth of the share, once for all that were under way, and down to a tenth of the limit, or one; what passes
// adds to it, up to the limit.
func TestShare(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		p := NewPacer(nil, 10, time.Minute)
		if p.pass(turn{}); p.share != 10 {
			t.Errorf("the share is %v of 10", p.share)
		}
		for _, want := range []float64{8.75, 7.65625} {
			time.Sleep(time.Second)
			u := turn{started: time.Now()}
			time.Sleep(time.Second)
			for range 3 {
				p.throttle(u, time.Second)
			}
			if p.share != want {
				t.Errorf("the share is %v, want %v", p.share, want)
			}
		}
		for _, want := range []float64{8.15625, 8.65625, 9.15625, 9.65625, 10, 10} {
			if p.pass(turn{}); p.share != want {
				t.Errorf("the share is %v, want %v", p.share, want)
			}
		}
		p = NewPacer(nil, 100, time.Minute)
		for range 50 {
			time.Sleep(time.Second)
			p.throttle(turn{started: time.Now()}, time.Second)
		}
		if p.share != 10 {
			t.Errorf("the share is %v of 100", p.share)
		}
		p = NewPacer(nil, 1, time.Minute)
		if p.throttle(turn{started: time.Now()}, time.Second); p.share != 1 {
			t.Errorf("the share is %v of 1", p.share)
		}
	})
}

func TestSlotIsGivenBack(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		slots := &memorySlots{}
		p := NewPacer(slots, 1, time.Minute)
		broken := errors.New("disk full")
		slots.fail(broken)
		for range 3 {
			if _, err := p.takeTurn(t.Context(), sleepQuietly); !errors.Is(err, broken) {
				t.Fatalf("got %v", err)
			}
		}
		slots.fail(nil)
		turn, err := p.takeTurn(t.Context(), sleepQuietly)
		if err != nil {
			t.Fatal(err)
		}
		slots.fail(broken)
		p.endTurn(turn, time.Now())
		if err := p.recordEnd(t.Context(), turn.slot, time.Now()); !errors.Is(err, broken) {
			t.Fatalf("got %v", err)
		}
		slots.fail(nil)
		ctx, cancel := context.WithTimeout(t.Context(), 10*time.Second)
		defer cancel()
		if _, err := p.takeTurn(ctx, sleepQuietly); !errors.Is(err, context.DeadlineExceeded) {
			t.Fatalf("got %v", err)
		}
		if _, err := p.takeTurn(t.Context(), sleepQuietly); err != nil {
			t.Fatal(err)
		}
	})
}

func TestNoLimit(t *testing.T) {
	for _, limit := range []int{0, -1} {
		synctest.Test(t, func(t *testing.T) {
			slots := &memorySlots{}
			calls := makeRequests(t, NewPacer(slots, limit, 0), slots, rand.New(rand.NewPCG(1, 1)), 8, 2000, 0)
			if len(calls) != 2000 || len(slots.slots) > 0 || !slices.MaxFunc(calls, byEnd).ended.Equal(calls[0].started) {
				t.Fatalf("%d calls, %d slots kept", len(calls), len(slots.slots))
			}
		})
	}
}

// Where nobody keeps the times, the limit holds within the process.
func TestLimitWithoutSlots(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		calls := makeRequests(t, NewPacer(nil, 3, time.Minute), nil, rand.New(rand.NewPCG(1, 1)), 4, 20, time.Second)
		if most := mostInWindow(calls, time.Minute); len(calls) != 20 || most != 3 {
			t.Fatalf("%d calls, %d of them in a minute", len(calls), most)
		}
	})
}

func byEnd(a, b call) int { return a.ended.Compare(b.ended) }
