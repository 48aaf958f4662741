package web

import (
	"bytes"
	"mime/multipart"
	"net/http"
	"net/http/httptest"
	"net/url"
	"slices"
	"strings"
	"testing"

	"golang.org/x/net/html"
)

// serviceRoot is where the platform shows the Service.
const serviceRoot = "https://tc.example/api/services/ms_sentinel/v1"

// visitor is a person with a browser that runs no script: it follows links and redirects, fills in forms and presses
// buttons. A page that leads out of the Service, or sets a cookie, fails the test.
type visitor struct {
	t    testing.TB
	h    http.Handler
	at   *url.URL
	code int
	page *html.Node
	// typed are the fields that were filled in since the page came, by name.
	typed url.Values
	file  string
	// tampered fields are sent instead of what the page holds.
	tampered url.Values
}

func (w *world) visit(t testing.TB, page string) *visitor {
	t.Helper()
	v := &visitor{t: t, h: http.StripPrefix("/api/services/ms_sentinel/v1", w.handler())}
	v.open(page)
	return v
}

// open goes to an address below the Service's root.
func (v *visitor) open(page string) {
	v.t.Helper()
	at, err := url.Parse(serviceRoot + "/" + page)
	if err != nil {
		v.t.Fatal(err)
	}
	v.send(http.MethodGet, at, "", nil)
}

// send follows redirects as a browser does.
func (v *visitor) send(method string, to *url.URL, kind string, body []byte) {
	v.t.Helper()
	for range 5 {
		if !strings.HasPrefix(to.String(), serviceRoot) {
			v.t.Fatalf("the way leads to %s", to)
		}
		sent := *to
		sent.Fragment = ""
		r := httptest.NewRequest(method, sent.String(), bytes.NewReader(body))
		r.RequestURI = to.EscapedPath()
		if kind != "" {
			r.Header.Set("Content-Type", kind)
		}
		rec := httptest.NewRecorder()
		v.h.ServeHTTP(rec, r)
		if cookie := rec.Header().Get("Set-Cookie"); cookie != "" {
			v.t.Errorf("%s sets the cookie %s", to, cookie)
		}
		v.at, v.code, v.typed, v.file, v.tampered = to, rec.Code, url.Values{}, "", nil
		if rec.Code/100 != 3 {
			page, err := html.Parse(rec.Body)
			if err != nil {
				v.t.Fatal(err)
			}
			v.page = page
			return
		}
		next := v.resolve(rec.Header().Get("Location"))
		to, method, kind, body = next, http.MethodGet, "", nil
	}
	v.t.Fatalf("too many redirects, now at %s", to)
}

func (v *visitor) resolve(address string) *url.URL {
	v.t.Helper()
	u, err := url.Parse(address)
	if err != nil || u.IsAbs() || u.Host != "" || strings.HasPrefix(u.Path, "/") {
		v.t.Fatalf("the address %q is not relative", address)
	}
	return v.at.ResolveReference(u)
}

// find gives the first element for which is holds.
func (v *visitor) find(what string, is func(*html.Node) bool) *html.Node {
	v.t.Helper()
	for n := range v.page.Descendants() {
		if n.Type == html.ElementNode && is(n) {
			return n
		}
	}
	v.t.Fatalf("%s has no %s: %s", v.at, what, words(v.page))
	return nil
}

// called finds a link or a button by what it says, to the eye or to a screen reader. In a window, that of the window.
func (v *visitor) called(element, label string) *html.Node {
	v.t.Helper()
	root := v.page
	if v.has("dialog") {
		root = v.find("window", func(n *html.Node) bool { return n.Data == "dialog" })
	}
	for n := range root.Descendants() {
		if n.Data == element && attr(n, "tabindex") != "-1" && (words(n) == label || attr(n, "aria-label") == label) {
			return n
		}
	}
	v.t.Fatalf("%s has no %s %q: %s", v.at, element, label, words(root))
	return nil
}

// leaveWindow follows the link out of a window that asks: it leads to where the keyboard was before.
func (v *visitor) leaveWindow() {
	v.t.Helper()
	way := v.find("way out", func(n *html.Node) bool {
		return slices.ContainsFunc(n.Attr, func(a html.Attribute) bool { return a.Key == "data-dismiss" })
	})
	v.send(http.MethodGet, v.resolve(attr(way, "href")), "", nil)
	v.find("link that opened the window, #"+v.at.Fragment, func(n *html.Node) bool { return v.at.Fragment != "" && attr(n, "id") == v.at.Fragment })
}

func (v *visitor) has(element string) bool {
	return slices.ContainsFunc(slices.Collect(v.page.Descendants()), func(n *html.Node) bool { return n.Data == element })
}

func (v *visitor) follow(label string) {
	v.t.Helper()
	v.send(http.MethodGet, v.resolve(attr(v.called("a", label), "href")), "", nil)
}

// fill puts values into the fields of a name, and leaves the others as they are.
func (v *visitor) fill(name string, values ...string) {
	v.t.Helper()
	v.find("field "+name, func(n *html.Node) bool { return attr(n, "name") == name })
	v.typed[name] = values
}

func (v *visitor) tamper(name, value string) {
	v.tampered = url.Values{name: {value}}
}

