package sentinelserver

import (
	"context"
	"errors"
	"fmt"
	"net"
	"net/http"
	"sync"
	"time"
)

// Endpoint is where a stand-in can be reached.
type Endpoint struct {
	URL       string          // base of both the login and the upload API, without a slash at its end
	Transport *http.Transport // for clients; the only way to reach an endpoint in memory

	standin *Server
	server  *http.Server
	ended   chan struct{}
	err     error // why serving ended, once ended is closed
}

// Listen serves the stand-in on a TCP address; port 0 picks a free one.
func (s *Server) Listen(addr string) (*Endpoint, error) {
	listener, err := net.Listen("tcp", addr)
	if err != nil {
		return nil, fmt.Errorf("listening: %w (is another one running? choose another address)", err)
	}
	return s.serveOn(listener, &http.Transport{MaxIdleConnsPerHost: 16}), nil
}

// ListenInMemory serves the stand-in on connections that need no network, so that testing/synctest can drive both
// sides. Its URL names this machine, but only its Transport leads there.
func (s *Server) ListenInMemory() *Endpoint {
	listener := &memory{dialled: make(chan net.Conn), closed: make(chan struct{})}
	return s.serveOn(listener, &http.Transport{DialContext: listener.dialPipe, MaxIdleConnsPerHost: 16})
}

func (s *Server) serveOn(listener net.Listener, transport *http.Transport) *Endpoint {
	e := &Endpoint{
		URL: "http://" + listener.Addr().String(), Transport: transport,
		standin: s, server: &http.Server{Handler: s, ReadHeaderTimeout: 10 * time.Second}, ended: make(chan struct{}),
	}
	go func() {
		defer close(e.ended)
		e.err = e.server.Serve(listener)
	}()
	return e
}

// Ended is closed when serving has ended, by Close or by itself.
func (e *Endpoint) Ended() <-chan struct{} { return e.ended }

// Close ends the requests that hang, lets the others end for up to 5 s, and closes every connection. It returns the
// error of a server that had ended by itself.
func (e *Endpoint) Close() error {
	e.standin.Close()
	e.Transport.CloseIdleConnections()
	limited, cancel := context.WithTimeout(context.Background(), 5*time.Second)
	defer cancel()
	err := e.server.Shutdown(limited)
	if errors.Is(err, context.DeadlineExceeded) {
		err = e.server.Close()
	}
	<-e.ended
	if !errors.Is(e.err, http.ErrServerClosed) {
		err = errors.Join(e.err, err)
	}
	return err
}

// memory is a listener whose connections are pipes.
type memory struct {
	dialled chan net.Conn
	once    sync.Once
	closed  chan struct{}
}

func (m *memory) dialPipe(ctx context.Context, _, _ string) (net.Conn, error) {
	here, there := net.Pipe()
	select {
	case m.dialled <- there:
		return here, nil
	case <-m.closed:
		return nil, net.ErrClosed
	case <-ctx.Done():
		return nil, ctx.Err()
	}
}

func (m *memory) Accept() (net.Conn, error) {
	select {
	case c := <-m.dialled:
		return c, nil
	case <-m.closed:
		return nil, net.ErrClosed
	}
}

func (m *memory) Close() error {
	m.once.Do(func() { close(m.closed) })
	return nil
}

func (m *memory) Addr() net.Addr { return &net.TCPAddr{IP: net.IPv4(127, 0, 0, 1), Port: 1} }
