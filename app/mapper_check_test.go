package main

import (
	"os"
	"path/filepath"
	"strings"
	"testing"

	"mssentinel/app/mapping"
)

// The command mapper takes lists of indicators in each form that an author may have, and says what it does not take.
func TestMapperArguments(t *testing.T) {
	dir := t.TempDir()
	write := func(name, data string) string {
		path := filepath.Join(dir, name)
		if err := os.WriteFile(path, []byte(data), 0o600); err != nil {
			t.Fatal(err)
		}
		return path
	}
	list := write("list.json", `[{"type":"Mutex"},{"case":"odd","indicator":{"type":"Mutex","Mutex":1}}]`)
	page := write("page.json", `{"data":[{"type":"Host"}],"status":"Success"}`)
	o, err := readMapperArguments([]string{"check", "-indicators", list, "-indicators", page, "./my-mapper", "host"})
	if err != nil {
		t.Fatal(err)
	}
	var cases []string
	for _, s := range o.Samples {
		cases = append(cases, s.Case+" "+string(s.Indicator))
	}
	want := `list.json, number 1 {"type":"Mutex"}; list.json, odd {"type":"Mutex","Mutex":1}; page.json, number 1 {"type":"Host"}`
	if got := strings.Join(cases, "; "); got != want || o.Path != "./my-mapper" || len(o.Args) != 1 || o.Args[0] != "host" {
		t.Errorf("%+v with %s", o, got)
	}
	for want, args := range map[string][]string{
		"the command is: mapper check":        {},
		"mapper check needs the path":         {"check"},
		"is no JSON list of indicators":       {"check", "-indicators", write("none.json", `{"a":1}`), "x"},
		"no such file or directory":           {"check", "-indicators", filepath.Join(dir, "missing"), "x"},
		"flag provided but not defined: -all": {"check", "-all", "x"},
	} {
		if _, err := readMapperArguments(args); err == nil || !strings.Contains(err.Error(), want) {
			t.Errorf("%q: %v instead of %s", args, err, want)
		}
	}
}

// A report can be read in a terminal, whatever the mapper had said in it.
func TestFormatCheck(t *testing.T) {
	r := mapping.CheckReport{File: "/x/my-mapper", Checksum: "c0ffee", Findings: []mapping.Finding{
		{Rule: "contract", Verdict: mapping.Passed, Text: "It speaks."},
		{Rule: "objects", Verdict: mapping.Violation, Text: "Objects cannot be sent.", Details: []string{"one: \x1b[31mred\ntwo"}}}}
	want := "/x/my-mapper\nSHA-256 c0ffee\n\nok     contract    It speaks.\nWRONG  objects     Objects cannot be sent.\n                   - one: [31mred two\n\n" +
		"This mapper is not fit for the App: see what is WRONG above (1).\n"
	if got := formatCheck(r); got != want {
		t.Errorf("got\n%q, want\n%q", got, want)
	}
	r.Findings = r.Findings[:1]
	if got := formatCheck(r); !strings.HasSuffix(got, "\nThe App can use this mapper.\n") {
		t.Errorf("without violations: %s", got)
	}
}
