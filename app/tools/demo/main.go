// Command demo shows the product on one machine: the packaged App behind the front of ThreatConnect's stand-in, fed with a
// population of indicators, sending to the stand-in of Microsoft Sentinel. package.sh builds and starts it.
package main

import (
	"context"
	"errors"
	"flag"
	"fmt"
	"log/slog"
	"os"
	"os/signal"
	"path/filepath"
	"strconv"
	"strings"
	"syscall"
	"time"

	"mssentinel/app/standin/sentinelserver"
	"mssentinel/app/standin/tcplatform"
	"mssentinel/app/standin/tcserver"
)

// What the administrator of the demonstration typed in.
const (
	tenantID     = "11111111-2222-4333-8444-555555555555"
	clientID     = "66666666-7777-4888-9999-aaaaaaaaaaaa"
	clientSecret = "stand-in-secret"
	workspaceID  = "bbbbbbbb-cccc-4ddd-8eee-ffffffffffff"
	sourceName   = "Demo"
)

type options struct {
	tcx, layout, state string
	addr               string
	population         string
	count              int
	window             time.Duration
	fresh, off         bool
}

func main() {
	var o options
	flag.StringVar(&o.tcx, "package", "target/TCVA_-_Microsoft_Sentinel_v1.tcx", "package to install")
	flag.StringVar(&o.layout, "layout", "layout.json", "file that groups the parameters on the Services page")
	flag.StringVar(&o.state, "state", ".demo", "folder in which the demonstration goes on at its next start")
	flag.StringVar(&o.addr, "addr", "127.0.0.1:8400", "address of the Services page; port 0 picks a free one")
	flag.StringVar(&o.population, "population", "", "file of indicators, one JSON object a line, plain or packed by gzip; generated when empty")
	flag.IntVar(&o.count, "count", 30_000, "indicators to generate: enough for Sentinel's limit to be seen")
	flag.DurationVar(&o.window, "window", 5*time.Second, "how long Sentinel's minute lasts, 1s to 60s in whole seconds")
	flag.BoolVar(&o.fresh, "fresh", false, "forget what earlier demonstrations left")
	flag.BoolVar(&o.off, "off", false, "leave the Service off, to turn it on by hand")
	flag.Parse()
	if flag.NArg() > 0 {
		fmt.Fprintf(os.Stderr, "demo: %q is no option: -h lists them\n", flag.Arg(0))
		os.Exit(2)
	}

	ctx, stop := signal.NotifyContext(context.Background(), os.Interrupt, syscall.SIGTERM)
	defer stop()
	if err := runDemo(ctx, o); err != nil && ctx.Err() == nil {
		fmt.Fprintln(os.Stderr, "demo:", err)
		os.Exit(1)
	}
}

// runDemo starts everything, waits for ctx to end, and stops everything.
func runDemo(ctx context.Context, o options) (err error) {
	if o.window%time.Second != 0 || o.window < time.Second || o.window > time.Minute {
		return fmt.Errorf("-window %v: use whole seconds from 1s to 60s", o.window)
	}
	unlock, err := lockState(o.state)
	if err != nil {
		return err
	}
	defer func() { err = errors.Join(err, unlock()) }()
	if o.fresh {
		if err := emptyState(o.state); err != nil {
			return err
		}
	}
	cloud, upload, err := startSentinel(o)
	if err != nil {
		return err
	}
	defer func() { err = errors.Join(err, upload.Close()) }()
	p, service, err := startPlatform(o, upload.URL)
	if err != nil {
		return err
	}
	defer func() {
		fmt.Println("Stopping. What was sent stays in " + o.state + "; the next start goes on from there.")
		err = errors.Join(err, p.Close())
	}()
	fmt.Printf("\n  Services page   %s/services\n  The screens     %s/\n\n", p.URL(), service.URL())
	fmt.Printf("  Sentinel's limit of 100 requests a minute counts for every %v here, so that you wait seconds instead of minutes.\n", o.window)
	fmt.Printf("  What people are notified of in ThreatConnect stands at %s/_standin/notifications.\n", p.URL())
	fmt.Printf("  State and logs lie in %s. End with Ctrl-C.\n\n", service.Folder())
	if o.off {
		<-ctx.Done()
		return nil
	}
	if err := service.TurnOn(); err != nil {
		return err
	}
	if err := service.WaitRunning(ctx); err != nil {
		return fmt.Errorf("the Service did not start: %w", err)
	}
	if err := saveQueries(ctx, service.URL()); err != nil {
		return err
	}
	return followJobs(ctx, service.URL(), cloud)
}

const lockFile = "lock"

