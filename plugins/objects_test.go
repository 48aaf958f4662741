package main

import (
	"encoding/json"
	"os"
	"path/filepath"
	"strings"
	"sync"
	"testing"

	"mssentinel/app/stix"
	"mssentinel/plugins/mapper"
	"mssentinel/plugins/mapper/mappertest"
)

// object is a STIX object as it would be sent, read again by nothing of ours.
type object struct {
	Type               string              `json:"type"`
	SpecVersion        string              `json:"spec_version"`
	ID                 string              `json:"id"`
	Created            string              `json:"created"`
	Modified           string              `json:"modified"`
	Name               string              `json:"name"`
	Description        string              `json:"description"`
	IndicatorTypes     []string            `json:"indicator_types"`
	Pattern            string              `json:"pattern"`
	PatternType        string              `json:"pattern_type"`
	ValidFrom          string              `json:"valid_from"`
	ValidUntil         string              `json:"valid_until"`
	Revoked            *bool               `json:"revoked"`
	Confidence         *json.Number        `json:"confidence"`
	Labels             []string            `json:"labels"`
	KillChainPhases    []map[string]string `json:"kill_chain_phases"`
	ObjectMarkingRefs  []string            `json:"object_marking_refs"`
	ExternalReferences []map[string]string `json:"external_references"`

	raw []byte
	of  *stix.Indicator
}

// indicators are the cases of every mapper's testdata, those that all types have, and the population, by type.
func indicators(t testing.TB) map[string][][]byte {
	t.Helper()
	byType := map[string][][]byte{}
	for typ, list := range population(t) {
		byType[typ] = list
	}
	files, err := filepath.Glob("*/testdata/*.json")
	if err != nil || len(files) == 0 {
		t.Fatal("no testdata", err)
	}
	for _, file := range files {
		if strings.HasSuffix(file, ".golden.json") {
			continue
		}
		raw, err := os.ReadFile(file)
		if err != nil {
			t.Fatal(err)
		}
		var cases []struct{ Indicator json.RawMessage }
		if err := json.Unmarshal(raw, &cases); err != nil {
			t.Fatalf("%s: %v", file, err)
		}
		for _, c := range cases {
			var named struct{ Type string }
			if err := json.Unmarshal(c.Indicator, &named); err != nil {
				t.Fatalf("%s: %v", file, err)
			}
			byType[named.Type] = append(byType[named.Type], c.Indicator)
		}
	}
	for _, c := range commonCases(t) {
		for _, typ := range typeNames {
			byType[typ] = append(byType[typ], c.indicator(t, typ))
		}
	}
	return byType
}

// objects are what the mappers make of all indicators, by type, mapped once for all tests.
func objects(t *testing.T) map[string][]object {
	t.Helper()
	mapOnce.Do(func() {
		all := indicators(t)
		mapped = map[string][]object{}
		for _, build := range mappers {
			m := build("test")
			typ := m.Describe().Types[0].Name
			mapped[typ] = mapAll(t, m, all[typ])
		}
	})
	if len(mapped) != len(mappers) {
		t.Fatal("mapping failed in an earlier test")
	}
	return mapped
}

var (
	mapOnce sync.Once
	mapped  map[string][]object
)

func mapAll(t *testing.T, m mapper.Mapper, list [][]byte) []object {
	t.Helper()
	client := mappertest.Dial(t, m)
	var all []object
	for len(list) > 0 {
		n := min(batch, len(list))
		answers, err := client.Map(t.Context(), list[:n], mappertest.Now)
		if err != nil {
			t.Fatal(err)
		}
		for _, a := range answers {
			for i := range a.Objects {
				all = append(all, decode(t, &a.Objects[i]))
			}
		}
		list = list[n:]
	}
	if len(all) == 0 {
		t.Fatalf("%s: no objects", m.Describe().Name)
	}
	return all
}

func decode(t *testing.T, i *stix.Indicator) object {
	t.Helper()
	o := object{of: i, raw: i.AppendJSON(nil, stix.Envelope{Modified: mappertest.Now, ValidUntil: mappertest.Now.Add(mappertest.TTL)})}
	if err := json.Unmarshal(o.raw, &o); err != nil {
		t.Fatalf("%s: %v", o.raw, err)
	}
	return o
}
