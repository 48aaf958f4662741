package pipeline

import (
	"context"
	"encoding/json"
	"fmt"
	"slices"
	"strings"
	"testing"
	"time"

	"mssentinel/app/job"
	"mssentinel/app/ledger"
	"mssentinel/app/standin/tcserver"
	"mssentinel/app/stix"
	"mssentinel/app/store"
)

// host adds a Host of a confidence, or of none below 0.
func (w *world) host(owner, value string, confidence int, tags ...string) int64 {
	w.t.Helper()
	id := w.putMembers(owner, "Host", map[string]any{"hostName": value, "summary": value, "confidence": max(confidence, 0)}, tags...)
	if confidence < 0 {
		w.must(w.tc.Modify(id, map[string]any{"confidence": nil}))
	}
	return id
}

// sentAs is a host as Sentinel holds it.
type sentAs struct {
	Name       string    `json:"name"`
	Labels     []string  `json:"labels"`
	Markings   []string  `json:"object_marking_refs"`
	Modified   time.Time `json:"modified"`
	ValidUntil time.Time `json:"valid_until"`
}

// held is a host that Sentinel has to hold.
func (w *world) held(host string) (o sentAs) {
	w.t.Helper()
	raw := w.live()["indicator--"+stix.ID(stix.Pattern(stix.Equal("domain-name:value", host))).String()]
	if raw == nil {
		w.t.Fatalf("%s does not stand", host)
	}
	w.must(json.Unmarshal(raw, &o))
	return o
}

func (w *world) wantHeld(host string, labels []string, marking string, ttl time.Duration) {
	w.t.Helper()
	o := w.held(host)
	if !slices.Equal(o.Labels, labels) || len(o.Markings) > 1 || strings.Join(o.Markings, "") != marking || o.ValidUntil.Sub(o.Modified) != ttl {
		w.t.Errorf("%s stands as %+v for %v", host, o, o.ValidUntil.Sub(o.Modified))
	}
}

// with gives a query settings.
func with(q store.Query, change func(*store.Query)) store.Query {
	change(&q)
	return q
}

func hours(n int) *int { return &n }

// A query does not select what is below its floor: a lower query's copy wins, and where there is none nothing is sent and nothing is
// an error. What falls below it leaves with the next update, and comes back with its confidence.
func TestConfidenceFloor(t *testing.T) {
	in(t, func(t *testing.T) {
		w := newWorld(t)
		both := w.host("Alpha", "both.example", 80)
		w.host("Beta", "both.example", 10)
		w.host("Alpha", "low.example", 59)
		w.host("Beta", "low.example", -1)
		alone := w.host("Alpha", "alone.example", 60)
		w.host("Alpha", "none.example", -1)
		w.putMembers("Alpha", "File", map[string]any{"md5": strings.Repeat("a", 31), "sha1": strings.Repeat("b", 40), "summary": "odd", "confidence": 1})
		high := with(query("", "Alpha"), func(q *store.Query) { q.MinConfidence, q.Types = 60, []string{"Host", "File"} })
		time.Sleep(time.Hour)
		j := w.done(w.save(job.Full, high, query("", "Beta")))
		w.counts(j, job.Counts{Downloaded: 7, BelowFloor: 3, Duplicate: 1, Queued: 3, Uploaded: 3})
		w.check(true)
		w.wantWinner("both.example", "Alpha")
		w.wantWinner("low.example", "Beta")
		if lines, _, err := w.store.Problems(context.Background(), store.ProblemFilter{Limit: 10}); err != nil || len(lines) > 0 || !j.WasComplete() {
			t.Errorf("REPORT has %+v, %v", lines, err)
		}
		w.counts(w.done(w.runJob(job.Reconcile)), job.Counts{Downloaded: 7, BelowFloor: 3, Duplicate: 1, Unchanged: 3})
		totals, err := w.store.QueryTotals(context.Background())
		w.must(err)
		if got := totals.Queries[w.queries[0].ID]; got.Matched != 5 || got.BelowFloor != 3 || got.Won != 2 || got.Invalid != 0 {
			t.Errorf("the screens say %+v", got)
		}

		w.must(w.tc.Modify(both, map[string]any{"confidence": 59}))
		w.must(w.tc.Modify(alone, map[string]any{"confidence": nil}))
		w.restart()
		w.counts(w.done(w.runJob(job.Delta)), job.Counts{Downloaded: 3, BelowFloor: 2, Queued: 2, Uploaded: 1, Retired: 1})
		w.wantWinner("both.example", "Beta")
		w.wantWinner("alone.example", "")
		w.check(false)

		w.must(w.tc.Modify(both, map[string]any{"confidence": 60}))
		w.must(w.tc.Modify(alone, map[string]any{"confidence": 100}))
		w.done(w.runJob(job.Delta))
		w.wantWinner("both.example", "Alpha")
		w.wantWinner("alone.example", "Alpha")
		w.check(false)
	})
}

