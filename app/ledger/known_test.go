package ledger

import (
	"slices"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"

	"mssentinel/app/job"
)

// passedBy is an indicator that was not mapped, since its candidates had the fingerprint 7.
func passedBy(indicator int64, minutes int) Found {
	return Found{Indicator: indicator, Type: "Host", Modified: noon.Add(time.Duration(minutes) * time.Minute), Fingerprint: 7, Known: true}
}

// A known indicator is taken for what its candidates say, and mapped where more has to be known than they tell.
func TestWhatIsKnown(t *testing.T) {
	known := func(o Origin) *Candidate {
		c := candidate(o, 5, 3)
		c.Fingerprint = 7
		return c
	}
	other := known(first)
	other.Fingerprint = 8
	elsewhere, below, belowBefore := known(first), known(first), known(first)
	elsewhere.Object, below.Object, belowBefore.Object = 9, 0, 0
	belowBefore.Fingerprint = 8
	for name, tt := range map[string]struct {
		mode       job.Mode
		query      int64
		found      Found
		candidates []*Candidate
		object     func(*Object)
		unknown    bool
		counts     job.Counts
	}{
		"the winner, as it was":             {mode: job.Reconcile, query: 1, found: passedBy(10, 0), candidates: []*Candidate{known(first)}, counts: job.Counts{Downloaded: 1, Unchanged: 1}},
		"the winner, in a delta":            {mode: job.Delta, query: 1, found: passedBy(10, 0), candidates: []*Candidate{known(first)}, counts: job.Counts{Downloaded: 1, Unchanged: 1}},
		"a copy that lost":                  {mode: job.Reconcile, query: 2, found: passedBy(20, 0), candidates: []*Candidate{known(second)}, object: func(o *Object) { o.Elected = 6 }, counts: job.Counts{Downloaded: 1, Duplicate: 1}},
		"a copy that is to win":             {mode: job.Reconcile, query: 2, found: passedBy(20, 0), candidates: []*Candidate{known(second)}, unknown: true},
		"vacant":                            {mode: job.Reconcile, query: 1, found: passedBy(10, 0), candidates: []*Candidate{known(first)}, object: func(o *Object) { o.makeVacant(1, Uncertain) }, unknown: true},
		"to be sent again":                  {mode: job.Reconcile, query: 1, found: passedBy(10, 0), candidates: []*Candidate{known(first)}, object: func(o *Object) { o.Resend = true }, unknown: true},
		"sent with an older lastModified":   {mode: job.Reconcile, query: 1, found: passedBy(10, 1), candidates: []*Candidate{known(first)}, unknown: true},
		"below the floor":                   {mode: job.Reconcile, query: 1, found: passedBy(10, 0), candidates: []*Candidate{below}, counts: job.Counts{Downloaded: 1, BelowFloor: 1}},
		"below the floor, and changed":      {mode: job.Reconcile, query: 1, found: passedBy(10, 0), candidates: []*Candidate{belowBefore}, unknown: true},
		"in a full update":                  {mode: job.Full, query: 1, found: passedBy(10, 0), candidates: []*Candidate{known(first)}, unknown: true},
		"of another fingerprint by now":     {mode: job.Reconcile, query: 1, found: passedBy(10, 0), candidates: []*Candidate{other}, unknown: true},
		"forgotten by now":                  {mode: job.Reconcile, query: 1, found: passedBy(10, 0), unknown: true},
		"whose object is another workspace": {mode: job.Reconcile, query: 1, found: passedBy(10, 0), candidates: []*Candidate{elsewhere}, unknown: true},
	} {
		t.Run(name, func(t *testing.T) {
			o := stands()
			if tt.object != nil {
				tt.object(o)
			}
			b := &Batch{Mode: tt.mode, Query: tt.query, Place: 1, Found: []Found{tt.found}}
			w := world(b, o, tt.candidates...)
			takeAll(w)
			if got := w.Unknown(); slices.Equal(got, []int{0}) != tt.unknown {
				t.Errorf("unknown are %v, want %v", got, tt.unknown)
			}
			if tt.unknown {
				return
			}
			if got := w.Tally.Total(4); got != tt.counts {
				t.Errorf("counted %+v, want %+v", got, tt.counts)
			}
			if changed, gone := w.ChangedCandidates(); len(gone) != 0 || len(changed) != 1 || changed[0].Attempt != 6 || changed[0].Fingerprint != 7 {
				t.Errorf("written %+v, deleted %+v", changed, gone)
			}
			if len(w.Queue()) != 0 || tt.candidates[0].Object != 0 && o.Elected != 6 {
				t.Errorf("%d objects are sent, the winner is of attempt %d", len(w.Queue()), o.Elected)
			}
		})
	}
}

