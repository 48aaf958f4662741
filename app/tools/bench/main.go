// Command bench measures what updates of the packaged App cost, between stand-ins on the same machine that do not slow it
// down: a full update, a second one, a reconcile that finds nothing changed, and a delta update of a few changes, then what the App
// takes while it has nothing to do. With -vs it does so with another package as well, in turn, and compares them. With -screens it
// measures every page through the front of the platform's stand-in beside a full update; with -load many requests come that way at
// once; with -soak the App works for as long as it is told. Code 1 is the end where a page is above its bar, a request is not
// answered, or something grows that must not.
//
//	./package.sh bench -count 100000
//	./package.sh bench -vs OTHER.tcx
//	./package.sh bench -load -count 1000000
//	./package.sh bench -soak 1h
//	./package.sh bench -cpuprofile target/cpu.pprof && go tool pprof -top target/cpu.pprof
//
// Processor time is what to compare: time that passes also depends on the stand-ins, and on who else uses the machine.
package main

import (
	"context"
	"errors"
	"flag"
	"fmt"
	"net"
	"net/http"
	"os"
	"os/signal"
	"runtime/debug"
	"syscall"
	"time"

	"mssentinel/app/standin/sentinelserver"
	"mssentinel/app/standin/tcserver"
)

type options struct {
	app, state string
	population string
	count      int
	sort       string
	limit      int
	changes    int
	rest       time.Duration // how long after the last update that begins
	idle       time.Duration // how long it is watched when it has nothing to do
	json       bool
	cpu, mem   string // files for the App's profiles
	versusOptions
	screenOptions
	loadOptions
}

// garbagePercent is above Go's 100: the stand-ins hold much that lives as long as a run does, and the collector goes through all
// of it on the processors that the App works on. The memory of this process is no measure of anything.
const garbagePercent = 400

func main() {
	debug.SetGCPercent(garbagePercent)
	var o options
	flag.StringVar(&o.app, "app", "target/TCVA_-_Microsoft_Sentinel_v1", "folder of the unpacked package")
	flag.StringVar(&o.state, "state", "", "folder for the App's database and logs, which stay; removed in the end when empty")
	flag.StringVar(&o.population, "population", "", "file of indicators, one JSON object a line, plain or packed by gzip; generated when empty")
	flag.IntVar(&o.count, "count", 100_000, "indicators to generate")
	flag.StringVar(&o.sort, "sort", "", "sort field of the query, such as lastModified; none when empty")
	flag.IntVar(&o.limit, "limit", 0, "requests to Sentinel a minute, 0 for no limit")
	flag.IntVar(&o.changes, "changes", 100, "indicators that change before the delta update")
	flag.DurationVar(&o.rest, "rest", 40*time.Second, "how long after the last update the App is at rest: its mappers have ended, and memory is given back")
	flag.DurationVar(&o.idle, "idle", 45*time.Second, "how long the App is watched from then on, when it has nothing to do")
	flag.BoolVar(&o.json, "json", false, "print JSON")
	flag.StringVar(&o.cpu, "cpuprofile", "", "file for the App's profile of processor time, for go tool pprof; its mappers are not in it")
	flag.StringVar(&o.mem, "memprofile", "", "file for the App's profile of allocations, for go tool pprof")
	addVersusFlags(&o.versusOptions)
	addScreenFlags(&o.screenOptions)
	addLoadFlags(&o.loadOptions)
	flag.Parse()

	ctx, stop := signal.NotifyContext(context.Background(), os.Interrupt, syscall.SIGTERM)
	defer stop()
	if err := runBench(ctx, o); err != nil {
		fmt.Fprintln(os.Stderr, "bench:", err)
		os.Exit(1)
	}
}

// measureApp reads the population, and measures one package with it.
func measureApp(ctx context.Context, o options) (r report, err error) {
	population, err := readPopulation(o)
	if err != nil {
		return r, err
	}
	return measurePackage(ctx, o, population)
}

// measurePackage runs the App from its start to its end, between stand-ins of its own.
func measurePackage(ctx context.Context, o options, population *tcserver.Population) (r report, err error) {
	if o.state == "" {
		if o.state, err = os.MkdirTemp("", "bench"); err != nil {
			return r, err
		}
		defer func() { err = errors.Join(err, os.RemoveAll(o.state)) }()
	}
	b := &bench{options: o, tc: tcserver.New(tcserver.Options{Population: population}), cloud: newSentinel(o)}
	listener, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		return r, err
	}
	server := &http.Server{Handler: b.tc, ReadHeaderTimeout: 10 * time.Second}
	go server.Serve(listener) //nolint:errcheck // the App says it when nobody answers
	defer server.Close()
	endpoint, err := b.cloud.Listen("127.0.0.1:0")
	if err != nil {
		return r, err
	}
	defer func() { err = errors.Join(err, endpoint.Close()) }()
	if b.app, err = startApp(ctx, o, "http://"+listener.Addr().String()+"/api", endpoint.URL); err != nil {
		return r, err
	}
	defer func() { err = errors.Join(err, b.app.stopApp()) }()
	r = report{Indicators: population.Len(), ReadySeconds: b.app.ready.Seconds()}
	if r.Updates, err = b.runUpdates(ctx); err != nil {
		return r, err
	}
	r.Idle, err = b.measureIdle(ctx)
	return r, err
}

// readPopulation gives the same generated indicators at every start.
func readPopulation(o options) (*tcserver.Population, error) {
	if o.population != "" {
		return tcserver.Load(o.population)
	}
	if o.count < 1 {
		return nil, fmt.Errorf("-count %d: use a number from 1", o.count)
	}
	return tcserver.Generate(o.count, 1, time.Date(2026, time.January, 1, 0, 0, 0, 0, time.UTC)), nil
}

func newSentinel(o options) *sentinelserver.Server {
	limit := o.limit
	if limit == 0 {
		limit = sentinelserver.Unlimited
	}
	return sentinelserver.New(sentinelserver.Options{Limit: limit, Workspaces: []string{workspaceID}, Keep: sentinelserver.KeepHashes,
		Apps: []sentinelserver.App{{TenantID: tenantID, ClientID: clientID, ClientSecret: clientSecret}}})
}
