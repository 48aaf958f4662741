package pipeline

import (
	"context"
	"errors"
	"fmt"
	"os"
	"path/filepath"
	"strings"
	"sync/atomic"
	"testing"
	"testing/synctest"
	"time"

	"github.com/mattn/go-sqlite3"

	"mssentinel/app/job"
	"mssentinel/app/ledger"
	"mssentinel/app/sentinel"
	"mssentinel/app/standin/sentinelserver"
	"mssentinel/app/standin/tcserver"
	"mssentinel/app/store"
)

// fill puts n hosts into Alpha.
func (w *world) fill(n int) (ids []int64) {
	w.t.Helper()
	for i := range n {
		ids = append(ids, w.put("Alpha", fmt.Sprintf("h%d.example", i)))
	}
	return ids
}

// sentOnce fails the test if an object was accepted more than once.
func (w *world) sentOnce() {
	w.t.Helper()
	for id, n := range w.far.Sent(w.options.Source) {
		if n != 1 {
			w.t.Errorf("%s was sent %d times", id, n)
		}
	}
}

func (w *world) problems(j job.Job) []job.Problem {
	w.t.Helper()
	problems, _, err := w.store.Problems(context.Background(), store.ProblemFilter{RequestID: j.RequestID, Limit: 500})
	w.must(err)
	return problems
}

// The codes of REPORT are those that the client gives.
func TestCodesOfRejections(t *testing.T) {
	if job.CodeRejected != sentinel.CodeRejected || job.CodeBatchRejected != sentinel.CodeBatchRejected {
		t.Error("a code of package sentinel is another in package job")
	}
}

func TestOneRejectedRecordAmong99(t *testing.T) {
	for _, kind := range []sentinelserver.Kind{sentinelserver.RefuseRecord, sentinelserver.RefuseBatch} {
		in(t, func(t *testing.T) {
			w := newWorld(t)
			w.fill(100)
			w.must(w.far.Inject(sentinelserver.Fault{Kind: kind, Match: "'h42.example'", Count: -1}))
			j := w.done(w.save(job.Full, query("", "Alpha")))
			w.counts(j, job.Counts{Downloaded: 100, Queued: 100, Uploaded: 99, Rejected: 1})
			problems := w.problems(j)
			if len(problems) != 1 || problems[0].Step != "Upload" || !strings.Contains(problems[0].Raw, "h42.example") {
				t.Errorf("%s: %+v", kind, problems)
			}
			w.sentOnce()
			// It is not tried again before it changes.
			w.far.ClearFaults()
			if j := w.done(w.runJob(job.Delta)); j.Queued != 0 {
				t.Errorf("%+v", j.Counts)
			}
			w.done(w.runJob(job.Full))
			w.check(true)
		})
	}
}

// A firewall that refuses one record of many costs that record alone, and JOBS says what it was.
func TestOneRecordRefusedByAFirewall(t *testing.T) {
	in(t, func(t *testing.T) {
		w := newWorld(t)
		w.fill(350)
		w.must(w.far.Inject(sentinelserver.Fault{Kind: sentinelserver.RefuseBatch, Status: 403, Form: "html", Match: "'h142.example'", Count: -1}))
		began := time.Now()
		j := w.done(w.save(job.Full, query("", "Alpha")))
		w.counts(j, job.Counts{Downloaded: 350, Queued: 350, Uploaded: 349, Rejected: 1})
		problems := w.problems(j)
		if len(problems) != 1 || !strings.Contains(problems[0].Message, "firewall or proxy") || !strings.Contains(problems[0].Raw, "h142.example") {
			t.Errorf("%+v", problems)
		}
		if took := time.Since(began); took > 2*time.Minute {
			t.Errorf("took %v", took)
		}
		w.sentOnce()
	})
}

// What only an operator can heal stands on JOBS from the first try, with what to do about it, until it is healed.
func TestOperatorIsTold(t *testing.T) {
	for name, fault := range map[string]sentinelserver.Fault{
		"login":  {Kind: sentinelserver.TokenStatus, Status: 403, Form: "html", Count: -1},
		"upload": {Kind: sentinelserver.Status, Status: 200, Form: "foreign", Count: -1},
	} {
		t.Run(name, func(t *testing.T) {
			in(t, func(t *testing.T) {
				w := newWorld(t)
				w.fill(10)
				w.must(w.far.Inject(fault))
				w.saveOnly(job.Full, query("", "Alpha"))
				told := func() bool {
					reason := w.p.Progress().WaitReason
					return strings.Contains(reason, "in place of") && strings.Contains(reason, "proxy settings")
				}
				for range 60 {
					time.Sleep(5 * time.Second)
					if !told() {
						t.Fatalf("JOBS says %q", w.p.Progress().WaitReason)
					}
				}
				id := w.p.Progress().RequestID
				w.far.ClearFaults()
				w.done(w.await(id))
				if reason := w.p.Progress().WaitReason; reason != "" {
					t.Errorf("still told of %q", reason)
				}
				w.check(true)
			})
		})
	}
}

