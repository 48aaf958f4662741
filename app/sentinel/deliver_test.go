package sentinel

import (
	"bytes"
	"context"
	"errors"
	"fmt"
	"slices"
	"strings"
	"testing"
	"testing/synctest"
	"time"

	"pgregory.net/rapid"

	"mssentinel/app/standin/sentinelserver"
)

func TestDeliver(t *testing.T) {
	for _, key := range []sentinelserver.MessageKey{sentinelserver.ErrorMessages, sentinelserver.ValidationErrorMessages, sentinelserver.BothMessages} {
		synctest.Test(t, func(t *testing.T) {
			l, start := newLab(t, setup{limit: 100, standin: sentinelserver.Options{MessageKey: key}}), time.Now()
			list := objects(0, 100)
			list[7] = bytes.Replace(list[7], []byte(`"pattern_type":"stix",`), nil, 1)
			g, err := l.deliver(t.Context(), list)
			l.all(g, err, list, 7)
			r := g.rejected[7]
			if r.Code != CodeRejected || !strings.HasPrefix(r.Message, "Error for Property=pattern_type: Required property is missing.") {
				t.Fatalf("got %+v", r)
			}
			if l.far.RequestCount() != 1 || g.calls != 1 || time.Since(start) > 0 {
				t.Fatalf("%d requests, %d outcomes, took %v", l.far.RequestCount(), g.calls, time.Since(start))
			}
		})
	}
}

func TestNothingToDeliver(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		l := newLab(t, setup{limit: 100})
		if g, err := l.deliver(t.Context(), nil); err != nil || g.calls > 0 || l.far.RequestCount() > 0 {
			t.Fatalf("%v, %d requests", err, l.far.RequestCount())
		}
	})
}

