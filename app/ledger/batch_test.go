package ledger

import (
	"slices"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"

	"mssentinel/app/job"
	"mssentinel/app/stix"
)

var noon = time.Date(2026, 11, 28, 12, 0, 0, 0, time.UTC)

const pattern = "[a]"

// found is an indicator that gives one object of this content, last modified some minutes after noon.
func found(indicator int64, content uint64, minutes int) Found {
	return Found{Indicator: indicator, Type: "Host", Modified: noon.Add(time.Duration(minutes) * time.Minute),
		Objects: []FoundObject{{Indicator: &stix.Indicator{Pattern: pattern}, ID: stix.ID(pattern), Hash: content}}}
}

// stands is an object that the first query's indicator 10 won in attempt 5, with content 1.
func stands() *Object {
	return &Object{Number: 1, Pattern: pattern, Winner: first, Elected: 5, Modified: noon.UnixMilli(), Hash: 1, Job: 3, State: Live}
}

func candidate(o Origin, attempt, place int64) *Candidate {
	return &Candidate{Origin: o, Object: 1, Attempt: attempt, Place: place}
}

// world is the ledger that a batch meets: queries 1, 2 and 3 are saved in this order, query 4 was deleted; attempt 6 of job 4
// is under way.
func world(b *Batch, o *Object, candidates ...*Candidate) *WorkingSet {
	b.Job = 4
	w := NewWorkingSet(b, Present{Attempt: 6, Attempts: []int64{6}, Ranks: map[int64]int64{1: 1, 2: 2, 3: 3}, Question: Question{Generation: 2},
		NextObject: 2, NextSeq: 50, Handed: 40})
	if o == nil {
		return w
	}
	for _, c := range candidates {
		if c.Query == b.Query && slices.ContainsFunc(b.Found, func(f Found) bool { return f.Indicator == c.Indicator }) {
			w.AddCandidate(c)
		}
	}
	w.AddObject(o)
	if slices.Contains(w.Contested(), o.Number) {
		for _, c := range candidates {
			w.AddRival(c)
		}
	}
	return w
}

func takeAll(w *WorkingSet) {
	for i := range w.batch.Found {
		w.Take(i, 0, 0)
	}
}

