package mapping

import (
	"os"
	"path/filepath"
	"slices"
	"strings"
	"testing"
	"time"
)

func TestForeignMappers(t *testing.T) {
	dir := folder(t, builtinName, "packaged")
	extra := folder(t, "replacing")
	h := openHost(t, Options{Dir: dir, ExtraDir: extra}, patient())
	if refused := h.Refused(); len(refused) != 0 {
		t.Fatal(refused)
	}
	for name, want := range map[string]struct {
		ttl  time.Duration
		file string
	}{
		"Mutex":   {24 * time.Hour, filepath.Join(dir, "packaged")},
		"Hashtag": {48 * time.Hour, filepath.Join(extra, "replacing")},
		"host":    {0, filepath.Join(extra, "replacing")},
	} {
		if !slices.Contains(h.Types(), Type{Name: name, DefaultTTL: want.ttl}) {
			t.Errorf("%s is not among %v", name, h.Types())
		}
		if s := h.serving[name]; s.description.Name != filepath.Base(want.file) || s.description.Version != "2" || s.file.path != want.file {
			t.Errorf("%s is served by %+v of %s", name, s.description, s.file.path)
		}
	}
	equal(t, mapped(t, h, "Mutex", "a", "exit"), []string{"a", "the mapper packaged failed on this indicator: it ended (exit status 3)"})
	if pid(t, h, "host") != pid(t, h, "Hashtag") {
		t.Error("a mapper runs twice")
	}
}

func TestRefused(t *testing.T) {
	extra := folder(t, "idle", "twice", "nameless", "endless", "timeless", "blank", "old", "newer", "foreign", "chatty", "dead", "changed", "first", "second", "missing")
	link(t, filepath.Join(extra, "stranger"))
	for _, name := range []string{"missing", "changed"} {
		if err := os.Remove(filepath.Join(extra, name)); err != nil {
			t.Fatal(err)
		}
	}
	if err := os.WriteFile(filepath.Join(extra, "changed"), []byte("something else"), 0o755); err != nil {
		t.Fatal(err)
	}
	h := openHost(t, Options{Dir: folder(t, builtinName), ExtraDir: extra}, patient())
	said := map[string]string{}
	for _, r := range h.Refused() {
		if filepath.Dir(r.Path) != extra {
			t.Errorf("%+v: nobody knows which one", r)
		}
		said[filepath.Base(r.Path)] = strings.ReplaceAll(r.Reason, extra+"/", "")
	}
	for name, want := range map[string]string{
		"stranger": "it is on no list: if you trust it, go to its folder and run sha256sum stranger >> checksums.txt",
		"changed":  "changed is not the file that checksums.txt means, its checksum differs: install it again or, if the change is yours, renew its line with sha256sum",
		"missing":  "verifying a mapper: open missing: no such file or directory; install it again",
		"second":   `it takes the type "Mutex", and so does first: remove one of the two`,
		"old":      "it speaks version 0 of the contract, which is older than version 1 of this App: build the mapper anew, against the plugins/mapper of this App",
		"newer":    "it speaks version 2 of the contract, which is newer than version 1 of this App: install a newer App, or build the mapper against the plugins/mapper of this one",
		"foreign":  `it does not speak as a mapper does (unsupported plugin protocol "netrpc". Supported: [grpc]): build it against the plugins/mapper of this App, or as plugins/README.md says for other languages`,
		"chatty":   `it did not serve: before it called mapper.Serve it printed "Welcome!", and nothing may be printed to standard output there`,
		"dead":     "it did not serve: it ended before it called mapper.Serve",
		"idle":     "it takes 0 types: 1 to 100 are possible",
		"twice":    `it takes the type "Mutex" twice`,
		"nameless": `it calls itself "", version "2": both need at most 100 bytes, the name at least one`,
		"endless":  `its time to live for the type "Mutex" is 1048576 hours: 0 to 87600 are possible`,
		"timeless": `the App has no parameter for the time to live of the type "Timeless", so the mapper has to give DefaultTTLHours (default_ttl_hours in mapper.proto)`,
		"blank":    `it takes a type by the name of " ": that needs 1 to 100 bytes and no blanks around them`,
	} {
		if said[name] != want {
			t.Errorf("%s\n got %s\nwant %s", name, said[name], want)
		}
		delete(said, name)
	}
	if len(said) != 0 {
		t.Errorf("refused as well: %v", said)
	}
	if s := h.serving["Mutex"]; s == nil || s.description.Name != "first" {
		t.Errorf("types %v", h.Types())
	}
}

