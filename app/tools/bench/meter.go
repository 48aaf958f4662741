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
	// To add up the share of the App takes a processor about 2 ms, those of nine mappers 5 ms. What the App holds is at its highest for
	// 50 to 150 ms, and a run's figure would be up to 5 % less with a sample every 250 ms. What mappers hold changes slowly: with shares
	// this old the figure is the same to half a megabyte. With ten times as few samples what the App itself takes of the processors is
	// the same, within what differs from run to run.
	sampleEvery      = 100 * time.Millisecond
	mapperShareEvery = 500 * time.Millisecond
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

	share   int64 // the last that was seen
	shareAt time.Time
}

// consumption is what all processes of the App together have used while a meter ran.
type consumption struct {
	CPUSeconds float64 `json:"cpu_seconds"`
	// WrittenBytes is what they had the kernel write to a disk: pages of files that became dirty, each time anew after it was written
	// out, and so none of a file system in memory. What the file system writes for itself, such as its journal, is not in it.
	WrittenBytes int64 `json:"written_bytes"`
	// PSSBytes is the largest sum of their proportional shares, DatabaseBytes the largest size of the database with its log, of all
	// samples.
	PSSBytes      int64 `json:"pss_bytes"`
	DatabaseBytes int64 `json:"database_bytes"`
}

// sample is what the processes have used since they started, those that ended included, and hold together.
type sample struct {
	cpu           time.Duration
	written, held int64
}

// meter watches the App and its mappers.
type meter struct {
	pid      int
	database string // its folder, empty to leave it alone
	before   sample
	after    sample
	start    map[int]time.Duration
	seen     map[int]*process
	held     int64 // at most
	stored   int64

	ending  chan struct{}
	end     func()
	watcher sync.WaitGroup
}

func newMeter(pid int, database string) *meter {
	m := &meter{pid: pid, database: database, start: map[int]time.Duration{}, seen: map[int]*process{}, ending: make(chan struct{})}
	m.end = sync.OnceFunc(func() { close(m.ending) })
	return m
}

// startMeter watches the processes and, where a folder is given, the database in it.
func startMeter(pid int, database string) *meter {
	m := newMeter(pid, database)
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

// takeSample notes what the processes have used. The kernel adds what a process wrote to its parent's account once the parent has
// waited for it, as it does with times, so that nothing is lost where a mapper ends.
func (m *meter) takeSample() (all sample) {
	for _, pid := range append([]int{m.pid}, childProcesses(m.pid)...) {
		folder := fmt.Sprintf("/proc/%d/", pid)
		own, ended, err := cpuTimes(pid)
		if err != nil {
			continue // it is gone, and counted among the ended ones of the App
		}
		all.cpu += own
		if pid == m.pid {
			all.cpu += ended
		}
		all.written += readAmount(folder+"io", "write_bytes:")
		p := m.seen[pid]
		if p == nil {
			p = &process{Name: processName(pid)}
			m.seen[pid] = p
		}
		p.CPU = own
		p.PeakBytes = max(p.PeakBytes, readAmount(folder+"status", "VmHWM:"))
		if pid == m.pid || time.Since(p.shareAt) >= mapperShareEvery {
			p.share, p.shareAt = readAmount(folder+"smaps_rollup", "Pss:"), time.Now()
			p.PSSBytes = max(p.PSSBytes, p.share)
		}
		all.held += p.share
	}
	m.held = max(m.held, all.held)
	if m.database != "" {
		size, _ := databaseBytes(m.database) // whoever needs to know whether it can be read asks by itself
		m.stored = max(m.stored, size)
	}
	return all
}

// sumConsumption is what all processes used, those that ended on the way included.
func (m *meter) sumConsumption() consumption {
	return consumption{CPUSeconds: (m.after.cpu - m.before.cpu).Seconds(), WrittenBytes: m.after.written - m.before.written,
		PSSBytes: m.held, DatabaseBytes: m.stored}
}

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
	// No filepath.Glob, which reads the folder of every thread for this one name: it took as long as all else but the shares.
	threads, _ := os.ReadDir(fmt.Sprintf("/proc/%d/task", pid)) // the process may be gone
	for _, thread := range threads {
		text, _ := os.ReadFile(fmt.Sprintf("/proc/%d/task/%s/children", pid, thread.Name())) // so may the thread
		for _, field := range strings.Fields(string(text)) {
			if n, err := strconv.Atoi(field); err == nil {
				all = append(all, n)
			}
		}
	}
	return all
}

// cpuTimes are the processor times of a process and of its children that have ended.
func cpuTimes(pid int) (own, ended time.Duration, err error) {
	text, err := os.ReadFile(fmt.Sprintf("/proc/%d/stat", pid))
	if err != nil {
		return 0, 0, err
	}
	return parseTimes(text)
}

// parseTimes reads the times of /proc/PID/stat, proc(5).
func parseTimes(text []byte) (own, ended time.Duration, err error) {
	// What follows the name, which may contain anything, begins with field 3; utime is field 14.
	fields := strings.Fields(string(text[bytes.LastIndexByte(text, ')')+1:]))
	if len(fields) < 15 {
		return 0, 0, fmt.Errorf("%q is too short for the state of a process", text)
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

// readAmount reads an amount of a file in /proc; 0 where the process is gone.
func readAmount(path, name string) int64 {
	text, _ := os.ReadFile(path)
	return parseAmount(string(text), name)
}

// parseAmount reads the number of the line that begins with name, in bytes where it stands in kB; 0 where there is no such line.
func parseAmount(text, name string) int64 {
	for line := range strings.Lines(text) {
		rest, found := strings.CutPrefix(line, name)
		if !found {
			continue
		}
		number, kilo := strings.CutSuffix(strings.TrimSpace(rest), " kB")
		n, _ := strconv.ParseInt(number, 10, 64) // 0 for what is no number
		if kilo {
			n <<= 10
		}
		return n
	}
	return 0
}
