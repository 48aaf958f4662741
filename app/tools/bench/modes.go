package main

import (
	"context"
	"encoding/json"
	"errors"
	"flag"
	"io"
	"os"
	"time"
)

// versusOptions are of the comparison with another package.
type versusOptions struct {
	versus string
	rounds int
}

func addVersusFlags(o *versusOptions) {
	flag.StringVar(&o.versus, "vs", "", "file of another package, .tcx: measure both in turn, and print the ratios of this one's figures to the other's")
	flag.IntVar(&o.rounds, "rounds", 3, "how often each package is measured with -vs")
}

// screenOptions are of the measurement of the screens.
type screenOptions struct {
	screens               bool
	queries, jobs, errors int
	users, visits         int
	pause, bar            time.Duration
	only                  string
	browser               bool
}

func addScreenFlags(o *screenOptions) {
	flag.BoolVar(&o.screens, "screens", false, "measure the screens through the front while a full update runs, instead of updates; with -state the state is built once")
	flag.IntVar(&o.queries, "queries", 500, "of the screens: saved queries")
	flag.IntVar(&o.jobs, "jobs", 500, "of the screens: jobs on JOBS")
	flag.IntVar(&o.errors, "errors", 100_000, "of the screens: lines on REPORT, all of the last day")
	flag.IntVar(&o.users, "users", 4, "of the screens: people who ask at once")
	flag.IntVar(&o.visits, "visits", 200, "of the screens: how often each page is asked for by all of them together")
	flag.DurationVar(&o.pause, "pause", 0, "of the screens: how long each person rests between two pages")
	flag.DurationVar(&o.bar, "bar", 100*time.Millisecond, "of the screens: what the p99 of no page may be above")
	flag.BoolVar(&o.browser, "browser", true, "of the screens: measure in Chromium as well what a press takes, once no update runs")
	flag.StringVar(&o.only, "only", "", "of the screens: measure the pages alone whose names contain this")
}

// loadOptions choose load or a soak instead of updates alone.
type loadOptions struct {
	load     bool
	parallel int // requests under way
	soak     time.Duration
}

func addLoadFlags(o *loadOptions) {
	flag.BoolVar(&o.load, "load", false, "instead of updates alone: many requests at once through the platform's stand-in, beside a full update")
	flag.IntVar(&o.parallel, "parallel", 100, "requests under way with -load")
	flag.DurationVar(&o.soak, "soak", 0, "instead of updates alone: updates, heartbeats and polls for so long, such as 1h, and nothing may grow")
}

// printable is what a measurement gives.
type printable interface{ printTables(w io.Writer) error }

// runBench measures what the options ask for, and prints it. It fails where a screen is above its bars.
func runBench(ctx context.Context, o options) error {
	r, err := chooseMeasurement(ctx, o)
	if err != nil {
		return err
	}
	if o.json {
		err = json.NewEncoder(os.Stdout).Encode(r)
	} else {
		err = r.printTables(os.Stdout)
	}
	if s, ok := r.(screenReport); ok {
		err = errors.Join(err, s.checkBars())
	}
	return err
}

func chooseMeasurement(ctx context.Context, o options) (printable, error) {
	switch {
	case o.versus != "":
		return measureVersus(ctx, o)
	case o.screens:
		return measureScreens(ctx, o)
	case o.load:
		return measureLoad(ctx, o)
	case o.soak > 0:
		return runSoak(ctx, o, 0)
	}
	return measureApp(ctx, o)
}