// press sends the form that the button is in, as the button says.
func (v *visitor) press(label string) {
	v.t.Helper()
	button := v.called("button", label)
	var form *html.Node
	for n := range button.Ancestors() {
		if n.Data == "form" {
			form = n
		}
	}
	values := fields(form)
	for _, changed := range []url.Values{v.typed, {attr(button, "name"): {attr(button, "value")}}, v.tampered} {
		for name, list := range changed {
			values[name] = list
		}
	}
	delete(values, "")
	to := v.resolve(attr(form, "action"))
	switch {
	case attr(form, "method") == "get":
		to.RawQuery = values.Encode()
		v.send(http.MethodGet, to, "", nil)
	case attr(button, "formenctype") == "multipart/form-data":
		kind, body := v.multipart(values)
		v.send(http.MethodPost, to, kind, body)
	default:
		v.send(http.MethodPost, to, "application/x-www-form-urlencoded", []byte(values.Encode()))
	}
}

func (v *visitor) multipart(values url.Values) (kind string, body []byte) {
	v.t.Helper()
	var buf bytes.Buffer
	w := multipart.NewWriter(&buf)
	for name, list := range values {
		for _, value := range list {
			if err := w.WriteField(name, value); err != nil {
				v.t.Fatal(err)
			}
		}
	}
	part, err := w.CreateFormFile("file", "queries.json")
	if err != nil {
		v.t.Fatal(err)
	}
	if _, err := part.Write([]byte(v.file)); err != nil {
		v.t.Fatal(err)
	}
	if err := w.Close(); err != nil {
		v.t.Fatal(err)
	}
	return w.FormDataContentType(), buf.Bytes()
}

// fields are what a form holds as it came.
func fields(form *html.Node) url.Values {
	values := url.Values{}
	for n := range form.Descendants() {
		name := attr(n, "name")
		switch {
		case n.Data == "textarea":
			values.Add(name, textOf(n))
		case n.Data == "option" && attr(n, "selected") == "true":
			values.Add(attr(n.Parent, "name"), attr(n, "value"))
		case n.Data != "input", attr(n, "type") == "file", attr(n, "type") == "checkbox" && attr(n, "checked") == "":
		default:
			values.Add(name, attr(n, "value"))
		}
	}
	return values
}

// status checks the last answer.
func (v *visitor) status(code int) {
	v.t.Helper()
	if v.code != code {
		v.t.Errorf("%s: status %d, want %d: %s", v.at, v.code, code, words(v.page))
	}
}

// sees checks that the page says all of it.
func (v *visitor) sees(all ...string) {
	v.t.Helper()
	page := words(v.page)
	for _, text := range all {
		if !strings.Contains(page, text) {
			v.t.Errorf("%s does not say %q: %s", v.at, text, page)
		}
	}
}

// misses checks that the page says none of it.
func (v *visitor) misses(none ...string) {
	v.t.Helper()
	page := words(v.page)
	for _, text := range none {
		if strings.Contains(page, text) {
			v.t.Errorf("%s says %q: %s", v.at, text, page)
		}
	}
}

// part is a part of a table: of the one in the element of this id, or of the first one.
func (v *visitor) part(name string, id ...string) *html.Node {
	return v.find("table", func(n *html.Node) bool {
		if n.Data != name {
			return false
		}
		for p := n; p != nil; p = p.Parent {
			if len(id) == 0 || attr(p, "id") == id[0] {
				return true
			}
		}
		return false
	})
}

// heads gives the headings of a table.
func (v *visitor) heads(id ...string) []string {
	var heads []string
	for n := range v.part("thead", id...).Descendants() {
		if n.Data == "th" {
			heads = append(heads, words(n))
		}
	}
	return heads
}

// column gives a column of a table, counted from 0.
func (v *visitor) column(i int, id ...string) []string {
	var cells []string
	for row := range v.part("tbody", id...).ChildNodes() {
		cells = append(cells, words(slices.Collect(row.ChildNodes())[i]))
	}
	return cells
}

// labels gives what the fields that are there are called.
func (v *visitor) labels() []string {
	var all []string
	for n := range v.page.Descendants() {
		if n.Data == "legend" || n.Data == "label" && attr(n, "for") != "" {
			all = append(all, strings.TrimSuffix(words(n), " (required)"))
		}
	}
	return all
}

// attr gives an attribute; "true" for one that is there without a value, "" for none.
func attr(n *html.Node, key string) string {
	for _, a := range n.Attr {
		if a.Key == key && a.Val == "" && (key == "checked" || key == "selected") {
			return "true"
		}
		if a.Key == key {
			return a.Val
		}
	}
	return ""
}

func textOf(n *html.Node) string {
	var all strings.Builder
	for d := range n.Descendants() {
		if d.Type == html.TextNode && !hidden(d) {
			all.WriteString(d.Data)
			all.WriteString(" ")
		}
	}
	return strings.TrimSuffix(all.String(), " ")
}

// words is the text as it is read, in one line.
func words(n *html.Node) string {
	return strings.ReplaceAll(strings.Join(strings.Fields(textOf(n)), " "), " , ", ", ")
}

func hidden(n *html.Node) bool {
	for a := range n.Ancestors() {
		if slices.ContainsFunc(a.Attr, func(at html.Attribute) bool { return at.Key == "hidden" }) {
			return true
		}
	}
	return false
}
