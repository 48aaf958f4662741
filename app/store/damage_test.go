package store

import (
	"database/sql"
	"errors"
	"fmt"
	"os"
	"path/filepath"
	"strings"
	"syscall"
	"testing"
	"time"

	"mssentinel/app/job"
)

// copied is a folder with a file of the state in it, cut to a length; the whole file where that is negative.
func copied(t *testing.T, content []byte, name string, length int) (dir string) {
	t.Helper()
	if length >= 0 {
		content = content[:length]
	}
	dir = t.TempDir()
	if err := os.WriteFile(filepath.Join(dir, name), content, 0o600); err != nil {
		t.Fatal(err)
	}
	return dir
}

// A database that was cut short, wherever, is refused and left as it is. Only one of no length at all, as a first start that was
// killed leaves it, begins anew.
func TestTruncatedAnywhere(t *testing.T) {
	f := newFixture(t)
	f.fill(300)
	f.do(f.Close())
	whole, err := os.ReadFile(filepath.Join(f.dir, FileName))
	f.do(err)
	const page = 4096
	var lengths []int
	for n := 1; n*page < len(whole); n += 3 {
		lengths = append(lengths, n*page, n*page+1)
	}
	lengths = append(lengths, 1, 15, 99, 100, 101, page-1, len(whole)-1, len(whole)-2, len(whole)-page, len(whole)-page+1)
	for _, length := range lengths {
		dir := copied(t, whole, FileName, length)
		s, err := Open(ctx(), dir)
		if err == nil {
			err = s.Close()
			t.Errorf("opened with %d of %d bytes, closed: %v", length, len(whole), err)
			continue
		}
		if !strings.Contains(err.Error(), "damaged") || !strings.Contains(err.Error(), "restore it from a backup") {
			t.Errorf("%d bytes: %v", length, err)
		}
		if left, err := os.ReadFile(filepath.Join(dir, FileName)); err != nil || len(left) != length {
			t.Errorf("%d bytes became %d, %v", length, len(left), err)
		}
	}
	s, err := Open(ctx(), copied(t, whole, FileName, 0))
	f.do(err)
	f.do(s.Close())
}

// A file that was cut within its last page is left to SQLite and its log, when that is long enough to mend it, and refused else. It
// may have been written anew with other pages than ours.
func TestTruncatedBesideALog(t *testing.T) {
	f := newFixture(t)
	f.fill(300)
	f.do(f.Close())
	path := filepath.Join(f.dir, FileName)
	for _, page := range []int{512, 4096, 1 << 16} {
		db, err := sql.Open("sqlite3", path)
		f.do(err)
		f.do(second(db.Exec(fmt.Sprint(`PRAGMA journal_mode = DELETE; PRAGMA page_size = `, page, `; VACUUM`))))
		f.do(db.Close())
		whole, err := os.ReadFile(path)
		f.do(err)
		if len(whole)%page != 0 {
			t.Fatalf("%d bytes in pages of %d", len(whole), page)
		}
		for _, c := range []struct {
			lost, log int // the bytes that the file lost, and those of its log, -1 for none
			opened    bool
		}{{0, -1, true}, {0, 100, true}, {2, -1, false}, {2, 0, false}, {2, 1, false}, {2, 511, false}, {2, 512, true}, {page / 2, -1, false}} {
			for _, suffix := range []string{"-wal", "-journal"} {
				dir := copied(t, whole, FileName, len(whole)-c.lost)
				if c.log >= 0 {
					f.do(os.WriteFile(filepath.Join(dir, FileName+suffix), make([]byte, c.log), 0o600))
				}
				s, err := Open(ctx(), dir)
				if err == nil {
					f.do(s.Close())
				}
				if (err == nil) != c.opened || err != nil && !strings.Contains(err.Error(), "not whole pages") {
					t.Errorf("pages of %d, without the last %d bytes, beside %d bytes of %s: %v", page, c.lost, c.log, suffix, err)
				}
			}
		}
	}
}

// A log that was cut short, as when the machine lost its power, gives back a state that there was: the transactions up to some
// point, and none of those behind it.
func TestTruncatedLog(t *testing.T) {
	f := newFixture(t)
	f.do(f.Close())
	f.open()
	const jobs = 12
	for n := range jobs {
		f.do(second(f.AddJob(ctx(), job.Request{Type: job.AdHoc, Mode: job.Delta, From: f.now.Add(-time.Duration(n+1) * time.Hour), To: f.now}, f.now)))
	}
	database, err := os.ReadFile(filepath.Join(f.dir, FileName))
	f.do(err)
	log, err := os.ReadFile(filepath.Join(f.dir, FileName+"-wal"))
	f.do(err)
	found := map[int64]bool{}
	for length := 0; length <= len(log); length += 3999 {
		dir := copied(t, database, FileName, -1)
		f.do(os.WriteFile(filepath.Join(dir, FileName+"-wal"), log[:length], 0o600))
		s, err := Open(ctx(), dir)
		if err != nil {
			t.Errorf("%d of %d bytes: %v", length, len(log), err)
			continue
		}
		_, n, err := s.Jobs(ctx(), JobFilter{})
		if err != nil {
			t.Errorf("%d of %d bytes: %v", length, len(log), err)
		}
		found[n] = true
		f.do(s.Close())
	}
	if len(found) < jobs/2 || !found[0] {
		t.Errorf("found as many jobs: %v", found)
	}
}

