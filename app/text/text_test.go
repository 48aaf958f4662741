package text

import (
	"encoding/json"
	"reflect"
	"strings"
	"testing"
	"unicode/utf8"

	"pgregory.net/rapid"
)

func TestCut(t *testing.T) {
	for _, tt := range []struct {
		s    string
		size int
		want string
	}{
		{"", 3, ""},
		{"abc", 3, "abc"},
		{"abcd", 3, "…"},
		{"abcdef", 5, "ab…"},
		{"ééé", 6, "ééé"},
		{"éééé", 6, "é…"}, // half an é more would fit
		{"日本語", 8, "日…"},
		{"a\xffb", 10, "a\uFFFDb"},
	} {
		if got := Cut(tt.s, tt.size); got != tt.want {
			t.Errorf("Cut(%q, %d) = %q, want %q", tt.s, tt.size, got, tt.want)
		}
	}
}

func TestCutKeepsToItsSize(t *testing.T) {
	rapid.Check(t, func(t *rapid.T) {
		s, size := rapid.String().Draw(t, "s"), rapid.IntRange(3, 40).Draw(t, "size")
		got := Cut(s, size)
		whole := strings.TrimSuffix(got, ellipsis)
		switch {
		case len(got) > size || !utf8.ValidString(got):
			t.Fatalf("%q has %d bytes, or is no UTF-8", got, len(got))
		case got != Visible(s) && (!strings.HasPrefix(Visible(s), whole) || len(got) < size-utf8.UTFMax):
			t.Fatalf("%q became %q", s, got)
		}
	})
}

func TestLine(t *testing.T) {
	if got := Line(" a\r\n\tb \x00 c\u2028d\n", 100); got != "a b c d" {
		t.Errorf("%q", got)
	}
	if got := Line("a  bcdef", 6); got != "a b…" {
		t.Errorf("%q", got)
	}
}

func TestSentence(t *testing.T) {
	for s, want := range map[string]string{
		"":              "",
		"  ":            "",
		"it fails":      "It fails.",
		" élan vital! ": "Élan vital!",
		"Why?":          "Why?",
		"ends in …":     "Ends in ….",
		"ß":             "ß.",
	} {
		if got := Sentence(s); got != want {
			t.Errorf("Sentence(%q) = %q, want %q", s, got, want)
		}
	}
}

func TestVisible(t *testing.T) {
	for s, want := range map[string]string{
		"invoice\u202Efdp.exe":    "invoice\uFFFDfdp.exe",
		"a\u2066b\u2069c\u200Fd":  "a\uFFFDb\uFFFDc\uFFFDd",
		"\x1b[31mred\x07":         "\uFFFD[31mred\uFFFD",
		"\u0085\u009b":            "\uFFFD\uFFFD",
		"zero\u200Bwidth\uFEFF":   "zero\uFFFDwidth\uFFFD",
		"soft\u00ADhyphen":        "soft\uFFFDhyphen",
		"tag\U000E0041":           "tag\uFFFD",
		"a\u2028b":                "a\uFFFDb",
		"two\n\tlines":            "two\n\tlines",
		"نمی\u200Cخواهم 👩\u200D🚀": "نمی\u200Cخواهم 👩\u200D🚀",
		"broken \xff":             "broken \uFFFD",
	} {
		if got := Visible(s); got != want {
			t.Errorf("Visible(%q) = %q, want %q", s, got, want)
		}
	}
}

// What is shown cannot act on the screen, whichever way it is made fit.
func TestNothingHiddenIsShown(t *testing.T) {
	rapid.Check(t, func(t *rapid.T) {
		s := rapid.StringOf(rapid.OneOf(rapid.Rune(), rapid.SampledFrom([]rune("\u202E\u2066\u200B\u00AD\U000E0041\x1b\r\n")))).Draw(t, "s")
		size := rapid.IntRange(3, 60).Draw(t, "size")
		for _, shown := range []string{Visible(s), Cut(s, size), Line(s, size)} {
			if strings.ContainsFunc(shown, isHidden) || !utf8.ValidString(shown) {
				t.Fatalf("%q is shown as %q", s, shown)
			}
		}
	})
}

func TestJSONSaysTheSame(t *testing.T) {
	for _, s := range []string{"{\"a\":\"x\u202Ey\u007F\U000E0041\u200B\",\r\n\"b\":[1]}", `{"plain":"ü"}`} {
		shown := JSON(s)
		var before, after any
		if err := json.Unmarshal([]byte(s), &before); err != nil {
			t.Fatal(err)
		}
		if err := json.Unmarshal([]byte(shown), &after); err != nil || !reflect.DeepEqual(before, after) {
			t.Errorf("%q became %q: %v", s, shown, err)
		}
		if strings.ContainsFunc(shown, isHidden) {
			t.Errorf("%q hides something", shown)
		}
	}
}
