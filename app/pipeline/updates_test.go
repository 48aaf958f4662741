package pipeline

import (
	"bytes"
	"context"
	"encoding/json"
	"fmt"
	"slices"
	"strings"
	"testing"
	"testing/synctest"
	"time"

	"mssentinel/app/job"
	"mssentinel/app/ledger"
	"mssentinel/app/stix"
	"mssentinel/app/store"
)

// in runs a test in simulated time.
func in(t *testing.T, test func(t *testing.T)) {
	t.Helper()
	synctest.Test(t, test)
}

func TestFirstUpdateIsFullAndTheNextSendsWhatChanged(t *testing.T) {
	in(t, func(t *testing.T) {
		w := newWorld(t)
		w.put("Alpha", "a.example")
		b := w.put("Alpha", "b.example")
		w.put("Beta", "a.example")
		j := w.done(w.save(job.Delta, query("", "Alpha", "Beta")))
		if j.Mode != job.Full || j.Type != job.Scheduled {
			t.Errorf("%s %s", j.Type, j.Mode)
		}
		w.counts(j, job.Counts{Downloaded: 3, Duplicate: 1, Queued: 2, Uploaded: 2})
		w.check(true)

		// The overlap is read again, and not sent again.
		w.counts(w.done(w.runJob(job.Delta)), job.Counts{Downloaded: 3, Duplicate: 1, Unchanged: 2})
		time.Sleep(time.Hour)
		w.done(w.runJob(job.Delta))
		w.counts(w.done(w.runJob(job.Delta)), job.Counts{})
		w.must(w.tc.Modify(b, map[string]any{"confidence": 77}))
		w.counts(w.done(w.runJob(job.Delta)), job.Counts{Downloaded: 1, Queued: 1, Uploaded: 1})
		w.check(false)
		w.counts(w.done(w.runJob(job.Full)), job.Counts{Downloaded: 3, Duplicate: 1, Queued: 2, Uploaded: 2})
		w.check(true)
		w.counts(w.done(w.runJob(job.Reconcile)), job.Counts{Downloaded: 3, Duplicate: 1, Unchanged: 2})
		w.check(true)
	})
}

func TestStatusesAndDates(t *testing.T) {
	in(t, func(t *testing.T) {
		w := newWorld(t)
		w.put("Alpha", "a.example")
		j := w.done(w.save(job.Full, query("", "Alpha")))
		last := j.DateQueued
		for i, date := range []*time.Time{j.DateStarted, j.DateDownloadStart, j.DateConvertStart, j.DateConvertComplete, j.DateUploadComplete, j.DateCompleted} {
			if date == nil || date.Before(last) {
				t.Errorf("date %d is %v, the one before %v", i, date, last)
				continue
			}
			last = *date
		}
		if j.DateDownloadComplete == nil || j.DateUploadStart == nil || j.DateFailed != nil || j.WindowStart != nil || j.WindowEnd == nil {
			t.Errorf("%+v", j)
		}
		if lag := j.DateStarted.Sub(*j.WindowEnd); lag < DefaultLag || lag > DefaultLag+time.Second {
			t.Errorf("the window ends %v before the start", lag)
		}
		delta := w.done(w.runJob(job.Delta))
		if delta.WindowStart == nil || !delta.WindowStart.Equal(j.WindowEnd.Add(-DefaultOverlap)) {
			t.Errorf("the delta starts at %v; the last update ended at %v", delta.WindowStart, j.WindowEnd)
		}
	})
}

// The first page that is converted is dated, and the first request: not the last.
func TestWhatComesFirstIsDated(t *testing.T) {
	in(t, func(t *testing.T) {
		w := newWorld(t)
		w.put("Alpha", "a.example")
		w.put("Beta", "b.example")
		w.mappers.before = func(_ context.Context, _ string, raws [][]byte) error {
			if bytes.Contains(raws[0], []byte("b.example")) {
				time.Sleep(time.Minute)
			}
			return nil
		}
		j := w.done(w.save(job.Full, query("", "Alpha"), query("", "Beta")))
		for name, date := range map[string]*time.Time{"converted": j.DateConvertStart, "uploaded": j.DateUploadStart} {
			if took := date.Sub(*j.DateStarted); took > 5*time.Second {
				t.Errorf("the first was %s after %v", name, took)
			}
		}
		if took := j.DateUploadComplete.Sub(*j.DateStarted); took < time.Minute {
			t.Errorf("all was uploaded after %v", took)
		}
	})
}

