package sentinel

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"net/http"
	"slices"
	"strings"
	"testing"
	"testing/synctest"
	"time"

	"mssentinel/app/standin/sentinelserver"
)

// What answers in Sentinel's place with a success has stored nothing: the batch is sent again.
func TestSuccessOfAStranger(t *testing.T) {
	for body, atLeast := range map[string]time.Duration{
		`{"statusCode":429,"message":"Rate limit is exceeded. Try again in 2 seconds."}`: 2 * time.Second,
		`{"title":"Too Many Requests","status":429}`:                                     time.Minute,
		`{"status":"blocked","message":"by policy"}`:                                     time.Second,
		`{"errors":[],"message":"by policy"}`:                                            time.Second,
		`{"success":false}`:                                                              time.Second,
		`"text"`:                                                                         time.Second,
		`[]`:                                                                             time.Second,
		" ":                                                                              time.Second,
		"{}" + strings.Repeat(" ", maxAnswer):                                            time.Second,
	} {
		synctest.Test(t, func(t *testing.T) {
			l, start := newLab(t, setup{limit: 100}), time.Now()
			l.inject(sentinelserver.Fault{Kind: sentinelserver.Status, Status: 200, Body: body})
			list := objects(0, 100)
			g, err := l.deliver(t.Context(), list)
			l.all(g, err, list)
			if took := time.Since(start); l.far.RequestCount() != 2 || took < atLeast || took > 2*atLeast {
				t.Errorf("%.80s: %d requests in %v", body, l.far.RequestCount(), took)
			}
			if !slices.ContainsFunc(l.waited, func(w wait) bool { return w.reason != "" }) {
				t.Errorf("%.80s: nobody was told of the wait", body)
			}
		})
	}
}

// A firewall that does not let some records through is told by that it lets others through: those are delivered, and the
// records reported.
func TestRecordsThatAFirewallRefuses(t *testing.T) {
	for _, fault := range []sentinelserver.Fault{
		{Status: 403, Form: "html"}, {Status: 403, Form: "text"}, {Status: 403, Form: "xml"}, {Status: 403, Form: "foreign"},
		{Status: 403, Form: "empty"}, {Status: 406, Form: "html"}, {Status: 406, Form: "empty"}, {Status: 400, Form: "html"},
		{Status: 413, Form: "html"}, {Status: 200, Form: "html"}, {Status: 404, Form: "html"}, {Status: 405, Form: "text"},
		{Status: 401, Form: "html"}, {Status: 503, Form: "html"},
	} {
		for _, tt := range []struct {
			n   int
			bad []int
		}{{100, []int{57}}, {100, []int{0}}, {100, []int{98, 99}}, {3, []int{1}}, {1, []int{0}}} {
			t.Run(fmt.Sprint(fault.Status, fault.Form, tt.bad, "of", tt.n), func(t *testing.T) {
				synctest.Test(t, func(t *testing.T) {
					l, start := newLab(t, setup{limit: 100}), time.Now()
					fault.Kind, fault.Count = sentinelserver.RefuseBatch, -1
					for _, i := range tt.bad {
						fault.Match = named(i)
						l.inject(fault)
					}
					list := objects(0, tt.n)
					g, err := l.deliver(t.Context(), list)
					l.all(g, err, list, tt.bad...)
					for _, i := range tt.bad {
						if m := g.rejected[i].Message; !strings.Contains(m, "firewall or proxy") {
							t.Errorf("rejected as %q", m)
						}
					}
					if took := time.Since(start); took > 4*time.Minute {
						t.Errorf("took %v", took)
					}
					if n := l.far.RequestCount(); n > 60 {
						t.Errorf("%d requests", n)
					}
				})
			})
		}
	}
}

