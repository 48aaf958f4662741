package sentinel

import (
	"context"
	"errors"
	"strings"
	"sync/atomic"
	"testing"
	"testing/synctest"
	"time"

	"mssentinel/app/standin/sentinelserver"
)

func isConfig(err error) bool {
	var config *ConfigError
	return errors.As(err, &config)
}

// rejectAll makes Sentinel reject every batch with an object of these numbers.
func (l *lab) rejectAll(numbers ...int) {
	for _, n := range numbers {
		l.inject(sentinelserver.Fault{Kind: sentinelserver.RefuseBatch, Match: named(n), Count: -1})
	}
}

func TestBatchesOfOneInARow(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		l := newLab(t, setup{})
		l.rejectAll(1, 2, 3, 5, 6, 8)
		one := func(n int, rejected, config bool) {
			t.Helper()
			g, err := l.deliver(t.Context(), objects(n, 1))
			if isConfig(err) != config || !config && err != nil || (len(g.rejected) == 1) != rejected {
				t.Fatalf("object %d: %v, rejected %v", n, err, g.rejected)
			}
		}
		one(1, true, false) // nobody else could tell
		one(2, true, false)
		one(3, false, true)
		one(3, false, true) // still
		one(4, false, false)
		one(5, true, false) // after one was accepted
		one(6, true, false)
		one(7, false, false)
		one(8, true, false)
	})
}

// Those who wait are told as soon as Sentinel accepts something, not when the last delivery ends, and the row begins anew.
func TestRowEndsWithAnAcceptedObject(t *testing.T) {
	var l loneRejections
	l.beginDelivery()
	first := l.addRejection("no")
	second := l.addRejection("no")
	l.startOver()
	for i, c := range []*rejectionCause{first, second} {
		select {
		case <-c.known:
		default:
			t.Fatalf("rejection %d still waits", i+1)
		}
		if c.isConfig() {
			t.Errorf("rejection %d is taken for the configuration", i+1)
		}
	}
	for n := 1; n <= maxLone; n++ {
		if got := l.addRejection("no").isConfig(); got != (n == maxLone) {
			t.Errorf("rejection %d of the next row: taken for the configuration: %v", n, got)
		}
	}
}

// Three deliveries at once, each of one record: none is settled as rejected, because together they show the cause.
func TestBatchesOfOneAtOnce(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		l := newLab(t, setup{})
		l.inject(sentinelserver.Fault{Kind: sentinelserver.Slow, Seconds: 2}, sentinelserver.Fault{Kind: sentinelserver.Slow, Seconds: 1})
		l.rejectAll(0, 1, 2)
		var settled, config atomic.Int32
		together(3, func(i int) {
			g, err := l.deliver(t.Context(), objects(i, 1))
			settled.Add(int32(g.calls))
			if isConfig(err) {
				config.Add(1)
			}
		})
		if settled.Load() > 0 || config.Load() != 3 {
			t.Fatalf("%d settled, %d taken for the configuration", settled.Load(), config.Load())
		}
	})
}

// Two records wait for what a third delivery learns.
func TestOthersDecide(t *testing.T) {
	for name, tt := range map[string]struct {
		third  func(*lab)
		config bool
	}{
		"accepted":          {func(*lab) {}, false},
		"rejected by index": {func(l *lab) { l.inject(sentinelserver.Fault{Kind: sentinelserver.RefuseRecord, Match: named(2)}) }, false},
		"rejected alike":    {func(l *lab) { l.rejectAll(2) }, true},
		"other text": {func(l *lab) {
			l.inject(sentinelserver.Fault{Kind: sentinelserver.RefuseBatch, Match: named(2), Status: 413})
		}, false},
		"role is gone":   {func(l *lab) { l.inject(sentinelserver.Fault{Kind: sentinelserver.Forbidden, After: 0, Count: -1}) }, false},
		"login is gone":  {func(l *lab) { l.far.ExpireTokens(); l.far.SetSecret(clientID, "another") }, false},
		"is out of work": {func(l *lab) { l.inject(sentinelserver.Fault{Kind: sentinelserver.Status, Count: -1}) }, false},
	} {
		t.Run(name, func(t *testing.T) {
			synctest.Test(t, func(t *testing.T) {
				l := newLab(t, setup{})
				l.rejectAll(0, 1)
				if _, err := l.client.tokens.validToken(t.Context(), sleepQuietly); err != nil {
					t.Fatal(err)
				}
				time.Sleep(time.Second)
				type result struct {
					g   *ledger
					err error
				}
				results := make(chan result, 2)
				third := make(chan error, 1)
				l.inject(sentinelserver.Fault{Kind: sentinelserver.Slow, Seconds: 10})
				go func() {
					_, err := l.deliver(t.Context(), objects(2, 1))
					third <- err
				}()
				synctest.Wait()
				for i := range 2 {
					go func() {
						g, err := l.deliver(t.Context(), objects(i, 1))
						results <- result{g, err}
					}()
					synctest.Wait()
				}
				if len(results) > 0 {
					t.Fatal("decided before the third could tell")
				}
				tt.third(l)
				for range 2 {
					r := <-results
					if isConfig(r.err) != tt.config || (len(r.g.rejected) == 1) == tt.config {
						t.Errorf("%v, rejected %v", r.err, r.g.rejected)
					}
				}
				<-third
			})
		})
	}
}

