package sentinel

import (
	"context"
	"errors"
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
		return ctx.Err()
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
				slot, err := p.takeSlot(t.Context(), sleepQuietly)
				if err != nil {
					t.Error(err)
					return
				}
				c := call{started: time.Now()}
				time.Sleep(latency)
				c.ended = p.freeSlot()
				if err := p.recordEnd(t.Context(), slot, c.ended); err != nil {
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
		begin := func(want time.Duration) int64 {
			t.Helper()
			slot, err := p.takeSlot(t.Context(), sleepQuietly)
			if got := time.Since(start); err != nil || got != want {
				t.Fatalf("began after %v (%v), want %v", got, err, want)
			}
			return slot
		}
		begin(0)
		begin(0)
		time.Sleep(5 * time.Second)
		p.freeSlot()
		time.Sleep(2 * time.Second)
		p.freeSlot()
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
					if _, err := p.takeSlot(t.Context(), sleepQuietly); err != nil || time.Since(start) != want {
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

func TestPauseRequests(t *testing.T) {
	for _, limit := range []int{0, 5} {
		synctest.Test(t, func(t *testing.T) {
			p, start := NewPacer(&memorySlots{}, limit, time.Minute), time.Now()
			p.pauseRequests(10 * time.Second)
			var group sync.WaitGroup
			for range 3 {
				group.Go(func() {
					if _, err := p.takeSlot(t.Context(), sleepQuietly); err != nil || time.Since(start) != 25*time.Second {
						t.Errorf("began after %v (%v)", time.Since(start), err)
					}
				})
			}
			time.Sleep(5 * time.Second)
			p.pauseRequests(20 * time.Second) // those who wait already wait on
			p.pauseRequests(time.Second)      // and a shorter pause takes nothing back
			group.Wait()
		})
	}
}

func TestSlotIsGivenBack(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		slots := &memorySlots{}
		p := NewPacer(slots, 1, time.Minute)
		broken := errors.New("disk full")
		slots.fail(broken)
		for range 3 {
			if _, err := p.takeSlot(t.Context(), sleepQuietly); !errors.Is(err, broken) {
				t.Fatalf("got %v", err)
			}
		}
		slots.fail(nil)
		slot, err := p.takeSlot(t.Context(), sleepQuietly)
		if err != nil {
			t.Fatal(err)
		}
		slots.fail(broken)
		if err := p.recordEnd(t.Context(), slot, p.freeSlot()); !errors.Is(err, broken) {
			t.Fatalf("got %v", err)
		}
		slots.fail(nil)
		ctx, cancel := context.WithTimeout(t.Context(), 10*time.Second)
		defer cancel()
		if _, err := p.takeSlot(ctx, sleepQuietly); !errors.Is(err, context.DeadlineExceeded) {
			t.Fatalf("got %v", err)
		}
		if _, err := p.takeSlot(t.Context(), sleepQuietly); err != nil {
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