// What refuses everything says nothing about records: it is named from the first try, and everything is delivered once
// it is gone.
func TestFirewallThatRefusesEverything(t *testing.T) {
	for _, fault := range []sentinelserver.Fault{
		{Status: 403, Form: "html"}, {Status: 403, Form: "foreign"}, {Status: 406, Form: "text"}, {Status: 200, Form: "html"},
		{Status: 200, Form: "foreign"}, {Status: 401, Form: "html"}, {Status: 404, Form: "html"}, {Status: 400, Form: "html"},
		{Status: 407, Form: "empty"}, {Status: 302, Form: "empty"}, {Status: 511, Form: "html"},
	} {
		t.Run(fmt.Sprint(fault.Status, fault.Form), func(t *testing.T) {
			synctest.Test(t, func(t *testing.T) {
				l := newLab(t, setup{limit: 100})
				fault.Kind, fault.Count = sentinelserver.Status, -1
				l.inject(fault)
				time.AfterFunc(10*time.Minute, l.far.ClearFaults)
				start, list := time.Now(), objects(0, 100)
				g, err := l.deliver(t.Context(), list)
				l.all(g, err, list)
				if first := l.waited[0]; !strings.Contains(first.reason, "proxy") || !strings.HasSuffix(first.reason, ".") || first.until.Sub(start) > 3*time.Second {
					t.Errorf("first told of %q", first.reason)
				}
				if took := time.Since(start); took > 12*time.Minute {
					t.Errorf("took %v", took)
				}
				if n := l.far.RequestCount(); n > 50 {
					t.Errorf("%d requests", n)
				}
			})
		})
	}
}

func TestFirewallForGood(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		l, start := newLab(t, setup{limit: 100}), time.Now()
		l.inject(sentinelserver.Fault{Kind: sentinelserver.Status, Status: 403, Form: "html", Count: -1})
		g, err := l.deliver(t.Context(), objects(0, 100))
		if err == nil || isConfig(err) || !strings.Contains(err.Error(), "firewall") || strings.Contains(err.Error(), "role") || g.calls > 0 {
			t.Fatalf("got %v, settled %+v", err, g)
		}
		if took := time.Since(start); took < time.Hour || took > 63*time.Minute {
			t.Errorf("took %v", took)
		}
		l.quiet()
	})
}

// Many deliveries meet it at once, one of which has a record that is refused for good.
func TestFirewallSeenByAll(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		l := newLab(t, setup{limit: 100})
		l.inject(sentinelserver.Fault{Kind: sentinelserver.Status, Status: 403, Form: "html", Count: -1})
		time.AfterFunc(10*time.Minute, func() {
			l.far.ClearFaults()
			l.inject(sentinelserver.Fault{Kind: sentinelserver.RefuseBatch, Status: 403, Form: "html", Match: named(342), Count: -1})
		})
		together(8, func(i int) {
			g, err := l.deliver(t.Context(), objects(i*100, 100))
			want := 100
			if i == 3 {
				want = 99
			}
			if err != nil || len(g.accepted) != want || len(g.rejected) != 100-want {
				t.Errorf("%v: accepted %d, rejected %v", err, len(g.accepted), g.rejected)
			}
		})
		if n := l.far.RequestCount(); n > 400 || len(l.far.Objects(source)) != 799 {
			t.Errorf("%d requests, Sentinel holds %d", n, len(l.far.Objects(source)))
		}
		l.quiet()
	})
}

// A firewall that refuses every record, though not a request without any, is no fault of the records.
func TestFirewallThatRefusesEveryRecord(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		l := newLab(t, setup{limit: 100})
		l.inject(sentinelserver.Fault{Kind: sentinelserver.RefuseBatch, Status: 403, Form: "html", Count: -1})
		g, err := l.deliver(t.Context(), objects(0, 100))
		if !isConfig(err) || !strings.Contains(err.Error(), "let this machine upload to Sentinel. The records stay queued") || g.calls > 0 {
			t.Fatalf("got %v, settled %+v", err, g)
		}
		l.quiet()
	})
}

