package mapping

import (
	"fmt"
	"strings"
	"testing"
)

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
	for _, size := range []int{1, 100, 250, 500} {
		batch := make([][]byte, size)
		for i := range batch {
			batch[i] = indicator(i)
		}
		once := func() {
			answers, err := h.Map(b.Context(), "Address", batch, now)
			if err != nil || len(answers[size-1].Objects) != 1 {
				b.Error(answers, err)
			}
		}
		b.Run(fmt.Sprintf("one at a time/%d", size), func(b *testing.B) {
			for b.Loop() {
				once()
			}
			rate(b, size)
		})
		b.Run(fmt.Sprintf("several at a time/%d", size), func(b *testing.B) {
			b.SetParallelism(2)
			b.RunParallel(func(p *testing.PB) {
				for p.Next() {
					once()
				}
			})
			rate(b, size)
		})
	}
}

func rate(b *testing.B, size int) {
	b.ReportMetric(float64(size)*float64(b.N)/b.Elapsed().Seconds(), "records/s")
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
		checkAnswer(&answers[0])
	}
}
