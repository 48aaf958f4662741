package main

import (
	"bytes"
	"context"
	_ "embed"
	"errors"
	"fmt"
	"os"
	"os/exec"
	"path/filepath"
	"slices"
	"strings"
	"sync"
	"syscall"
	"time"
)

// explainedText lists the mutants that no test kills, each with the reason: file and function, the line before and after, and
// why that is, divided by tabs.
//
//go:embed explained.txt
var explainedText string

// readExplained gives the reasons by [mutant.key].
func readExplained() (map[string]string, error) {
	reasons := map[string]string{}
	for n, line := range strings.Split(explainedText, "\n") {
		if line == "" || strings.HasPrefix(line, "#") {
			continue
		}
		parts := strings.Split(line, "\t")
		if len(parts) != 4 || parts[3] == "" {
			return nil, fmt.Errorf("explained.txt, line %d: it has %d parts, want file and function, before, after, reason", n+1, len(parts))
		}
		reasons[strings.Join(parts[:3], "\t")] = parts[3]
	}
	return reasons, nil
}

// tryMutants runs the tests of each package with each of its mutants.
func (s *settings) tryMutants(ctx context.Context, dir string, packages []string) error {
	reasons, err := readExplained()
	if err != nil {
		return err
	}
	survived := 0
	for n, path := range packages {
		below := filepath.Join(dir, fmt.Sprint(n))
		if err := os.Mkdir(below, 0o700); err != nil {
			return err
		}
		left, err := s.tryPackage(ctx, below, path, reasons)
		if err != nil {
			return err
		}
		survived += left
	}
	if survived > 0 {
		return fmt.Errorf("%d mutants survive: write a test for each, or a line of explained.txt", survived)
	}
	return nil
}

// shortestLimit is how long a test run with a mutant may last at least before it is taken to hang.
const shortestLimit = 30 * time.Second

func (s *settings) tryPackage(ctx context.Context, dir, path string, reasons map[string]string) (survived int, err error) {
	pkg, mutants, err := findMutants(s.root, path)
	if err != nil {
		return 0, err
	}
	changes := make([]change, len(mutants))
	for i, m := range mutants {
		changes[i] = m.change
	}
	fmt.Printf("%s: building its tests with %d mutants\n", path, len(mutants))
	suites, err := s.buildSuites(ctx, dir, pkg, changes)
	if err != nil {
		return 0, err
	}
	began := time.Now()
	ctx, stop := context.WithCancelCause(ctx)
	defer stop(nil)
	var mu sync.Mutex
	var alive []mutant
	explained := 0
	s.eachAtOnce(len(mutants), func(i int) {
		for _, suite := range suites {
			if ctx.Err() != nil {
				return
			}
			killed, err := s.kills(ctx, suite, mutants[i].name)
			if err != nil {
				stop(err)
			}
			if killed {
				return
			}
		}
		mu.Lock()
		defer mu.Unlock()
		if reasons[mutants[i].key()] != "" {
			explained++
			return
		}
		alive = append(alive, mutants[i])
	})
	if ctx.Err() != nil {
		return 0, context.Cause(ctx)
	}
	sortMutants(alive)
	for _, m := range alive {
		fmt.Println("SURVIVED", m)
	}
	fmt.Printf("%s: of %d mutants %d were killed, %d are explained, %d survive (%v)\n", path, len(mutants), len(mutants)-explained-len(alive), explained, len(alive),
		time.Since(began).Round(time.Second))
	return len(alive), nil
}

// suite is tests of one package.
type suite struct {
	pkg, binary string
	args        []string
	// limit is how long they may last with a mutant.
	limit time.Duration
}

// buildSuites builds the tests of the package, and those of the packages of the option -with, which are tried after it.
func (s *settings) buildSuites(ctx context.Context, dir, pkg string, changes []change) (suites []suite, err error) {
	for n, name := range append([]string{pkg + ":" + s.run}, strings.FieldsFunc(s.with, func(r rune) bool { return r == ',' })...) {
		name, tests, _ := strings.Cut(name, ":")
		below := filepath.Join(dir, fmt.Sprint(n))
		if err := os.Mkdir(below, 0o700); err != nil {
			return nil, err
		}
		binary, err := s.buildTest(ctx, below, name, changes)
		if err != nil {
			return nil, err
		}
		one := suite{pkg: name, binary: binary, args: []string{"-test.failfast", "-test.timeout", "10m", "-test.run", tests}}
		if s.drawsCases(name) { // the first case that fails is enough, and the next mutant has nothing of it
			one.args = append(one.args, "-rapid.shrinktime", "0s", "-rapid.nofailfile")
		}
		began := time.Now()
		if said, err := s.runTests(ctx, one, ""); err != nil {
			return nil, fmt.Errorf("the tests of %s fail without a mutant: %w\n%s", name, err, said)
		}
		one.limit = max(shortestLimit, 20*time.Since(began))
		suites = append(suites, one)
	}
	return suites, nil
}

// drawsCases says that tests of a package draw their cases, and shrink those that fail.
func (s *settings) drawsCases(pkg string) bool {
	files, _ := filepath.Glob(filepath.Join(s.root, pkg, "*_test.go"))
	return slices.ContainsFunc(files, func(path string) bool {
		data, err := os.ReadFile(path)
		return err == nil && bytes.Contains(data, []byte(`"pgregory.net/rapid"`))
	})
}

// kills says that a suite fails with a mutant, or comes to no end. Its error says that nothing is known.
func (s *settings) kills(ctx context.Context, one suite, name string) (bool, error) {
	limited, cancel := context.WithTimeout(ctx, one.limit)
	defer cancel()
	_, err := s.runTests(limited, one, name)
	if limited.Err() == nil && wasInterrupted(err) {
		return false, fmt.Errorf("%w: the tests of %s", errInterrupted, one.pkg)
	}
	return err != nil, nil
}

// errInterrupted says that a run was ended by somebody else, and so says nothing.
var errInterrupted = errors.New("a run was ended from outside")

// wasInterrupted says that a process ended by a signal that no fault of its own brings.
func wasInterrupted(err error) bool {
	var exit *exec.ExitError
	if !errors.As(err, &exit) {
		return false
	}
	status, isStatus := exit.Sys().(syscall.WaitStatus)
	return isStatus && status.Signaled() && slices.Contains([]syscall.Signal{syscall.SIGTERM, syscall.SIGKILL, syscall.SIGINT, syscall.SIGHUP}, status.Signal())
}

// runTests runs tests with a mutant in force, "" for none.
func (s *settings) runTests(ctx context.Context, one suite, name string) (said string, err error) {
	run := exec.CommandContext(ctx, one.binary, one.args...)
	run.Dir = filepath.Join(s.root, one.pkg)
	run.Env = append(os.Environ(), switchVariable+"="+name)
	var out bytes.Buffer
	run.Stdout, run.Stderr = &out, &out
	err = run.Run()
	if err != nil && ctx.Err() != nil {
		err = errors.Join(err, ctx.Err())
	}
	return out.String(), err
}
