package readme

import (
	"encoding/json"
	"os"
	"regexp"
	"testing"
)

// In the package the README stands alone: what it links to within itself is there without the passages about the repository too.
func TestThePackagesReadmeLeadsNowhereElse(t *testing.T) {
	const root = "../../.."
	install, err := os.ReadFile(root + "/install.json")
	if err != nil {
		t.Fatal(err)
	}
	var identity struct{ ProgramVersion string }
	if err := json.Unmarshal(install, &identity); err != nil {
		t.Fatal(err)
	}
	page, err := Read(root, identity.ProgramVersion)
	if err != nil {
		t.Fatal(err)
	}
	headings := map[string]bool{}
	for _, match := range regexp.MustCompile(`(?m)^#+ (.*)$`).FindAllSubmatch(page, -1) {
		headings[Anchor(string(match[1]))] = true
	}
	links := regexp.MustCompile(`\]\(([^)\s]+)\)`).FindAllSubmatch(page, -1)
	for _, match := range links {
		if link := string(match[1]); link[0] != '#' || !headings[link[1:]] {
			t.Errorf("the README of the package links to %s, which it does not have", link)
		}
	}
	if len(links) < 10 {
		t.Errorf("only %d links were found: does the pattern still fit?", len(links))
	}
}

func TestWithoutRepository(t *testing.T) {
	got := WithoutRepository([]byte("a\n<!-- repository -->\nb\n<!-- /repository -->\nc\n<!-- repository -->\nd\n<!-- /repository -->\n"))
	if string(got) != "a\nc\n" {
		t.Errorf("got %q", got)
	}
}
