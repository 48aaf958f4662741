package simulation

import (
	"bytes"
	"context"
	"errors"
	"io"
	"net"
	"net/http"
	"strings"
	"sync"
	"time"
)

// pipes is a listener whose connections are pipes in memory.
type pipes struct {
	dialled chan net.Conn
	closed  chan struct{}
	once    sync.Once
}

func newPipes() *pipes { return &pipes{dialled: make(chan net.Conn), closed: make(chan struct{})} }

func (p *pipes) dial(ctx context.Context) (net.Conn, error) {
	here, there := net.Pipe()
	select {
	case p.dialled <- there:
		return here, nil
	case <-p.closed:
		return nil, net.ErrClosed
	case <-ctx.Done():
		return nil, ctx.Err()
	}
}

func (p *pipes) Accept() (net.Conn, error) {
	select {
	case c := <-p.dialled:
		return c, nil
	case <-p.closed:
		return nil, net.ErrClosed
	}
}

func (p *pipes) Close() error {
	p.once.Do(func() { close(p.closed) })
	return nil
}

func (p *pipes) Addr() net.Addr { return &net.TCPAddr{IP: net.IPv4(127, 0, 0, 1), Port: 1} }

// served is a stand-in that serves on connections in memory.
type served struct {
	pipes  *pipes
	server *http.Server
	ended  chan struct{}
}

func serve(h http.Handler) *served {
	s := &served{pipes: newPipes(), server: &http.Server{Handler: h}, ended: make(chan struct{})}
	go func() {
		defer close(s.ended)
		s.server.Serve(s.pipes) //nolint:errcheck // it ends when it is closed
	}()
	return s
}

func (s *served) close() {
	s.server.Close()
	<-s.ended
}

// errGone is what a process that has died gets to see of the outside.
var errGone = errors.New("the process is gone")

// gate stands between one process and one of its peers. It takes time, counts events, lets the process die at one, and lets nothing
// through once it is dead.
type gate struct {
	process *process
	peer    string // threatconnect, sentinel
	base    http.RoundTripper
}

func (g *gate) RoundTrip(r *http.Request) (*http.Response, error) {
	w, p, peer := g.process.world, g.process, g.peer
	if strings.Contains(r.URL.Path, "/oauth2/") {
		peer = "entra"
	}
	var body []byte
	if r.Body != nil {
		var err error
		if body, err = io.ReadAll(r.Body); err != nil {
			return nil, err
		}
		r.Body.Close()
		r = r.Clone(r.Context())
		r.Body = io.NopCloser(bytes.NewReader(body))
	}
	w.noteSecrets(r.Header.Get("Authorization"))
	if p.isDead() || !p.happens(peer+" before") {
		return nil, errGone
	}
	var sent *exchange
	if peer == "sentinel" && strings.Contains(r.URL.Path, "threat-intelligence-stix-objects:upload") {
		sent = w.watch.beginUpload(p, r.URL.Path, body)
		defer sent.end()
	}
	if peer == "threatconnect" && strings.HasSuffix(r.URL.Path, "/indicators") {
		w.watch.reads()
	}
	if err := w.delay(r.Context(), peer); err != nil {
		return nil, err
	}
	resp, err := g.base.RoundTrip(r)
	if err != nil {
		if p.isDead() {
			return nil, errGone
		}
		return nil, err
	}
	data, readErr := io.ReadAll(resp.Body)
	resp.Body.Close()
	if err := w.delay(r.Context(), peer); err != nil {
		return nil, err
	}
	if p.isDead() || !p.happens(peer+" after") {
		return nil, errGone
	}
	if peer == "entra" {
		w.noteTokens(data)
	}
	if readErr == nil {
		sent.answer(resp.StatusCode, data)
	}
	resp.Body = io.NopCloser(io.MultiReader(bytes.NewReader(data), failing{readErr}))
	return resp, nil
}

// failing is a reader that ends with an error, or well without one.
type failing struct{ err error }

func (f failing) Read([]byte) (int, error) {
	if f.err != nil {
		return 0, f.err
	}
	return 0, io.EOF
}

// delay lets simulated time pass, from 1 ms to about a second, drawn by the history's seed.
func (w *world) delay(ctx context.Context, peer string) error {
	longest := map[string]int64{"threatconnect": 400, "sentinel": 900, "entra": 300, "mapper": 60}[peer]
	n := w.delays.Add(1)
	bits := (w.history.Seed + uint64(n)) * 0x9e3779b97f4a7c15
	bits ^= bits >> 29
	d := time.Duration(1+int64(bits%uint64(longest))) * time.Millisecond
	timer := time.NewTimer(d)
	defer timer.Stop()
	select {
	case <-timer.C:
		return nil
	case <-ctx.Done():
		return ctx.Err()
	}
}
