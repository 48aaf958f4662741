package simulation

import (
	"flag"
	"fmt"
	"os"
	"path/filepath"
	"testing"
	"time"
)

var (
	seeds   = flag.Int("seeds", defaultSeeds, "how many histories are drawn")
	first   = flag.Uint64("first", 1, "the seed of the first")
	history = flag.String("history", "", "carry out the history in this file instead")
	keep    = flag.String("keep", "", "keep the shortest history that fails as testdata/histories/NAME.json")
	shrink  = flag.Duration("shrink", 40*time.Second, "how long a history that fails is shortened; 0 for not at all")
	verbose = flag.Bool("logs", false, "print the log of a history that fails")
)

// Whatever happens in ThreatConnect, on CONFIGURE, to the process and between it and the others: the promises are kept.
func TestSimulation(t *testing.T) {
	if *history != "" {
		h, err := loadHistory(*history)
		if err != nil {
			t.Fatal(err)
		}
		judge(t, h)
		return
	}
	for seed := *first; seed < *first+uint64(*seeds); seed++ {
		t.Run(fmt.Sprint(seed), func(t *testing.T) {
			t.Parallel()
			judge(t, draw(seed))
		})
	}
}

// What failed once is carried out for ever.
func TestKeptHistories(t *testing.T) {
	files, err := filepath.Glob("testdata/histories/*.json")
	if err != nil {
		t.Fatal(err)
	}
	for _, path := range files {
		t.Run(filepath.Base(path), func(t *testing.T) {
			t.Parallel()
			h, err := loadHistory(path)
			if err != nil {
				t.Fatal(err)
			}
			judge(t, h)
		})
	}
}

// judge carries out a history and fails the test if a promise is broken, with the shortest history that breaks it.
func judge(t *testing.T, h History) {
	t.Helper()
	o := carryOut(t, h)
	if o.check() == "" {
		t.Logf("%d steps, %d processes, %d jobs, %d requests, %d objects; %s", o.steps, o.processes, o.jobs, o.requests, o.objects, o.notable)
		return
	}
	short, o := shorten(t, h, o, *shrink)
	for _, f := range o.failures[:min(len(o.failures), 5)] {
		t.Error(f)
	}
	if *verbose {
		t.Log(o.log)
	}
	path := filepath.Join(os.TempDir(), fmt.Sprintf("simulation-%d.json", h.Seed))
	if *keep != "" {
		path = filepath.Join("testdata", "histories", *keep+".json")
	}
	if err := os.WriteFile(path, []byte(short.String()), 0o600); err != nil {
		t.Error(err)
	}
	t.Fatalf("seed %d; the shortest history that was found has %d steps of %d and %d indicators of %d:\n%s\nIt is in %s: carry it out by\n"+
		"go test ./app/simulation -run TestSimulation -history %s -logs\nand keep it as a test by\ngo test ./app/simulation -run TestSimulation -first %d -seeds 1 -keep NAME",
		h.Seed, len(short.Steps), len(h.Steps), len(short.Items), len(h.Items), short, path, path, h.Seed)
}
