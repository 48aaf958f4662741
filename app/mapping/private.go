package mapping

import (
	"errors"
	"fmt"
	"os"
	"path/filepath"
	"strings"
	"syscall"
)

const (
	privatePrefix = "msmappers-"
	// maxPrivate bounds the folder's path, in bytes: the kernel takes 107 for a socket, of which the names that
	// go-plugin gives to a mapper's folder and socket take 38.
	maxPrivate = 107 - 38
	// maxTaken is how often another process may take a folder for an abandoned one, between its making and its lock. Many that start at
	// once do so many times.
	maxTaken = 100
)

// privateDir is a folder of this process alone, of mode 0700. A lock on the folder itself tells other processes of the
// App that it is in use; systemd-tmpfiles leaves a locked folder alone as well.
type privateDir struct {
	path string
	lock *os.File
}

// makePrivateDir makes the folder in dir or, if the path would be too long there, in the system's own folder for
// temporary files. What processes of the App left behind when they were killed is removed.
func makePrivateDir(dir string) (*privateDir, error) {
	parent, err := privateParent(dir)
	if err != nil {
		return nil, err
	}
	removeAbandoned(parent)
	for range maxTaken {
		p, err := tryPrivateDir(parent)
		if err != nil || p != nil {
			return p, err
		}
	}
	return nil, fmt.Errorf("another process keeps removing the folders of this one from %s", parent)
}

func privateParent(dir string) (string, error) {
	for _, parent := range []string{dir, os.TempDir(), "/tmp"} {
		if parent == "" {
			continue
		}
		if parent, err := filepath.Abs(parent); err == nil && len(parent)+len("/"+privatePrefix+"4294967295") <= maxPrivate {
			return parent, nil
		}
	}
	return "", errors.New("no folder for temporary files has a path that is short enough for a socket: set TMPDIR to one of at most 40 characters")
}

// tryPrivateDir returns nil when another process took the folder for an abandoned one before it was locked.
func tryPrivateDir(parent string) (*privateDir, error) {
	path, err := os.MkdirTemp(parent, privatePrefix)
	if err != nil {
		return nil, fmt.Errorf("a private folder for the mappers: %w; make %s writable, or set TMPDIR to a folder that is", err, parent)
	}
	lock, err := lockDir(path)
	if errors.Is(err, syscall.EWOULDBLOCK) || errors.Is(err, os.ErrNotExist) {
		return nil, nil
	}
	if err != nil {
		return nil, fmt.Errorf("locking the private folder for the mappers: %w", err)
	}
	if _, err := os.Lstat(path); err != nil {
		return nil, lock.Close()
	}
	return &privateDir{path: path, lock: lock}, nil
}

// lockDir opens and locks a folder of this user. A link is refused: in /tmp anyone can place one.
func lockDir(path string) (*os.File, error) {
	f, err := os.OpenFile(path, os.O_RDONLY|syscall.O_DIRECTORY|syscall.O_NOFOLLOW, 0)
	if err != nil {
		return nil, err
	}
	if err := syscall.Flock(int(f.Fd()), syscall.LOCK_EX|syscall.LOCK_NB); err != nil {
		return nil, errors.Join(err, f.Close())
	}
	return f, nil
}

// removeAbandoned removes the folders that no process holds, as far as it can: a folder that stays costs some space and
// nothing else.
func removeAbandoned(parent string) {
	entries, _ := os.ReadDir(parent)
	for _, entry := range entries {
		if !entry.IsDir() || !strings.HasPrefix(entry.Name(), privatePrefix) {
			continue
		}
		info, err := entry.Info()
		if err != nil || info.Sys().(*syscall.Stat_t).Uid != uint32(os.Getuid()) {
			continue
		}
		path := filepath.Join(parent, entry.Name())
		if lock, err := lockDir(path); err == nil {
			_ = os.RemoveAll(path)
			lock.Close() //nolint:errcheck // was opened to lock
		}
	}
}

func (p *privateDir) removeDir() error {
	if p == nil {
		return nil
	}
	return errors.Join(os.RemoveAll(p.path), p.lock.Close())
}
