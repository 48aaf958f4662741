package mapping

import (
	"crypto/sha256"
	"fmt"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"sync/atomic"
	"testing"
)

// builtinMappers builds the App's own mappers and returns their folder.
func builtinMappers(t testing.TB) string {
	t.Helper()
	dir := t.TempDir()
	path := filepath.Join(dir, builtinName)
	build := exec.Command("go", "build", "-trimpath", "-ldflags=-s -w", "-o", path, "mssentinel/plugins")
	build.Env = append(os.Environ(), "CGO_ENABLED=0")
	if out, err := build.CombinedOutput(); err != nil {
		t.Fatalf("%v\n%s", err, out)
	}
	data, err := os.ReadFile(path)
	if err != nil {
		t.Fatal(err)
	}
	line := fmt.Sprintf("%x  %s\n", sha256.Sum256(data), builtinName)
	if err := os.WriteFile(filepath.Join(dir, listName), []byte(line), 0o644); err != nil {
		t.Fatal(err)
	}
	return dir
}

// indicator is what ThreatConnect says of an address, at a length that is usual there.
func indicator(i int) []byte {
	tags := make([]string, 8)
	for t := range tags {
		tags[t] = fmt.Sprintf(`{"id":%d,"name":"Tag number %d","lastUsed":"2026-11-20T10:00:00Z"}`, t, t)
	}
	attributes := make([]string, 4)
	for a := range attributes {
		attributes[a] = fmt.Sprintf(`{"id":%d,"dateAdded":"2026-11-20T10:00:00Z","type":"Description","value":"Seen in a campaign against banks, number %d","lastModified":"2026-11-20T10:00:00Z","default":false,"pinned":false}`, a, a)
	}
	address := fmt.Sprintf("198.%d.%d.%d", 18+i>>16&1, i>>8&255, i&255)
	return fmt.Appendf(nil, `{"id":%d,"dateAdded":"2026-11-20T10:00:00Z","ownerId":1,"ownerName":"My Organization","webLink":"https://example.com/#/details/indicators/%d",`+
		`"tags":{"data":[%s],"count":8},"type":"Address","lastModified":"2026-11-21T10:00:00Z","rating":3.0,"confidence":75,"threatAssessRating":3.0,`+
		`"threatAssessConfidence":50.0,"summary":"%s","ip":"%s","active":true,"attributes":{"data":[%s]}}`,
		i+1, i+1, strings.Join(tags, ","), address, address, strings.Join(attributes, ","))
}

func BenchmarkMap(b *testing.B) {
	h := openHost(b, Options{Dir: builtinMappers(b)}, defaultLimits)
	for _, size := range []int{100, 250, 500} {
		batch := make([][]byte, size)
		for i := range batch {
			batch[i] = indicator(i)
		}
		for _, callers := range []int{1, 4} {
			b.Run(fmt.Sprintf("%d records, %d callers", size, callers), func(b *testing.B) {
				b.SetParallelism(callers) // times GOMAXPROCS
				var failed atomic.Int64
				b.RunParallel(func(p *testing.PB) {
					for p.Next() {
						answers, err := h.Map(b.Context(), "Address", batch, now)
						if err != nil || len(answers[size-1].Objects) != 1 {
							failed.Add(1)
						}
					}
				})
				if failed.Load() > 0 {
					b.Fatal(failed.Load(), "batches failed")
				}
				b.ReportMetric(float64(size)*float64(b.N)/b.Elapsed().Seconds(), "records/s")
			})
		}
	}
}

func BenchmarkOpen(b *testing.B) {
	dir := builtinMappers(b)
	for b.Loop() {
		h, err := Open(b.Context(), Options{Dir: dir})
		if err != nil {
			b.Fatal(err)
		}
		b.StopTimer()
		if err := h.Close(); err != nil {
			b.Fatal(err)
		}
		b.StartTimer()
	}
}

func BenchmarkCheck(b *testing.B) {
	h := openHost(b, Options{Dir: builtinMappers(b)}, defaultLimits)
	answers, err := h.Map(b.Context(), "Address", [][]byte{indicator(1)}, now)
	if err != nil || len(answers[0].Objects) != 1 {
		b.Fatal(answers, err)
	}
	for b.Loop() {
		check(answers)
	}
}
