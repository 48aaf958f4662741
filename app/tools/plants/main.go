// Command plants shows that the tests are awake: it plants faults into the product, one after the other, and says which seed of the
// simulation finds each (app/docs/architecture.md#planted-faults); or it changes every condition, number and statement of packages
// and says which changes their tests let pass. The product's files stay as they are: the go command is given others in their place.
package main

import (
	"context"
	"errors"
	"flag"
	"fmt"
	"os"
	"os/exec"
	"os/signal"
	"path/filepath"
	"strings"
	"syscall"
)

// settings are the options of the command.
type settings struct {
	root     string
	seeds    int // 0 for as many as each plant has
	jobs     int
	parallel int
	mutate   bool
	run      string
	with     string
	list     bool
}

func main() {
	var s settings
	flag.IntVar(&s.seeds, "seeds", 0, "try so many seeds for each plant; 0 for as many as it has to be found within")
	flag.IntVar(&s.jobs, "jobs", 1, "how many plants, or mutants, are tried at once")
	flag.IntVar(&s.parallel, "parallel", 2, "how many seeds of a plant run at once")
	flag.BoolVar(&s.list, "list", false, "list the plants and end")
	flag.BoolVar(&s.mutate, "mutate", false, "mutate the packages that are named, such as app/job, and run their own tests")
	flag.StringVar(&s.run, "run", "", "with -mutate: run only these tests, as -run of go test has it")
	flag.StringVar(&s.with, "with", "", "with -mutate: try what survives on the tests of these packages, divided by commas; after a colon as -run")
	flag.Usage = func() {
		fmt.Fprintf(flag.CommandLine.Output(), "usage: plants [options] [NAME ...]\n       plants -mutate [options] PACKAGE ...\n")
		flag.PrintDefaults()
	}
	flag.Parse()
	ctx, stop := signal.NotifyContext(context.Background(), os.Interrupt, syscall.SIGTERM)
	defer stop()
	if err := s.carryOut(ctx, flag.Args()); err != nil {
		fmt.Fprintln(os.Stderr, "plants:", err)
		os.Exit(1)
	}
}

func (s *settings) carryOut(ctx context.Context, names []string) error {
	module, err := exec.CommandContext(ctx, "go", "env", "GOMOD").Output()
	if err != nil {
		return fmt.Errorf("looking for the repository: %w", err)
	}
	s.root = filepath.Dir(strings.TrimSpace(string(module)))
	dir, err := os.MkdirTemp("", "plants-")
	if err != nil {
		return err
	}
	defer os.RemoveAll(dir) //nolint:errcheck // a folder for a while
	switch {
	case s.mutate && len(names) == 0:
		return errors.New("name the packages to be mutated, such as app/job")
	case s.mutate:
		return s.tryMutants(ctx, dir, names)
	}
	chosen, err := choosePlants(names)
	if err != nil {
		return err
	}
	if s.list {
		for _, p := range chosen {
			fmt.Printf("%-34s %-32s within %3d seeds: %s\n", p.name, p.file, p.seeds, p.breaks)
		}
		return nil
	}
	return s.tryPlants(ctx, dir, chosen)
}

// buildTest builds the test binary of a package with changes behind their switches.
func (s *settings) buildTest(ctx context.Context, dir, pkg string, changes []change) (string, error) {
	overlay, err := writeOverlay(s.root, dir, changes)
	if err != nil {
		return "", err
	}
	path := filepath.Join(dir, filepath.Base(pkg)+".test")
	// Vet may object to what a change makes of a condition.
	build := exec.CommandContext(ctx, "go", "test", "-c", "-vet=off", "-overlay", overlay, "-ldflags", "-s -w", "-o", path, "./"+pkg)
	build.Dir = s.root
	if said, err := build.CombinedOutput(); err != nil {
		return "", fmt.Errorf("building %s with the changes: %w\n%s", pkg, err, said)
	}
	return path, nil
}
