package main

import (
	"io/fs"
	"os"
	"path/filepath"
	"regexp"
	"slices"
	"strings"
	"testing"
)

var quoted = regexp.MustCompile("`([^`]+)`")

// What the README quotes of logs and messages are texts that the program has.
func TestTroubleshootingQuotesWhatAppears(t *testing.T) {
	readme, err := os.ReadFile(filepath.Join("..", "README.md"))
	if err != nil {
		t.Fatal(err)
	}
	_, table, found := strings.Cut(string(readme), "## Troubleshooting")
	table, _, ended := strings.Cut(table, "\n## ")
	if !found || !ended {
		t.Fatal("the README has no chapter on troubleshooting")
	}
	program := texts(t)
	checked := 0
	for line := range strings.Lines(table) {
		if !strings.HasPrefix(line, "| ") {
			continue
		}
		symptom := strings.SplitN(line, " | ", 2)[0]
		for _, quote := range quoted.FindAllStringSubmatch(symptom, -1) {
			text := strings.Trim(strings.TrimPrefix(quote[1], "msg="), `"`)
			for part := range strings.SplitSeq(text, "…") {
				checked++
				if !strings.Contains(program, strings.TrimSpace(part)) {
					t.Errorf("the README quotes %q, and %q appears nowhere", text, part)
				}
			}
		}
	}
	if checked < 20 {
		t.Errorf("only %d texts were looked for: does the table still have its form?", checked)
	}
}

// texts is the source of the program, where its texts stand.
func texts(t *testing.T) string {
	t.Helper()
	var all strings.Builder
	err := filepath.WalkDir(".", func(path string, d fs.DirEntry, err error) error {
		switch {
		case err != nil:
			return err
		case d.IsDir() && slices.Contains([]string{"standin", "tools", "e2e"}, path):
			return fs.SkipDir
		case strings.HasSuffix(path, ".go") && !strings.HasSuffix(path, "_test.go"), strings.HasSuffix(path, ".py"):
			text, err := os.ReadFile(path)
			all.Write(text)
			return err
		}
		return nil
	})
	if err != nil {
		t.Fatal(err)
	}
	return all.String()
}