// A role is missing when Sentinel says so in the form that was seen, whatever the status: it may still arrive.
func TestRoleInTheFormSeen(t *testing.T) {
	for _, status := range []int{400, 401, 403, 404} {
		synctest.Test(t, func(t *testing.T) {
			l, start := newLab(t, setup{limit: 100, standin: sentinelserver.Options{NoRoleStatus: status, NoRoleSeen: true}}), time.Now()
			l.far.SetRole(clientID, false)
			time.AfterFunc(5*time.Minute, func() { l.far.SetRole(clientID, true) })
			list := objects(0, 100)
			g, err := l.deliver(t.Context(), list)
			l.all(g, err, list)
			if took, n := time.Since(start), l.far.RequestCount(); took < 5*time.Minute || took > 8*time.Minute || n != 4 {
				t.Errorf("%d: %d requests in %v", status, n, took)
			}
			l.far.SetRole(clientID, false)
			_, err = l.deliver(t.Context(), list)
			for _, want := range []string{"Microsoft Sentinel Contributor", "Azure Cloud", "Unified RBAC"} {
				if !isConfig(err) || !strings.Contains(err.Error(), want) || !strings.Contains(l.waited[0].reason, want) {
					t.Errorf("%d: %v, first told of %q", status, err, l.waited[0].reason)
				}
			}
		})
	}
}

// A token for another audience is answered without a body.
func TestOtherAudience(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		l, start := newLab(t, setup{limit: 100}), time.Now()
		l.client.tokens.scope = "https://graph.microsoft.com/.default"
		g, err := l.deliver(t.Context(), objects(0, 10))
		if !isConfig(err) || !strings.Contains(err.Error(), "Azure Cloud") || g.calls > 0 {
			t.Fatalf("got %v", err)
		}
		if took := time.Since(start); took > 4*time.Minute || !strings.Contains(l.waited[0].reason, "Azure Cloud") {
			t.Errorf("took %v, first told of %q", took, l.waited[0].reason)
		}
	})
}

func TestByteOrderMark(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		l, start := newLab(t, setup{limit: 3, standin: sentinelserver.Options{ByteOrderMark: true}}), time.Now()
		l.inject(sentinelserver.Fault{Kind: sentinelserver.RefuseRecord, Match: named(7), Count: -1})
		list := objects(0, 100)
		g, err := l.deliver(t.Context(), list)
		l.all(g, err, list, 7)
		if time.Since(start) > 0 || g.rejected[7].Code != CodeRejected {
			t.Errorf("%+v after %v", g.rejected[7], time.Since(start))
		}
		l.inject(sentinelserver.Fault{Kind: sentinelserver.TokenError, Code: 7000222})
		time.Sleep(2 * time.Minute)
		l.far.ExpireTokens()
		if _, err := l.deliver(t.Context(), list); !isConfig(err) || !strings.Contains(err.Error(), "AADSTS7000222") {
			t.Errorf("a refused login: %v", err)
		}
	})
}

// A path in the reason names the record: it costs no request to find it.
func TestRecordNamedByItsPath(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		l := newLab(t, setup{limit: 100})
		for _, i := range []int{3, 60} {
			l.inject(sentinelserver.Fault{Kind: sentinelserver.RefuseBatch, Form: "problem", Match: named(i), Count: -1})
		}
		list := objects(0, 100)
		g, err := l.deliver(t.Context(), list)
		l.all(g, err, list, 3, 60)
		if n := l.far.RequestCount(); n != 3 || g.rejected[60].Message != "pattern: The value is not accepted." {
			t.Errorf("%d requests, %+v", n, g.rejected[60])
		}
	})
}

// The reason of a rejection is repeated whatever its form.
func TestReasonOfEachForm(t *testing.T) {
	for form, want := range map[string]string{
		"text": "error code: 1020", "xml": "InvalidInput One of the request inputs is not valid.", "foreign": "The request was blocked by policy.",
	} {
		synctest.Test(t, func(t *testing.T) {
			l := newLab(t, setup{limit: 100})
			l.inject(sentinelserver.Fault{Kind: sentinelserver.RefuseBatch, Status: 400, Form: form, Match: named(3), Count: -1})
			list := objects(0, 10)
			g, err := l.deliver(t.Context(), list)
			l.all(g, err, list, 3)
			if m := g.rejected[3].Message; !strings.HasSuffix(m, ": "+want) {
				t.Errorf("%s: %q", form, m)
			}
		})
	}
}

