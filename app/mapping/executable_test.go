package mapping

import (
	"context"
	"errors"
	"fmt"
	"io/fs"
	"net"
	"os"
	"path/filepath"
	"strings"
	"syscall"
	"testing"
	"time"

	"golang.org/x/sys/unix"
)

func TestReadList(t *testing.T) {
	sum := strings.Repeat("0123456789abcdef", 4)
	for name, c := range map[string]struct{ list, want string }{
		"two, sorted":     {sum + "  b\n" + sum + " *a\n", "a b"},
		"blank in a name": {sum + "  my mapper\n", "my mapper"},
		"empty":           {"", ""},
		"other line ends": {sum + "  a\r\n" + sum + "  b", "a b"},
		"no name":         {sum + "\n", "line 1 of LIST: it is not a checksum and a name; write the list with sha256sum, inside the folder"},
		"empty name":      {sum + "  \n", "line 1 of LIST: it is not a checksum and a name; write the list with sha256sum, inside the folder"},
		"one blank":       {sum + " a\n", "line 1 of LIST: it is not a checksum and a name; write the list with sha256sum, inside the folder"},
		"short checksum":  {sum[:62] + "  a\n", "line 1 of LIST: the checksum is not a SHA-256 in hexadecimal; write the list with sha256sum, inside the folder"},
		"long checksum":   {sum + "ab  a\n", "line 1 of LIST: the checksum is not a SHA-256 in hexadecimal; write the list with sha256sum, inside the folder"},
		"no checksum":     {strings.Repeat("x", 64) + "  a\n", "line 1 of LIST: the checksum is not a SHA-256 in hexadecimal; write the list with sha256sum, inside the folder"},
		"above":           {sum + "  a\n" + sum + "  ../b\n", `line 2 of LIST: "../b" is not the name of a file in the folder; write the list with sha256sum, inside the folder`},
		"the folder":      {sum + "  .\n", `line 1 of LIST: "." is not the name of a file in the folder; write the list with sha256sum, inside the folder`},
		"twice":           {sum + "  a\n" + sum + "  a\n", "line 2 of LIST names a once more; keep one of the lines"},
		"too long a line": {strings.Repeat("x", 1<<17), "line 1 of LIST: it is not a checksum and a name; write the list with sha256sum, inside the folder"},
		"too long":        {strings.Repeat("x", maxList+1), "the list of mappers: LIST is larger than 1048576 bytes"},
	} {
		t.Run(name, func(t *testing.T) {
			dir := t.TempDir()
			path := filepath.Join(dir, listName)
			if err := os.WriteFile(path, []byte(c.list), 0o644); err != nil {
				t.Fatal(err)
			}
			list, err := readList(dir)
			var names []string
			for _, e := range list {
				names = append(names, filepath.Base(e.path))
			}
			got := strings.Join(names, " ")
			if err != nil {
				got = strings.ReplaceAll(err.Error(), path, "LIST")
			}
			if got != c.want {
				t.Errorf("got %q, want %q", got, c.want)
			}
		})
	}
}

// The platform loses run bits when it unpacks a package.
func TestLostRunBit(t *testing.T) {
	dir := folder(t, builtinName)
	path := filepath.Join(dir, builtinName)
	if err := os.Remove(path); err != nil {
		t.Fatal(err)
	}
	copyFile(t, path)
	if err := os.Chmod(path, 0o640); err != nil {
		t.Fatal(err)
	}
	h := openHost(t, Options{Dir: dir}, patient())
	equal(t, mapped(t, h, "host", "a"), []string{"a"})
	info, err := os.Stat(path)
	if err != nil || info.Mode().Perm() != 0o750 {
		t.Errorf("mode %v, %v", info.Mode(), err)
	}
}

// Where a mapper cannot be executed, a verified copy is.
func TestCopy(t *testing.T) {
	dir := folder(t, builtinName)
	path := filepath.Join(dir, builtinName)
	if err := os.Remove(path); err != nil {
		t.Fatal(err)
	}
	sealed(t, path)
	h := openHost(t, Options{Dir: dir}, patient())
	equal(t, mapped(t, h, "host", "a", "exit", "b"), []string{"a", "the mapper builtin host failed on this indicator: it ended (exit status 3)", "b"})
	copies, err := filepath.Glob(filepath.Join(h.private.path, "*-"+builtinName))
	if err != nil || len(copies) != 1 {
		t.Fatalf("copies %v, %v", copies, err)
	}
	for path, want := range map[string]fs.FileMode{copies[0]: 0o500, h.private.path: 0o700 | fs.ModeDir} {
		if info, err := os.Stat(path); err != nil || info.Mode() != want {
			t.Errorf("%s: %v, %v", path, info.Mode(), err)
		}
	}
	// A copy that was damaged, or cleared away, is made anew.
	for _, damage := range []func() error{
		func() error { return os.Remove(copies[0]) },
		func() error { return os.WriteFile(copies[0], nil, 0o500) },
	} {
		mapped(t, h, "host", "exit")
		if err := damage(); err != nil {
			t.Fatal(err)
		}
		equal(t, mapped(t, h, "host", "a"), []string{"a"})
	}
}