func TestThrottleAndOutages(t *testing.T) {
	for _, f := range []sentinelserver.Fault{
		{Kind: sentinelserver.Throttle, Seconds: 20, Form: "header", Count: 3, After: 2},
		{Kind: sentinelserver.Throttle, Seconds: 20, Form: "date", Count: 3, After: 2},
		{Kind: sentinelserver.Throttle, Seconds: 20, Form: "message", Count: 3, After: 2},
		{Kind: sentinelserver.Throttle, Form: "html", Count: 3, After: 2},
		{Kind: sentinelserver.Throttle, Form: "empty", Count: 3, After: 2},
		{Kind: sentinelserver.Throttle, Seconds: 7200, Count: 9},
		{Kind: sentinelserver.Status, Status: 503, Count: 10, After: 1},
		{Kind: sentinelserver.Status, Status: 502, Form: "html", Count: 10, After: 1},
		{Kind: sentinelserver.CutBefore, Count: 5, After: 1},
		{Kind: sentinelserver.Unauthorized, Count: 1, After: 3},
	} {
		in(t, func(t *testing.T) {
			w := newWorld(t)
			w.fill(1200)
			w.must(w.far.Inject(f))
			j := w.done(w.save(job.Full, query("", "Alpha")))
			w.counts(j, job.Counts{Downloaded: 1200, Queued: 1200, Uploaded: 1200})
			w.sentOnce()
			w.check(true)
		})
	}
}

func TestAConnectionCutAfterTheServerStoredTheBatch(t *testing.T) {
	in(t, func(t *testing.T) {
		w := newWorld(t)
		w.fill(1200)
		w.must(w.far.Inject(sentinelserver.Fault{Kind: sentinelserver.CutAfter, Count: 2, After: 3}))
		w.counts(w.done(w.save(job.Full, query("", "Alpha"))), job.Counts{Downloaded: 1200, Queued: 1200, Uploaded: 1200})
		w.check(true)
		if stats := w.far.Stats(); stats.Accepted != 1400 {
			t.Errorf("%+v", stats)
		}
	})
}

// What does not heal by itself fails the job at once, with the remedy, and keeps what waits.
func TestConfigurationErrors(t *testing.T) {
	for _, c := range []struct {
		name  string
		spoil func(w *world)
		heal  func(w *world)
		want  string
		step  job.Step
	}{
		{"secret of Microsoft", func(w *world) { w.far.SetSecret(clientID, "another") }, func(w *world) { w.far.SetSecret(clientID, secret) }, "Client Secret", job.StepUpload},
		{"role", func(w *world) { w.far.SetRole(clientID, false) }, func(w *world) { w.far.SetRole(clientID, true) }, "role", job.StepUpload},
		{"key of ThreatConnect", func(w *world) { w.tc.SetSecretKey(tcserver.DefaultAccessID, "another") },
			func(w *world) { w.tc.SetSecretKey(tcserver.DefaultAccessID, tcserver.DefaultSecretKey) }, "ThreatConnect Secret Key", job.StepDownload},
	} {
		t.Run(c.name, func(t *testing.T) {
			in(t, func(t *testing.T) {
				w := newWorld(t)
				w.fill(250)
				c.spoil(w)
				update := w.save(job.Full, query("", "Alpha"))
				if update.Status != job.Failed || update.DateFailed == nil || !strings.Contains(update.Message, c.want) {
					t.Fatalf("%s: %s", update.Status, update.Message)
				}
				if p := w.problems(update); len(p) != 1 || p[0].Code != job.CodeUpdateFailed || p[0].Step != c.step || p[0].Message != update.Message || update.OtherErrors != 1 {
					t.Errorf("REPORT says %+v, and JOBS %d errors", p, update.OtherErrors)
				}
				if strings.Contains(w.log.String(), secret) || strings.Contains(update.Message, secret) {
					t.Error("the secret is shown")
				}
				c.heal(w)
				w.must(w.p.Retry(t.Context(), update.RequestID))
				again := w.done(w.awaitJob(update.RequestID, func(j job.Job) bool { return j.Status == job.UploadComplete || j.Status == job.Failed }))
				if again.RequestID != update.RequestID || again.Uploaded != 250 || again.DateFailed != nil {
					t.Errorf("%+v", again)
				}
				w.sentOnce()
				w.check(true)
			})
		})
	}
}

