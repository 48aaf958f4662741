package mapping

import (
	"errors"
	"io/fs"
	"os"
	"path/filepath"
	"strings"
	"sync"
	"testing"
)

func TestPrivateDir(t *testing.T) {
	parent := t.TempDir()
	abandoned := filepath.Join(parent, privatePrefix+"1")
	other := filepath.Join(parent, "other")
	for _, dir := range []string{filepath.Join(abandoned, "socket"), other} {
		if err := os.MkdirAll(dir, 0o700); err != nil {
			t.Fatal(err)
		}
	}
	if err := os.Symlink(other, filepath.Join(parent, privatePrefix+"2")); err != nil {
		t.Fatal(err)
	}
	first, err := makePrivateDir(parent)
	if err != nil {
		t.Fatal(err)
	}
	second, err := makePrivateDir(parent)
	if err != nil {
		t.Fatal(err)
	}
	if _, err := os.Stat(abandoned); !errors.Is(err, fs.ErrNotExist) {
		t.Errorf("the abandoned folder: %v", err)
	}
	for _, path := range []string{first.path, second.path, other} {
		if info, err := os.Stat(path); err != nil || info.Mode().Perm() != 0o700 {
			t.Errorf("%s: %v", path, err)
		}
	}
	for _, p := range []*privateDir{first, second} {
		if err := p.removeDir(); err != nil {
			t.Error(err)
		}
		if _, err := os.Stat(p.path); !errors.Is(err, fs.ErrNotExist) {
			t.Errorf("%s: %v", p.path, err)
		}
	}
}

// Services that start at the same time in the same folder do not take each other's for abandoned.
func TestPrivateDirsAtOnce(t *testing.T) {
	parent := t.TempDir()
	var starters sync.WaitGroup
	for range 8 {
		starters.Go(func() {
			for range 50 {
				p, err := makePrivateDir(parent)
				if err != nil {
					t.Error(err)
					return
				}
				if _, err := os.Stat(p.path); err != nil {
					t.Error(err)
				}
				if err := p.removeDir(); err != nil {
					t.Error(err)
				}
			}
		})
	}
	starters.Wait()
}

func TestPrivateDirOfALongPath(t *testing.T) {
	parent := filepath.Join(t.TempDir(), strings.Repeat("long", 20))
	if err := os.MkdirAll(parent, 0o700); err != nil {
		t.Fatal(err)
	}
	p, err := makePrivateDir(parent)
	if err != nil {
		t.Fatal(err)
	}
	if len(p.path) > maxPrivate || strings.HasPrefix(p.path, parent) {
		t.Errorf("made %s", p.path)
	}
	if err := p.removeDir(); err != nil {
		t.Error(err)
	}
}

func TestPrivateDirNowhere(t *testing.T) {
	absent := filepath.Join(t.TempDir(), "absent")
	_, err := makePrivateDir(absent)
	if err == nil || !strings.Contains(err.Error(), "set TMPDIR to a folder that is") {
		t.Errorf("got %v", err)
	}
}
