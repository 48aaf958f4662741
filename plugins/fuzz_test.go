package main

import (
	"encoding/json"
	"slices"
	"strings"
	"testing"
	"time"
	"unicode/utf8"

	"mssentinel/app/stix"
	"mssentinel/plugins/builtin"
	"mssentinel/plugins/mapper"
)

// FuzzMap has every mapper map anything that can be read. What it makes can be sent and is valid JSON, what it says can be
// shown, and a value in the form in which it was sent gives the same pattern again: no observable has two ids.
func FuzzMap(f *testing.F) {
	now := time.Date(2026, 9, 1, 12, 0, 0, 0, time.UTC)
	var all []mapper.Mapper
	for _, t := range builtin.Types {
		all = append(all, mappers[t.Mapper]("fuzz"))
	}
	f.Fuzz(func(t *testing.T, kind byte, raw []byte) {
		ind, err := mapper.Parse(raw)
		if err != nil {
			return
		}
		chosen := all[int(kind)%len(all)]
		answer := chosen.Map(ind, now)
		if len(answer.Objects)+len(answer.Problems) == 0 || answer.Failed || len(answer.Objects) > 3 {
			t.Fatalf("%q gives %+v", raw, answer)
		}
		for _, o := range answer.Objects {
			checkObject(t, &o, now)
			checkAgain(t, chosen, o.Pattern, now)
		}
	})
}

func checkObject(t *testing.T, o *mapper.Object, now time.Time) {
	t.Helper()
	if err := o.Check(); err != nil {
		unfit := o.TextSize() > stix.MaxText || !utf8.ValidString(o.Name) // which the contract refuses, and REPORT tells
		if !unfit {
			t.Fatalf("%+v: %v", o, err)
		}
		return
	}
	if o.Created.After(now) || o.Created.IsZero() {
		t.Fatalf("created %v", o.Created)
	}
	var read struct{ ID, Pattern string }
	raw := o.AppendJSON(nil, stix.Envelope{Modified: now, ValidUntil: now.Add(time.Hour)})
	if err := json.Unmarshal(raw, &read); err != nil || read.Pattern != o.Pattern {
		t.Fatalf("%q: %v", raw, err)
	}
	var description map[string]any
	if err := json.Unmarshal([]byte(o.Description), &description); err != nil {
		t.Fatalf("%q: %v", o.Description, err)
	}
}

var unquoteSTIX = strings.NewReplacer(`\\`, `\`, `\'`, `'`)

// checkAgain maps the value that stands in a pattern of one comparison. A block of one address has the pattern of that
// address, app/docs/mapping.md#addresses-and-blocks.
func checkAgain(t *testing.T, m mapper.Mapper, pattern string, now time.Time) {
	t.Helper()
	path, rest, _ := strings.Cut(strings.TrimPrefix(pattern, "["), " = '")
	value, whole := strings.CutSuffix(rest, "']")
	if !whole || strings.HasPrefix(path, "windows-registry-key:") {
		return
	}
	value = unquoteSTIX.Replace(value)
	if strings.HasPrefix(path, "ipv") && !strings.Contains(value, "/") {
		m = mappers["address"]("fuzz")
	}
	raw, err := json.Marshal(map[string]any{"type": m.Describe().Types[0].Name, "summary": value, "ownerName": "O"})
	if err != nil {
		t.Fatal(err)
	}
	ind, err := mapper.Parse(raw)
	if err != nil {
		t.Fatalf("%q: %v", raw, err)
	}
	again := m.Map(ind, now)
	if !slices.ContainsFunc(again.Objects, func(o mapper.Object) bool { return o.Pattern == pattern }) {
		t.Fatalf("%s comes back as %+v", pattern, again)
	}
}
