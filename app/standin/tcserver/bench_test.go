package tcserver

import (
	"os"
	"testing"
)

const exportFields = "&fields=tags&fields=securityLabels&fields=attributes&fields=threatAssess&fields=sightings&fields=associatedGroups"

// BenchmarkPage reads pages of 1,000 indicators with all fields that an export asks for: by keyset of a generated population
// of 100,000 and of a file, and by keyset and by offset of a million.
func BenchmarkPage(b *testing.B) {
	const (
		keyset = listPath + "?resultLimit=1000&sorting=id+asc&tql=(rating+%3E%3D+0)+and+id+%3E+720000" + exportFields
		offset = listPath + "?resultLimit=1000&resultStart=30000&sorting=lastModified+desc+id+desc&tql=rating+%3E%3D+0" + exportFields
	)
	b.Run("keyset", func(b *testing.B) { benchmarkPage(b, Generate(100_000, 1, testNow), keyset) })
	if path := os.Getenv("MS_SENTINEL_TEST_DATA"); path != "" {
		p, err := Load(path)
		if err != nil {
			b.Fatal(err)
		}
		b.Run("file", func(b *testing.B) { benchmarkPage(b, p, keyset) })
	}
	million := Generate(1_000_000, 1, testNow)
	b.Run("million/keyset", func(b *testing.B) { benchmarkPage(b, million, keyset) })
	b.Run("million/offset", func(b *testing.B) { benchmarkPage(b, million, offset) })
}

func benchmarkPage(b *testing.B, p *Population, target string) {
	s := New(Options{Population: p, Tokens: []string{testToken}})
	call(s, "GET", target, "") // selects
	b.ReportAllocs()
	var size int
	for b.Loop() {
		size = call(s, "GET", target, "").Body.Len()
	}
	b.SetBytes(int64(size))
	b.ReportMetric(float64(b.Elapsed().Nanoseconds())/float64(b.N)/1000, "ns/row")
}

// BenchmarkSelect evaluates queries over a million indicators, with nothing kept from the time before.
func BenchmarkSelect(b *testing.B) {
	million := Generate(1_000_000, 1, testNow)
	for name, q := range map[string]Query{
		"scalars": {TQL: `rating >= 3 and ownerName in ("Open Feeds Collection","Published Reports") and typeName in ("Host","URL")`},
		"window":  {TQL: `lastModified >= "2026-02-28T00:00:00Z" and lastModified < "2026-03-01T00:00:00Z"`},
		"tag":     {TQL: `typeName = "CIDR" and hasTag(name = "Phishing")`},
		"ids":     {TQL: `rating >= 3 and id in (700001, 710000, 720000, 9007199254740993)`},
		"sorted":  {Sorting: "lastModified desc id desc"},
	} {
		b.Run(name, func(b *testing.B) {
			s := New(Options{Population: million})
			for b.Loop() {
				s.table.mu.Lock()
				s.table.forgetResults()
				s.table.mu.Unlock()
				if _, err := s.selectRows(q); err != nil {
					b.Fatal(err)
				}
			}
		})
	}
}
