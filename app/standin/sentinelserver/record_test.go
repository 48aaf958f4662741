package sentinelserver

import (
	"encoding/json"
	"strings"
	"testing"
)

func TestRecords(t *testing.T) {
	marking := []string{"marking-definition--613f2e26-407d-48c7-9eca-b8e91df99dc9"}
	other := func(kind string, changes ...any) map[string]any {
		base := []any{"type", kind, "id", kind + "--00000000-0000-4000-8000-000000000001", "pattern", nil, "pattern_type", nil, "valid_from", nil, "valid_until", nil}
		return indicator(1, append(base, changes...)...)
	}
	relation := func(changes ...any) map[string]any {
		return other("relationship", append([]any{"relationship_type", "indicates", "source_ref", indicator(1)["id"], "target_ref", "threat-actor--00000000-0000-4000-8000-000000000002"}, changes...)...)
	}
	tests := map[string]struct {
		record   map[string]any
		property string // "" means accepted
	}{
		"good":                      {indicator(1), ""},
		"no type":                   {indicator(1, "type", nil), "type"},
		"type of STIX, not of ours": {indicator(1, "type", "malware"), "type"},
		"type in capitals":          {indicator(1, "type", "Indicator"), "type"},
		"no id":                     {indicator(1, "id", nil), "id"},
		"id of another type":        {indicator(1, "id", "identity--00000000-0000-4000-8000-000000000001"), "id"},
		"id in capitals":            {indicator(1, "id", "indicator--0000000A-0000-4000-8000-000000000001"), "id"},
		"nil id":                    {indicator(1, "id", "indicator--00000000-0000-0000-0000-000000000000"), "id"},
		"id of no version":          {indicator(1, "id", "indicator--00000000-0000-0000-8000-000000000001"), "id"},
		"id with braces":            {indicator(1, "id", "indicator--{0000000-0000-4000-8000-00000000001}"), "id"},
		"no created":                {indicator(1, "created", nil), "created"},
		"no modified":               {indicator(1, "modified", nil), "modified"},
		"modified too early":        {indicator(1, "modified", "2026-01-02T03:04:04.999Z"), "modified"},
		"no pattern":                {indicator(1, "pattern", nil), "pattern"},
		"empty pattern":             {indicator(1, "pattern", ""), "pattern"},
		"pattern is no text":        {indicator(1, "pattern", 1), "pattern"},
		"pattern that is none":      {indicator(1, "pattern", "whatever"), ""},
		"no pattern_type":           {indicator(1, "pattern_type", nil), "pattern_type"},
		"STIX 2.0":                  {indicator(1, "pattern_type", nil, "spec_version", "2.0", "labels", []string{"a"}), ""},
		"STIX 2.0 without labels":   {indicator(1, "spec_version", "2.0"), "labels"},
		"no version":                {indicator(1, "spec_version", nil, "pattern_type", nil), ""},
		"version 3":                 {indicator(1, "spec_version", "3.0"), "spec_version"},
		"no valid_from":             {indicator(1, "valid_from", nil), "valid_from"},
		"no valid_until":            {indicator(1, "valid_until", nil), ""},
		"valid_until = valid_from":  {indicator(1, "valid_until", "2026-01-02T03:04:05.000Z"), "valid_until"},
		"expired":                   {indicator(1, "valid_from", "2016-01-01T00:00:00Z", "valid_until", "2016-01-01T00:00:01Z"), ""},
		"revoked at once":           {indicator(1, "revoked", true), ""},
		"revoked as a text":         {indicator(1, "revoked", "true"), "revoked"},
		"time in whole seconds":     {indicator(1, "valid_from", "2026-01-02T03:04:05Z"), ""},
		"time in microseconds":      {indicator(1, "valid_from", "2026-01-02T03:04:05.123456Z"), ""},
		"time in nanoseconds":       {indicator(1, "valid_from", "2026-01-02T03:04:05.123456789Z"), "valid_from"},
		"time without zone":         {indicator(1, "valid_from", "2026-01-02T03:04:05.000"), "valid_from"},
		"time with offset":          {indicator(1, "valid_from", "2026-01-02T03:04:05+00:00"), "valid_from"},
		"time in parts, offset":     {indicator(1, "valid_from", "2026-01-02T03:04:05.0+00:00"), "valid_from"},
		"time that is none":         {indicator(1, "valid_from", "2026-02-30T03:04:05Z"), "valid_from"},
		"confidence 0":              {indicator(1, "confidence", 0), ""},
		"confidence 100":            {indicator(1, "confidence", 100), ""},
		"confidence 101":            {indicator(1, "confidence", 101), "confidence"},
		"confidence below 0":        {indicator(1, "confidence", -1), "confidence"},
		"confidence as a text":      {indicator(1, "confidence", "50"), "confidence"},
		"confidence in parts":       {indicator(1, "confidence", 50.5), "confidence"},
		"confidence null":           {indicator(1, "confidence", json.RawMessage("null")), ""},
		"labels":                    {indicator(1, "labels", []string{"a", "b"}), ""},
		"an empty label":            {indicator(1, "labels", []string{""}), "labels"},
		"labels as a text":          {indicator(1, "labels", "a"), "labels"},
		"marking":                   {indicator(1, "object_marking_refs", marking), ""},
		"marking of another type":   {indicator(1, "object_marking_refs", []string{"identity--00000000-0000-4000-8000-000000000001"}), "object_marking_refs"},
		"creator":                   {indicator(1, "created_by_ref", "identity--00000000-0000-4000-8000-000000000001"), ""},
		"creator of another type":   {indicator(1, "created_by_ref", marking[0]), "created_by_ref"},
		"reference":                 {indicator(1, "external_references", []any{map[string]any{"source_name": "a"}}), ""},
		"reference without source":  {indicator(1, "external_references", []any{map[string]any{"url": "a"}}), "external_references"},
		"kill chain":                {indicator(1, "kill_chain_phases", []any{map[string]any{"kill_chain_name": "a", "phase_name": "b"}}), ""},
		"kill chain as texts":       {indicator(1, "kill_chain_phases", []string{"a"}), "kill_chain_phases"},
		"granular":                  {indicator(1, "granular_markings", []any{map[string]any{"selectors": []string{"a"}, "lang": "en", "marking_ref": marking[0]}}), ""},
		"granular without":          {indicator(1, "granular_markings", []any{map[string]any{"lang": "en"}}), "granular_markings"},
		"extensions":                {indicator(1, "extensions", map[string]any{"sentinel-ext": map[string]any{"severity": 1}}), ""},
		"extensions as a list":      {indicator(1, "extensions", []string{}), "extensions"},
		"unknown member":            {indicator(1, "x_mine", []int{1}), ""},
		"name is no text":           {indicator(1, "name", 1), "name"},
		"attack pattern":            {other("attack-pattern"), ""},
		"attack pattern, no name":   {other("attack-pattern", "name", nil), "name"},
		"identity":                  {other("identity"), ""},
		"identity 2.0":              {other("identity", "spec_version", "2.0"), "identity_class"},
		"threat actor":              {other("threat-actor", "spec_version", nil), ""},
		"threat actor 2.0":          {other("threat-actor", "spec_version", "2.0"), "labels"},
		"relationship":              {relation(), ""},
		"relationship to nothing":   {relation("target_ref", nil), "target_ref"},
		"relationship to a word":    {relation("target_ref", "word"), "target_ref"},
	}
	for name, tt := range tests {
		t.Run(name, func(t *testing.T) {
			raw, err := json.Marshal(tt.record)
			if err != nil {
				t.Fatal(err)
			}
			c := checker{seed: contentSeed}
			_, messages := c.checkRecord(elementOf(value(raw)))
			if tt.property == "" && len(messages) == 0 {
				return
			}
			if tt.property == "" || len(messages) == 0 || !strings.HasPrefix(messages[0], "Error for Property="+tt.property+": ") || !strings.Contains(messages[0], " Actual value: ") {
				t.Fatalf("got %q", messages)
			}
		})
	}
}

