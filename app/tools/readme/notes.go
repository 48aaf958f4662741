package readme

import (
	"bytes"
	"errors"
	"fmt"
	"regexp"
)

// notesMark is where the README gets its release notes.
var notesMark = []byte("<!-- release notes -->\n")

// changelogVersion is the heading of a version in the changelog.
var changelogVersion = regexp.MustCompile(`(?m)^## \[([0-9.]+)\] - .*$`)

// changelogPart is the heading of a part of a version.
var changelogPart = regexp.MustCompile(`(?m)^### `)

// addReleaseNotes puts the changelog into the README, in the form in which ThreatConnect's own tool (tcex spec-tool) writes
// release notes there: TC Exchange shows an App by its README. version is that of the package, and must be the newest one of the changelog.
func addReleaseNotes(readme, changelog []byte, version string) ([]byte, error) {
	newest := changelogVersion.FindSubmatchIndex(changelog)
	switch {
	case newest == nil:
		return nil, errors.New(`the changelog has no version: it needs a heading such as "## [1.0.0] - 2027-01-31"`)
	case string(changelog[newest[2]:newest[3]]) != version:
		return nil, fmt.Errorf("the changelog begins with version %s, but programVersion of install.json is %s: add what is new",
			changelog[newest[2]:newest[3]], version)
	case bytes.Count(readme, notesMark) != 1:
		return nil, fmt.Errorf("the README needs one line %q, where its release notes go", bytes.TrimSpace(notesMark))
	}
	notes := changelogPart.ReplaceAll(changelog[newest[0]:], []byte("#### "))
	notes = changelogVersion.ReplaceAll(notes, []byte("### $1"))
	return bytes.Replace(readme, notesMark, append([]byte("## Release Notes\n\n"), notes...), 1), nil
}
