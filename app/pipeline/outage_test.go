package pipeline

import (
	"fmt"
	"strings"
	"testing"
	"testing/synctest"
	"time"

	"mssentinel/app/job"
	"mssentinel/app/standin/sentinelserver"
	"mssentinel/app/standin/tcserver"
	"mssentinel/app/store"
)

// While ThreatConnect is gone nothing is sent, nothing is retired and no updates pile up, over a restart too. What happened
// there meanwhile arrives once it is back, whenever in the day it happened.
func TestThreatConnectIsGoneForADay(t *testing.T) {
	for name, fault := range map[string]tcserver.Fault{
		"no connection": {Kind: tcserver.CutBefore, Count: -1},
		"out of order":  {Kind: tcserver.Status, Status: 503, Form: "html", Count: -1},
		"says nothing":  {Kind: tcserver.Hang, Count: -1},
	} {
		t.Run(name, func(t *testing.T) {
			in(t, func(t *testing.T) {
				w := newWorld(t, func(w *world) { w.options.Interval = 2 * time.Hour })
				ids := w.fill(60)
				time.Sleep(time.Hour)
				w.done(w.save(job.Full, query("", "Alpha")))
				accepted := w.far.Stats().Accepted
				w.must(w.tc.Inject(fault))
				for hour := range 24 {
					w.put("Alpha", fmt.Sprintf("new%d.example", hour))
					w.must(w.tc.Delete(ids[2*hour]))
					w.must(w.tc.Modify(ids[2*hour+1], map[string]any{"confidence": hour}))
					time.Sleep(time.Hour)
					if hour == 12 {
						w.restart()
					}
				}
				if n := w.far.Stats().Accepted; n != accepted || len(w.live()) != 60 {
					t.Errorf("%d objects were accepted meanwhile, %d are live", n-accepted, len(w.live()))
				}
				w.wantOneOpenJob("ThreatConnect")
				w.tc.ClearFaults()
				time.Sleep(6 * time.Hour) // the longest pause between two attempts, and an interval
				w.check(false)
				if n := w.far.Stats().Accepted; n != accepted+3*24 {
					t.Errorf("%d objects were sent, of 24 new, 24 changed and 24 deleted indicators", n-accepted)
				}
			})
		})
	}
}

// wantOneOpenJob fails the test unless one update waits or works, and says whom it waits for.
func (w *world) wantOneOpenJob(whom string) {
	w.t.Helper()
	jobs, _, err := w.store.Jobs(w.t.Context(), store.JobFilter{Limit: 100})
	w.must(err)
	open := 0
	for _, j := range jobs {
		said := j.Message + w.p.Progress().WaitReason
		if j.Status == job.Pending || j.Status.Active() {
			open++
		} else if j.Status != job.Failed && !j.WasComplete() {
			w.t.Errorf("a job is %s: %s", j.Status, j.Message)
		}
		if !j.WasComplete() && !strings.Contains(said, whom) {
			w.t.Errorf("a job that is %s says %q", j.Status, said)
		}
	}
	if open > 1 {
		w.t.Errorf("%d jobs are open", open)
	}
}

// Whoever says nothing for minutes is asked again: every call has an end. Told to end meanwhile, the Service does so at once.
func TestHangsOfMinutes(t *testing.T) {
	for name, hang := range map[string]func(w *world) error{
		"a page of ThreatConnect": func(w *world) error {
			return w.tc.Inject(tcserver.Fault{Kind: tcserver.Hang, Path: "/api/v3/indicators", Count: 3})
		},
		"the owners": func(w *world) error {
			return w.tc.Inject(tcserver.Fault{Kind: tcserver.Hang, Path: "/api/v3/security/owners", Count: 2})
		},
		"an answer after four minutes": func(w *world) error {
			return w.tc.Inject(tcserver.Fault{Kind: tcserver.Slow, Seconds: 230, Count: 3})
		},
		"Sentinel": func(w *world) error {
			return w.far.Inject(sentinelserver.Fault{Kind: sentinelserver.Hang, Count: 20})
		},
		"Microsoft Entra": func(w *world) error {
			return w.far.Inject(sentinelserver.Fault{Kind: sentinelserver.TokenHang, Count: 5})
		},
	} {
		t.Run(name, func(t *testing.T) {
			in(t, func(t *testing.T) {
				w := newWorld(t)
				w.fill(950)
				w.must(hang(w))
				began := time.Now()
				w.saveOnly(job.Full, query("", "Alpha"))
				time.Sleep(time.Minute)
				w.restart() // which fails the test if it takes more than 4 s
				time.Sleep(scheduleEvery)
				jobs, n, err := w.store.Jobs(t.Context(), store.JobFilter{})
				w.must(err)
				j := w.done(w.awaitJob(jobs[0].RequestID, func(j job.Job) bool { return j.Status == job.UploadComplete }))
				if took := time.Since(began); took > 30*time.Minute || n != 1 || j.FailureCount > 1 {
					t.Errorf("it took %v, with %d failures and %d jobs", took, j.FailureCount, n)
				}
				w.sentOnce()
				w.check(true)
			})
		})
	}
}

// Services that share one app registration share its limit without knowing of each other. Each is told so by Sentinel, loses
// nothing and sends nothing twice, and together they use what the limit allows.
func TestServicesShareALimit(t *testing.T) {
	in(t, func(t *testing.T) {
		const services, hosts, limit = 3, 1000, 6
		began := time.Now()
		var all []*world
		for i := range services {
			w := newWorld(t, func(w *world) {
				w.limit, w.options.Source = limit, fmt.Sprint(source, "-", i)
				if i > 0 {
					w.far = all[0].far
				}
			})
			w.fill(hosts)
			all = append(all, w)
		}
		for _, w := range all {
			w.saveOnly(job.Full, query("", "Alpha"))
		}
		throttled := 0
		for _, w := range all {
			j := w.done(w.awaitIdle(job.Full))
			w.counts(j, job.Counts{Downloaded: hosts, Queued: hosts, Uploaded: hosts})
			w.sentOnce()
			w.check(true)
		}
		for _, r := range all[0].far.Requests() {
			if r.Status == 429 {
				throttled++
			}
		}
		const floor = time.Minute * services * hosts / 100 / limit
		if took := time.Since(began); throttled == 0 || took > 2*floor {
			t.Errorf("it took %v, with %d requests over the limit; the limit allows %v", took, throttled, floor)
		}
	})
}

// The log has a handful of lines for each update, whatever the number of indicators, and none for each.
func TestTheLogOfAnUpdateIsShort(t *testing.T) {
	in(t, func(t *testing.T) {
		lines := func(n int) int {
			w := newWorld(t)
			ids := w.fill(n)
			for _, id := range ids[:n/2] {
				w.must(w.tc.Modify(id, map[string]any{"hostName": "*.example", "summary": "*.example"}))
			}
			w.must(w.far.Inject(sentinelserver.Fault{Kind: sentinelserver.RefuseRecord, Rate: 1, Count: n / 4}))
			w.done(w.save(job.Full, query("", "Alpha")))
			w.done(w.runJob(job.Reconcile))
			synctest.Wait()
			return strings.Count(w.log.String(), "\n")
		}
		if few, many := lines(40), lines(2400); many > few+10 || many > 40 {
			t.Errorf("%d lines with 40 indicators, %d with 2,400", few, many)
		}
	})
}
