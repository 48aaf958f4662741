package stix

import (
	"encoding/json"
	"fmt"
	"strings"
	"testing"
	"time"
	"unicode/utf8"

	"github.com/google/go-cmp/cmp"
	"pgregory.net/rapid"
)

const layout = "2006-01-02T15:04:05.000Z"

func TestAppendJSON(t *testing.T) {
	i := full()
	now := time.Date(2026, 1, 2, 3, 4, 5, 6_000_000, time.FixedZone("", 3600))
	got := string(i.AppendJSON(nil, Envelope{Modified: now, ValidUntil: now.Add(time.Hour)}))
	want := `{"type":"indicator","spec_version":"2.1","id":"indicator--` + ID(i.Pattern).String() + `",` +
		`"created":"2024-05-06T07:08:09.000Z","modified":"2026-01-02T02:04:05.006Z","name":"http://example.com/ | Owner",` +
		`"description":"{\"type\": \"URL\"}","indicator_types":["Phishing"],"pattern":"[url:value = 'http://example.com/']",` +
		`"pattern_type":"stix","pattern_version":"2.1","valid_from":"2024-05-06T07:08:09.000Z","valid_until":"2026-01-02T03:04:05.006Z",` +
		`"revoked":false,"confidence":80,"labels":["one","two"],` +
		`"kill_chain_phases":[{"kill_chain_name":"lockheed-martin-cyber-kill-chain","phase_name":"delivery"}],` +
		`"object_marking_refs":["` + TLPAmber + `"],` +
		`"external_references":[{"source_name":"ThreatConnect","url":"https://tc.example/","external_id":"12"}]}`
	if diff := cmp.Diff(want, got); diff != "" {
		t.Error(diff)
	}
}

func TestAppendJSONLeavesOutWhatIsEmpty(t *testing.T) {
	i := full()
	i.Confidence, i.Labels, i.KillChainPhases, i.ObjectMarkingRefs, i.ExternalReferences = nil, nil, []KillChainPhase{}, nil, nil
	got := string(i.AppendJSON(nil, Envelope{Modified: added, ValidUntil: added.Add(time.Hour)}))
	for _, member := range []string{"confidence", "labels", "kill_chain_phases", "object_marking_refs", "external_references"} {
		if strings.Contains(got, member) {
			t.Errorf("%s is written: %s", member, got)
		}
	}
}

// The bound on the text of an object keeps it within a request, whatever JSON makes of the text.
func TestLargestObject(t *testing.T) {
	i := full()
	i.Labels = nil
	rest := MaxText
	for s := range i.allTexts {
		rest -= len(s)
	}
	i.Labels = []string{strings.Repeat("\x01", rest)}
	if err := i.Check(); err != nil {
		t.Fatal(err)
	}
	if n := len(i.AppendJSON(nil, Envelope{Modified: added, ValidUntil: added.Add(time.Hour)})); n > 1<<20-1000 {
		t.Errorf("%d bytes leave no room for the rest of a request", n)
	}
}

func TestAppendStringIsJSON(t *testing.T) {
	rapid.Check(t, func(t *rapid.T) {
		s := rapid.OneOf(rapid.String(), rapid.Map(rapid.SliceOf(rapid.Byte()), func(b []byte) string { return string(b) })).Draw(t, "s")
		written := AppendString([]byte("x"), s)[1:]
		var got string
		if err := json.Unmarshal(written, &got); err != nil {
			t.Fatalf("%q: %v", written, err)
		}
		want := string([]rune(s)) // a byte that is not UTF-8 becomes U+FFFD
		if got != want || !utf8.Valid(written) {
			t.Fatalf("%q came back as %q", want, got)
		}
	})
}

func TestMilliseconds(t *testing.T) {
	for ms := range 1000 {
		got := string(appendTime(nil, added.Add(time.Duration(ms)*time.Millisecond+999*time.Microsecond)))
		if want := fmt.Sprintf(`"2024-05-06T07:08:09.%03dZ"`, ms); got != want {
			t.Fatalf("%s, want %s", got, want)
		}
	}
}

// Sentinel rejects what was modified before it was created.
func TestModifiedIsNotBeforeCreated(t *testing.T) {
	i := full()
	got := string(i.AppendJSON(nil, Envelope{Modified: added.Add(-time.Hour), ValidUntil: added.Add(time.Hour)}))
	if !strings.Contains(got, `"modified":"2024-05-06T07:08:09.000Z"`) {
		t.Error(got)
	}
}

func TestTimesRoundTrip(t *testing.T) {
	rapid.Check(t, func(t *rapid.T) {
		want := time.UnixMilli(rapid.Int64Range(0, time.Date(9999, 12, 31, 0, 0, 0, 0, time.UTC).UnixMilli()).Draw(t, "ms"))
		zone := time.FixedZone("", rapid.IntRange(-12*3600, 14*3600).Draw(t, "zone"))
		var text string
		if err := json.Unmarshal(appendTime(nil, want.In(zone)), &text); err != nil {
			t.Fatal(err)
		}
		if got, err := time.Parse(layout, text); err != nil || !got.Equal(want) {
			t.Fatalf("%v came back as %v, %v", want, got, err)
		}
	})
}

// Whatever the clocks of ThreatConnect and of this machine say, Sentinel must accept the end of an object.
func TestRetired(t *testing.T) {
	for name, c := range map[string]struct{ created, until, modified, wantUntil, wantModified time.Time }{
		"usual":                      {added, added.Add(time.Hour), added.Add(time.Hour), added.Add(time.Hour), added.Add(time.Hour)},
		"retired before it began":    {added, added.Add(-time.Hour), added.Add(-time.Hour), added.Add(time.Millisecond), added},
		"retired when it began":      {added, added, added, added.Add(time.Millisecond), added},
		"less than a millisecond":    {added, added.Add(time.Microsecond), added.Add(time.Microsecond), added.Add(time.Millisecond), added},
		"begun within a millisecond": {added.Add(time.Microsecond), added.Add(time.Second), added, added.Add(time.Second), added},
	} {
		t.Run(name, func(t *testing.T) {
			raw := Retired{Pattern: "[url:value = 'x']", Name: "x | Owner", Created: c.created, ValidUntil: c.until, Modified: c.modified}.AppendJSON(nil)
			var got map[string]any
			if err := json.Unmarshal(raw, &got); err != nil {
				t.Fatal(err)
			}
			want := map[string]any{"type": "indicator", "spec_version": "2.1", "id": "indicator--" + ID("[url:value = 'x']").String(),
				"name": "x | Owner", "pattern": "[url:value = 'x']", "pattern_type": "stix", "pattern_version": "2.1", "revoked": false,
				"created": c.created.Format(layout), "valid_from": c.created.Format(layout),
				"valid_until": c.wantUntil.Format(layout), "modified": c.wantModified.Format(layout)}
			if diff := cmp.Diff(want, got); diff != "" {
				t.Error(diff)
			}
		})
	}
}
