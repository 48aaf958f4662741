package pipeline

import (
	"fmt"
	"net/http"
	"strings"
	"testing"
	"time"

	"mssentinel/app/job"
	"mssentinel/app/standin/sentinelserver"
	"mssentinel/app/standin/tcserver"
	"mssentinel/app/store"
)

func (w *world) runQueries() []store.RunQuery {
	w.t.Helper()
	queries, err := w.store.RunQueries(w.t.(*testing.T).Context())
	w.must(err)
	return queries
}

// What ThreatConnect lists as deleted or inactive in an owner is retired, however queries fare that look elsewhere. What only
// did not come back waits until every query was read, and the query that was read is not blamed.
func TestWhatIsListedAsGoneIsRetiredBesideAQueryThatFails(t *testing.T) {
	faults := map[string]func(w *world){
		"its TQL is refused": func(w *world) {
			w.must(w.tc.Inject(tcserver.Fault{Kind: tcserver.TQLRefuse, Match: "confidence > 1", Count: -1}))
		},
		"its owner is refused": func(w *world) {
			w.must(w.tc.Inject(tcserver.Fault{Kind: tcserver.Status, Status: 403, Match: "Alpha", Path: "/api/v3/indicators", Count: -1}))
		},
		"its owner is gone": func(w *world) { w.must(w.tc.RemoveOwner("Alpha")) },
	}
	for name, spoil := range faults {
		for _, mode := range []job.Mode{job.Delta, job.Reconcile, job.Full} {
			t.Run(fmt.Sprint(name, " ", mode), func(t *testing.T) {
				in(t, func(t *testing.T) {
					w := newWorld(t)
					alpha := w.tc.Owners()[1]
					w.put("Alpha", "a.example")
					w.put("Alpha", "both.example")
					both := w.put("Beta", "both.example", "x")
					off, gone, out := w.put("Beta", "off.example", "x"), w.put("Beta", "gone.example", "x"), w.put("Beta", "out.example", "x")
					w.done(w.save(job.Full, query("confidence > 1", "Alpha"), query(`tag = "x"`, "Beta")))
					before := w.runQueries()
					time.Sleep(time.Hour)
					spoil(w)
					w.must(w.tc.SetActive(off, false))
					w.must(w.tc.Delete(gone))
					w.must(w.tc.Delete(both))
					w.must(w.tc.SetTags(out))
					j := w.runJob(mode)
					if j.Status != job.UploadComplete || !strings.Contains(j.Message, "Query 1 could not be read") || strings.Contains(j.Message, "uery 2") {
						t.Errorf("%s: %s", j.Status, j.Message)
					}
					if p := w.problems(j); len(p) != 1 {
						t.Errorf("%+v", p)
					}
					w.wantWinner("off.example", "")
					w.wantWinner("gone.example", "")
					w.wantWinner("out.example", "Beta")
					w.wantWinner("both.example", "Alpha")
					after := w.runQueries()
					if !after[0].Mark.Equal(before[0].Mark) || !after[1].Mark.After(before[1].Mark) {
						t.Errorf("marks %v and %v, before %v and %v", after[0].Mark, after[1].Mark, before[0].Mark, before[1].Mark)
					}
					w.tc.ClearFaults()
					if name == "its owner is gone" {
						w.must(w.tc.AddOwner(alpha))
					}
					w.done(w.runJob(job.Reconcile))
					w.check(true)
				})
			})
		}
	}
}

// A list of what has gone that cannot be read fails no query: what came is sent, the others move their marks, and the list is
// asked for again.
func TestAListThatCannotBeRead(t *testing.T) {
	for name, fault := range map[string]tcserver.Fault{
		"deleted":             {Kind: tcserver.Status, Status: 403, Match: "Beta", Path: "/api/v3/indicators/deleted", Count: -1},
		"deleted for a while": {Kind: tcserver.Status, Status: 500, Match: "Beta", Path: "/api/v3/indicators/deleted", Count: 10},
		"inactive":            {Kind: tcserver.Status, Status: 403, Match: "indicatorActive", Path: "/api/v3/indicators", Count: -1},
	} {
		t.Run(name, func(t *testing.T) {
			in(t, func(t *testing.T) {
				w := newWorld(t)
				w.put("Alpha", "a.example")
				off, gone := w.put("Beta", "off.example"), w.put("Beta", "gone.example")
				w.done(w.save(job.Full, query("", "Alpha"), query("", "Beta")))
				before := w.runQueries()
				time.Sleep(time.Hour)
				w.must(w.tc.Inject(fault))
				w.must(w.tc.SetActive(off, false))
				w.must(w.tc.Delete(gone))
				w.put("Beta", "new.example")
				j := w.runJob(job.Delta)
				if p := w.problems(j); !strings.Contains(j.Message, "he list of what is "+strings.Fields(name)[0]) || len(p) == 0 || strings.Contains(j.Message, "uery 2") {
					t.Errorf("%s: %s, %+v", j.Status, j.Message, p)
				}
				w.wantWinner("new.example", "Beta")
				if strings.HasPrefix(name, "deleted") {
					w.wantWinner("off.example", "")
				} else {
					w.wantWinner("gone.example", "")
				}
				after := w.runQueries()
				if !after[1].Mark.Equal(before[1].Mark) || after[0].Mark.After(before[0].Mark) != strings.HasPrefix(name, "deleted") {
					t.Errorf("marks %v and %v, before %v and %v", after[0].Mark, after[1].Mark, before[0].Mark, before[1].Mark)
				}
				w.tc.ClearFaults()
				w.done(w.runJob(job.Delta))
				w.check(false)
			})
		})
	}
}

