package web

import (
	"slices"
	"strconv"
	"strings"
	"testing"

	"pgregory.net/rapid"
)

// A few names that are tidy stay as they are, and all others become what they would in a longer list.
func TestTidyNames(t *testing.T) {
	name := rapid.SampledFrom([]string{"", " ", "a", " a", "a\t", "b", "B", "two words", "ü"})
	rapid.Check(t, func(t *rapid.T) {
		names := rapid.SliceOfN(name, 0, 20).Draw(t, "names")
		var want []string
		for _, n := range names {
			if n = strings.TrimSpace(n); n != "" && !slices.Contains(want, n) {
				want = append(want, n)
			}
		}
		got := tidyNames(names)
		if !slices.Equal(got, want) || got == nil {
			t.Fatalf("%q became %q, want %q", names, got, want)
		}
		if again := tidyNames(got); !slices.Equal(again, got) {
			t.Fatalf("%q became %q", got, again)
		}
	})
	if got := tidyNames(nil); got == nil || len(got) > 0 {
		t.Errorf("no names became %#v", got)
	}
	many := make([]string, maxNames+10)
	for i := range many {
		many[i] = strconv.Itoa(i)
	}
	if got := tidyNames(many); len(got) != maxNames+1 {
		t.Errorf("%d names of %d are kept, want one too many", len(got), len(many))
	}
}