func TestAQueryThatCannotBeRead(t *testing.T) {
	in(t, func(t *testing.T) {
		w := newWorld(t)
		w.put("Alpha", "a.example")
		gone := w.put("Alpha", "gone.example")
		w.put("Beta", "b.example")
		w.done(w.save(job.Full, query("", "Alpha"), query("confidence > 1", "Beta")))
		before, err := w.store.RunQueries(t.Context())
		w.must(err)
		time.Sleep(time.Hour)

		w.must(w.tc.Inject(tcserver.Fault{Kind: tcserver.TQLRefuse, Match: "confidence > 1", Count: -1}))
		w.put("Alpha", "new.example")
		w.must(w.tc.Delete(gone))
		for _, mode := range []job.Mode{job.Delta, job.Reconcile} {
			j := w.runJob(mode)
			if j.Status != job.UploadComplete || !strings.Contains(j.Message, "Query 2 could not be read") || !strings.Contains(j.Message, "Until it can be read, nothing is retired but what ThreatConnect lists as deleted") {
				t.Fatalf("%s: %s", j.Status, j.Message)
			}
			if p := w.problems(j); len(p) != 1 || p[0].Step != "Download" || !strings.Contains(p[0].Raw, "confidence > 1") {
				t.Errorf("%+v", p)
			}
			w.wantWinner("new.example", "Alpha")
			w.wantWinner("b.example", "Beta")
			w.wantWinner("gone.example", "") // it is on ThreatConnect's list
		}
		after, err := w.store.RunQueries(t.Context())
		w.must(err)
		if !after[0].Mark.After(before[0].Mark) || !after[1].Mark.Equal(before[1].Mark) {
			t.Errorf("marks %v and %v, before %v and %v", after[0].Mark, after[1].Mark, before[0].Mark, before[1].Mark)
		}

		w.tc.ClearFaults()
		w.done(w.runJob(job.Delta))
		w.check(false)
	})
}

// A complete read that one query fails in sees all the same what has left the others: no later delta looks back so far.
func TestWhatLeftWhileAQueryCouldNotBeRead(t *testing.T) {
	in(t, func(t *testing.T) {
		w := newWorld(t)
		gone := w.put("Alpha", "gone.example", "x")
		w.put("Alpha", "a.example", "x")
		w.put("Beta", "b.example")
		w.put("Home", "c.example")
		w.done(w.save(job.Full, query(`tag = "x"`, "Alpha"), query("confidence > 1", "Beta"), query("", "Home")))
		w.done(w.save(job.Delta, w.queries[:2]...))
		time.Sleep(time.Hour)
		w.must(w.tc.SetTags(gone))
		time.Sleep(time.Hour)
		w.must(w.tc.Inject(tcserver.Fault{Kind: tcserver.TQLRefuse, Match: "confidence > 1", Count: -1}))
		if j := w.runJob(job.Reconcile); j.Status != job.UploadComplete || j.Retired != 0 {
			t.Errorf("%s: %s %+v", j.Status, j.Message, j.Counts)
		}
		w.tc.ClearFaults()
		time.Sleep(time.Hour)
		w.done(w.runJob(job.Delta))
		w.wantWinner("gone.example", "")
		w.wantWinner("c.example", "Home") // what a deleted query gave takes a read that is complete
		w.done(w.runJob(job.Reconcile))
		w.check(true)
	})
}

// Of a query that was never read completely nobody knows since when to look for what has left: a delta update, which reads
// it from the beginning, sees that by itself.
func TestADeltaReadsAQueryThatWasReadInPart(t *testing.T) {
	in(t, func(t *testing.T) {
		w := newWorld(t)
		w.put("Alpha", "a.example")
		late, gone := w.put("Alpha", "late.example"), w.put("Alpha", "gone.example")
		owner := w.tc.Owners()[2]
		w.must(w.tc.RemoveOwner(owner.Name))
		if j := w.save(job.Full, query("", "Alpha", owner.Name)); j.Status != job.Failed || j.Uploaded != 3 {
			t.Fatalf("%s: %s %+v", j.Status, j.Message, j.Counts)
		}
		w.must(w.tc.Delete(gone))
		w.must(w.tc.AddOwner(owner))
		time.Sleep(time.Hour)
		w.must(w.tc.Modify(late, map[string]any{"confidence": 7})) // within the lag
		j, err := w.p.Submit(t.Context(), job.Request{Mode: job.Delta})
		w.must(err)
		w.counts(w.done(w.await(j.RequestID)), job.Counts{Downloaded: 2, Unchanged: 1, Queued: 2, Uploaded: 1, Retired: 1})
		w.check(false)
	})
}

func TestAnOwnerThatGoesAway(t *testing.T) {
	in(t, func(t *testing.T) {
		w := newWorld(t)
		w.put("Alpha", "a.example")
		w.put("Beta", "b.example")
		w.done(w.save(job.Full, query("", "Alpha", "Beta")))
		owner := w.tc.Owners()[2]
		w.must(w.tc.RemoveOwner(owner.Name))
		w.put("Alpha", "new.example")
		j := w.runJob(job.Reconcile)
		if !strings.Contains(j.Message, `"Beta"`) || j.Status != job.Failed {
			t.Errorf("%s: %s", j.Status, j.Message)
		}
		w.wantWinner("new.example", "Alpha")
		w.wantWinner("b.example", "Beta")
		w.must(w.tc.AddOwner(owner))
		w.done(w.runJob(job.Reconcile))
		w.check(true)
	})
}

