package main

import (
	"context"
	"net"
	"path/filepath"
	"syscall"
	"testing"
	"time"

	"google.golang.org/grpc"
	"google.golang.org/grpc/credentials/insecure"

	"mssentinel/plugins/mapper"
)

// batch is how many indicators travel in a call of the benchmarks.
const batch = 500

// BenchmarkParse reads the JSON of indicators of all types, as they are mixed in the population.
func BenchmarkParse(b *testing.B) {
	all, size := mixed(b)
	b.SetBytes(size)
	b.ReportAllocs()
	defer measure(b, 1)()
	for i := 0; b.Loop(); i++ {
		if _, err := mapper.Parse(all[i%len(all)].raw); err != nil {
			b.Fatal(err)
		}
	}
}

// BenchmarkParseAndMap is a mapper's work without the contract around it.
func BenchmarkParseAndMap(b *testing.B) {
	all, size := mixed(b)
	b.SetBytes(size)
	b.ReportAllocs()
	now := time.Now()
	defer measure(b, 1)()
	for i := 0; b.Loop(); i++ {
		r := all[i%len(all)]
		ind, err := mapper.Parse(r.raw)
		if err != nil {
			b.Fatal(err)
		}
		if a := r.mapper.Map(ind, now); len(a.Objects)+len(a.Problems) == 0 {
			b.Fatal("no answer")
		}
	}
}

// BenchmarkCall is the whole contract over a socket, both ends in this process, one call after
// the other or several at once: the rate that one machine reaches, App and mapper together.
func BenchmarkCall(b *testing.B) {
	for name, build := range mappers {
		m := build("test")
		b.Run(name, func(b *testing.B) { benchmarkCall(b, m) })
	}
}

func benchmarkCall(b *testing.B, m mapper.Mapper) {
	list := population(b)[m.Describe().Types[0].Name]
	client := dialSocket(b, m)
	now := time.Now()
	b.ReportAllocs()
	b.ResetTimer()
	defer measure(b, batch)()
	b.RunParallel(func(p *testing.PB) {
		for i := 0; p.Next(); i++ {
			call := make([][]byte, batch)
			for n := range call {
				call[n] = list[(i*batch+n)%len(list)]
			}
			if _, err := client.Map(b.Context(), call, now); err != nil {
				b.Error(err)
				return
			}
		}
	})
}

// measure reports indicators per second and processor time per indicator, both ends and the
// garbage collector included; each operation handles that many.
func measure(b *testing.B, each int) (report func()) {
	before := processorTime(b)
	return func() {
		indicators := float64(b.N * each)
		b.ReportMetric(indicators/b.Elapsed().Seconds(), "indicators/s")
		b.ReportMetric(float64((processorTime(b)-before).Nanoseconds())/1e3/indicators, "cpu-µs/indicator")
	}
}

func processorTime(b *testing.B) time.Duration {
	var u syscall.Rusage
	if err := syscall.Getrusage(syscall.RUSAGE_SELF, &u); err != nil {
		b.Fatal(err)
	}
	return time.Duration(u.Utime.Nano() + u.Stime.Nano())
}

type record struct {
	mapper mapper.Mapper
	raw    []byte
}

// mixed is the population of all types that are mapped, and the mean size of an indicator in bytes.
func mixed(b *testing.B) ([]record, int64) {
	var all []record
	size := 0
	for _, build := range mappers {
		m := build("test")
		for _, raw := range population(b)[m.Describe().Types[0].Name] {
			all = append(all, record{m, raw})
			size += len(raw)
		}
	}
	return all, int64(size / len(all))
}

// dialSocket serves the mapper on a Unix socket until the benchmark ends.
func dialSocket(b *testing.B, m mapper.Mapper) *mapper.Client {
	socket := filepath.Join(b.TempDir(), "mapper")
	listener, err := net.Listen("unix", socket)
	if err != nil {
		b.Fatal(err)
	}
	server := grpc.NewServer(grpc.MaxRecvMsgSize(mapper.MaxMessage), grpc.MaxSendMsgSize(mapper.MaxMessage))
	mapper.Register(server, m)
	served := make(chan error, 1)
	go func() { served <- server.Serve(listener) }()
	conn, err := grpc.NewClient("passthrough:///mapper", grpc.WithTransportCredentials(insecure.NewCredentials()),
		grpc.WithContextDialer(func(ctx context.Context, _ string) (net.Conn, error) {
			return (&net.Dialer{}).DialContext(ctx, "unix", socket)
		}))
	if err != nil {
		b.Fatal(err)
	}
	b.Cleanup(func() {
		if err := conn.Close(); err != nil {
			b.Error(err)
		}
		server.Stop()
		if err := <-served; err != nil {
			b.Error(err)
		}
	})
	return mapper.NewClient(conn)
}
