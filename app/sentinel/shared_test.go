package sentinel

import (
	"bytes"
	"context"
	"net/http"
	"sync"
	"sync/atomic"
	"testing"
	"testing/synctest"
	"time"

	"mssentinel/app/standin/sentinelserver"
)

// join is another Service, with a pacer of its own, that uploads to the stand-in of a lab by the same app registration.
func (l *lab) join(limit int) *lab {
	other := &lab{t: l.t, far: l.far, slots: &memorySlots{}, log: &bytes.Buffer{}, as: l.as}
	other.as.Logger = nil
	other.connect(limit)
	return other
}

// uploads has a Service upload without end, over a network that takes up to so long in both directions, and counts what Sentinel
// took.
func (l *lab) uploads(ctx context.Context, group *sync.WaitGroup, most time.Duration) *atomic.Int64 {
	count := new(atomic.Int64)
	l.client.http.Transport = distance{l.client.http.Transport, most}
	for i := range 8 {
		group.Go(func() {
			for ctx.Err() == nil {
				g, err := l.deliver(ctx, objects(i, 1))
				if err != nil && ctx.Err() == nil {
					l.t.Error(err)
				}
				count.Add(int64(len(g.accepted)))
			}
		})
	}
	return count
}

// Services that share a limit use nearly all of it, each about a third, however far away Sentinel is and whenever it began. What one leaves,
// the others take.
func TestServicesShareTheLimitFairly(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		const limit, services = 100, 3
		l := newLab(t, setup{limit: limit, standin: sentinelserver.Options{Keep: sentinelserver.KeepHashes}})
		var counts []*atomic.Int64
		var leave []context.CancelFunc
		var group sync.WaitGroup
		defer group.Wait()
		for i, most := range []time.Duration{40 * time.Millisecond, 150 * time.Millisecond, 600 * time.Millisecond} {
			member := l
			if i > 0 {
				member = l.join(limit)
			}
			ctx, cancel := context.WithCancel(t.Context())
			defer cancel()
			leave, counts = append(leave, cancel), append(counts, member.uploads(ctx, &group, most))
			time.Sleep(30 * time.Second)
		}
		measure := func(d time.Duration) (rates []float64, all float64) {
			before := make([]int64, services)
			for i, c := range counts {
				before[i] = c.Load()
			}
			time.Sleep(d)
			for i, c := range counts {
				rates = append(rates, float64(c.Load()-before[i])/d.Minutes())
				all += rates[i]
			}
			return rates, all
		}
		time.Sleep(5 * time.Minute)
		rates, all := measure(time.Hour)
		t.Logf("a minute: %.1f, %.1f in all", rates, all)
		if all < 0.95*limit {
			t.Errorf("%.1f requests a minute of %d", all, limit)
		}
		for i, rate := range rates {
			if rate < 0.7*all/services || rate > 1.3*all/services {
				t.Errorf("Service %d has %.1f of %.1f requests a minute", i, rate, all)
			}
		}
		refused := 0
		for _, r := range l.far.Requests() {
			if r.Status == http.StatusTooManyRequests {
				refused++
			}
		}
		t.Logf("%d requests were refused", refused)
		leave[0]()
		leave[1]()
		time.Sleep(3 * time.Minute)
		_, all = measure(10 * time.Minute)
		t.Logf("alone: %.1f a minute", all)
		if all < 0.95*limit {
			t.Errorf("alone: %.1f requests a minute of %d", all, limit)
		}
	})
}

// A request that has no answer, or not even a token, leaves its turn to the next one, and a window later its slot. Where it was to show
// that a throttle is over, the next one has to.
func TestTurnWithoutAnAnswer(t *testing.T) {
	for name, send := range waysToSend {
		for _, fault := range []sentinelserver.Fault{{Kind: sentinelserver.TokenError, Code: 7000222}, {Kind: sentinelserver.CutBefore}} {
			synctest.Test(t, func(t *testing.T) {
				l, start := newLab(t, setup{limit: 1}), time.Now()
				l.client.pacer.throttle(turn{started: start}, 10*time.Second)
				l.inject(fault)
				ctx, cancel := context.WithTimeout(t.Context(), 20*time.Second)
				defer cancel()
				if err := send(ctx, l); err == nil {
					t.Errorf("%s, %s: no error", name, fault.Kind)
				}
				if u, err := l.client.pacer.takeTurn(t.Context(), sleepQuietly); err != nil || !u.probe || time.Since(start) != 70*time.Second {
					t.Errorf("%s, %s: the next one began after %v: %+v, %v", name, fault.Kind, time.Since(start), u, err)
				}
			})
		}
	}
}
