package pipeline

import (
	"context"
	"errors"
	"fmt"
	"log/slog"
	"os"
	"path/filepath"
	"strconv"
	"strings"
	"sync/atomic"
	"syscall"
	"testing"
	"testing/synctest"
	"time"

	"github.com/mattn/go-sqlite3"

	"mssentinel/app/job"
	"mssentinel/app/standin/sentinelserver"
	"mssentinel/app/standin/tcserver"
	"mssentinel/app/store"
)

// onSmallDisk has the state on a disk of its own, of so many MiB. Who may not mount one passes over the test.
func onSmallDisk(t *testing.T, size int) string {
	t.Helper()
	dir := t.TempDir()
	if err := syscall.Mount("tmpfs", dir, "tmpfs", 0, fmt.Sprintf("size=%dm", size)); err != nil {
		t.Skipf("a disk of its own cannot be had, mounting one takes root: %v", err)
	}
	t.Cleanup(func() {
		if err := syscall.Unmount(dir, 0); err != nil {
			t.Error(err)
		}
	})
	return dir
}

// fillDisk fills a disk to the last byte.
func fillDisk(t *testing.T, dir string) (path string) {
	t.Helper()
	path = filepath.Join(dir, "filler")
	f, err := os.Create(path)
	if err != nil {
		t.Fatal(err)
	}
	defer f.Close()
	for size := 1 << 20; size > 0; size /= 2 {
		for {
			if _, err := f.Write(make([]byte, size)); err != nil {
				break
			}
		}
	}
	return path
}

// A disk that is full while no job is in hand is known by the first write that it does not take, whoever tries that, or by a
// probe; and forgotten soon after it is well again.
func TestAFullDiskWithNoJobInHand(t *testing.T) {
	dir := onSmallDisk(t, 2)
	for name, write := range map[string]func(w *world) error{
		"a job": func(w *world) error {
			for range 50 {
				if _, err := w.p.Submit(w.t.Context(), job.Request{Mode: job.Delta}); err != nil {
					return err
				}
			}
			return nil
		},
		"a save": func(w *world) error {
			_, err := w.store.SaveQueries(w.t.Context(), []store.Query{query(strings.Repeat("x", 1<<18), "Alpha")}, "", job.Delta, "")
			return err
		},
		"a task": func(w *world) error {
			for i := range 50 {
				if err := w.p.PauseTask(w.t.Context(), "cleaner", i%2 == 0); err != nil {
					return err
				}
			}
			return nil
		},
	} {
		t.Run(name, func(t *testing.T) {
			in(t, func(t *testing.T) {
				w := newWorld(t, func(w *world) { w.dir = filepath.Join(dir, name) })
				w.must(w.p.PauseTask(t.Context(), "download", true))
				filler := fillDisk(t, dir)
				if err := write(w); !store.Unavailable(err) {
					t.Fatalf("the error is %v", err)
				}
				if !strings.Contains(w.p.Trouble(), "cannot write its database") {
					t.Errorf("trouble: %q", w.p.Trouble())
				}
				w.must(os.Remove(filler))
				time.Sleep(watchEvery + time.Second)
				if trouble := w.p.Trouble(); trouble != "" {
					t.Error(trouble)
				}
				w.must(write(w))
			})
		})
	}
}

// pageSize is SQLite's: the unit in which the file and its log grow.
const pageSize = 4096

// leaveRoom fills a disk but for so many pages.
func leaveRoom(t *testing.T, dir string, pages int64) (heal func()) {
	t.Helper()
	filler := fillDisk(t, dir)
	info, err := os.Stat(filler)
	if err == nil {
		err = os.Truncate(filler, info.Size()-pages*pageSize)
	}
	if err != nil {
		t.Fatal(err)
	}
	return func() {
		if err := os.Remove(filler); err != nil {
			t.Error(err)
		}
	}
}

// limitFiles has no file of this process grow beyond the size of the log and so many pages. That holds for whatever runs at the
// same time: no test of this package may run beside others.
func limitFiles(t *testing.T, dir string, pages int64) (heal func()) {
	t.Helper()
	info, err := os.Stat(filepath.Join(dir, store.FileName+"-wal"))
	if err != nil {
		t.Fatal(err)
	}
	var before syscall.Rlimit
	if err := syscall.Getrlimit(syscall.RLIMIT_FSIZE, &before); err != nil {
		t.Fatal(err)
	}
	limited := before
	limited.Cur = uint64(info.Size() + pages*pageSize)
	if err := syscall.Setrlimit(syscall.RLIMIT_FSIZE, &limited); err != nil {
		t.Fatal(err)
	}
	return func() {
		if err := syscall.Setrlimit(syscall.RLIMIT_FSIZE, &before); err != nil {
			t.Error(err)
		}
	}
}

