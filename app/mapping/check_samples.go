package mapping

import (
	"encoding/json"
	"fmt"
	"maps"
	"slices"
	"strings"

	"mssentinel/plugins/mapper"
)

// maxTypical is the size of an indicator, in bytes, up to which it is like those of ThreatConnect.
const maxTypical = 4096

// samplesFor are the given samples of the types that a mapper takes and, for each of these types, awkward ones that are made of the
// first such sample or, where there is none, of nothing but a summary.
func samplesFor(types []mapper.Type, given []Sample) []Sample {
	var samples []Sample
	for _, t := range types {
		model := modelOf(t.Name)
		known := slices.DeleteFunc(slices.Clone(given), func(s Sample) bool { return typeOf(s.Indicator) != t.Name })
		if len(known) > 0 {
			_ = json.Unmarshal(known[0].Indicator, &model) // typeOf has read it
		}
		samples = append(append(samples, known...), awkwardSamples(t.Name, model)...)
	}
	return samples
}

// typeOf is the type of an indicator as ThreatConnect names it; "" where there is none.
func typeOf(raw []byte) string {
	var indicator struct{ Type string }
	if json.Unmarshal(raw, &indicator) != nil {
		return ""
	}
	return indicator.Type
}

// modelOf is an indicator of a type of which nothing but the name is known.
func modelOf(typ string) map[string]any {
	return map[string]any{"id": 1, "type": typ, "summary": "example", "ownerName": "Demo Organization", "dateAdded": "2026-01-02T03:04:05Z",
		"webLink": "https://tc.example/1", "confidence": 50, "rating": 3, "threatAssessScore": 500,
		"tags": map[string]any{"data": []any{map[string]any{"name": "Phishing"}}}}
}

// awkward are members that ThreatConnect may write, or write wrongly, and what is odd about them. A value of the member summary goes
// to all members that the model has it in, too.
var awkward = []struct {
	name   string
	member string
	value  any // JSON where it is a json.RawMessage
}{
	{"quotes and backslashes", "summary", `C:\it's "here"\`},
	{"an end of the pattern inside the value", "summary", `x'] OR [url:value = 'y`},
	{"blanks around the value", "summary", "  example \t"},
	{"lines in the value", "summary", "one\r\ntwo"},
	{"other scripts", "summary", "пример 例え é\u0301 🦊 i\u0307İ"},
	{"marks that nobody sees", "summary", "ex\u200bam\u202eple\ufeff"},
	{"U+2028 and markup", "summary", "<b>&amp;\u2028</b>"},
	{"a NUL", "summary", json.RawMessage(`"ex\u0000ample"`)},
	{"half a pair of surrogates", "summary", json.RawMessage(`"ex\ud800ample"`)},
	{"bytes that are no UTF-8", "summary", json.RawMessage("\"ex\xffample\"")},
	{"an empty value", "summary", ""},
	{"a blank value", "summary", " \t\n"},
	{"null for a value", "summary", nil},
	{"a number for a value", "summary", 17},
	{"a truth value for a value", "summary", true},
	{"a list for a value", "summary", []any{"example"}},
	{"an object for a value", "summary", map[string]any{"data": "example"}},
	{"a value of 1,000 bytes", "summary", strings.Repeat("x", 1000)},
	{"a value of 50,000 bytes", "summary", strings.Repeat("é", 25_000)},
	{"no owner", "ownerName", nil},
	{"an owner of 1,000 bytes with quotes", "ownerName", strings.Repeat(`"\`, 500)},
	{"a date that is none", "dateAdded", "yesterday"},
	{"a date that lies ahead", "dateAdded", "2999-01-02T03:04:05Z"},
	{"no date", "dateAdded", nil},
	{"a confidence above 100", "confidence", 101},
	{"a confidence that is a text", "confidence", "high"},
	{"a rating below 0", "rating", -1},
	{"tags of another form", "tags", []any{nil, "Phishing", map[string]any{}}},
	{"tags that are null", "tags", map[string]any{"data": nil}},
	{"2,000 tags", "tags", map[string]any{"data": manyTags(2000)}},
	{"attributes of another form", "attributes", map[string]any{"data": []any{map[string]any{"type": 1, "value": nil}}}},
	{"a web link that is none", "webLink", "javascript:alert(1)"},
}

func manyTags(n int) []any {
	tags := make([]any, n)
	for i := range tags {
		tags[i] = map[string]any{"name": fmt.Sprintf("a tag of some length with the number %d", i)}
	}
	return tags
}

// awkwardSamples are variations of a model, and the least that an indicator can be.
func awkwardSamples(typ string, model map[string]any) []Sample {
	samples := []Sample{{Case: typ + ", as it should be", Indicator: encodeIndicator(model)}}
	for _, a := range awkward {
		samples = append(samples, Sample{Case: typ + " with " + a.name, Indicator: encodeIndicator(varyMember(model, a.member, a.value))})
	}
	return append(samples, Sample{Case: typ + " without any member", Indicator: []byte(`{}`)},
		Sample{Case: typ + " of nothing but a type", Indicator: encodeIndicator(map[string]any{"type": typ})})
}

// varyMember gives the model with another value of a member and of all that had the same value.
func varyMember(model map[string]any, member string, value any) map[string]any {
	changed := map[string]any{}
	before, isText := model[member].(string)
	for name, old := range model {
		if text, ok := old.(string); name == member || isText && ok && text == before && before != "" {
			old = value
		}
		changed[name] = old
	}
	changed[member] = value
	return changed
}

// encodeIndicator writes JSON as ThreatConnect does. Raw members are written as they are: they may be what encoding/json refuses.
func encodeIndicator(indicator map[string]any) []byte {
	b := []byte("{")
	for i, name := range slices.Sorted(maps.Keys(indicator)) {
		if i > 0 {
			b = append(b, ',')
		}
		b = append(append(b, encodeValue(name)...), ':')
		if raw, ok := indicator[name].(json.RawMessage); ok {
			b = append(b, raw...)
		} else {
			b = append(b, encodeValue(indicator[name])...)
		}
	}
	return append(b, '}')
}

// encodeValue writes a value that was read from JSON, or is one of ours.
func encodeValue(v any) []byte {
	b, _ := json.Marshal(v)
	return b
}
