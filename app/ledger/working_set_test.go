package ledger

import (
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"

	"mssentinel/app/job"
	"mssentinel/app/stix"
)

// emptySet meets an empty ledger, with a job of this mode that reads the first query.
func emptySet(mode job.Mode, list ...Found) *WorkingSet {
	b := &Batch{Mode: mode, Query: 1, Found: list, Now: noon}
	return world(b, nil)
}

// plain is a stored object of a pattern.
func plain(number int64, pattern string) *Object {
	return &Object{Number: number, Pattern: pattern, Winner: first, Modified: noon.UnixMilli(), Hash: 1}
}

func TestWhatIsStillToBeRead(t *testing.T) {
	w := emptySet(job.Reconcile, found(10, 1, 0))
	want := []int64{}
	for number := range int64(60) {
		w.AddCandidate(&Candidate{Origin: Origin{1, 100 - number}, Object: number})
		w.AddCandidate(&Candidate{Origin: Origin{1, 200 + number}, Object: number})
		if number != 0 {
			want = append(want, number)
		}
	}
	if diff := cmp.Diff(want, w.Given()); diff != "" {
		t.Errorf("given before (-want +got):\n%s", diff)
	}
	w.AddObject(plain(7, pattern))
	if !w.HasObject(pattern) || w.HasObject("[other]") {
		t.Error("what was added is not told from what was not")
	}
}

// Objects whose indicator gives them no more are contested; what an unmapped indicator gave is not.
func TestContested(t *testing.T) {
	unmapped := Found{Indicator: 11, Type: "Host", Unconverted: true}
	w := emptySet(job.Reconcile, found(10, 1, 0), unmapped)
	for number, p := range map[int64]string{5: pattern, 6: "[b]", 7: "[c]", 8: "[d]"} {
		w.AddObject(plain(number, p))
	}
	for object, indicator := range map[int64]int64{5: 10, 6: 10, 8: 10, 7: 11} {
		w.AddCandidate(&Candidate{Origin: Origin{1, indicator}, Object: object})
	}
	w.AddCandidate(&Candidate{Origin: Origin{1, 10}})
	if diff := cmp.Diff([]int64{6, 8}, w.Contested()); diff != "" {
		t.Errorf("(-want +got):\n%s", diff)
	}
}

// What is asked for in a statement is in order, so that the statement is the same each time.
func TestNumbersAreInOrder(t *testing.T) {
	w := emptySet(job.Delta, found(10, 1, 0))
	var want []int64
	for number := int64(1); number < 60; number++ {
		o := plain(number, strings.Repeat("x", int(number)))
		o.changed, o.Queued = true, 45
		w.AddObject(o)
		want = append(want, number)
	}
	var changed []int64
	for _, o := range w.ChangedObjects() {
		changed = append(changed, o.Number)
	}
	for name, got := range map[string][]int64{"contested": w.Contested(), "unsettled": w.Unsettled(), "changed": changed} {
		if diff := cmp.Diff(want, got); diff != "" {
			t.Errorf("%s (-want +got):\n%s", name, diff)
		}
	}
}

// A candidate of this query is not added a second time as a rival, and one of another query is.
func TestRivals(t *testing.T) {
	w := emptySet(job.Delta, found(10, 1, 0))
	o := plain(1, pattern)
	w.AddObject(o)
	w.AddCandidate(candidate(first, 5, 0))
	for _, c := range []*Candidate{candidate(first, 5, 0), candidate(Origin{1, 12}, 5, 0), candidate(Origin{2, 10}, 5, 0)} {
		w.AddRival(c)
	}
	var origins []Origin
	for _, c := range w.rivals[1] {
		origins = append(origins, c.Origin)
	}
	if diff := cmp.Diff([]Origin{first, {1, 12}, {2, 10}}, origins); diff != "" {
		t.Errorf("(-want +got):\n%s", diff)
	}
}

