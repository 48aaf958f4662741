package e2e

import (
	"fmt"
	"io"
	"log"
	"maps"
	"net/http"
	"net/http/httptest"
	"slices"
	"strings"
	"testing"
	"time"

	"mssentinel/app/standin/sentinelserver"
	"mssentinel/app/standin/tcserver"
)

// delivery is a small Service whose first update is about to begin, and what has to come of it.
type delivery struct {
	t     *testing.T
	w     *world
	o     *oracle
	a     *app
	want  tally
	began time.Time
}

func newDelivery(t *testing.T) *delivery {
	t.Helper()
	p := tcserver.Generate(1600, 13, time.Now().Add(-time.Hour))
	d := &delivery{t: t, w: newWorld(t, p, sentinelserver.Options{Limit: sentinelserver.Unlimited}), began: time.Now()}
	d.o = newOracle(t, d.w.tc, overlapping(p))
	d.want = d.o.complete(true, time.Time{})
	return d
}

// victim is an object in the middle of what is sent.
func (d *delivery) victim() *entry {
	ids := slices.Sorted(maps.Keys(d.o.entries))
	return d.o.entries[ids[len(ids)/2]]
}

// inject has Sentinel fail.
func (d *delivery) inject(faults ...sentinelserver.Fault) {
	d.t.Helper()
	for _, f := range faults {
		if err := d.w.cloud.Inject(f); err != nil {
			d.t.Fatal(err)
		}
	}
}

// run starts the App and its first update.
func (d *delivery) run() (requestID string) {
	d.t.Helper()
	d.a = d.w.start()
	d.a.save(d.o.queries)
	d.a.eventually("the first job", func() bool {
		requestID = d.a.newest().RequestID
		return requestID != ""
	})
	return requestID
}

// finish waits for the job and compares what Sentinel holds.
func (d *delivery) finish(requestID string) job {
	d.t.Helper()
	j := d.a.await(requestID).mustComplete(d.t)
	d.o.check(d.a, j, d.want)
	d.o.compare(d.w.cloud, d.began)
	return j
}

// refuses tells the oracle that Sentinel will not take the victim.
func (d *delivery) refuses(e *entry) {
	e.sends, e.stands = 0, false
	d.want.uploaded--
}

// reported finds the one line that REPORT has of Upload.
func (d *delivery) reported(j job) problem {
	d.t.Helper()
	lines := slices.DeleteFunc(d.a.report(j.RequestID), func(p problem) bool { return p.Step != "Upload" })
	if len(lines) != 1 {
		d.t.Fatalf("REPORT has %d lines about Upload instead of one: %+v", len(lines), lines)
	}
	return lines[0]
}

func TestThrottledInEachForm(t *testing.T) {
	t.Parallel()
	for _, form := range []string{"header", "date", "message"} {
		t.Run(form, func(t *testing.T) {
			t.Parallel()
			d := newDelivery(t)
			d.inject(sentinelserver.Fault{Kind: sentinelserver.Throttle, Form: form, Seconds: 2, After: 2, Count: 3})
			d.finish(d.run())
		})
	}
	t.Run("without a number", func(t *testing.T) { // a minute is waited then
		t.Parallel()
		d := newDelivery(t)
		d.inject(sentinelserver.Fault{Kind: sentinelserver.Throttle, Form: "html", After: 2}, sentinelserver.Fault{Kind: sentinelserver.Throttle, Form: "empty", After: 2})
		requestID := d.run()
		d.a.eventually("the wait on JOBS", func() bool {
			j := d.a.job(requestID)
			return j.over() || j.Progress != nil && j.Progress.WaitReason != ""
		})
		d.finish(requestID)
		if took := time.Since(d.began); took < time.Minute {
			t.Errorf("it took no more than %v", took)
		}
	})
}

func TestRefusedRecords(t *testing.T) {
	t.Parallel()
	for name, fault := range map[string]sentinelserver.Fault{
		"one among 99 good ones": {Kind: sentinelserver.RefuseRecord},
		"batch refused":          {Kind: sentinelserver.RefuseBatch, Status: http.StatusBadRequest},
		"firewall":               {Kind: sentinelserver.RefuseBatch, Status: http.StatusForbidden, Form: "html"},
		"batch too large":        {Kind: sentinelserver.RefuseBatch, Status: http.StatusRequestEntityTooLarge},
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			d := newDelivery(t)
			e := d.victim()
			fault.Match, fault.Count = e.object.ID, -1
			d.inject(fault)
			d.refuses(e)
			j := d.finish(d.run())
			line := d.reported(j)
			if j.Rejected != 1 || !strings.Contains(line.Raw, e.object.ID) || line.Message == "" || line.Note {
				t.Errorf("%d objects were refused, and REPORT says %+v", j.Rejected, line)
			}
			if again := d.a.update("delta").mustComplete(t); again.Uploaded+again.Rejected != 0 {
				t.Errorf("a delta update without a change sent %d objects and had %d refused", again.Uploaded, again.Rejected)
			}
			d.w.cloud.ClearFaults()
			d.o.holds(d.a, d.w, d.a.update("full").mustComplete(t), d.began)
		})
	}
}