// The rules of precedence, case by case. The winner before is indicator 10 of query 1, read by attempt 5.
func TestWhoWins(t *testing.T) {
	third := Origin{Query: 3, Indicator: 30}
	for name, tt := range map[string]struct {
		mode       job.Mode
		query      int64
		found      Found
		unread     []int64
		candidates []*Candidate
		object     func(*Object)
		want       Origin
		sent       bool
	}{
		// An update that reads everything.
		"the winner, unchanged":                  {mode: job.Reconcile, query: 1, found: found(10, 1, 0), want: first},
		"the winner, confirmed":                  {mode: job.Reconcile, query: 1, found: found(10, 1, 1), want: first, sent: true},
		"the winner, of other content":           {mode: job.Reconcile, query: 1, found: found(10, 2, 0), want: first, sent: true},
		"the winner, in a full update":           {mode: job.Full, query: 1, found: found(10, 1, 0), want: first, sent: true},
		"the first copy read takes over":         {mode: job.Reconcile, query: 2, found: found(20, 2, 0), want: second, sent: true},
		"a lower copy after a higher one":        {mode: job.Reconcile, query: 2, found: found(20, 2, 0), object: func(o *Object) { o.Elected = 6 }, want: first},
		"a lower copy, the higher query unread":  {mode: job.Reconcile, query: 2, found: found(20, 2, 0), unread: []int64{1}, want: first},
		"a higher copy, read out of order":       {mode: job.Reconcile, query: 1, found: found(10, 2, 0), object: func(o *Object) { o.Winner, o.Elected = second, 6 }, want: first, sent: true},
		"vacant, and read":                       {mode: job.Reconcile, query: 2, found: found(20, 2, 0), object: func(o *Object) { o.makeVacant(1, Uncertain) }, want: second, sent: true},
		"vacant, and the higher query unread":    {mode: job.Reconcile, query: 2, found: found(20, 2, 0), unread: []int64{1}, object: func(o *Object) { o.makeVacant(1, Uncertain) }, want: vacant},
		"the winner's query was deleted":         {mode: job.Reconcile, query: 2, found: found(20, 2, 0), object: func(o *Object) { o.Winner.Query = 4 }, want: second, sent: true},
		"a query that was deleted while read":    {mode: job.Reconcile, query: 4, found: found(40, 2, 0), want: first},
		"another type of the same value":         {mode: job.Reconcile, query: 1, found: found(10, 1, 0), object: func(o *Object) { o.Type = 9 }, want: first},
		"what is to be sent in any case":         {mode: job.Reconcile, query: 1, found: found(10, 1, 0), object: func(o *Object) { o.Resend = true }, want: first, sent: true},
		"what this job queued, in a full update": {mode: job.Full, query: 1, found: found(10, 1, 0), object: func(o *Object) { o.Job = 4 }, want: first},
		// A delta update.
		"the winner changed":                     {mode: job.Delta, query: 1, found: found(10, 2, 1), want: first, sent: true},
		"the winner in the overlap":              {mode: job.Delta, query: 1, found: found(10, 1, 0), want: first},
		"a lower copy changed":                   {mode: job.Delta, query: 2, found: found(20, 2, 1), want: first},
		"a copy behind it in its query":          {mode: job.Delta, query: 1, found: found(11, 2, 1), want: first},
		"a higher copy is new":                   {mode: job.Delta, query: 1, found: found(10, 2, 1), candidates: []*Candidate{candidate(second, 5, 0)}, object: func(o *Object) { o.Winner = second }, want: first, sent: true},
		"vacant, and the next one":               {mode: job.Delta, query: 2, found: found(20, 2, 1), candidates: []*Candidate{candidate(second, 5, 0)}, object: func(o *Object) { o.makeVacant(1, Uncertain) }, want: second, sent: true},
		"vacant, and another is to win":          {mode: job.Delta, query: 3, found: found(30, 2, 1), candidates: []*Candidate{candidate(second, 5, 0), candidate(third, 5, 0)}, object: func(o *Object) { o.makeVacant(1, Uncertain) }, want: vacant},
		"the winner fell out of its query":       {mode: job.Delta, query: 2, found: found(10, 2, 1), want: vacant},
		"the winner in a lower query, unchanged": {mode: job.Delta, query: 2, found: found(10, 1, 0), want: first},
		"the winner's query has returned it too": {mode: job.Delta, query: 2, found: found(10, 2, 1), candidates: []*Candidate{candidate(first, 6, 0)}, want: first},
	} {
		t.Run(name, func(t *testing.T) {
			o := stands()
			if tt.object != nil {
				tt.object(o)
			}
			if tt.candidates == nil {
				tt.candidates = []*Candidate{candidate(first, 5, 0)}
			}
			b := &Batch{Mode: tt.mode, Query: tt.query, Unread: tt.unread, Found: []Found{tt.found}}
			w := world(b, o, tt.candidates...)
			takeAll(w)
			if o.Winner != tt.want || len(w.Queue()) > 0 != tt.sent {
				t.Errorf("%v wins, %d sent; want %v, sent %v", o.Winner, len(w.Queue()), tt.want, tt.sent)
			}
		})
	}
}

func TestBest(t *testing.T) {
	ranks := map[int64]int64{1: 2, 2: 1}
	a, b := candidate(Origin{1, 10}, 5, 0), candidate(Origin{2, 20}, 5, 7)
	c, d := candidate(Origin{2, 21}, 5, 3), candidate(Origin{2, 19}, 5, 3)
	deleted := candidate(Origin{9, 1}, 5, 0)
	all := func(*Candidate) bool { return true }
	for name, tt := range map[string]struct {
		candidates []*Candidate
		winner     Origin
		counts     func(*Candidate) bool
		want       *Candidate
	}{
		"none":                  {nil, vacant, all, nil},
		"a deleted query's":     {[]*Candidate{deleted}, vacant, all, nil},
		"the better query":      {[]*Candidate{a, b}, vacant, all, b},
		"the earlier place":     {[]*Candidate{b, c}, vacant, all, c},
		"the smaller id":        {[]*Candidate{c, d}, vacant, all, d},
		"the winner of a query": {[]*Candidate{d, b}, b.Origin, all, b},
		"no lower winner":       {[]*Candidate{a, c}, a.Origin, all, c},
		"only those that count": {[]*Candidate{a, b, c}, vacant, func(c *Candidate) bool { return c.Query == 1 }, a},
	} {
		if got := Best(tt.candidates, ranks, tt.winner, tt.counts); got != tt.want {
			t.Errorf("%s: %+v, want %+v", name, got, tt.want)
		}
	}
}

// What was read twice, by this job or by an earlier attempt at it, is counted once.
func TestCountedOnce(t *testing.T) {
	for name, tt := range map[string]struct {
		attempt int64
		want    job.Counts
	}{
		"first seen":                    {5, job.Counts{Downloaded: 1, Unchanged: 1}},
		"seen by this attempt":          {6, job.Counts{}},
		"seen by an earlier one at it":  {4, job.Counts{}},
		"seen by a job of another time": {3, job.Counts{Downloaded: 1, Unchanged: 1}},
	} {
		b := &Batch{Mode: job.Reconcile, Query: 1, Found: []Found{found(10, 1, 0)}}
		w := world(b, stands(), candidate(first, tt.attempt, 0))
		w.attempts = []int64{4, 6}
		takeAll(w)
		if got := w.Tally.Total(4); got != tt.want {
			t.Errorf("%s: %+v, want %+v", name, got, tt.want)
		}
	}
}

