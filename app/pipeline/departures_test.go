package pipeline

import (
	"net/http"
	"strings"
	"testing"
	"time"

	"mssentinel/app/job"
	"mssentinel/app/standin/tcserver"
)

// A copy that its mapper fails on stays a copy, and is not asked for again and again.
func TestAVacancyThatCannotBeFilled(t *testing.T) {
	in(t, func(t *testing.T) {
		w := newWorld(t)
		high := w.put("Alpha", "a.example")
		w.put("Beta", "a.example")
		w.done(w.save(job.Full, query("", "Alpha"), query("", "Beta")))
		w.must(w.tc.Delete(high))
		failed := 0
		w.mappers.fails = func(raw []byte) bool {
			if !strings.Contains(string(raw), `"Beta"`) {
				return false
			}
			failed++
			return true
		}
		w.done(w.runJob(job.Delta))
		if failed > 3 {
			t.Errorf("the mapper failed %d times", failed)
		}
		w.wantWinner("a.example", "Alpha") // it stands until it is known what takes its place
		w.mappers.fails = nil
		w.done(w.runJob(job.Delta))
		w.check(false)
	})
}

// What only a deleted query gave is retired by a delta update as anything else, once ThreatConnect has deleted it or set it
// inactive; the rest waits for a complete read.
func TestDeletedAndInactiveThatOnlyADeletedQueryGave(t *testing.T) {
	in(t, func(t *testing.T) {
		w := newWorld(t)
		w.put("Alpha", "a.example")
		gone, off := w.put("Beta", "gone.example"), w.put("Beta", "off.example")
		w.put("Beta", "stays.example")
		w.done(w.save(job.Full, query("", "Alpha"), query("", "Beta")))
		time.Sleep(time.Hour)
		w.done(w.save(job.Delta, w.queries[0]))
		time.Sleep(time.Hour)
		w.must(w.tc.Delete(gone))
		w.must(w.tc.SetActive(off, false))
		w.counts(w.done(w.runJob(job.Delta)), job.Counts{Queued: 2, Retired: 2})
		w.wantWinner("stays.example", "Beta")
		// An owner that nobody asks for any more may go away, and a query that nobody has may be refused.
		w.must(w.tc.RemoveOwner("Beta"))
		w.counts(w.done(w.runJob(job.Delta)), job.Counts{})
		w.counts(w.done(w.runJob(job.Reconcile)), job.Counts{Downloaded: 1, Unchanged: 1, Queued: 1, Retired: 1})
		w.check(true)
	})
}

// A query that comes back while an update runs that did not read it keeps what it gives.
func TestAQueryThatComesBackWhileAJobRuns(t *testing.T) {
	in(t, func(t *testing.T) {
		w := newWorld(t)
		high := w.put("Alpha", "a.example")
		w.put("Beta", "a.example")
		time.Sleep(time.Hour)
		w.done(w.save(job.Full, query("", "Alpha"), query("", "Beta")))
		both := w.queries
		time.Sleep(time.Hour)
		w.done(w.save(job.Delta, both[0]))
		time.Sleep(time.Hour)
		w.must(w.tc.Delete(high))
		w.must(w.tc.Inject(tcserver.Fault{Kind: tcserver.Slow, Seconds: 10, Path: "/api/v3/indicators/deleted"}))
		j, err := w.p.Submit(t.Context(), job.Request{Mode: job.Delta})
		w.must(err)
		time.Sleep(5 * time.Second)
		if w.p.Progress().RequestID != j.RequestID {
			t.Fatal("the update does not run")
		}
		w.saveOnly(job.Delta, both...)
		w.done(w.await(j.RequestID))
		w.awaitIdle(job.Delta)
		w.check(false)
	})
}

// An owner that goes away while it is read makes the read a partial one. ThreatConnect does not say so.
func TestAnOwnerThatGoesAwayWhileItIsRead(t *testing.T) {
	in(t, func(t *testing.T) {
		w := newWorld(t)
		w.put("Alpha", "a.example")
		w.put("Beta", "b.example")
		w.put("Beta", "c.example")
		w.put("Home", "c.example")
		w.done(w.save(job.Full, query("", "Alpha", "Beta"), query("", "Home")))
		owner := w.tc.Owners()[2]
		w.must(w.tc.Inject(tcserver.Fault{Kind: tcserver.Slow, Seconds: 10, Path: "/api/v3/indicators"}))
		time.Sleep(DefaultLag + time.Second)
		j, err := w.p.Submit(t.Context(), job.Request{Mode: job.Reconcile})
		w.must(err)
		time.Sleep(5 * time.Second)
		w.must(w.tc.RemoveOwner(owner.Name))
		if got := w.await(j.RequestID); got.Status != job.UploadComplete || !strings.Contains(got.Message, `"Beta"`) {
			t.Errorf("%s: %s", got.Status, got.Message)
		}
		w.wantWinner("b.example", "Beta")
		w.wantWinner("c.example", "Beta") // nor does a copy of the next query take its place
		w.must(w.tc.AddOwner(owner))
		w.done(w.runJob(job.Reconcile))
		w.check(true)
	})
}

// An owner that was away for a moment is there before and after: what did not come meanwhile comes when it is asked for by its id.
func TestAnOwnerThatIsAwayForAMoment(t *testing.T) {
	for _, field := range []string{"", "lastModified"} {
		t.Run("sorted by "+field, func(t *testing.T) {
			in(t, func(t *testing.T) {
				w := newWorld(t)
				w.put("Alpha", "a.example")
				w.put("Beta", "b.example")
				q := query("", "Alpha", "Beta")
				q.SortField = field
				w.done(w.save(job.Full, q))
				beta := w.tc.Owners()[2]
				w.must(w.tc.Inject(tcserver.Fault{Kind: tcserver.Slow, Seconds: 10, Path: "/api/v3/indicators"}))
				time.Sleep(DefaultLag + time.Second)
				j := w.submit(job.Full)
				time.Sleep(5 * time.Second)
				w.must(w.tc.Inject(tcserver.Fault{Kind: tcserver.Slow, Seconds: 20, Path: "/api/v3/security/owners"}))
				w.must(w.tc.RemoveOwner(beta.Name))
				time.Sleep(10 * time.Second)
				w.must(w.tc.AddOwner(beta))
				w.counts(w.done(w.await(j.RequestID)), job.Counts{Downloaded: 2, Queued: 2, Uploaded: 2})
				w.check(true)
			})
		})
	}
}

// ThreatConnect restarts at the end of a long read, which is not lost for that.
func TestOwnersThatCannotBeListedForAWhile(t *testing.T) {
	in(t, func(t *testing.T) {
		w := newWorld(t)
		w.put("Alpha", "a.example")
		w.must(w.tc.Inject(tcserver.Fault{Kind: tcserver.Slow, Seconds: 10, Path: "/api/v3/indicators"}))
		w.saveOnly(job.Full, query("", "Alpha"))
		time.Sleep(5 * time.Second)
		id := w.p.Progress().RequestID
		w.must(w.tc.Inject(tcserver.Fault{Kind: tcserver.Status, Status: http.StatusBadGateway, Path: "/api/v3/security/owners", Count: 20}))
		if j := w.done(w.await(id)); j.FailureCount != 0 {
			t.Errorf("%d failures", j.FailureCount)
		}
		w.check(true)
	})
}