// What is below the floor is remembered as read: the second step of a download does not ask for it again and again.
func TestBelowTheFloorIsReadOnce(t *testing.T) {
	in(t, func(t *testing.T) {
		w := newWorld(t)
		for i := range 30 {
			w.host("Alpha", fmt.Sprintf("h%d.example", i), i)
		}
		j := w.done(w.save(job.Full, with(query("", "Alpha"), func(q *store.Query) { q.MinConfidence = 20 })))
		w.counts(j, job.Counts{Downloaded: 30, BelowFloor: 20, Queued: 10, Uploaded: 10})
		asked := w.tc.RequestCount()
		w.done(w.runJob(job.Reconcile))
		floored := w.tc.RequestCount() - asked
		w.queries[0].MinConfidence = 0
		w.done(w.save(job.Delta, w.queries...))
		asked = w.tc.RequestCount()
		w.done(w.runJob(job.Reconcile))
		if plain := w.tc.RequestCount() - asked; plain != floored {
			t.Errorf("%d requests with a floor, %d without", floored, plain)
		}
	})
}

// Labels, TLP and time to live are those of the query that wins; where another wins, so are its.
func TestSettingsDecideWithTheWinner(t *testing.T) {
	in(t, func(t *testing.T) {
		w := newWorld(t)
		high := w.host("Alpha", "a.example", 50, "tag", "soc")
		w.host("Beta", "a.example", 50, "low tag")
		w.host("Beta", "b.example", 50)
		red := w.host("Alpha", "red.example", 50)
		w.must(w.tc.Modify(red, map[string]any{"securityLabels": map[string]any{"data": []any{map[string]any{"id": 1, "name": "TLP:RED"}}}}))
		upper := with(query("", "Alpha"), func(q *store.Query) { q.Labels, q.TLP, q.TTLHours = []string{"soc", "vip"}, "AMBER", hours(72) })
		lower := with(query("", "Beta"), func(q *store.Query) { q.Labels, q.TLP = []string{"feed"}, "GREEN" })
		time.Sleep(time.Hour)
		w.done(w.save(job.Full, upper, lower))
		w.wantHeld("a.example", []string{"tag", "soc", "vip"}, stix.TLPAmber, 72*time.Hour)
		w.wantHeld("red.example", []string{"soc", "vip"}, stix.TLPRed, 72*time.Hour)
		w.wantHeld("b.example", []string{"feed"}, stix.TLPGreen, ttl)
		w.check(true)

		// The other query wins, by another order and by the end of the copy that won.
		w.queries[0], w.queries[1] = w.queries[1], w.queries[0]
		w.saveOnly(job.Delta, w.queries...)
		w.done(w.runJob(job.Reconcile))
		w.wantHeld("a.example", []string{"low tag", "feed"}, stix.TLPGreen, ttl)
		w.check(true)
		w.queries[0], w.queries[1] = w.queries[1], w.queries[0]
		w.saveOnly(job.Delta, w.queries...)
		w.done(w.runJob(job.Reconcile))
		w.wantHeld("a.example", []string{"tag", "soc", "vip"}, stix.TLPAmber, 72*time.Hour)
		w.must(w.tc.Delete(high))
		w.done(w.runJob(job.Delta))
		w.wantHeld("a.example", []string{"low tag", "feed"}, stix.TLPGreen, ttl)
		w.check(false)
	})
}