func TestIndicatorThatGivesItNoMore(t *testing.T) {
	emptied := found(10, 0, 1)
	emptied.Objects = nil
	emptied.Problems = []job.Problem{{Message: "no value"}}
	o := stands()
	w := world(&Batch{Mode: job.Delta, Query: 1, Found: []Found{emptied}, Now: noon}, o, candidate(first, 5, 0))
	takeAll(w)
	changed, gone := w.ChangedCandidates()
	if o.Holder() != Vacant || o.Left != 2 || len(gone) != 1 || len(changed) != 1 || changed[0].Object != 0 {
		t.Errorf("%+v, %d gone, changed %+v", o, len(gone), changed)
	}
	if got := w.Problems(); len(got) != 1 || got[0].Indicator != 10 || !got[0].DateAdded.Equal(noon) {
		t.Errorf("reported %+v", got)
	}
	if got := w.Tally.Total(4); got != (job.Counts{Downloaded: 1, Invalid: 1}) {
		t.Errorf("counted %+v", got)
	}
}

// A mapper that failed says nothing about what the indicator gives: it keeps that, and its place among the copies.
func TestUnconvertedIndicatorKeepsWhatItGave(t *testing.T) {
	failed := Found{Indicator: 10, Type: "Host", Unconverted: true, Problems: []job.Problem{{Message: "died"}}}
	o := stands()
	b := &Batch{Mode: job.Reconcile, Query: 1, Found: []Found{failed}}
	w := world(b, o, candidate(first, 5, 0))
	takeAll(w)
	if o.Winner != first || o.Elected != 6 || len(w.Queue()) != 0 {
		t.Errorf("%+v", o)
	}
	next := world(&Batch{Mode: job.Reconcile, Query: 2, Found: []Found{found(20, 2, 0)}}, o, candidate(first, 6, 0))
	takeAll(next)
	if o.Winner != first {
		t.Errorf("lost to the next copy: %+v", o)
	}
}

// Of an object only the newest row goes out: one of an earlier batch is superseded where it waits, one of this batch dropped.
func TestNewerRowTakesThePlaceOfOneThatWaits(t *testing.T) {
	for name, tt := range map[string]struct {
		queued int64
		want   map[int64]int64
	}{
		"waits":     {45, map[int64]int64{45: 10}},
		"under way": {40, map[int64]int64{}},
		"none":      {0, map[int64]int64{}},
	} {
		o := stands()
		o.Queued = tt.queued
		w := world(&Batch{Mode: job.Delta, Query: 1, Found: []Found{found(10, 2, 1), found(10, 3, 2)}}, o, candidate(first, 5, 0))
		takeAll(w)
		if d := cmp.Diff(tt.want, w.Superseded); d != "" {
			t.Errorf("%s: superseded (-want +got):\n%s", name, d)
		}
		if q := w.Queue(); len(q) != 1 || q[0].Seq != 51 || q[0].Hash != 3 || o.Queued != 51 || w.NextSeq != 52 {
			t.Errorf("%s: queued %+v", name, q)
		}
		if got := w.Tally.Total(4); got.Queued != 1 || got.Duplicate != 0 {
			t.Errorf("%s: counted %+v", name, got)
		}
	}
}

func TestNewObject(t *testing.T) {
	w := world(&Batch{Mode: job.Full, Query: 2, Place: 7, Found: []Found{found(20, 1, 0), found(21, 1, 0)}}, nil)
	takeAll(w)
	fresh := w.NewObjects()
	if len(fresh) != 1 || fresh[0].Number != 2 || fresh[0].Winner != second || fresh[0].Queued != 50 || w.NextObject != 3 {
		t.Fatalf("new: %+v", fresh)
	}
	changed, _ := w.ChangedCandidates()
	if len(changed) != 2 || changed[0].Place != 7 || changed[1].Place != 8 || len(w.ChangedObjects()) != 0 {
		t.Errorf("candidates %+v", changed)
	}
	if got := w.Tally.Total(4); got != (job.Counts{Downloaded: 2, Queued: 1, Duplicate: 1}) {
		t.Errorf("counted %+v", got)
	}
}

// A delta update does not know an indicator's place in the whole order: those whose place is known come first.
func TestPlaceInADeltaUpdate(t *testing.T) {
	known := candidate(first, 5, 3)
	w := world(&Batch{Mode: job.Delta, Query: 1, Place: 100, Found: []Found{found(10, 1, 0), found(11, 1, 0)}}, stands(), known)
	takeAll(w)
	changed, _ := w.ChangedCandidates()
	if len(changed) != 2 || changed[0].Place != 3 || changed[1].Place != 101+unknownPlace {
		t.Errorf("places %d and %d", changed[0].Place, changed[1].Place)
	}
}

