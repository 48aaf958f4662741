package simulation

import (
	"bytes"
	"context"
	"fmt"
	"net"
	"slices"
	"strings"
	"sync"
	"time"

	"google.golang.org/grpc"
	"google.golang.org/grpc/codes"
	"google.golang.org/grpc/credentials/insecure"
	"google.golang.org/grpc/status"

	"mssentinel/app/mapping"
	"mssentinel/plugins/address"
	"mssentinel/plugins/asn"
	"mssentinel/plugins/cidr"
	"mssentinel/plugins/emailaddress"
	"mssentinel/plugins/emailsubject"
	"mssentinel/plugins/file"
	"mssentinel/plugins/host"
	"mssentinel/plugins/mapper"
	"mssentinel/plugins/registrykey"
	"mssentinel/plugins/url"
)

// mappers keep the contract of the mapping host without processes: the built-in mappers answer over their real gRPC server, on
// connections in memory. One that dies or hangs is started again, the record that it fails on is found, and after more than 20
// deaths in a job it is left out.
type mappers struct {
	world *world
	types map[string]*mapperServer

	mu     sync.Mutex
	faults []mapperFault
}

// mapperFault strikes every indicator whose JSON contains match.
type mapperFault struct {
	kind  string // dies, hangs, panics
	match []byte
}

func newMappers(w *world) *mappers {
	m := &mappers{world: w, types: map[string]*mapperServer{}}
	for _, build := range []func(string) mapper.Mapper{address.New, asn.New, cidr.New, emailaddress.New, emailsubject.New, file.New, host.New, registrykey.New, url.New} {
		one := build("test")
		for _, t := range one.Describe().Types {
			m.types[t.Name] = &mapperServer{host: m, mapper: one}
		}
	}
	return m
}

func (m *mappers) setFaults(faults ...mapperFault) {
	m.mu.Lock()
	defer m.mu.Unlock()
	m.faults = faults
}

func (m *mappers) addFault(f mapperFault) {
	m.mu.Lock()
	defer m.mu.Unlock()
	m.faults = append(slices.Clone(m.faults), f)
}

func (m *mappers) close() {
	for _, s := range m.types {
		s.stop()
	}
}

// host is what one process of the product sees of the mappers.
type mapperHost struct {
	*mappers
	process *process
}

func (h *mapperHost) Types() []mapping.Type {
	var types []mapping.Type
	for name := range h.types {
		types = append(types, mapping.Type{Name: name, Checksum: "c0ffee"})
	}
	return types
}

func (h *mapperHost) StartJob() {
	for _, s := range h.types {
		s.reset()
	}
}

func (h *mapperHost) Map(ctx context.Context, typ string, indicators [][]byte, now time.Time) ([]mapper.Answer, error) {
	s, found := h.types[typ]
	if !found {
		return slices.Repeat([]mapper.Answer{failedAnswer("no mapper takes the type %q", typ)}, len(indicators)), nil
	}
	if !h.process.happens("mapper before") {
		return nil, errGone
	}
	if err := h.world.delay(ctx, "mapper"); err != nil {
		return nil, err
	}
	answers, err := s.mapAll(ctx, indicators, now)
	if err != nil {
		return nil, err
	}
	if !h.process.happens("mapper after") {
		return nil, errGone
	}
	return answers, nil
}

func failedAnswer(format string, args ...any) mapper.Answer {
	a := mapper.Problem(format, args...)
	a.Failed = true
	return a
}

// mapperServer is one mapper: its server, while it runs, and the client of it.
type mapperServer struct {
	host   *mappers
	mapper mapper.Mapper

	mu     sync.Mutex
	server *grpc.Server
	conn   *grpc.ClientConn
	ended  chan struct{}
	deaths int
}

// connect starts the server where none runs.
func (s *mapperServer) connect() (*mapper.Client, error) {
	s.mu.Lock()
	defer s.mu.Unlock()
	if s.deaths > 20 {
		return nil, fmt.Errorf("the mapper failed %d times in this job", s.deaths)
	}
	if s.conn == nil {
		listener := newPipes()
		s.server, s.ended = grpc.NewServer(grpc.MaxRecvMsgSize(mapper.MaxMessage)), make(chan struct{})
		mapper.Register(s.server, s.mapper)
		server, ended := s.server, s.ended
		go func() {
			defer close(ended)
			server.Serve(listener) //nolint:errcheck // it ends when it is stopped
		}()
		conn, err := grpc.NewClient("passthrough:///mapper", grpc.WithTransportCredentials(insecure.NewCredentials()),
			grpc.WithContextDialer(func(ctx context.Context, _ string) (net.Conn, error) { return listener.dial(ctx) }))
		if err != nil {
			return nil, err
		}
		s.conn = conn
	}
	return mapper.NewClient(s.conn), nil
}

// stop ends the server.
func (s *mapperServer) stop() {
	s.mu.Lock()
	server, conn, ended := s.server, s.conn, s.ended
	s.server, s.conn = nil, nil
	s.mu.Unlock()
	if conn == nil {
		return
	}
	conn.Close()
	server.Stop()
	<-ended
}

func (s *mapperServer) reset() {
	s.mu.Lock()
	defer s.mu.Unlock()
	s.deaths = 0
}

func (s *mapperServer) die() {
	s.mu.Lock()
	s.deaths++
	s.mu.Unlock()
	s.stop()
}

// mapAll answers a batch, and record by record where the mapper fails on it.
func (s *mapperServer) mapAll(ctx context.Context, batch [][]byte, now time.Time) ([]mapper.Answer, error) {
	answers, err := s.call(ctx, batch, now)
	if err == nil || ctx.Err() != nil {
		return answers, ctx.Err()
	}
	answers = nil
	for i := range batch {
		one, err := s.call(ctx, batch[i:i+1], now)
		switch {
		case ctx.Err() != nil:
			return nil, ctx.Err()
		case err != nil:
			one = []mapper.Answer{failedAnswer("the mapper failed on this indicator: %v", err)}
		}
		answers = append(answers, one...)
	}
	return answers, nil
}

// call sends one request, with a deadline. A mapper that fails on it is ended.
func (s *mapperServer) call(ctx context.Context, batch [][]byte, now time.Time) ([]mapper.Answer, error) {
	client, err := s.connect()
	if err != nil {
		return nil, err
	}
	limited, cancel := context.WithTimeout(ctx, 10*time.Second+time.Duration(len(batch))*40*time.Millisecond)
	defer cancel()
	switch s.host.fault(batch) {
	case "dies":
		s.die()
		return nil, status.Error(codes.Unavailable, "it ended (signal: killed)")
	case "hangs":
		<-limited.Done()
		if ctx.Err() == nil {
			s.die()
		}
		return nil, limited.Err()
	}
	answers, err := client.Map(limited, batch, now)
	if err != nil && ctx.Err() == nil {
		s.die()
	}
	return answers, err
}

// fault is the kind of the first fault that strikes one of a batch, "" for none.
func (m *mappers) fault(batch [][]byte) string {
	m.mu.Lock()
	defer m.mu.Unlock()
	for _, f := range m.faults {
		if slices.ContainsFunc(batch, func(raw []byte) bool { return bytes.Contains(raw, f.match) }) {
			return strings.TrimSpace(f.kind)
		}
	}
	return ""
}
