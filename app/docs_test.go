package main

import (
	"io/fs"
	"os"
	"path/filepath"
	"regexp"
	"slices"
	"strconv"
	"strings"
	"testing"
	"unicode"
)

// written are the endings of files that people write.
var written = []string{".go", ".templ", ".py", ".sh", ".md", ".sql", ".proto", ".js", ".css", ".yml"}

// eachText calls look with every file that people write, by its path from the top of the repository with slashes.
func eachText(t *testing.T, look func(path, text string)) {
	t.Helper()
	top := os.DirFS("..")
	err := fs.WalkDir(top, ".", func(path string, d fs.DirEntry, err error) error {
		if err != nil {
			return err
		}
		if name := d.Name(); d.IsDir() {
			if name == "target" || strings.HasPrefix(name, ".") && name != "." && name != ".github" {
				return fs.SkipDir
			}
			return nil
		}
		if !slices.Contains(written, filepath.Ext(path)) {
			return nil
		}
		text, err := fs.ReadFile(top, path)
		look(path, string(text))
		return err
	})
	if err != nil {
		t.Fatal(err)
	}
}

// inDocs is how comments, texts and pages name a page of app/docs, with a heading of it.
var inDocs = regexp.MustCompile(`app/docs/[\w-]+\.md(#[\p{L}\p{N}_-]+)?`)

func TestNamedPagesExist(t *testing.T) {
	found := 0
	eachText(t, func(path, text string) {
		for _, link := range inDocs.FindAllString(text, -1) {
			found++
			if why := brokenLink(link); why != "" {
				t.Errorf("%s names %s: %s", path, link, why)
			}
		}
	})
	if found < 20 {
		t.Errorf("only %d were found: does the pattern still fit?", found)
	}
}

// relative is a link in Markdown.
var relative = regexp.MustCompile(`\]\(([^)\s]+)\)`)

func TestLinksBetweenPages(t *testing.T) {
	eachText(t, func(path, text string) {
		if filepath.Ext(path) != ".md" {
			return
		}
		for _, match := range relative.FindAllStringSubmatch(withoutCode(text), -1) {
			link := match[1]
			switch {
			case strings.Contains(link, "://"):
				continue
			case strings.HasPrefix(link, "#"):
				link = path + link
			default:
				link = filepath.ToSlash(filepath.Join(filepath.Dir(path), link))
			}
			if why := brokenLink(link); why != "" {
				t.Errorf("%s links to %s: %s", path, match[1], why)
			}
		}
	})
}

// brokenLink says what is wrong with a link, given from the top of the repository; empty where nothing is.
func brokenLink(link string) string {
	path, heading, named := strings.Cut(link, "#")
	text, err := os.ReadFile(filepath.Join("..", path))
	switch {
	case !named && err != nil:
		if _, err := os.Stat(filepath.Join("..", path)); err == nil {
			return "" // a folder
		}
		return "there is no such file"
	case err != nil:
		return "there is no such page"
	case named && !slices.Contains(headings(string(text)), heading):
		return "the page has no such heading"
	}
	return ""
}

// fence begins and ends a block of code in Markdown.
const fence = "```"

// withoutCode is a page without blocks and pieces of code, where nothing is a link or a heading.
func withoutCode(page string) string {
	var kept strings.Builder
	code := false
	for line := range strings.Lines(page) {
		if strings.HasPrefix(strings.TrimSpace(line), fence) {
			code = !code
		} else if !code {
			kept.WriteString(line)
		}
	}
	return regexp.MustCompile("`[^`\n]*`").ReplaceAllString(kept.String(), "")
}

// headings are the anchors that GitHub gives to the headings of a page.
func headings(page string) []string {
	var all []string
	seen := map[string]int{}
	code := false
	for line := range strings.Lines(page) {
		if strings.HasPrefix(strings.TrimSpace(line), fence) {
			code = !code
		}
		marks, text, found := strings.Cut(strings.TrimSpace(line), " ")
		if code || !found || marks == "" || strings.Trim(marks, "#") != "" {
			continue
		}
		anchor := anchorOf(text)
		if n := seen[anchor]; n > 0 {
			all = append(all, anchor+"-"+strconv.Itoa(n))
		} else {
			all = append(all, anchor)
		}
		seen[anchor]++
	}
	return all
}

// linked is a link, of which a heading shows the text.
var linked = regexp.MustCompile(`\[([^\]]*)\]\([^)]*\)`)

func anchorOf(heading string) string {
	return strings.Map(func(r rune) rune {
		switch {
		case r == ' ':
			return '-'
		case unicode.IsLetter(r), unicode.IsDigit(r), r == '-', r == '_':
			return unicode.ToLower(r)
		}
		return -1
	}, linked.ReplaceAllString(strings.TrimSpace(heading), "$1"))
}

func TestHeadings(t *testing.T) {
	page := "# One page\n\n## `run.py`, in short\n\n```sh\n# no heading\n```\n## Twice\n### Twice\n#no heading\n## [A link](x.md) & more_of it – 2\n"
	want := []string{"one-page", "runpy-in-short", "twice", "twice-1", "a-link--more_of-it--2"}
	if got := headings(page); !slices.Equal(got, want) {
		t.Errorf("got %q, want %q", got, want)
	}
	for link, broken := range map[string]bool{
		"README.md": false, "README.md#limits": false, "app/platform": false,
		"app/docs/" + "none.md": true, "README.md#nowhere": true, "app/platform#here": true,
	} {
		if why := brokenLink(link); (why != "") != broken {
			t.Errorf("%s: %q", link, why)
		}
	}
}

// outside is how a document is cited that is not in the repository.
var outside = regexp.MustCompile(`[sS]pec,? §`)

func TestNothingCitesWhatIsNotHere(t *testing.T) {
	eachText(t, func(path, text string) {
		for i, line := range slices.Collect(strings.Lines(text)) {
			if outside.MatchString(line) {
				t.Errorf("%s:%d cites a document that is not in the repository: name a page of app/docs and its heading", path, i+1)
			}
		}
	})
}
