package threatconnect

import (
	"net/http/httptest"
	"os"
	"testing"
	"time"
)

var benchmarkNow = time.Date(2026, 3, 1, 12, 0, 0, 0, time.UTC)

// BenchmarkPage reads a page of 1,000 indicators with all fields that an export asks for.
func BenchmarkPage(b *testing.B) {
	populations := map[string]*Population{"generated": Generate(100_000, 1, benchmarkNow)}
	if path := os.Getenv("MS_SENTINEL_TEST_POPULATION"); path != "" {
		p, err := Load(path)
		if err != nil {
			b.Fatal(err)
		}
		populations["file"] = p
	}
	const target = "/api/v3/indicators?fields=tags&fields=securityLabels&fields=attributes&fields=threatAssess&fields=sightings" +
		"&fields=associatedGroups&resultLimit=1000&tql=id+%3E+720000&sorting=id+asc"
	for name, p := range populations {
		b.Run(name, func(b *testing.B) {
			s := New(Options{Population: p, Tokens: []string{"t"}})
			b.ReportAllocs()
			var size int64
			for b.Loop() {
				r := httptest.NewRequest("GET", target, nil)
				r.Header.Set("Authorization", "TC-Token t")
				w := httptest.NewRecorder()
				s.ServeHTTP(w, r)
				size = int64(w.Body.Len())
			}
			b.SetBytes(size)
			b.ReportMetric(float64(b.Elapsed().Nanoseconds())/float64(b.N)/1000, "ns/row")
		})
	}
}