// Of several queries each whose owner is not seen has failed, and none of them reads less than before.
func TestOwnersThatGoAway(t *testing.T) {
	in(t, func(t *testing.T) {
		w := newWorld(t)
		w.put("Alpha", "a.example")
		w.put("Home", "b.example")
		w.put("Home", "c.example")
		w.done(w.save(job.Full, query("", "Home", "Beta"), query("", "Alpha"), query("", "Home", "beta")))
		w.must(w.tc.RemoveOwner("Beta"))
		for _, row := range w.tc.Rows() {
			if row.Type == "Host" && strings.Contains(string(row.JSON()), "b.example") {
				w.must(w.tc.SetActive(row.ID, false))
			}
		}
		j := w.runJob(job.Reconcile)
		if !strings.Contains(j.Message, "Query 1 could not be read") || !strings.Contains(j.Message, "query 3 could not be read") || strings.Contains(j.Message, "uery 2") {
			t.Errorf("%s: %s", j.Status, j.Message)
		}
		w.wantWinner("c.example", "Home")
	})
}

// A scheduled job that fails is tried again, ever later, and given up after ten more attempts; an ad hoc one fails at once.
func TestRetries(t *testing.T) {
	in(t, func(t *testing.T) {
		w := newWorld(t)
		w.fill(3)
		w.must(w.tc.Inject(tcserver.Fault{Kind: tcserver.Status, Status: 500, Count: -1}))
		update := w.save(job.Full, query("", "Alpha"))
		if update.Status != job.Pending || update.FailureCount != 1 || update.Message == "" {
			t.Fatalf("%s: %s, %d failures", update.Status, update.Message, update.FailureCount)
		}
		if wait := time.Until(*update.RetryAfter); wait < 4*time.Minute || wait > 6*time.Minute {
			t.Errorf("tried again after %v", wait)
		}
		adhoc := w.runJob(job.Full)
		if adhoc.Status != job.Failed || adhoc.FailureCount != 1 || adhoc.DateFailed == nil {
			t.Errorf("%s: %s", adhoc.Status, adhoc.Message)
		}
		failed := w.awaitJob(update.RequestID, func(j job.Job) bool { return j.Status == job.Failed })
		attempts, err := w.store.Attempts(t.Context(), update.RequestID)
		w.must(err)
		if failed.FailureCount != job.MaxRetries+1 || len(attempts) != failed.FailureCount || len(w.problems(failed)) != failed.FailureCount {
			t.Errorf("%d failures, %d attempts, %d lines on REPORT", failed.FailureCount, len(attempts), len(w.problems(failed)))
		}
		for _, a := range attempts {
			if a.Failure != failed.Message || a.Ended == nil || a.Ended.Before(a.Started) {
				t.Errorf("an attempt is kept as %+v", a)
			}
		}
		w.tc.ClearFaults()
		w.must(w.p.Retry(t.Context(), update.RequestID))
		w.done(w.awaitJob(update.RequestID, func(j job.Job) bool { return j.Status == job.UploadComplete }))
		if attempts, err := w.store.Attempts(t.Context(), update.RequestID); err != nil || attempts[0].Failure != "" || attempts[0].Ended == nil {
			t.Errorf("the attempt that succeeded is kept as %+v, %v", attempts[0], err)
		}
		w.check(true)
		if err := w.p.Retry(t.Context(), update.RequestID); !errors.Is(err, job.ErrState) {
			t.Errorf("retry of a job that is complete: %v", err)
		}
		if err := w.p.Retry(t.Context(), "nonsense"); !errors.Is(err, store.ErrNotFound) {
			t.Errorf("retry of an unknown job: %v", err)
		}
	})
}

// Somebody who saves, or presses Run, does not wait for the next attempt.
func TestSavingAndRunningSkipThePause(t *testing.T) {
	in(t, func(t *testing.T) {
		w := newWorld(t)
		w.fill(3)
		w.must(w.tc.Inject(tcserver.Fault{Kind: tcserver.Status, Status: 500, Count: -1}))
		update := w.save(job.Full, query("", "Alpha"))
		if update.Status != job.Pending {
			t.Fatal(update.Status)
		}
		w.tc.ClearFaults()
		at := time.Now()
		w.must(w.p.RunTask(t.Context(), "download"))
		w.done(w.awaitJob(update.RequestID, func(j job.Job) bool { return j.Status == job.UploadComplete }))
		if took := time.Since(at); took > time.Minute {
			t.Errorf("took %v", took)
		}
		w.must(w.tc.Inject(tcserver.Fault{Kind: tcserver.Status, Status: 500, Count: -1}))
		failing := w.update()
		if j := w.await(failing); j.Status != job.Pending {
			t.Fatal(j.Status)
		}
		w.tc.ClearFaults()
		time.Sleep(lookEvery + lookEvery/10) // Download has just looked
		at = time.Now()
		w.saveOnly(job.Delta, query("confidence > 1", "Alpha"))
		w.done(w.awaitJob(failing, func(j job.Job) bool { return j.Status == job.UploadComplete }))
		if took := time.Since(at); took > 15*time.Second {
			t.Errorf("after saving it took %v", took)
		}
	})
}