func TestWhatIsWritten(t *testing.T) {
	w := emptySet(job.Reconcile, found(12, 2, 1), found(10, 2, 1), found(12, 2, 1))
	o, other := plain(9, pattern), plain(8, "[b]")
	w.AddObject(o)
	w.AddObject(other)
	w.AddCandidate(&Candidate{Origin: first, Object: 9, Attempt: 5})
	w.AddCandidate(&Candidate{Origin: first, Object: 8, Attempt: 5})
	other.Winner = first
	takeAll(w)
	var numbers []int64
	for _, o := range w.ChangedObjects() {
		numbers = append(numbers, o.Number)
	}
	if !slices.Equal(numbers, []int64{8, 9}) || len(w.NewObjects()) != 0 {
		t.Errorf("the objects %v are written, and %d new ones", numbers, len(w.NewObjects()))
	}
	changed, gone := w.ChangedCandidates()
	var origins []int64
	for _, c := range changed {
		origins = append(origins, c.Indicator)
	}
	if !slices.Equal(origins, []int64{10, 12}) || len(gone) != 1 || gone[0].Object != 8 {
		t.Errorf("the candidates %v are written, %v deleted", origins, gone)
	}
}

// What a job has reported once it does not report again, whichever attempt it is.
func TestReportedBefore(t *testing.T) {
	f := found(10, 1, 0)
	f.Problems = []job.Problem{{Message: "wrong", Raw: "{}"}, {Message: strings.Repeat("x", 2*job.MaxMessage)}}
	w := emptySet(job.Full, f)
	w.AddReported(10, "wrong", "{}")
	takeAll(w)
	if list := w.Problems(); len(list) != 1 || len(list[0].Message) > job.MaxMessage || list[0].Indicator != 10 || !list[0].DateAdded.Equal(noon) {
		t.Errorf("%+v", list)
	}
}

func TestCountsOfWhatIsRead(t *testing.T) {
	note, problem := job.Problem{Message: "said", Note: true}, job.Problem{Message: "wrong"}
	with := func(f Found, list ...job.Problem) Found { f.Problems = list; return f }
	for name, c := range map[string]struct {
		found               []Found
		downloaded, invalid int64
	}{
		"mapped":                      {[]Found{found(1, 1, 0)}, 1, 0},
		"mapped with a note":          {[]Found{with(found(1, 1, 0), note)}, 1, 0},
		"mapped in part":              {[]Found{with(found(1, 1, 0), note, problem)}, 1, 1},
		"not mapped":                  {[]Found{with(Found{Indicator: 1, Type: "Host"}, problem)}, 1, 1},
		"nothing":                     {[]Found{{Indicator: 1, Type: "Host"}}, 1, 1},
		"without an id":               {[]Found{with(Found{Type: "Host"}, problem)}, 1, 1},
		"without an id, once more":    {[]Found{with(Found{Type: "Host"}, problem), with(Found{Type: "Host"}, problem)}, 1, 1},
		"without an id and a problem": {[]Found{{Type: "Host"}}, 0, 0},
	} {
		w := emptySet(job.Full, c.found...)
		takeAll(w)
		if got := w.Tally.Total(4); got.Downloaded != c.downloaded || got.Invalid != c.invalid {
			t.Errorf("%s: %+v", name, got)
		}
	}
}

// An indicator that gives a pattern twice gives it once, as it stands first, and others beside it.
func TestPatternsOfOneIndicator(t *testing.T) {
	f := found(10, 1, 0)
	again := f.Objects[0]
	again.Hash = 2
	other := FoundObject{Indicator: &stix.Indicator{Pattern: "[b]"}, ID: stix.ID("[b]"), Hash: 3}
	f.Objects = append(f.Objects, other, again)
	w := emptySet(job.Full, f)
	takeAll(w)
	var hashes []int64
	for _, o := range w.NewObjects() {
		hashes = append(hashes, o.Hash)
	}
	if !slices.Equal(hashes, []int64{1, 3}) || len(w.Queue()) != 2 {
		t.Errorf("%v, %d rows", hashes, len(w.Queue()))
	}
	for _, o := range w.NewObjects() {
		if o.Resend {
			t.Error("an object that was queued is to be sent once more")
		}
	}
}

