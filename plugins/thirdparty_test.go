package main

import (
	"context"
	"os"
	"os/exec"
	"path/filepath"
	"regexp"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"
	"github.com/hashicorp/go-hclog"
	"github.com/hashicorp/go-plugin"

	"mssentinel/plugins/mapper"
	"mssentinel/plugins/mapper/mappertest"
)

// The example of the README is built as a module of its own, outside of this repository, and started.
func TestThirdParty(t *testing.T) {
	client := start(t, buildExample(t))
	ctx, cancel := context.WithTimeout(t.Context(), time.Minute)
	defer cancel()
	got, err := client.Describe(ctx)
	want := mapper.Description{Name: "Mutex", Version: "1.0.0", Types: []mapper.Type{{Name: "Mutex", DefaultTTLHours: 720}}}
	if err != nil || !cmp.Equal(got, want) {
		t.Errorf("Describe gave %+v, %v; want %+v", got, err, want)
	}
	answers, err := client.Map(ctx, [][]byte{
		[]byte(`{"type":"Mutex","Mutex":"Global\\Bob's","summary":"Global\\Bob's","ownerName":"Owner"}`),
		[]byte(`{"type":"Mutex","Mutex":"Local\\x","summary":"Local\\x","ownerName":"Owner"}`),
	}, mappertest.Now)
	if err != nil {
		t.Fatal(err)
	}
	if o := answers[0].Objects; len(o) != 1 || o[0].Pattern != `[mutex:name = 'Global\\Bob\'s']` || o[0].Name != `Global\Bob's | Owner` {
		t.Errorf("%+v", answers[0])
	}
	if diff := cmp.Diff(mapper.Problem("a mutex of one session says nothing about others"), answers[1]); diff != "" {
		t.Error(diff)
	}
}

// buildExample follows the README's steps and returns the executable.
func buildExample(t *testing.T) string {
	t.Helper()
	root, err := filepath.Abs("..")
	if err != nil {
		t.Fatal(err)
	}
	readme, err := os.ReadFile("README.md")
	if err != nil {
		t.Fatal(err)
	}
	source := regexp.MustCompile("(?s)```go\n(.*?)```").FindSubmatch(readme)
	sums, err := os.ReadFile(filepath.Join(root, "go.sum"))
	if err != nil || source == nil {
		t.Fatal("no example in the README, or no go.sum", err)
	}
	dir := t.TempDir()
	for name, data := range map[string][]byte{"main.go": source[1], "go.sum": sums} {
		if err := os.WriteFile(filepath.Join(dir, name), data, 0o600); err != nil {
			t.Fatal(err)
		}
	}
	for _, args := range [][]string{
		{"mod", "init", "my-mapper"},
		{"mod", "edit", "-require", "mssentinel@v0.0.0", "-replace", "mssentinel=" + root},
		{"build", "-mod=mod", "-o", "my-mapper", "."},
	} {
		cmd := exec.Command("go", args...)
		cmd.Dir = dir
		cmd.Env = append(os.Environ(), "CGO_ENABLED=0", "GOWORK=off")
		if out, err := cmd.CombinedOutput(); err != nil {
			t.Fatalf("go %v: %v\n%s", args, err, out)
		}
	}
	return filepath.Join(dir, "my-mapper")
}

// start runs an executable as the App would, until the test ends.
func start(t *testing.T, path string) *mapper.Client {
	t.Helper()
	process := plugin.NewClient(&plugin.ClientConfig{
		HandshakeConfig:  mapper.Handshake,
		Plugins:          mapper.Plugins(),
		Cmd:              exec.Command(path),
		AllowedProtocols: []plugin.Protocol{plugin.ProtocolGRPC},
		AutoMTLS:         true,
		Logger:           hclog.NewNullLogger(),
	})
	t.Cleanup(process.Kill)
	protocol, err := process.Client()
	if err != nil {
		t.Fatal(err)
	}
	client, err := protocol.Dispense(mapper.PluginName)
	if err != nil {
		t.Fatal(err)
	}
	return client.(*mapper.Client)
}
