package mapping

import (
	"crypto/sha256"
	"fmt"
	"os"
	"os/exec"
	"path/filepath"
	"testing"
)

var shipped = builtins

// builtinMappers builds the App's own mappers and returns their folder.
func builtinMappers(t testing.TB) string {
	t.Helper()
	few := builtins
	t.Cleanup(func() { builtins = few })
	builtins = shipped
	dir := t.TempDir()
	path := filepath.Join(dir, builtinName)
	build := exec.Command("go", "build", "-trimpath", "-ldflags=-s -w", "-o", path, "mssentinel/plugins")
	build.Env = append(os.Environ(), "CGO_ENABLED=0")
	if out, err := build.CombinedOutput(); err != nil {
		t.Fatalf("%v\n%s", err, out)
	}
	data, err := os.ReadFile(path)
	if err != nil {
		t.Fatal(err)
	}
	line := fmt.Sprintf("%x  %s\n", sha256.Sum256(data), builtinName)
	if err := os.WriteFile(filepath.Join(dir, listName), []byte(line), 0o644); err != nil {
		t.Fatal(err)
	}
	return dir
}

// The mappers that ship take the nine types, each in a process of its own.
func TestBuiltinMappers(t *testing.T) {
	h := openHost(t, Options{Dir: builtinMappers(t)}, patient())
	var names []string
	for _, typ := range h.Types() {
		names = append(names, typ.Name)
	}
	equal(t, names, []string{"ASN", "Address", "CIDR", "Email Subject", "EmailAddress", "File", "Host", "Registry Key", "URL"})
	answers, err := h.Map(t.Context(), "Address", [][]byte{indicator(1), []byte("?"), indicator(2)}, now)
	if err != nil {
		t.Fatal(err)
	}
	for i, want := range []string{"[ipv4-addr:value = '198.18.0.1']", "", "[ipv4-addr:value = '198.18.0.2']"} {
		switch a := answers[i]; {
		case want == "" && (len(a.Objects) != 0 || len(a.Problems) != 1):
			t.Errorf("%d: got %+v", i, a)
		case want != "" && (len(a.Objects) != 1 || a.Objects[0].Pattern != want):
			t.Errorf("%d: got %+v", i, a)
		}
	}
}