func TestNowhereToExecute(t *testing.T) {
	private, dir := t.TempDir(), t.TempDir()
	e := executable{path: filepath.Join(dir, "my-mapper"), sum: checksum(t)}
	sealed(t, e.path)
	sealed(t, filepath.Join(private, fmt.Sprintf("%x-my-mapper", e.sum[:4])))
	_, err := e.prepareFile(t.Context(), private)
	want := e.path + " cannot be executed, neither where it is nor in " + filepath.Dir(private) + ": mount one of the two without noexec, or set TMPDIR to a folder that allows execution"
	if err == nil || err.Error() != want {
		t.Errorf("got %v, want %s", err, want)
	}
}

// sealed puts the test's executable there as a file that cannot be executed, and whose run bits cannot be set: the
// kernel can seal a file in memory like that. To the host it is like one on a mount with noexec.
func sealed(t *testing.T, path string) {
	t.Helper()
	fd, err := unix.MemfdCreate("sealed", unix.MFD_CLOEXEC|unix.MFD_NOEXEC_SEAL)
	if err != nil {
		t.Fatal(err)
	}
	f := os.NewFile(uintptr(fd), "sealed")
	t.Cleanup(func() { f.Close() })
	data, err := os.ReadFile(self(t))
	if err != nil {
		t.Fatal(err)
	}
	if _, err := f.Write(data); err != nil {
		t.Fatal(err)
	}
	if err := os.Symlink(fmt.Sprintf("/proc/%d/fd/%d", os.Getpid(), fd), path); err != nil {
		t.Fatal(err)
	}
}

// What is no file cannot hold up the start, whichever name it takes.
func TestOnlyRegularFilesAreOpened(t *testing.T) {
	makers := map[string]func(path string) error{
		"pipe":   func(path string) error { return syscall.Mkfifo(path, 0o755) },
		"device": func(path string) error { return os.Symlink("/dev/zero", path) },
		"folder": func(path string) error { return os.Mkdir(path, 0o755) },
		"link to a pipe": func(path string) error {
			return errors.Join(syscall.Mkfifo(path+".pipe", 0o755), os.Symlink(path+".pipe", path))
		},
		"socket": func(path string) error {
			l, err := net.Listen("unix", path)
			if err == nil {
				t.Cleanup(func() { l.Close() })
			}
			return err
		},
	}
	began := time.Now()
	extra := t.TempDir()
	for name, make := range makers {
		install(t, extra, name)
		if err := errors.Join(os.Remove(filepath.Join(extra, name)), make(filepath.Join(extra, name))); err != nil {
			t.Fatal(err)
		}
		list := filepath.Join(t.TempDir(), listName)
		if err := make(list); err != nil {
			t.Fatal(err)
		}
		if _, err := readList(filepath.Dir(list)); err == nil {
			t.Errorf("a %s was read as a list", name)
		}
	}
	h := openHost(t, Options{Dir: folder(t, builtinName), ExtraDir: extra}, patient())
	if refused := h.Refused(); len(refused) != len(makers) {
		t.Errorf("refused: %v", refused)
	}
	equal(t, mapped(t, h, "host", "a"), []string{"a"})
	if took := time.Since(began); took > 20*time.Second {
		t.Errorf("it took %s", took)
	}
}

// The check of a file, however long that is, ends when the App is told to end.
func TestVerifyingCanBeInterrupted(t *testing.T) {
	path := filepath.Join(t.TempDir(), "long")
	f, err := os.Create(path)
	if err != nil {
		t.Fatal(err)
	}
	if err := errors.Join(f.Truncate(64<<30), f.Close()); err != nil { // half a minute of reading, and no room on the disk
		t.Fatal(err)
	}
	ctx, cancel := context.WithTimeout(t.Context(), 50*time.Millisecond)
	defer cancel()
	if err := (executable{path: path}).verifyFile(ctx, path); !errors.Is(err, context.DeadlineExceeded) {
		t.Errorf("got %v", err)
	}
}
