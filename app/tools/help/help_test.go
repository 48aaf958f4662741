package main

import (
	"bytes"
	"os"
	"path/filepath"
	"strings"
	"testing"

	"golang.org/x/net/html"
)

const top = "../../.."

// Help is what README, glossary and mappings say today, and says all of it: no chapter of the package's README is missing
// but those that are left out on purpose.
func TestHelpSaysWhatTheReadmeSays(t *testing.T) {
	want, err := drawHelp(top)
	if err != nil {
		t.Fatal(err)
	}
	got, err := os.ReadFile(filepath.Join(top, "templates", "help.html"))
	if err != nil {
		t.Fatal(err)
	}
	if !bytes.Equal(got, want) {
		t.Error("templates/help.html is stale: run ./package.sh generate")
	}
	for _, chapter := range chapters {
		if !bytes.Contains(got, []byte(">"+chapter+"</h2>")) {
			t.Errorf("Help lacks the chapter %q", chapter)
		}
	}
}

// repository lays out one that has what Help is made of, with more in the README and in the glossary.
func repository(t *testing.T, more, words string) string {
	t.Helper()
	root := t.TempDir()
	var page strings.Builder
	page.WriteString("# Title\nabove\n")
	for _, chapter := range append(chapters[:len(chapters)-1:len(chapters)-1], leftOut...) {
		if chapter != wordsTitle {
			page.WriteString("## " + chapter + "\ntext of it\n")
		}
		if chapter == "Screens" {
			page.WriteString(more)
		}
	}
	page.WriteString("<!-- release notes -->\n")
	for name, text := range map[string]string{
		"README.md":             page.String(),
		"install.json":          `{"programVersion":"1.0.0"}`,
		"app/docs/CHANGELOG.md": "# Changelog\n## [1.0.0] - Unreleased\n### Added\n- This.\n",
		"app/docs/glossary.md":  "# Glossary\n## On the screens\n\n| word | meaning |\n|---|---|\n| job | One *update*. |\n| update | What a *job* does. |\n" + words,
		"app/docs/mapping.md":   "# Mapping\nabove\n## Values\nas they are\n### Dates\n<!-- repository -->\n[code](../x.go)\n<!-- /repository -->\n",
	} {
		path := filepath.Join(root, name)
		if err := os.MkdirAll(filepath.Dir(path), 0o755); err != nil {
			t.Fatal(err)
		}
		if err := os.WriteFile(path, []byte(text), 0o644); err != nil {
			t.Fatal(err)
		}
	}
	return root
}

// Links lead to their place or are texts, words to their line, and nothing of Markdown becomes HTML but what is meant to.
func TestDrawHelp(t *testing.T) {
	page, err := drawHelp(repository(t, "[a *b*](#values) [c & d](app/x.go) [e](https://example.com/) *f* `<script>` a < b\n\n"+
		"| g | h |\n|---|---|\n| `i \\| j` | k |\n\n| l |\n|---|\n| m |\n\n```sh\n## no heading\n```\n### Sub\n", ""))
	if err != nil {
		t.Fatal(err)
	}
	for _, part := range []string{
		`<a href="#help-values">a <em>b</em></a> c &amp; d e <em>f</em> <code>&lt;script&gt;</code> a &lt; b`,
		`aria-label="Screens"><table class="grid">`, `aria-label="Screens, table 2"><table class="grid">`, `<th scope="col">g</th>`,
		"<td><code>i | j</code></td>", "<code class=\"language-sh\">## no heading\n</code>", `<h3 id="help-sub">Sub</h3>`,
		`<tr id="word-job">`, `One <a href="#word-update">update</a>`, `<h3 id="help-values">Values</h3>`, `<h4 id="help-dates">Dates</h4>`,
		`<li><a href="#help-screens">Screens</a>` + "\n<ul>\n" + `<li><a href="#help-sub">Sub</a></li>` + "\n</ul></li>\n" + `<li><a href="#help-words">`,
	} {
		if !strings.Contains(string(page), part) {
			t.Errorf("Help lacks %s", part)
		}
	}
	if bytes.Contains(page, []byte("above")) || bytes.Contains(page, []byte("x.go")) {
		t.Errorf("Help has what it leaves out: %s", page)
	}
	mustBeBalanced(t, page)
}

// mustBeBalanced checks that every element ends where it should.
func mustBeBalanced(t *testing.T, page []byte) {
	t.Helper()
	var open []string
	for z := html.NewTokenizer(bytes.NewReader(page)); ; {
		switch kind := z.Next(); kind {
		case html.ErrorToken:
			if len(open) > 0 {
				t.Errorf("%v are still open at the end", open)
			}
			return
		case html.StartTagToken:
			name, _ := z.TagName()
			open = append(open, string(name))
		case html.EndTagToken:
			name, _ := z.TagName()
			if len(open) == 0 || open[len(open)-1] != string(name) {
				t.Fatalf("%s ends while %v are open", name, open)
			}
			open = open[:len(open)-1]
		}
	}
}

func TestCommittedHelpIsBalanced(t *testing.T) {
	page, err := os.ReadFile(filepath.Join(top, "templates", "help.html"))
	if err != nil {
		t.Fatal(err)
	}
	mustBeBalanced(t, page)
}

// What would make a bad page ends the command, and it says what to put right.
func TestHelpRefuses(t *testing.T) {
	for name, tt := range map[string]struct{ more, words, fault string }{
		"a dead link":          {"[a](#nowhere)\n", "", `the link "#nowhere" leads nowhere`},
		"HTML in a line":       {"a <em>b</em>\n", "", `"Screens" has HTML or a picture`},
		"HTML":                 {"<div>a</div>\n", "", `"Screens" has HTML or a picture`},
		"a picture":            {"![a](a.png)\n", "", `"Screens" has HTML or a picture`},
		"two of a name":        {"### Values\n", "", `two places of Help are called "help-values"`},
		"a new chapter":        {"## New\n", "", `a new chapter "New"`},
		"a word without line":  {"", "| range | A *nothing*. |\n", `the word "nothing" in italics has no line`},
		"a word that is there": {"", "| job | Again. |\n", `two places of Help are called "word-job"`},
	} {
		if _, err := drawHelp(repository(t, tt.more, tt.words)); err == nil || !strings.Contains(err.Error(), tt.fault) {
			t.Errorf("%s: %v, want %s", name, err, tt.fault)
		}
	}
}