// An indicator whose mapper failed stays a candidate for what it gave, and is known where it gave nothing.
func TestUnconvertedIndicatorIsNoted(t *testing.T) {
	unmapped := Found{Indicator: 10, Type: "Host", Unconverted: true}
	w := emptySet(job.Delta, unmapped, Found{Indicator: 11, Type: "Host", Unconverted: true})
	o, lost := plain(1, pattern), plain(2, "[b]")
	lost.Winner = second
	w.AddObject(o)
	w.AddObject(lost)
	w.AddCandidate(&Candidate{Origin: first, Object: 1, Attempt: 5})
	w.AddCandidate(&Candidate{Origin: first, Object: 2, Attempt: 5})
	w.AddCandidate(&Candidate{Origin: first, Object: 3, Attempt: 5}) // of another destination
	withdrawn := &Candidate{Origin: first, Object: 4, Attempt: 5, gone: true}
	w.candidates[10] = append(w.candidates[10], withdrawn)
	takeAll(w)
	changed, gone := w.ChangedCandidates()
	if len(changed) != 4 || len(gone) != 0 || withdrawn.Attempt != 5 {
		t.Errorf("%d candidates are written, %d deleted", len(changed), len(gone))
	}
	for i, c := range changed {
		if c.Attempt != 6 || c.Indicator != []int64{10, 10, 10, 11}[i] || (c.Object == 0) != (c.Indicator == 11) {
			t.Errorf("%+v", c)
		}
	}
	if o.Elected != 0 || lost.Elected != 0 || o.changed || lost.changed {
		t.Errorf("a delta update elects %+v, %+v", o, lost)
	}
}

// A candidate without an object is one that gives none.
func TestCandidateThatGaveNothing(t *testing.T) {
	for name, c := range map[string]struct {
		found Found
		gone  int
	}{
		"gives one now": {found(10, 1, 0), 1},
		"gives none":    {Found{Indicator: 10, Type: "Host"}, 0},
	} {
		w := emptySet(job.Full, c.found)
		w.AddCandidate(&Candidate{Origin: first, Attempt: 5})
		takeAll(w)
		if _, gone := w.ChangedCandidates(); len(gone) != c.gone {
			t.Errorf("%s: %d are deleted", name, len(gone))
		}
	}
}

// A row is written where something in it changed, and only then.
func TestUnchangedRowsAreNotWritten(t *testing.T) {
	for name, change := range map[string]func(*Candidate, *Object){
		"nothing":   func(*Candidate, *Object) {},
		"attempt":   func(c *Candidate, _ *Object) { c.Attempt = 5 },
		"owner":     func(c *Candidate, _ *Object) { c.Owner = 3 },
		"place":     func(c *Candidate, _ *Object) { c.Place = 3 },
		"elected":   func(_ *Candidate, o *Object) { o.Elected = 5 },
		"modified":  func(_ *Candidate, o *Object) { o.Modified++ },
		"its type":  func(_ *Candidate, o *Object) { o.Type = 3 },
		"its query": func(_ *Candidate, o *Object) { o.Winner.Indicator = 99 },
	} {
		w := emptySet(job.Reconcile, found(10, 1, 0))
		c, o := candidate(first, 6, 0), plain(1, pattern)
		o.Elected = 6
		if change(c, o); name == "its query" {
			o.Elected = 5
		}
		w.AddCandidate(c)
		w.AddObject(o)
		takeAll(w)
		changed, _ := w.ChangedCandidates()
		ofCandidate := slices.Contains([]string{"attempt", "owner", "place"}, name)
		if got := len(changed) == 1; got != ofCandidate {
			t.Errorf("%s: the candidate is written: %v", name, got)
		}
		if got := len(w.ChangedObjects()) == 1; got != (!ofCandidate && name != "nothing") {
			t.Errorf("%s: the object is written: %v", name, got)
		}
	}
}

func TestPostpone(t *testing.T) {
	for name, c := range map[string]struct {
		object Object
		want   int64
	}{
		"uncertain":           {Object{Winner: Origin{QueryVacant, int64(Uncertain)}, Left: 4}, 6},
		"of this generation":  {Object{Winner: Origin{QueryVacant, int64(Uncertain)}, Left: 5}, 6},
		"disputed":            {Object{Winner: Origin{QueryVacant, int64(Disputed)}, Left: 4}, 6},
		"certain":             {Object{Winner: Origin{QueryVacant, int64(Certain)}, Left: 4}, 4},
		"kept":                {Object{Winner: Origin{QueryVacant, int64(Uncertain)}, Left: 3}, 3},
		"of a generation yet": {Object{Winner: Origin{QueryVacant, int64(Uncertain)}, Left: 6}, 6},
		"nobody gives it":     {Object{Winner: Origin{QueryNobody, int64(Uncertain)}, Left: 4}, 4},
		"won":                 {Object{Winner: first, Left: 4}, 4},
	} {
		if c.object.Postpone(3, 5); c.object.Left != c.want {
			t.Errorf("%s: %d, want %d", name, c.object.Left, c.want)
		}
	}
}

