package sentinelserver

import (
	"fmt"
	"io"
	"net/http"
	"net/http/httptest"
	"strings"
	"testing"
)

// BenchmarkUpload sends 100 objects as the App writes them, of which only modified and valid_until change from one time to the
// next, as they do in a full update.
func BenchmarkUpload(b *testing.B) {
	o := testOptions()
	o.Keep = KeepHashes
	s := New(o)
	bodies := []string{uploadedBody("01"), uploadedBody("02")}
	r := call{}.request(s)
	b.SetBytes(int64(len(bodies[0])))
	b.ReportAllocs()
	for i := 0; b.Loop(); i++ {
		body := bodies[i%len(bodies)]
		r.Body, r.ContentLength = io.NopCloser(strings.NewReader(body)), int64(len(body))
		w := httptest.NewRecorder()
		if s.ServeHTTP(w, r); w.Code != http.StatusOK || w.Body.Len() > 0 {
			b.Fatal(w.Code, w.Body)
		}
	}
	b.ReportMetric(float64(b.Elapsed().Nanoseconds())/float64(b.N)/maxObjects, "ns/object")
}

// uploadedBody is what the App sends of a day of December.
func uploadedBody(day string) string {
	objects := make([]string, maxObjects)
	for i := range objects {
		objects[i] = fmt.Sprintf(`{"type":"indicator","spec_version":"2.1","id":"indicator--11bce6f9-35aa-5c04-ab41-%012x",`+
			`"created":"2024-01-06T01:21:36.000Z","modified":"2026-12-%[2]sT17:57:30.671Z","name":"%[1]d.example.com | Published Reports",`+
			`"description":"{\"type\": \"Host\", \"summary\": \"%[1]d.example.com\", \"confidence\": 1, \"rating\": 4, \"threatAssessScore\": 995, `+
			`\"ownerName\": \"Published Reports\", \"associatedGroups\": [{\"type\": \"Intrusion Set\", \"name\": \"Hollow Moth\", \"ownerName\": `+
			`\"Published Reports\"}], \"attributes\": [{\"type\": \"Phase of Intrusion\", \"value\": \"delivery\"}, {\"type\": \"First Seen\", `+
			`\"value\": \"2024-01-05T01:21:36Z\"}], \"webLink\": \"https://tc.demo.example/#/details/indicators/%[1]d/overview\"}",`+
			`"indicator_types":["Malware"],"pattern":"[domain-name:value = '%[1]d.example.com']","pattern_type":"stix","pattern_version":"2.1",`+
			`"valid_from":"2024-01-06T01:21:36.000Z","valid_until":"2027-01-%[2]sT17:57:30.671Z","revoked":false,"confidence":1,`+
			`"labels":["Trojan","Brute Force","T1005 - Data from Local System"],"kill_chain_phases":[{"kill_chain_name":`+
			`"lockheed-martin-cyber-kill-chain","phase_name":"delivery"},{"kill_chain_name":"mitre-attack","phase_name":"collection"}],`+
			`"object_marking_refs":["marking-definition--613f2e26-407d-48c7-9eca-b8e91df99dc9"],"external_references":[{"source_name":`+
			`"ThreatConnect","url":"https://tc.demo.example/#/details/indicators/%[1]d/overview"}]}`, i, day)
	}
	return `{"sourcesystem":"` + source + `","stixobjects":[` + strings.Join(objects, ",") + "]}"
}