// The same indicator by two queries that differ in their time to live alone: who wins decides, also where nothing else changes.
func TestTimeToLiveDecidesWithTheWinner(t *testing.T) {
	in(t, func(t *testing.T) {
		w := newWorld(t)
		w.host("Alpha", "a.example", 50)
		long := query("", "Alpha")
		short := with(query("rating >= 3", "Alpha"), func(q *store.Query) { q.TTLHours = hours(5) })
		w.done(w.save(job.Full, long, short))
		w.wantHeld("a.example", nil, "", ttl)
		w.save(job.Delta, w.queries[1], w.queries[0])
		w.counts(w.done(w.runJob(job.Reconcile)), job.Counts{Downloaded: 2, Duplicate: 1, Queued: 1, Uploaded: 1})
		w.wantHeld("a.example", nil, "", 5*time.Hour)
		w.counts(w.done(w.runJob(job.Reconcile)), job.Counts{Downloaded: 2, Duplicate: 1, Unchanged: 1})
	})
}

// Other settings are sent by the next update, a delta as well, over a restart between: what they change, and nothing else.
func TestOtherSettingsAreSent(t *testing.T) {
	for name, c := range map[string]struct {
		change func(*store.Query)
		want   job.Counts
	}{
		"labels":         {func(q *store.Query) { q.Labels = []string{"soc"} }, job.Counts{Downloaded: 4, Unchanged: 1, Queued: 3, Uploaded: 3}},
		"a level":        {func(q *store.Query) { q.TLP = "AMBER" }, job.Counts{Downloaded: 4, Unchanged: 1, Queued: 3, Uploaded: 3}},
		"a time to live": {func(q *store.Query) { q.TTLHours = hours(10) }, job.Counts{Downloaded: 4, Queued: 4, Uploaded: 4}},
		"a floor":        {func(q *store.Query) { q.MinConfidence = 50 }, job.Counts{Downloaded: 5, BelowFloor: 2, Unchanged: 2, Queued: 2, Retired: 1, Uploaded: 1}},
		"all": {func(q *store.Query) {
			q.Labels, q.TLP, q.TTLHours, q.MinConfidence = []string{"soc"}, "AMBER", hours(10), 50
		}, job.Counts{Downloaded: 5, BelowFloor: 2, Queued: 4, Retired: 1, Uploaded: 3}},
		"none": {func(*store.Query) {}, job.Counts{}},
	} {
		t.Run(name, func(t *testing.T) {
			in(t, func(t *testing.T) {
				w := newWorld(t)
				w.host("Alpha", "a.example", 90)
				amber := w.host("Alpha", "labelled.example", 90, "soc")
				w.must(w.tc.Modify(amber, map[string]any{"securityLabels": map[string]any{"data": []any{map[string]any{"id": 1, "name": "TLP:AMBER"}}}}))
				w.host("Alpha", "low.example", 10)
				w.host("Alpha", "shared.example", 10)
				w.host("Beta", "shared.example", 10)
				time.Sleep(time.Hour)
				w.done(w.save(job.Full, query("", "Alpha"), query("", "Beta")))
				time.Sleep(time.Hour)
				c.change(&w.queries[0])
				w.saveOnly(job.Delta, w.queries...)
				w.restart()
				time.Sleep(30 * time.Second)
				jobs, _, err := w.store.Jobs(context.Background(), store.JobFilter{Limit: 1})
				w.must(err)
				w.counts(w.done(w.await(jobs[0].RequestID)), c.want)
				w.check(false)
				w.counts(w.done(w.runJob(job.Delta)), job.Counts{})
				if j := w.done(w.runJob(job.Reconcile)); j.Queued != 0 {
					t.Errorf("a reconcile sends %+v", j.Counts)
				}
			})
		})
	}
}

