package main

import (
	"bytes"
	"cmp"
	"encoding/json"
	"fmt"
	"io"
	"maps"
	"math"
	"os"
	"os/exec"
	"path/filepath"
	"regexp"
	"slices"
	"strings"
	"testing"
	"unicode/utf8"
)

// sample is how many objects of the population OASIS' tools see, at about 6 ms of processor time each. MS_SENTINEL_VALIDATE=all
// shows them every object.
const sample = 3000

// The OASIS validators of objects and of patterns are an oracle that nobody here wrote.
func TestValidators(t *testing.T) {
	lines, written := sampleObjects(t)
	wantVerdict(t, "validate.py", lines, fmt.Sprintf("validated %d", written))
}

// OASIS' matcher says of each object that it matches an observation of its own value, and none of a neighbour's.
func TestMatcher(t *testing.T) {
	lines, written := sampleObjects(t)
	wantVerdict(t, "match.py", lines, fmt.Sprintf("matched %d", written))
	if t.Failed() {
		return
	}
	// The judge is awake: quoted wrongly, and no equality.
	broken := `{"name":"it's \\here | o","pattern":"[email-message:subject = 'it\\'s \\\\\\\\here']"}` + "\n" + `{"name":"x","pattern":"[url:value > 'x']"}` + "\n"
	got := runJudge(t, "match.py", strings.NewReader(broken))
	if !strings.Contains(got, "does not match its own value") || !strings.Contains(got, "> is no equality") {
		t.Errorf("of patterns that match nothing the matcher says: %s", got)
	}
}

// sampleObjects are all objects of the mappers' own cases, and a sample of the others, one a line.
func sampleObjects(t *testing.T) (lines *bytes.Buffer, written int) {
	wanted := sample
	if os.Getenv("MS_SENTINEL_VALIDATE") == "all" {
		wanted = math.MaxInt
	}
	golden := readGoldenIDs(t)
	var own, others []object
	for _, list := range objects(t) {
		for _, o := range list {
			if golden[o.ID] {
				own = append(own, o)
			} else {
				others = append(others, o)
			}
		}
	}
	lines = new(bytes.Buffer)
	chosen := append(own, stratified(others, wanted)...)
	for _, o := range chosen {
		lines.Write(append(o.raw, '\n'))
	}
	return lines, len(chosen)
}

// stratum is what a sample has of each: objects of one path, from one owner, that are odd in the same way.
type stratum struct{ path, owner, oddity string }

func stratumOf(o object) stratum {
	var d struct{ OwnerName string }
	if err := json.Unmarshal([]byte(o.Description), &d); err != nil {
		panic(err) // TestAcceptance reports it
	}
	path, _, _ := strings.Cut(o.Pattern, " = ")
	return stratum{path, d.OwnerName, oddity(o)}
}

// oddity is the first of what may go wrong with an object.
func oddity(o object) string {
	odd := func(s string) bool {
		return strings.ContainsFunc(s, func(r rune) bool { return r < ' ' || r >= utf8.RuneSelf })
	}
	switch {
	case len(o.Pattern) > 1000:
		return "a long pattern"
	case odd(o.Pattern):
		return "a pattern beyond ASCII"
	case strings.Contains(o.Pattern, `\`):
		return "a pattern with escapes"
	case len(o.KillChainPhases) > 0:
		return "phases"
	case o.Confidence == nil:
		return "no confidence"
	case strings.Contains(o.Description, `"associatedGroups": [{`):
		return "groups"
	case len(o.ObjectMarkingRefs) > 0:
		return "a marking"
	case odd(o.Name + strings.Join(o.Labels, "")):
		return "texts beyond ASCII"
	case len(o.Labels) == 0:
		return "no labels"
	}
	return "nothing odd"
}

// stratified chooses so many objects, as many of each stratum as of the next while there are some: what is rare comes whole.
func stratified(list []object, wanted int) []object {
	byStratum := map[stratum][]object{}
	for _, o := range list {
		s := stratumOf(o)
		byStratum[s] = append(byStratum[s], o)
	}
	smallestFirst := slices.SortedFunc(maps.Values(byStratum), func(a, b []object) int {
		return cmp.Or(cmp.Compare(len(a), len(b)), cmp.Compare(a[0].ID, b[0].ID))
	})
	var chosen []object
	for n, stratum := range smallestFirst {
		take := min(len(stratum), (wanted-len(chosen))/(len(smallestFirst)-n))
		for i := range take {
			chosen = append(chosen, stratum[i*len(stratum)/take])
		}
	}
	return chosen
}

func wantVerdict(t *testing.T, script string, lines io.Reader, want string) {
	t.Helper()
	if got := runJudge(t, script, lines); got != want {
		t.Errorf("%s says, want %q:\n%s", script, want, got)
	}
}

// runJudge has a script of testdata judge objects, one a line, and gives what it says.
func runJudge(t *testing.T, script string, lines io.Reader) string {
	t.Helper()
	python := os.Getenv("MS_SENTINEL_PYTHON")
	if python == "" {
		python = filepath.Join("..", ".tools", "venv", "bin", "python")
	}
	if err := exec.Command(python, "-c", "import stix2validator, stix2patterns, stix2matcher").Run(); err != nil {
		t.Fatalf("%s has no stix2-validator, stix2-patterns and stix2-matcher (%v): run ./package.sh test once, which installs them, or name a Python that has them in MS_SENTINEL_PYTHON", python, err)
	}
	cmd := exec.Command(python, filepath.Join("testdata", script))
	cmd.Stdin = lines
	cmd.Stderr = os.Stderr
	cmd.Env = append(os.Environ(), "PYTHONUTF8=1")
	out, err := cmd.Output()
	if err != nil {
		t.Fatal(err)
	}
	return strings.TrimSpace(string(out))
}

// readGoldenIDs are the ids in the golden files of the mappers' own cases, whose objects are validated all, not in samples.
func readGoldenIDs(t *testing.T) map[string]bool {
	t.Helper()
	ids := map[string]bool{}
	for _, pattern := range []string{"*/testdata/*.golden.json", "testdata/*/*.golden.json"} {
		files, err := filepath.Glob(pattern)
		if err != nil || len(files) == 0 {
			t.Fatalf("%s: %d files, %v", pattern, len(files), err)
		}
		for _, file := range files {
			text, err := os.ReadFile(file)
			if err != nil {
				t.Fatal(err)
			}
			for _, id := range idPattern.FindAllString(string(text), -1) {
				ids[id] = true
			}
		}
	}
	return ids
}

var idPattern = regexp.MustCompile(`indicator--[0-9a-f-]{36}`)