// The reason of an outage stands while the next attempt is under way, and goes when that succeeds.
func TestReasonStandsDuringAnAttempt(t *testing.T) {
	for name, faults := range map[string][]sentinelserver.Fault{
		"upload": {{Kind: sentinelserver.Status, Status: 403, Form: "html", Count: 2}, {Kind: sentinelserver.Slow, Seconds: 40, After: 2}},
		"login":  {{Kind: sentinelserver.TokenStatus, Status: 403, Form: "html"}, {Kind: sentinelserver.TokenSlow, Seconds: 20}},
	} {
		t.Run(name, func(t *testing.T) {
			synctest.Test(t, func(t *testing.T) {
				l := newLab(t, setup{limit: 100})
				l.inject(faults...)
				done := make(chan error)
				go func() {
					_, err := l.deliver(t.Context(), objects(0, 10))
					done <- err
				}()
				time.Sleep(10 * time.Second)
				l.mu.Lock()
				last := l.waited[len(l.waited)-1]
				l.mu.Unlock()
				if !strings.Contains(last.reason, "proxy") || !last.until.Before(time.Now()) {
					t.Errorf("shown is %+v", last)
				}
				if err := <-done; err != nil {
					t.Error(err)
				}
				l.quiet()
			})
		})
	}
}

func TestStopDuringAnOutage(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		l := newLab(t, setup{limit: 100})
		l.inject(sentinelserver.Fault{Kind: sentinelserver.Status, Status: 403, Form: "html", Count: -1})
		ctx, cancel := context.WithTimeout(t.Context(), 5*time.Minute)
		defer cancel()
		if g, err := l.deliver(ctx, objects(0, 10)); !errors.Is(err, context.DeadlineExceeded) || g.calls > 0 {
			t.Errorf("got %v", err)
		}
		l.quiet()
	})
}

// countObjects lets through what a transport does, and counts the objects of each upload: 0 for one that asks what gets through.
type countObjects struct {
	http.RoundTripper
	sizes []int
}

func (c *countObjects) RoundTrip(r *http.Request) (*http.Response, error) {
	if strings.HasSuffix(r.URL.Path, ":upload") {
		body, err := r.GetBody()
		if err != nil {
			return nil, err
		}
		var sent struct{ StixObjects []json.RawMessage }
		if err := json.NewDecoder(body).Decode(&sent); err != nil {
			return nil, err
		}
		c.sizes = append(c.sizes, len(sent.StixObjects))
	}
	return c.RoundTripper.RoundTrip(r)
}

func (l *lab) countObjects() *countObjects {
	c := &countObjects{RoundTripper: l.client.http.Transport}
	l.client.http.Transport = c
	return c
}

