package threatconnect

import (
	"encoding/json"
	"strings"
	"testing"

	"pgregory.net/rapid"
)

func passes(text string) bool {
	s := scanner{text: []byte(text)}
	return s.skip() && s.next() == 0
}

func TestScan(t *testing.T) {
	for _, good := range []string{`{}`, `[]`, ` { "a" : [ 1 , -2.5e+3, true,false , null, "" ] , "b\"\\":{"c":"\\"} } `, `"x"`, `0`, `[[[]]]`,
		strings.Repeat("[", maxDepth) + strings.Repeat("]", maxDepth)} {
		if !json.Valid([]byte(good)) || !passes(good) {
			t.Errorf("%s is refused", good)
		}
	}
	for _, bad := range []string{``, `{`, `[`, `}`, `{]`, `[}`, `{"a"}`, `{"a":}`, `{"a":1,}`, `[1,]`, `[,1]`, `[1 2]`, `{"a":1 "b":2}`, `{"a" 1}`, `{a:1}`, `{1:1}`, `"`, `"\"`,
		`"\\\"`, `tru`, `nulls`, `[1}`, `{"a":[}`, `1 2`, `[1]]`, `+1`, `<html>`, strings.Repeat("[", maxDepth+1) + strings.Repeat("]", maxDepth+1)} {
		if passes(bad) {
			t.Errorf("%s passes", bad)
		}
	}
}

// Whatever is JSON passes; cut anywhere, it does not.
func TestScanNoticesWhatIsCut(t *testing.T) {
	value := rapid.Custom(func(t *rapid.T) any { return draw(t, 4) })
	rapid.Check(t, func(t *rapid.T) {
		text, err := json.MarshalIndent([]any{value.Draw(t, "value")}, "", rapid.SampledFrom([]string{"", " "}).Draw(t, "indent"))
		if err != nil {
			t.Fatal(err)
		}
		if !passes(string(text)) {
			t.Fatalf("%s is refused", text)
		}
		cut := rapid.IntRange(0, len(text)-1).Draw(t, "cut")
		if passes(string(text[:cut])) {
			t.Fatalf("%s passes", text[:cut])
		}
		// Bytes lost in the middle are noticed where they leave something that is no JSON, strings and numbers aside.
		lost := string(text[:cut]) + string(text[min(cut+rapid.IntRange(1, 9).Draw(t, "lost"), len(text)):])
		if json.Valid([]byte(lost)) && !passes(lost) {
			t.Fatalf("%s is refused", lost)
		}
	})
}

func draw(t *rapid.T, depth int) any {
	kind := rapid.IntRange(0, 5).Draw(t, "kind")
	if depth == 0 {
		kind %= 4
	}
	switch kind {
	case 0:
		return rapid.String().Draw(t, "text")
	case 1:
		return rapid.SampledFrom([]string{`"`, `\`, `\"`, `\\"`, `{`, `]`, "é\n\x00"}).Draw(t, "awkward")
	case 2:
		return rapid.Float64().Draw(t, "number")
	case 3:
		return rapid.SampledFrom([]any{true, false, nil}).Draw(t, "word")
	case 4:
		return []any{draw(t, depth-1), draw(t, depth-1)}
	}
	return map[string]any{rapid.String().Draw(t, "key"): draw(t, depth-1), "b": draw(t, depth-1)}
}
