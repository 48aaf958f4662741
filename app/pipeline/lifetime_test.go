package pipeline

import (
	"encoding/json"
	"maps"
	"testing"
	"testing/synctest"
	"time"

	"mssentinel/app/job"
	"mssentinel/app/standin/tcserver"
	"mssentinel/app/stix"
)

// validUntil is until when Sentinel holds a pattern to be valid.
func (w *world) validUntil(pattern string) time.Time {
	w.t.Helper()
	var o struct {
		ValidUntil time.Time `json:"valid_until"`
	}
	w.must(json.Unmarshal(w.far.ObjectsIn(w.options.Workspace, w.options.Source)["indicator--"+stix.ID(pattern).String()], &o))
	return o.ValidUntil
}

// Each type has its own time to live. It counts from the conversion, again when an indicator is confirmed, and a new one from
// an object's next send.
func TestTimeToLive(t *testing.T) {
	in(t, func(t *testing.T) {
		w := newWorld(t, func(w *world) {
			w.options.TTL = maps.Clone(w.options.TTL)
			w.options.TTL["Host"], w.options.TTL["ASN"] = 100*time.Hour, 7*time.Hour
		})
		id := w.put("Alpha", "a.example")
		w.putMembers("Alpha", "ASN", map[string]any{"AS Number": "ASN1", "summary": "ASN1"})
		q := query("", "Alpha")
		q.Types = append(q.Types, "ASN")
		host, asn := stix.Pattern(stix.Equal("domain-name:value", "a.example")), stix.Pattern(stix.Equal("autonomous-system:name", "ASN1"))
		want := func(what, pattern string, at time.Time) {
			t.Helper()
			if got := w.validUntil(pattern); got.Sub(at).Abs() > time.Second {
				t.Errorf("%s: valid until %v, not %v", what, got, at)
			}
		}
		time.Sleep(time.Hour)
		first := w.done(w.save(job.Full, q)).DateStarted
		want("host", host, first.Add(100*time.Hour))
		want("ASN", asn, first.Add(7*time.Hour))

		time.Sleep(time.Hour)
		w.must(w.tc.Modify(id, map[string]any{}))
		confirmed := w.done(w.runJob(job.Delta))
		w.counts(confirmed, job.Counts{Downloaded: 1, Queued: 1, Uploaded: 1})
		want("confirmed", host, confirmed.DateStarted.Add(100*time.Hour))

		// It runs out, selected or not: nothing changed in ThreatConnect.
		time.Sleep(8 * time.Hour)
		w.counts(w.done(w.runJob(job.Reconcile)), job.Counts{Downloaded: 2, Unchanged: 2})
		want("expired", asn, first.Add(7*time.Hour))

		w.stop()
		w.options.TTL["Host"] = 10 * time.Hour
		w.start()
		w.counts(w.done(w.runJob(job.Reconcile)), job.Counts{Downloaded: 2, Unchanged: 2})
		want("not sent since the change", host, confirmed.DateStarted.Add(100*time.Hour))
		last := w.done(w.runJob(job.Full))
		want("sent since the change", host, last.DateStarted.Add(10*time.Hour))
	})
}

// The mark of a query moves when all of its window was accepted or recorded, and not before; a question about retirements
// does not hold it.
func TestMarksMoveAtTheEnd(t *testing.T) {
	in(t, func(t *testing.T) {
		w, _ := brakeWorld(t)
		mark := func() time.Time {
			t.Helper()
			queries, err := w.store.RunQueries(t.Context())
			w.must(err)
			return queries[0].Mark
		}
		before := mark()
		w.put("Alpha", "new.example")
		w.far.SetSecret(clientID, "another")
		w.far.ExpireTokens()
		failed := w.runJob(job.Delta)
		if failed.Status != job.Failed || !mark().Equal(before) {
			t.Errorf("%s, marked %v, before %v", failed.Status, mark(), before)
		}
		w.must(w.p.PauseTask(t.Context(), "upload", true))
		w.far.SetSecret(clientID, secret)
		time.Sleep(time.Hour)
		j, err := w.p.Submit(t.Context(), job.Request{Mode: job.Delta})
		w.must(err)
		time.Sleep(time.Hour)
		if !mark().Equal(before) {
			t.Errorf("marked %v while everything waits for upload", mark())
		}
		w.must(w.p.PauseTask(t.Context(), "upload", false))
		done := w.await(j.RequestID)
		synctest.Wait()
		if done.Status != job.ConfirmationRequired || done.Question() != 150 || !mark().Equal(*done.WindowEnd) {
			t.Errorf("%s, %d held, marked %v, the window ends at %v", done.Status, done.Question(), mark(), done.WindowEnd)
		}
	})
}