func TestCancel(t *testing.T) {
	in(t, func(t *testing.T) {
		w := newWorld(t, func(w *world) { w.limit = 2 })
		w.fill(1000)
		w.saveOnly(job.Full, query("", "Alpha"))
		time.Sleep(10 * time.Second)
		running := w.p.Progress().RequestID
		waiting, err := w.p.Submit(t.Context(), job.Request{Mode: job.Full})
		w.must(err)
		w.must(w.p.Cancel(t.Context(), waiting.RequestID))
		w.must(w.p.Cancel(t.Context(), running))
		for _, id := range []string{running, waiting.RequestID} {
			update, err := w.store.Job(t.Context(), id)
			w.must(err)
			if update.Status != job.Cancelled {
				t.Errorf("%s is %s", id, update.Status)
			}
			if err := w.p.Cancel(t.Context(), id); !errors.Is(err, job.ErrState) {
				t.Errorf("cancelled twice: %v", err)
			}
		}
		if total, err := w.store.OutboxSize(t.Context()); total != 0 || err != nil {
			t.Errorf("%d rows wait, %v", total, err)
		}
		sent := w.far.Stats().Accepted
		if sent == 0 || sent == 1000 {
			t.Errorf("%d objects were sent", sent)
		}
		w.must(w.p.Retry(t.Context(), running))
		w.done(w.awaitJob(running, func(j job.Job) bool { return j.Status == job.UploadComplete }))
		w.check(true)
	})
}

// cancels counts how often a job was cancelled, for each of which Upload has to stop.
type cancels struct {
	taskStores
	n *atomic.Int64
}

func (c cancels) CancelJob(ctx context.Context, requestID string, now time.Time) error {
	c.n.Add(1)
	return c.taskStores.CancelJob(ctx, requestID, now)
}

func TestCancelStopsUploadOnce(t *testing.T) {
	in(t, func(t *testing.T) {
		var stops atomic.Int64
		w := newWorld(t, func(w *world) {
			w.limit = 2
			w.wrap = func(s *store.Store) taskStores { return cancels{s, &stops} }
		})
		w.fill(1000)
		w.saveOnly(job.Full, query("", "Alpha"))
		time.Sleep(10 * time.Second)
		w.must(w.p.Cancel(t.Context(), w.p.Progress().RequestID))
		if n := stops.Load(); n != 1 {
			t.Errorf("Upload was stopped %d times", n)
		}
	})
}

func TestPauseResumeAndKill(t *testing.T) {
	for _, slug := range []string{"download", "convert", "upload"} {
		t.Run(slug, func(t *testing.T) {
			in(t, func(t *testing.T) {
				w := newWorld(t, func(w *world) { w.limit = 4 })
				w.fill(600)
				w.must(w.p.PauseTask(t.Context(), slug, true))
				w.saveOnly(job.Full, query("", "Alpha"))
				time.Sleep(8 * time.Hour)
				w.restart()
				time.Sleep(8 * time.Hour)
				synctest.Wait()
				if sent := w.far.Stats().Accepted; sent != 0 {
					t.Fatalf("%d objects were sent while %s was paused", sent, slug)
				}
				w.must(w.p.PauseTask(t.Context(), slug, false))
				time.Sleep(5 * time.Second)
				synctest.Wait()
				id := w.p.Progress().RequestID
				if id == "" {
					t.Fatal("no job runs")
				}
				w.must(w.p.KillTask(t.Context(), "upload"))
				killed := w.awaitJob(id, func(j job.Job) bool { return j.Status == job.Pending })
				if !strings.Contains(killed.Message, "killed") || killed.RetryAfter == nil {
					t.Errorf("%s: %s", killed.Status, killed.Message)
				}
				w.done(w.awaitJob(id, func(j job.Job) bool { return j.Status == job.UploadComplete }))
				w.check(true)
			})
		})
	}
}

// brokenLedger is a store that takes nothing of what was converted, for a reason that is not the disk.
type brokenLedger struct{ taskStores }

func (brokenLedger) Apply(context.Context, ledger.Batch) (store.Applied, error) {
	return store.Applied{}, errors.New("constraint failed")
}