// Another text shows that the objects were the cause of what was rejected before, and begins a row of its own.
func TestAnotherTextBeginsAnotherRow(t *testing.T) {
	var l loneRejections
	l.beginDelivery()
	l.addRejection("a")
	first, other := l.addRejection("a"), l.addRejection("b")
	if l.addRejection("b"); other.isConfig() {
		t.Fatal("taken for the configuration after two")
	}
	if l.addRejection("b"); !other.isConfig() || first.isConfig() {
		t.Fatalf("three alike are the configuration: %v; two before them: %v", other.isConfig(), first.isConfig())
	}
}

func TestHeldRejectionsStayQueuedWhenStopped(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		l := newLab(t, setup{})
		l.rejectAll(0)
		l.inject(sentinelserver.Fault{Kind: sentinelserver.Slow, Seconds: 10})
		other := make(chan error, 1)
		go func() {
			_, err := l.deliver(t.Context(), objects(1, 1))
			other <- err
		}()
		synctest.Wait()
		ctx, cancel := context.WithTimeout(t.Context(), time.Second)
		defer cancel()
		if g, err := l.deliver(ctx, objects(0, 1)); !errors.Is(err, context.DeadlineExceeded) || g.calls > 0 {
			t.Fatalf("%v, settled %+v", err, g)
		}
		if err := <-other; err != nil {
			t.Fatal(err)
		}
	})
}

// Objects that are rejected alone, where nothing says that the configuration is the cause, are each settled as refused by whom they were.
func TestHeldRejectionsAreSettled(t *testing.T) {
	for form, want := range map[string]string{
		"json": "Sentinel rejects every batch that holds this record: ", "html": "A firewall or proxy between this Service and Sentinel refuses every batch that holds this record: ",
	} {
		synctest.Test(t, func(t *testing.T) {
			l := newLab(t, setup{})
			for n := range 2 {
				l.inject(sentinelserver.Fault{Kind: sentinelserver.RefuseBatch, Status: 400, Form: form, Match: named(n), Count: -1})
			}
			list := objects(0, 2)
			g, err := l.deliver(t.Context(), list)
			l.all(g, err, list, 0, 1)
			for _, r := range g.rejected {
				if r.Code != CodeBatchRejected || !strings.HasPrefix(r.Message, want) {
					t.Errorf("%s: %+v", form, r)
				}
			}
			l.client.lone.startOver()
			broken := errors.New("disk full")
			if err := l.client.Deliver(t.Context(), source, list, Report{Settle: func(Outcome) error { return broken }}); !errors.Is(err, broken) {
				t.Errorf("%s: got %v", form, err)
			}
		})
	}
}

// Several goroutines meet batches that are all rejected: each fails, and nothing is settled.
func TestConfigurationSeenByAll(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		l := newLab(t, setup{limit: 100})
		l.inject(sentinelserver.Fault{Kind: sentinelserver.RefuseBatch, Count: -1})
		together(8, func(i int) {
			if g, err := l.deliver(t.Context(), objects(i*100, 100)); !isConfig(err) || g.calls > 0 {
				t.Errorf("%v, settled %+v", err, g)
			}
		})
		if n := l.far.RequestCount(); n > 8*20 {
			t.Errorf("%d requests", n)
		}
		l.quiet()
	})
}

// The first record of every batch is bad, and all are found at the same time: the configuration is not taken for the
// cause.
func TestBadRecordInEveryBatch(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		l := newLab(t, setup{})
		for i := range 8 {
			l.rejectAll(i * 100)
		}
		l.inject(sentinelserver.Fault{Kind: sentinelserver.Slow, Seconds: 0.1, Count: -1})
		together(8, func(i int) {
			g, err := l.deliver(t.Context(), objects(i*100, 100))
			if err != nil || len(g.rejected) != 1 || g.rejected[0].Code != CodeBatchRejected || len(g.accepted) != 99 {
				t.Errorf("%v, accepted %d, rejected %v", err, len(g.accepted), g.rejected)
			}
		})
		if n := len(l.far.Objects(source)); n != 792 {
			t.Errorf("Sentinel holds %d objects", n)
		}
	})
}
