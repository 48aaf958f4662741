package main

import (
	"os"
	"path/filepath"
	"regexp"
	"slices"
	"strings"
	"testing"

	"mssentinel/plugins/mapper"
	"mssentinel/plugins/mapper/mappertest"
)

// The page has the canonical form of each type, with the paths of its patterns.
func TestPageHasCanonicalForms(t *testing.T) {
	page, err := os.ReadFile(filepath.Join("..", "app", "docs", "mapping.md"))
	if err != nil {
		t.Fatal(err)
	}
	_, forms, _ := strings.Cut(string(page), "\n## Canonical forms\n")
	forms, _, _ = strings.Cut(forms, "\n## ")
	for typ, paths := range canonicalPaths {
		_, row, _ := strings.Cut(forms, "\n| "+typ+" | ")
		row, _, _ = strings.Cut(row, "\n")
		for _, path := range paths {
			if !strings.Contains(row, "`"+path+"`") {
				t.Errorf("the row of %s lacks %s: %s", typ, path, row)
			}
		}
	}
}

// exampleRow is a row of a table of app/docs/mapping.md: a type, a value as JSON has it, and what becomes of it.
var exampleRow = regexp.MustCompile("^\\| ([A-Z][A-Za-z ]+) \\| `([^`]+)` \\| `?([^`|]+?)`? \\|$")

// The examples of the page about the mapping come out as it says.
func TestExamplesOfThePage(t *testing.T) {
	page, err := os.ReadFile(filepath.Join("..", "app", "docs", "mapping.md"))
	if err != nil {
		t.Fatal(err)
	}
	_, examples, _ := strings.Cut(string(page), "\n## Examples\n")
	found := map[string]int{}
	column := ""
	for line := range strings.Lines(examples) {
		line = strings.TrimSpace(line)
		if cells := strings.Split(line, " | "); cells[0] == "| type" {
			column = strings.TrimSuffix(cells[2], " |")
		}
		row := exampleRow.FindStringSubmatch(line)
		if row == nil {
			continue
		}
		found[column]++
		ind, err := mapper.Parse([]byte(`{"type":"` + row[1] + `","summary":"` + row[2] + `"}`))
		if err != nil {
			t.Fatalf("%s: %v", line, err)
		}
		a := built(t, row[1]).Map(ind, mappertest.Now)
		for _, o := range a.Objects {
			if _, values, err := comparisons(o.Pattern); column == "compared with" && (err != nil || !slices.Equal(values, []string{row[3]})) {
				t.Errorf("%s\nbut it is compared with %q", line, values)
			}
		}
		said := map[string][]string{"note": a.Notes, "reason": a.Problems}[column]
		if sent := column != "reason"; sent != (len(a.Objects) == 1) || column == "compared with" && len(a.Notes) > 0 ||
			column != "compared with" && !strings.Contains(strings.Join(said, "\n"), row[3]) {
			t.Errorf("%s\nbut %d objects, notes %q, problems %q", line, len(a.Objects), a.Notes, a.Problems)
		}
	}
	for _, column := range []string{"compared with", "note", "reason"} {
		if found[column] < 4 {
			t.Errorf("%d examples under %q: does the pattern still fit?", found[column], column)
		}
	}
}