// A row without an id is counted once for each problem that is new, since nothing else tells it from others.
func TestUnreadableRow(t *testing.T) {
	bad := Found{Unconverted: true, Problems: []job.Problem{{Message: "no id", Raw: "{}"}}}
	w := world(&Batch{Mode: job.Full, Query: 1, Found: []Found{bad, bad}}, nil)
	w.AddReported(0, "no id", "[]")
	takeAll(w)
	if got := w.Tally.Total(4); got != (job.Counts{Downloaded: 1, Invalid: 1}) || len(w.Problems()) != 1 {
		t.Errorf("counted %+v, %d lines", got, len(w.Problems()))
	}
}

// An indicator that came twice in a batch, the second time without the object, gives it no more: the next copy wins.
func TestCopyThatIsGoneDoesNotCount(t *testing.T) {
	emptied := found(10, 0, 2)
	emptied.Objects = nil
	o := stands()
	w := world(&Batch{Mode: job.Delta, Query: 1, Found: []Found{found(10, 1, 1), emptied, found(11, 3, 1)}}, o, candidate(first, 5, 0))
	takeAll(w)
	if want := (Origin{Query: 1, Indicator: 11}); o.Winner != want {
		t.Errorf("%v wins, want %v", o.Winner, want)
	}
}

// An object that no copy has won yet departed in the present generation, and is to be sent whatever its hash is.
func TestNewObjectWithoutAWinner(t *testing.T) {
	w := world(&Batch{Mode: job.Full, Query: 4, Found: []Found{found(40, 0, 0)}}, nil)
	takeAll(w)
	o := w.NewObjects()[0]
	if o.Holder() != Vacant || !o.Resend || o.Left != 2 {
		t.Errorf("%+v", o)
	}
}

func TestSupersededIsADuplicateOfItsOwnJobAlone(t *testing.T) {
	for name, tt := range map[string]struct {
		older int64
		by    Origin
		want  job.Counts
	}{
		"another copy in the same job": {4, second, job.Counts{Queued: -1, Duplicate: 1}},
		"the same copy":                {4, first, job.Counts{Queued: -1}},
		"another job":                  {3, second, job.Counts{Queued: -1}},
	} {
		tally := job.Tally{}
		CountSuperseded(tally, tt.older, first, "Host", 4, tt.by)
		if got := tally.Total(tt.older); got != tt.want {
			t.Errorf("%s: %+v, want %+v", name, got, tt.want)
		}
	}
}

// An object keeps the created with which it was first sent, as long as that may stand or has stood.
func TestCreatedStays(t *testing.T) {
	created := time.Date(2024, 5, 6, 7, 8, 9, 123e6, time.UTC)
	for name, tt := range map[string]struct {
		object   func(*Object)
		underWay time.Time
		want     time.Time
	}{
		"stands":                          {object: func(o *Object) { o.Created = created.UnixMilli() }, want: created},
		"was retired":                     {object: func(o *Object) { o.State, o.Created = Retired, created.UnixMilli() }, want: created},
		"was never sent":                  {object: func(o *Object) { o.State = Nothing }, want: noon},
		"a row is under way":              {object: func(o *Object) { o.State, o.Queued = Nothing, 40 }, underWay: created, want: created},
		"one is under way, another waits": {object: func(o *Object) { o.State, o.Queued = Nothing, 41 }, underWay: created, want: created},
		"a row waits that never left":     {object: func(o *Object) { o.State, o.Queued = Nothing, 41 }, want: noon},
		"a row was rejected":              {object: func(o *Object) { o.State, o.Settled = Nothing, 40 }, want: noon},
	} {
		t.Run(name, func(t *testing.T) {
			o := stands()
			tt.object(o)
			f := found(10, 2, 1)
			f.Objects[0].Created = noon
			w := world(&Batch{Mode: job.Delta, Query: 1, Found: []Found{f}}, o, candidate(first, 5, 0))
			if asks := len(w.Unsettled()) > 0; asks != (o.State == Nothing && o.Queued != 0) {
				t.Errorf("asks for what is under way: %v", asks)
			}
			if !tt.underWay.IsZero() {
				w.AddUnderWay(o.Number, tt.underWay.UnixMilli())
			}
			takeAll(w)
			queue := w.Queue()
			if len(queue) != 1 || !queue[0].Created.Equal(tt.want) {
				t.Fatalf("queued %+v", queue)
			}
			if !f.Objects[0].Created.Equal(noon) {
				t.Errorf("what the mapper made was changed to %v", f.Objects[0].Created)
			}
		})
	}
}
