package main

import (
	"compress/gzip"
	"io"
	"os"
	"path/filepath"
	"strings"
	"testing"
)

func TestProfiles(t *testing.T) {
	cpu, memory := filepath.Join(t.TempDir(), "cpu"), filepath.Join(t.TempDir(), "memory")
	p, err := readProfiles([]string{"-cpuprofile", cpu, "-memprofile=" + memory})
	if err != nil {
		t.Fatal(err)
	}
	stop, err := p.startProfiles()
	if err != nil {
		t.Fatal(err)
	}
	if err := stop(); err != nil {
		t.Fatal(err)
	}
	for file, kind := range map[string]string{cpu: "nanoseconds", memory: "alloc_space"} {
		if text := unpack(t, file); !strings.Contains(text, kind) {
			t.Errorf("%s is no profile of %s", file, kind)
		}
	}
}

// unpack reads a profile, whose texts stand in it as they are.
func unpack(t *testing.T, path string) string {
	t.Helper()
	file, err := os.Open(path)
	if err != nil {
		t.Fatal(err)
	}
	defer file.Close()
	packed, err := gzip.NewReader(file)
	if err != nil {
		t.Fatal(err)
	}
	text, err := io.ReadAll(packed)
	if err != nil {
		t.Fatal(err)
	}
	return string(text)
}

// The platform starts the App without profiles, and nothing is written then.
func TestProfilesAreAskedFor(t *testing.T) {
	p, err := readProfiles(nil)
	if err != nil || p != (profiles{}) {
		t.Fatalf("got %+v, %v", p, err)
	}
	stop, err := p.startProfiles()
	if err != nil {
		t.Fatal(err)
	}
	if err := stop(); err != nil {
		t.Error(err)
	}
	for _, args := range [][]string{{"-profile", "x"}, {"-cpuprofile"}, {"more"}} {
		if p, err := readProfiles(args); err == nil {
			t.Errorf("%q became %+v", args, p)
		}
	}
	if _, err := (profiles{cpu: filepath.Join(t.TempDir(), "no", "folder")}).startProfiles(); err == nil {
		t.Error("a profile was begun where there is no folder")
	}
}