// Whatever passes is survived: every object is settled once, and Sentinel holds it.
func TestFaultsThatPass(t *testing.T) {
	const many = 50
	tests := map[string]struct {
		fault        sentinelserver.Fault
		atLeast      time.Duration
		mayTakeLong  bool
		requestsWant int
	}{
		"429 header":             {fault: sentinelserver.Fault{Kind: sentinelserver.Throttle, Seconds: 37, Count: 2}, atLeast: 74 * time.Second, requestsWant: 3},
		"429 date":               {fault: sentinelserver.Fault{Kind: sentinelserver.Throttle, Seconds: 37, Form: "date", Count: 2}, atLeast: 74 * time.Second, requestsWant: 3},
		"429 message":            {fault: sentinelserver.Fault{Kind: sentinelserver.Throttle, Seconds: 37, Form: "message", Count: 2}, atLeast: 74 * time.Second, requestsWant: 3},
		"429 page":               {fault: sentinelserver.Fault{Kind: sentinelserver.Throttle, Form: "html", Count: 2}, atLeast: 2 * time.Minute, requestsWant: 3},
		"429 empty":              {fault: sentinelserver.Fault{Kind: sentinelserver.Throttle, Form: "empty", Count: 2}, atLeast: 2 * time.Minute, requestsWant: 3},
		"429 for hours":          {fault: sentinelserver.Fault{Kind: sentinelserver.Throttle, Form: "empty", Count: 500}, atLeast: 8 * time.Hour, mayTakeLong: true, requestsWant: 501},
		"408":                    {fault: sentinelserver.Fault{Kind: sentinelserver.Status, Status: 408, Count: 3}, atLeast: 3 * time.Second, requestsWant: 4},
		"500":                    {fault: sentinelserver.Fault{Kind: sentinelserver.Status, Status: 500, Count: 3}, atLeast: 3 * time.Second, requestsWant: 4},
		"502":                    {fault: sentinelserver.Fault{Kind: sentinelserver.Status, Status: 502, Form: "html", Count: 3}, atLeast: 3 * time.Second, requestsWant: 4},
		"503":                    {fault: sentinelserver.Fault{Kind: sentinelserver.Status, Status: 503, Form: "empty", Count: 3}, atLeast: 3 * time.Second, requestsWant: 4},
		"503 for long":           {fault: sentinelserver.Fault{Kind: sentinelserver.Status, Status: 503, Count: many}, atLeast: many / 2 * time.Second, mayTakeLong: true, requestsWant: many + 1},
		"504":                    {fault: sentinelserver.Fault{Kind: sentinelserver.Status, Status: 504, Count: 3}, atLeast: 3 * time.Second, requestsWant: 4},
		"cut before storing":     {fault: sentinelserver.Fault{Kind: sentinelserver.CutBefore, Count: 3}, atLeast: 3 * time.Second, requestsWant: 4},
		"cut after storing":      {fault: sentinelserver.Fault{Kind: sentinelserver.CutAfter, Count: 3}, atLeast: 3 * time.Second, requestsWant: 4},
		"hangs":                  {fault: sentinelserver.Fault{Kind: sentinelserver.Hang, Count: 2}, atLeast: 2 * time.Minute, requestsWant: 3},
		"slow":                   {fault: sentinelserver.Fault{Kind: sentinelserver.Slow, Seconds: 40, Count: 1}, atLeast: 40 * time.Second, requestsWant: 1},
		"token revoked":          {fault: sentinelserver.Fault{Kind: sentinelserver.Unauthorized, Count: 1}, requestsWant: 2},
		"role arrives as 401":    {fault: sentinelserver.Fault{Kind: sentinelserver.Unauthorized, Count: 3}, atLeast: 3 * time.Minute, requestsWant: 4},
		"role arrives":           {fault: sentinelserver.Fault{Kind: sentinelserver.Forbidden, Count: 5}, atLeast: 30 * time.Minute, mayTakeLong: true, requestsWant: 6},
		"200 {}":                 {fault: sentinelserver.Fault{Kind: sentinelserver.Reply, Body: "{}"}, requestsWant: 1},
		"200 null":               {fault: sentinelserver.Fault{Kind: sentinelserver.Reply, Body: `{"errors":null}`}, requestsWant: 1},
		"200 page":               {fault: sentinelserver.Fault{Kind: sentinelserver.Reply, Body: "<html>log in</html>"}, atLeast: time.Second, requestsWant: 2},
		"200 cut":                {fault: sentinelserver.Fault{Kind: sentinelserver.Reply, Body: `{"errors":[{"rec`}, atLeast: time.Second, requestsWant: 2},
		"200 refused":            {fault: sentinelserver.Fault{Kind: sentinelserver.Reply, Body: `{"errors":[],"status":400}`}, requestsWant: 3},
		"200 index out of range": {fault: sentinelserver.Fault{Kind: sentinelserver.Reply, Body: `{"errors":[{"recordIndex":100,"errorMessages":["a"]}]}`}, requestsWant: 3},
		"400 once":               {fault: sentinelserver.Fault{Kind: sentinelserver.Status, Status: 400}, requestsWant: 3},
		"413 once":               {fault: sentinelserver.Fault{Kind: sentinelserver.Status, Status: 413, Form: "html"}, requestsWant: 4},
	}
	for name, tt := range tests {
		t.Run(name, func(t *testing.T) {
			synctest.Test(t, func(t *testing.T) {
				l, start := newLab(t, setup{limit: 100}), time.Now()
				l.inject(tt.fault)
				list := objects(0, 10)
				g, err := l.deliver(t.Context(), list)
				l.all(g, err, list)
				took := time.Since(start)
				if took < tt.atLeast || !tt.mayTakeLong && took > tt.atLeast*2+20*time.Second {
					t.Errorf("took %v, want about %v", took, tt.atLeast)
				}
				if n := l.far.RequestCount(); n != tt.requestsWant {
					t.Errorf("%d requests, want %d", n, tt.requestsWant)
				}
				if took > time.Second && tt.fault.Kind != sentinelserver.Hang && tt.fault.Kind != sentinelserver.Slow && len(l.waited) == 0 {
					t.Error("nobody was told of the wait")
				}
			})
		})
	}
}

