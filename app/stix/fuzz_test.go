package stix

import (
	"bufio"
	"encoding/json"
	"fmt"
	"io"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"sync"
	"testing"
	"time"
	"unicode/utf8"
)

// oasis is a process that tells of one pattern after the other whether OASIS' grammar takes it.
type oasis struct {
	mu       sync.Mutex
	patterns io.Writer
	verdicts *bufio.Reader
}

// startOASIS starts the process, which ends with the test.
func startOASIS(f *testing.F) *oasis {
	f.Helper()
	python := os.Getenv("MS_SENTINEL_PYTHON")
	if python == "" {
		python = filepath.Join("..", "..", ".tools", "venv", "bin", "python")
	}
	cmd := exec.Command(python, filepath.Join("testdata", "patterns.py"), "one-by-one")
	cmd.Stderr, cmd.Env = os.Stderr, append(os.Environ(), "PYTHONUTF8=1")
	in, err := cmd.StdinPipe()
	if err != nil {
		f.Fatal(err)
	}
	out, err := cmd.StdoutPipe()
	if err != nil {
		f.Fatal(err)
	}
	if err := cmd.Start(); err != nil {
		f.Fatalf("%v: ./package.sh test installs what the test needs", err)
	}
	f.Cleanup(func() {
		in.Close()
		cmd.Wait() //nolint:errcheck // it ends with its input
	})
	return &oasis{patterns: in, verdicts: bufio.NewReader(out)}
}

func (o *oasis) takes(pattern string) (bool, error) {
	o.mu.Lock()
	defer o.mu.Unlock()
	line, err := json.Marshal(pattern)
	if err != nil {
		return false, err
	}
	if _, err := fmt.Fprintf(o.patterns, "%s\n", line); err != nil {
		return false, err
	}
	verdict, err := o.verdicts.ReadString('\n')
	return verdict == "valid\n", err
}

// FuzzPattern compares the grammar of patterns with OASIS' own.
func FuzzPattern(f *testing.F) {
	reference := startOASIS(f)
	f.Fuzz(func(t *testing.T, pattern string) {
		if !utf8.ValidString(pattern) || len(pattern) > 400 {
			return
		}
		err := CheckPattern(pattern)
		if err != nil && (len(err.Error()) > 250 || !utf8.ValidString(err.Error())) {
			t.Fatalf("%q: the error %q cannot be shown", pattern, err)
		}
		valid, failed := reference.takes(pattern)
		if failed != nil {
			t.Fatal(failed)
		}
		if valid != (err == nil) {
			t.Fatalf("%q: OASIS takes it: %t; we say %v", pattern, valid, err)
		}
	})
}

// FuzzObject writes objects. Whatever a member holds, the pattern is one, the id depends on it alone, and encoding/json reads
// the texts again.
func FuzzObject(f *testing.F) {
	when := time.Date(2026, 9, 1, 12, 0, 0, 0, time.UTC)
	f.Fuzz(func(t *testing.T, value, name, label string) {
		i := Indicator{Pattern: Pattern(Equal("url:value", value)), Name: name, Description: "{}", Created: when,
			Labels: []string{label}, IndicatorTypes: []string{"unknown"}}
		if err := i.Check(); err != nil {
			sound := utf8.ValidString(value) && utf8.ValidString(name) && utf8.ValidString(label) && !strings.Contains(value, "\x00") && name != "" && label != ""
			if sound && len(value+name+label) < MaxText/4 {
				t.Fatalf("%q, %q, %q: %v", value, name, label, err)
			}
			return
		}
		var read struct {
			ID, Pattern, Name string
			Labels            []string
		}
		raw := i.AppendJSON(nil, Envelope{Modified: when, ValidUntil: when.Add(time.Hour)})
		if err := json.Unmarshal(raw, &read); err != nil {
			t.Fatalf("%q: %v", raw, err)
		}
		if read.Pattern != i.Pattern || read.Name != name || read.Labels[0] != label || read.ID != "indicator--"+ID(i.Pattern).String() {
			t.Fatalf("%+v became %+v", i, read)
		}
		if len(raw) > 1<<20 {
			t.Fatalf("the object has %d bytes", len(raw))
		}
	})
}
