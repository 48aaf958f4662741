package mapper

import (
	"bytes"
	"encoding/json"
	"strings"
	"testing"
	"unicode/utf8"
)

// FuzzParse reads indicators, and compares with encoding/json whether one is JSON and what its scalars are.
func FuzzParse(f *testing.F) {
	f.Fuzz(func(t *testing.T, raw []byte) {
		checkParse(t, raw)
		i, err := Parse(raw)
		if err != nil {
			return
		}
		for _, text := range []string{i.Type, i.Summary, i.OwnerName, i.WebLink} {
			if !utf8.ValidString(text) || strings.Contains(text, "\x00") {
				t.Fatalf("%q is no text", text)
			}
		}
		if c := i.Confidence; c != nil && (*c < 0 || *c > 100) {
			t.Fatalf("a confidence of %d", *c)
		}
		compareMembers(t, raw, i)
	})
}

// compareMembers compares the texts at the top of an indicator that has each member once.
func compareMembers(t *testing.T, raw []byte, i *Indicator) {
	t.Helper()
	if !json.Valid(raw) || !utf8.Valid(raw) || bytes.Contains(raw, []byte(`\u`)) {
		return
	}
	var members map[string]any
	d := json.NewDecoder(bytes.NewReader(raw))
	d.UseNumber()
	if err := d.Decode(&members); err != nil {
		t.Fatal(err)
	}
	for name, value := range members {
		want, isText := value.(string)
		if number, ok := value.(json.Number); ok {
			want, isText = number.String(), true
		}
		given := 0
		for _, m := range i.members {
			if m.name == name {
				given++
			}
		}
		if isText && given == 1 && i.Member(name) != want {
			t.Fatalf("%q of %q is %q, want %q", name, raw, i.Member(name), want)
		}
		if isText && given == 0 {
			t.Fatalf("%q of %q was not read", name, raw)
		}
	}
}