// A changed copy of a lower query is not sent while a higher one stands; when that goes, the lower one takes its place.
func TestPrecedenceAcrossJobs(t *testing.T) {
	in(t, func(t *testing.T) {
		w := newWorld(t)
		high := w.put("Alpha", "a.example")
		low := w.put("Beta", "a.example")
		w.done(w.save(job.Full, query("", "Alpha"), query("", "Beta")))
		w.wantWinner("a.example", "Alpha")

		w.must(w.tc.Modify(low, map[string]any{"confidence": 99}))
		if j := w.done(w.runJob(job.Delta)); j.Queued != 0 || j.Duplicate != 1 {
			t.Errorf("%+v", j.Counts)
		}
		w.check(false)

		w.must(w.tc.Delete(high))
		w.done(w.runJob(job.Delta))
		w.wantWinner("a.example", "Beta")
		w.check(false)

		higher := w.put("Alpha", "a.example")
		w.done(w.runJob(job.Delta))
		w.wantWinner("a.example", "Alpha")
		w.check(false)

		w.must(w.tc.SetActive(higher, false))
		w.done(w.runJob(job.Delta))
		w.wantWinner("a.example", "Beta")
		w.must(w.tc.SetActive(higher, true))
		w.done(w.runJob(job.Delta))
		w.wantWinner("a.example", "Alpha")
		w.check(false)
	})
}

// An indicator that changes, falls out of the higher query by that, and stays in the lower one, is sent as it is now.
func TestAnIndicatorThatFallsToALowerQuery(t *testing.T) {
	in(t, func(t *testing.T) {
		w := newWorld(t)
		id := w.putMembers("Alpha", "Host", map[string]any{"hostName": "a.example", "summary": "a.example", "rating": 5})
		time.Sleep(time.Hour)
		w.done(w.save(job.Full, query("rating >= 4", "Alpha"), query("", "Alpha")))
		w.must(w.tc.Modify(id, map[string]any{"rating": 1}))
		if j := w.done(w.runJob(job.Delta)); j.Downloaded != 1 || j.Uploaded != 1 {
			t.Errorf("%+v", j.Counts)
		}
		w.check(false)
		w.must(w.tc.Modify(id, map[string]any{"rating": 5}))
		w.done(w.runJob(job.Delta))
		w.check(false)
		w.counts(w.done(w.runJob(job.Reconcile)), job.Counts{Downloaded: 2, Duplicate: 1, Unchanged: 1})
	})
}

func TestDeletedAndInactiveAreRetiredByADelta(t *testing.T) {
	in(t, func(t *testing.T) {
		w := newWorld(t)
		gone, off := w.put("Alpha", "gone.example"), w.put("Alpha", "off.example")
		again := w.put("Alpha", "again.example")
		file := w.putMembers("Alpha", "File", map[string]any{"md5": strings.Repeat("A1", 16), "sha1": strings.Repeat("b2", 20), "summary": strings.Repeat("A1", 16) + " : " + strings.Repeat("B2", 20)})
		w.put("Alpha", "stays.example")
		q := query("", "Alpha")
		q.Types = append(q.Types, "File")
		w.done(w.save(job.Full, q))
		time.Sleep(time.Hour)
		w.done(w.runJob(job.Delta))

		w.must(w.tc.Delete(gone))
		w.must(w.tc.Delete(file))
		w.must(w.tc.SetActive(off, false))
		row, err := w.tc.Row(again)
		w.must(err)
		w.must(w.tc.Delete(again))
		_, err = w.tc.Recreate(row)
		w.must(err)
		j := w.done(w.runJob(job.Delta))
		w.counts(j, job.Counts{Downloaded: 1, Queued: 5, Uploaded: 1, Retired: 4})
		w.check(false)

		// It comes back under the same id.
		w.must(w.tc.SetActive(off, true))
		w.done(w.runJob(job.Delta))
		w.wantWinner("off.example", "Alpha")
		w.check(false)
		if j := w.done(w.runJob(job.Reconcile)); j.Queued != 0 {
			t.Errorf("%+v", j.Counts)
		}
	})
}

