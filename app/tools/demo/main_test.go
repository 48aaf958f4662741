package main

import (
	"os"
	"path/filepath"
	"strings"
	"testing"
	"time"
)

func TestOneDemonstrationAFolder(t *testing.T) {
	state := filepath.Join(t.TempDir(), "state")
	unlock, err := lockState(state)
	if err != nil {
		t.Fatal(err)
	}
	if _, err := lockState(state); err == nil || !strings.Contains(err.Error(), "-state") {
		t.Errorf("a second one: %v", err)
	}
	if err := unlock(); err != nil {
		t.Fatal(err)
	}
	unlock, err = lockState(state)
	if err != nil {
		t.Fatalf("after the end of the first: %v", err)
	}
	if err := unlock(); err != nil {
		t.Fatal(err)
	}
}

// What one left is forgotten, but not the lock of the one that runs.
func TestEmpty(t *testing.T) {
	state := t.TempDir()
	unlock, err := lockState(state)
	if err != nil {
		t.Fatal(err)
	}
	defer unlock()
	if err := os.MkdirAll(filepath.Join(state, "platform", "services"), 0o700); err != nil {
		t.Fatal(err)
	}
	before, err := firstStart(filepath.Join(state, "began"))
	if again, _ := firstStart(filepath.Join(state, "began")); err != nil || !again.Equal(before) || time.Since(before) > time.Minute {
		t.Errorf("began %v, then %v: %v", before, again, err)
	}
	if err := emptyState(state); err != nil {
		t.Fatal(err)
	}
	entries, err := os.ReadDir(state)
	if err != nil || len(entries) != 1 || entries[0].Name() != lockFile {
		t.Errorf("left: %v, %v", entries, err)
	}
	if _, err := lockState(state); err == nil {
		t.Error("the lock is gone")
	}
}
