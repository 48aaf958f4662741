package main

import (
	"errors"
	"flag"
	"fmt"
	"io"
	"os"
	"runtime"
	"runtime/pprof"
)

// profiles are the files that get what the process used processor time and memory for; empty names for none. ThreatConnect
// starts the App without them: they are for whoever starts it by hand, such as app/tools/bench.
type profiles struct{ cpu, memory string }

// readProfiles reads the arguments of the command run.
func readProfiles(args []string) (p profiles, err error) {
	flags := flag.NewFlagSet("run", flag.ContinueOnError)
	flags.SetOutput(io.Discard) // the error says it
	flags.StringVar(&p.cpu, "cpuprofile", "", "")
	flags.StringVar(&p.memory, "memprofile", "", "")
	if err := flags.Parse(args); err != nil {
		return p, err
	}
	if flags.NArg() > 0 {
		return p, fmt.Errorf("run takes no argument %q", flags.Arg(0))
	}
	return p, nil
}

// runProfiled runs the Service and returns its exit code. Profiles that cannot be written do not change the code.
func runProfiled(p profiles) int {
	if p.memory == "" {
		runtime.MemProfileRate = 0 // what nobody reads takes 1.6 MB
	}
	stop, err := p.startProfiles()
	if err != nil {
		refuseArguments(err)
	}
	code := runService()
	if err := stop(); err != nil {
		fmt.Fprintln(os.Stderr, "app:", err)
	}
	return code
}

// startProfiles begins the profile of processor time. stop writes both and must be called once.
func (p profiles) startProfiles() (stop func() error, err error) {
	if p.cpu == "" {
		return p.writeMemory, nil
	}
	file, err := os.Create(p.cpu)
	if err != nil {
		return nil, fmt.Errorf("making the profile of processor time: %w", err)
	}
	if err := pprof.StartCPUProfile(file); err != nil {
		return nil, errors.Join(fmt.Errorf("starting the profile of processor time: %w", err), file.Close())
	}
	return func() error {
		pprof.StopCPUProfile()
		return errors.Join(file.Close(), p.writeMemory())
	}, nil
}

// writeMemory writes every allocation since the start of the process and, of them, what is in use now.
func (p profiles) writeMemory() error {
	if p.memory == "" {
		return nil
	}
	file, err := os.Create(p.memory)
	if err != nil {
		return fmt.Errorf("making the profile of memory: %w", err)
	}
	runtime.GC() // so that the figures are up to date
	return errors.Join(pprof.Lookup("allocs").WriteTo(file, 0), file.Close())
}