// All objects of a known indicator are known, or none.
func TestKnownInPart(t *testing.T) {
	a, b := candidate(first, 5, 0), candidate(first, 5, 0)
	a.Fingerprint, b.Fingerprint, b.Object = 7, 6, 2
	w := emptySet(job.Reconcile, passedBy(10, 0))
	for number, c := range map[int64]*Candidate{1: a, 2: b} {
		w.AddObject(plain(number, string(rune('a'+number))))
		w.AddCandidate(c)
	}
	takeAll(w)
	if got := w.Unknown(); !slices.Equal(got, []int{0}) {
		t.Errorf("unknown are %v", got)
	}
}

// A row that comes twice in a page, and changed between: the one that was passed by is not what its candidates say any more.
func TestKnownBesideItsChange(t *testing.T) {
	changed := found(10, 2, 1)
	changed.Fingerprint = 9
	w := emptySet(job.Reconcile, changed, passedBy(10, 0))
	c := candidate(first, 5, 0)
	c.Fingerprint = 7
	w.AddCandidate(c)
	w.AddObject(plain(1, pattern))
	takeAll(w)
	if got := w.Unknown(); !slices.Equal(got, []int{1}) {
		t.Errorf("unknown are %v", got)
	}
}

// Candidates are kept with the fingerprint of what was made of their indicator.
func TestFingerprintsOfCandidates(t *testing.T) {
	with := func(f Found, fingerprint int64) Found { f.Fingerprint = fingerprint; return f }
	for name, c := range map[string]struct {
		query int64
		found Found
		want  []int64
	}{
		"mapped":                               {1, with(found(10, 1, 0), 9), []int64{9}},
		"mapped each time":                     {1, found(10, 1, 0), []int64{0}},
		"that gives nothing":                   {1, with(Found{Indicator: 12, Type: "Host"}, 9), []int64{0}},
		"below the floor":                      {1, with(Found{Indicator: 12, Type: "Host", BelowFloor: true}, 9), []int64{9}},
		"that its mapper fails on":             {1, with(Found{Indicator: 10, Type: "Host", Unconverted: true}, 9), []int64{7}},
		"new, that its mapper fails on":        {1, with(Found{Indicator: 12, Type: "Host", Unconverted: true}, 9), []int64{0}},
		"of a query deleted while it was read": {4, with(found(40, 1, 0), 9), []int64{0}},
	} {
		before := candidate(first, 5, 0)
		before.Fingerprint = 7
		w := world(&Batch{Mode: job.Reconcile, Query: c.query, Found: []Found{c.found}}, stands(), before)
		takeAll(w)
		var got []int64
		changed, _ := w.ChangedCandidates()
		for _, c := range changed {
			got = append(got, c.Fingerprint)
		}
		if diff := cmp.Diff(c.want, got); diff != "" {
			t.Errorf("%s (-want +got):\n%s", name, diff)
		}
	}
}

// Whatever decides about what an indicator gives is part of its fingerprint.
func TestFingerprint(t *testing.T) {
	raw := []byte(`{"id":10}`)
	plain := new(Settings).Recipe("app", "mapper")
	base := plain.Fingerprint(raw)
	for name, r := range map[string]Recipe{
		"another build":   new(Settings).Recipe("app 2", "mapper"),
		"another mapper":  new(Settings).Recipe("app", "mapper 2"),
		"names that join": new(Settings).Recipe("appm", "apper"),
		"a floor":         (&Settings{MinConfidence: 50}).Recipe("app", "mapper"),
		"a time to live":  (&Settings{TTL: time.Hour}).Recipe("app", "mapper"),
		"a label":         (&Settings{Labels: []string{"a"}}).Recipe("app", "mapper"),
		"a TLP":           (&Settings{TLP: "red"}).Recipe("app", "mapper"),
	} {
		if r.Fingerprint(raw) == base {
			t.Errorf("%s changes nothing", name)
		}
	}
	again := new(Settings).Recipe("app", "mapper")
	if again.Fingerprint(raw) != base || again.Fingerprint([]byte(`{"id":11}`)) == base || base != 2894485556049141745 {
		t.Errorf("the fingerprint is %d: with another one, all is mapped once more after an upgrade", base)
	}
	if one, two := (&Settings{Labels: []string{"a", "b"}}).Recipe(), (&Settings{Labels: []string{"ab"}}).Recipe(); one == two {
		t.Error("labels that join are the same")
	}
	if one, two := (&Settings{Labels: []string{"a"}}).Recipe("b"), (&Settings{Labels: []string{"b", "a"}}).Recipe(); one == two {
		t.Error("a program is taken for a label")
	}
}
