// Package regular reads files, and nothing but files: a pipe in the place of one would keep the reader waiting for its
// other end, a device could be endless.
package regular

import (
	"errors"
	"fmt"
	"io"
	"os"
	"syscall"
)

// Open opens a file to read. A path that leads to something else than a file is an error that says so.
func Open(path string) (*os.File, error) { return open(path, 0) }

// Read reads a file of at most limit bytes; a longer one is an error.
func Read(path string, limit int64) ([]byte, error) { return read(path, limit, 0) }

// ReadOwn is [Read] of a file that we wrote ourselves: a symbolic link in its place is not followed.
func ReadOwn(path string, limit int64) ([]byte, error) { return read(path, limit, syscall.O_NOFOLLOW) }

func open(path string, flags int) (*os.File, error) {
	f, err := os.OpenFile(path, os.O_RDONLY|syscall.O_NONBLOCK|flags, 0)
	if err != nil {
		return nil, err
	}
	info, err := f.Stat()
	if err == nil && !info.Mode().IsRegular() {
		err = fmt.Errorf("%s is no regular file (%s): put the file itself there", path, info.Mode().Type())
	}
	if err != nil {
		return nil, errors.Join(err, f.Close())
	}
	return f, nil
}

func read(path string, limit int64, flags int) ([]byte, error) {
	f, err := open(path, flags)
	if err != nil {
		return nil, err
	}
	defer f.Close()
	data, err := io.ReadAll(io.LimitReader(f, limit+1))
	if err == nil && int64(len(data)) > limit {
		err = fmt.Errorf("%s is larger than %d bytes", path, limit)
	}
	if err != nil {
		return nil, err
	}
	return data, nil
}
