package sentinel

import (
	"context"
	"fmt"
	"math/rand/v2"
	"net/http"
	"strings"
	"testing"
	"testing/synctest"
	"time"

	"mssentinel/app/standin/sentinelserver"
)

// distance is a network that takes its time in both directions.
type distance struct {
	http.RoundTripper
	most time.Duration
}

func (d distance) RoundTrip(r *http.Request) (*http.Response, error) {
	time.Sleep(rand.N(d.most))
	response, err := d.RoundTripper.RoundTrip(r)
	time.Sleep(rand.N(d.most))
	return response, err
}

// 1,000 requests at 100 a minute take 540 s at least, for anybody; the distance of Sentinel is nearly all that comes on top.
func TestAsFastAsSentinelAllows(t *testing.T) {
	const (
		requests = 1000
		floor    = 540 * time.Second
		most     = floor + 3*time.Second
	)
	synctest.Test(t, func(t *testing.T) {
		l := newLab(t, setup{limit: 100, standin: sentinelserver.Options{Keep: sentinelserver.KeepHashes}})
		l.client.http.Transport = distance{l.client.http.Transport, 100 * time.Millisecond}
		work := make(chan int, requests)
		for i := range requests {
			work <- i
		}
		close(work)
		start := time.Now()
		together(8, func(int) {
			for i := range work {
				if _, err := l.deliver(t.Context(), objects(i*100, 100)); err != nil {
					t.Error(err)
				}
			}
		})
		took := time.Since(start)
		t.Logf("%d objects in %v", requests*100, took)
		if took < floor || took > most {
			t.Errorf("took %v", took)
		}
		if stats := l.far.Stats(); stats.Created != requests*100 || stats.Accepted != requests*100 {
			t.Errorf("%+v", stats)
		}
		if n := l.far.RequestCount(); n != requests {
			t.Errorf("%d requests", n)
		}
		if most := l.far.MaxInWindow(true); most > 100 {
			t.Errorf("%d requests in a minute", most)
		}
		l.quiet()
	})
}

// A restart in the middle of a burst forgets nothing: the server's throttle is not met.
func TestRestartMeetsNoThrottle(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		l := newLab(t, setup{limit: 100})
		burst := func(from int) {
			together(8, func(w int) {
				for i := range 10 {
					if _, err := l.deliver(t.Context(), objects(from+w*10+i, 1)); err != nil {
						t.Error(err)
					}
				}
			})
		}
		burst(0)
		l.client.pacer = NewPacer(l.slots, 100, time.Minute)
		burst(100)
		for _, r := range l.far.Requests() {
			if r.Status != http.StatusOK {
				t.Fatalf("status %d", r.Status)
			}
		}
		if len(l.far.Objects(source)) != 160 {
			t.Fatal("not all were delivered")
		}
	})
}

// Waits are reported one at a time, the one that ends first, and the end of the last one too.
func TestWaitsAreReported(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		l, start := newLab(t, setup{limit: 1}), time.Now()
		together(3, func(i int) {
			if _, err := l.deliver(t.Context(), objects(i, 1)); err != nil {
				t.Error(err)
			}
		})
		var got []string
		for _, w := range l.waited {
			if w.until.IsZero() {
				got = append(got, "none")
				continue
			}
			if !strings.Contains(w.reason, "limit") {
				t.Errorf("reason %q", w.reason)
			}
			got = append(got, w.until.Sub(start).String())
		}
		if fmt.Sprint(got) != "[1m0s none 2m0s none]" {
			t.Errorf("reported %v", got)
		}
	})
}

// A wait of less than a second is not shown, and none where nobody is told.
func TestShortWaitsAreNotShown(t *testing.T) {
	for _, tt := range []struct {
		wait  time.Duration
		shown int
	}{{time.Second - 1, 0}, {time.Second, 1}, {time.Hour, 1}} {
		synctest.Test(t, func(t *testing.T) {
			l := newLab(t, setup{})
			for name, sleep := range map[string]func(*delivery, context.Context, time.Time, string) error{
				"limit": (*delivery).sleepReported, "outage": (*delivery).sleepOutage,
			} {
				l.waited = nil
				for _, report := range []Report{{OnWait: l.onWait}, {}} {
					d, start := &delivery{client: l.client, report: report}, time.Now()
					if err := sleep(d, t.Context(), start.Add(tt.wait), "a reason"); err != nil || time.Since(start) != tt.wait {
						t.Errorf("%s: waited for %v (%v)", name, time.Since(start), err)
					}
					d.endOutage()
				}
				if n := len(l.waited); n != 2*tt.shown {
					t.Errorf("%s: a wait of %v was told of as %v", name, tt.wait, l.waited)
				}
			}
		})
	}
}

// An outage is over an hour after its first failure, however many there were.
func TestOutageLastsAnHour(t *testing.T) {
	for _, every := range []time.Duration{time.Second, time.Hour - 1, time.Hour} {
		synctest.Test(t, func(t *testing.T) {
			var o outage
			start := time.Now()
			for {
				if _, ok := o.nextPause(0); !ok {
					break
				}
				time.Sleep(every)
			}
			if took, want := time.Since(start), (time.Hour+every-1)/every*every; took != want {
				t.Errorf("gave up after %v, want %v", took, want)
			}
		})
	}
}

// What the client itself costs for a batch that is accepted, and for one with rejected records: building the body, and
// reading the answer.
func BenchmarkBatch(b *testing.B) {
	list := objects(0, 100)
	part := make([]int, len(list))
	for i := range part {
		part[i] = i
	}
	partial := `{"errors":[` + strings.Repeat(`{"recordIndex":3,"errorMessages":["Error for Property=id: Required property is missing. Actual value: NULL."]},`, 9) +
		`{"recordIndex":7,"errorMessages":["no"]}]}`
	for name, answer := range map[string]string{"accepted": "", "rejected": partial} {
		b.Run(name, func(b *testing.B) {
			for b.Loop() {
				b.SetBytes(int64(newRequestBody(source, list, part).size()))
				if d := decide(http.StatusOK, nil, []byte(answer), len(part), time.Time{}); d.action != actionAccept {
					b.Fatal(d)
				}
			}
		})
	}
}

// A whole batch with everything around it, without limit and without network.
func BenchmarkDeliver(b *testing.B) {
	c, err := New(Options{
		TenantID: tenant, ClientID: clientID, WorkspaceID: workspace, Secret: func() string { return secret },
		Transport: answers{http.StatusOK, `{"access_token":"t","expires_in":3599}`},
	})
	if err != nil {
		b.Fatal(err)
	}
	list := objects(0, 100)
	for b.Loop() {
		if err := c.Deliver(b.Context(), source, list, Report{Settle: func(Outcome) error { return nil }}); err != nil {
			b.Fatal(err)
		}
	}
}
