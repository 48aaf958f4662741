package mapping

import (
	"bytes"
	"context"
	"crypto/sha256"
	"encoding/hex"
	"errors"
	"fmt"
	"io"
	"io/fs"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"syscall"

	"mssentinel/app/regular"
)

const (
	// listName names the list of the mappers in a folder, in the form of sha256sum.
	listName = "checksums.txt"
	// maxList bounds that list, in bytes.
	maxList = 1 << 20
	// builtinName is the executable that serves the built-in mappers, each in a process of its own.
	builtinName = "mappers"
)

// executable is a file with a line on the list of its folder.
type executable struct {
	path string
	sum  [sha256.Size]byte
}

// readList returns the executables that a folder's list names, by name. The errors name the remedy.
func readList(dir string) ([]executable, error) {
	path := filepath.Join(dir, listName)
	data, err := regular.Read(path, maxList)
	if err != nil {
		return nil, fmt.Errorf("the list of mappers: %w", err)
	}
	var list []executable
	n := 0
	for line := range strings.Lines(string(data)) {
		n++
		e, err := parseLine(strings.TrimRight(line, "\r\n"))
		if err != nil {
			return nil, fmt.Errorf("line %d of %s: %w; write the list with sha256sum, inside the folder", n, path, err)
		}
		e.path = filepath.Join(dir, e.path)
		if slices.ContainsFunc(list, func(other executable) bool { return other.path == e.path }) {
			return nil, fmt.Errorf("line %d of %s names %s once more; keep one of the lines", n, path, filepath.Base(e.path))
		}
		list = append(list, e)
	}
	slices.SortFunc(list, func(a, b executable) int { return strings.Compare(a.path, b.path) })
	return list, nil
}

// parseLine reads a checksum, a blank, a second one or the star of sha256sum's binary mode, and a plain name.
func parseLine(line string) (executable, error) {
	sum, name, found := strings.Cut(line, " ")
	if !found || len(name) < 2 || name[0] != ' ' && name[0] != '*' {
		return executable{}, errors.New("it is not a checksum and a name")
	}
	e := executable{path: name[1:]}
	if e.path != filepath.Base(e.path) || e.path == "." || e.path == ".." {
		return executable{}, fmt.Errorf("%q is not the name of a file in the folder", e.path)
	}
	if n, err := hex.Decode(e.sum[:], []byte(sum[:min(len(sum), 2*sha256.Size)])); err != nil || n != sha256.Size || len(sum) != 2*sha256.Size {
		return executable{}, errors.New("the checksum is not a SHA-256 in hexadecimal")
	}
	return e, nil
}

// findUnlisted names the executable files of a folder that are not on its list.
func findUnlisted(dir string, list []executable) ([]string, error) {
	entries, err := os.ReadDir(dir)
	if err != nil {
		return nil, fmt.Errorf("looking for mappers: %w", err)
	}
	var paths []string
	for _, entry := range entries {
		path := filepath.Join(dir, entry.Name())
		info, err := os.Stat(path)
		listed := slices.ContainsFunc(list, func(e executable) bool { return e.path == path })
		if err == nil && info.Mode().IsRegular() && info.Mode().Perm()&0o111 != 0 && !listed {
			paths = append(paths, path)
		}
	}
	return paths, nil
}

// prepareFile verifies the executable and returns the path to run it from: its own or, where that cannot be executed,
// that of a copy in the private folder. As with go-plugin's SecureConfig, someone who can write to the folder could
// still exchange the file before it is started; but that person could exchange the list, or the App, as well. The
// checksum finds damage, an interrupted upgrade, and files of people who do not know of the list. It ends with ctx.
func (e executable) prepareFile(ctx context.Context, private string) (string, error) {
	if err := e.verifyFile(ctx, e.path); err != nil {
		return "", err
	}
	if makeRunnable(e.path) {
		return e.path, nil
	}
	path := filepath.Join(private, fmt.Sprintf("%x-%s", e.sum[:4], filepath.Base(e.path)))
	if err := e.verifyFile(ctx, path); err != nil {
		if err := e.copyFile(ctx, path); err != nil {
			return "", fmt.Errorf("%s cannot be executed where it is, and copying it failed: %w", e.path, err)
		}
	}
	if !makeRunnable(path) {
		return "", fmt.Errorf("%s cannot be executed, neither where it is nor in %s: mount one of the two without noexec, or set TMPDIR to a folder that allows execution", e.path, filepath.Dir(private))
	}
	return path, nil
}

// verifyFile compares a file with the checksum of the list.
func (e executable) verifyFile(ctx context.Context, path string) error {
	f, err := regular.Open(path)
	if err != nil {
		return fmt.Errorf("verifying a mapper: %w; install it again", err)
	}
	defer f.Close()
	return e.copyAndCompare(ctx, io.Discard, f)
}

// copyAndCompare copies from one to the other and says whether that was the file that the list means.
func (e executable) copyAndCompare(ctx context.Context, to io.Writer, from *os.File) error {
	h := sha256.New()
	if _, err := io.Copy(io.MultiWriter(h, to), untilDone{ctx, from}); err != nil {
		return fmt.Errorf("verifying a mapper: %w", err)
	}
	if !bytes.Equal(h.Sum(nil), e.sum[:]) {
		return fmt.Errorf("%s is not the file that %s means, its checksum differs: install it again or, if the change is yours, renew its line with sha256sum", e.path, listName)
	}
	return nil
}

// untilDone reads until ctx ends.
type untilDone struct {
	ctx context.Context
	io.Reader
}

func (u untilDone) Read(p []byte) (int, error) {
	if err := u.ctx.Err(); err != nil {
		return 0, err
	}
	return u.Reader.Read(p)
}

// copyFile makes the copy whole or not at all, since several mappers may be started from it at once.
func (e executable) copyFile(ctx context.Context, path string) error {
	from, err := regular.Open(e.path)
	if err != nil {
		return err
	}
	defer from.Close()
	to, err := os.CreateTemp(filepath.Dir(path), "copy")
	if err != nil {
		return err
	}
	defer os.Remove(to.Name()) //nolint:errcheck // nothing is there any more once it was renamed
	if err := errors.Join(e.copyAndCompare(ctx, to, from), to.Chmod(0o500), to.Close()); err != nil {
		return err
	}
	return os.Rename(to.Name(), path)
}

// makeRunnable reports whether a file may be executed by this user, on this mount. Where only the run bits are missing,
// it sets them for all who may read: the platform may lose them when it unpacks a package,
// app/docs/platform.md#right-to-execute.
func makeRunnable(path string) bool {
	const execute = 1
	if syscall.Access(path, execute) == nil {
		return true
	}
	info, err := os.Stat(path)
	if err != nil {
		return false
	}
	run := info.Mode().Perm() | info.Mode().Perm()&0o444>>2 | 0o100
	return os.Chmod(path, run&fs.ModePerm) == nil && syscall.Access(path, execute) == nil
}