func TestSilentMapper(t *testing.T) {
	h := openHost(t, Options{Dir: folder(t, builtinName)}, patient())
	h.limits.start = 100 * time.Millisecond
	s := h.newSupervisor(executable{path: filepath.Join(folder(t, "stuck"), "stuck"), sum: checksum(t)})
	s.learnDescription(t.Context())
	if s.err == nil || s.err.Error() != "it did not serve: timeout while waiting for plugin to start" {
		t.Errorf("got %v", s.err)
	}
}

func TestRefusedFolder(t *testing.T) {
	dir := folder(t, builtinName)
	for name, want := range map[string]string{
		"absent": "no such file or directory",
		"broken": "line 1 of ",
	} {
		extra := filepath.Join(t.TempDir(), name)
		if name == "broken" {
			if err := os.MkdirAll(extra, 0o755); err != nil {
				t.Fatal(err)
			}
			if err := os.WriteFile(filepath.Join(extra, listName), []byte("?"), 0o644); err != nil {
				t.Fatal(err)
			}
		}
		h := openHost(t, Options{Dir: dir, ExtraDir: extra}, patient())
		if refused := h.Refused(); len(refused) != 1 || !strings.Contains(refused[0].Reason, want) {
			t.Errorf("%s: %v", name, refused)
		}
	}
}

// The App is of no use without the built-in mappers: it says what to do, and does not start.
func TestBuiltinUnusable(t *testing.T) {
	for name, c := range map[string]struct {
		break_ func(dir string) error
		want   string
	}{
		"no list":   {func(dir string) error { return os.Remove(filepath.Join(dir, listName)) }, "install the App's package again"},
		"no line":   {func(dir string) error { return os.WriteFile(filepath.Join(dir, listName), nil, 0o644) }, "does not name mappers, the executable of the built-in mappers; install the App's package again"},
		"no file":   {func(dir string) error { return os.Remove(filepath.Join(dir, builtinName)) }, "install it again"},
		"exchanged": {exchange, "its checksum differs: install it again or"},
	} {
		t.Run(name, func(t *testing.T) {
			dir := folder(t, builtinName)
			if err := c.break_(dir); err != nil {
				t.Fatal(err)
			}
			h, err := openWith(t.Context(), Options{Dir: dir, TempDir: dir}, patient())
			if err == nil {
				t.Fatal(h.Close())
			}
			if !strings.Contains(err.Error(), c.want) {
				t.Errorf("got %q", err)
			}
			if left, _ := filepath.Glob(filepath.Join(dir, privatePrefix+"*")); len(left) != 0 {
				t.Errorf("left behind: %v", left)
			}
		})
	}
}

// exchange puts another file in the place of the mappers.
func exchange(dir string) error {
	path := filepath.Join(dir, builtinName)
	if err := os.WriteFile(path+".new", []byte("#!/bin/sh\n"), 0o755); err != nil {
		return err
	}
	return os.Rename(path+".new", path)
}

// An executable that is exchanged while the App runs is not started any more, and nobody tries to before the next job.
func TestExchangedLater(t *testing.T) {
	dir := folder(t, builtinName)
	h := openHost(t, Options{Dir: dir}, patient())
	if err := exchange(dir); err != nil {
		t.Fatal(err)
	}
	const failed = "the mapper builtin host failed on this indicator: it ended (exit status 3)"
	const refused = "the mapper builtin host cannot be started: DIR/mappers is not the file that checksums.txt means, its checksum differs: install it again or, if the change is yours, renew its line with sha256sum"
	want := strings.ReplaceAll(refused, "DIR", dir)
	equal(t, mapped(t, h, "host", "exit", "a"), []string{want, want})
	equal(t, mapped(t, h, "host", "a"), []string{want})
	if err := os.Remove(filepath.Join(dir, builtinName)); err != nil {
		t.Fatal(err)
	}
	link(t, filepath.Join(dir, builtinName))
	h.StartJob()
	equal(t, mapped(t, h, "host", "a", "exit"), []string{"a", failed})
}