func TestFaultsThatStay(t *testing.T) {
	tests := map[string]struct {
		fault   sentinelserver.Fault
		config  bool
		atLeast time.Duration
		want    string
	}{
		"outage":      {sentinelserver.Fault{Kind: sentinelserver.Status, Status: 503}, false, time.Hour, "Service Unavailable"},
		"cut":         {sentinelserver.Fault{Kind: sentinelserver.CutBefore}, false, time.Hour, "EOF"},
		"hangs":       {sentinelserver.Fault{Kind: sentinelserver.Hang}, false, time.Hour, "no answer in time"},
		"role":        {sentinelserver.Fault{Kind: sentinelserver.Forbidden}, true, 30 * time.Minute, "Microsoft Sentinel Contributor"},
		"role as 401": {sentinelserver.Fault{Kind: sentinelserver.Unauthorized}, true, 30 * time.Minute, "Microsoft Sentinel Contributor"},
		"workspace":   {sentinelserver.Fault{Kind: sentinelserver.Status, Status: 404}, true, 0, "Sentinel Workspace ID"},
		"every batch": {sentinelserver.Fault{Kind: sentinelserver.Status, Status: 400}, true, 0, "stay queued"},
	}
	for name, tt := range tests {
		t.Run(name, func(t *testing.T) {
			synctest.Test(t, func(t *testing.T) {
				l, start := newLab(t, setup{limit: 100}), time.Now()
				tt.fault.Count = -1
				l.inject(tt.fault)
				g, err := l.deliver(t.Context(), objects(0, 100))
				took := time.Since(start)
				var config *ConfigError
				if err == nil || errors.As(err, &config) != tt.config || !strings.Contains(err.Error(), tt.want) {
					t.Fatalf("got %v", err)
				}
				if took < tt.atLeast || took > tt.atLeast+3*time.Minute {
					t.Fatalf("took %v, want about %v", took, tt.atLeast)
				}
				if g.calls > 0 {
					t.Fatalf("settled %+v", g)
				}
				if n := l.far.RequestCount(); tt.atLeast == 0 && n > 20 {
					t.Fatalf("it took %d requests to see it", n)
				}
				l.quiet()
			})
		})
	}
}

// An outage is over as soon as Sentinel says anything of its own, and the budget of the next one is a new one.
func TestOutagesAreCountedApart(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		l, start := newLab(t, setup{limit: 100}), time.Now()
		// Each takes a minute and a pause of at most another.
		l.inject(sentinelserver.Fault{Kind: sentinelserver.Hang, Count: 25}, sentinelserver.Fault{Kind: sentinelserver.Throttle}, sentinelserver.Fault{Kind: sentinelserver.Hang, After: 1, Count: 25})
		list := objects(0, 10)
		g, err := l.deliver(t.Context(), list)
		l.all(g, err, list)
		if took := time.Since(start); took < outageBudget {
			t.Fatalf("took %v, which proves nothing", took)
		}
	})
}

// The role is part of what a token may do, so each try after a wait for it has a token of its own.
func TestRoleIsTriedWithANewToken(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		l := newLab(t, setup{limit: 100})
		logins := l.countLogins()
		l.inject(sentinelserver.Fault{Kind: sentinelserver.Forbidden, Count: 2})
		if _, err := l.deliver(t.Context(), objects(0, 1)); err != nil || logins.count() != 3 {
			t.Fatalf("%v, %d logins", err, logins.count())
		}
	})
}

