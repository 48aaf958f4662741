package platform

import (
	"bytes"
	"os"
	"path/filepath"
	"syscall"
	"testing"
	"testing/synctest"
	"time"
)

// begin starts a run as a process does.
func begin(t *testing.T, dir, version string) *Runs {
	t.Helper()
	r, err := BeginRuns(dir, version)
	if err != nil {
		t.Fatal(err)
	}
	return r
}

// Each run leaves how it ended for the next one, also where it was killed.
func TestRuns(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		dir := t.TempDir()
		r := begin(t, dir, "1.0.2")
		first := r.History()
		if first.Count != 1 || len(first.Before) != 0 || first.ID == "" || first.First != first.Now || first.Now.Version != "1.0.2" {
			t.Errorf("the first run: %+v", first)
		}
		time.Sleep(time.Hour)
		r.Tell(ToldShutdown, "Service disabled\nby user.")
		r.Tell(ToldSignal, "terminated")
		time.Sleep(2 * time.Second)
		if err := r.End(false); err != nil {
			t.Fatal(err)
		}
		time.Sleep(time.Minute)

		second := begin(t, dir, "1.1.0") // and then it is killed: nothing ends it
		h := second.History()
		if last := h.Before[0]; h.ID != first.ID || h.Count != 2 || h.First.Version != "1.0.2" || last.ToldBy != ToldShutdown ||
			last.ToldText != "Service disabled by user." || last.Failed || last.Ended.Sub(last.Told) != 2*time.Second {
			t.Errorf("after an end in order: %+v", h)
		}
		time.Sleep(time.Hour + 3*time.Second)
		second.Tell(ToldShutdown, "")
		time.Sleep(10*time.Second + 100*time.Millisecond)
		killed := time.Now()
		close(second.stop)
		<-second.ended
		time.Sleep(7 * time.Second)

		third := begin(t, dir, "1.1.0")
		if last := third.History().Before[0]; !last.Ended.IsZero() || killed.Sub(last.Alive) > endingEvery || last.Alive.Sub(last.Told) < 9*time.Second {
			t.Errorf("after a kill: %+v", last)
		}
		third.Tell(ToldSignal, "terminated")
		if err := third.End(true); err != nil {
			t.Fatal(err)
		}
		fourth := begin(t, dir, "1.1.0")
		if last := fourth.History().Before[0]; last.ToldBy != ToldSignal || last.ToldText != "terminated" || !last.Failed || last.Ended.IsZero() {
			t.Errorf("after a signal: %+v", last)
		}
		if err := fourth.End(false); err != nil {
			t.Fatal(err)
		}
		for range 30 {
			if err := begin(t, dir, "2.0.0").End(false); err != nil {
				t.Fatal(err)
			}
		}
		last := begin(t, dir, "2.0.0")
		if h := last.History(); h.Count != 35 || len(h.Before) != maxRuns-1 || h.First.Version != "1.0.2" || h.ID != first.ID {
			t.Errorf("after many runs: %+v", h)
		}
		if err := last.End(false); err != nil {
			t.Fatal(err)
		}
		if info, err := os.Stat(filepath.Join(dir, runsFile)); err != nil || info.Mode().Perm() != 0o600 || info.Size() > 8<<10 {
			t.Errorf("the file: %v, %v", info, err)
		}
	})
}

// Whatever stands in the place of the file, a process begins.
func TestBrokenRuns(t *testing.T) {
	for name, put := range map[string]func(path string) error{
		"no JSON":   func(path string) error { return os.WriteFile(path, []byte("{"), 0o600) },
		"too large": func(path string) error { return os.WriteFile(path, bytes.Repeat([]byte(" "), maxBook+1), 0o600) },
		"a pipe":    func(path string) error { return syscall.Mkfifo(path, 0o600) },
		"a link":    func(path string) error { return os.Symlink("/etc/passwd", path) },
	} {
		t.Run(name, func(t *testing.T) {
			dir := t.TempDir()
			if err := put(filepath.Join(dir, runsFile)); err != nil {
				t.Fatal(err)
			}
			r, err := BeginRuns(dir, "1.0.2")
			if h := r.History(); err == nil || h.Count != 1 || len(h.Before) != 0 {
				t.Errorf("%+v, %v", h, err)
			}
			if err := r.End(false); err != nil {
				t.Error(err)
			}
			if h := begin(t, dir, "1.0.2").History(); h.Count != 2 {
				t.Errorf("the next run: %+v", h)
			}
		})
	}
	r, err := BeginRuns(filepath.Join(t.TempDir(), "nowhere"), "1.0.2")
	if err == nil || r.End(false) == nil {
		t.Error("a folder that does not exist keeps a run")
	}
}
