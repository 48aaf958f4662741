package regular

import (
	"errors"
	"io/fs"
	"os"
	"path/filepath"
	"strings"
	"syscall"
	"testing"
)

func TestRead(t *testing.T) {
	dir := t.TempDir()
	file, pipe, link, none := filepath.Join(dir, "file"), filepath.Join(dir, "pipe"), filepath.Join(dir, "link"), filepath.Join(dir, "none")
	if err := errors.Join(os.WriteFile(file, []byte("12345"), 0o600), syscall.Mkfifo(pipe, 0o600), os.Symlink(file, link)); err != nil {
		t.Fatal(err)
	}
	for name, c := range map[string]struct {
		read func() ([]byte, error)
		says string
	}{
		"a file":                {func() ([]byte, error) { return Read(file, 5) }, ""},
		"one that is too large": {func() ([]byte, error) { return Read(file, 4) }, "is larger than 4 bytes"},
		"a link":                {func() ([]byte, error) { return Read(link, 5) }, ""},
		"a link for our own":    {func() ([]byte, error) { return ReadOwn(link, 5) }, "too many levels of symbolic links"},
		"our own":               {func() ([]byte, error) { return ReadOwn(file, 5) }, ""},
		"a pipe":                {func() ([]byte, error) { return Read(pipe, 5) }, "is no regular file (p---------): put the file itself there"},
		"a folder":              {func() ([]byte, error) { return Read(dir, 5) }, "is no regular file (d---------)"},
		"a device":              {func() ([]byte, error) { return Read("/dev/zero", 5) }, "is no regular file"},
		"nothing":               {func() ([]byte, error) { return Read(none, 5) }, "no such file"},
	} {
		data, err := c.read()
		switch {
		case c.says == "" && (err != nil || string(data) != "12345"):
			t.Errorf("%s: %q, %v", name, data, err)
		case c.says != "" && (err == nil || !strings.Contains(err.Error(), c.says) || data != nil):
			t.Errorf("%s: %q, %v, want %s", name, data, err, c.says)
		}
	}
	if _, err := Open(none); !errors.Is(err, fs.ErrNotExist) {
		t.Error(err)
	}
}
