package stix

import (
	"bytes"
	"encoding/json"
	"fmt"
	"math/rand/v2"
	"os"
	"os/exec"
	"path/filepath"
	"slices"
	"strings"
	"testing"

	"pgregory.net/rapid"
)

func TestCheckPattern(t *testing.T) {
	for _, valid := range []string{
		"[url:value = 'http://pay.one.example/']",
		"[file:hashes.'SHA-256' = 'aa']",
		`[email-message:subject = 'it\'s \\ here']`,
		"[windows-registry-key:key = 'a' AND windows-registry-key:values[*].name = 'b']",
		"[a:b = 1 OR a:c = 'x' AND a:d = true]",
		"([a:b = 1] FOLLOWEDBY [c:d = 2]) WITHIN 5 SECONDS",
		"[a:b IN ('x', 'y')] REPEATS 5 TIMES",
		"[a:b = t'2026-11-28T10:00:00Z'] START t'2026-11-28T10:00:00Z' STOP t'2026-11-28T11:00:00.5Z'",
		"[ipv4-addr:value ISSUBSET '198.51.100.0/24']",
		"[a:b NOT LIKE 'x%']",
		"[a:b[0].'c d'[-1].e != h'00ff']",
		"  [a:b='x'/* why */] // so",
	} {
		if err := CheckPattern(valid); err != nil {
			t.Errorf("%s: %v", valid, err)
		}
	}
	for invalid, says := range map[string]string{
		"":                             "at byte 0 stands the end instead of [",
		"none":                         `at byte 0 stands "none" instead of [`,
		"[]":                           `at byte 1 stands "]" instead of an object type`,
		"[x]":                          `at byte 2 stands "]" instead of :`,
		"[x:y]":                        `at byte 4 stands "]" instead of a comparison operator`,
		"[x:y = z]":                    `at byte 7 stands "z" instead of a value`,
		"[x:y = 'z]":                   "at byte 7 stands a character that does not belong here",
		`[x:y = 'a\n']`:                "at byte 7 stands a character",
		"[x:y = 'z'] and [x:y = 'z']":  `at byte 12 stands "and" instead of AND, OR, FOLLOWEDBY or the end`,
		"[x:y = 'z'":                   "the end instead of ]",
		"[x:y = 'z']]":                 `at byte 11 stands "]"`,
		"[x:y = 'a' x:y = 'b']":        `stands "x" instead of ]`,
		"[x:y = 'it's']":               `stands "s" instead of ]`,
		"[x:a-b = 1]":                  `stands "a-b" instead of the name of a property`,
		"[x:y = 1 OR ]":                "instead of an object type",
		"[x:y IN 'a']":                 "instead of (",
		"[x:y LIKE 1]":                 "instead of a string",
		"[x:y < true]":                 "instead of a value",
		"[x:y = 1] WITHIN 'a' SECONDS": "instead of a number",
		"[x:y = 1] WITHIN 1 SECONDS WITHIN 1 SECONDS": "instead of another qualifier",
		strings.Repeat("(", 100_000):                  "too many parentheses",
		"[" + strings.Repeat("(", 10_000):             "too many parentheses",
		"[x:y = 1] OR":                                "the end instead of [",
	} {
		if err := CheckPattern(invalid); err == nil || !strings.Contains(err.Error(), says) || len(err.Error()) > 250 {
			t.Errorf("%.40q: %v, want %q", invalid, err, says)
		}
	}
}

// What our own functions write is a pattern, whatever the value.
func TestOurPatternsAreOnes(t *testing.T) {
	rapid.Check(t, func(t *rapid.T) {
		var comparisons []string
		for _, v := range rapid.SliceOfN(nasty, 1, 4).Draw(t, "values") {
			comparisons = append(comparisons, Equal("file:hashes.'SHA-256'", v))
		}
		if err := CheckPattern(Pattern(comparisons...)); err != nil {
			t.Fatal(err)
		}
	})
}

// patternWriter writes random patterns by the grammar. Some it spoils.
type patternWriter struct{ *rand.Rand }

// choose gives one of the choices. Those behind "!" are mostly wrong, and rare.
func (w patternWriter) choose(of ...string) string {
	if i := slices.Index(of, "!"); i >= 0 {
		if of = append(of[:i:i], of[i+1:]...); w.IntN(20) > 0 {
			of = of[:i]
		}
	}
	return of[w.IntN(len(of))]
}

func (w patternWriter) observations(depth int) string {
	s := w.observation(depth)
	for w.IntN(4) == 0 {
		s += w.choose(" AND ", " OR ", " FOLLOWEDBY ", "OR") + w.observation(depth)
	}
	return s
}

func (w patternWriter) observation(depth int) string {
	s := "[" + w.comparisons(depth) + "]"
	if depth > 0 && w.IntN(4) == 0 {
		s = "(" + w.observations(depth-1) + ")"
	}
	for w.IntN(5) == 0 {
		s += w.choose(" WITHIN 5 SECONDS", " WITHIN 0.5 SECONDS", " REPEATS 2 TIMES", "!", " WITHIN -1 SECONDS", " REPEATS 1.5 TIMES",
			" START t'2026-01-01T00:00:00Z' STOP t'2026-01-02T00:00:00.25Z'", " START 1 STOP 2")
	}
	return s
}

func (w patternWriter) comparisons(depth int) string {
	s := w.comparison()
	if depth > 0 && w.IntN(4) == 0 {
		s = "(" + w.comparisons(depth-1) + ")"
	}
	for w.IntN(3) == 0 {
		s += w.choose(" AND ", " OR ", "AND ", "!", " and ", " FOLLOWEDBY ", "AND") + w.comparison()
	}
	return s
}