// readOnlyFolder is a folder with a database in which nothing can be written: on a disk of its own for who may write everywhere.
func readOnlyFolder(t *testing.T) (dir string) {
	t.Helper()
	dir = t.TempDir()
	mounted := os.Geteuid() == 0
	if mounted {
		if err := syscall.Mount("tmpfs", dir, "tmpfs", 0, "size=2m"); err != nil {
			t.Skipf("a disk of its own cannot be had, mounting one takes root: %v", err)
		}
		t.Cleanup(func() {
			if err := syscall.Unmount(dir, 0); err != nil {
				t.Error(err)
			}
		})
	}
	s, err := Open(ctx(), dir)
	if err == nil {
		err = s.Close()
	}
	if err == nil && mounted {
		err = syscall.Mount("", dir, "", syscall.MS_REMOUNT|syscall.MS_RDONLY, "")
	} else if err == nil {
		err = errors.Join(os.Chmod(filepath.Join(dir, FileName), 0o400), os.Chmod(filepath.Join(dir, lockName), 0o400), os.Chmod(dir, 0o500))
		t.Cleanup(func() { _ = os.Chmod(dir, 0o700) })
	}
	if err != nil {
		t.Fatal(err)
	}
	return dir
}

// A start where nothing can be written says so, and is no first run.
func TestOpenReadOnly(t *testing.T) {
	s, err := Open(ctx(), readOnlyFolder(t))
	if err == nil {
		t.Fatalf("opened, closed: %v", s.Close())
	}
	if !strings.Contains(err.Error(), "writable for this user") {
		t.Error(err)
	}
}

// A start on a disk that is full says so. Where the little that a start writes still fits, it starts, and what is written later
// waits for the disk.
func TestOpenOnAFullDisk(t *testing.T) {
	if os.Geteuid() != 0 {
		t.Skip("a disk of its own cannot be had, mounting one takes root")
	}
	dir := t.TempDir()
	if err := syscall.Mount("tmpfs", dir, "tmpfs", 0, "size=3m"); err != nil {
		t.Skipf("a disk of its own cannot be had, mounting one takes root: %v", err)
	}
	t.Cleanup(func() {
		if err := syscall.Unmount(dir, 0); err != nil {
			t.Error(err)
		}
	})
	filler := filepath.Join(dir, "filler")
	started := 0
	for pages := range 60 {
		state := filepath.Join(dir, fmt.Sprint("state", pages%2))
		if pages < 2 { // one state was there before the disk was full, the other is to be made
			s, err := Open(ctx(), filepath.Join(dir, "state0"))
			if err == nil {
				err = s.Close()
			}
			if err != nil {
				t.Fatal(err)
			}
		}
		if err := os.RemoveAll(filepath.Join(dir, "state1")); err != nil {
			t.Fatal(err)
		}
		fill(t, filler, int64(pages/2)*4096)
		s, err := Open(ctx(), state)
		if err == nil {
			started++
			err = s.Close()
		}
		if err != nil && !strings.Contains(err.Error(), "no space left") && !strings.Contains(err.Error(), "disk is full") && !Unavailable(err) {
			t.Errorf("%s with %d pages to spare: %v", state, pages/2, err)
		}
		if err := os.Remove(filler); err != nil {
			t.Fatal(err)
		}
	}
	if started == 0 {
		t.Error("none was started")
	}
	s, err := Open(ctx(), filepath.Join(dir, "state0"))
	if err == nil {
		err = s.Close()
	}
	if err != nil {
		t.Errorf("with room again: %v", err)
	}
}

// fill leaves so many bytes of a disk.
func fill(t *testing.T, path string, spare int64) {
	t.Helper()
	file, err := os.Create(path)
	if err != nil {
		t.Fatal(err)
	}
	defer file.Close()
	var size int64
	for n, err := file.Write(make([]byte, 4096)); err == nil; n, err = file.Write(make([]byte, 4096)) {
		size += int64(n)
	}
	if err := file.Truncate(max(size-spare, 0)); err != nil {
		t.Fatal(err)
	}
}
