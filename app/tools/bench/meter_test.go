package main

import (
	"fmt"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"syscall"
	"testing"
	"time"
)

func TestAmounts(t *testing.T) {
	const (
		status = "Name:\tapp\nVmPeak:\t  1867 kB\nVmHWM:\t   60312 kB\nvoluntary_ctxt_switches:\t417\nnonvoluntary_ctxt_switches:\t9\n"
		rollup = "00400000-7fff000 ---p 00000000 00:00 0    [rollup]\nRss:               55064 kB\nPss:               33001 kB\nPss_Dirty:          9000 kB\n"
		io     = "rchar: 782765318\nwchar: 406046499\nread_bytes: 1\nwrite_bytes: 472817664\ncancelled_write_bytes: 110194688\n"
	)
	for _, c := range []struct {
		text, name string
		want       int64
	}{
		{status, "VmHWM:", 60312 << 10},
		{status, "voluntary_ctxt_switches:", 417},
		{status, "VmSwap:", 0},
		{rollup, "Pss:", 33001 << 10},
		{io, "write_bytes:", 472817664},
		{"write_bytes: 7", "write_bytes:", 7}, // cut off
		{"write_bytes:", "write_bytes:", 0},
		{"write_bytes: many\n", "write_bytes:", 0},
		{"", "Pss:", 0},
	} {
		if got := parseAmount(c.text, c.name); got != c.want {
			t.Errorf("%s of %q: %d instead of %d", c.name, c.text, got, c.want)
		}
	}
}

func TestTimes(t *testing.T) {
	const rest = " S 1 2 3 0 -1 4194560 100 200 0 0 120 30 500 70 20 0 12 0 88 0"
	for _, c := range []struct {
		text       string
		own, ended time.Duration
		fails      bool
	}{
		{"17 (app)" + rest, 1500 * time.Millisecond, 5700 * time.Millisecond, false},
		{"17 (a) R (p 9)" + rest, 1500 * time.Millisecond, 5700 * time.Millisecond, false},
		{"17 (app) S 1 2", 0, 0, true},
		{"", 0, 0, true},
		{strings.Replace("17 (app)"+rest, " 120 ", " x ", 1), 300 * time.Millisecond, 5700 * time.Millisecond, true},
	} {
		own, ended, err := parseTimes([]byte(c.text))
		if own != c.own || ended != c.ended || (err != nil) != c.fails {
			t.Errorf("%q: %v, %v, %v", c.text, own, ended, err)
		}
	}
}

// onDisk is whether the folders of tests are on a disk: what is written to a file system in memory is counted nowhere.
func onDisk(t *testing.T) bool {
	var info syscall.Statfs_t
	if err := syscall.Statfs(t.TempDir(), &info); err != nil {
		t.Fatal(err)
	}
	const tmpfs = 0x01021994
	return info.Type != tmpfs
}

// What a process wrote is counted after its end too, between two samples.
func TestEndedProcessCounts(t *testing.T) {
	if !onDisk(t) {
		t.Skip("TMPDIR is in memory, of which the system counts no bytes written: set it to a folder on a disk")
	}
	m := newMeter(os.Getpid(), "")
	before := m.takeSample()
	script := fmt.Sprintf("head -c %d /dev/zero >%s", 3*mega, filepath.Join(t.TempDir(), "file"))
	if err := exec.CommandContext(t.Context(), "sh", "-c", script).Run(); err != nil {
		t.Fatal(err)
	}
	if got := m.takeSample().written - before.written; got < 3*mega {
		t.Errorf("%d bytes were counted", got)
	}
}

// Threads of the App and of its mappers count.
func TestSwitchesOfAllThreads(t *testing.T) {
	child := exec.CommandContext(t.Context(), "cat")
	input, err := child.StdinPipe()
	if err != nil {
		t.Fatal(err)
	}
	if err := child.Start(); err != nil {
		t.Fatal(err)
	}
	counts := voluntarySwitches(os.Getpid())
	var own int64
	for path, n := range counts {
		if strings.HasPrefix(path, fmt.Sprintf("/proc/%d/", os.Getpid())) {
			own += n
		}
	}
	if _, found := counts[fmt.Sprintf("/proc/%d/task/%[1]d/status", child.Process.Pid)]; !found || own <= 0 {
		t.Errorf("got %v", counts)
	}
	input.Close()
	if err := child.Wait(); err != nil {
		t.Error(err)
	}
}
