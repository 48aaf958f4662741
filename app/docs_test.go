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

	"mssentinel/app/config"
	"mssentinel/app/tools/readme"
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
		anchor := readme.Anchor(text)
		if n := seen[anchor]; n > 0 {
			all = append(all, anchor+"-"+strconv.Itoa(n))
		} else {
			all = append(all, anchor)
		}
		seen[anchor]++
	}
	return all
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

// questionID is how a page names a line of the doctor's report.
var questionID = regexp.MustCompile("`((?:platform|broker|store|threatconnect|azure|pages)\\.[a-z0-9-]+)`")

// doctorQuestions are the IDs of all lines of a Service's report.
func doctorQuestions(t *testing.T) []string {
	t.Helper()
	var ids []string
	for _, probe := range (&service{}).listProbes(config.Config{}, nil, nil) {
		for _, q := range probe.Questions {
			if slices.Contains(ids, q.ID) {
				t.Errorf("two questions of the doctor are called %s", q.ID)
			}
			if !questionID.MatchString("`"+q.ID+"`") || !strings.HasSuffix(q.Text, "?") {
				t.Errorf("the question %+v has no ID of its kind, or is none", q)
			}
			ids = append(ids, q.ID)
		}
	}
	return ids
}

// What is unknown has a line of the doctor's report that answers it, or the page says that no running instance tells; and
// each line that a page names exists.
func TestOpenQuestionsHaveALine(t *testing.T) {
	ids := doctorQuestions(t)
	hasProbe := func(id string) bool {
		area, _, _ := strings.Cut(id, ".")
		return slices.ContainsFunc(ids, func(known string) bool { return strings.HasPrefix(known, area+".") })
	}
	eachText(t, func(path, text string) {
		if filepath.Ext(path) != ".md" || path == "app/docs/CHANGELOG.md" {
			return
		}
		for _, match := range questionID.FindAllStringSubmatch(text, -1) {
			if hasProbe(match[1]) && !slices.Contains(ids, match[1]) {
				t.Errorf("%s names the doctor's line %s, which does not exist", path, match[1])
			}
		}
	})
	var pages string
	for _, name := range []string{"docs/platform.md", "docs/sentinel.md", "docs/threatconnect.md"} {
		page, err := os.ReadFile(name)
		if err != nil {
			t.Fatal(err)
		}
		pages += string(page)
	}
	found := 0
	for _, fact := range regexp.MustCompile(`\n(?:(?:\*|\|) |\n)`).Split(pages, -1) {
		if !strings.Contains(fact, "**unknown**") {
			continue
		}
		found++
		if !questionID.MatchString(fact) && !strings.Contains(fact, "no running instance tells") {
			t.Errorf("no line of the doctor answers: %s", strings.TrimSpace(fact))
		}
	}
	if found < 20 {
		t.Errorf("only %d open questions were found: does the pattern still fit?", found)
	}
}

// proven are the pages of app/docs whose tables have a column "shown by".
var proven = []string{"robustness.md", "security.md"}

// namedTest is how these pages name a test: by the folder of its package, and its function.
var namedTest = regexp.MustCompile("`((?:app|plugins)(?:/\\w+)*)\\.((?:Test|Fuzz)\\w+)`")

// Each row of these tables says by which tests it is shown, and these exist.
func TestNamedTestsExist(t *testing.T) {
	tests := map[string]string{} // the tests of a folder
	for _, name := range proven {
		page, err := os.ReadFile(filepath.Join("docs", name))
		if err != nil {
			t.Fatal(err)
		}
		rows := provenRows(string(page))
		if len(rows) < 20 {
			t.Errorf("%s has only %d rows: does the pattern still fit?", name, len(rows))
		}
		for _, row := range rows {
			named := namedTest.FindAllStringSubmatch(row, -1)
			if len(named) == 0 || len(named) != strings.Count(row, "`")/2 {
				t.Errorf("%s: the last column names tests, such as `app/store.TestSecondProcess`, and nothing else: %s", name, row)
			}
			for _, test := range named {
				folder, function := test[1], test[2]
				if _, read := tests[folder]; !read {
					tests[folder] = readTests(t, folder)
				}
				if !strings.Contains(tests[folder], "\nfunc "+function+"(") {
					t.Errorf("%s: there is no %s in %s: name what shows this now", name, function, folder)
				}
			}
		}
	}
}

// provenRows are the last columns of the tables whose last column is for tests.
func provenRows(page string) []string {
	var rows []string
	inTable := false
	for line := range strings.Lines(page) {
		line = strings.TrimSpace(line)
		switch {
		case !strings.HasPrefix(line, "|"):
			inTable = false
		case strings.HasSuffix(line, "| shown by |"):
			inTable = true
		case inTable && !strings.HasPrefix(line, "|---"):
			rows = append(rows, line[strings.LastIndex(strings.TrimSuffix(line, "|"), "|"):])
		}
	}
	return rows
}

func TestProvenRows(t *testing.T) {
	page := "| a | shown by |\n|---|---|\n| 1 | `TestA` |\n| `TestB` | nobody |\n\n| a | b |\n|---|---|\n| 1 | 2 |\n"
	if rows := provenRows(page); len(rows) != 2 || rows[0] != "| `TestA` |" || rows[1] != "| nobody |" {
		t.Errorf("%q", rows)
	}
}

// readTests are all files of a folder that have tests.
func readTests(t *testing.T, folder string) string {
	t.Helper()
	files, err := filepath.Glob(filepath.Join("..", folder, "*_test.go"))
	if err != nil || len(files) == 0 {
		t.Errorf("there are no tests in %s, %v", folder, err)
	}
	var all strings.Builder
	for _, file := range files {
		text, err := os.ReadFile(file)
		if err != nil {
			t.Fatal(err)
		}
		all.Write(text)
	}
	return all.String()
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