// Which requests a refusal costs: one that asks, which is enough for all batches of a delivery, and three for a record alone.
func TestRequestsThatARefusedRecordCosts(t *testing.T) {
	for name, tt := range map[string]struct {
		n, bad int
		fault  sentinelserver.Fault
		want   string
		within time.Duration
	}{
		// Between the tries of a record alone there is a short pause each time: others pass, so that there is no outage.
		"alone":       {1, 0, sentinelserver.Fault{Status: 403, Form: "html"}, "[1 0 1 0 1 0]", 2 * outagePauses.First},
		"one of two":  {2, 1, sentinelserver.Fault{Status: 403, Form: "html"}, "[2 0 1 1 0 1 0 1 0]", 2 * outagePauses.First},
		"one of four": {4, 0, sentinelserver.Fault{Status: 403, Form: "html"}, "[4 0 2 2 1 0 1 0 1 0 1]", 2 * outagePauses.First},
		// It looks like an outage for six answers, with pauses of 2, 4, 8, 16 and 32 s at most; then two short ones for each try.
		"alone, no page of Sentinel's": {1, 0, sentinelserver.Fault{Status: 404, Form: "html"}, "[1 1 1 1 1 1 0 1 1 0 1 1 0]", (62 + 12) * time.Second},
		"named by Sentinel":            {8, 0, sentinelserver.Fault{}, "[8 4 4 2 2 1 1]", 0},
	} {
		t.Run(name, func(t *testing.T) {
			synctest.Test(t, func(t *testing.T) {
				l, start := newLab(t, setup{limit: 100}), time.Now()
				tt.fault.Kind, tt.fault.Count, tt.fault.Match = sentinelserver.RefuseBatch, -1, named(tt.bad)
				l.inject(tt.fault)
				requests := l.countObjects()
				list := objects(0, tt.n)
				g, err := l.deliver(t.Context(), list)
				l.all(g, err, list, tt.bad)
				if got := fmt.Sprint(requests.sizes); got != tt.want {
					t.Errorf("requests of %s objects, want %s", got, tt.want)
				}
				if took := time.Since(start); took > tt.within {
					t.Errorf("took %v, want at most %v", took, tt.within)
				}
				if tt.fault.Form == "" {
					return
				}
				if !slices.ContainsFunc(l.waited, func(w wait) bool { return strings.Contains(w.reason, "refuses a record while others pass") }) {
					t.Errorf("told of %v", l.waited)
				}
				if text := l.log.String(); !strings.Contains(text, "asked without objects") {
					t.Errorf("the log says %s", text)
				}
			})
		})
	}
}

// Whatever Sentinel says of the request that asks what gets through, that one got through. A 429 holds everybody up all the same.
func TestRequestThatAsksIsThrottled(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		l, start := newLab(t, setup{limit: 100}), time.Now()
		l.inject(sentinelserver.Fault{Kind: sentinelserver.Status, Status: 403, Form: "html"}, sentinelserver.Fault{Kind: sentinelserver.Throttle, Seconds: 37})
		requests := l.countObjects()
		list := objects(0, 2)
		g, err := l.deliver(t.Context(), list)
		l.all(g, err, list)
		if got := fmt.Sprint(requests.sizes); got != "[2 0 1 1]" {
			t.Errorf("requests of %s objects", got)
		}
		if took := time.Since(start); took < 37*time.Second || took > 38*time.Second {
			t.Errorf("took %v", took)
		}
	})
}

// A stranger's answer to a request has others asked for after six in a row, and after two where others pass.
func TestSuspicion(t *testing.T) {
	strange, ours := decision{action: actionRetry, persists: true}, decision{action: actionRetry}
	for name, tt := range map[string]struct {
		blocked bool
		answers []decision
		want    []int // after which answers what gets through is asked
	}{
		"six in a row":       {false, slices.Repeat([]decision{strange}, 12), []int{6, 12}},
		"soon":               {true, slices.Repeat([]decision{strange}, 5), []int{2, 4}},
		"broken off":         {false, slices.Concat(slices.Repeat([]decision{strange}, 5), []decision{ours}, slices.Repeat([]decision{strange}, 6)), []int{12}},
		"broken off, soon":   {true, []decision{strange, ours, strange, strange}, []int{4}},
		"nothing but ours":   {true, slices.Repeat([]decision{ours}, 20), nil},
		"something else yet": {true, []decision{{action: actionThrottle}, {action: actionFail}}, nil},
	} {
		t.Run(name, func(t *testing.T) {
			var a attempts
			var got []int
			for i, d := range tt.answers {
				switch action := a.chooseAction(d, tt.blocked); action {
				case actionProbe:
					got = append(got, i+1)
				case d.action:
				default:
					t.Errorf("answer %d: action %d", i+1, action)
				}
			}
			if !slices.Equal(got, tt.want) {
				t.Errorf("asked after %v, want %v", got, tt.want)
			}
		})
	}
}