// forbidWriting has what is open of the log refuse every write, as when the kernel makes a failing disk read-only.
func forbidWriting(t *testing.T, dir string, _ int64) (heal func()) {
	t.Helper()
	path := filepath.Join(dir, store.FileName+"-wal")
	readOnly, err := os.Open(path)
	if err != nil {
		t.Fatal(err)
	}
	kept := map[int]int{}
	for _, fd := range descriptorsOf(t, path) {
		if fd == int(readOnly.Fd()) {
			continue
		}
		if kept[fd], err = syscall.Dup(fd); err == nil {
			err = syscall.Dup3(int(readOnly.Fd()), fd, syscall.O_CLOEXEC)
		}
		if err != nil {
			t.Fatal(err)
		}
	}
	if len(kept) == 0 {
		t.Fatalf("nobody has %s open", path)
	}
	return func() {
		for fd, was := range kept {
			if err := errors.Join(syscall.Dup3(was, fd, syscall.O_CLOEXEC), syscall.Close(was)); err != nil {
				t.Error(err)
			}
		}
		if err := readOnly.Close(); err != nil {
			t.Error(err)
		}
	}
}

// descriptorsOf are those under which this process has a file open.
func descriptorsOf(t *testing.T, path string) (list []int) {
	t.Helper()
	all, err := os.ReadDir("/proc/self/fd")
	if err != nil {
		t.Fatal(err)
	}
	for _, entry := range all {
		fd, err := strconv.Atoi(entry.Name())
		if target, _ := os.Readlink("/proc/self/fd/" + entry.Name()); err == nil && target == path { // one that is gone has no target
			list = append(list, fd)
		}
	}
	return list
}

// Whichever write is the first that the disk does not take, in whichever step of an update: the update waits and says so, and
// once the disk is well it goes on by itself. Nothing is lost, nothing is sent twice, no update fails.
func TestADiskThatFailsAtAnyWrite(t *testing.T) {
	for name, c := range map[string]struct {
		spoil func(t *testing.T, dir string, pages int64) (heal func())
		small bool // on a disk of its own
	}{
		"full":                  {leaveRoom, true},
		"a limit for each file": {limitFiles, false},
		"read-only":             {forbidWriting, false},
	} {
		t.Run(name, func(t *testing.T) {
			var disk string
			if c.small {
				disk = onSmallDisk(t, 16)
			}
			in(t, func(t *testing.T) {
				w := newWorld(t, func(w *world) {
					if c.small {
						w.dir = disk
					}
				})
				ids := w.fill(400)
				time.Sleep(time.Hour)
				w.done(w.save(job.Full, query("", "Alpha")))
				w.must(w.tc.Inject(tcserver.Fault{Kind: tcserver.Slow, Seconds: 1, Count: -1}))
				w.must(w.far.Inject(sentinelserver.Fault{Kind: sentinelserver.Slow, Seconds: 2, Count: -1}))
				struck := 0
				for n, pages := range []int64{0, 1, 2, 3, 5, 8, 13, 21, 34, 55, 89, 0, 0, 0, 0} {
					if w.updateOnABadDisk(ids[10*n:10*n+150], pages, time.Duration(n)*700*time.Millisecond, func() func() { return c.spoil(t, w.dir, pages) }) {
						struck++
					}
				}
				if struck < 8 {
					t.Errorf("only %d updates met the bad disk", struck)
				}
			})
		})
	}
}

