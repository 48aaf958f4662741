package mapper

import (
	"bytes"
	"encoding/json"
	"math/rand/v2"
	"strings"
	"testing"

	"mssentinel/app/jsonscan"
)

// awkward is an indicator with everything that Parse treats in its own way.
const awkward = `{"id":9007199254740993,"type":"Host","summary":"a\"b\\","ownerName":"\u00dc\ud83d\ude00","rating":3.50,"confidence":-1e+2,"active":true,"x":null,` +
	`"tags":{"count":1,"data":[{"name":"T1566","techniqueId":"T1566"},[],7,"]}"]},"attributes":{"data":[{"type":"Description","value":"{[\",:"}]},` +
	`"associatedGroups":{},"securityLabels":[{"name":"TLP:RED"}],"other":{"a":[[[{"b":{}}]]],"c":"\/\b"}}`

// Whatever stands there, reading it ends, and what is taken for an indicator is JSON. The walk itself is fuzzed in jsonscan.
func TestParseDamaged(t *testing.T) {
	for _, raw := range []string{"", "\x00", `{"`, `{"a`, `{"a"`, `{"a":`, `{"a":[`, `{"tags":{"data":[{`, `{"a":"\`, `[`, `{"a":"\ud800"}`, "{\"a\xff\":\"\xc3\"}", awkward,
		strings.Repeat("[", 200), `{"tags":` + strings.Repeat(`{"data":[`, 99)} {
		checkParse(t, []byte(raw))
	}
	random := rand.New(rand.NewPCG(1, 2))
	for range 5_000 {
		raw := []byte(awkward)
		for range 1 + random.IntN(3) {
			at := random.IntN(len(raw))
			switch random.IntN(4) {
			case 0:
				raw[at] = "{}[]\",:\\ntu0-+eE.\x00\n \xff"[random.IntN(21)]
			case 1:
				raw = append(raw[:at], raw[at+1:]...)
			case 2:
				raw = append(raw[:at:at], raw[min(len(raw), at+random.IntN(40)):]...)
			case 3:
				raw = append(raw[:at:at], append([]byte{raw[random.IntN(len(raw))]}, raw[at:]...)...)
			}
			if len(raw) == 0 {
				break
			}
		}
		checkParse(t, raw)
	}
}

// An indicator that is nested without end must not exhaust the stack, which would end the mapper.
func TestParseDeep(t *testing.T) {
	nested := func(n int) []byte { return []byte(`{"x":` + strings.Repeat("[", n) + strings.Repeat("]", n) + `}`) }
	if _, err := Parse(nested(jsonscan.MaxDepth - 1)); err != nil {
		t.Error(err)
	}
	if _, err := Parse(nested(jsonscan.MaxDepth)); err == nil {
		t.Error("deeper than the most was read")
	}
}

func checkParse(t *testing.T, raw []byte) {
	_, err := Parse(raw)
	valid := json.Valid(raw)
	object := strings.HasPrefix(strings.TrimLeft(string(raw), " \t\r\n"), "{")
	switch {
	case err == nil && !json.Valid(withoutControls(raw)):
		t.Errorf("%q is read, and is no JSON", raw)
	case err != nil && valid && object && depthOf(raw) <= jsonscan.MaxDepth:
		t.Errorf("%q is JSON: %v", raw, err)
	}
}

// withoutControls puts right what Parse tolerates: control characters in strings.
func withoutControls(raw []byte) []byte {
	right := bytes.Clone(raw)
	for i, inside := 0, false; i < len(right); i++ {
		switch {
		case right[i] == '"':
			inside = !inside
		case inside && right[i] == '\\':
			i++
		case inside && right[i] < ' ':
			right[i] = '.'
		}
	}
	return right
}

// depthOf is how deep the values of valid JSON lie in each other.
func depthOf(raw []byte) (deepest int) {
	tokens := json.NewDecoder(bytes.NewReader(raw))
	tokens.UseNumber()
	for now := 0; ; {
		token, err := tokens.Token()
		if err != nil {
			return deepest
		}
		switch token {
		case json.Delim('{'), json.Delim('['):
			now++
		case json.Delim('}'), json.Delim(']'):
			now--
		}
		deepest = max(deepest, now)
	}
}