// The brake holds what is listed as gone beside a query that fails, and the answer is about that alone.
func TestTheBrakeBesideAQueryThatFails(t *testing.T) {
	for _, confirm := range []bool{true, false} {
		in(t, func(t *testing.T) {
			w := newWorld(t)
			w.put("Alpha", "a.example")
			var gone []int64
			for i := range 150 {
				gone = append(gone, w.put("Beta", fmt.Sprintf("h%d.example", i), "x"))
			}
			out := w.put("Beta", "out.example", "x")
			w.done(w.save(job.Full, query("confidence > 1", "Alpha"), query(`tag = "x"`, "Beta")))
			time.Sleep(time.Hour)
			w.must(w.tc.Inject(tcserver.Fault{Kind: tcserver.TQLRefuse, Match: "confidence > 1", Count: -1}))
			for _, id := range gone {
				w.must(w.tc.Delete(id))
			}
			w.must(w.tc.SetTags(out))
			j := w.runJob(job.Reconcile)
			if j.Status != job.ConfirmationRequired || j.Question() != 150 || len(w.live()) != 152 {
				t.Fatalf("%s, %d: %s", j.Status, j.Question(), j.Message)
			}
			w.must(w.p.AnswerRetirement(t.Context(), j.RequestID, confirm))
			time.Sleep(time.Minute)
			if live := len(w.live()); live != map[bool]int{true: 2, false: 152}[confirm] {
				t.Errorf("%d are live", live)
			}
			w.wantWinner("out.example", "Beta")
			w.tc.ClearFaults()
			w.done(w.runJob(job.Reconcile))
			w.wantWinner("out.example", "")
			if live := len(w.live()); live != map[bool]int{true: 1, false: 151}[confirm] {
				t.Errorf("%d are live in the end", live)
			}
		})
	}
}

// An owner that goes away while single indicators are asked for makes that answer a partial one: nothing is forgotten for it.
func TestAnOwnerThatGoesAwayWhileSingleIndicatorsAreAskedFor(t *testing.T) {
	for name, c := range map[string]struct {
		after int
		setUp func(w *world) (gone int64)
		host  string
	}{
		"the next candidate": {1, func(w *world) int64 {
			gone := w.put("Alpha", "a.example")
			w.put("Beta", "a.example")
			return gone
		}, "a.example"},
		"one with the value of what was deleted": {0, func(w *world) int64 {
			w.put("Beta", "b.example")
			return w.put("Beta", "B.example")
		}, "b.example"},
	} {
		t.Run(name, func(t *testing.T) {
			in(t, func(t *testing.T) {
				w := newWorld(t)
				gone := c.setUp(w)
				time.Sleep(time.Hour)
				w.done(w.save(job.Full, query("", "Alpha", "Beta")))
				time.Sleep(time.Hour)
				w.must(w.tc.Delete(gone))
				w.must(w.tc.Inject(tcserver.Fault{Kind: tcserver.Slow, Seconds: 10, Path: "/api/v3/indicators", Match: "id in (", After: c.after}))
				time.Sleep(DefaultLag + time.Second)
				j := w.submit(job.Delta)
				time.Sleep(5 * time.Second)
				beta := w.tc.Owners()[2]
				w.must(w.tc.RemoveOwner(beta.Name))
				if got := w.await(j.RequestID); !strings.Contains(got.Message, `"Beta"`) {
					t.Errorf("%s: %s", got.Status, got.Message)
				}
				if w.winner(c.host) == "" {
					t.Errorf("%s was retired", c.host)
				}
				w.runJob(job.Delta)
				if w.winner(c.host) == "" {
					t.Errorf("%s was retired by the next update", c.host)
				}
				w.must(w.tc.AddOwner(beta))
				w.done(w.runJob(job.Delta))
				w.check(false)
			})
		})
	}
}

// Nothing is swept before all that was read is in the ledger. What its mapper fails on would be taken for what did not come.
func TestWhatWasReadIsInTheLedgerBeforeTheSweep(t *testing.T) {
	in(t, func(t *testing.T) {
		w := newWorld(t, mapEachTime)
		w.put("Alpha", "a.example")
		q := query("", "Alpha")
		q.SortField, q.SortDirection = "", "" // so that nothing else waits for the ledger
		w.done(w.save(job.Full, q))
		w.mappers.fails = func([]byte) bool {
			time.Sleep(time.Minute)
			return true
		}
		w.counts(w.done(w.runJob(job.Reconcile)), job.Counts{Downloaded: 1, Invalid: 1})
		w.check(true)
	})
}

