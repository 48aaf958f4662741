package main

import (
	"bytes"
	"encoding/json"
	"os"
	"path/filepath"
	"regexp"
	"strings"
	"testing"
)

var folder = filepath.Join("..", "..", "sentinel", "content")

// What is deployed and shown is made of the files as they are today.
func TestContentIsCurrent(t *testing.T) {
	made, err := makeContent(folder)
	if err != nil {
		t.Fatal(err)
	}
	for name, want := range made {
		got, err := os.ReadFile(filepath.Join(folder, name))
		if err != nil || !bytes.Equal(got, want) {
			t.Errorf("%s is stale (%v): run go generate . in app/sentinel/content", name, err)
		}
	}
}

// The template has each file once, with what Azure asks of it.
func TestTemplate(t *testing.T) {
	s, err := readSources(folder)
	if err != nil {
		t.Fatal(err)
	}
	text, err := json.Marshal(s.makeTemplate())
	if err != nil {
		t.Fatal(err)
	}
	var d struct {
		Schema    string `json:"$schema"`
		Resources []struct {
			Type, APIVersion, Name, Kind string
			Properties                   map[string]any
		}
	}
	if err := json.Unmarshal(text, &d); err != nil {
		t.Fatal(err)
	}
	counts, names := map[string]int{}, map[string]bool{}
	for _, r := range d.Resources {
		counts[r.Type]++
		if names[r.Name] || !strings.HasPrefix(r.Name, "[") || r.APIVersion == "" {
			t.Errorf("%s %s %s", r.Type, r.Name, r.APIVersion)
		}
		names[r.Name] = true
		if strings.HasSuffix(r.Type, "/alertRules") {
			checkRule(t, r.Kind, r.Properties)
		}
	}
	want := map[string]int{
		"Microsoft.OperationalInsights/workspaces/savedSearches":        len(s.functions) + len(s.hunting),
		"Microsoft.OperationalInsights/workspaces/providers/alertRules": len(s.rules),
		"Microsoft.Insights/workbooks":                                  len(s.workbooks),
	}
	for kind, n := range want {
		if counts[kind] != n || n == 0 {
			t.Errorf("%d of %s, want %d", counts[kind], kind, n)
		}
	}
	if len(text) > 4<<20 || len(d.Resources) > 800 {
		t.Errorf("%d bytes and %d resources: Azure takes 4 MB and 800", len(text), len(d.Resources))
	}
}

// checkRule holds a rule to the bounds of Microsoft Sentinel.
func checkRule(t *testing.T, kind string, p map[string]any) {
	t.Helper()
	name, _ := p["displayName"].(string)
	query, _ := p["query"].(string)
	if kind != "Scheduled" || !strings.HasPrefix(name, "ThreatConnect: ") || len(query) == 0 || len(query) > 10_000 {
		t.Errorf("%s %q with a query of %d characters", kind, name, len(query))
	}
	if p["queryFrequency"] != "PT1H" || p["queryPeriod"] != "P14D" || p["triggerOperator"] != "GreaterThan" || p["enabled"] != "[parameters('enableRules')]" {
		t.Errorf("%s: %v", name, p)
	}
	if entities := p["entityMappings"].([]any); len(entities) == 0 || len(entities) > 10 {
		t.Errorf("%s has %d entities", name, len(entities))
	}
	if details := p["customDetails"].(map[string]any); len(details) > 20 {
		t.Errorf("%s has %d details", name, len(details))
	}
	for _, technique := range p["techniques"].([]any) {
		if !regexp.MustCompile(`^T\d{4}$`).MatchString(technique.(string)) {
			t.Errorf("%s: %s", name, technique)
		}
	}
}

// A member that is not known is refused, and a text that looks like an expression of a template is kept from being one.
func TestSourcesAreStrict(t *testing.T) {
	if err := readYAML("x.yaml", []byte("name: a\nquerry: b\n"), &rule{}); err == nil || !strings.Contains(err.Error(), "querry") {
		t.Error(err)
	}
	if got := literal("[x]"); got != "[[x]" {
		t.Error(got)
	}
	for given, want := range map[string]string{"1h": "PT1H", "14d": "P14D", "5m": "PT5M"} {
		if got := duration(given); got != want {
			t.Errorf("%s is %s, want %s", given, got, want)
		}
	}
}
