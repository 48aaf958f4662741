package main

import (
	"bytes"
	"fmt"
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
	python := os.Getenv("MS_SENTINEL_PYTHON")
	if python == "" {
		python = filepath.Join("..", ".tools", "venv", "bin", "python")
	}
	if err := exec.Command(python, "-c", "import stix2validator, stix2patterns").Run(); err != nil {
		t.Fatalf("%s has no stix2-validator and stix2-patterns (%v): run ./package.sh test once, which installs them, or name a Python that has them in MS_SENTINEL_PYTHON", python, err)
	}
	var lines bytes.Buffer
	written, wanted := 0, sample
	if os.Getenv("MS_SENTINEL_TEST_DATA") == "" {
		wanted /= 3
	}
	for _, list := range objects(t) {
		step := max(1, len(list)*len(objects(t))/wanted)
		for n, o := range list {
			if n%step == 0 || fromTestdata(o) {
				lines.Write(append(o.raw, '\n'))
				written++
			}
		}
	}
	cmd := exec.Command(python, filepath.Join("testdata", "validate.py"))
	cmd.Stdin = &lines
	cmd.Stderr = os.Stderr
	cmd.Env = append(os.Environ(), "PYTHONUTF8=1")
	out, err := cmd.Output()
	if err != nil {
		t.Fatal(err)
	}
	if got, want := strings.TrimSpace(string(out)), fmt.Sprintf("validated %d", written); got != want {
		t.Errorf("the validators say, want %q:\n%s", want, got)
	}
}

// fromTestdata tells the objects of the mappers' own cases: they are validated all, not in samples.
func fromTestdata(o object) bool { return strings.Contains(o.Name, "ABC-Owner") }
