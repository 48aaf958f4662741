package stix

import (
	"strings"
	"testing"

	"github.com/google/uuid"
	"pgregory.net/rapid"
)

// unquote reads a string literal by the rules of STIX 2.1 section 9.2 and returns what follows it.
func unquote(t *rapid.T, s string) (value, rest string) {
	if !strings.HasPrefix(s, "'") {
		t.Fatalf("no literal at %q", s)
	}
	var b strings.Builder
	for s = s[1:]; s != ""; s = s[1:] {
		switch s[0] {
		case '\'':
			return b.String(), s[1:]
		case '\\':
			if s = s[1:]; s == "" || s[0] != '\\' && s[0] != '\'' {
				t.Fatalf("a backslash escapes nothing before %q", s)
			}
		}
		b.WriteByte(s[0])
	}
	t.Fatalf("the literal does not end")
	return "", ""
}

// nasty draws texts in which quotes and backslashes stand next to each other.
var nasty = rapid.OneOf(rapid.String(), rapid.StringOfN(rapid.RuneFrom([]rune(`\'"] AND[=ü💥`)), 0, 40, -1))

func TestStringRoundTrips(t *testing.T) {
	rapid.Check(t, func(t *rapid.T) {
		want := nasty.Draw(t, "value")
		if got, rest := unquote(t, String(want)); got != want || rest != "" {
			t.Fatalf("%q came back as %q, followed by %q", want, got, rest)
		}
	})
}

func TestPatternKeepsItsComparisons(t *testing.T) {
	rapid.Check(t, func(t *rapid.T) {
		values := rapid.SliceOfN(nasty, 1, 4).Draw(t, "values")
		var comparisons []string
		for _, v := range values {
			comparisons = append(comparisons, Equal("file:name", v))
		}
		rest, _ := strings.CutPrefix(Pattern(comparisons...), "[")
		for n, want := range values {
			literal, found := strings.CutPrefix(rest, "file:name = ")
			if !found {
				t.Fatalf("no comparison at %q", rest)
			}
			var got string
			if got, rest = unquote(t, literal); got != want {
				t.Fatalf("value %d: %q came back as %q", n, want, got)
			}
			rest = strings.TrimPrefix(rest, " AND ")
		}
		if rest != "]" {
			t.Fatalf("the pattern ends in %q", rest)
		}
	})
}

// The ids of objects in Sentinel hang on these values: a change here orphans all of them.
func TestIDIsForEver(t *testing.T) {
	for pattern, want := range map[string]string{
		"[ipv4-addr:value = '198.51.100.7']": "43609f3b-8632-5023-bdf7-47f3d3816908",
		"[url:value = 'http://o\\'hara/']":   "df3d07e6-4334-56d9-b7fa-68b9e993600f",
	} {
		if got := ID(pattern).String(); got != want {
			t.Errorf("ID(%s) = %s, want %s", pattern, got, want)
		}
	}
}

func TestIDIsVersionFive(t *testing.T) {
	rapid.Check(t, func(t *rapid.T) {
		pattern := strings.Repeat(rapid.String().Draw(t, "pattern"), rapid.IntRange(1, 100).Draw(t, "times"))
		if got, want := ID(pattern), uuid.NewSHA1(namespace, []byte(pattern)); got != want {
			t.Fatalf("ID(%q) = %s, want %s", pattern, got, want)
		}
	})
}

func TestTypeOf(t *testing.T) {
	for pattern, want := range map[string]string{"[ipv4-addr:value = '192.0.2.1']": "ipv4-addr", "[file:hashes.'SHA-1' = 'a:b']": "file",
		"[windows-registry-key:key = 'x' AND windows-registry-key:values[*].name = 'y']": "windows-registry-key",
		"": "", "[x": "", "no pattern: at all": "", "[(a:b = 'c') OR d:e = 'f']": ""} {
		if got := TypeOf(pattern); got != want {
			t.Errorf("%s is of type %q, want %q", pattern, got, want)
		}
	}
}
