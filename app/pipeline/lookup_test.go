package pipeline

import (
	"errors"
	"fmt"
	"strings"
	"testing"
	"time"

	"context"

	"mssentinel/app/job"
	"mssentinel/app/ledger"
)

// What the ledger knows is found by a value in any spelling, by ThreatConnect's id and by the STIX id.
func TestFindAnIndicator(t *testing.T) {
	in(t, func(t *testing.T) {
		w := newWorld(t)
		host := w.put("Alpha", "bad.example")
		w.put("Beta", "BAD.example")
		md5 := strings.Repeat("a1", 16)
		file := w.putMembers("Alpha", "File", map[string]any{"md5": md5, "sha1": strings.Repeat("b2", 20), "summary": md5 + " : " + strings.Repeat("b2", 20)})
		number := w.putMembers("Alpha", "ASN", map[string]any{"AS Number": "ASN64512", "summary": "ASN64512"})
		last := w.fill(12)[11]
		q := query("", "Alpha")
		q.Types = []string{"Host", "File", "ASN"}
		w.done(w.save(job.Full, q, query("", "Beta")))

		find := func(wanted string, patterns ...string) {
			t.Helper()
			known, err := w.p.Lookup(t.Context(), wanted)
			w.must(err)
			var found []string
			for _, k := range known {
				found = append(found, k.Pattern)
			}
			if strings.Join(found, " ") != strings.Join(patterns, " ") {
				t.Errorf("%q finds %q, want %q", wanted, found, patterns)
			}
		}
		pattern := "[domain-name:value = 'bad.example']"
		for _, wanted := range []string{"bad.example", " Bad.Example. ", fmt.Sprint(host), fmt.Sprintf(" %d ", host)} {
			find(wanted, pattern)
		}
		find(fmt.Sprint(last), "[domain-name:value = 'h11.example']")
		known, err := w.p.Lookup(t.Context(), "bad.example")
		w.must(err)
		if c := known[0].Candidates; len(c) != 2 || c[0].Owner != "Alpha" || c[0].Decision != ledger.Wins || c[1].Owner != "Beta" || c[1].Decision != ledger.LosesToQuery {
			t.Errorf("given by %+v", c)
		}
		find(known[0].ID, pattern)
		find(strings.TrimPrefix(known[0].ID, "indicator--"), pattern)
		find(strings.ToUpper(md5), "[file:hashes.MD5 = '"+md5+"']")
		find(fmt.Sprint(file), "[file:hashes.MD5 = '"+md5+"']", "[file:hashes.'SHA-1' = '"+strings.Repeat("b2", 20)+"']")
		find("64512", "[autonomous-system:name = 'ASN64512']")
		find(fmt.Sprint(number), "[autonomous-system:name = 'ASN64512']")
		for _, nothing := range []string{"", "good.example", "indicator--00000000-0000-4000-8000-000000000000", "9223372036854775807", strings.Repeat("x", 10_000), "\x00'; DROP TABLE object"} {
			find(nothing)
		}

		// A mapper that does not answer is told only where nothing was found, and ends the waiting.
		w.mappers.before = func(ctx context.Context, typ string, _ [][]byte) error {
			if typ == "Host" {
				return nil
			}
			<-ctx.Done()
			return errors.New("hangs")
		}
		began := time.Now()
		find("bad.example", pattern)
		w.mappers.before = func(ctx context.Context, typ string, raws [][]byte) error {
			if typ != "File" {
				return nil
			}
			<-ctx.Done()
			return errors.New("hangs")
		}
		for _, unknown := range []string{strings.Repeat("a1", 16), "9223372036854775807"} {
			if _, err := w.p.Lookup(t.Context(), unknown); err == nil || time.Since(began) > 3*lookupTimeout {
				t.Errorf("%s after %v: %v", unknown, time.Since(began), err)
			}
		}
	})
}
