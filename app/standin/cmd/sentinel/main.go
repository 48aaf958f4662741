// Command sentinel serves the stand-in of Microsoft Sentinel and its login on one address.
package main

import (
	"context"
	"flag"
	"fmt"
	"net/http"
	"os"
	"os/signal"
	"strings"
	"syscall"

	"mssentinel/app/standin/sentinelserver"
)

func main() {
	if err := runStandin(); err != nil {
		fmt.Fprintln(os.Stderr, "sentinel:", err)
		os.Exit(1)
	}
}

func runStandin() error {
	var app sentinelserver.App
	o := sentinelserver.Options{}
	addr := flag.String("addr", "127.0.0.1:8402", "address to serve on; port 0 picks a free one")
	flag.StringVar(&app.TenantID, "tenant", "11111111-2222-4333-8444-555555555555", "tenant id")
	flag.StringVar(&app.ClientID, "client-id", "66666666-7777-4888-9999-aaaaaaaaaaaa", "id of the registered application")
	flag.StringVar(&app.ClientSecret, "client-secret", "stand-in-secret", "its secret")
	workspaces := flag.String("workspace", "bbbbbbbb-cccc-4ddd-8eee-ffffffffffff", "workspace ids, separated by commas")
	flag.DurationVar(&o.Window, "window", sentinelserver.DefaultWindow, "window of the throttle")
	flag.IntVar(&o.Limit, "limit", sentinelserver.DefaultLimit, "calls in a window, -1 for no limit")
	flag.Int64Var(&o.MaxBody, "max-body", sentinelserver.DefaultMaxBody, "largest body in bytes")
	flag.DurationVar(&o.TokenLifetime, "token-lifetime", sentinelserver.DefaultTokenLifetime, "life of a token")
	flag.DurationVar(&o.Lag, "lag", 0, "between an upload and the time its rows carry, from which on a query finds them")
	flag.StringVar((*string)(&o.MessageKey), "message-key", string(sentinelserver.ErrorMessages), "errorMessages, validationErrorMessages or both")
	flag.IntVar(&o.NoRoleStatus, "no-role-status", http.StatusForbidden, "answer to a token without role: 400, 401, 403 or 404")
	flag.BoolVar(&o.NoRoleSeen, "no-role-seen", false, "with the body that was seen: UnauthorizedAccess")
	flag.BoolVar(&app.NoRead, "no-read", false, "let the application upload, and not query")
	flag.BoolVar(&o.NoReadInner, "no-read-inner", false, "tell that with an innererror")
	flag.BoolVar(&o.NoContentType, "no-content-type", false, "take uploads without a Content-Type")
	flag.BoolVar(&o.ByteOrderMark, "byte-order-mark", false, "begin every body with a byte order mark")
	flag.BoolVar(&o.StrictVersion, "strict-version", false, "refuse objects without spec_version")
	registerUnknowns(&o.Unknowns)
	keep := flag.String("keep", "rows", "what to remember: rows, objects or hashes")
	flag.Uint64Var(&o.Seed, "seed", 1, "of faults that strike at random")
	flag.Parse()

	kept, ok := map[string]sentinelserver.Keep{"rows": sentinelserver.KeepRows, "objects": sentinelserver.KeepObjects, "hashes": sentinelserver.KeepHashes}[*keep]
	if !ok {
		return fmt.Errorf("-keep %q: use rows, objects or hashes", *keep)
	}
	o.Keep, o.Apps, o.Workspaces = kept, []sentinelserver.App{app}, strings.Split(*workspaces, ",")
	return serveUntilSignal(*addr, sentinelserver.New(o))
}

// serveUntilSignal returns after an interrupt, or when serving fails.
func serveUntilSignal(addr string, standin *sentinelserver.Server) error {
	ctx, stop := signal.NotifyContext(context.Background(), os.Interrupt, syscall.SIGTERM)
	defer stop()
	endpoint, err := standin.Listen(addr)
	if err != nil {
		return err
	}
	fmt.Printf("Sentinel stand-in on %s\n", endpoint.URL)
	select {
	case <-endpoint.Ended():
	case <-ctx.Done():
	}
	return endpoint.Close()
}
