// Command threatconnect serves the stand-in of ThreatConnect's REST API.
package main

import (
	"context"
	"encoding/json"
	"errors"
	"flag"
	"fmt"
	"net"
	"net/http"
	"os"
	"os/signal"
	"strings"
	"syscall"
	"time"

	"mssentinel/app/standin/tcserver"
)

func main() {
	if err := runStandin(); err != nil {
		fmt.Fprintln(os.Stderr, "threatconnect:", err)
		os.Exit(1)
	}
}

func runStandin() error {
	var o tcserver.Options
	var user tcserver.User
	addr := flag.String("addr", "127.0.0.1:8401", "address to serve on; port 0 picks a free one")
	population := flag.String("population", "", "file of indicators, one JSON object a line, plain or packed by gzip; generated when empty")
	count := flag.Int("count", tcserver.DefaultCount, "indicators to generate")
	flag.Uint64Var(&o.Seed, "seed", 1, "of the generated indicators and of faults that strike at random")
	now := flag.String("now", "", "end of the two years in which indicators are generated, as 2026-01-02T03:04:05Z; the current time when empty")
	flag.StringVar(&user.AccessID, "access-id", tcserver.DefaultAccessID, "Access ID of the API user")
	flag.StringVar(&user.SecretKey, "secret-key", tcserver.DefaultSecretKey, "its Secret Key")
	tokens := flag.String("token", "", "tokens that are valid, separated by commas")
	owners := flag.Int("owners", 0, "owners without indicators to add")
	flag.StringVar(&o.LinkBase, "link-base", "", "scheme and host of the links to other pages, when another than that of the request")
	flag.BoolVar(&o.ClampLimit, "clamp-limit", false, "read a resultLimit above 10,000 as 10,000 instead of refusing it")
	flag.IntVar(&o.LinkLimit, "link-limit", 1, "levels below a field that fields may name, -1 for none")
	flag.BoolVar(&o.StatusKeepsLastModified, "status-keeps-last-modified", false, "a change of active leaves lastModified alone")
	flag.BoolVar(&o.DeletedShowsAdded, "deleted-shows-added", false, "dateAdded of a deleted indicator is when it was added")
	flag.BoolVar(&o.NoBody, "no-body", false, "do not understand parameters in a JSON body")
	flag.BoolVar(&o.RefuseNotifications, "refuse-notifications", false, "answer each notification with 403, as for an API user without the role for it")
	flag.BoolVar(&o.TrailingBlank, "trailing-blank", false, "write a blank behind lastModified in every seventh indicator")
	addUnknowns(&o.Unknowns)
	faults := flag.String("faults", "", `faults from the start, as JSON: [{"kind":"status","status":503,"count":3}]`)
	flag.Parse()

	err := checkUnknowns(o.Unknowns)
	if err != nil {
		return err
	}
	if o.Population, err = readPopulation(*population, *count, o.Seed, *now); err != nil {
		return err
	}
	o.Users = []tcserver.User{user}
	o.MoreOwners = tcserver.ManyOwners(*owners)
	if *tokens != "" {
		o.Tokens = strings.Split(*tokens, ",")
	}
	standin := tcserver.New(o)
	if err := injectFaults(standin, *faults); err != nil {
		return err
	}
	return serveUntilInterrupted(*addr, standin, o.Population.Len())
}

func readPopulation(path string, count int, seed uint64, now string) (*tcserver.Population, error) {
	if path != "" {
		return tcserver.Load(path)
	}
	if count < 0 {
		return nil, fmt.Errorf("-count %d: use a number from 0", count)
	}
	end := time.Now()
	if now != "" {
		var err error
		if end, err = time.Parse(time.RFC3339, now); err != nil {
			return nil, fmt.Errorf("-now: %w", err)
		}
	}
	return tcserver.Generate(count, seed, end), nil
}

func injectFaults(standin *tcserver.Server, faults string) error {
	if faults == "" {
		return nil
	}
	var list []tcserver.Fault
	if err := json.Unmarshal([]byte(faults), &list); err != nil {
		return fmt.Errorf("-faults: %w", err)
	}
	for _, f := range list {
		if err := standin.Inject(f); err != nil {
			return fmt.Errorf("-faults: %w", err)
		}
	}
	return nil
}

// serveUntilInterrupted serves the stand-in until an interrupt or SIGTERM.
func serveUntilInterrupted(addr string, standin *tcserver.Server, count int) error {
	ctx, stop := signal.NotifyContext(context.Background(), os.Interrupt, syscall.SIGTERM)
	defer stop()
	listener, err := net.Listen("tcp", addr)
	if err != nil {
		return fmt.Errorf("listening: %w (is another one running? choose another -addr)", err)
	}
	fmt.Printf("ThreatConnect stand-in with %d indicators on http://%s/api\n", count, listener.Addr())
	server := &http.Server{Handler: standin, ReadHeaderTimeout: 10 * time.Second}
	served := make(chan error, 1)
	go func() { served <- server.Serve(listener) }()
	select {
	case err := <-served:
		return err
	case <-ctx.Done():
	}
	standin.Close()
	limited, cancel := context.WithTimeout(context.Background(), 5*time.Second)
	defer cancel()
	if err := server.Shutdown(limited); err != nil && !errors.Is(err, context.DeadlineExceeded) {
		return err
	}
	<-served //nolint:errcheck // http.ErrServerClosed
	return nil
}
