package pipeline

import (
	"context"
	"errors"
	"fmt"
	"net/http"
	"slices"
	"strings"
	"testing"
	"time"

	"mssentinel/app/job"
	"mssentinel/app/ledger"
	"mssentinel/app/standin/tcserver"
	"mssentinel/app/store"
	"mssentinel/app/threatconnect"
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
				time.Sleep(DefaultLag + time.Second)
				w.counts(w.readWithoutOwner(beta), job.Counts{Downloaded: 2, Queued: 2, Uploaded: 2})
				w.check(true)
			})
		})
	}
}

// readWithoutOwner has a full update read while an owner is away, which is back when the owners are looked at again.
func (w *world) readWithoutOwner(owner tcserver.Owner) job.Job {
	w.t.Helper()
	w.must(w.tc.Inject(tcserver.Fault{Kind: tcserver.Slow, Seconds: 10, Path: "/api/v3/indicators"}))
	j := w.submit(job.Full)
	time.Sleep(5 * time.Second)
	w.must(w.tc.Inject(tcserver.Fault{Kind: tcserver.Slow, Seconds: 20, Path: "/api/v3/security/owners"}))
	w.must(w.tc.RemoveOwner(owner.Name))
	time.Sleep(10 * time.Second)
	w.must(w.tc.AddOwner(owner))
	return w.done(w.await(j.RequestID))
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

// listRequests are how often the lists of what was deleted were asked for since the last call.
func (w *world) listRequests(seen *int) (n int) {
	for _, r := range w.tc.Requests()[*seen:] {
		if strings.HasPrefix(r.Target, "/api/v3/indicators/deleted") {
			n++
		}
	}
	*seen = w.tc.RequestCount()
	return n
}

// The lists of what has gone are asked for where they are of use, once for each owner: not by a complete read that nothing fails in, not
// by an update for a range, not where nothing was read before or the owner is not seen.
func TestListsOfWhatHasGoneAreAskedForWhereTheyAreOfUse(t *testing.T) {
	in(t, func(t *testing.T) {
		w, seen := newWorld(t), 0
		w.put("Alpha", "a.example")
		refuse := func() {
			w.must(w.tc.Inject(tcserver.Fault{Kind: tcserver.TQLRefuse, Match: "confidence > 1", Count: -1}))
		}
		asked := func(after string, want int) {
			t.Helper()
			if n := w.listRequests(&seen); n != want {
				t.Errorf("%s: %d lists were asked for, want %d", after, n, want)
			}
		}
		refuse()
		w.save(job.Full, query("confidence > 1", "Alpha"), query("confidence > 1", "Beta"))
		asked("the first update fails", 0)
		w.tc.ClearFaults()
		w.done(w.save(job.Full, query("confidence > 1", "Alpha"), query("", "Beta"), query("", "Alpha")))
		asked("a full update", 0)
		w.done(w.runJob(job.Reconcile))
		asked("a reconcile", 0)
		w.done(w.runJob(job.Delta))
		asked("a delta", 2)
		start, end := time.Now().Add(-time.Hour).UTC().Truncate(time.Second), time.Now().Add(-30*time.Minute).UTC().Truncate(time.Second)
		j, err := w.p.Submit(t.Context(), job.Request{Mode: job.Delta, From: start, To: end})
		w.must(err)
		w.done(w.await(j.RequestID))
		asked("a delta for a range", 0)
		refuse()
		w.runJob(job.Full)
		asked("a full update that a query fails in", 2)
		w.tc.ClearFaults()
		w.must(w.tc.RemoveOwner("Beta"))
		w.runJob(job.Delta)
		asked("a delta that does not see an owner", 1)
	})
}

// Each list that cannot be read has its line on REPORT.
func TestListsThatCannotBeRead(t *testing.T) {
	in(t, func(t *testing.T) {
		w := newWorld(t)
		w.put("Alpha", "a.example")
		w.done(w.save(job.Full, query("", "Alpha", "Beta")))
		w.must(w.tc.Inject(tcserver.Fault{Kind: tcserver.Status, Status: 403, Path: "/api/v3/indicators/deleted", Count: -1}))
		var owners []string
		for _, p := range w.problems(w.runJob(job.Delta)) {
			owners = append(owners, p.Raw)
		}
		slices.Sort(owners)
		if !slices.Equal(owners, []string{`{"ownerName":"Alpha"}`, `{"ownerName":"Beta"}`}) {
			t.Errorf("REPORT has %v", owners)
		}
	})
}

// A deleted indicator of which its mapper cannot tell what it gave stays, and REPORT says until when.
func TestADeletedIndicatorThatCannotBeMapped(t *testing.T) {
	in(t, func(t *testing.T) {
		w := newWorld(t)
		gone := w.put("Alpha", "gone.example")
		w.put("Alpha", "a.example")
		time.Sleep(time.Hour)
		w.done(w.save(job.Full, query("", "Alpha")))
		time.Sleep(time.Hour)
		w.must(w.tc.Delete(gone))
		w.mappers.fails = func(raw []byte) bool { return strings.Contains(string(raw), "gone.example") }
		p := w.problems(w.done(w.runJob(job.Delta)))
		if len(p) != 1 || p[0].Code != job.CodeMapperFailed || !strings.Contains(p[0].Message, "stays in Sentinel until the next full update or reconcile: the mapper died") ||
			p[0].Value != "gone.example" || !strings.Contains(p[0].Raw, `"type":"Host","summary":"gone.example","ownerName":"Alpha"`) {
			t.Errorf("REPORT has %+v", p)
		}
		w.wantWinner("gone.example", "Alpha")
		w.done(w.runJob(job.Reconcile))
		w.check(true)
	})
}

// A list of what has gone that cannot be read is kept and asked for again; refused credentials, what ended the attempt and a fault of
// ours end it.
func TestHowAListFails(t *testing.T) {
	refused, forbidden, busy := &threatconnect.Error{Status: 401}, &threatconnect.Error{Status: 403}, &threatconnect.Error{Status: 503}
	ours := errors.New("broken")
	for name, c := range map[string]struct {
		err, own  error
		over      bool
		want      error
		kept      bool
		permanent bool
	}{
		"well":               {},
		"busy":               {err: busy, kept: true},
		"forbidden":          {err: forbidden, kept: true, permanent: true},
		"without an answer":  {err: errors.New("connection broken"), kept: true},
		"refused":            {err: refused, want: refused, permanent: true},
		"by a fault of ours": {err: ours, own: ours, want: ours},
		"over":               {err: forbidden, over: true, want: errCancelled},
	} {
		r := &reader{attempt: newAttempt(t.Context(), job.Job{}, nil, nil, 0), log: quiet()}
		if c.over {
			r.cancel(errCancelled)
		}
		err := r.handleListError(listFailure{"Alpha", "deleted", c.err}, c.own)
		if !errors.Is(err, c.want) || (len(r.unlisted) == 1) != c.kept {
			t.Errorf("%s: %v, kept %v", name, err, r.unlisted)
		}
		if c.kept {
			err = r.unlisted[0].err
		}
		if isPermanent(err) != c.permanent {
			t.Errorf("%s: permanent %t", name, isPermanent(err))
		}
	}
}

// spoiledReads is a ThreatConnect whose answers fail, after rows that came, and the ledger that is told of it.
type spoiledReads struct {
	ThreatConnect
	readStore
	rows      []threatconnect.Indicator
	err       error
	ledgerErr error
	forgotten []ledger.Origin
}

func (s *spoiledReads) Inactive(_ context.Context, _, _ []string, _ time.Time, handle func([]int64) error) error {
	if s.ledgerErr != nil {
		return handle([]int64{1})
	}
	return s.err
}

func (s *spoiledReads) OriginsFor(context.Context, []int64) ([]ledger.Origin, error) {
	return nil, s.ledgerErr
}

func (s *spoiledReads) Download(_ context.Context, _ threatconnect.Selection, handle func(threatconnect.Page) error, _ func([]int64) ([]int64, error)) error {
	return errors.Join(handle(threatconnect.Page{Indicators: s.rows}), s.err)
}

func (s *spoiledReads) Owners(context.Context) ([]threatconnect.Owner, error) {
	return []threatconnect.Owner{{Name: "Alpha"}}, nil
}

func (s *spoiledReads) Forget(_ context.Context, query int64, ids []int64, _ ledger.Loss) error {
	for _, id := range ids {
		s.forgotten = append(s.forgotten, ledger.Origin{Query: query, Indicator: id})
	}
	return nil
}

func (s *spoiledReads) AddProblems(context.Context, int64, []job.Problem) error { return nil }

func (s *spoiledReads) newReader(t *testing.T) *reader {
	return &reader{attempt: newAttempt(t.Context(), job.Job{}, nil, new(disk), 0), handover: handover{newTask(aboutDownloader), make(chan *chunk, 9)},
		threatConnect: s, ledger: s, log: quiet()}
}

// That a list for a query which was deleted cannot be read fails nothing, unless the fault is ours or the attempt is over.
func TestAListOfADeletedQuery(t *testing.T) {
	deleted, present := marked(1), marked(1)
	deleted[0].Rank = 0
	broken := errors.New("broken")
	for name, c := range map[string]struct {
		queries   []store.RunQuery
		tc, store error
		over      bool
		want      error
		kept      int
	}{
		"deleted":                 {queries: deleted, tc: broken},
		"present":                 {queries: present, tc: broken, kept: 1},
		"deleted, a fault of us":  {queries: deleted, store: broken, want: broken},
		"deleted, and it is over": {queries: deleted, tc: broken, over: true, want: errCancelled},
	} {
		r := (&spoiledReads{err: c.tc, ledgerErr: c.store}).newReader(t)
		if c.over {
			r.cancel(errCancelled)
		}
		if err := r.readInactive("a", c.queries, day(1)); !errors.Is(err, c.want) || len(r.unlisted) != c.kept {
			t.Errorf("%s: %v, kept %v", name, err, r.unlisted)
		}
	}
}

// Of what is asked for by its id only that is forgotten which did not come, in an answer that is whole and from owners that are seen.
func TestWhatIsForgottenWhenItIsAskedFor(t *testing.T) {
	one, unknown := threatconnect.Indicator{ID: 1}, threatconnect.Indicator{}
	for name, c := range map[string]struct {
		spoiledReads
		owner   string
		deleted bool
		want    []int64
	}{
		"one came":                         {spoiledReads{rows: []threatconnect.Indicator{one}}, "Alpha", false, []int64{2}},
		"one of a deleted query came":      {spoiledReads{rows: []threatconnect.Indicator{one}}, "Alpha", true, []int64{2}},
		"the answer failed":                {spoiledReads{rows: []threatconnect.Indicator{one}, err: &threatconnect.Error{Status: 400}}, "Alpha", false, nil},
		"the query was deleted, and fails": {spoiledReads{err: &threatconnect.Error{Status: 400}}, "Alpha", true, nil},
		"a row cannot be told":             {spoiledReads{rows: []threatconnect.Indicator{one, unknown}}, "Alpha", false, nil},
		"the owner is gone":                {spoiledReads{}, "Beta", false, nil},
		"the owner of a deleted query":     {spoiledReads{}, "Beta", true, nil},
	} {
		r := c.newReader(t)
		q := store.RunQuery{Query: store.Query{Rank: 1, Owners: []string{c.owner}}, Number: 7}
		r.queries = []store.RunQuery{q}
		if c.deleted {
			q.Rank = 0
			r.queries, r.deleted = nil, []store.RunQuery{q}
		}
		r.queries = append(r.queries, store.RunQuery{Query: store.Query{Rank: 2, Owners: []string{"Alpha"}}, Number: 9})
		origins := []ledger.Origin{{Query: 7, Indicator: 2}, {Query: 7, Indicator: 1}, {Query: 7, Indicator: 2}, {Query: 8, Indicator: 3}, {Query: 9, Indicator: 4}}
		err := r.recheckOrigins(origins, ledger.Certain)
		of := map[int64][]int64{}
		for _, o := range c.forgotten {
			of[o.Query] = append(of[o.Query], o.Indicator)
		}
		if err != nil || !slices.Equal(of[7], c.want) || len(of[8]) > 0 {
			t.Errorf("%s: forgotten %v, want %v (%v)", name, of, c.want, err)
		}
		if name == "one came" && !slices.Equal(of[9], []int64{4}) {
			t.Errorf("of the query behind it %v was forgotten", of[9])
		}
	}
}

// An owner goes away while it is read, just when the owners cannot be listed: they are asked for until they can.
func TestAnOwnerThatGoesAwayWhileOwnersCannotBeListed(t *testing.T) {
	in(t, func(t *testing.T) {
		w := newWorld(t)
		w.put("Alpha", "a.example")
		w.put("Beta", "b.example")
		w.done(w.save(job.Full, query("", "Alpha", "Beta")))
		w.must(w.tc.Inject(tcserver.Fault{Kind: tcserver.Slow, Seconds: 10, Path: "/api/v3/indicators"}))
		j := w.submit(job.Reconcile)
		time.Sleep(5 * time.Second)
		w.must(w.tc.RemoveOwner("Beta"))
		w.must(w.tc.Inject(tcserver.Fault{Kind: tcserver.Status, Status: http.StatusBadGateway, Path: "/api/v3/security/owners", Count: 20}))
		if got := w.await(j.RequestID); !strings.Contains(got.Message, `"Beta"`) {
			t.Errorf("%s: %s", got.Status, got.Message)
		}
		w.wantWinner("b.example", "Beta")
	})
}

// Owners that cannot be listed for long fail the update, and at once where ThreatConnect refuses the list.
func TestOwnersThatCannotBeListed(t *testing.T) {
	for status, most := range map[int]time.Duration{http.StatusBadGateway: time.Hour, http.StatusForbidden: time.Minute} {
		in(t, func(t *testing.T) {
			w := newWorld(t)
			w.put("Alpha", "a.example")
			w.must(w.tc.Inject(tcserver.Fault{Kind: tcserver.Slow, Seconds: 10, Path: "/api/v3/indicators"}))
			w.saveOnly(job.Full, query("", "Alpha"))
			time.Sleep(5 * time.Second)
			began, id := time.Now(), w.p.Progress().RequestID
			w.must(w.tc.Inject(tcserver.Fault{Kind: tcserver.Status, Status: status, Path: "/api/v3/security/owners", Count: -1}))
			if j := w.await(id); j.Status == job.UploadComplete || time.Since(began) > most {
				t.Errorf("%d: %s after %v: %s", status, j.Status, time.Since(began), j.Message)
			}
		})
	}
}

// oneMissed is a ledger that tells one by one what did not come.
type oneMissed struct{ taskStores }

func (o oneMissed) Missed(ctx context.Context, job, query, after int64, _ int) ([]int64, error) {
	return o.taskStores.Missed(ctx, job, query, after, 1)
}

// All that did not come is asked for by its id, in however many parts, before anything is swept.
func TestWhatDidNotComeIsAskedForInParts(t *testing.T) {
	in(t, func(t *testing.T) {
		w := newWorld(t, func(w *world) { w.wrap = func(s *store.Store) taskStores { return oneMissed{s} } })
		w.fill(3)
		w.put("Beta", "b.example")
		w.done(w.save(job.Full, query("", "Alpha", "Beta")))
		alpha := w.tc.Owners()[1]
		w.counts(w.readWithoutOwner(alpha), job.Counts{Downloaded: 4, Queued: 4, Uploaded: 4})
		w.check(true)
	})
}

// The place of a copy in its query counts over the chunks of a page.
func TestPlacesGoOnOverTheChunksOfAPage(t *testing.T) {
	in(t, func(t *testing.T) {
		w := newWorld(t)
		w.put("Beta", "a.example")
		time.Sleep(time.Second)
		w.fill(chunkSize - 5)
		time.Sleep(time.Second)
		w.put("Alpha", "a.example")
		time.Sleep(time.Second)
		for _, host := range []string{"1.example", "2.example", "3.example", "4.example", "5.example"} {
			w.put("Alpha", host)
		}
		w.done(w.save(job.Full, query("", "Alpha", "Beta")))
		w.wantWinner("a.example", "Alpha")
	})
}

// What was moved to another owner after the window ended is on the list of what was deleted, and not yet in the window. It is found
// in whichever query selects it now, and nothing is retired.
func TestWhatMovedAfterTheWindowIsNotRetired(t *testing.T) {
	for name, queries := range map[string][]store.Query{
		"one query":  {query("", "Alpha", "Beta")},
		"the first":  {query("", "Beta"), query("", "Alpha")},
		"the second": {query("", "Alpha"), query("", "Beta")},
		"of three":   {query("", "Alpha"), query("", "Beta"), query("", "Home")},
	} {
		t.Run(name, func(t *testing.T) {
			in(t, func(t *testing.T) {
				w := newWorld(t)
				moved := w.put("Alpha", "a.example")
				w.put("Alpha", "b.example")
				time.Sleep(time.Hour)
				w.done(w.save(job.Full, queries...))
				time.Sleep(time.Hour)
				w.must(w.tc.Delete(moved))
				w.put("Beta", "a.example")
				if j := w.done(w.await(w.submit(job.Delta).RequestID)); j.Retired != 0 {
					t.Errorf("%+v", j.Counts)
				}
				w.wantWinner("a.example", "Beta")
				w.done(w.runJob(job.Reconcile))
				w.check(true)
			})
		})
	}
}

// behindTheWindow is in the query with which an update that begins now reads what was modified after its window.
func behindTheWindow() string {
	return time.Now().UTC().Add(-DefaultLag).Format(`lastModified >= "2006-01-02T15:04:05Z"`)
}

// What is behind the window came from all its owners, or nothing is retired for what did not come.
func TestAnOwnerThatGoesAwayWhileWhatIsBehindTheWindowIsRead(t *testing.T) {
	in(t, func(t *testing.T) {
		w := newWorld(t)
		changed := w.put("Alpha", "a.example")
		time.Sleep(time.Hour)
		w.done(w.save(job.Full, query("", "Alpha", "Beta")))
		time.Sleep(time.Hour)
		w.must(w.tc.Modify(changed, map[string]any{"hostName": "b.example", "summary": "b.example"}))
		time.Sleep(DefaultLag + time.Second)
		w.put("Beta", "a.example")
		w.must(w.tc.Inject(tcserver.Fault{Kind: tcserver.Slow, Seconds: 10, Path: "/api/v3/indicators", Match: behindTheWindow()}))
		j := w.submit(job.Delta)
		time.Sleep(5 * time.Second)
		beta := w.tc.Owners()[2]
		w.must(w.tc.RemoveOwner(beta.Name))
		if got := w.await(j.RequestID); !strings.Contains(got.Message, `"Beta"`) || got.Retired != 0 {
			t.Errorf("%s, %d retired: %s", got.Status, got.Retired, got.Message)
		}
		w.wantWinner("a.example", "Alpha")
		w.must(w.tc.AddOwner(beta))
		w.done(w.runJob(job.Delta))
		w.check(false)
	})
}

// A row behind the window that cannot be told from others keeps nothing: what is listed as deleted is retired, unless it came whole.
func TestADamagedRowBehindTheWindow(t *testing.T) {
	in(t, func(t *testing.T) {
		w := newWorld(t)
		moved := w.fill(2)
		time.Sleep(time.Hour)
		w.done(w.save(job.Full, query("", "Alpha", "Beta")))
		time.Sleep(time.Hour)
		for n, id := range moved {
			w.must(w.tc.Delete(id))
			w.put("Beta", fmt.Sprintf("h%d.example", n))
		}
		w.must(w.tc.Inject(tcserver.Fault{Kind: tcserver.DamagedRow, Path: "/api/v3/indicators", Match: behindTheWindow(), Count: -1}))
		j := w.done(w.await(w.submit(job.Delta).RequestID))
		if p := w.problems(j); len(p) != 1 || p[0].Code != job.CodeUnreadable || j.Retired != 1 {
			t.Errorf("%d retired, %+v", j.Retired, p)
		}
		w.wantWinner("h0.example", "Beta")
		w.wantWinner("h1.example", "")
		w.tc.ClearFaults()
		w.done(w.runJob(job.Delta))
		w.check(false)
	})
}

// An update for a range reads nothing behind it, whatever waits for another copy.
func TestARangeReadsNothingBehindIt(t *testing.T) {
	in(t, func(t *testing.T) {
		w := newWorld(t)
		high := w.put("Alpha", "a.example")
		w.put("Beta", "a.example")
		w.done(w.save(job.Full, query("", "Alpha"), query("", "Beta")))
		w.must(w.tc.Delete(high))
		w.mappers.fails = func(raw []byte) bool { return strings.Contains(string(raw), `"Beta"`) }
		w.done(w.runJob(job.Delta))
		if vacant, err := w.store.HasVacant(t.Context()); err != nil || !vacant {
			t.Fatalf("nothing waits for another copy (%v)", err)
		}
		from := time.Now().UTC()
		time.Sleep(time.Hour)
		to := time.Now().UTC()
		w.put("Alpha", "new.example")
		ranged, err := w.p.Submit(t.Context(), job.Request{Mode: job.Delta, From: from, To: to})
		w.must(err)
		w.counts(w.done(w.await(ranged.RequestID)), job.Counts{Downloaded: 1, Invalid: 1}) // the other copy
		w.wantWinner("new.example", "")
	})
}

// What changed after the window ended and gives another object now leaves the one before to the next candidate, in the same update.
func TestWhatChangedAfterTheWindowLeavesItsPlace(t *testing.T) {
	in(t, func(t *testing.T) {
		w := newWorld(t)
		gone, changed := w.put("Alpha", "gone.example"), w.put("Alpha", "a.example")
		w.put("Beta", "a.example")
		time.Sleep(time.Hour)
		w.done(w.save(job.Full, query("", "Alpha"), query("", "Beta")))
		time.Sleep(time.Hour)
		w.must(w.tc.Delete(gone))
		w.must(w.tc.Modify(changed, map[string]any{"hostName": "b.example", "summary": "b.example"}))
		w.done(w.await(w.submit(job.Delta).RequestID))
		w.wantWinner("a.example", "Beta")
		w.wantWinner("b.example", "Alpha")
		w.check(false)
	})
}

// A vacancy goes to the next candidate that is still there, however many before it are not.
func TestVacanciesAreFilledInRounds(t *testing.T) {
	in(t, func(t *testing.T) {
		w := newWorld(t)
		first, second := w.put("Alpha", "a.example", "x"), w.put("Beta", "a.example", "x")
		w.put("Home", "a.example", "x")
		time.Sleep(time.Hour)
		w.done(w.save(job.Full, query(`tag = "x"`, "Alpha"), query(`tag = "x"`, "Beta"), query(`tag = "x"`, "Home")))
		time.Sleep(time.Hour)
		w.must(w.tc.Delete(first))
		w.must(w.tc.SetTags(second))
		w.done(w.runJob(job.Delta))
		w.wantWinner("a.example", "Home")
		w.check(true)
	})
}

// Without a query nothing is selected: an update that reads everything retires what those gave that were deleted, and a delta leaves it.
func TestAnUpdateWithoutQueries(t *testing.T) {
	in(t, func(t *testing.T) {
		w := newWorld(t)
		w.put("Alpha", "a.example")
		w.done(w.save(job.Full, query("", "Alpha")))
		w.counts(w.done(w.save(job.Delta)), job.Counts{})
		w.wantWinner("a.example", "Alpha")
		w.done(w.runJob(job.Reconcile))
		w.wantWinner("a.example", "")
	})
}

// A query that fails once was not read, though what is known of it can be asked for by its ids: what is new was not seen.
func TestAQueryThatFailsOnce(t *testing.T) {
	in(t, func(t *testing.T) {
		w := newWorld(t)
		w.put("Alpha", "a.example")
		w.done(w.save(job.Full, query("", "Alpha")))
		w.put("Alpha", "new.example")
		w.must(w.tc.Inject(tcserver.Fault{Kind: tcserver.Status, Status: http.StatusBadRequest, Path: "/api/v3/indicators", Count: 1}))
		if j := w.runJob(job.Full); j.Status != job.Failed || !strings.Contains(j.Message, "Query 1 could not be read") {
			t.Errorf("%s: %s", j.Status, j.Message)
		}
		w.done(w.runJob(job.Delta))
		w.check(false)
	})
}

// Download fails while Convert is paused with what was read before: the job ends all the same.
func TestAJobThatFailsBesideAPausedConvert(t *testing.T) {
	in(t, func(t *testing.T) {
		w := newWorld(t)
		w.fill(chunkSize + 10) // more than a page
		w.must(w.p.PauseTask(t.Context(), "convert", true))
		w.must(w.tc.Inject(tcserver.Fault{Kind: tcserver.Status, Status: http.StatusUnauthorized, Path: "/api/v3/indicators", After: 1, Count: -1}))
		w.saveOnly(job.Full, query("", "Alpha"))
		began := time.Now()
		time.Sleep(5 * time.Second)
		jobs, _, err := w.store.Jobs(t.Context(), store.JobFilter{Limit: 1})
		w.must(err)
		if j := w.await(jobs[0].RequestID); j.Status != job.Failed || time.Since(began) > time.Minute {
			t.Errorf("%s after %v: %s", j.Status, time.Since(began), j.Message)
		}
	})
}

// slowRetire is a store that takes its time to retire.
type slowRetire struct{ taskStores }

func (s slowRetire) Retire(ctx context.Context, number int64, complete bool, now time.Time) (store.Retirement, error) {
	time.Sleep(time.Minute)
	return s.taskStores.Retire(ctx, number, complete, now)
}

// The screens tell how much there is to read over all pages, that Convert alone is at work when all is read, and count what is retired.
func TestProgressOfPagesAndRetirements(t *testing.T) {
	in(t, func(t *testing.T) {
		w := newWorld(t, func(w *world) { w.wrap = func(s *store.Store) taskStores { return slowRetire{s} } })
		ids := w.fill(chunkSize + 10) // more than a page
		w.done(w.save(job.Full, query("", "Alpha")))
		w.must(w.p.PauseTask(t.Context(), "upload", true))
		w.must(w.tc.Delete(ids[0]))
		w.submit(job.Full)
		time.Sleep(30 * time.Second)
		const left = chunkSize + 9
		if p := w.p.Progress(); p.Stage != "Convert" || p.Expected != left || p.Downloaded != left || p.DownloadShare != 1 || p.ConvertShare != 1 || p.Queued != left || p.ExpectsMore {
			t.Errorf("while it retires: %+v", p)
		}
		if download := w.p.Tasks()[1]; download.Status != "Idle" {
			t.Errorf("%+v", download)
		}
		time.Sleep(time.Minute)
		if p := w.p.Progress(); p.Stage != "Upload" || p.Queued != left+1 || !p.AllQueued {
			t.Errorf("when all is queued: %+v", p)
		}
	})
}

// TASKS says what Download asks for after the queries, too.
func TestDownloadLooksForWhatHasGoneInTheEnd(t *testing.T) {
	in(t, func(t *testing.T) {
		w := newWorld(t)
		w.put("Alpha", "a.example")
		w.done(w.save(job.Full, query("confidence > 1", "Alpha")))
		w.must(w.tc.Inject(tcserver.Fault{Kind: tcserver.TQLRefuse, Match: "confidence > 1", Count: -1}))
		w.must(w.tc.Inject(tcserver.Fault{Kind: tcserver.Hang, Path: "/api/v3/indicators/deleted", Count: -1}))
		w.submit(job.Full)
		time.Sleep(time.Minute)
		if download := w.p.Tasks()[1]; download.Detail != "Looking for what has gone" {
			t.Errorf("%+v", download)
		}
	})
}