func TestTokenExpiresInMidRun(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		l := newLab(t, setup{limit: 100})
		list := objects(0, 80)
		logins := l.countLogins()
		batch := func(i int) {
			if _, err := l.deliver(t.Context(), list[i*10:(i+1)*10]); err != nil {
				t.Error(err)
			}
		}
		batch(0)
		time.Sleep(time.Second)
		l.far.ExpireTokens()
		time.Sleep(time.Second)
		together(7, func(i int) { batch(i + 1) })
		if n := len(l.far.Objects(source)); n != 80 || logins.count() != 2 {
			t.Fatalf("%d objects, %d logins", n, logins.count())
		}
	})
}

// Any set of bad records is found among any number of others, and every good one is accepted once.
func TestBadRecordsAreFound(t *testing.T) {
	rapid.Check(t, func(r *rapid.T) {
		n := rapid.IntRange(2, 100).Draw(r, "objects")
		bad := rapid.SliceOfNDistinct(rapid.IntRange(0, n-1), 1, min(n-1, 5), rapid.ID[int]).Draw(r, "bad")
		status := rapid.SampledFrom([]int{400, 413}).Draw(r, "status")
		form := rapid.SampledFrom([]string{"json", "html", "empty"}).Draw(r, "form")
		var g *ledger
		var err error
		var held int
		synctest.Test(t, func(t *testing.T) {
			l := newLab(t, setup{})
			for _, i := range bad {
				l.inject(sentinelserver.Fault{Kind: sentinelserver.RefuseBatch, Status: status, Form: form, Match: named(i), Count: -1})
			}
			g, err = l.deliver(t.Context(), objects(0, n))
			held = len(l.far.Objects(source))
			l.quiet()
		})
		if len(bad) == n || len(bad) >= maxLone && err != nil {
			return // that many without one good record may be the configuration
		}
		if err != nil || held != n-len(bad) || len(g.accepted) != held || len(g.rejected) != len(bad) {
			r.Fatalf("%v: Sentinel holds %d of %d, accepted %v, rejected %v", err, held, n, g.accepted, g.rejected)
		}
		for _, i := range bad {
			if g.rejected[i].Code != CodeBatchRejected {
				r.Fatalf("object %d: %+v", i, g.rejected[i])
			}
		}
	})
}

func TestManyBadRecordsSideBySide(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		l := newLab(t, setup{})
		l.inject(sentinelserver.Fault{Kind: sentinelserver.RefuseBatch, Match: "host-00001", Count: -1}) // 10 to 19
		list := objects(0, 100)
		g, err := l.deliver(t.Context(), list)
		l.all(g, err, list, 10, 11, 12, 13, 14, 15, 16, 17, 18, 19)
	})
}

func TestAllRecordsInvalid(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		l := newLab(t, setup{limit: 100})
		list := objects(0, 5)
		for i := range list {
			list[i] = bytes.Replace(list[i], []byte(`"spec_version":"2.1"`), []byte(`"spec_version":"3"`), 1)
		}
		g, err := l.deliver(t.Context(), list)
		l.all(g, err, list, 0, 1, 2, 3, 4)
		if g.rejected[0].Code != CodeRejected || l.far.RequestCount() != 1 {
			t.Fatalf("%+v after %d requests", g.rejected[0], l.far.RequestCount())
		}
	})
}