// An update for a range sends what was modified in it, like a delta update, and leaves everything else to the updates that
// are due anyway: marks, what has gone, when everything was last read.
func TestAnUpdateForARange(t *testing.T) {
	in(t, func(t *testing.T) {
		w := newWorld(t)
		gone := w.put("Alpha", "gone.example")
		w.put("Alpha", "early.example", "old")
		w.done(w.save(job.Full, query("", "Alpha")))
		mark := func() time.Time {
			queries, err := w.store.RunQueries(t.Context())
			w.must(err)
			return queries[0].Mark
		}
		before, read := mark(), w.schedule().LastFullRead
		time.Sleep(time.Hour)
		w.must(w.tc.Delete(gone))
		w.put("Alpha", "first.example")
		time.Sleep(time.Hour)
		from := time.Now().UTC()
		w.put("Alpha", "second.example")
		time.Sleep(time.Hour)
		to := time.Now().UTC()
		w.put("Alpha", "third.example")
		time.Sleep(time.Hour)

		ranged, err := w.p.Submit(t.Context(), job.Request{Mode: job.Delta, From: from, To: to})
		w.must(err)
		j := w.done(w.await(ranged.RequestID))
		w.counts(j, job.Counts{Downloaded: 1, Queued: 1, Uploaded: 1})
		if !j.Ranged || !j.WindowStart.Equal(from) || !j.WindowEnd.Equal(to) {
			t.Errorf("the window is %v to %v", j.WindowStart, j.WindowEnd)
		}
		w.wantWinner("second.example", "Alpha")
		if !mark().Equal(before) || !w.schedule().LastFullRead.Equal(read) {
			t.Errorf("the mark moved from %v to %v, the last complete read from %v to %v", before, mark(), read, w.schedule().LastFullRead)
		}
		// The delta update sees the rest, and sends neither again what the range has sent nor what lies in the overlap.
		w.counts(w.done(w.runJob(job.Delta)), job.Counts{Downloaded: 4, Unchanged: 2, Queued: 3, Uploaded: 2, Retired: 1})
		w.check(false)
	})
}

// A range before anything was read is no first update, and one that ends in the future ends now.
func TestARangeBeforeTheFirstUpdate(t *testing.T) {
	in(t, func(t *testing.T) {
		w := newWorld(t)
		w.must(w.p.PauseTask(t.Context(), "schedule-downloads", true))
		w.saveOnly(job.Delta, query("", "Alpha"))
		w.put("Alpha", "one.example")
		time.Sleep(time.Hour)
		ranged, err := w.p.Submit(t.Context(), job.Request{Mode: job.Delta, From: time.Now().UTC().Add(-2 * time.Hour), To: time.Now().UTC().Add(time.Hour)})
		w.must(err)
		j := w.await(ranged.RequestID)
		if j.Status != job.UploadComplete || j.WindowEnd.After(time.Now()) {
			t.Fatalf("%+v", j)
		}
		if w.schedule().Completed {
			t.Error("an update for a range counts as the first update")
		}
	})
}

func (w *world) schedule() store.Schedule {
	w.t.Helper()
	s, err := w.store.Schedule(context.Background())
	w.must(err)
	return s
}

// A tag that does not move lastModified is not seen by a delta, but by a reconcile.
// An object keeps the created with which it was first sent, whatever its dateAdded, whoever wins it, and when it comes back.
func TestCreatedStays(t *testing.T) {
	in(t, func(t *testing.T) {
		w := newWorld(t)
		id := "indicator--" + stix.ID(stix.Pattern(stix.Equal("domain-name:value", "a.example"))).String()
		created := func() (at time.Time) {
			var o struct {
				Created time.Time `json:"created"`
			}
			w.must(json.Unmarshal(w.far.ObjectsIn(w.options.Workspace, w.options.Source)[id], &o))
			return o.Created
		}
		began := time.Now()
		ahead := w.putMembers("Alpha", "Host", map[string]any{"hostName": "a.example", "summary": "a.example", "dateAdded": began.Add(90 * time.Second).Format(time.RFC3339)})
		w.done(w.save(job.Full, query("", "Alpha"), query("", "Beta")))
		first := created()
		if first.Before(began) || first.After(began.Add(time.Minute)) {
			t.Fatalf("sent at %v with a dateAdded that lies ahead, created %v", began, first)
		}
		unchanged := func(after string) {
			t.Helper()
			w.check(false)
			if got := created(); !got.Equal(first) {
				t.Errorf("%s: created %v, at first %v", after, got, first)
			}
		}
		time.Sleep(2 * time.Minute) // it lies ahead no more
		w.done(w.runJob(job.Full))
		unchanged("its dateAdded has passed")
		w.restart()
		w.must(w.tc.Modify(ahead, map[string]any{"confidence": 12}))
		w.done(w.runJob(job.Delta))
		unchanged("it was modified, after a restart")
		w.putMembers("Beta", "Host", map[string]any{"hostName": "A.example.", "summary": "A.example.", "dateAdded": "1999-01-02T03:04:05Z"})
		w.must(w.tc.Delete(ahead))
		time.Sleep(time.Hour)
		w.done(w.runJob(job.Delta))
		w.wantWinner("a.example", "Beta")
		unchanged("another copy took over")
		w.saveOnly(job.Delta, query(`confidence < 0`, "Beta"))
		w.done(w.runJob(job.Full))
		w.wantWinner("a.example", "")
		if got := created(); !got.Equal(first) {
			t.Errorf("retired: created %v, at first %v", got, first)
		}
		w.saveOnly(job.Delta, query(``, "Beta"))
		w.done(w.runJob(job.Full))
		w.wantWinner("a.example", "Beta")
		unchanged("it came back")
	})
}

