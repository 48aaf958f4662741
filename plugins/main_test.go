package main

import (
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"testing"
)

// Every mapper of the executable takes one type; together they take the nine of the user guide.
func TestMappers(t *testing.T) {
	taken := map[string]string{}
	for name, build := range mappers {
		d := build("1.2.3").Describe()
		if d.Version != "1.2.3" || len(d.Types) != 1 || d.Name != d.Types[0].Name {
			t.Errorf("%s describes itself as %+v", name, d)
		}
		taken[d.Types[0].Name] = name
	}
	for typ := range canonicalPaths {
		if want := strings.ToLower(strings.ReplaceAll(typ, " ", "")); taken[typ] != want {
			t.Errorf("%s is taken by %q, want %q", typ, taken[typ], want)
		}
	}
}

func TestCommand(t *testing.T) {
	path := filepath.Join(t.TempDir(), "mappers")
	if out, err := exec.Command("go", "build", "-o", path, "-ldflags", "-X main.version=7.8.9", ".").CombinedOutput(); err != nil {
		t.Fatalf("%v\n%s", err, out)
	}
	if out, err := exec.Command(path, "version").Output(); err != nil || string(out) != "7.8.9\n" {
		t.Errorf("version: %q, %v", out, err)
	}
	for _, args := range [][]string{{}, {"nobody"}, {"host", "url"}, {"host"}} {
		cmd := exec.Command(path, args...)
		var said strings.Builder
		cmd.Stderr = &said
		cmd.Env = os.Environ()
		if err := cmd.Run(); err == nil || said.Len() == 0 {
			t.Errorf("%q started by hand: %v, %q", args, err, said.String())
		}
	}
}
