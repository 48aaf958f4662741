package main

import (
	"bytes"
	"encoding/json"
	"io/fs"
	"os"
	"os/exec"
	"path/filepath"
	"regexp"
	"slices"
	"strings"
	"testing"
)

// top is what may stand at the top of the repository, beside names that begin with a dot. target is built and ignored.
var top = []string{"app", "plugins", "templates", "install.json", "layout.json", "tcex.json", "package.sh", "go.mod", "go.sum",
	"README.md", "LICENSE", "target"}

func TestTopLevel(t *testing.T) {
	entries, err := os.ReadDir("..")
	if err != nil {
		t.Fatal(err)
	}
	for _, e := range entries {
		if !strings.HasPrefix(e.Name(), ".") && !slices.Contains(top, e.Name()) {
			t.Errorf("%s stands at the top level: put it under app, plugins or templates", e.Name())
		}
	}
}

// leaves stand on nothing and may be imported by all that is shipped.
var leaves = []string{"app/jsonscan", "app/mask", "app/regular", "app/retry", "app/secret", "app/text"}

// arrows are the imports within the module that each package may have, beside the leaves; a trailing * stands for every
// package below.
var arrows = map[string][]string{
	"app":                   {"app/config", "app/doctor", "app/mapping", "app/pipeline", "app/platform", "app/sentinel", "app/store", "app/threatconnect", "app/web"},
	"app/jsonscan":          {},
	"app/mask":              {},
	"app/regular":           {},
	"app/retry":             {},
	"app/secret":            {},
	"app/secret/secrettest": {},
	"app/text":              {},
	"app/config":            {"app/platform", "plugins/builtin"},
	"app/platform":          {},
	"app/stix":              {},
	"app/threatconnect":     {},
	"app/sentinel":          {},
	"app/sentinel/content":  {},
	"app/job":               {},
	"app/ledger":            {"app/job", "app/stix"},
	"app/notification":      {"app/job"},
	"app/store":             {"app/job", "app/ledger", "app/notification", "app/stix"},
	"app/mapping":           {"app/stix", "plugins/mapper", "plugins/builtin"},
	"app/doctor":            {"app/platform", "app/sentinel", "app/stix", "app/threatconnect"},
	"app/pipeline":          {"app/job", "app/ledger", "app/notification", "app/stix", "app/store", "app/threatconnect", "app/sentinel", "app/mapping", "plugins/mapper"},
	"app/web":               {"app/doctor", "app/job", "app/ledger", "app/pipeline", "app/sentinel/content", "app/store", "app/threatconnect", "templates"},
	"templates":             {},
	"templates/stories":     {"templates"},
	"plugins":               {"plugins/*"},
	"plugins/mapper":        {"app/stix", "plugins/mapper/wire"},
	"plugins/mapper/wire":   {},
	"plugins/builtin":       {},
	"plugins/*":             {"plugins/mapper", "app/stix"},
	"app/standin/*":         {"app/standin/*"},
	"app/tools/*":           {"app/standin/*", "app/tools/readme", "plugins/builtin"},
	"app/tools/storybook":   {"templates", "templates/stories"},
	"app/expected":          {},
	"app/e2e":               {"app/expected", "app/standin/*"},
	"app/simulation":        {}, // all of it is test code
}

type listed struct {
	ImportPath string
	Imports    []string
	Deps       []string
}

// list asks the go command about packages of the module.
func list(t *testing.T, args ...string) []listed {
	t.Helper()
	cmd := exec.Command("go", append([]string{"list", "-json=ImportPath,Imports,Deps"}, args...)...)
	cmd.Dir = ".."
	cmd.Stderr = os.Stderr
	out, err := cmd.Output()
	if err != nil {
		t.Fatal(err)
	}
	var all []listed
	for d := json.NewDecoder(bytes.NewReader(out)); d.More(); {
		var p listed
		if err := d.Decode(&p); err != nil {
			t.Fatal(err)
		}
		all = append(all, p)
	}
	return all
}

func TestArrows(t *testing.T) {
	for _, p := range list(t, "./...") {
		name := strings.TrimPrefix(p.ImportPath, "mssentinel/")
		allowed, known := allowedFor(name)
		if !known {
			t.Errorf("%s is no part of the layout: add it to the arrows if it belongs there", name)
			continue
		}
		for _, i := range p.Imports {
			target, ours := strings.CutPrefix(i, "mssentinel/")
			if ours && !slices.Contains(leaves, target) && !slices.ContainsFunc(allowed, func(pattern string) bool { return matches(pattern, target) }) {
				t.Errorf("%s imports %s", name, target)
			}
		}
	}
}