func TestReconcileSendsWhatDiffersAndRetiresWhatFellOut(t *testing.T) {
	in(t, func(t *testing.T) {
		w := newWorld(t)
		tagged := w.put("Alpha", "a.example", "send", "one")
		out := w.put("Alpha", "b.example", "send")
		w.put("Alpha", "c.example", "send")
		w.done(w.save(job.Full, query(`tag = "send"`, "Alpha")))
		time.Sleep(time.Hour)
		w.done(w.runJob(job.Delta))

		w.must(w.tc.SetTags(tagged, "send", "two"))
		w.must(w.tc.SetTags(out))
		w.counts(w.done(w.runJob(job.Delta)), job.Counts{})
		w.counts(w.done(w.runJob(job.Reconcile)), job.Counts{Downloaded: 2, Unchanged: 1, Queued: 2, Uploaded: 1, Retired: 1})
		w.check(true)
	})
}

func TestAnIndicatorThatGivesNothingAnyMore(t *testing.T) {
	in(t, func(t *testing.T) {
		w := newWorld(t)
		id := w.put("Alpha", "a.example")
		w.put("Beta", "a.example")
		w.done(w.save(job.Full, query("", "Alpha"), query("", "Beta")))
		w.must(w.tc.Modify(id, map[string]any{"hostName": "*.example", "summary": "*.example"}))
		j := w.done(w.runJob(job.Delta))
		if j.Invalid != 1 {
			t.Errorf("%+v", j.Counts)
		}
		w.wantWinner("a.example", "Beta")
		w.check(false)
		problems, _, err := w.store.Problems(t.Context(), store.ProblemFilter{RequestID: j.RequestID})
		w.must(err)
		if len(problems) != 1 || problems[0].Step != "Convert" || problems[0].Code != "invalid-value" || !strings.Contains(problems[0].Raw, "*.example") {
			t.Errorf("%+v", problems)
		}
	})
}

// A mapper that fails says nothing about what an indicator gives: what stands is left alone.
func TestAMapperThatFailsRetiresNothing(t *testing.T) {
	in(t, func(t *testing.T) {
		w := newWorld(t, mapEachTime)
		w.put("Alpha", "a.example")
		w.put("Alpha", "b.example")
		w.done(w.save(job.Full, query("", "Alpha")))
		w.mappers.fails = func(raw []byte) bool { return strings.Contains(string(raw), "b.example") }
		j := w.done(w.runJob(job.Reconcile))
		w.counts(j, job.Counts{Downloaded: 2, Invalid: 1, Unchanged: 1})
		w.check(true)
		problems, _, err := w.store.Problems(t.Context(), store.ProblemFilter{RequestID: j.RequestID})
		w.must(err)
		if len(problems) != 1 || problems[0].Code != "mapper-failed" {
			t.Errorf("%+v", problems)
		}
	})
}