// A query that could not be read since its settings changed is read whole once it can be, and retires nothing before.
func TestOtherSettingsOfAQueryThatFails(t *testing.T) {
	in(t, func(t *testing.T) {
		w := newWorld(t)
		w.host("Alpha", "a.example", 90)
		w.host("Alpha", "low.example", 10)
		time.Sleep(time.Hour)
		w.done(w.save(job.Full, query("", "Alpha")))
		time.Sleep(time.Hour)
		w.must(w.tc.Inject(tcserver.Fault{Kind: "tql", Count: -1}))
		w.queries[0].MinConfidence, w.queries[0].Labels = 50, []string{"soc"}
		j := w.save(job.Delta, w.queries...)
		if j.Message == "" || len(w.live()) != 2 {
			t.Errorf("%s: %s; %d stand", j.Status, j.Message, len(w.live()))
		}
		w.tc.ClearFaults()
		j = w.awaitJob(j.RequestID, func(j job.Job) bool { return j.Status == job.UploadComplete })
		w.counts(w.done(j), job.Counts{Downloaded: 2, BelowFloor: 1, Queued: 2, Uploaded: 1, Retired: 1})
		w.check(false)
	})
}

// A floor that makes much leave asks first, as whatever makes much leave.
func TestAFloorBrakes(t *testing.T) {
	in(t, func(t *testing.T) {
		w := newWorld(t)
		for i := range 300 {
			w.host("Alpha", fmt.Sprintf("h%d.example", i), i%100)
		}
		w.done(w.save(job.Full, query("", "Alpha")))
		time.Sleep(time.Hour)
		w.queries[0].MinConfidence = 50
		j := w.save(job.Delta, w.queries...)
		if j.Status != job.ConfirmationRequired || j.Question() != 150 || len(w.live()) != 300 {
			t.Fatalf("%s: %d asked about, %d stand", j.Status, j.Question(), len(w.live()))
		}
		groups, err := w.store.SummarizeHeld(t.Context(), j.RequestID, 100, time.Now())
		w.must(err)
		for _, g := range groups.Groups {
			if g.Cause != ledger.QueryEdited {
				t.Errorf("the cause is %s", g.Cause)
			}
		}
		w.must(w.p.AnswerRetirement(t.Context(), j.RequestID, true))
		time.Sleep(time.Minute)
		w.check(false)
	})
}

// A preview shows what the query makes of an object, and says what is below its floor.
func TestPreviewWithSettings(t *testing.T) {
	in(t, func(t *testing.T) {
		w := newWorld(t)
		w.host("Alpha", "a.example", 90, "tag")
		w.host("Alpha", "low.example", 59)
		w.host("Alpha", "none.example", -1)
		q := with(query("", "Alpha"), func(q *store.Query) {
			q.MinConfidence, q.Labels, q.TLP, q.TTLHours = 60, []string{"soc"}, "RED", hours(5)
		})
		q.SortField, q.SortDirection = "", ""
		w.done(w.save(job.Full, q))
		for _, same := range []bool{true, false} {
			v, err := w.p.Preview(t.Context(), toQuery(store.RunQuery{Query: q}), q.Settings())
			w.must(err)
			var o sentAs
			w.must(json.Unmarshal(v.Objects[0], &o))
			if len(v.Objects) != 1 || v.BelowFloor != 2 || len(v.Problems) != 0 || !slices.Contains(o.Labels, "soc") || o.Markings[0] != stix.TLPRed ||
				o.ValidUntil.Sub(o.Modified) != time.Duration(*q.TTLHours)*time.Hour {
				t.Errorf("%d below the floor, %v, %+v", v.BelowFloor, v.Problems, o)
			}
			rows := v.Rows
			if len(rows) != 3 || rows[0].BelowFloor || rows[0].Same != same || !rows[1].BelowFloor || rows[1].Object != nil ||
				rows[1].Reason != "its confidence is 59, and the floor of the query is 60." || rows[2].Reason != "it has no confidence, and the floor of the query is 60." {
				t.Errorf("%+v", rows)
			}
			q.TTLHours = hours(6) // that is other content
		}
	})
}