func TestMakeCertain(t *testing.T) {
	for loss, want := range map[Loss]Loss{Unselected: Unselected, Certain: Certain, Uncertain: Unselected, Disputed: Unselected} {
		o := Object{Winner: Origin{QueryVacant, int64(loss)}}
		if o.MakeCertain(); o.Loss() != want {
			t.Errorf("%d: %d, want %d", loss, o.Loss(), want)
		}
	}
}

func TestRetireAgain(t *testing.T) {
	for name, c := range map[string]struct {
		winner Origin
		want   bool
	}{
		"disputed":        {Origin{QueryVacant, int64(Disputed)}, true},
		"uncertain":       {Origin{QueryVacant, int64(Uncertain)}, false},
		"nobody gives it": {Origin{QueryNobody, int64(Disputed)}, false},
		"won":             {first, false},
	} {
		o := Object{Winner: c.winner}
		if o.RetireAgain() != c.want || o.changed != c.want || c.want && o.Loss() != Uncertain || !c.want && o.Winner != c.winner {
			t.Errorf("%s: %+v", name, o)
		}
	}
}

func TestWithdrawTellsWhetherSomethingChanged(t *testing.T) {
	o := plain(1, pattern)
	if o.Withdraw(second, 3, Uncertain) || o.changed || !o.Withdraw(first, 3, Uncertain) || !o.changed {
		t.Errorf("%+v", o)
	}
}

func TestNobodysObject(t *testing.T) {
	if got := Explain([]*Candidate{candidate(first, 5, 0)}, map[int64]int64{1: 1}, Origin{QueryNobody, 0}); got[0] != IsNext {
		t.Errorf("its candidate is %v", got)
	}
	o := Object{Winner: Origin{QueryNobody, int64(Certain)}, State: Live, ValidUntil: 10}
	if got := o.Outlook(Question{Generation: 1}, nil, 5); got != Settled {
		t.Errorf("its outlook is %v", got)
	}
}

// What ends at an instant has ended at it.
func TestEnds(t *testing.T) {
	s := Standing{Active: true, ValidUntil: 5}
	if s.IsActive(5) || !s.IsActive(4) {
		t.Error("in the workspace it stands at its end")
	}
	r := oneRecorded()
	if got := decideDifference(&r, nil, r.ValidUntil); got != Absent {
		t.Errorf("in the ledger it stands at its end: %s", got)
	}
	o := Object{Winner: vacant, State: Live, ValidUntil: 5}
	if o.Adopt(&Standing{Pattern: pattern, ValidUntil: 90}, 1, 5); o.ValidUntil != 90 {
		t.Error("what has ended is not adopted")
	}
	for by, want := range map[int64]Verdict{0: Agrees, endTolerance: Agrees, endTolerance + 1: OtherContent, -endTolerance: Agrees, -endTolerance - 1: Expired} {
		r, s := oneRecorded(), oneStanding()
		if s.ValidUntil = r.ValidUntil + by; compareContent(&r, &s) != want {
			t.Errorf("by %d ms: not %s", by, want)
		}
	}
}

// An object that was first sent with a later created is valid for as long from that on.
func TestCreatedThatLiesAhead(t *testing.T) {
	for ahead, want := range map[time.Duration]time.Duration{0: 0, time.Hour: time.Hour, -time.Hour: 0} {
		f := found(10, 1, 0).Objects[0]
		f.ValidUntil = noon.Add(24 * time.Hour)
		sent := f.withCreated(noon.Add(ahead).UnixMilli(), noon)
		if got := sent.ValidUntil.Sub(f.ValidUntil); got != want || !sent.Created.Equal(noon.Add(ahead)) {
			t.Errorf("by %v: %v longer, created %v", ahead, got, sent.Created)
		}
	}
}
