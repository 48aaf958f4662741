package main

import (
	"os"
	"path/filepath"
	"strings"
	"testing"
	"time"
)

// folder is where the package of the App lies unpacked.
func folder() string {
	if path := os.Getenv("MS_SENTINEL_PACKAGE"); path != "" {
		return strings.TrimSuffix(path, ".tcx")
	}
	return filepath.Join("..", "..", "..", "target", "TCVA_-_Microsoft_Sentinel_v1")
}

func TestMeasure(t *testing.T) {
	profiles := t.TempDir()
	cpu, mem := filepath.Join(profiles, "cpu"), filepath.Join(profiles, "mem")
	r, err := measureApp(t.Context(), options{app: folder(), state: t.TempDir(), count: 500, changes: 10, idle: 100 * time.Millisecond, cpu: cpu, mem: mem})
	if err != nil {
		t.Fatalf("%v; was ./package.sh build run?", err)
	}
	for _, path := range []string{cpu, mem} {
		if info, err := os.Stat(path); err != nil || info.Size() == 0 {
			t.Errorf("the profile %s was not written: %v", path, err)
		}
	}
	if len(r.Updates) != 4 || r.Indicators != 500 || r.ReadySeconds <= 0 {
		t.Fatalf("got %+v", r)
	}
	for _, u := range r.Updates {
		live := u.Live
		switch {
		case u.Name == "reconcile":
			live = 0
		case u.Name == "delta":
			live = 10
		}
		// An indicator is one object or a few, and its object may be another's.
		if u.Uploaded < live*8/10 || u.Uploaded > live*2 || u.Objects < u.Uploaded {
			t.Errorf("%s: %d of %d objects uploaded, %d are live", u.Name, u.Uploaded, u.Objects, u.Live)
		}
		if u.Live < 300 || u.Seconds <= 0 || u.CPUSeconds < 0 || u.CleanBytes <= 0 || u.DatabaseBytes < u.CleanBytes {
			t.Errorf("%s: %+v", u.Name, u)
		}
		if onDisk(t) && u.WrittenBytes <= 0 {
			t.Errorf("%s: nothing was written", u.Name)
		}
		for _, p := range u.Processes {
			if u.PSSBytes < p.PSSBytes || u.Cleaner.PSSBytes < mega {
				t.Errorf("%s: %d bytes were held, %d with the Cleaner, and %d by %s", u.Name, u.PSSBytes, u.Cleaner.PSSBytes, p.PSSBytes, p.Name)
			}
		}
		if n := len(u.Processes); n != 1+len(types) {
			t.Errorf("%s: %d processes were seen", u.Name, n)
		}
		for _, p := range u.Processes {
			if p.PeakBytes < mega || p.PSSBytes <= 0 || p.PSSBytes > p.PeakBytes {
				t.Errorf("%s: %s has %d bytes at most, a share of %d", u.Name, p.Name, p.PeakBytes, p.PSSBytes)
			}
		}
	}
	if i := r.Idle; i.Seconds < 0.1 || i.Seconds > 10 || i.PSSBytes < mega || i.Switches < 0 || i.CPUSeconds < 0 {
		t.Errorf("idle: %+v", i)
	}
	printsAll(t, r, "emailsubject")
}
