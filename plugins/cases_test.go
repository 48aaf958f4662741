package main

import (
	"encoding/json"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"testing"

	"mssentinel/plugins/builtin"
)

// families of awkward cases. "guide" are the samples of ThreatConnect's user guide, "other things" what a value is instead of one.
var families = []string{"spelling", "Unicode", "escaping", "length", "members", "numbers", "dates", "labels", "groups", "TLP", "kill chain"}

const (
	leastOfOwn    = 40 // cases of a type's own, about its values
	leastOfAll    = 120
	leastOfFamily = 4
)

// goldenCase is what the tests of cases ask of one, in a mapper's own testdata or among those of every type.
type goldenCase struct{ Family, Case, Why string }

// Every type has awkward cases of every family, each with its reason in a line.
func TestCasesOfEveryType(t *testing.T) {
	common := readCases(t, filepath.Join("testdata", "everytype.json"))
	for _, typ := range builtin.Types {
		files, err := filepath.Glob(filepath.Join(typ.Mapper, "testdata", "*.json"))
		if err != nil {
			t.Fatal(err)
		}
		own, byFamily := 0, map[string]int{}
		for _, file := range files {
			if strings.HasSuffix(file, ".golden.json") {
				continue
			}
			for _, c := range readCases(t, file) {
				byFamily[c.Family]++
				if c.Family != "guide" {
					own++
				}
			}
		}
		for _, c := range common {
			byFamily[c.Family]++
		}
		if own < leastOfOwn || own+len(common) < leastOfAll || byFamily["guide"] < 2 {
			t.Errorf("%s has %d cases of its own, %d beside those of every type, %d of the guide", typ.Name, own, len(common), byFamily["guide"])
		}
		for _, family := range families {
			if byFamily[family] < leastOfFamily {
				t.Errorf("%s has %d cases of the family %s", typ.Name, byFamily[family], family)
			}
		}
	}
}

func readCases(t *testing.T, file string) (cases []goldenCase) {
	t.Helper()
	raw, err := os.ReadFile(file)
	if err != nil {
		t.Fatal(err)
	}
	if err := json.Unmarshal(raw, &cases); err != nil {
		t.Fatalf("%s: %v", file, err)
	}
	known := append([]string{"guide", "other things"}, families...)
	for _, c := range cases {
		if c.Why == "" || len(c.Why) > 160 || strings.Contains(c.Why, "\n") || !slices.Contains(known, c.Family) {
			t.Errorf("%s, %q: the family %q, because %q: wanted are a family and a reason in a line", file, c.Case, c.Family, c.Why)
		}
	}
	return cases
}
