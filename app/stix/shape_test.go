package stix

import (
	"fmt"
	"slices"
	"strings"
	"testing"

	"github.com/google/go-cmp/cmp"
	"pgregory.net/rapid"
)

// A level of TLP restricts, and never loosens what the object says.
func TestRestrictTo(t *testing.T) {
	foreign := "marking-definition--foreign"
	for _, tt := range []struct {
		own   []string
		level string
		want  []string
	}{
		{nil, "", nil},
		{nil, "WHITE", []string{TLPWhite}},
		{nil, "RED", []string{TLPRed}},
		{nil, "PURPLE", nil},
		{[]string{TLPGreen}, "", []string{TLPGreen}},
		{[]string{TLPGreen}, "PURPLE", []string{TLPGreen}},
		{[]string{TLPGreen}, "WHITE", []string{TLPGreen}},
		{[]string{TLPGreen}, "GREEN", []string{TLPGreen}},
		{[]string{TLPGreen}, "AMBER", []string{TLPAmber}},
		{[]string{TLPWhite, TLPGreen}, "AMBER", []string{TLPAmber}},
		{[]string{TLPWhite, TLPRed}, "AMBER", []string{TLPWhite, TLPRed}},
		{[]string{foreign}, "AMBER", []string{TLPAmber}},
	} {
		i := Indicator{ObjectMarkingRefs: tt.own}
		i.RestrictTo(tt.level)
		if diff := cmp.Diff(tt.want, i.ObjectMarkingRefs); diff != "" {
			t.Errorf("%v restricted to %q (-want +got):\n%s", tt.own, tt.level, diff)
		}
	}
}

func TestAddLabels(t *testing.T) {
	large := strings.Repeat("x", MaxText/4)
	for name, tt := range map[string]struct {
		own, more, want []string
		leftOut         int
	}{
		"none":                       {own: []string{"a"}, want: []string{"a"}},
		"behind its own":             {own: []string{"b", "a"}, more: []string{"d", "c"}, want: []string{"b", "a", "d", "c"}},
		"each once":                  {own: []string{"a", "b"}, more: []string{"c", "a"}, want: []string{"a", "b", "c"}},
		"all are there":              {own: []string{"a", "b"}, more: []string{"b", "a"}, want: []string{"a", "b"}},
		"to an object without any":   {more: []string{"a"}, want: []string{"a"}},
		"another letter case":        {own: []string{"a"}, more: []string{"A"}, want: []string{"a", "A"}},
		"the last own one gives way": {own: []string{"0" + large, "1" + large, "2" + large}, more: []string{large}, want: []string{"0" + large, "1" + large, large}, leftOut: 1},
		"one that was asked for does not": {own: []string{"0" + large, "1" + large, "2" + large}, more: []string{"2" + large, large},
			want: []string{"0" + large, "2" + large, large}, leftOut: 1},
		"more than there is room for": {more: []string{large, "1" + large, "2" + large, "3" + large}, want: []string{large, "1" + large, "2" + large}, leftOut: 1},
	} {
		t.Run(name, func(t *testing.T) {
			i := full()
			i.Labels = slices.Clone(tt.own)
			leftOut := i.AddLabels(tt.more)
			if diff := cmp.Diff(tt.want, i.Labels); diff != "" || leftOut != tt.leftOut {
				t.Errorf("%d left out (-want +got):\n%.300s", leftOut, diff)
			}
		})
	}
}

// Whatever is added, an object that could be sent can be sent, its own labels stay in their order, and what is added is there.
func TestAddedLabelsFit(t *testing.T) {
	rapid.Check(t, func(t *rapid.T) {
		i := full()
		i.Labels = nil
		for n := range rapid.IntRange(0, 8).Draw(t, "labels") {
			size := min(rapid.IntRange(1, MaxText/3).Draw(t, "size"), MaxText-i.TextSize())
			if size > 10 {
				i.Labels = append(i.Labels, fmt.Sprintf("%0*d", size, n))
			}
		}
		own := slices.Clone(i.Labels)
		more := rapid.SliceOfNDistinct(rapid.StringMatching(`[a-z]{1,100}`), 0, 20, rapid.ID[string]).Draw(t, "more")
		leftOut := i.AddLabels(more)
		if err := i.Check(); err != nil {
			t.Fatal(err)
		}
		kept := slices.DeleteFunc(slices.Clone(i.Labels), func(l string) bool { return slices.Contains(more, l) })
		if !slices.Equal(kept, own[:len(kept)]) || len(kept)+leftOut != len(own) {
			t.Fatalf("%d of %d labels of its own are kept, and %d left out", len(kept), len(own), leftOut)
		}
		for _, label := range more {
			if !slices.Contains(i.Labels, label) && len(kept) > 0 {
				t.Fatalf("%s has no room beside %d of its own", label, len(kept))
			}
		}
	})
}
