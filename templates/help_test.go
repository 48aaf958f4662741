package templates

import (
	"bytes"
	"strings"
	"testing"
)

// helpWeight bounds Help in bytes, without style and scripts, which the other pages have loaded already.
const helpWeight = 150 << 10

// Help leads to a place for each screen, holds no more than a browser on a slow line takes, and nothing that leads out of it.
func TestHelp(t *testing.T) {
	for name, id := range helpPlaces {
		if !strings.Contains(helpChapters, ` id="`+id+`"`) {
			t.Errorf("Help for %s: there is no place %s", name, id)
		}
	}
	for _, s := range screens {
		if helpPlaces[s.section] == "" {
			t.Errorf("Help has no place for %s", s.name)
		}
	}
	var page bytes.Buffer
	if err := HelpPage(Frame{Title: "Help", Section: "help", Root: "../"}).Render(t.Context(), &page); err != nil || page.Len() > helpWeight {
		t.Errorf("Help has %d bytes, and %d is the most (%v)", page.Len(), helpWeight, err)
	}
	for _, tt := range []struct{ title, section, want string }{
		{"JOBS", "jobs", "ui/help#help-jobs-the-updates"},
		{"Verify", "jobs", "ui/help#help-verify"},
		{"Help", "help", "ui/help"},
		{"Error", "not there", "ui/help"},
	} {
		f := Frame{Title: tt.title, Section: tt.section}
		if got := f.asidePath(screen{section: "help", path: "ui/help"}); got != tt.want {
			t.Errorf("%s leads to %s, want %s", tt.title, got, tt.want)
		}
	}
	for _, part := range []string{"<script", "<style", "<img", "<iframe", " style=", "href=\"http", "href=\"/", "<!-- raw"} {
		if strings.Contains(helpChapters, part) {
			t.Errorf("the chapters of Help hold %s", part)
		}
	}
}