// What Sentinel took and could not say is sent again; JOBS counts it once all the same.
func TestConnectionsThatBreak(t *testing.T) {
	t.Parallel()
	d := newDelivery(t)
	d.inject(sentinelserver.Fault{Kind: sentinelserver.CutAfter, After: 1, Count: 3}, sentinelserver.Fault{Kind: sentinelserver.CutBefore, After: 1, Count: 2},
		sentinelserver.Fault{Kind: sentinelserver.Status, Status: http.StatusServiceUnavailable, Form: "html", After: 1, Count: 2},
		sentinelserver.Fault{Kind: sentinelserver.Reply, Body: "<html>a proxy</html>", After: 1})
	requestID := d.run()
	d.a.await(requestID)
	if again := d.o.forgive(d.w.cloud); again == 0 || again > 4*100 {
		t.Errorf("%d objects were sent again after four answers got lost", again)
	}
	d.finish(requestID)
}

func TestTokensThatLapseInMidRun(t *testing.T) {
	t.Parallel()
	d := newDelivery(t)
	d.w.env["upload_url"] = serve(t, answersLate(d.w.cloud, 200*time.Millisecond))
	d.inject(sentinelserver.Fault{Kind: sentinelserver.Unauthorized, After: 3})
	requestID := d.run()
	d.a.eventually("objects in Sentinel", func() bool { return d.w.cloud.Stats().Accepted > 200 })
	d.w.cloud.ExpireTokens()
	d.finish(requestID)
}

// What keeps the Service from Microsoft is named on JOBS within seconds, with what to do about it.
func TestWhatStandsInTheWay(t *testing.T) {
	t.Parallel()
	untrusted := func(d *delivery) string {
		s := httptest.NewUnstartedServer(d.w.cloud)
		s.Config.ErrorLog = log.New(io.Discard, "", 0)
		s.StartTLS()
		t.Cleanup(s.Close)
		return s.URL
	}
	noName := func(*delivery) string { return "https://login.ms-sentinel.invalid" }
	for name, c := range map[string]struct {
		variable string
		address  func(*delivery) string
		says     []string
	}{
		"certificate of the login":  {"authority_url", untrusted, []string{"certificate of Microsoft Entra", "is not trusted", "CA certificate"}},
		"certificate of the upload": {"upload_url", untrusted, []string{"certificate of Sentinel", "is not trusted", "CA certificate"}},
		"name of the login":         {"authority_url", noName, []string{"login.ms-sentinel.invalid", "Microsoft Entra", "Check the n"}},
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			d := newDelivery(t)
			d.w.env[c.variable] = c.address(d)
			requestID := d.run()
			var said string
			d.a.eventually("a reason on JOBS", func() bool {
				if j := d.a.job(requestID); j.Progress != nil {
					said = j.Progress.WaitReason
				}
				return said != ""
			})
			for _, part := range c.says {
				if !strings.Contains(said, part) {
					t.Errorf("JOBS says %q, without %q", said, part)
				}
			}
			if took := time.Since(d.began); took > 20*time.Second {
				t.Errorf("it took %v", took)
			}
		})
	}
}

// What only an administrator can put right makes the job fail at once and say how. Put right, the same job does its work,
// or the one that another workspace starts.
func TestFaultsOfConfiguration(t *testing.T) {
	t.Parallel()
	for name, c := range map[string]struct {
		wrong, right func(d *delivery)
		says         []string
	}{
		"client secret": {
			func(d *delivery) { d.w.cloud.SetSecret(clientID, "another") },
			func(d *delivery) { d.w.cloud.SetSecret(clientID, clientSecret) },
			[]string{"Client Secret"},
		},
		"ThreatConnect secret key": {
			func(d *delivery) { d.w.tc.SetSecretKey(tcserver.DefaultAccessID, "another") },
			func(d *delivery) { d.w.tc.SetSecretKey(tcserver.DefaultAccessID, tcSecretKey) },
			[]string{"ThreatConnect Access ID", "ThreatConnect Secret Key"},
		},
		"requests refused for whatever is in them": {
			func(d *delivery) {
				d.inject(sentinelserver.Fault{Kind: sentinelserver.Status, Status: http.StatusBadRequest, Count: -1})
			},
			func(d *delivery) { d.w.cloud.ClearFaults() },
			[]string{"Bad Request"},
		},
		"workspace": {
			func(d *delivery) { d.w.env["sentinel_workspace_id"] = strings.Replace(workspaceID, "b", "c", 1) },
			func(d *delivery) {
				d.a.stop()
				d.w.env["sentinel_workspace_id"] = workspaceID
				d.a = d.w.start() // another workspace, another ledger: a full update begins by itself
			},
			[]string{"Sentinel Workspace ID", "Azure Cloud"},
		},
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			d := newDelivery(t)
			c.wrong(d)
			requestID := d.run()
			j := d.a.await(requestID)
			if j.Status != "Failed" || j.Uploaded != 0 || len(d.w.cloud.Objects(source)) != 0 {
				t.Errorf("the job is %s and sent %d", j.Status, j.Uploaded)
			}
			for _, part := range c.says {
				if !strings.Contains(j.Message, part) {
					t.Errorf("the message does not name %q: %s", part, j.Message)
				}
			}
			if took := time.Since(d.began); took > time.Minute {
				t.Errorf("it took %v to say so", took)
			}
			c.right(d)
			if name == "workspace" {
				d.a.eventually("another job", func() bool { return d.a.newest().RequestID != requestID })
				requestID = d.a.newest().RequestID
			} else {
				d.a.do(http.MethodPost, fmt.Sprintf("api/job/request/%s/retry", requestID), nil, nil)
			}
			d.finish(requestID)
		})
	}
}
