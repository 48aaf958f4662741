package main

import (
	"context"
	"errors"
	"fmt"
	"io"
	"os"
	"path/filepath"
	"slices"
	"sync"
	"text/tabwriter"
	"time"
)

// soakReport is what the App held of the machine over a long time of updates, heartbeats and polls.
type soakReport struct {
	Seconds    float64   `json:"seconds"`
	Updates    int       `json:"updates"`
	Heartbeats int       `json:"heartbeats"`
	Rotations  int       `json:"rotations"` // of the log
	Requests   latencies `json:"requests"`
	// Goroutines when it was at rest: soon after a first update, and in the end.
	GoroutinesBefore int     `json:"goroutines_before"`
	GoroutinesAfter  int     `json:"goroutines_after"`
	Usage            []usage `json:"usage"` // after each round of updates
}

// pollers are the browsers that look on, each about three times a second.
const (
	pollers   = 4
	pollEvery = 300 * time.Millisecond
)

// runSoak has the App do all that it does in a year, for a while, and holds that it takes no more of the machine in the end than
// soon after the beginning.
func runSoak(ctx context.Context, o options, heartbeat time.Duration) (r soakReport, err error) {
	s, err := startService(o, heartbeat)
	if err != nil {
		return r, err
	}
	defer func() { err = errors.Join(err, s.closeService()) }()
	if r.GoroutinesBefore, err = s.countAtRest(ctx); err != nil {
		return r, err
	}
	log := filepath.Join(s.service.Folder(), "log")
	if err := fillLog(log); err != nil {
		return r, err
	}
	if err := turnOn(ctx, s.service); err != nil {
		return r, err
	}
	began, beats := time.Now(), s.service.Status().Received["Heartbeat"]
	requester := newRequester(s.app.url, pollers)
	polling, stop := context.WithCancel(ctx)
	defer stop()
	var group sync.WaitGroup
	group.Go(func() { requester.requestScreens(polling, pollers, pollEvery) })
	for n := 0; time.Since(began) < o.soak || n < 8; n++ {
		if err := s.runRound(ctx, n); err != nil {
			return r, s.explainEnd(fmt.Errorf("after %v: %w", time.Since(began).Round(time.Second), err))
		}
		u, err := s.measureUsage(ctx, began)
		if err != nil {
			return r, err
		}
		r.Usage = append(r.Usage, u)
	}
	stop()
	group.Wait()
	r.Seconds, r.Updates = time.Since(began).Seconds(), len(r.Usage)
	r.Heartbeats = s.service.Status().Received["Heartbeat"] - beats
	rotated, err := filepath.Glob(filepath.Join(log, "*.gz"))
	if err != nil {
		return r, err
	}
	r.Rotations = len(rotated)
	if r.Requests, err = requester.sumLatencies(); err != nil {
		return r, err
	}
	if r.GoroutinesAfter, err = s.countGoroutines(ctx); err != nil {
		return r, err
	}
	return r, r.checkGrowth()
}

// countAtRest counts the goroutines of an App that has done one of each update.
func (s *service) countAtRest(ctx context.Context) (int, error) {
	if err := turnOn(ctx, s.service); err != nil {
		return 0, err
	}
	if err := s.runUpdate(ctx, s.saveQuery); err != nil {
		return 0, err
	}
	return s.countGoroutines(ctx)
}

// runRound changes indicators and has them updated, now and then everything, and has the Cleaner clean.
func (s *service) runRound(ctx context.Context, n int) error {
	if err := s.changeIndicators(); err != nil {
		return err
	}
	mode := "delta"
	switch {
	case n%10 == 9:
		mode = "reconcile"
	case n%5 == 4:
		mode = "full"
	}
	if err := s.runUpdate(ctx, s.submitJob(mode)); err != nil {
		return fmt.Errorf("%s: %w", mode, err)
	}
	return s.runCleaner(ctx)
}

// logSize is that at which the App begins another log.
const logSize = 10 << 20

// fillLog leaves little room in the log, so that it is rotated soon.
func fillLog(dir string) error {
	f, err := os.OpenFile(filepath.Join(dir, "app.log"), os.O_APPEND|os.O_CREATE|os.O_WRONLY, 0o600)
	if err != nil {
		return err
	}
	defer f.Close()
	info, err := f.Stat()
	if err != nil {
		return err
	}
	line := append(make([]byte, 0, 100), fmt.Sprintf("%99s\n", "what stood there before")...)
	for size := info.Size(); size < logSize-1000; size += int64(len(line)) {
		if _, err := f.Write(line); err != nil {
			return err
		}
	}
	return nil
}