// An update that cannot be mapped, or not be taken into the ledger, has failed in Convert.
func TestConvertFails(t *testing.T) {
	for message, change := range map[string]func(w *world){
		"Writing to the ledger: constraint failed.": func(w *world) {
			w.wrap = func(s *store.Store) taskStores { return brokenLedger{s} }
		},
		"Mapping indicators of type Host: no process can be started.": func(w *world) {
			w.mappers.before = func(context.Context, string, [][]byte) error { return errors.New("no process can be started") }
		},
	} {
		in(t, func(t *testing.T) {
			w := newWorld(t, change)
			w.put("Alpha", "a.example")
			j := w.save(job.Full, query("", "Alpha"))
			if j.Status != job.Pending || j.Message != message {
				t.Errorf("%s: %s", j.Status, j.Message)
			}
			if lines := w.problems(j); len(lines) != 1 || lines[0].Step != job.StepConvert || lines[0].Code != job.CodeUpdateFailed {
				t.Errorf("REPORT has %+v", lines)
			}
		})
	}
}

// Whenever the process ends, the next one goes on with the same job and nothing is lost. Ended by Shutdown, nothing is sent twice.
func TestRestartInTheMiddle(t *testing.T) {
	for _, after := range []time.Duration{0, time.Second, 5 * time.Second, 61 * time.Second, 200 * time.Second} {
		t.Run(after.String(), func(t *testing.T) {
			in(t, func(t *testing.T) {
				w := newWorld(t, func(w *world) { w.limit = 3 })
				w.fill(1500)
				w.saveOnly(job.Full, query("", "Alpha"))
				time.Sleep(after + 500*time.Millisecond)
				id := w.p.Progress().RequestID
				w.restart()
				if id != "" {
					w.done(w.awaitJob(id, func(j job.Job) bool { return !j.Status.Active() }))
				}
				w.awaitIdle(job.Full)
				w.sentOnce()
				w.check(true)
				if jobs, n, _ := w.store.Jobs(t.Context(), store.JobFilter{}); n != 1 {
					t.Errorf("%d jobs: %+v", n, jobs)
				}
				if most := w.far.MaxInWindow(true); most > 3 {
					t.Errorf("%d requests in a minute", most)
				}
			})
		})
	}
}

// crash goes on from what is on the disk, as after kill -9: answers under way are lost.
func (w *world) crash() {
	w.t.Helper()
	synctest.Wait()
	dir := w.t.TempDir()
	files, err := filepath.Glob(filepath.Join(w.dir, "*"))
	w.must(err)
	for _, f := range files {
		data, err := os.ReadFile(f)
		w.must(err)
		w.must(os.WriteFile(filepath.Join(dir, filepath.Base(f)), data, 0o600))
	}
	w.stop()
	w.dir = dir
	w.start()
}

func TestCrashInTheMiddle(t *testing.T) {
	in(t, func(t *testing.T) {
		w := newWorld(t, func(w *world) { w.limit = 3 })
		w.fill(1500)
		w.must(w.far.Inject(sentinelserver.Fault{Kind: sentinelserver.Slow, Seconds: 2, Count: -1}))
		w.saveOnly(job.Full, query("", "Alpha"))
		time.Sleep(time.Second)
		for i := range 12 {
			time.Sleep(time.Duration(i) * 777 * time.Millisecond)
			w.crash()
		}
		w.awaitIdle(job.Full)
		w.check(true)
		if jobs, n, _ := w.store.Jobs(t.Context(), store.JobFilter{}); n != 1 {
			t.Errorf("%d jobs: %+v", n, jobs)
		}
		if most := w.far.MaxInWindow(true); most > 3+12 {
			t.Errorf("%d requests in a minute", most)
		}
	})
}

// fullDisk is a store on a disk that is full for a while.
type fullDisk struct {
	taskStores
	full func() bool
}

func (f fullDisk) Apply(ctx context.Context, b ledger.Batch) (store.Applied, error) {
	if f.full() {
		return store.Applied{}, fmt.Errorf("applying: %w", sqlite3.Error{Code: sqlite3.ErrFull})
	}
	return f.taskStores.Apply(ctx, b)
}

func (f fullDisk) Settle(ctx context.Context, s store.Settlement) error {
	if f.full() {
		return fmt.Errorf("settling: %w", sqlite3.Error{Code: sqlite3.ErrReadonly})
	}
	return f.taskStores.Settle(ctx, s)
}

func (f fullDisk) Outgoing(ctx context.Context, after int64, limit int) ([]*store.Outgoing, error) {
	if f.full() {
		return nil, fmt.Errorf("reading: %w", sqlite3.Error{Code: sqlite3.ErrIoErr})
	}
	return f.taskStores.Outgoing(ctx, after, limit)
}

func (f fullDisk) Unseen(ctx context.Context, j, query int64, ids []int64) ([]int64, error) {
	if f.full() {
		return nil, fmt.Errorf("reading: %w", sqlite3.Error{Code: sqlite3.ErrIoErr})
	}
	return f.taskStores.Unseen(ctx, j, query, ids)
}

