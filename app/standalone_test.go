package main

import (
	"context"
	"errors"
	"fmt"
	"io"
	"net"
	"net/http"
	"net/http/httptest"
	"strings"
	"testing"
	"testing/synctest"
	"time"
)

// A page of another site whose name leads to this machine gets nothing.
func TestHostsOfStandaloneMode(t *testing.T) {
	reached := false
	h := guardLocal(http.HandlerFunc(func(http.ResponseWriter, *http.Request) { reached = true }))
	for host, taken := range map[string]bool{
		"localhost": true, "localhost:8080": true, "LOCALHOST:8080": true, "127.0.0.1": true, "127.0.0.1:8080": true,
		"127.8.9.10:80": true, "[::1]": true, "[::1]:8080": true, "[::ffff:127.0.0.1]:8080": true,
		"": false, "evil.example": false, "evil.example:8080": false, "localhost.evil.example": false,
		"127.0.0.1.evil.example": false, "evil.localhost": false, "192.0.2.1:8080": false, "0.0.0.0:8080": false,
		"[::]:8080": false, "[2001:db8::1]": false, "localhost:evil": false, "localhost:8080:8080": false,
		"127.0.0.1@evil.example": false, "[::1%eth0]:8080": false, "localhost.": false, "2130706433": false, " localhost": false,
	} {
		for _, method := range []string{http.MethodGet, http.MethodPost} {
			reached = false
			r := httptest.NewRequest(method, "/ui/", nil)
			r.Host = host
			rec := httptest.NewRecorder()
			h.ServeHTTP(rec, r)
			if reached != taken || !taken && rec.Code != http.StatusMisdirectedRequest {
				t.Errorf("%s with Host %q: reached %v, status %d", method, host, reached, rec.Code)
			}
		}
	}
}

// A browser says where a request comes from: what another site sent changes nothing.
func TestOriginsOfStandaloneMode(t *testing.T) {
	reached := false
	h := guardLocal(http.HandlerFunc(func(http.ResponseWriter, *http.Request) { reached = true }))
	for _, tt := range []struct {
		method string
		header map[string]string
		taken  bool
	}{
		{http.MethodPost, nil, true}, // a script
		{http.MethodPost, map[string]string{"Sec-Fetch-Site": "same-origin"}, true},
		{http.MethodPost, map[string]string{"Sec-Fetch-Site": "none"}, true},
		{http.MethodPost, map[string]string{"Origin": "http://localhost:8080"}, true},
		{http.MethodPost, map[string]string{"Sec-Fetch-Site": "cross-site"}, false},
		{http.MethodPost, map[string]string{"Sec-Fetch-Site": "same-site"}, false}, // another port of this machine
		{http.MethodPost, map[string]string{"Origin": "http://localhost:9090"}, false},
		{http.MethodPost, map[string]string{"Origin": "https://evil.example"}, false},
		{http.MethodPost, map[string]string{"Origin": "null"}, false},
		{http.MethodDelete, map[string]string{"Sec-Fetch-Site": "cross-site"}, false},
		{http.MethodPut, map[string]string{"Origin": "https://evil.example"}, false},
		{http.MethodGet, map[string]string{"Sec-Fetch-Site": "cross-site"}, true}, // a link
	} {
		reached = false
		r := httptest.NewRequest(tt.method, "/api/job/request", nil)
		r.Host = "localhost:8080"
		for name, value := range tt.header {
			r.Header.Set(name, value)
		}
		rec := httptest.NewRecorder()
		h.ServeHTTP(rec, r)
		if reached != tt.taken || !tt.taken && rec.Code != http.StatusForbidden {
			t.Errorf("%s %v: reached %v, status %d", tt.method, tt.header, reached, rec.Code)
		}
	}
}

// pipeListener gives a server connections that live in memory, so that time can be simulated.
type pipeListener struct {
	net.Listener
	conns chan net.Conn
}

func (l pipeListener) Accept() (net.Conn, error) {
	conn, open := <-l.conns
	if !open {
		return nil, net.ErrClosed
	}
	return conn, nil
}

func (l pipeListener) Close() error { return nil }

func (l pipeListener) Addr() net.Addr { return &net.TCPAddr{} }

// A connection on which nothing arrives any more does not stay for ever, wherever in the exchange it stops.
func TestSlowConnectionsAreClosed(t *testing.T) {
	for name, tt := range map[string]struct {
		sent   string
		within time.Duration
	}{
		"no request":           {"", headerLimit},
		"half a header":        {"GET / HTTP/1.1\r\nHost: localhost\r\n", headerLimit},
		"half a body":          {"POST / HTTP/1.1\r\nHost: localhost\r\nContent-Length: 100\r\n\r\nhalf", readLimit},
		"after the request":    {"GET / HTTP/1.1\r\nHost: localhost\r\n\r\n", idleLimit},
		"an answer not read":   {"GET /long HTTP/1.1\r\nHost: localhost\r\n\r\n", writeLimit},
		"a header without end": {"GET / HTTP/1.1\r\nHost: localhost\r\nX: " + strings.Repeat("x", maxHeader), headerLimit},
	} {
		t.Run(name, func(t *testing.T) {
			synctest.Test(t, func(t *testing.T) {
				server := newServer(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
					if _, err := io.Copy(io.Discard, r.Body); err != nil {
						return
					}
					for range 100 {
						if _, err := fmt.Fprintf(w, "%01000d", 0); err != nil || r.URL.Path != "/long" {
							return
						}
					}
				}))
				near, far := net.Pipe()
				listener := pipeListener{conns: make(chan net.Conn, 1)}
				listener.conns <- far
				go server.Serve(listener) //nolint:errcheck // that it was closed
				began := time.Now()
				go near.Write([]byte(tt.sent)) // the server may close before it is read
				if name != "an answer not read" {
					io.Copy(io.Discard, near) // until it is closed
				} else {
					time.Sleep(tt.within + time.Second)
					if _, err := io.Copy(io.Discard, near); err != nil && !errors.Is(err, io.ErrClosedPipe) {
						t.Error(err)
					}
				}
				if took := time.Since(began); took > tt.within+2*time.Second {
					t.Errorf("the connection stayed for %s", took)
				}
				near.Close()
				close(listener.conns)
				if err := server.Shutdown(context.Background()); err != nil {
					t.Error(err)
				}
			})
		})
	}
}
