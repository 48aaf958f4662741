// Package readme reads the pages of the repository for those who get nothing else of it: the README of the package, and Help.
package readme

import (
	"os"
	"path/filepath"
	"regexp"
	"strings"
	"unicode"
)

// Read gives the README of the package: that of the repository, with the release notes, and without what refers to the
// repository. root is the top folder of the repository, version that of the package.
func Read(root, version string) ([]byte, error) {
	page, err := os.ReadFile(filepath.Join(root, "README.md"))
	if err != nil {
		return nil, err
	}
	changelog, err := os.ReadFile(filepath.Join(root, "app", "docs", "CHANGELOG.md"))
	if err != nil {
		return nil, err
	}
	return addReleaseNotes(WithoutRepository(page), changelog, version)
}

// WithoutRepository is a page without its passages about what is in the repository alone.
func WithoutRepository(page []byte) []byte { return repositoryOnly.ReplaceAll(page, nil) }

var repositoryOnly = regexp.MustCompile(`(?s)<!-- repository -->\n.*?<!-- /repository -->\n`)

// linked is a link, of which a heading shows the text.
var linked = regexp.MustCompile(`\[([^\]]*)\]\([^)]*\)`)

// Anchor is what GitHub calls a heading with this text in Markdown, where no other heading of the page has the same.
func Anchor(heading string) string {
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
