package main

import (
	"encoding/json"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"testing"

	"github.com/tidwall/gjson"

	"mssentinel/plugins/builtin"
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

// The ids that stand in Sentinel stay: the rows of testdata/ids.txt were made apart from the product, and none is ever changed.
func TestIDsNeverChange(t *testing.T) {
	file, err := os.ReadFile(filepath.Join("testdata", "ids.txt"))
	if err != nil {
		t.Fatal(err)
	}
	rows := map[string]int{}
	for line := range strings.Lines(string(file)) {
		if strings.HasPrefix(line, "#") {
			continue
		}
		cells := strings.Split(strings.TrimSpace(line), "\t")
		if len(cells) != 3 {
			t.Fatalf("%q has not three cells", line)
		}
		rows[cells[0]]++
		ind, err := mapper.Parse([]byte(`{"type":"` + cells[0] + `","ownerName":"O","summary":` + cells[1] + `}`))
		if err != nil {
			t.Fatalf("%q: %v", line, err)
		}
		objects := built(t, cells[0]).Map(ind, mappertest.Now).Objects
		if len(objects) != 1 {
			t.Errorf("%q gives %d objects", line, len(objects))
			continue
		}
		if o := decode(t, &objects[0]); o.ID != cells[2] {
			t.Errorf("%s %s had the id %s, and now it has %s, of %s", cells[0], cells[1], cells[2], o.ID, o.Pattern)
		}
	}
	for _, typ := range builtin.Types {
		if rows[typ.Name] < 3 {
			t.Errorf("%s has %d ids in the list", typ.Name, rows[typ.Name])
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