// updateOnABadDisk changes indicators and has them updated, while the disk is bad from some time after the beginning on. It
// says whether the update met that.
func (w *world) updateOnABadDisk(ids []int64, pages int64, after time.Duration, spoil func() (heal func())) (met bool) {
	w.t.Helper()
	time.Sleep(time.Hour)
	for _, id := range ids {
		w.must(w.tc.Modify(id, map[string]any{"confidence": time.Now().Minute(), "rating": pages % 5}))
	}
	time.Sleep(DefaultLag + time.Second)
	before := w.far.Stats().Accepted
	j := w.submit(job.Delta)
	time.Sleep(after)
	heal := spoil()
	time.Sleep(40 * time.Second)
	synctest.Wait()
	met = w.p.Trouble() != ""
	during, err := w.store.Job(w.t.Context(), j.RequestID)
	w.must(err)
	if met && (!strings.Contains(w.p.Trouble(), "cannot write its database") || !during.Status.Active() && during.Status != job.Pending && !during.WasComplete()) {
		w.t.Errorf("%d pages, after %v: the update is %s, and the screens say %q", pages, after, during.Status, w.p.Trouble())
	}
	heal()
	time.Sleep(unavailableRetry + time.Second)
	j = w.done(w.await(j.RequestID))
	if trouble := w.p.Trouble(); trouble != "" {
		w.t.Errorf("still %s", trouble)
	}
	if sent := w.far.Stats().Accepted - before; j.FailureCount > 0 || sent != len(ids) || j.Uploaded != int64(len(ids)) {
		w.t.Errorf("%d pages, after %v: %d failures, %d objects sent, counted %+v", pages, after, j.FailureCount, sent, j.Counts)
	}
	w.check(false)
	return met
}

// However many wait for the disk, the log says once that it takes nothing and once that it is well; the screens say what is wrong now.
func TestADiskThatSeveralWaitFor(t *testing.T) {
	in(t, func(t *testing.T) {
		var log logBuffer
		d := &disk{log: slog.New(slog.NewTextHandler(&log, nil))}
		var fault atomic.Pointer[error]
		spoil := func(err error) { fault.Store(&err) }
		spoil(fmt.Errorf("early: %w", sqlite3.Error{Code: sqlite3.ErrFull}))
		wantSaid := func(troubled, well int) {
			t.Helper()
			said := log.String()
			if strings.Count(said, "cannot be written") != troubled || strings.Count(said, "can be written again") != well {
				t.Errorf("the log says, instead of %d and %d lines:\n%s", troubled, well, said)
			}
		}
		ended := make(chan error, 3)
		for range 3 {
			go func() { ended <- d.retryWrite(t.Context(), func(context.Context) error { return *fault.Load() }) }()
			time.Sleep(time.Second)
			wantSaid(1, 0)
		}
		wantTrouble := func(want string) {
			t.Helper()
			if got := d.describeTrouble(); !strings.Contains(got, want) || got != "" && want == "" {
				t.Errorf("the screens say %q, not %q", got, want)
			}
		}
		wantTrouble("early")
		spoil(fmt.Errorf("late: %w", sqlite3.Error{Code: sqlite3.ErrReadonly}))
		time.Sleep(2 * unavailableRetry)
		wantTrouble("late")
		spoil(nil)
		for n := range 3 {
			if err := <-ended; err != nil {
				t.Error(err)
			}
			wantSaid(1, n/2) // the last one
		}
		wantTrouble("")
	})
}

// A disk that nobody writes to is tried every five minutes, and every time the watchdog looks while it takes nothing.
func TestProbe(t *testing.T) {
	in(t, func(t *testing.T) {
		dir := t.TempDir()
		s, err := store.Open(t.Context(), dir)
		if err != nil {
			t.Fatal(err)
		}
		defer s.Close()
		var log logBuffer
		d := &disk{log: slog.New(slog.NewTextHandler(&log, nil)), store: s, probed: time.Now()}
		probe := func(after time.Duration, troubled bool, said int) {
			t.Helper()
			time.Sleep(after)
			d.probe(t.Context())
			if got := d.describeTrouble(); (got != "") != troubled {
				t.Errorf("the screens say %q", got)
			}
			if lines := strings.Count(log.String(), "\n"); lines != said {
				t.Errorf("the log says\n%s, want %d lines", log.String(), said)
			}
		}
		probe(probeEvery, false, 0)
		heal := forbidWriting(t, dir, 0)
		probe(probeEvery-watchEvery, false, 0) // it is not known yet
		probe(watchEvery, true, 1)
		probe(watchEvery, true, 1)
		over, cancel := context.WithCancel(t.Context())
		cancel()
		d.probe(over)
		heal()
		probe(watchEvery, false, 2)
		probe(probeEvery, false, 2)
		d.probed = time.Time{}
		if d.probe(over); strings.Count(log.String(), "\n") != 2 || !strings.Contains(log.String(), "can be written again") {
			t.Errorf("the log says\n%s", log.String())
		}
	})
}
