package main

import (
	"context"
	"fmt"
	"net"
	"net/http"
	"net/netip"
	"strconv"
	"strings"
	"time"

	"mssentinel/app/platform"
)

// What a connection of standalone mode is held to.
const (
	headerLimit = 10 * time.Second // for the header of a request
	readLimit   = 30 * time.Second // for all of it
	writeLimit  = time.Minute      // until its answer is written
	idleLimit   = 2 * time.Minute  // between requests
	maxHeader   = 64 << 10         // bytes of a header
	closeLimit  = 4 * time.Second  // for requests under way at the end
)

// newServer serves the screens to browsers of this machine.
func newServer(handler http.Handler) *http.Server {
	return &http.Server{
		Handler: guardLocal(handler), ReadHeaderTimeout: headerLimit, ReadTimeout: readLimit, WriteTimeout: writeLimit,
		IdleTimeout: idleLimit, MaxHeaderBytes: maxHeader,
	}
}

// guardLocal keeps pages of other sites out, since the screens ask for no password here. A name of theirs that leads to
// this machine (DNS rebinding) would give them everything, so the address has to name the machine itself. Where a browser
// says that another site sent a request, that changes nothing.
func guardLocal(next http.Handler) http.Handler {
	crossOrigin := http.NewCrossOriginProtection()
	crossOrigin.SetDenyHandler(http.HandlerFunc(func(w http.ResponseWriter, _ *http.Request) {
		refuseRequest(w, http.StatusForbidden, "Another site sent this request. Nothing was changed: use the screens of the Service itself.")
	}))
	guarded := crossOrigin.Handler(next)
	return http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		if !namesThisMachine(r.Host) {
			refuseRequest(w, http.StatusMisdirectedRequest, "This Service answers under localhost and loopback addresses alone: open it as http://localhost and its port.")
			return
		}
		guarded.ServeHTTP(w, r)
	})
}

func refuseRequest(w http.ResponseWriter, status int, message string) {
	w.Header().Set("Cache-Control", "no-store")
	http.Error(w, message, status)
}

// namesThisMachine reports whether a Host header is localhost or a loopback address, with or without a port.
func namesThisMachine(host string) bool {
	name := host
	if h, port, err := net.SplitHostPort(host); err == nil {
		if _, err := strconv.ParseUint(port, 10, 16); err != nil {
			return false
		}
		name = h
	} else if strings.HasPrefix(host, "[") && strings.HasSuffix(host, "]") {
		name = host[1 : len(host)-1]
	}
	address, err := netip.ParseAddr(name)
	return strings.EqualFold(name, "localhost") || err == nil && address.Zone() == "" && address.Unmap().IsLoopback()
}

// serveHTTP is standalone mode: the screens on a loopback address, without the platform.
func serveHTTP(ctx context.Context, addr string, handler http.Handler, log *platform.Log, start func(), stop func(context.Context)) error {
	listener, err := net.Listen("tcp", addr)
	if err != nil {
		return fmt.Errorf("serving the screens on %s: %w; choose another address in MS_SENTINEL_HTTP_ADDR, or end what uses this one", addr, err)
	}
	log.Info("ready", "address", "http://"+listener.Addr().String()+"/")
	start()
	server := newServer(handler)
	served := make(chan error, 1)
	go func() { served <- server.Serve(listener) }()
	select {
	case err := <-served:
		return fmt.Errorf("serving the screens: %w", err)
	case <-ctx.Done():
	}
	limited, cancel := context.WithTimeout(context.WithoutCancel(ctx), closeLimit)
	defer cancel()
	stop(limited)
	if err := server.Shutdown(limited); err != nil {
		log.Warn("requests were cut short", "error", err)
		server.Close() //nolint:errcheck // what did not end in time is cut off
	}
	<-served //nolint:errcheck // that it was shut down
	return nil
}
