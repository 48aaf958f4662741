package templates_test

import (
	"bytes"
	"errors"
	"flag"
	"fmt"
	"io/fs"
	"net/url"
	"os"
	"path"
	"path/filepath"
	"regexp"
	"slices"
	"strconv"
	"strings"
	"testing"

	"mssentinel/templates/stories"

	"github.com/a-h/templ"
	"github.com/google/go-cmp/cmp"
	"golang.org/x/net/html"
)

var update = flag.Bool("update", false, "write the golden pages anew")

// contentHash is the folder of the static files in an address.
var contentHash = regexp.MustCompile(`static/[0-9a-f]{16}/`)

func draw(t *testing.T, page templ.Component) []byte {
	t.Helper()
	var buf bytes.Buffer
	if err := page.Render(t.Context(), &buf); err != nil {
		t.Fatal(err)
	}
	return buf.Bytes()
}

// helpChapters stand in a file of their own, which app/tools/help writes.
func helpChapters(t *testing.T) []byte {
	t.Helper()
	chapters, err := os.ReadFile("help.html")
	if err != nil {
		t.Fatal(err)
	}
	return chapters
}

// The pages are what they were when someone last looked at them. One tag a line; the address of the static files is left
// out, since it changes with each of them, and so are the chapters of Help.
func TestGoldenPages(t *testing.T) {
	known := map[string]bool{}
	for _, s := range stories.All() {
		if s.State == stories.Long {
			continue // its page is as long
		}
		file := filepath.Join("testdata", s.Name+".html")
		known[file] = true
		t.Run(s.Name, func(t *testing.T) {
			got := contentHash.ReplaceAll(draw(t, s.Page), []byte("static/HASH/"))
			got = bytes.ReplaceAll(got, helpChapters(t), []byte("CHAPTERS"))
			got = append(bytes.ReplaceAll(got, []byte("><"), []byte(">\n<")), '\n')
			if *update {
				if err := os.WriteFile(file, got, 0o644); err != nil {
					t.Fatal(err)
				}
			}
			want, err := os.ReadFile(file)
			if err != nil && !errors.Is(err, fs.ErrNotExist) {
				t.Fatal(err)
			}
			if diff := cmp.Diff(strings.Split(string(want), "\n"), strings.Split(string(got), "\n")); diff != "" {
				t.Errorf("look at it, then run go test ./templates -update (-golden +page):\n%s", diff)
			}
		})
	}
	files, err := filepath.Glob(filepath.Join("testdata", "*.html"))
	if err != nil {
		t.Fatal(err)
	}
	for _, file := range files {
		if !known[file] {
			t.Errorf("%s belongs to no page", file)
		}
	}
}

// What holds for every page, in whatever state.
func TestEveryPage(t *testing.T) {
	for _, s := range stories.All() {
		t.Run(s.Name, func(t *testing.T) {
			root, err := html.Parse(bytes.NewReader(draw(t, s.Page)))
			if err != nil {
				t.Fatal(err)
			}
			d := &document{T: t, ids: map[string]*html.Node{}, labels: map[string]bool{}, links: map[string]string{}, help: helpChapters(t)}
			for n := range root.Descendants() {
				d.learn(n)
			}
			for n := range root.Descendants() {
				if n.Type == html.ElementNode {
					d.check(n)
				}
			}
			if d.h1 != 1 {
				t.Errorf("%d headings of the first level", d.h1)
			}
		})
	}
}

// document is a page under examination.
type document struct {
	*testing.T
	ids    map[string]*html.Node
	labels map[string]bool   // ids of what a label is for
	links  map[string]string // where they lead, by what they say
	h1     int
	level  int    // of the last heading
	help   []byte // the chapters of Help
}

func (d *document) learn(n *html.Node) {
	if id, found := attribute(n, "id"); found {
		if d.ids[id] != nil || id == "" {
			d.Errorf("the id %q is there twice, or empty", id)
		}
		d.ids[id] = n
	}
	if of, found := attribute(n, "for"); found {
		d.labels[of] = true
	}
}

func (d *document) check(n *html.Node) {
	d.attributes(n)
	d.references(n)
	switch n.Data {
	case "h1", "h2", "h3", "h4":
		d.heading(n)
	case "style":
		d.Errorf("a style is inline")
	case "script":
		if _, found := attribute(n, "src"); !found {
			d.Errorf("a script is inline")
		}
	case "img":
		if _, found := attribute(n, "alt"); !found {
			d.Errorf("an image has no alt")
		}
	case "th":
		if _, found := attribute(n, "scope"); !found {
			d.Errorf("the heading %q has no scope", textOf(n))
		}
	case "input", "select", "textarea":
		d.field(n)
	case "form":
		d.form(n)
	case "a", "button", "summary":
		d.says(n)
	}
	d.focus(n)
}

