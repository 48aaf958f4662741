package text

import (
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
		case got != s && (!strings.HasPrefix(s, whole) || len(got) < size-utf8.UTFMax):
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