// A retirement that Sentinel rejects is asked about again by the next update that reads everything, and by none before.
func TestARejectedRetirement(t *testing.T) {
	for _, mode := range []job.Mode{job.Full, job.Reconcile} {
		in(t, func(t *testing.T) {
			w := newWorld(t)
			gone := w.put("Alpha", "gone.example")
			w.put("Alpha", "a.example")
			time.Sleep(time.Hour)
			w.done(w.save(job.Full, query("", "Alpha")))
			time.Sleep(time.Hour)
			w.must(w.tc.Delete(gone))
			w.must(w.far.Inject(sentinelserver.Fault{Kind: sentinelserver.RefuseRecord, Match: "gone.example", Count: -1}))
			j := w.done(w.runJob(job.Delta))
			w.counts(j, job.Counts{Queued: 1, Rejected: 1})
			if p := w.problems(j); len(p) != 1 {
				t.Errorf("%+v", p)
			}
			w.counts(w.done(w.runJob(job.Delta)), job.Counts{})
			if j := w.done(w.runJob(mode)); j.Rejected != 1 || j.Retired != 0 {
				t.Errorf("rejected again: %+v", j.Counts)
			}
			w.far.ClearFaults()
			w.counts(w.done(w.runJob(job.Delta)), job.Counts{})
			w.wantWinner("gone.example", "Alpha")
			if j := w.done(w.runJob(mode)); j.Retired != 1 {
				t.Errorf("asked again: %+v", j.Counts)
			}
			w.check(true)
			w.counts(w.done(w.runJob(job.Delta)), job.Counts{})
		})
	}
}

// Stored, its answer lost, rejected when it was sent again: the object may stand, and is retired like one that does.
func TestWhatMayStandIsRetired(t *testing.T) {
	for name, lose := range map[string]func(w *world){
		"a broken connection": func(w *world) { w.must(w.far.Inject(sentinelserver.Fault{Kind: sentinelserver.CutAfter})) },
		"an answer of somebody else": func(w *world) {
			w.must(w.far.Inject(sentinelserver.Fault{Kind: sentinelserver.Reply, Status: http.StatusBadGateway, Body: "<html>"}))
		},
		"a crash": func(w *world) {
			w.must(w.far.Inject(sentinelserver.Fault{Kind: sentinelserver.CutAfter, Count: 2}))
		},
	} {
		t.Run(name, func(t *testing.T) {
			in(t, func(t *testing.T) {
				w := newWorld(t)
				ids := w.fill(5)
				time.Sleep(time.Hour)
				lose(w)
				w.saveOnly(job.Full, query("", "Alpha"))
				time.Sleep(500 * time.Millisecond)
				if name == "a crash" {
					time.Sleep(2 * time.Second)
				}
				if w.far.Stats().Accepted == 0 {
					time.Sleep(1500 * time.Millisecond)
				}
				w.must(w.far.Inject(sentinelserver.Fault{Kind: sentinelserver.RefuseStored, Match: "'h2.example'", Count: -1}))
				if name == "a crash" {
					w.crash()
				}
				j := w.awaitIdle(job.Full)
				if j.Rejected != 1 || j.Uploaded != 4 {
					t.Fatalf("%+v", j.Counts)
				}
				w.far.ClearFaults()
				time.Sleep(time.Hour)
				w.must(w.tc.Delete(ids[2]))
				w.counts(w.done(w.runJob(job.Delta)), job.Counts{Queued: 1, Retired: 1})
				w.check(false)
			})
		})
	}
}

// Whatever spoils what ThreatConnect answers, from whichever answer on, and for ever or twice in a row: nothing is retired for what
// did not come.
func TestAnAnswerThatIsSpoiledRetiresNothing(t *testing.T) {
	for _, field := range []string{"lastModified", ""} {
		t.Run("sorted by "+field, func(t *testing.T) {
			in(t, func(t *testing.T) {
				const hosts = 1010 // more than a page
				w := newWorld(t)
				ids := w.fill(hosts)
				q := query("", "Alpha")
				q.SortField = field
				w.done(w.save(job.Full, q))
				for n, kind := range []tcserver.Kind{tcserver.Truncated, tcserver.Malformed, tcserver.SoftError, tcserver.HTMLPage, tcserver.RepeatedPage,
					tcserver.EmptyPage, tcserver.DamagedRow, tcserver.Status, tcserver.CutBefore} {
					for after := range 3 {
						for _, count := range []int{-1, 2} {
							w.must(w.tc.Inject(tcserver.Fault{Kind: kind, Path: "/api/v3/indicators", After: after, Count: count}))
							w.runJob([]job.Mode{job.Reconcile, job.Delta, job.Reconcile}[(n+after)%3])
							w.tc.ClearFaults()
							if live := len(w.live()); live != hosts {
								t.Fatalf("%s after %d answers, %d times: %d are live", kind, after, count, live)
							}
						}
					}
				}
				w.must(w.tc.Delete(ids[0]))
				w.done(w.runJob(job.Reconcile))
				w.check(true)
			})
		})
	}
}