func TestAFullDiskPausesTheJob(t *testing.T) {
	in(t, func(t *testing.T) {
		var full atomic.Bool
		w := newWorld(t, func(w *world) {
			w.limit = 4
			w.wrap = func(s *store.Store) taskStores { return fullDisk{s, full.Load} }
		})
		w.fill(1500)
		w.saveOnly(job.Full, query("", "Alpha"))
		for range 3 {
			full.Store(true)
			time.Sleep(70 * time.Second)
			synctest.Wait()
			if !strings.Contains(w.p.Trouble(), "cannot write") || w.p.Progress().RequestID == "" {
				t.Errorf("trouble: %q", w.p.Trouble())
			}
			full.Store(false)
			time.Sleep(unavailableRetry + time.Second)
		}
		w.awaitIdle(job.Full)
		if trouble := w.p.Trouble(); trouble != "" {
			t.Error(trouble)
		}
		w.sentOnce()
		w.check(true)
	})
}

func TestADiskThatIsFullForThePacingAlone(t *testing.T) {
	in(t, func(t *testing.T) {
		w := newWorld(t, func(w *world) { w.limit = 4 })
		w.fill(1500)
		w.full.Store(true)
		w.saveOnly(job.Full, query("", "Alpha"))
		time.Sleep(time.Hour)
		synctest.Wait()
		if !strings.Contains(w.p.Trouble(), "cannot write") || w.p.Progress().Stage != "Upload" || w.far.RequestCount() != 0 {
			t.Errorf("trouble: %q, %+v, %d requests", w.p.Trouble(), w.p.Progress(), w.far.RequestCount())
		}
		w.full.Store(false)
		w.awaitIdle(job.Full)
		w.sentOnce()
		w.check(true)
	})
}

func TestADamagedRowCostsItself(t *testing.T) {
	in(t, func(t *testing.T) {
		w := newWorld(t)
		w.fill(99)
		w.must(w.tc.Inject(tcserver.Fault{Kind: tcserver.DamagedRow, Path: "/api/v3/indicators", Count: -1}))
		q := query("", "Alpha")
		q.SortField, q.SortDirection = "", ""
		j := w.save(job.Full, q)
		w.counts(j, job.Counts{Downloaded: 99, Invalid: 1, Queued: 98, Uploaded: 98})
		if p := w.problems(j); len(p) != 1 || p[0].Code != "unreadable" {
			t.Errorf("%+v", p)
		}
	})
}

// Which indicator a damaged row was is not known: it may be any of those that did not come.
func TestADamagedRowRetiresNothing(t *testing.T) {
	in(t, func(t *testing.T) {
		w := newWorld(t)
		ids := w.fill(3)
		w.put("Beta", "h2.example")
		w.done(w.save(job.Full, query("", "Alpha"), query("", "Beta")))
		w.must(w.tc.Delete(ids[0]))
		w.must(w.tc.Inject(tcserver.Fault{Kind: tcserver.DamagedRow, Path: "/api/v3/indicators", Match: "Alpha", Count: -1}))
		for _, mode := range []job.Mode{job.Reconcile, job.Delta} {
			w.done(w.runJob(mode))
			w.wantWinner("h1.example", "Alpha")
			w.wantWinner("h2.example", "Alpha")
		}
		w.tc.ClearFaults()
		w.done(w.runJob(job.Reconcile))
		w.check(true)
	})
}

// What hangs is killed by an operator, or ended by the watchdog; who waits for it is not blamed.
func TestHangingMapper(t *testing.T) {
	for _, c := range []struct {
		name, message string
		kill          func(w *world) error
	}{
		{"killed", "Convert was killed", func(w *world) error { return w.p.KillTask(w.t.(*testing.T).Context(), "convert") }},
		{"watched", "Convert gave no sign of life for 60 minutes", func(*world) error { return nil }},
	} {
		t.Run(c.name, func(t *testing.T) {
			in(t, func(t *testing.T) {
				var sound atomic.Bool
				w := newWorld(t)
				w.mappers.before = func(ctx context.Context, _ string, _ [][]byte) error {
					if !sound.Load() {
						<-ctx.Done()
					}
					return ctx.Err()
				}
				w.fill(2500)
				w.saveOnly(job.Full, query("", "Alpha"))
				time.Sleep(30 * time.Minute)
				id := w.p.Progress().RequestID
				if id == "" {
					t.Fatal("no job runs")
				}
				sound.Store(true)
				w.must(c.kill(w))
				update := w.await(id)
				if update.Status != job.Pending || !strings.Contains(update.Message, c.message) {
					t.Errorf("%s: %s", update.Status, update.Message)
				}
				if p := w.problems(update); len(p) != 1 || p[0].Code != job.CodeUpdateFailed || p[0].Step != job.StepConvert || update.OtherErrors != 1 {
					t.Errorf("%d errors, %+v", update.OtherErrors, p)
				}
				if ended := w.done(w.awaitJob(id, func(j job.Job) bool { return j.Status == job.UploadComplete })); !ended.WasComplete() {
					t.Errorf("what was wrong with an earlier attempt counts: %+v", ended)
				}
				w.check(true)
			})
		})
	}
}

