package main

import (
	"bytes"
	"cmp"
	"errors"
	"fmt"
	"maps"
	"os"
	"path/filepath"
	"slices"
	"strconv"
	"strings"
	"sync"
	"time"
)

const (
	sampleEvery = 250 * time.Millisecond
	// tick is the unit of times in /proc on Linux, whatever the kernel's own is.
	tick = 10 * time.Millisecond
)

// process is what one process, or several of one name in turn, have used.
type process struct {
	Name       string        `json:"name"`
	CPU        time.Duration `json:"-"`
	CPUSeconds float64       `json:"cpu_seconds"`
	// PeakBytes is the largest resident size since its start, PSSBytes the largest proportional share that was seen.
	PeakBytes int64 `json:"peak_bytes"`
	PSSBytes  int64 `json:"pss_bytes"`
}

// meter watches the App and its mappers.
type meter struct {
	pid    int
	before time.Duration
	after  time.Duration
	start  map[int]time.Duration
	seen   map[int]*process

	ending  chan struct{}
	end     func()
	watcher sync.WaitGroup
}

func startMeter(pid int) *meter {
	m := &meter{pid: pid, start: map[int]time.Duration{}, seen: map[int]*process{}, ending: make(chan struct{})}
	m.end = sync.OnceFunc(func() { close(m.ending) })
	m.before = m.takeSample()
	for pid, p := range m.seen {
		m.start[pid] = p.CPU
	}
	m.watcher.Go(m.watchProcesses)
	return m
}

func (m *meter) watchProcesses() {
	tick := time.NewTicker(sampleEvery)
	defer tick.Stop()
	for {
		select {
		case <-tick.C:
			m.takeSample()
		case <-m.ending:
			m.after = m.takeSample()
			return
		}
	}
}

// stopMeter ends the measurement. It may be called again.
func (m *meter) stopMeter() {
	m.end()
	m.watcher.Wait()
}

// takeSample notes what the processes have used, and returns the sum over all there have been.
func (m *meter) takeSample() (sum time.Duration) {
	for _, pid := range append([]int{m.pid}, childProcesses(m.pid)...) {
		own, ended, err := cpuTimes(pid)
		if err != nil {
			continue // it is gone, and counted among the ended ones of the App
		}
		sum += own
		if pid == m.pid {
			sum += ended
		}
		p := m.seen[pid]
		if p == nil {
			p = &process{Name: processName(pid)}
			m.seen[pid] = p
		}
		p.CPU = own
		p.PeakBytes = max(p.PeakBytes, readMemory(pid, "status", "VmHWM:"))
		p.PSSBytes = max(p.PSSBytes, readMemory(pid, "smaps_rollup", "Pss:"))
	}
	return sum
}

// totalCPU is the processor time of all processes, those that ended on the way included.
func (m *meter) totalCPU() time.Duration { return m.after - m.before }

// sumByName is what the App and each of its mappers used, the most expensive first.
func (m *meter) sumByName() []process {
	byName := map[string]process{}
	for pid, p := range m.seen {
		sum := byName[p.Name]
		sum.Name, sum.CPU = p.Name, sum.CPU+p.CPU-m.start[pid]
		sum.PeakBytes, sum.PSSBytes = max(sum.PeakBytes, p.PeakBytes), max(sum.PSSBytes, p.PSSBytes)
		sum.CPUSeconds = sum.CPU.Seconds()
		byName[p.Name] = sum
	}
	return slices.SortedFunc(maps.Values(byName), func(a, b process) int { return cmp.Compare(b.CPU, a.CPU) })
}

// childProcesses are the processes that a process started and has not waited for yet.
func childProcesses(pid int) (all []int) {
	tasks, _ := filepath.Glob(fmt.Sprintf("/proc/%d/task/*/children", pid)) // the pattern is sound
	for _, path := range tasks {
		text, _ := os.ReadFile(path) // the thread may be gone
		for _, field := range strings.Fields(string(text)) {
			if n, err := strconv.Atoi(field); err == nil {
				all = append(all, n)
			}
		}
	}
	return all
}

// cpuTimes are the processor times of a process and of its children that have ended, proc(5).
func cpuTimes(pid int) (own, ended time.Duration, err error) {
	text, err := os.ReadFile(fmt.Sprintf("/proc/%d/stat", pid))
	if err != nil {
		return 0, 0, err
	}
	// What follows the name, which may contain anything, begins with field 3; utime is field 14.
	fields := strings.Fields(string(text[bytes.LastIndexByte(text, ')')+1:]))
	if len(fields) < 15 {
		return 0, 0, fmt.Errorf("/proc/%d/stat is too short", pid)
	}
	var times [4]time.Duration
	for i := range times {
		n, parseErr := strconv.ParseInt(fields[11+i], 10, 64)
		err = errors.Join(err, parseErr)
		times[i] = time.Duration(n) * tick
	}
	return times[0] + times[1], times[2] + times[3], err
}

// processName is the built-in mapper's, or that of the executable.
func processName(pid int) string {
	text, _ := os.ReadFile(fmt.Sprintf("/proc/%d/cmdline", pid)) // empty for one that is gone
	args := strings.Split(string(text), "\x00")
	if name := filepath.Base(args[0]); name != "mappers" || len(args) < 2 {
		return name
	}
	return args[1]
}

// readMemory reads a size of a file in /proc, in bytes; 0 where it does not stand there.
func readMemory(pid int, file, name string) int64 {
	text, _ := os.ReadFile(fmt.Sprintf("/proc/%d/%s", pid, file))
	for line := range strings.Lines(string(text)) {
		if rest, found := strings.CutPrefix(line, name); found {
			n, _ := strconv.ParseInt(strings.Fields(rest)[0], 10, 64)
			return n << 10
		}
	}
	return 0
}
