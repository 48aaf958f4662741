package main

import (
	"bufio"
	"context"
	"errors"
	"fmt"
	"io"
	"os"
	"os/exec"
	"path/filepath"
	"regexp"
	"slices"
	"strings"
	"sync"
	"time"
)

// plant is a fault that a hand might make, and that the simulation finds.
type plant struct {
	name, file string
	// find stands exactly once in the file, in the body of a function or in the value of a variable.
	find, replace string
	breaks        string // what is wrong with it
	seeds         int    // it is found within the seeds from 1 to this one
}

func allPlants() []plant {
	return slices.Concat(jobPlants, ledgerPlants, storePlants, pipelinePlants, sentinelPlants, threatConnectPlants)
}

// choosePlants are those with these names, all for none.
func choosePlants(names []string) ([]plant, error) {
	all := allPlants()
	if len(names) == 0 {
		return all, nil
	}
	var chosen []plant
	for _, name := range names {
		i := slices.IndexFunc(all, func(p plant) bool { return p.name == name })
		if i < 0 {
			return nil, fmt.Errorf("there is no plant %q: -list lists them", name)
		}
		chosen = append(chosen, all[i])
	}
	return chosen, nil
}

// locate is the plant as a change of the source.
func (p plant) locate(root string) (change, error) {
	data, err := os.ReadFile(filepath.Join(root, p.file))
	if err != nil {
		return change{}, fmt.Errorf("plant %s: %w", p.name, err)
	}
	if n := strings.Count(string(data), p.find); n != 1 {
		return change{}, fmt.Errorf("plant %s: its text stands %d times in %s, want once: adapt it to the source", p.name, n, p.file)
	}
	at := strings.Index(string(data), p.find)
	return change{p.name, p.file, at, at + len(p.find), p.replace}, nil
}

// tryPlants runs the simulation with each plant and prints which seed finds it.
func (s *settings) tryPlants(ctx context.Context, dir string, plants []plant) error {
	changes := make([]change, len(plants))
	for i, p := range plants {
		var err error
		if changes[i], err = p.locate(s.root); err != nil {
			return err
		}
	}
	fmt.Printf("Building the simulation with %d plants\n", len(plants))
	binary, err := s.buildTest(ctx, dir, "app/simulation", changes)
	if err != nil {
		return err
	}
	var print sync.Mutex
	var missed []string
	s.eachAtOnce(len(plants), func(i int) {
		p := plants[i]
		if s.seeds > 0 {
			p.seeds = s.seeds
		}
		began := time.Now()
		f, err := s.findPlant(ctx, binary, dir, p)
		print.Lock()
		defer print.Unlock()
		switch took := time.Since(began).Round(time.Second); {
		case ctx.Err() != nil:
		case err != nil:
			missed = append(missed, p.name)
			fmt.Printf("MISSED %-34s %v (%v)\n", p.name, err, took)
		default:
			fmt.Printf("found  %-34s by seed %3s (%v): %s\n", p.name, f.seed, took, f.text)
		}
	})
	switch {
	case ctx.Err() != nil:
		return context.Cause(ctx)
	case len(missed) > 0:
		return fmt.Errorf("%d of %d plants were not found: %s", len(missed), len(plants), strings.Join(missed, ", "))
	}
	fmt.Printf("All %d plants were found.\n", len(plants))
	return nil
}

// eachAtOnce calls work for 0 to n-1, as many at once as the option says.
func (s *settings) eachAtOnce(n int, work func(int)) {
	free := make(chan struct{}, max(1, s.jobs))
	var all sync.WaitGroup
	for i := range n {
		free <- struct{}{}
		all.Go(func() {
			defer func() { <-free }()
			work(i)
		})
	}
	all.Wait()
}

// finding is how a plant was found: the first word of the text is the promise that was broken.
type finding struct{ seed, text string }

// errNotFound says that no seed failed.
var errNotFound = errors.New("every seed passes")

// findPlant runs seeds until the first one fails. One that fails without the plant, too, finds nothing.
func (s *settings) findPlant(ctx context.Context, binary, dir string, p plant) (finding, error) {
	f, err := s.runSeeds(ctx, binary, dir, p.name, "-seeds", fmt.Sprint(p.seeds))
	if err != nil || f.seed == "" {
		return f, err
	}
	switch _, err := s.runSeeds(ctx, binary, dir, "", "-first", f.seed, "-seeds", "1"); {
	case err == nil:
		return f, fmt.Errorf("seed %s fails, and without the plant, too", f.seed)
	case !errors.Is(err, errNotFound):
		return f, err
	}
	return f, nil
}

// runSeeds runs seeds with a plant in force, "" for none, until the first one fails.
func (s *settings) runSeeds(ctx context.Context, binary, dir, name string, seeds ...string) (finding, error) {
	ctx, cancel := context.WithCancel(ctx)
	defer cancel()
	files, err := os.MkdirTemp(dir, "run-")
	if err != nil {
		return finding{}, err
	}
	defer os.RemoveAll(files) //nolint:errcheck // a folder for a while
	run := exec.CommandContext(ctx, binary, append([]string{"-test.run", "^TestSimulation$", "-test.v", "-test.timeout", "0",
		"-test.parallel", fmt.Sprint(s.parallel), "-shrink", "0"}, seeds...)...)
	run.Dir = filepath.Join(s.root, "app", "simulation")
	run.Env = append(os.Environ(), switchVariable+"="+name, "TMPDIR="+files)
	out, in := io.Pipe()
	run.Stdout, run.Stderr = in, in
	if err := run.Start(); err != nil {
		return finding{}, err
	}
	ended := make(chan error, 1)
	go func() {
		ended <- run.Wait()
		in.Close() //nolint:errcheck // a pipe in memory
	}()
	f := readFinding(out)
	cancel()
	io.Copy(io.Discard, out) //nolint:errcheck // until the process has ended
	switch err := <-ended; {
	case f.text != "" || err == nil:
	case wasInterrupted(err):
		return f, fmt.Errorf("%w: the simulation with the plant %s", errInterrupted, name)
	default:
		f.text = "end: the process failed: " + err.Error()
	}
	if f.text == "" {
		return f, errNotFound
	}
	return f, nil
}

var (
	running     = regexp.MustCompile(`^=== \w+ +TestSimulation/(\d+)`)
	failureText = regexp.MustCompile(`^\s+simulation_test\.go:\d+: ([a-z-]+: .*)`)
	panicText   = regexp.MustCompile(`^(panic|fatal error): `)
	panicSeed   = regexp.MustCompile(`^\{"seed":(\d+),`)
)

// longestText is how much of what a check says is printed, in bytes.
const longestText = 200

// readFinding reads what the simulation prints up to the first failure; the zero finding for none.
func readFinding(out io.Reader) (f finding) {
	lines := bufio.NewScanner(out)
	lines.Buffer(nil, 16<<20)
	present, crashed := "", false
	for lines.Scan() {
		line := lines.Text()
		if m := running.FindStringSubmatch(line); m != nil {
			present = m[1]
		} else if m := failureText.FindStringSubmatch(line); m != nil && !crashed {
			return finding{present, m[1][:min(len(m[1]), longestText)]}
		} else if panicText.MatchString(line) && !crashed {
			f.text, crashed = "end: "+line, true
		} else if m := panicSeed.FindStringSubmatch(line); m != nil && crashed {
			f.seed = m[1]
		}
	}
	return f
}