// lockState keeps a second demonstration off the folder until unlock.
func lockState(state string) (unlock func() error, err error) {
	if err := os.MkdirAll(state, 0o700); err != nil {
		return nil, err
	}
	file, err := os.OpenFile(filepath.Join(state, lockFile), os.O_CREATE|os.O_RDWR, 0o600)
	if err != nil {
		return nil, err
	}
	if err := syscall.Flock(int(file.Fd()), syscall.LOCK_EX|syscall.LOCK_NB); err != nil {
		return nil, errors.Join(fmt.Errorf("another demonstration uses %s: end it, or name another folder with -state", state), file.Close())
	}
	return file.Close, nil
}

// emptyState removes all but the lock.
func emptyState(state string) error {
	entries, err := os.ReadDir(state)
	for _, e := range entries {
		if e.Name() != lockFile {
			err = errors.Join(err, os.RemoveAll(filepath.Join(state, e.Name())))
		}
	}
	return err
}

// startSentinel serves the stand-in of Sentinel with what it held when the demonstration was stopped.
func startSentinel(o options) (*sentinelserver.Server, *sentinelserver.Endpoint, error) {
	s := sentinelserver.New(sentinelserver.Options{
		Apps:       []sentinelserver.App{{TenantID: tenantID, ClientID: clientID, ClientSecret: clientSecret}},
		Workspaces: []string{workspaceID}, Window: o.window, Keep: sentinelserver.KeepObjects,
	})
	if err := s.Journal(filepath.Join(o.state, "sentinel.jsonl")); err != nil {
		return nil, nil, err
	}
	at, err := s.Listen("127.0.0.1:0")
	return s, at, err
}

// startPlatform installs the package and adds the Service, which is off.
func startPlatform(o options, sentinelURL string) (_ *tcplatform.Platform, _ *tcplatform.Service, err error) {
	population, err := readPopulation(o)
	if err != nil {
		return nil, nil, err
	}
	layout, err := os.ReadFile(o.layout)
	if err != nil {
		return nil, nil, err
	}
	fmt.Printf("ThreatConnect holds %d indicators. An update reads each once for every query that selects it.\n", population.Len())
	p, err := tcplatform.Start(tcplatform.Options{
		Addr: o.addr, Dir: filepath.Join(o.state, "platform"), Layout: layout,
		API:    tcserver.New(tcserver.Options{Population: population}),
		Logger: slog.New(slog.NewTextHandler(os.Stderr, &slog.HandlerOptions{Level: slog.LevelWarn})),
		Environ: []string{
			"MS_SENTINEL_AUTHORITY_URL=" + sentinelURL, "MS_SENTINEL_UPLOAD_URL=" + sentinelURL,
			"MS_SENTINEL_LOG_ANALYTICS_URL=" + sentinelURL,
			"MS_SENTINEL_UPLOAD_WINDOW_SECONDS=" + strconv.Itoa(int(o.window.Seconds())),
		},
	})
	if err != nil {
		return nil, nil, err
	}
	app, err := p.Install(o.tcx)
	if err != nil {
		return nil, nil, errors.Join(err, p.Close())
	}
	service, err := p.AddService(app, tcplatform.ServiceOptions{Name: "Microsoft Sentinel - Demo Organization", Parameters: parameters()})
	if err != nil {
		return nil, nil, errors.Join(err, p.Close())
	}
	return p, service, nil
}

// parameters are those without a default.
func parameters() map[string]string {
	values := map[string]string{
		"client_id": clientID, "client_secret": clientSecret, "tenant_id": tenantID, "sentinel_workspace_id": workspaceID,
		"sentinel_source_name": sourceName, "tc_api_access_id": tcserver.DefaultAccessID,
		"tc_api_secret_key": tcserver.DefaultSecretKey, "schedule_interval_hours": "1",
	}
	for _, kind := range []string{"address", "asn", "cidr", "email_address", "email_subject", "file", "host", "registry_key", "url"} {
		values["ttl_hours_"+kind] = "720"
	}
	return values
}

// readPopulation gives the same generated indicators at every start, however much time lies between.
func readPopulation(o options) (*tcserver.Population, error) {
	if o.population != "" {
		return tcserver.Load(o.population)
	}
	if o.count < 1 {
		return nil, fmt.Errorf("-count %d: use a number from 1", o.count)
	}
	began, err := firstStart(filepath.Join(o.state, "began"))
	if err != nil {
		return nil, err
	}
	return tcserver.Generate(o.count, 1, began), nil
}

// firstStart is when the demonstration was started for the first time.
func firstStart(path string) (time.Time, error) {
	text, err := os.ReadFile(path)
	if err == nil {
		return time.Parse(time.RFC3339, strings.TrimSpace(string(text)))
	}
	now := time.Now().UTC().Truncate(time.Second)
	return now, os.WriteFile(path, []byte(now.Format(time.RFC3339)), 0o600)
}