func TestATypeWithoutMapperIsReported(t *testing.T) {
	in(t, func(t *testing.T) {
		w := newWorld(t, func(w *world) { delete(w.mappers.types, "ASN") })
		w.put("Alpha", "a.example")
		w.putMembers("Alpha", "ASN", map[string]any{"AS Number": "ASN1", "summary": "ASN1"})
		q := query("", "Alpha")
		q.Types = append(q.Types, "ASN")
		j := w.done(w.save(job.Full, q))
		w.counts(j, job.Counts{Downloaded: 2, Invalid: 1, Queued: 1, Uploaded: 1})
		problems, _, err := w.store.Problems(t.Context(), store.ProblemFilter{RequestID: j.RequestID})
		w.must(err)
		if len(problems) != 1 || problems[0].Code != "no-mapper" || !strings.Contains(problems[0].Message, `"ASN"`) {
			t.Errorf("%+v", problems)
		}
	})
}

func TestQueriesDeletedReorderedAndEdited(t *testing.T) {
	in(t, func(t *testing.T) {
		w := newWorld(t)
		a := w.put("Alpha", "both.example")
		w.put("Beta", "both.example")
		w.put("Alpha", "alpha.example", "x")
		w.put("Beta", "beta.example")
		w.done(w.save(job.Full, query("", "Alpha"), query("", "Beta")))
		w.wantWinner("both.example", "Alpha")
		time.Sleep(time.Hour)

		// Reordered: the next copy that is read shows that the other one is to win.
		first, second := w.queries[0], w.queries[1]
		w.done(w.save(job.Delta, second, first))
		w.must(w.tc.Modify(a, map[string]any{"confidence": 1}))
		w.done(w.runJob(job.Delta))
		w.wantWinner("both.example", "Beta")
		w.done(w.runJob(job.Reconcile))
		w.check(true)

		// Edited: what it selects beyond now comes with the next complete read.
		second.TQL, first.TQL = "", `tag = "x"`
		w.done(w.save(job.Delta, first, second))
		w.done(w.runJob(job.Reconcile))
		w.check(true)
		w.wantWinner("both.example", "Beta")

		// Deleted.
		w.done(w.save(job.Delta, first))
		w.done(w.runJob(job.Reconcile))
		w.check(true)
		if len(w.live()) != 1 {
			t.Errorf("%d objects are live", len(w.live()))
		}
	})
}

func TestAQueryThatIsAddedStartsWhereTheLastUpdateEnded(t *testing.T) {
	in(t, func(t *testing.T) {
		w := newWorld(t)
		w.put("Alpha", "a.example")
		w.put("Beta", "old.example")
		time.Sleep(time.Hour)
		w.done(w.save(job.Full, query("", "Alpha")))
		time.Sleep(time.Hour)
		w.put("Beta", "new.example")
		time.Sleep(time.Hour)
		w.done(w.save(job.Delta, w.queries[0], query("", "Beta")))
		w.wantWinner("old.example", "")
		w.wantWinner("new.example", "Beta")
		w.done(w.runJob(job.Reconcile))
		w.check(true)
	})
}

func TestSourceNameAndWorkspaceChange(t *testing.T) {
	in(t, func(t *testing.T) {
		w := newWorld(t)
		w.put("Alpha", "a.example")
		w.put("Alpha", "b.example")
		w.done(w.save(job.Full, query("", "Alpha")))

		w.stop()
		w.options.Source = "ThreatConnect-New"
		w.start()
		w.awaitIdle(job.Full)
		w.check(true)
		w.options.Source = source
		if live := w.live(); len(live) != 0 {
			t.Errorf("%d objects are still valid under the old name", len(live))
		}

		w.stop()
		w.options.Source, w.options.Workspace = "ThreatConnect-New", otherWorkspace
		w.start()
		w.awaitIdle(job.Full)
		w.check(true)
		w.options.Workspace = workspace
		if live := w.live(); len(live) != 2 {
			t.Errorf("%d objects are left in the old workspace", len(live))
		}
	})
}

// awaitIdle waits until a scheduled job of the mode, queued by itself, is over.
func (w *world) awaitIdle(mode job.Mode) job.Job {
	w.t.Helper()
	time.Sleep(scheduleEvery)
	jobs, _, err := w.store.Jobs(context.Background(), store.JobFilter{Limit: 1})
	w.must(err)
	j := w.await(jobs[0].RequestID)
	if j.Mode != mode || j.Status != job.UploadComplete {
		w.t.Fatalf("%s job is %s: %s\n%s", j.Mode, j.Status, j.Message, w.log.String())
	}
	return j
}