// What an earlier request held whose answer was lost may stand for all that it is rejected now. What was in no such request, or in one
// that Sentinel rejected, does not.
func TestRejectedThoughItMayStand(t *testing.T) {
	for name, tt := range map[string]struct {
		first []sentinelserver.Fault
		want  string // which of the rejected objects may stand
	}{
		"answer lost":     {[]sentinelserver.Fault{{Kind: sentinelserver.CutAfter}}, "[1 3]"},
		"not sent":        {[]sentinelserver.Fault{{Kind: sentinelserver.CutBefore}}, "[1 3]"}, // which nobody can tell from the other
		"out of order":    {[]sentinelserver.Fault{{Kind: sentinelserver.Status, Status: 503}}, "[1 3]"},
		"throttled":       {[]sentinelserver.Fault{{Kind: sentinelserver.Throttle, Seconds: 7}}, "[]"},
		"nothing before":  {nil, "[]"},
		"rejected before": {[]sentinelserver.Fault{{Kind: sentinelserver.Status, Status: 400}}, "[]"},
	} {
		t.Run(name, func(t *testing.T) {
			synctest.Test(t, func(t *testing.T) {
				l := newLab(t, setup{limit: 100})
				l.inject(tt.first...)
				l.inject(sentinelserver.Fault{Kind: sentinelserver.RefuseRecord, Match: named(1), Count: -1}, sentinelserver.Fault{Kind: sentinelserver.RefuseRecord, Match: named(3), Count: -1})
				mayStand := []int{}
				g := &ledger{slots: l.slots, rejected: map[int]Rejection{}}
				err := l.client.Deliver(t.Context(), source, objects(0, 5), Report{OnWait: l.onWait, Settle: func(o Outcome) error {
					mayStand = append(mayStand, o.MayStand...)
					return g.settle(o)
				}})
				if slices.Sort(mayStand); err != nil || len(g.rejected) != 2 || fmt.Sprint(mayStand) != tt.want {
					t.Errorf("%v: rejected %v, of them %v may stand, want %s", err, g.rejected, mayStand, tt.want)
				}
				l.quiet()
			})
		})
	}
}

// Sentinel's limit is what is waited for once Sentinel says so, and no longer the outage before.
func TestThrottleEndsAnOutage(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		l := newLab(t, setup{limit: 100})
		l.inject(sentinelserver.Fault{Kind: sentinelserver.Status, Status: 503}, sentinelserver.Fault{Kind: sentinelserver.Throttle, Seconds: 37})
		done := make(chan error)
		go func() {
			_, err := l.deliver(t.Context(), objects(0, 1))
			done <- err
		}()
		time.Sleep(20 * time.Second)
		l.mu.Lock()
		last := l.waited[len(l.waited)-1]
		l.mu.Unlock()
		if !strings.HasPrefix(last.reason, LimitReached) || !last.until.After(time.Now()) {
			t.Errorf("shown is %+v", last)
		}
		if err := <-done; err != nil {
			t.Error(err)
		}
		if facts := l.client.Limit(); facts.Count != 1 || facts.RetryAfter != "seconds" {
			t.Errorf("noted of the limit: %+v", facts)
		}
		l.quiet()
	})
}

// A 400 that names some of the records leaves the others to be sent again.
func TestSomeRecordsNamedByA400(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		l := newLab(t, setup{limit: 100})
		l.inject(sentinelserver.Fault{Kind: sentinelserver.Reply, Status: 400, Body: `{"errors":[{"recordIndex":1,"errorMessages":["no"]},{"recordIndex":"2"},{"recordIndex":9}]}`})
		g, err := l.deliver(t.Context(), objects(0, 4))
		if err != nil || fmt.Sprint(g.accepted) != "[0 3]" || len(g.rejected) != 2 || l.far.RequestCount() != 2 {
			t.Fatalf("%v: %+v after %d requests", err, g, l.far.RequestCount())
		}
		l.quiet()
	})
}

func TestSettleEndsDelivery(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		l := newLab(t, setup{limit: 100})
		l.inject(sentinelserver.Fault{Kind: sentinelserver.RefuseBatch, Match: named(3), Count: -1})
		broken := errors.New("disk full")
		if err := l.client.Deliver(t.Context(), source, objects(0, 4), Report{Settle: func(Outcome) error { return broken }}); !errors.Is(err, broken) {
			t.Fatalf("got %v", err)
		}
	})
}

func TestSlotsEndDelivery(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		l := newLab(t, setup{limit: 100})
		broken := errors.New("disk full")
		l.slots.fail(broken)
		if _, err := l.deliver(t.Context(), objects(0, 4)); !errors.Is(err, broken) || l.far.RequestCount() > 0 {
			t.Fatalf("got %v", err)
		}
	})
}

