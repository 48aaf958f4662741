package stories

import (
	"os"
	"path/filepath"
	"regexp"
	"strings"
	"testing"
)

// Every page that templates exports has a story.
func TestEveryPageHasAStory(t *testing.T) {
	told := readAll(t, "*.go")
	sources := readAll(t, filepath.Join("..", "*.templ"))
	pages := regexp.MustCompile(`(?m)^templ ([A-Z]\w*)\(`).FindAllStringSubmatch(sources, -1)
	if len(pages) == 0 {
		t.Fatal("no page was found")
	}
	for _, page := range pages {
		if name := page[1]; !strings.Contains(told, "templates."+name+"(") && !strings.Contains(sources, "@"+name+"(") {
			t.Errorf("no story shows %s: add one for each of its states", name)
		}
	}
}

// readAll is the text of the files that the pattern matches, without tests.
func readAll(t *testing.T, pattern string) string {
	t.Helper()
	names, err := filepath.Glob(pattern)
	if err != nil {
		t.Fatal(err)
	}
	var text strings.Builder
	for _, name := range names {
		if strings.HasSuffix(name, "_test.go") {
			continue
		}
		data, err := os.ReadFile(name)
		if err != nil {
			t.Fatal(err)
		}
		text.Write(data)
	}
	return text.String()
}

func TestNames(t *testing.T) {
	form := regexp.MustCompile(`^[a-z]+(-[a-z]+)*$`)
	known := map[string]bool{}
	for _, s := range All() {
		if known[s.Name] || !form.MatchString(s.Name) || s.Text == "" || s.Page == nil {
			t.Errorf("the story %q: its name has another already, or is none, or it lacks a text or a page", s.Name)
		}
		known[s.Name] = true
	}
}

const noData = "it shows the same to all"

// noStates are the states that a screen does not have.
var noStates = map[string]map[State]string{
	"TASKS":    {Empty: "the tasks are always the same", RightToLeft: "all words on it are the App's own"},
	"Help":     {Empty: noData, Broken: noData, Long: noData, RightToLeft: noData},
	"Settings": {Empty: "the Service does not start without them"},
}

// Every screen is shown in every state that it has.
func TestEveryState(t *testing.T) {
	for _, screen := range Screens() {
		told := map[State]bool{}
		for _, s := range screen.Stories {
			told[s.State] = true
		}
		for _, state := range []State{Empty, Full, Broken, Long, RightToLeft} {
			if _, none := noStates[screen.Name][state]; told[state] == none {
				t.Errorf("%s, %s: told %t, has none %t", screen.Name, state, told[state], none)
			}
		}
	}
}