func TestKillDownload(t *testing.T) {
	in(t, func(t *testing.T) {
		w := newWorld(t)
		w.fill(10)
		w.must(w.tc.Inject(tcserver.Fault{Kind: tcserver.Hang, Path: "/api/v3/indicators"}))
		w.saveOnly(job.Full, query("", "Alpha"))
		time.Sleep(time.Minute)
		id := w.p.Progress().RequestID
		w.must(w.p.KillTask(t.Context(), "download"))
		update := w.await(id)
		if update.Status != job.Pending || !strings.Contains(update.Message, "Download was killed") {
			t.Fatalf("%s: %s\n%s", update.Status, update.Message, w.log.String())
		}
		w.done(w.awaitJob(id, func(j job.Job) bool { return j.Status == job.UploadComplete }))
		w.sentOnce()
	})
}

// While ThreatConnect says nothing, or nothing of use, JOBS says so; while something else takes its time, it does not.
func TestProgressSaysThatThreatConnectIsSilent(t *testing.T) {
	in(t, func(t *testing.T) {
		w := newWorld(t)
		w.fill(10)
		silent := func(after time.Duration) bool {
			time.Sleep(after)
			p := w.p.Progress()
			if p.RequestID == "" {
				t.Fatal("no job runs")
			}
			return strings.Contains(p.WaitReason, "ThreatConnect has not answered since 00:0") && p.WaitUntil.IsZero()
		}
		w.must(w.tc.Inject(tcserver.Fault{Kind: tcserver.Hang, Seconds: 600, Path: "/api/v3/indicators"}))
		w.must(w.tc.Inject(tcserver.Fault{Kind: tcserver.Status, Status: 503, Count: 5, Path: "/api/v3/indicators"}))
		w.must(w.p.PauseTask(t.Context(), "convert", true))
		w.saveOnly(job.Full, query("", "Alpha"))
		if silent(10 * time.Second) {
			t.Error("said so at once")
		}
		if !silent(time.Minute) || !silent(3*time.Minute+5*time.Second) {
			t.Errorf("%+v", w.p.Progress())
		}
		if silent(time.Minute) { // Convert is paused
			t.Errorf("%+v", w.p.Progress())
		}
		w.must(w.p.PauseTask(t.Context(), "convert", false))
		w.awaitIdle(job.Full)
	})
}

// What an operator confirms is uploaded without a job, and after an outage by itself.
func TestUploadGoesOnWithoutAJob(t *testing.T) {
	in(t, func(t *testing.T) {
		w, _ := brakeWorld(t)
		j := w.runJob(job.Delta)
		w.far.SetSecret(clientID, "another")
		w.far.ExpireTokens()
		w.must(w.p.AnswerRetirement(t.Context(), j.RequestID, true))
		time.Sleep(time.Hour)
		synctest.Wait()
		if len(w.live()) != 300 {
			t.Errorf("%d objects are live", len(w.live()))
		}
		if upload := w.p.Tasks()[3]; !strings.Contains(upload.Detail, "Client Secret") || upload.NextRun.IsZero() {
			t.Errorf("%+v", upload)
		}
		w.far.SetSecret(clientID, secret)
		time.Sleep(uploadRetry + time.Minute)
		synctest.Wait()
		if len(w.live()) != 150 {
			t.Errorf("%d objects are live", len(w.live()))
		}
		w.check(false)
	})
}

// The mark of a query that is changed while a job reads it does not move: the job read something else.
func TestQueriesChangedWhileAJobRuns(t *testing.T) {
	in(t, func(t *testing.T) {
		w := newWorld(t)
		w.put("Alpha", "a.example", "x")
		w.put("Alpha", "b.example", "y")
		w.put("Beta", "c.example")
		time.Sleep(time.Hour)
		w.must(w.p.PauseTask(t.Context(), "convert", true))
		w.saveOnly(job.Full, query(`tag = "x"`, "Alpha"), query("", "Beta"))
		time.Sleep(time.Minute)
		id := w.p.Progress().RequestID
		edited := w.queries[0]
		edited.TQL = `tag = "y"`
		w.saveOnly(job.Delta, edited)
		w.must(w.p.PauseTask(t.Context(), "convert", false))
		w.await(id)
		// So the update that was saved reads the query from the beginning.
		next := w.awaitIdle(job.Delta)
		if next.RequestID == id || next.WindowStart != nil || next.Downloaded != 1 {
			t.Errorf("%+v", next)
		}
		w.wantWinner("b.example", "Alpha")
		time.Sleep(time.Minute)
		w.done(w.runJob(job.Reconcile))
		w.check(true)
	})
}