// brakeWorld has 300 hosts in Sentinel, 150 of which leave the query.
func brakeWorld(t *testing.T) (w *world, ids []int64) {
	w = newWorld(t)
	for i := range 300 {
		id := w.put("Alpha", fmt.Sprintf("h%d.example", i))
		if i%2 == 0 {
			ids = append(ids, id)
		}
	}
	w.done(w.save(job.Full, query("", "Alpha")))
	for _, id := range ids {
		w.must(w.tc.Delete(id))
	}
	return w, ids
}

func TestTheBrakeAsksAndTheOperatorConfirms(t *testing.T) {
	in(t, func(t *testing.T) {
		w, _ := brakeWorld(t)
		j := w.runJob(job.Delta)
		if j.Status != job.ConfirmationRequired || j.Question() != 150 || !strings.Contains(j.Message, "only when you confirm it") {
			t.Fatalf("%s: %s, %+v", j.Status, j.Message, j)
		}
		if len(w.live()) != 300 {
			t.Errorf("%d objects are live", len(w.live()))
		}
		// Nothing else is held back.
		w.put("Alpha", "new.example")
		if next := w.runJob(job.Delta); next.Status != job.UploadComplete || next.Uploaded != 1 {
			t.Errorf("%s: %s %+v", next.Status, next.Message, next.Counts)
		}
		w.must(w.p.AnswerRetirement(t.Context(), j.RequestID, true))
		time.Sleep(10 * time.Second)
		synctest.Wait()
		w.check(false)
		if len(w.live()) != 151 {
			t.Errorf("%d objects are live", len(w.live()))
		}
		if err := w.p.AnswerRetirement(t.Context(), j.RequestID, true); err == nil {
			t.Error("answered twice")
		}
	})
}

func TestTheBrakeAsksAndTheOperatorDismisses(t *testing.T) {
	in(t, func(t *testing.T) {
		w, _ := brakeWorld(t)
		j := w.runJob(job.Reconcile)
		w.must(w.p.AnswerRetirement(t.Context(), j.RequestID, false))
		if next := w.runJob(job.Reconcile); next.Status != job.UploadComplete || len(w.live()) != 300 {
			t.Errorf("%s: %s, %d live", next.Status, next.Message, len(w.live()))
		}
	})
}

// What an operator confirms counts for the room in the outbox.
func TestConfirmedRetirementsTakeRoom(t *testing.T) {
	in(t, func(t *testing.T) {
		w, _ := brakeWorld(t)
		j := w.runJob(job.Delta)
		w.must(w.p.PauseTask(t.Context(), "upload", true))
		w.must(w.p.AnswerRetirement(t.Context(), j.RequestID, true))
		if n := w.p.outbox.rows.Load(); n != 150 {
			t.Errorf("%d rows are known", n)
		}
		w.must(w.p.PauseTask(t.Context(), "upload", false))
		time.Sleep(time.Minute)
		synctest.Wait()
		if n := w.p.outbox.rows.Load(); n != 0 {
			t.Errorf("%d rows are left", n)
		}
	})
}

// What moves from page to page while it is read in the order of its changes comes with the same update.
func TestRowsThatMoveBetweenPages(t *testing.T) {
	in(t, func(t *testing.T) {
		w := newWorld(t)
		var ids []int64
		for i := range 2500 {
			ids = append(ids, w.put("Alpha", fmt.Sprintf("h%d.example", i)))
		}
		time.Sleep(time.Hour)
		w.tc.BetweenPages(func(pages int) {
			for i := range 100 {
				_ = w.tc.Modify(ids[(pages*977+i*13)%len(ids)], map[string]any{"confidence": pages % 100})
			}
		})
		w.done(w.save(job.Full, query("", "Alpha")))
		w.tc.BetweenPages(nil)
		if live := len(w.live()); live != len(ids) {
			t.Errorf("%d of %d are live", live, len(ids))
		}
		w.done(w.runJob(job.Delta))
		w.check(false)
	})
}

