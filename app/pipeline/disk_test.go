package pipeline

import (
	"os"
	"path/filepath"
	"strings"
	"syscall"
	"testing"
	"time"

	"mssentinel/app/job"
	"mssentinel/app/store"
)

// onSmallDisk has the state on a disk of 2 MiB of its own. Who may not mount one passes over the test.
func onSmallDisk(t *testing.T) string {
	t.Helper()
	dir := t.TempDir()
	if err := syscall.Mount("tmpfs", dir, "tmpfs", 0, "size=2m"); err != nil {
		t.Skipf("a disk of its own cannot be had: %v", err)
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
	dir := onSmallDisk(t)
	for name, write := range map[string]func(w *world) error{
		"a job": func(w *world) error {
			for range 50 {
				if _, err := w.p.Submit(w.t.Context(), job.Delta); err != nil {
					return err
				}
			}
			return nil
		},
		"a save": func(w *world) error {
			_, err := w.store.SaveQueries(w.t.Context(), []store.Query{query(strings.Repeat("x", 1<<18), "Alpha")}, "", job.Delta)
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
