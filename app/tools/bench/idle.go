package main

import (
	"context"
	"fmt"
	"net/http"
	"path/filepath"
	"time"

	"mssentinel/app/retry"
)

// idle is what the App takes of the machine when it has nothing to do.
type idle struct {
	Seconds      float64 `json:"seconds"`
	CPUSeconds   float64 `json:"cpu_seconds"`
	WrittenBytes int64   `json:"written_bytes"`
	PSSBytes     int64   `json:"pss_bytes"` // of all processes, in the end
	Switches     int64   `json:"switches"`  // how often a thread had waited and was woken
}

var idleMeasures = []measure[idle]{
	{"memory MB", func(i idle) float64 { return float64(i.PSSBytes) / mega }},
	{"CPU ms/s", func(i idle) float64 { return i.CPUSeconds * 1e3 / max(i.Seconds, 1e-3) }},
	{"wake-ups/s", func(i idle) float64 { return float64(i.Switches) / max(i.Seconds, 1e-3) }},
	{"written B/s", func(i idle) float64 { return float64(i.WrittenBytes) / max(i.Seconds, 1e-3) }},
}

// measureIdle watches the App at rest for a while in which nobody asks anything of it.
func (b *bench) measureIdle(ctx context.Context) (i idle, err error) {
	http.DefaultClient.CloseIdleConnections()
	if err := retry.Sleep(ctx, b.rest); err != nil {
		return i, err
	}
	pid := b.app.cmd.Process.Pid
	m := newMeter(pid, "")
	before, woken, began := m.takeSample(), voluntarySwitches(pid), time.Now()
	if err := retry.Sleep(ctx, b.idle); err != nil {
		return i, err
	}
	i.Seconds = time.Since(began).Seconds()
	for thread, n := range voluntarySwitches(pid) {
		i.Switches += n - woken[thread]
	}
	after := m.takeSample()
	i.CPUSeconds, i.WrittenBytes, i.PSSBytes = (after.cpu - before.cpu).Seconds(), after.written-before.written, after.held
	return i, nil
}

// voluntarySwitches are how often each thread of the App and of its mappers has given the processor away to wait, by the place of its
// state in /proc.
func voluntarySwitches(pid int) map[string]int64 {
	counts := map[string]int64{}
	for _, pid := range append([]int{pid}, childProcesses(pid)...) {
		states, _ := filepath.Glob(fmt.Sprintf("/proc/%d/task/*/status", pid)) // the pattern is sound
		for _, path := range states {
			counts[path] = readAmount(path, "voluntary_ctxt_switches:")
		}
	}
	return counts
}
