package pipeline

import (
	"strings"
	"testing"

	"mssentinel/app/job"
	"mssentinel/app/stix"
	"mssentinel/app/threatconnect"
	"mssentinel/plugins/mapper"
)

// What Convert makes of an indicator: how many objects it gives, and what REPORT says of it and shows.
func TestWhatConvertReports(t *testing.T) {
	const raw = `{"id":25,"type":"Host","ownerName":"Alpha","summary":"a.example","hostName":"a.example"}`
	const head = `{"id":25,"type":"Host","ownerName":"Alpha"}`
	long := raw[:len(raw)-1] + `,"description":"` + strings.Repeat("x", maxRaw-len(raw)-len(`,"description":""`)) + `"}`
	full := `"` + strings.Repeat(`x`, stix.MaxText/2) + `"`
	for name, c := range map[string]struct {
		indicator   threatconnect.Indicator
		labels      []string
		objects     int
		code        job.Code
		message     string
		shown       string
		unconverted bool
	}{
		"a host":                  {indicator: threatconnect.Indicator{ID: 25, Type: "Host", Raw: []byte(raw)}, objects: 1},
		"without an id":           {threatconnect.Indicator{Type: "Host", Raw: []byte(raw)}, nil, 0, job.CodeUnreadable, "ThreatConnect's answer has an indicator that cannot be read: it has no id.", raw, true},
		"unreadable":              {threatconnect.Indicator{ID: 25, Type: "Host", Unreadable: "It is too large."}, nil, 0, job.CodeUnreadable, "Indicator 25 cannot be read. It is too large.", head, true},
		"of a type without one":   {threatconnect.Indicator{ID: 25, Type: "Mutex", Raw: []byte(raw)}, nil, 0, job.CodeNoMapper, `No installed mapper takes the type "Mutex".`, raw, true},
		"that the mapper dies of": {threatconnect.Indicator{ID: 25, Type: "Host", Raw: []byte("deadly")}, nil, 0, job.CodeMapperFailed, "the mapper died", "deadly", true},
		"that gives nothing":      {threatconnect.Indicator{ID: 25, Type: "Host", Raw: []byte(`{"id":5}`)}, nil, 0, job.CodeInvalidValue, "", `{"id":5}`, false},
		"read without its tags": {threatconnect.Indicator{ID: 25, Type: "Host", Raw: []byte(raw), LeftOut: []string{"tags"}}, nil, 1, job.CodeNote,
			"ThreatConnect's answer is too large or damaged with its tags. It is sent without.", raw, false},
		"whose labels give way": {threatconnect.Indicator{ID: 25, Type: "Host", Raw: []byte(raw[:len(raw)-1] + `,"tags":{"data":[{"name":` + full + `}]}}`)}, []string{full}, 1, job.CodeNote,
			"the object has no room for 1 of its labels beside those of its query, which are left out", head, false},
		"as large as is shown": {threatconnect.Indicator{ID: 25, Type: "Mutex", Raw: []byte(long)}, nil, 0, job.CodeNoMapper, `No installed mapper takes the type "Mutex".`, long, true},
		"too large to be shown": {threatconnect.Indicator{ID: 25, Type: "Mutex", Raw: []byte(long + " ")}, nil, 0, job.CodeNoMapper,
			`No installed mapper takes the type "Mutex".`, strings.Replace(head, "Host", "Mutex", 1), true},
	} {
		mappers := newInProcess()
		mappers.fails = func(raw []byte) bool { return string(raw) == "deadly" }
		p := New(Options{Mappers: mappers, TTL: mappers.ttls(), Logger: quiet()})
		c.indicator.Owner = "Alpha"
		k := &chunk{mode: job.Full, attempt: newAttempt(t.Context(), job.Job{}, nil, p.disk, 0), indicators: []threatconnect.Indicator{c.indicator}}
		k.settings.Labels = c.labels
		if err := p.converter.mapChunk(k); err != nil {
			t.Fatal(err)
		}
		f := k.found[0]
		if len(f.Objects) != c.objects || f.Unconverted != c.unconverted || k.attempt.converted.Load() != int64(c.objects) {
			t.Errorf("%s: %d objects, unconverted %t", name, len(f.Objects), f.Unconverted)
		}
		if c.code == "" {
			if len(f.Problems) > 0 {
				t.Errorf("%s: REPORT says %+v", name, f.Problems)
			}
			continue
		}
		if len(f.Problems) != 1 {
			t.Errorf("%s: REPORT says %+v", name, f.Problems)
			continue
		}
		if got := f.Problems[0]; got.Code != c.code || !strings.Contains(got.Message, c.message) || got.Note != (c.code == job.CodeNote) || got.Raw != c.shown || got.Owner != "Alpha" {
			t.Errorf("%s: REPORT says %+v", name, got)
		}
	}
}

// What a mapper notes of an indicator is on REPORT as a note beside its object.
func TestNotesOfAMapper(t *testing.T) {
	p := New(Options{Mappers: noMappers{}, Logger: quiet()})
	k := &chunk{mode: job.Full, attempt: newAttempt(t.Context(), job.Job{}, nil, p.disk, 0), indicators: []threatconnect.Indicator{{ID: 5}}}
	if err := p.converter.mapChunk(k); err != nil {
		t.Fatal(err)
	}
	k.found[0].Problems = nil
	k.addProblems(0, &mapper.Answer{Notes: []string{"cut short"}})
	if got := k.found[0].Problems; len(got) != 1 || got[0].Message != "cut short" || !got[0].Note || got[0].Code != job.CodeNote {
		t.Errorf("%+v", got)
	}
}