// A request in flight gets a few seconds when its job is stopped, and no other begins.
func TestStop(t *testing.T) {
	for name, tt := range map[string]struct {
		slow     float64
		settled  int
		stopped  time.Duration // after the stop
		requests int
	}{
		"answer comes": {slow: 3, settled: 10, stopped: 2 * time.Second, requests: 1},
		"too slow":     {slow: 30, settled: 0, stopped: grace, requests: 1},
	} {
		t.Run(name, func(t *testing.T) {
			synctest.Test(t, func(t *testing.T) {
				l := newLab(t, setup{limit: 100})
				l.inject(sentinelserver.Fault{Kind: sentinelserver.Slow, Seconds: tt.slow})
				ctx, cancel := context.WithCancel(t.Context())
				start := time.Now()
				time.AfterFunc(time.Second, cancel)
				g, err := l.deliver(ctx, objects(0, 10))
				if took := time.Since(start) - time.Second; took != tt.stopped {
					t.Errorf("took %v after the stop", took)
				}
				if len(g.accepted) != tt.settled || (err == nil) != (tt.settled > 0) {
					t.Errorf("settled %v, %v", g.accepted, err)
				}
				if _, err := l.deliver(ctx, objects(20, 1)); !errors.Is(err, context.Canceled) {
					t.Errorf("the next one: %v", err)
				}
				synctest.Wait()
				l.quiet()
			})
		})
	}
}

func TestStopWhileWaiting(t *testing.T) {
	for name, fault := range map[string]sentinelserver.Fault{
		"throttled": {Kind: sentinelserver.Throttle, Form: "empty", Count: -1},
		"outage":    {Kind: sentinelserver.Status, Count: -1},
		"role":      {Kind: sentinelserver.Forbidden, Count: -1},
	} {
		t.Run(name, func(t *testing.T) {
			synctest.Test(t, func(t *testing.T) {
				l := newLab(t, setup{limit: 100})
				l.inject(fault)
				ctx, cancel := context.WithTimeout(t.Context(), 40*time.Second)
				defer cancel()
				start := time.Now()
				if g, err := l.deliver(ctx, objects(0, 10)); !errors.Is(err, context.DeadlineExceeded) || g.calls > 0 || time.Since(start) != 40*time.Second {
					t.Fatalf("%v after %v", err, time.Since(start))
				}
				l.quiet()
			})
		})
	}
}

func TestThrottleHoldsEverybody(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		l, start := newLab(t, setup{limit: 100}), time.Now()
		l.inject(sentinelserver.Fault{Kind: sentinelserver.Throttle, Seconds: 30})
		if _, err := l.deliver(t.Context(), objects(0, 1)); err != nil {
			t.Fatal(err)
		}
		l.inject(sentinelserver.Fault{Kind: sentinelserver.Throttle, Seconds: 30})
		go l.deliver(t.Context(), objects(1, 1)) //nolint:errcheck // its answer holds the next one up
		synctest.Wait()
		if _, err := l.deliver(t.Context(), objects(2, 1)); err != nil {
			t.Fatal(err)
		}
		time.Sleep(time.Second)
		var at []time.Duration
		for _, r := range l.far.Requests() {
			at = append(at, r.Time.Sub(start).Truncate(time.Second))
		}
		if got := fmt.Sprint(at); got != "[0s 30s 30s 1m0s 1m1s]" {
			t.Errorf("requests at %s", got)
		}
		if w := l.waited[0]; w.reason == "" || !w.until.Equal(start.Add(30*time.Second)) {
			t.Errorf("told of %+v", w)
		}
		if f := l.client.Limit(); f.Count != 2 || !f.At.Equal(start) || f.RetryAfter != "seconds" || f.Body == "" {
			t.Errorf("noted of the limit: %+v", f)
		}
	})
}
