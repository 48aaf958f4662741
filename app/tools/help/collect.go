package main

import (
	"encoding/json"
	"fmt"
	"os"
	"path/filepath"
	"regexp"
	"slices"
	"strings"

	"mssentinel/app/tools/readme"
)

// wordsTitle is the chapter that the glossary gives; the others are of the README.
const wordsTitle = "Words"

// mappingsTitle is the chapter of the README that the details of the mappings follow.
const mappingsTitle = "Mappings"

// chapters are those of Help, in its order: first what a person looks up while at work.
var chapters = []string{
	"Screens", wordsTitle, "How it keeps Sentinel in step", "Troubleshooting", "Limits", mappingsTitle, "Notifications",
	"In Microsoft Sentinel", "What is kept where", "Install on ThreatConnect", "Security", "The same as JSON",
	"Environment variables", "Release Notes",
}

// leftOut are chapters of the package's README that Help has no use for.
var leftOut = []string{"Licences"}

// part is a heading of Markdown and what stands below it.
type part struct{ title, text string }

// collectChapters puts Help together as one page of Markdown.
func collectChapters(root string) ([]byte, error) {
	texts, err := readChapters(root)
	if err != nil {
		return nil, err
	}
	glossary, err := readPage(root, "glossary.md")
	if err != nil {
		return nil, err
	}
	const shown = "On the screens"
	words := slices.IndexFunc(glossary, func(p part) bool { return p.title == shown })
	if words < 0 {
		return nil, fmt.Errorf("the glossary has no heading %q", shown)
	}
	texts[wordsTitle] = glossary[words].text
	mapping, err := readPage(root, "mapping.md")
	if err != nil {
		return nil, err
	}
	for _, p := range mapping {
		texts[mappingsTitle] += "\n### " + p.title + "\n" + lowerHeadings(p.text)
	}
	var page strings.Builder
	for _, title := range chapters {
		text, found := texts[title]
		if !found {
			return nil, fmt.Errorf("the README has no chapter %q", title)
		}
		page.WriteString("## " + title + "\n" + text + "\n")
	}
	return []byte(page.String()), nil
}

// readChapters gives the chapters of the package's README by their titles. Each of them has a place on Help, or has none on purpose.
func readChapters(root string) (map[string]string, error) {
	install, err := os.ReadFile(filepath.Join(root, "install.json"))
	if err != nil {
		return nil, err
	}
	var identity struct {
		ProgramVersion string `json:"programVersion"`
	}
	if err := json.Unmarshal(install, &identity); err != nil {
		return nil, fmt.Errorf("reading install.json: %w", err)
	}
	page, err := readme.Read(root, identity.ProgramVersion)
	if err != nil {
		return nil, err
	}
	texts := map[string]string{}
	for _, p := range splitPage(string(page)) {
		if !slices.Contains(chapters, p.title) && !slices.Contains(leftOut, p.title) {
			return nil, fmt.Errorf("the README has a new chapter %q: give it a place in the chapters of Help, or leave it out", p.title)
		}
		texts[p.title] = p.text
	}
	return texts, nil
}

// readPage gives the parts of a page of app/docs.
func readPage(root, name string) ([]part, error) {
	page, err := os.ReadFile(filepath.Join(root, "app", "docs", name))
	if err != nil {
		return nil, err
	}
	return splitPage(string(readme.WithoutRepository(page))), nil
}

// splitPage parts a page at its headings of the second level. What stands above the first one is left out.
func splitPage(page string) []part {
	var parts []part
	for line := range eachLine(page) {
		title, heading := strings.CutPrefix(line.text, "## ")
		switch {
		case heading && !line.code:
			parts = append(parts, part{title: strings.TrimSpace(title)})
		case len(parts) > 0:
			parts[len(parts)-1].text += line.text
		}
	}
	return parts
}

// lowerHeadings makes each heading one of the next level.
func lowerHeadings(text string) string {
	var lowered strings.Builder
	for line := range eachLine(text) {
		if !line.code && headingMark.MatchString(line.text) {
			lowered.WriteByte('#')
		}
		lowered.WriteString(line.text)
	}
	return lowered.String()
}

var headingMark = regexp.MustCompile(`^#+ `)

// markdownLine is a line with its end. code says that it stands in a block of code.
type markdownLine struct {
	text string
	code bool
}

// eachLine goes through a page, and knows what is code.
func eachLine(page string) func(yield func(markdownLine) bool) {
	return func(yield func(markdownLine) bool) {
		code := false
		for text := range strings.Lines(page) {
			fence := strings.HasPrefix(strings.TrimSpace(text), "```")
			code = code != fence
			if !yield(markdownLine{text, code || fence}) {
				return
			}
		}
	}
}
