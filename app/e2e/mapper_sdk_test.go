package e2e

import (
	"bytes"
	"encoding/json"
	"net/http"
	"os"
	"os/exec"
	"path/filepath"
	"regexp"
	"strings"
	"testing"
	"time"

	"mssentinel/app/standin/sentinelserver"
	"mssentinel/app/standin/tcserver"
)

// The page about mappers is followed word by word, outside of this repository: the example in Go is built as a module of its own,
// that in Python by the contract alone, and both pass the check. Then the App serves by each, and tells of what it refuses.
func TestMappersOfThePage(t *testing.T) {
	t.Parallel()
	page := readPage(t)
	goPart, pythonPart, found := strings.Cut(page, "\n## Another language\n")
	if !found {
		t.Fatal("the page has no part about other languages")
	}
	goDir, pythonDir := t.TempDir(), t.TempDir()
	source := regexp.MustCompile("(?s)```go\n(.*?)```").FindStringSubmatch(goPart)
	if source == nil || os.WriteFile(filepath.Join(goDir, "main.go"), []byte(source[1]), 0o600) != nil {
		t.Fatal("no example on the page, or no room for it")
	}
	if err := os.Symlink(pythonEnvironment(t), filepath.Join(pythonDir, "venv")); err != nil {
		t.Fatal(err)
	}
	for dir, part := range map[string]string{goDir: goPart, pythonDir: pythonPart} {
		said := followPage(t, dir, part)
		if !strings.Contains(said, "The App can use this mapper.") || strings.Contains(said, "note ") {
			t.Errorf("the check says\n%s", said)
		}
	}
	if err := os.WriteFile(filepath.Join(pythonDir, "stranger"), []byte("#!/bin/sh\n"), 0o700); err != nil {
		t.Fatal(err)
	}
	serveMutexes(t, goDir, "Mutex", "my-mapper")
	serveMutexes(t, pythonDir, "Mutex in Python", "mutex-mapper", "Refused mappers", "stranger", "It is on no list: if you trust it")
}

func readPage(t *testing.T) string {
	t.Helper()
	page, err := os.ReadFile(filepath.Join("..", "..", "plugins", "README.md"))
	if err != nil {
		t.Fatal(err)
	}
	return string(page)
}

// pythonEnvironment is what the page has one make with pip.
func pythonEnvironment(t *testing.T) string {
	t.Helper()
	python := os.Getenv("MS_SENTINEL_GRPC")
	if python == "" {
		python = filepath.Join("..", "..", ".tools", "grpc", "bin", "python")
	}
	python, err := filepath.Abs(python)
	if err != nil {
		t.Fatal(err)
	}
	if out, err := exec.CommandContext(t.Context(), python, "-c", "import grpc_tools, cryptography").CombinedOutput(); err != nil {
		t.Fatalf("%s has no grpcio-tools and cryptography (%v, %s): run ./package.sh test once, which installs them, or name a Python that has them in MS_SENTINEL_GRPC", python, err, out)
	}
	return filepath.Dir(filepath.Dir(python))
}

// followPage runs the commands of a part of the page in a folder, and gives what they print. Those that install from the
// network are package.sh's.
func followPage(t *testing.T, dir, part string) string {
	t.Helper()
	root, err := filepath.Abs(filepath.Join("..", ".."))
	if err != nil {
		t.Fatal(err)
	}
	script := "set -eu\n"
	for _, block := range regexp.MustCompile("(?s)```sh\n(.*?)```").FindAllStringSubmatch(part, -1) {
		for line := range strings.Lines(block[1]) {
			if !strings.HasPrefix(line, "python3 -m venv ") && !strings.HasPrefix(line, "venv/bin/pip install ") {
				script += line
			}
		}
	}
	script = strings.ReplaceAll(script, "../sentinel-app/target/bin/app", filepath.Join(executables(t), "app"))
	script = strings.ReplaceAll(script, "../sentinel-app", root)
	cmd := exec.CommandContext(t.Context(), "bash", "-c", script)
	cmd.Dir = dir
	cmd.Env = append(os.Environ(), "GOWORK=off", "PYTHONDONTWRITEBYTECODE=1")
	out, err := cmd.CombinedOutput()
	if err != nil {
		t.Fatalf("%v\n%s\nsaid\n%s", err, script, out)
	}
	return string(out)
}

// serveMutexes runs the App with the mappers of a folder: mutexes reach Sentinel, and SETTINGS says by whom.
func serveMutexes(t *testing.T, dir string, shown ...string) {
	t.Helper()
	p := tcserver.Generate(40, 5, time.Now().Add(-time.Hour))
	w := newWorld(t, p, sentinelserver.Options{Limit: sentinelserver.Unlimited, Keep: sentinelserver.KeepObjects})
	owner := p.Owners()[0]
	raw, err := json.Marshal(map[string]any{"type": "Mutex", "Mutex": `Global\Bob's`, "summary": `Global\Bob's`, "ownerName": owner.Name, "ownerId": owner.ID,
		"active": true, "rating": 5, "confidence": 100, "threatAssessScore": 900, "webLink": "https://tc.example/mutex"})
	if err != nil {
		t.Fatal(err)
	}
	if _, err := w.tc.Put(raw); err != nil {
		t.Fatal(err)
	}
	w.env["mapper_dir"] = dir
	a := w.start()
	defer a.stop()
	a.save([]query{{Owners: []string{owner.Name}, Types: []string{"Mutex"}, TQL: `summary startswith "Global"`}})
	a.first().mustComplete(t)
	var sent []byte
	for _, object := range w.cloud.Objects(source) {
		sent = append(sent, object...)
	}
	if pattern := `"[mutex:name = 'Global\\\\Bob\\'s']"`; !bytes.Contains(sent, []byte(pattern)) {
		t.Errorf("Sentinel has no object with the pattern %s: %s", pattern, sent)
	}
	settings, err := a.call(http.MethodGet, "ui/settings", nil)
	if err != nil {
		t.Fatal(err)
	}
	for _, want := range shown {
		if !strings.Contains(string(settings.body), want) {
			t.Errorf("SETTINGS does not show %q", want)
		}
	}
}

// Each of our own mappers passes the check that others have to pass, with the indicators of the guide.
func TestBuiltinMappersPassTheCheck(t *testing.T) {
	t.Parallel()
	guides, err := filepath.Glob(filepath.Join("..", "..", "plugins", "*", "testdata", "guide.json"))
	if err != nil || len(guides) != len(ttlHours) {
		t.Fatal(guides, err)
	}
	dir := executables(t)
	for _, guide := range guides {
		name := filepath.Base(filepath.Dir(filepath.Dir(guide)))
		out, err := exec.CommandContext(t.Context(), filepath.Join(dir, "app"), "mapper", "check", "-indicators", guide, filepath.Join(dir, "mappers"), name).CombinedOutput()
		if err != nil || strings.Contains(string(out), "note ") {
			t.Errorf("%s: %v\n%s", name, err, out)
		}
	}
}