func TestProgressAndTasksWhileAJobRuns(t *testing.T) {
	in(t, func(t *testing.T) {
		w := newWorld(t, func(w *world) { w.limit = 10; w.options.Pace = 1000. / 60 })
		for i := range 2500 {
			w.put("Alpha", fmt.Sprintf("h%d.example", i))
		}
		w.saveOnly(job.Full, query("", "Alpha"))
		time.Sleep(20 * time.Second)
		synctest.Wait()
		p := w.p.Progress()
		if p.Expected != 2500 || p.Downloaded != 2500 || p.Queued != 2500 || p.Uploaded != 1000 || p.Stage != "Upload" || p.RequestID == "" {
			t.Errorf("%+v", p)
		}
		if p.WaitUntil.IsZero() || p.WaitReason == "" || p.Remaining < time.Minute || p.Remaining > 3*time.Minute {
			t.Errorf("%+v", p)
		}
		var running []string
		for _, task := range w.p.Tasks() {
			if task.Status == "Running" {
				running = append(running, task.Slug)
			}
		}
		if !slices.Equal(running, []string{"upload"}) {
			t.Errorf("running: %v", running)
		}
		j := w.done(w.await(p.RequestID))
		if took := j.DateCompleted.Sub(*j.DateStarted); took < 2*time.Minute || took > 2*time.Minute+10*time.Second {
			t.Errorf("25 requests at 10 a minute took %v", took)
		}
		if w.far.RequestCount() != 25 || w.far.MaxInWindow(true) > 10 {
			t.Errorf("%d requests, %d in a minute", w.far.RequestCount(), w.far.MaxInWindow(true))
		}
		w.check(true)
		if (w.p.Progress() != Progress{}) {
			t.Errorf("%+v", w.p.Progress())
		}
	})
}

func TestPreview(t *testing.T) {
	in(t, func(t *testing.T) {
		w := newWorld(t)
		for i := range 120 {
			w.put("Alpha", fmt.Sprintf("h%d.example", i))
		}
		w.put("Beta", "*.example")
		w.put("Beta", "b.example")
		v, err := w.p.Preview(t.Context(), toQuery(store.RunQuery{Query: query("", "Alpha")}), ledger.Settings{})
		w.must(err)
		if v.TotalCount != 120 || v.ReturnedCount != 100 || v.Cap != 100 || !v.Truncated || len(v.Objects) != 100 || len(v.Problems) != 0 {
			t.Errorf("%d of %d, %d objects, %v", v.ReturnedCount, v.TotalCount, len(v.Objects), v.Problems)
		}
		var o map[string]any
		w.must(json.Unmarshal(v.Objects[0], &o))
		if o["type"] != "indicator" || o["valid_until"] == "" {
			t.Errorf("%v", o)
		}
		v, err = w.p.Preview(t.Context(), toQuery(store.RunQuery{Query: query("", "Beta")}), ledger.Settings{})
		w.must(err)
		if len(v.Objects) != 1 || len(v.Problems) != 1 || v.Truncated || !strings.Contains(v.Problems[0], "Beta") {
			t.Errorf("%d objects, %v", len(v.Objects), v.Problems)
		}
		if len(v.Rows) != 2 || v.Rows[0].Value != "*.example" || v.Rows[0].Object != nil || v.Rows[0].Reason == "" ||
			v.Rows[1].Owner != "Beta" || !strings.Contains(string(v.Rows[1].Object), v.Rows[1].Pattern) || v.Rows[1].Pattern == "" || v.Rows[1].Known != nil {
			t.Errorf("%+v", v.Rows)
		}
		if _, err := w.p.Preview(t.Context(), toQuery(store.RunQuery{Query: query("nonsense", "Beta")}), ledger.Settings{}); err == nil {
			t.Error("nonsense was accepted")
		}
		if w.far.RequestCount() != 0 {
			t.Error("a preview was uploaded")
		}
	})
}

// A preview knows what the ledger has of each object, more than one look-up tells of.
func TestPreviewBesideTheLedger(t *testing.T) {
	in(t, func(t *testing.T) {
		w := newWorld(t)
		for i := range 120 {
			w.put("Alpha", fmt.Sprintf("h%d.example", i))
		}
		w.done(w.save(job.Full, query("", "Alpha")))
		w.put("Alpha", "new.example")
		v, err := w.p.Preview(t.Context(), toQuery(store.RunQuery{Query: query("", "Alpha")}), ledger.Settings{})
		w.must(err)
		known, same := 0, 0
		for _, row := range v.Rows {
			if row.Known != nil && len(row.Known.Candidates) == 1 && row.Known.Candidates[0].Query == 1 {
				known++
			}
			if row.Same {
				same++
			}
		}
		if len(v.Rows) != 100 || known < 99 || same < 99 {
			t.Errorf("%d rows, %d known, %d the same", len(v.Rows), known, same)
		}
	})
}