// allowedFor prefers the entry of the package itself over one of a folder above.
func allowedFor(name string) ([]string, bool) {
	if allowed, found := arrows[name]; found {
		return allowed, true
	}
	for _, pattern := range []string{"app/standin/*", "app/tools/*", "plugins/*"} {
		if matches(pattern, name) {
			return arrows[pattern], true
		}
	}
	return nil, false
}

func matches(pattern, name string) bool {
	folder, below := strings.CutSuffix(pattern, "*")
	return name == pattern || below && strings.HasPrefix(name, folder)
}

// The stand-ins must not share a wrong reading of a protocol with the clients, and the package must carry neither them nor the
// made-up data of the stories.
func TestStandinsStandApart(t *testing.T) {
	for _, p := range list(t, "./app", "./plugins") {
		for _, dep := range p.Deps {
			if strings.HasPrefix(dep, "mssentinel/app/standin") || strings.HasPrefix(dep, "mssentinel/templates/stories") {
				t.Errorf("%s links %s", p.ImportPath, dep)
			}
		}
	}
}

// Generated code is committed; what the generators make of its sources today must be the same.
func TestGeneratedCode(t *testing.T) {
	for _, g := range []struct {
		folder, sources, generated string
		command                    []string
	}{
		{"templates", "*.templ", "*_templ.go", []string{"templ", "generate"}},
		{"plugins/mapper/wire", "*.proto", "*.pb.go", []string{"protoc", "--go_out=.", "--go_opt=paths=source_relative",
			"--go-grpc_out=.", "--go-grpc_opt=paths=source_relative", "mapper.proto"}},
	} {
		committed, fresh := filepath.Join("..", g.folder), t.TempDir()
		for name, data := range read(t, committed, g.sources) {
			if err := os.WriteFile(filepath.Join(fresh, name), data, 0o600); err != nil {
				t.Fatal(err)
			}
		}
		cmd := exec.Command(g.command[0], g.command[1:]...)
		cmd.Dir = fresh
		if out, err := cmd.CombinedOutput(); err != nil {
			t.Fatalf("%v (./package.sh test installs what generates the code): %s", err, out)
		}
		want := read(t, fresh, g.generated)
		for name, data := range read(t, committed, g.generated) {
			if !bytes.Equal(data, want[name]) {
				t.Errorf("%s/%s is stale: run %s there", g.folder, name, g.command[0])
			}
			delete(want, name)
		}
		for name := range want {
			t.Errorf("%s/%s is not committed", g.folder, name)
		}
	}
}

// read gives the files of a folder that match the pattern.
func read(t *testing.T, folder, pattern string) map[string][]byte {
	t.Helper()
	names, err := filepath.Glob(filepath.Join(folder, pattern))
	if err != nil || len(names) == 0 {
		t.Fatalf("nothing in %s matches %s (%v)", folder, pattern, err)
	}
	files := map[string][]byte{}
	for _, name := range names {
		data, err := os.ReadFile(name)
		if err != nil {
			t.Fatal(err)
		}
		files[filepath.Base(name)] = data
	}
	return files
}

// A status is changed by a transition of app/job, and is written down in one place.
func TestOnlyTransitionsChangeAStatus(t *testing.T) {
	assigned := regexp.MustCompile(`(?m)^[^/\n]*\b\w+\.Status\b[^=\n:!<>]*[^=\n:!<>]=[^=]`)
	written := regexp.MustCompile(`(?i)\bset\s+status\b|\bstatus\s*=\s*:status`)
	found := 0
	err := filepath.WalkDir("..", func(path string, d fs.DirEntry, err error) error {
		if err != nil || !strings.HasSuffix(path, ".go") || strings.HasSuffix(path, "_test.go") || strings.HasPrefix(path, filepath.Join("..", "app", "job")) {
			return err
		}
		data, err := os.ReadFile(path)
		if err != nil {
			return err
		}
		if bytes.Contains(data, []byte(`"mssentinel/app/job"`)) {
			for _, line := range assigned.FindAll(data, -1) {
				t.Errorf("%s changes a status itself: %s", path, bytes.TrimSpace(line))
			}
		}
		found += len(written.FindAll(data, -1))
		return nil
	})
	if err != nil || found != 1 {
		t.Errorf("a status is written in %d places, want 1 (%v)", found, err)
	}
}