func (w patternWriter) path() string {
	s := w.choose("file", "ipv4-addr", "x_y", "windows-registry-key", "!", "true", "AND", "a1-", "-a", "1a") + w.choose(":", " : ", "!", "")
	s += w.choose("value", "name", "'a b'", "hashes.'SHA-1'", "values", "_x", "!", "a-b", "IN", "true", "x.5")
	for w.IntN(3) == 0 {
		s += w.choose("[0]", "[*]", "[-1]", "[+1]", ".name", ".'c-d'", ". e", "!", "[01]", "[1.5]", "['x']", ".", "..f")
	}
	return s
}

func (w patternWriter) comparison() string {
	if w.IntN(12) == 0 {
		return w.choose("EXISTS ", "NOT EXISTS ", "!", "EXISTS NOT ") + w.path()
	}
	not := ""
	if w.IntN(6) == 0 {
		not = w.choose(" NOT", "!", " NOT NOT")
	}
	switch w.IntN(4) {
	case 0:
		return w.path() + not + w.choose(" LIKE ", " MATCHES ", " ISSUBSET ", " ISSUPERSET ", "!", " LIKE") + w.choose("'x'", "!", w.literal())
	case 1:
		return w.path() + not + " IN " + w.choose("("+w.literal()+")", "("+w.literal()+","+w.literal()+")", "()", "!", "(,)", w.literal(), "("+w.literal()+",)")
	}
	return w.path() + not + w.choose(" = ", "=", "==", "!=", "<>", " < ", "<=", ">", ">=", "!", " =< ", "===") + w.literal()
}

func (w patternWriter) literal() string {
	return w.choose("'x'", "''", `'it\'s'`, `'a\\'`, "'line\nbreak'", "'ü💥'", "'\u202e'", "'/* x */'", "'//'", "1", "0", "-1", "+1", "1.5", "-.5", "+0.5", ".5",
		"h'00ff'", "h''", "b'AAAA'", "b'AA=='", "t'2026-01-01T00:00:00Z'", "t'2026-01-01T00:00:60.5Z'",
		"!", "true", "false", "True", "null", `'a\n'`, "01", "5.", "h'0'", "h'zz'", "b''", "b'A'", "t'2026-13-01T00:00:00Z'", "t'2026-01-01'", "x", `"x"`)
}

// spoil changes a character, or puts something between.
func (w patternWriter) spoil(s string) string {
	letters := []rune(s)
	at := w.IntN(len(letters))
	switch w.IntN(4) {
	case 0:
		return string(letters[:at]) + string(letters[at+1:])
	case 1:
		return string(letters[:at]) + w.choose("/* c */", "// c\n", "/*", "//", "/", "\u00a0", "\u200b", "\v", "\u2028", "\n") + string(letters[at:])
	case 2:
		return string(letters[:at]) + w.choose("[", "]", "(", ")", "'", `\`, ":", ".", ",", "*", "-", "+", "^", "é", "AND") + string(letters[at:])
	}
	return string(letters[:at])
}

// OASIS' own grammar takes the same patterns.
func TestGrammarAgainstOASIS(t *testing.T) {
	python := os.Getenv("MS_SENTINEL_PYTHON")
	if python == "" {
		python = filepath.Join("..", "..", ".tools", "venv", "bin", "python")
	}
	if err := exec.Command(python, "-c", "import stix2patterns").Run(); err != nil {
		t.Fatalf("%s has no stix2-patterns (%v): run ./package.sh test once, which installs it, or name a Python that has it in MS_SENTINEL_PYTHON", python, err)
	}
	w := patternWriter{rand.New(rand.NewPCG(2, 1))}
	var patterns []string
	var lines bytes.Buffer
	for n := range 2000 {
		pattern := w.observations(2)
		if n%2 == 1 {
			pattern = w.spoil(pattern)
		}
		line, err := json.Marshal(pattern)
		if err != nil {
			t.Fatal(err)
		}
		patterns = append(patterns, pattern)
		lines.Write(append(line, '\n'))
	}
	cmd := exec.Command(python, filepath.Join("testdata", "patterns.py"))
	cmd.Stdin, cmd.Stderr = &lines, os.Stderr
	cmd.Env = append(os.Environ(), "PYTHONUTF8=1")
	out, err := cmd.Output()
	if err != nil {
		t.Fatal(err)
	}
	verdicts := strings.Fields(string(out))
	if len(verdicts) != len(patterns) {
		t.Fatalf("%d verdicts on %d patterns", len(verdicts), len(patterns))
	}
	valid := 0
	for i, pattern := range patterns {
		err := CheckPattern(pattern)
		if (err == nil) != (verdicts[i] == "valid") {
			t.Errorf("OASIS says %s, we say %v: %s", verdicts[i], fmt.Sprint(err), pattern)
		}
		if err == nil {
			valid++
		}
	}
	if valid < len(patterns)/10 || valid > len(patterns)*9/10 {
		t.Errorf("%d of %d patterns are valid: a lopsided choice", valid, len(patterns))
	}
}

func BenchmarkCheckPattern(b *testing.B) {
	for b.Loop() {
		if err := CheckPattern("[windows-registry-key:key = 'HKEY_LOCAL_MACHINE\\\\Software' AND windows-registry-key:values[*].name = 'b']"); err != nil {
			b.Fatal(err)
		}
	}
}
