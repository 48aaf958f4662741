package main

import (
	"errors"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"testing"
)

const root = "../../.."

// The list does not rot: the text of each plant stands where it says, and the files with all plants in them are Go.
func TestPlantsFitTheSource(t *testing.T) {
	t.Parallel()
	seen := map[string]bool{}
	var changes []change
	for _, p := range allPlants() {
		c, err := p.locate(root)
		if err != nil {
			t.Error(err)
			continue
		}
		if seen[p.name] || strings.Trim(p.name, "abcdefghijklmnopqrstuvwxyz0123456789-") != "" {
			t.Errorf("the name %q is there twice, or is no name", p.name)
		}
		if p.find == p.replace || p.breaks == "" || p.seeds < 1 || p.seeds > 200 {
			t.Errorf("%s changes nothing, breaks nothing, or may take any number of seeds", p.name)
		}
		seen[p.name] = true
		changes = append(changes, c)
	}
	if len(changes) < 40 {
		t.Errorf("%d plants", len(changes))
	}
	checkRewritten(t, changes)
}

// checkRewritten holds that the files with the changes in them are Go.
func checkRewritten(t *testing.T, changes []change) {
	t.Helper()
	byFile := map[string][]change{}
	for _, c := range changes {
		byFile[c.file] = append(byFile[c.file], c)
	}
	for path, list := range byFile {
		data, err := os.ReadFile(filepath.Join(root, path))
		if err != nil {
			t.Fatal(err)
		}
		s, err := parseSource(path, data)
		if err != nil {
			t.Fatal(err)
		}
		changed, err := s.addSwitches(list)
		if err != nil {
			t.Errorf("%s: %v", path, err)
			continue
		}
		if _, err := parseSource(path, changed); err != nil {
			t.Error(err)
		}
	}
}

// What is explained is still a mutant of the source, and the files with all mutants in them are Go.
func TestExplainedMutantsFitTheSource(t *testing.T) {
	t.Parallel()
	reasons, err := readExplained()
	if err != nil {
		t.Fatal(err)
	}
	for _, pkg := range []string{"app/job", "app/jsonscan", "app/ledger", "app/pipeline", "app/sentinel", "app/store", "app/web", "plugins/mapper"} {
		_, mutants, err := findMutants(root, pkg)
		if err != nil || len(mutants) < 50 {
			t.Fatalf("%s has %d mutants: %v", pkg, len(mutants), err)
		}
		changes := make([]change, len(mutants))
		for i, m := range mutants {
			changes[i] = m.change
			delete(reasons, m.key())
		}
		checkRewritten(t, changes)
	}
	for key := range reasons {
		t.Errorf("explained.txt explains what is no mutant any more: %s", key)
	}
}

// What a function returns beside an error means nothing, and the room of a channel little, so that no test could hold them.
func TestWhatMeansNothingIsNotChanged(t *testing.T) {
	t.Parallel()
	source := `package p

func f(n int) (int, bool, error) {
	if err := g(); err != nil {
		return 1, true, err
	}
	switch err := g(); {
	case err != nil:
		return 2, true, fmt.Errorf("%d: %w", 3, err)
	case n == 4:
		return 5, true, errors.New("none")
	}
	_ = make(chan int, 6)
	return 7, true, g()
}`
	s, err := parseSource("p/p.go", []byte(source))
	if err != nil {
		t.Fatal(err)
	}
	var got []string
	for _, m := range s.findMutants("p/p.go") {
		got = append(got, m.after)
	}
	want := []string{"if false { _ = make(chan int, 6) }", "if err := g(); err == nil {", "case err == nil:", `return 2, true, fmt.Errorf("%d: %w", (3 + 1), err)`, "case n != 4:", "case n == (4 + 1):",
		"return 7, !true, g()", "return (7 + 1), true, g()"}
	if !slices.Equal(got, want) {
		t.Errorf("changed to %q", got)
	}
}

// A run that somebody else ended says nothing: neither does it find a plant, nor does it kill a mutant.
func TestRunEndedFromOutsideSaysNothing(t *testing.T) {
	t.Parallel()
	for name, tt := range map[string]struct {
		script string
		end    ending
	}{
		"terminated": {"kill -TERM $$", interrupted},
		"killed":     {"kill -KILL $$", interrupted},
		"failed":     {"exit 1", failed},
		"crashed":    {"kill -SEGV $$", failed},
		"passed":     {"exit 0", passed},
	} {
		path := filepath.Join(t.TempDir(), "tests")
		if err := os.WriteFile(path, []byte("#!/bin/sh\n"+tt.script+"\n"), 0o700); err != nil { //nolint:gosec // it is to be run
			t.Fatal(err)
		}
		s := &settings{root: t.TempDir(), parallel: 1}
		if err := os.MkdirAll(filepath.Join(s.root, "app", "simulation"), 0o700); err != nil {
			t.Fatal(err)
		}
		killed, err := s.kills(t.Context(), suite{pkg: ".", binary: path, limit: shortestLimit}, "m1")
		if killed != (tt.end == failed) || errors.Is(err, errInterrupted) != (tt.end == interrupted) {
			t.Errorf("%s: a mutant is killed: %v (%v)", name, killed, err)
		}
		f, err := s.runSeeds(t.Context(), path, t.TempDir(), "plant")
		if found := err == nil; found != (tt.end == failed) || errors.Is(err, errInterrupted) != (tt.end == interrupted) {
			t.Errorf("%s: a plant is found: %v (%v)", name, f, err)
		}
	}
}

// ending is how a run ended.
type ending int

const (
	passed ending = iota
	failed
	interrupted
)