// A mark that lies ahead was set while the clock was wrong, and says nothing about what was read.
func TestAMarkThatLiesAhead(t *testing.T) {
	in(t, func(t *testing.T) {
		w := newWorld(t)
		gone := w.put("Alpha", "gone.example")
		w.put("Alpha", "a.example")
		j := w.done(w.save(job.Full, query("", "Alpha")))
		queries, err := w.store.RunQueries(t.Context())
		w.must(err)
		w.must(w.store.SetMarks(t.Context(), j.Number, []int64{queries[0].Number}, time.Now().AddDate(1, 0, 0)))
		w.put("Alpha", "new.example")
		w.must(w.tc.Delete(gone))
		time.Sleep(time.Hour)
		w.done(w.runJob(job.Delta))
		w.check(false)
		time.Sleep(time.Hour)
		w.done(w.runJob(job.Delta))
		w.counts(w.done(w.runJob(job.Delta)), job.Counts{})
	})
}

// The mark is not believed later either, once its time has come: the update that saw it ahead was the one to read what happened since.
func TestAMarkThatLayAhead(t *testing.T) {
	in(t, func(t *testing.T) {
		w := newWorld(t)
		gone := w.put("Alpha", "gone.example")
		w.put("Alpha", "a.example")
		j := w.done(w.save(job.Full, query("", "Alpha")))
		queries := w.runQueries()
		w.must(w.store.SetMarks(t.Context(), j.Number, []int64{queries[0].Number}, time.Now().Add(5*time.Hour)))
		w.put("Alpha", "new.example")
		w.must(w.tc.Delete(gone))
		time.Sleep(time.Hour)
		w.must(w.tc.Inject(tcserver.Fault{Kind: tcserver.Status, Status: 500, Count: -1}))
		w.runJob(job.Delta)
		time.Sleep(5 * time.Hour)
		w.tc.ClearFaults()
		w.done(w.runJob(job.Delta))
		w.check(false)
	})
}

// A window whose end lies ahead was closed while the clock was wrong: what comes until then is not read yet. Nor has a job
// that began ahead read the queries that were changed until then.
func TestAWindowThatEndsAhead(t *testing.T) {
	in(t, func(t *testing.T) {
		w := newWorld(t)
		w.put("Alpha", "a.example")
		w.must(w.tc.Inject(tcserver.Fault{Kind: tcserver.Status, Status: 500, Count: -1}))
		update := w.save(job.Full, query("", "Alpha"))
		_, err := w.store.UpdateJob(t.Context(), update.RequestID, func(j *job.Job) error {
			ahead := j.WindowEnd.AddDate(1, 0, 0)
			j.WindowEnd, j.DateStarted = &ahead, &ahead
			return nil
		})
		w.must(err)
		w.tc.ClearFaults()
		w.must(w.p.RunTask(t.Context(), "download"))
		update = w.awaitJob(update.RequestID, func(j job.Job) bool { return j.Status == job.UploadComplete })
		queries, err := w.store.RunQueries(t.Context())
		w.must(err)
		if mark := queries[0].Mark; mark.After(time.Now()) || update.DateStarted.After(time.Now()) {
			t.Errorf("marked until %v, began at %v", mark, update.DateStarted)
		}
	})
}
