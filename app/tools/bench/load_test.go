package main

import (
	"strings"
	"testing"
	"time"
)

// The short form of what the command does for long: it holds the same bounds.
func TestLoad(t *testing.T) {
	t.Parallel()
	r, err := measureLoad(t.Context(), options{app: folder(), count: 5000, loadOptions: loadOptions{parallel: 100}})
	if err != nil {
		t.Fatalf("%v; was ./package.sh build run?", err)
	}
	if r.Requests.Answered < 100 || r.Requests.P99 <= 0 || r.Requests.P99 > 20 || r.Uploaded < 2500 || len(r.Processes) < 1+len(types) {
		t.Errorf("got %+v", r)
	}
	printsAll(t, r, "all answered")
}

func TestSoak(t *testing.T) {
	t.Parallel()
	r, err := runSoak(t.Context(), options{app: folder(), count: 1500, changes: 100, loadOptions: loadOptions{soak: 8 * time.Second}}, 500*time.Millisecond)
	if err != nil {
		t.Fatalf("%v; was ./package.sh build run?", err)
	}
	if r.Updates < 8 || r.Heartbeats < 10 || r.Rotations < 1 || r.Requests.Answered < 20 {
		t.Errorf("got %+v", r)
	}
	printsAll(t, r, "rotated")
}

func printsAll(t *testing.T, r printable, says string) {
	t.Helper()
	var text strings.Builder
	if err := r.printTables(&text); err != nil || !strings.Contains(text.String(), says) {
		t.Errorf("%v: %s", err, &text)
	}
	t.Logf("%s", &text)
}

// What grows is found, whatever it is.
func TestGrowthIsFound(t *testing.T) {
	level := usage{MemoryBytes: 100 << 20, Descriptors: 40, Threads: 12, Mappers: 9, Files: 6, DiskBytes: 10 << 20}
	sound := soakReport{Heartbeats: 1, Rotations: 1, GoroutinesBefore: 50, GoroutinesAfter: 55}
	for range 16 {
		sound.Usage = append(sound.Usage, level)
	}
	if err := sound.checkGrowth(); err != nil {
		t.Errorf("nothing grew, and yet: %v", err)
	}
	for says, grow := range map[string]func(*soakReport){
		"bytes of memory":     func(r *soakReport) { r.Usage[15].MemoryBytes += 40 << 20 },
		"descriptors":         func(r *soakReport) { r.Usage[15].Descriptors += 20 },
		"threads":             func(r *soakReport) { r.Usage[15].Threads += 20 },
		"mappers":             func(r *soakReport) { r.Usage[15].Mappers++ },
		"files":               func(r *soakReport) { r.Usage[15].Files += 6 },
		"bytes on the disk":   func(r *soakReport) { r.Usage[15].DiskBytes += 40 << 20 },
		"goroutines":          func(r *soakReport) { r.GoroutinesAfter = 80 },
		"rotated 0 times":     func(r *soakReport) { r.Rotations = 0 },
		"0 heartbeats":        func(r *soakReport) { r.Heartbeats = 0 },
		"more than 268435456": func(r *soakReport) { r.Usage[15].MemoryBytes = 300 << 20; r.Usage[5].MemoryBytes = 300 << 20 },
	} {
		r := sound
		r.Usage = append([]usage(nil), sound.Usage...)
		grow(&r)
		if err := r.checkGrowth(); err == nil || !strings.Contains(err.Error(), says) {
			t.Errorf("%s: %v", says, err)
		}
	}
}
