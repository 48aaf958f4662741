package main

import (
	"archive/zip"
	"bytes"
	"crypto/sha256"
	"fmt"
	"io"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"sync"
	"testing"

	"github.com/google/go-cmp/cmp"
)

const name = "TCVA_-_Microsoft_Sentinel_v1"

const changelog = "# Changelog\n\nOf both.\n\n## [1.0.2] - Unreleased\n\n### Added\n\n- This.\n\n## [1.0.1] - 2026-01-31\n\n- That.\n"

// program links a module, whose licence has to be shipped.
const program = `package main

import "github.com/google/go-cmp/cmp"

func main() { println(cmp.Equal(1, 2)) }
`

// executable is program, compiled once.
var executable = sync.OnceValues(func() ([]byte, error) {
	dir, err := os.MkdirTemp("", "program-")
	if err != nil {
		return nil, err
	}
	defer os.RemoveAll(dir)
	source := filepath.Join(dir, "main.go")
	if err := os.WriteFile(source, []byte(program), 0o600); err != nil {
		return nil, err
	}
	if out, err := exec.Command("go", "build", "-o", filepath.Join(dir, "program"), source).CombinedOutput(); err != nil {
		return nil, fmt.Errorf("%w: %s", err, out)
	}
	return os.ReadFile(filepath.Join(dir, "program"))
})

// fixture lays out a repository whose README is text.
func fixture(t *testing.T, readme string) (root, executables string) {
	t.Helper()
	root = t.TempDir()
	executables = filepath.Join(root, "bin")
	program, err := executable()
	if err != nil {
		t.Fatal(err)
	}
	for _, file := range []string{"install.json", "tcex.json"} {
		data, err := os.ReadFile(filepath.Join("../../..", file))
		if err != nil {
			t.Fatal(err)
		}
		write(t, filepath.Join(root, file), string(data), 0o644)
	}
	write(t, filepath.Join(root, "README.md"), readme, 0o644)
	write(t, filepath.Join(root, "app/docs/CHANGELOG.md"), changelog, 0o644)
	write(t, filepath.Join(root, "LICENSE"), "licence", 0o644)
	write(t, filepath.Join(root, "app/platform/run.py"), "pass", 0o644)
	write(t, filepath.Join(executables, "app"), string(program), 0o755)
	write(t, filepath.Join(executables, "mappers"), string(program), 0o755)
	return root, executables
}

func write(t *testing.T, path, text string, mode os.FileMode) {
	t.Helper()
	if err := os.MkdirAll(filepath.Dir(path), 0o755); err != nil {
		t.Fatal(err)
	}
	if err := os.WriteFile(path, []byte(text), mode); err != nil {
		t.Fatal(err)
	}
}

func TestBuild(t *testing.T) {
	root, executables := fixture(t, "read me\n<!-- repository -->\n![a picture](there.png)\n<!-- /repository -->\n<!-- release notes -->\nto the end\n")
	mapper := filepath.Join(root, "my-mapper")
	write(t, mapper, "mine", 0o755)
	target := filepath.Join(root, "target")
	path, size, err := buildPackage(root, executables, target, []string{mapper})
	if err != nil {
		t.Fatal(err)
	}
	archive, err := zip.OpenReader(path)
	if err != nil {
		t.Fatal(err)
	}
	defer archive.Close()
	modes, texts := map[string]os.FileMode{}, map[string]string{}
	for _, f := range archive.File {
		modes[f.Name] = f.Mode()
		content, err := f.Open()
		if err != nil {
			t.Fatal(err)
		}
		data, err := io.ReadAll(content)
		if err != nil {
			t.Fatal(err)
		}
		texts[f.Name] = string(data)
	}
	want := map[string]os.FileMode{name + "/": os.ModeDir | 0o755}
	for _, file := range []string{"LICENSE", "README.md", "THIRD-PARTY-LICENSES.txt", "checksums.txt", "install.json", "run.py", "tcex.json"} {
		want[name+"/"+file] = 0o644
	}
	for _, file := range []string{"app", "mappers", "my-mapper"} {
		want[name+"/"+file] = 0o755
	}
	if diff := cmp.Diff(want, modes); diff != "" {
		t.Error(diff)
	}
	list := fmt.Sprintf("%x  mappers\n%x  my-mapper\n", sha256.Sum256([]byte(texts[name+"/mappers"])), sha256.Sum256([]byte("mine")))
	if diff := cmp.Diff(list, texts[name+"/checksums.txt"]); diff != "" {
		t.Error(diff)
	}
	if got := texts[name+"/README.md"]; got != "read me\n## Release Notes\n\n### 1.0.2\n\n#### Added\n\n- This.\n\n### 1.0.1\n\n- That.\nto the end\n" {
		t.Errorf("the README is %q", got)
	}
	licences := texts[name+"/THIRD-PARTY-LICENSES.txt"]
	for _, part := range []string{"==== Go and its standard library: LICENSE ====", "==== github.com/google/go-cmp@", "Redistribution and use",
		"parts of the GNU C Library (glibc), version 2.", "GNU LESSER GENERAL PUBLIC LICENSE", "END OF TERMS AND CONDITIONS",
		"Regents of the University of California", "CC='cc -L/folder/of/your/static/libraries' ./package.sh build", "https://ftp.gnu.org/gnu/glibc/"} {
		if !strings.Contains(licences, part) {
			t.Errorf("the licences lack %q", part)
		}
	}
	if info, err := os.Stat(path); err != nil || info.Size() != int64(size) {
		t.Errorf("the size is %d, not %v, %v", size, info, err)
	}
	for file, text := range texts {
		if data, err := os.ReadFile(filepath.Join(target, file)); !strings.HasSuffix(file, "/") && (err != nil || string(data) != text) {
			t.Errorf("the folder differs from the archive in %s: %v", file, err)
		}
	}
	check := exec.Command("sha256sum", "--check", "--strict", "checksums.txt")
	check.Dir = filepath.Join(target, name)
	if out, err := check.CombinedOutput(); err != nil {
		t.Errorf("sha256sum: %v: %s", err, out)
	}
}

