package store

import (
	"context"
	"fmt"
	"os"
	"path/filepath"
	"runtime"
	"strings"
	"syscall"
	"testing"
	"time"

	"mssentinel/app/job"
	"mssentinel/app/ledger"
	"mssentinel/app/stix"
)

// benchFound makes indicators of realistic size: patterns of 60 to 120 bytes, objects of about 1.6 KB as JSON.
func benchFound(from, n int, rating int, at time.Time) []ledger.Found {
	found := make([]ledger.Found, n)
	for i := range found {
		id := from + i
		value := fmt.Sprintf("host-%d.%s.example.com", id*7919%1000003, strings.Repeat("x", id%60))
		o := &stix.Indicator{
			Pattern:        stix.Pattern(stix.Equal("domain-name:value", value)),
			Name:           value + " | Technical Blogs and Reports",
			Description:    fmt.Sprintf(`{"id":%d,"rating":%d,"type":"Host","summary":%q,"attributes":%q}`, id, rating, value, strings.Repeat("attribute ", 60)),
			Created:        at.Add(-time.Duration(id) * time.Second),
			Labels:         []string{"T1566 - Phishing", "malware", "ransomware"},
			IndicatorTypes: []string{"Phishing"},
			ExternalReferences: []stix.ExternalReference{{SourceName: "ThreatConnect",
				URL: fmt.Sprintf("https://app.threatconnect.com/#/details/indicators/%d/overview", id)}},
		}
		found[i] = ledger.Found{Indicator: int64(id) + 1, Owner: "Technical Blogs and Reports", Type: "Host", Modified: at,
			Objects: []ledger.FoundObject{{Indicator: o, ID: stix.ID(o.Pattern), Hash: o.ContentHash(), ValidUntil: at.Add(720 * time.Hour)}}}
	}
	return found
}

const benchBatch = 500

type bench struct {
	tb      testing.TB
	store   *Store
	job     job.Job
	query   int64
	applied time.Duration
	sent    time.Duration
	after   int64
}

func cpu() time.Duration {
	var u syscall.Rusage
	if err := syscall.Getrusage(syscall.RUSAGE_SELF, &u); err != nil {
		panic(err)
	}
	return time.Duration(u.Utime.Nano() + u.Stime.Nano())
}

func (b *bench) run(mode job.Mode, n int, rating int, at time.Time) {
	ctx := context.Background()
	var err error
	if b.job, err = b.store.AddJob(ctx, job.Request{Type: job.AdHoc, Mode: mode}, at); err != nil {
		b.tb.Fatal(err)
	}
	for from := 0; from < n; from += benchBatch {
		found := benchFound(from, min(benchBatch, n-from), rating, at)
		start := cpu()
		if _, err := b.store.Apply(ctx, ledger.Batch{Job: b.job.Number, Mode: mode, Query: b.query, Place: int64(from), Found: found, Now: at}); err != nil {
			b.tb.Fatal(err)
		}
		b.applied += cpu() - start
		start = cpu()
		b.send(at, 0)
		b.sent += cpu() - start
	}
	start := cpu()
	b.send(at, 1)
	b.sent += cpu() - start
}

// send empties the outbox as far as it has whole requests.
func (b *bench) send(at time.Time, least int) {
	ctx := context.Background()
	for {
		out, err := b.store.Outgoing(ctx, b.after, 500)
		if err != nil {
			b.tb.Fatal(err)
		}
		if len(out) == 0 {
			return
		}
		b.after = out[len(out)-1].Seq
		for len(out) > 0 {
			chunk := out[:min(100, len(out))]
			out = out[len(chunk):]
			if err := b.store.Settle(ctx, Settlement{At: at, Accepted: chunk}); err != nil {
				b.tb.Fatal(err)
			}
		}
	}
}

func newBench(tb testing.TB, dir string) *bench {
	s, err := Open(context.Background(), dir)
	if err != nil {
		tb.Fatal(err)
	}
	tb.Cleanup(func() { s.Close() })
	ctx := context.Background()
	if _, err := s.SetDestination(ctx, "workspace", "source"); err != nil {
		tb.Fatal(err)
	}
	if _, err := s.SaveQueries(ctx, []Query{{Owners: []string{"o"}, Types: []string{"Host"}, TQL: "x"}}, "", job.Full, ""); err != nil {
		tb.Fatal(err)
	}
	queries, err := s.RunQueries(ctx)
	if err != nil {
		tb.Fatal(err)
	}
	return &bench{tb: tb, store: s, query: queries[0].Number}
}

func (b *bench) reset() { b.applied, b.sent = 0, 0 }

func BenchmarkUpdate(b *testing.B) {
	// It stands for what else the App holds: on an empty heap the collector would run all the time.
	ballast := make([]byte, 32<<20)
	defer runtime.KeepAlive(ballast)
	for _, n := range []int{100_000, 1_000_000} {
		if n > 100_000 && os.Getenv("MS_SENTINEL_BENCH_LARGE") == "" {
			continue
		}
		b.Run(fmt.Sprint(n), func(b *testing.B) {
			x := newBench(b, b.TempDir())
			at := time.Date(2026, 11, 1, 0, 0, 0, 0, time.UTC)
			for b.Loop() {
				report := func(what string) {
					b.ReportMetric(float64(x.applied.Microseconds())/float64(n), what+"-apply-µs/object")
					b.ReportMetric(float64(x.sent.Microseconds())/float64(n), what+"-send-µs/object")
					x.reset()
				}
				x.run(job.Full, n, 1, at)
				report("first")
				x.run(job.Full, n, 2, at.Add(time.Hour))
				report("second")
				start := cpu()
				if err := x.store.Clean(context.Background(), at); err != nil {
					b.Fatal(err)
				}
				b.ReportMetric(float64((cpu() - start).Milliseconds()), "clean-ms")
				start = cpu()
				if err := x.store.KeepLiveTotals(context.Background(), at); err != nil {
					b.Fatal(err)
				}
				b.ReportMetric(float64((cpu() - start).Milliseconds()), "count-live-ms")
				x.run(job.Delta, 100, 3, at.Add(2*time.Hour))
				b.ReportMetric(float64((x.applied+x.sent).Microseconds())/1000, "delta-ms")
				b.ReportMetric(x.bytes(), "B/object")
			}
		})
	}
}

// bytes is the size of the database for each object in it.
func (b *bench) bytes() float64 {
	ctx := context.Background()
	if err := b.store.Clean(ctx, time.Date(2026, 11, 1, 0, 0, 0, 0, time.UTC)); err != nil {
		b.tb.Fatal(err)
	}
	var n int64
	var file string
	if err := b.store.read.Get(&n, `SELECT count(*) FROM object`); err != nil {
		b.tb.Fatal(err)
	}
	if err := b.store.read.Get(&file, `SELECT file FROM pragma_database_list WHERE name = 'main'`); err != nil {
		b.tb.Fatal(err)
	}
	var size int64
	for _, p := range []string{file, filepath.Join(filepath.Dir(file), FileName+"-wal")} {
		if info, err := os.Stat(p); err == nil {
			size += info.Size()
		}
	}
	return float64(size) / float64(n)
}
