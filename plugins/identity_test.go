package main

import (
	"encoding/json"
	"slices"
	"strings"
	"testing"

	"github.com/tidwall/gjson"

	"mssentinel/plugins/mapper"
	"mssentinel/plugins/mapper/mappertest"
)

// ThreatConnect's list of deleted indicators gives type, summary, owner and a date. What it names
// must be what stands in Sentinel, or it would stand there for ever.
func TestDeletedHaveTheSamePatterns(t *testing.T) {
	for _, build := range mappers {
		m := build("test")
		for _, raw := range population(t)[m.Describe().Types[0].Name] {
			deleted := gjson.GetManyBytes(raw, "type", "summary", "ownerName", "dateAdded")
			row, err := json.Marshal(map[string]string{"type": deleted[0].Str, "summary": deleted[1].Str, "ownerName": deleted[2].Str, "dateAdded": deleted[3].Str})
			if err != nil {
				t.Fatal(err)
			}
			if want, got := patterns(t, m, raw), patterns(t, m, row); !slices.Equal(want, got) {
				t.Errorf("%s\nstands as %q\nand is deleted as %q", raw, want, got)
			}
		}
	}
}

// A canonical value is its own canonical value: one observable has one id however it is written.
func TestCanonicalValuesStay(t *testing.T) {
	for _, build := range mappers {
		own := build("test")
		of := own.Describe().Types[0].Name
		for _, o := range objects(t)[of] {
			m, typ := own, of
			_, values, err := comparisons(o.Pattern)
			if err != nil {
				continue // TestAcceptance reports it
			}
			if typ == "CIDR" && !strings.Contains(values[0], "/") { // a block of one address is that address
				m, typ = mappers["address"]("test"), "Address"
			}
			row, err := json.Marshal(map[string]string{"type": typ, "summary": strings.Join(values, " : ")})
			if err != nil {
				t.Fatal(err)
			}
			if typ == "Registry Key" && strings.Count(o.Pattern, " : ") > 0 {
				continue // which part is which cannot be told from a summary alone
			}
			if got := patterns(t, m, row); !slices.Equal(got, []string{o.Pattern}) {
				t.Errorf("%s becomes %q", o.Pattern, got)
			}
		}
	}
}

func patterns(t *testing.T, m mapper.Mapper, raw []byte) []string {
	t.Helper()
	ind, err := mapper.Parse(raw)
	if err != nil {
		t.Fatal(err)
	}
	var list []string
	for _, o := range m.Map(ind, mappertest.Now).Objects {
		list = append(list, o.Pattern)
	}
	return list
}
