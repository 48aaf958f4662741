package main

import (
	"archive/zip"
	"os"
	"path/filepath"
	"strings"
	"testing"
	"time"
)

func TestRatios(t *testing.T) {
	for _, c := range []struct {
		what         string
		newer, older []float64
		want         comparison
	}{
		{"one round", []float64{3}, []float64{4},
			comparison{Newer: spread{3, 3, 3}, Older: spread{4, 4, 4}, Ratio: spread{0.75, 0.75, 0.75}}},
		{"each round for itself", []float64{10, 80, 30}, []float64{20, 40, 30},
			comparison{Newer: spread{30, 10, 80}, Older: spread{30, 20, 40}, Ratio: spread{1, 0.5, 2}}},
		{"an even number", []float64{1, 2, 3, 6}, []float64{1, 1, 1, 1},
			comparison{Newer: spread{2.5, 1, 6}, Older: spread{1, 1, 1}, Ratio: spread{2.5, 1, 6}}},
		{"nothing in one round", []float64{4, 6}, []float64{0, 3},
			comparison{Newer: spread{5, 4, 6}, Older: spread{1.5, 0, 3}, Ratio: spread{2, 2, 2}}},
		{"nothing at all", []float64{4}, []float64{0}, comparison{Newer: spread{4, 4, 4}}},
		{"nothing any more", []float64{0}, []float64{4}, comparison{Older: spread{4, 4, 4}}},
	} {
		if got := compare("", "", c.newer, c.older); got != c.want {
			t.Errorf("%s: %+v", c.what, got)
		}
	}
}

// A report of one update tells what stands where.
func TestComparisonOfReports(t *testing.T) {
	one := report{Updates: []update{{Name: "full", Objects: 1000, Live: 500, Seconds: 2, CleanBytes: 5000,
		consumption: consumption{CPUSeconds: 1, WrittenBytes: 4000, PSSBytes: 3 * mega, DatabaseBytes: 10_000},
		Cleaner:     consumption{CPUSeconds: 0.5, WrittenBytes: 2000, PSSBytes: 4 * mega, DatabaseBytes: 15_000}}},
		Idle: idle{Seconds: 10, CPUSeconds: 0.1, WrittenBytes: 40, PSSBytes: 2 * mega, Switches: 50}}
	want := map[string]float64{"objects/s": 500, "CPU µs/object": 1000, "CPU with Cleaner": 1500, "written B/object": 4, "written with Cleaner": 6,
		"memory MB": 4, "database B/live object": 30, "after Cleaner": 10,
		"idle memory MB": 2, "idle CPU ms/s": 10, "idle wake-ups/s": 5, "idle written B/s": 4}
	all := compareReports([]report{one}, []report{one})
	if len(all) != len(want) {
		t.Errorf("%d comparisons", len(all))
	}
	for _, c := range all {
		name := strings.TrimPrefix(c.Stage+" "+c.Measure, "full ")
		if c.Newer.Median != want[name] || c.Ratio.Median != 1 {
			t.Errorf("%s: %+v", name, c)
		}
	}
}

// Nothing any more is a ratio of 0, and against nothing there is no ratio.
func TestPrintedRatios(t *testing.T) {
	r := versusReport{Newer: []report{{}}, Comparisons: []comparison{compare("idle", "gone", []float64{0}, []float64{4}), compare("idle", "come", []float64{4}, []float64{0})}}
	var text strings.Builder
	if err := r.printTables(&text); err != nil {
		t.Fatal(err)
	}
	for _, line := range []string{"gone 0.0 4.0 0.00 0.00 0.00", "come 4.0 0.0 – – –"} {
		if !strings.Contains(strings.Join(strings.Fields(text.String()), " "), line) {
			t.Errorf("%q is not in %s", line, &text)
		}
	}
}

func TestVersus(t *testing.T) {
	o := options{app: folder(), count: 500, changes: 10, idle: 100 * time.Millisecond, versusOptions: versusOptions{versus: folder() + ".tcx", rounds: 1}}
	r, err := measureVersus(t.Context(), o)
	if err != nil {
		t.Fatalf("%v; was ./package.sh build run?", err)
	}
	if len(r.Newer) != 1 || len(r.Older) != 1 || len(r.Comparisons) != 4*len(measures)+len(idleMeasures) {
		t.Fatalf("got %+v", r)
	}
	for i, u := range r.Newer[0].Updates {
		if older := r.Older[0].Updates[i]; u.Objects != older.Objects || u.Uploaded != older.Uploaded || u.Live != older.Live {
			t.Errorf("%s: the same package did %+v and %+v", u.Name, u, older)
		}
	}
	printsAll(t, r, "written B/object")
}

func TestVersusRefuses(t *testing.T) {
	other := filepath.Join(t.TempDir(), "other.tcx")
	file, err := os.Create(other)
	if err != nil {
		t.Fatal(err)
	}
	archive := zip.NewWriter(file)
	if _, err := archive.Create("Other/README.md"); err != nil {
		t.Fatal(err)
	}
	archive.Close()
	file.Close()
	for says, o := range map[string]options{
		"-rounds 0":              {count: 1, versusOptions: versusOptions{versus: other}},
		"TMPDIR":                 {count: 1, state: "folder", versusOptions: versusOptions{versus: other, rounds: 1}},
		"leave them out":         {count: 1, cpu: "file", versusOptions: versusOptions{versus: other, rounds: 1}},
		"no such file":           {count: 1, versusOptions: versusOptions{versus: other + "x", rounds: 1}},
		"not a package":          {count: 1, versusOptions: versusOptions{versus: other, rounds: 1}},
		"-count 0: use a number": {versusOptions: versusOptions{versus: other, rounds: 1}},
	} {
		if _, err := measureVersus(t.Context(), o); err == nil || !strings.Contains(err.Error(), says) {
			t.Errorf("%s: %v", says, err)
		}
	}
}
