package main

import (
	"os"
	"os/exec"
	"path/filepath"
	"reflect"
	"strings"
	"testing"

	"mssentinel/plugins/builtin"
	"mssentinel/plugins/mapper"
)

// The executable serves the list of built-in types, a mapper for each, and nothing else.
func TestMappers(t *testing.T) {
	if len(mappers) != len(builtin.Types) || len(mappers) != len(canonicalPaths) {
		t.Errorf("%d mappers, %d types in the list, %d with acceptance checks", len(mappers), len(builtin.Types), len(canonicalPaths))
	}
	for _, typ := range builtin.Types {
		build, found := mappers[typ.Mapper]
		if !found {
			t.Errorf("nothing serves %s by the argument %q", typ.Name, typ.Mapper)
			continue
		}
		want := mapper.Description{Name: typ.Name, Version: "1.2.3", Types: []mapper.Type{{Name: typ.Name}}}
		if got := build("1.2.3").Describe(); !reflect.DeepEqual(got, want) {
			t.Errorf("%s describes itself as %+v", typ.Mapper, got)
		}
		if canonicalPaths[typ.Name] == nil {
			t.Errorf("%s has no acceptance checks", typ.Name)
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