// says: whoever hears links and buttons without what is around them knows where each one leads.
func (d *document) says(n *html.Node) {
	label, _ := attribute(n, "aria-label")
	if label == "" {
		label = textOf(n)
	}
	if label == "" {
		d.Errorf("a %s says nothing", n.Data)
	}
	if n.Data != "a" {
		return
	}
	href, _ := attribute(n, "href")
	to := path.Join("ui", href)
	if before, found := d.links[label]; found && before != to {
		d.Errorf("%q leads to %s and to %s", label, before, to)
	}
	d.links[label] = to
}

// leadsOutside says that an element is a link that leads out of the Service openly: in a tab of its own, to which it tells nothing.
func leadsOutside(n *html.Node, u *url.URL) bool {
	target, _ := attribute(n, "target")
	rel, _ := attribute(n, "rel")
	return n.Data == "a" && u.Scheme == "https" && target == "_blank" && rel == "noopener noreferrer"
}

// attributes: nothing that the Content-Security-Policy forbids, and no address that leads out of the Service unseen.
func (d *document) attributes(n *html.Node) {
	for _, a := range n.Attr {
		switch {
		case a.Key == "style", strings.HasPrefix(a.Key, "on"), strings.HasPrefix(a.Key, "hx-on"):
			d.Errorf("%s has %s", n.Data, a.Key)
		case slices.Contains([]string{"href", "src", "action", "formaction", "hx-get", "hx-post"}, a.Key):
			u, err := url.Parse(a.Val)
			if err == nil && leadsOutside(n, u) {
				continue
			}
			if err != nil || u.Scheme != "" || u.Host != "" || strings.HasPrefix(u.Path, "/") {
				d.Errorf("%s=%q is not relative", a.Key, a.Val)
			}
		}
	}
}

// references name elements that there are.
func (d *document) references(n *html.Node) {
	for _, a := range n.Attr {
		var ids []string
		switch a.Key {
		case "for", "aria-labelledby", "aria-describedby", "data-filter":
			ids = strings.Fields(a.Val)
		case "href", "hx-target", "hx-select":
			if id, local := strings.CutPrefix(a.Val, "#"); local {
				ids = []string{id}
			}
			d.place(a.Val)
		}
		for _, id := range ids {
			if d.ids[id] == nil {
				d.Errorf("%s=%q: there is no such id", a.Key, a.Val)
			}
		}
	}
}

// place: what leads to a place on Help leads to one that there is.
func (d *document) place(target string) {
	page, id, found := strings.Cut(target, "#")
	if found && path.Base(page) == "help" && !bytes.Contains(d.help, []byte(` id="`+id+`"`)) {
		d.Errorf("%s: Help has no such place", target)
	}
}

func (d *document) heading(n *html.Node) {
	level, err := strconv.Atoi(n.Data[1:])
	if err != nil {
		d.Fatal(err)
	}
	if level > d.level+1 {
		d.Errorf("%s %q skips a level", n.Data, textOf(n))
	}
	if d.level = level; level == 1 {
		d.h1++
	}
}

// field: whoever does not see it hears what it is for.
func (d *document) field(n *html.Node) {
	if kind, _ := attribute(n, "type"); kind == "hidden" {
		return
	}
	id, _ := attribute(n, "id")
	label, _ := attribute(n, "aria-label")
	inside := slices.ContainsFunc(slices.Collect(n.Ancestors()), func(a *html.Node) bool { return a.Data == "label" })
	if label == "" && !inside && (id == "" || !d.labels[id]) {
		name, _ := attribute(n, "name")
		d.Errorf("the %s %q has no label", n.Data, name)
	}
}

// form: what changes something carries the token.
func (d *document) form(n *html.Node) {
	if method, _ := attribute(n, "method"); method == "get" {
		return
	}
	for field := range n.Descendants() {
		name, _ := attribute(field, "name")
		value, _ := attribute(field, "value")
		if name == "token" && value == "the-token" {
			return
		}
	}
	d.Errorf("a form has no token")
}

// focus: htmx gives the focus back by id to what it has redrawn.
func (d *document) focus(n *html.Node) {
	_, reached := attribute(n, "tabindex")
	_, named := attribute(n, "id")
	if named || !(reached || slices.Contains([]string{"a", "button", "summary"}, n.Data)) {
		return
	}
	for a := range n.Ancestors() {
		if id, _ := attribute(a, "id"); id == "live" {
			d.Errorf("the %s %q loses the focus when #live is redrawn: it has no id", n.Data, textOf(n))
		}
	}
}

func attribute(n *html.Node, key string) (string, bool) {
	for _, a := range n.Attr {
		if a.Key == key {
			return a.Val, true
		}
	}
	return "", false
}

func textOf(n *html.Node) string {
	var words strings.Builder
	for d := range n.Descendants() {
		if d.Type == html.TextNode {
			fmt.Fprint(&words, d.Data)
		}
	}
	return strings.Join(strings.Fields(words.String()), " ")
}