// Growth that is none: what a heap, a pool of connections and the log of a database may differ by.
const (
	memorySlack     = 24 << 20
	descriptorSlack = 8
	threadSlack     = 8
	goroutineSlack  = 12
	fileSlack       = 4 // old logs besides, which are bounded by themselves
	diskSlack       = 24 << 20
	lineBytes       = 2 << 10 // of a line on REPORT: most of an indicator is in it
)

// checkGrowth compares the end with the time soon after the beginning: the last quarter with the second one.
func (r soakReport) checkGrowth() error {
	quarter := len(r.Usage) / 4
	early, late := maxUsage(r.Usage[quarter:2*quarter]), maxUsage(r.Usage[len(r.Usage)-quarter:])
	var faults []error
	for _, c := range []struct {
		what                string
		before, after, most int64
	}{
		{"bytes of memory", early.MemoryBytes, late.MemoryBytes, early.MemoryBytes + memorySlack},
		{"bytes of memory", 0, late.MemoryBytes, maxAppBytes},
		{"descriptors", int64(early.Descriptors), int64(late.Descriptors), int64(early.Descriptors) + descriptorSlack},
		{"threads", int64(early.Threads), int64(late.Threads), int64(early.Threads) + threadSlack},
		{"mappers", int64(early.Mappers), int64(late.Mappers), int64(len(types))},
		{"files", int64(early.Files), int64(late.Files), int64(early.Files+r.Rotations) + fileSlack},
		{"bytes on the disk", early.DiskBytes, late.DiskBytes, early.DiskBytes + diskSlack + lineBytes*int64(late.Lines-early.Lines)},
		{"goroutines", int64(r.GoroutinesBefore), int64(r.GoroutinesAfter), int64(r.GoroutinesBefore) + goroutineSlack},
	} {
		if c.after > c.most {
			faults = append(faults, fmt.Errorf("%d %s in the end, before %d: more than %d", c.after, c.what, c.before, c.most))
		}
	}
	if r.Rotations == 0 || r.Heartbeats == 0 {
		faults = append(faults, fmt.Errorf("the log was rotated %d times, and %d heartbeats were answered", r.Rotations, r.Heartbeats))
	}
	return errors.Join(faults...)
}

// maxUsage is the most of each.
func maxUsage(list []usage) (most usage) {
	for _, u := range list {
		most.MemoryBytes, most.DiskBytes = max(most.MemoryBytes, u.MemoryBytes), max(most.DiskBytes, u.DiskBytes)
		most.Descriptors, most.Threads = max(most.Descriptors, u.Descriptors), max(most.Threads, u.Threads)
		most.Mappers, most.Files, most.Lines = max(most.Mappers, u.Mappers), max(most.Files, u.Files), max(most.Lines, u.Lines)
	}
	return most
}

func (r soakReport) printTables(w io.Writer) error {
	fmt.Fprintf(w, "%.0f s: %d updates, %d heartbeats answered, the log rotated %d times, %d goroutines at first and %d in the end\n", r.Seconds, r.Updates, r.Heartbeats,
		r.Rotations, r.GoroutinesBefore, r.GoroutinesAfter)
	fmt.Fprintf(w, "%v\n\n", r.Requests)
	t := tabwriter.NewWriter(w, 0, 0, 2, ' ', tabwriter.AlignRight)
	fmt.Fprintln(t, "after s\tmemory MB\tdescriptors\tthreads\tmappers\tfiles\tdisk MB\tlines on REPORT\t")
	shown := max(1, len(r.Usage)/20)
	for part := range slices.Chunk(r.Usage, shown) {
		u := part[len(part)-1]
		fmt.Fprintf(t, "%.0f\t%.1f\t%d\t%d\t%d\t%d\t%.1f\t%d\t\n", u.At.Seconds(), float64(u.MemoryBytes)/mega, u.Descriptors, u.Threads, u.Mappers, u.Files, float64(u.DiskBytes)/mega, u.Lines)
	}
	return t.Flush()
}
