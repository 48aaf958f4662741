package main

import (
	"os"
	"os/exec"
	"strings"
	"testing"
)

func TestBuildOfTheExecutable(t *testing.T) {
	got, err := readBuild()
	if err != nil {
		t.Fatal(err)
	}
	path, err := os.Executable()
	if err != nil {
		t.Fatal(err)
	}
	said, err := exec.CommandContext(t.Context(), "go", "tool", "buildid", path).Output()
	if want := strings.TrimSpace(string(said)); err != nil || want == "" || !strings.Contains(got, want) {
		t.Errorf("%q, and the tool says %q (%v)", got, want, err)
	}
}
