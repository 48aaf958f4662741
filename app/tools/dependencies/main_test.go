package main

import (
	"strings"
	"testing"
	"testing/fstest"
)

func TestDependenciesAreListed(t *testing.T) {
	if err := check("../../.."); err != nil {
		t.Error(err)
	}
}

func TestCompare(t *testing.T) {
	page := "| module | version | in | for |\n|---|---|---|---|\n| `a.example/one` | v1.2.3 | App | reasons |\n| `two.min.js` | `00ff` | pages | buttons |\n" +
		"| `a.example/three` | v1.0.0 | tests |  |\n"
	listed := readList(page)
	one, two := dependency{"a.example/one", "v1.2.3", "App"}, dependency{"two.min.js", "00ff", "pages"}
	if err := compare(listed, []dependency{one, two}); err != nil {
		t.Error(err)
	}
	for says, used := range map[string][]dependency{
		"no row for a.example/one v1.2.4":   {{"a.example/one", "v1.2.4", "App"}, two},
		"lists a.example/one v1.2.3":        {two},
		`v1.2.3 in "App and mappers"`:       {{"a.example/one", "v1.2.3", "App and mappers"}, two},
		"no row for a.example/three v1.0.0": {one, two, {"a.example/three", "v1.0.0", "tests"}},
	} {
		if err := compare(listed, used); err == nil || !strings.Contains(err.Error(), says) {
			t.Errorf("%v, want %s", err, says)
		}
	}
}

func TestForeignScripts(t *testing.T) {
	got, err := foreignScripts(fstest.MapFS{"app.js": {Data: []byte("ours")}, "x.min.js": {Data: []byte("theirs")}})
	if err != nil || len(got) != 1 || got[0].name != "x.min.js" || len(got[0].version) != 64 {
		t.Errorf("%v, %v", got, err)
	}
}