func TestRecordsThatAreNone(t *testing.T) {
	c := checker{seed: contentSeed}
	for _, raw := range []string{`1`, `"a"`, `null`, `[]`, `{"type":"indicator","type":"indicator"}`} {
		if _, messages := c.checkRecord(elementOf(value(raw))); len(messages) == 0 {
			t.Errorf("%s was accepted", raw)
		}
	}
	strict := checker{seed: contentSeed, strictVersion: true}
	raw, _ := json.Marshal(indicator(1, "spec_version", nil))
	if _, messages := strict.checkRecord(elementOf(value(raw))); len(messages) != 1 {
		t.Errorf("got %q", messages)
	}
}

func TestObservables(t *testing.T) {
	for pattern, want := range map[string]string{
		`[ipv4-addr:value = '1.2.3.4']`:                                          `ipv4-addr:value=1.2.3.4`,
		`[ file:hashes.'SHA-256'='ab' ]`:                                         `file:hashes.'SHA-256'=ab`,
		`[url:value = 'http://a/\'b\\c']`:                                        `url:value=http://a/\'b\\c`,
		`[autonomous-system:number = 64500]`:                                     `autonomous-system:number=64500`,
		`[a:b = 'x' OR c:d = 'y' OR (e:f = 'z')]`:                                `a:b=x c:d=y e:f=z`,
		`[a:b = 'x'] OR [c:d = 'y']`:                                             `a:b=x c:d=y`,
		`[a:b = 'x' AND c:d = 'y']`:                                              ``,
		`[a:b = 'x'] AND [c:d = 'y']`:                                            ``,
		`[a:b = 'x'] FOLLOWEDBY [c:d = 'y']`:                                     ``,
		`[a:b = 'x'] WITHIN 5 SECONDS`:                                           ``,
		`[a:b = 'x'] REPEATS 5 TIMES`:                                            ``,
		`[a:b = 'x'] START t'2026-01-01T00:00:00Z' STOP t'2026-01-02T00:00:00Z'`: ``,
		`[a:b != 'x']`:                                                           ``,
		`[a:b NOT = 'x']`:                                                        ``,
		`[a:b LIKE 'x%']`:                                                        ``,
		`[a:b IN ('x', 'y')]`:                                                    ``,
		`[ipv4-addr:value ISSUBSET '10/8']`:                                      ``,
		`[a:values[*].name = 'x']`:                                               `a:values[*].name=x`,
		`[a:b = 'it's']`:                                                         ``,
		`[a:b = 'open]`:                                                          ``,
		`[a:b = 'x'`:                                                             ``,
		`a:b = 'x'`:                                                              ``,
		`[a:b = ]`:                                                               ``,
		`[ab = 'x']`:                                                             ``,
		`[a:b = 'x'] trailing`:                                                   ``,
		`[a:b = 'wrong \n escape']`:                                              ``,
		``:                                                                       ``,
		strings.Repeat("(", 50) + "[a:b='x']":                                    ``,
		"[" + strings.Repeat("(", 50):                                            ``,
	} {
		var got []string
		for _, c := range readObservables(pattern, false) {
			got = append(got, c.Path+"="+c.Value)
		}
		if text := strings.Join(got, " "); text != want {
			t.Errorf("%s: %q, want %q", pattern, text, want)
		}
	}
}
