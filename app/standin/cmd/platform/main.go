// Command platform serves the stand-in of ThreatConnect's platform: it installs a package, offers its Service on the Services
// page, and carries requests to it. What the App asks of the ThreatConnect API goes to another server.
package main

import (
	"context"
	"flag"
	"fmt"
	"log/slog"
	"net/http/httputil"
	"net/url"
	"os"
	"os/signal"
	"strings"
	"syscall"

	"mssentinel/app/standin/tcplatform"
)

func main() {
	if err := runStandin(); err != nil {
		fmt.Fprintln(os.Stderr, "platform:", err)
		os.Exit(1)
	}
}

// pairs collects flags of the form name=value.
type pairs map[string]string

func (p pairs) String() string { return "" }

func (p pairs) Set(text string) error {
	name, value, found := strings.Cut(text, "=")
	if !found {
		return fmt.Errorf("%q is not name=value", text)
	}
	p[name] = value
	return nil
}

func runStandin() error {
	parameters, environ := pairs{}, pairs{}
	var o tcplatform.Options
	tcx := flag.String("package", "target/TCVA_-_Microsoft_Sentinel_v1.tcx", "package to install")
	layout := flag.String("layout", "layout.json", "file that groups the parameters")
	api := flag.String("api", "http://127.0.0.1:8401", "server of the ThreatConnect API, without /api")
	on := flag.Bool("on", false, "turn the Service on")
	flag.StringVar(&o.Addr, "addr", "127.0.0.1:8400", "address to serve on; port 0 picks a free one")
	flag.StringVar(&o.Dir, "dir", "", "folder for what is installed and for the state of the Services; one that is removed at the end")
	flag.BoolVar(&o.Secure, "secure", false, "TLS for broker and store, and a password and a client certificate for the store")
	flag.BoolVar(&o.KeyValueAPI, "key-value-api", false, "offer the key-value store by REST alone")
	flag.Uint64Var(&o.Seed, "seed", 1, "of what varies in the messages")
	flag.Var(parameters, "parameter", "name=value of a parameter; may be repeated")
	flag.Var(environ, "env", "NAME=value for the environment of the App; may be repeated")
	flag.Parse()

	target, err := url.Parse(*api)
	if err != nil {
		return fmt.Errorf("-api: %w", err)
	}
	o.API = &httputil.ReverseProxy{Rewrite: func(r *httputil.ProxyRequest) { r.SetURL(target) }}
	for name, value := range environ {
		o.Environ = append(o.Environ, name+"="+value)
	}
	if o.Layout, err = os.ReadFile(*layout); err != nil {
		return err
	}
	o.Logger = slog.New(slog.NewTextHandler(os.Stderr, nil))
	return serveUntilSignal(o, *tcx, parameters, *on)
}

// serveUntilSignal runs until it is interrupted.
func serveUntilSignal(o tcplatform.Options, tcx string, parameters map[string]string, on bool) error {
	ctx, stop := signal.NotifyContext(context.Background(), os.Interrupt, syscall.SIGTERM)
	defer stop()
	p, err := tcplatform.Start(o)
	if err != nil {
		return err
	}
	defer p.Close()
	app, err := p.Install(tcx)
	if err != nil {
		return err
	}
	service, err := p.AddService(app, tcplatform.ServiceOptions{Parameters: parameters})
	if err != nil {
		return err
	}
	fmt.Printf("Services page: %s/services\nAPI path:      %s\n", p.URL(), service.URL())
	if on {
		if err := service.TurnOn(); err != nil {
			return err
		}
	}
	<-ctx.Done()
	return nil
}
