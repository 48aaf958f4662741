package main

import (
	"bytes"
	"fmt"
	"io"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"testing"
)

// sample is how many objects of the real population the OASIS validators see, at about 10 ms each;
// a third of that does for a generated one.
const sample = 3000

// The OASIS validators of objects and of patterns are an oracle that nobody here wrote.
func TestValidators(t *testing.T) {
	lines, written := sampleObjects(t, sample)
	wantVerdict(t, "validate.py", lines, fmt.Sprintf("validated %d", written))
}

// matched is how many objects of the population OASIS' matcher sees.
const matched = 1000

// OASIS' matcher says of each object that it matches an observation of its own value, and none of a neighbour's.
func TestMatcher(t *testing.T) {
	lines, written := sampleObjects(t, matched)
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

// sampleObjects are all objects of the mappers' own cases, and so many others, one a line. A third of these does where the
// population is generated.
func sampleObjects(t *testing.T, wanted int) (lines *bytes.Buffer, written int) {
	if os.Getenv("MS_SENTINEL_TEST_DATA") == "" {
		wanted /= 3
	}
	lines = new(bytes.Buffer)
	all := objects(t)
	for _, list := range all {
		step := max(1, len(list)*len(all)/wanted)
		for n, o := range list {
			if n%step == 0 || fromTestdata(o) {
				lines.Write(append(o.raw, '\n'))
				written++
			}
		}
	}
	return lines, written
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

// fromTestdata tells the objects of the mappers' own cases: they are validated all, not in samples.
func fromTestdata(o object) bool { return strings.Contains(o.Name, "ABC-Owner") }
