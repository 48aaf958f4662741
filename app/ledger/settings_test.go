package ledger

import (
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"

	"mssentinel/app/job"
	"mssentinel/app/stix"
)

func TestSelects(t *testing.T) {
	confidence := func(n int) *int { return &n }
	for _, tt := range []struct {
		floor int
		of    *int
		want  bool
	}{
		{0, nil, true}, {0, confidence(0), true},
		{1, nil, false}, {1, confidence(0), false}, {1, confidence(1), true},
		{60, confidence(59), false}, {60, confidence(60), true}, {60, confidence(100), true},
		{100, confidence(99), false}, {100, confidence(100), true},
	} {
		s := Settings{MinConfidence: tt.floor}
		if got := s.Selects(&stix.Indicator{Confidence: tt.of}); got != tt.want {
			t.Errorf("a floor of %d selects %v: %v", tt.floor, tt.of, got)
		}
	}
}

func TestShapeObject(t *testing.T) {
	made := func() *stix.Indicator {
		return &stix.Indicator{Pattern: pattern, Created: noon, Labels: []string{"tag"}, ObjectMarkingRefs: []string{stix.TLPGreen}}
	}
	for name, tt := range map[string]struct {
		settings Settings
		labels   []string
		marking  string
		until    time.Time
	}{
		"nothing set":         {Settings{}, []string{"tag"}, stix.TLPGreen, noon.Add(time.Hour)},
		"a floor alone":       {Settings{MinConfidence: 50}, []string{"tag"}, stix.TLPGreen, noon.Add(time.Hour)},
		"labels":              {Settings{Labels: []string{"soc", "tag"}}, []string{"tag", "soc"}, stix.TLPGreen, noon.Add(time.Hour)},
		"a stricter level":    {Settings{TLP: "RED"}, []string{"tag"}, stix.TLPRed, noon.Add(time.Hour)},
		"a level that is met": {Settings{TLP: "WHITE"}, []string{"tag"}, stix.TLPGreen, noon.Add(time.Hour)},
		"a time to live":      {Settings{TTL: 72 * time.Hour}, []string{"tag"}, stix.TLPGreen, noon.Add(72 * time.Hour)},
	} {
		t.Run(name, func(t *testing.T) {
			o, leftOut := tt.settings.ShapeObject(made(), noon, time.Hour)
			if diff := cmp.Diff(tt.labels, o.Labels); diff != "" || leftOut != 0 || o.ObjectMarkingRefs[0] != tt.marking || !o.ValidUntil.Equal(tt.until) {
				t.Errorf("%v, until %v, %d left out (-want +got):\n%s", o.ObjectMarkingRefs, o.ValidUntil, leftOut, diff)
			}
			if o.ID != stix.ID(pattern) {
				t.Errorf("id %s", o.ID)
			}
		})
	}
	late := made()
	late.Created = noon.Add(time.Minute)
	if o, _ := (&Settings{}).ShapeObject(late, noon, time.Hour); !o.Created.Equal(noon) {
		t.Errorf("created %v", o.Created)
	}
}

// What a query says is content, each of it, and what it does not say leaves the content what it is without.
func TestSettingsAreContent(t *testing.T) {
	hash := func(s Settings) uint64 {
		o, _ := s.ShapeObject(&stix.Indicator{Pattern: pattern}, noon, time.Hour)
		return o.Hash
	}
	plain := stix.Indicator{Pattern: pattern}
	if hash(Settings{}) != plain.ContentHash() || hash(Settings{MinConfidence: 0, Labels: []string{}}) != plain.ContentHash() {
		t.Error("settings that say nothing change the content")
	}
	seen := map[uint64]string{}
	for name, s := range map[string]Settings{"none": {}, "1 h": {TTL: time.Hour}, "2 h": {TTL: 2 * time.Hour}, "a label": {Labels: []string{"a"}},
		"two labels": {Labels: []string{"a", "b"}}, "white": {TLP: "WHITE"}, "red": {TLP: "RED"}, "1 h and a label": {TTL: time.Hour, Labels: []string{"a"}}} {
		h := hash(s)
		if other, known := seen[h]; known {
			t.Errorf("%s gives the content of %s", name, other)
		}
		seen[h] = name
	}
}

func TestEqualSettings(t *testing.T) {
	all := []Settings{{}, {MinConfidence: 1}, {TTL: time.Hour}, {Labels: []string{"a"}}, {Labels: []string{"a", "b"}}, {Labels: []string{"b", "a"}}, {TLP: "RED"}}
	for i := range all {
		for j := range all {
			if got := all[i].Equal(&all[j]); got != (i == j) {
				t.Errorf("%+v equals %+v: %v", all[i], all[j], got)
			}
		}
	}
	if none := (Settings{Labels: []string{}}); !none.Equal(&Settings{}) {
		t.Error("an empty list of labels is not the same as none")
	}
}

// A copy below the floor is counted as such and not as invalid, is remembered as read, and leaves what it gave like any other that
// gives it no more: its object goes to the next candidate, or departs uncertainly.
func TestBelowTheFloor(t *testing.T) {
	below := Found{Indicator: 10, Type: "Host", Modified: noon.Add(time.Minute), BelowFloor: true}
	for _, mode := range []job.Mode{job.Delta, job.Reconcile, job.Full} {
		o := stands()
		w := world(&Batch{Mode: mode, Query: 1, Found: []Found{below}}, o, candidate(first, 5, 0), candidate(second, 5, 0))
		takeAll(w)
		if o.Winner != vacant || o.Loss() != Uncertain || len(w.Queue()) != 0 || len(w.Problems()) != 0 {
			t.Errorf("%s: %v wins, lost %v; %d rows, %v", mode, o.Winner, o.Loss(), len(w.Queue()), w.Problems())
		}
		if got, want := *w.Tally.Of(4, 1, "Host"), (job.Counts{Downloaded: 1, BelowFloor: 1}); got != want {
			t.Errorf("%s: counted %+v", mode, got)
		}
		changed, gone := w.ChangedCandidates()
		if len(gone) != 1 || gone[0].Origin != first || len(changed) != 1 || changed[0].Object != 0 || changed[0].Origin != first {
			t.Errorf("%s: candidates %+v, gone %+v", mode, changed, gone)
		}
		if best := w.bestCandidate(o); mode == job.Delta && (best == nil || best.Origin != second) {
			t.Errorf("%s: the next is %+v", mode, best)
		}
	}
}