// Neither the times of the files nor what an earlier build left changes a byte.
func TestBuildIsReproducible(t *testing.T) {
	root, executables := fixture(t, "read me\n<!-- release notes -->\n")
	archive := func(target string) []byte {
		path, _, err := buildPackage(root, executables, target, nil)
		if err != nil {
			t.Fatal(err)
		}
		data, err := os.ReadFile(path)
		if err != nil {
			t.Fatal(err)
		}
		return data
	}
	target := filepath.Join(root, "target")
	first := archive(target)
	write(t, filepath.Join(target, name, "left"), "over", 0o644)
	if err := os.Chtimes(filepath.Join(root, "README.md"), epoch, epoch); err != nil {
		t.Fatal(err)
	}
	if !bytes.Equal(first, archive(target)) || !bytes.Equal(first, archive(filepath.Join(root, "elsewhere"))) {
		t.Error("the same input gave other bytes")
	}
	if _, err := os.Stat(filepath.Join(target, name, "left")); err == nil {
		t.Error("the folder holds what is not in the archive")
	}
}

func TestBuildRefuses(t *testing.T) {
	root, executables := fixture(t, "read me\n<!-- release notes -->\n")
	file := func(name string, mode os.FileMode) string {
		path := filepath.Join(root, "more", name)
		write(t, path, "x", mode)
		return path
	}
	for want, mapper := range map[string]string{
		"no such file":         filepath.Join(root, "none"),
		"is no executable":     file("data", 0o644),
		"needs a name":         file("my mapper", 0o755),
		"package already uses": file("run.py", 0o755),
		"already uses: rename": file("checksums.txt", 0o755),
	} {
		if _, _, err := buildPackage(root, executables, t.TempDir(), []string{mapper}); err == nil || !strings.Contains(err.Error(), want) {
			t.Errorf("%s: got %v, want %q", mapper, err, want)
		}
	}
	twice := file("mine", 0o755)
	if _, _, err := buildPackage(root, executables, t.TempDir(), []string{twice, twice}); err == nil {
		t.Error("one name was taken twice")
	}
	if _, _, err := buildPackage(root, filepath.Join(root, "more"), t.TempDir(), nil); err == nil || !strings.Contains(err.Error(), "./package.sh build") {
		t.Errorf("without executables: got %v", err)
	}
	write(t, filepath.Join(root, "app/docs/CHANGELOG.md"), "# Changelog\n\n## [1.0.1] - 2026-01-31\n", 0o644)
	if _, _, err := buildPackage(root, executables, t.TempDir(), nil); err == nil || !strings.Contains(err.Error(), "add what is new") {
		t.Errorf("with the changelog of an older version: got %v", err)
	}
	write(t, filepath.Join(root, "install.json"), `{"programVersion":"2.0.0","programName":"x"}`, 0o644)
	if _, _, err := buildPackage(root, executables, t.TempDir(), nil); err == nil || !strings.Contains(err.Error(), "major version") {
		t.Errorf("with another major version: got %v", err)
	}
}
