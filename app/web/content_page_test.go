package web

import (
	"encoding/json"
	"net/http"
	"slices"
	"strings"
	"testing"

	"golang.org/x/net/html"

	"mssentinel/app/sentinel/content"
)

// CONTENT offers each file, says of each what it does and costs, and what is downloaded is the file.
func TestContentForDownload(t *testing.T) {
	v := newWorld().visit(t, "ui/report")
	v.status(http.StatusOK)
	v.follow("CONTENT")
	v.status(http.StatusOK)
	offered := map[string]bool{}
	for n := range v.page.Descendants() {
		if attr(n, "download") != "" {
			offered[strings.TrimPrefix(attr(n, "href"), "../")] = true
		}
	}
	h := newWorld().handler()
	names := []string{content.Template}
	shown := words(v.find("the page", func(n *html.Node) bool { return attr(n, "id") == "main" }))
	for _, item := range content.Items() {
		names = append(names, item.File)
		for _, says := range []string{item.Name, item.Description, item.Cost} {
			if says == "" || !strings.Contains(shown, says) {
				t.Errorf("%s: the page does not say %q", item.File, says)
			}
		}
	}
	for address := range offered {
		rec := call(t, h, http.MethodGet, "/"+address, "", "Content-Type", "")
		name := rec.Header().Get("Content-Disposition")
		at := slices.IndexFunc(names, func(n string) bool { text, _ := content.Read(n); return string(text) == rec.Body.String() })
		if rec.Code != http.StatusOK || at < 0 || !strings.HasPrefix(name, `attachment; filename="threatconnect-`) {
			t.Fatalf("%s: %d %s", address, rec.Code, name)
		}
		names = slices.Delete(names, at, at+1)
	}
	if len(names) > 0 {
		t.Errorf("not offered: %q", names)
	}
}

// Only what is content is given: no other file that is compiled in, and none beside it.
func TestContentIsBounded(t *testing.T) {
	h := newWorld().handler()
	for file, status := range map[string]int{"": 200, "template.json": 200, "rules/Address.yaml": 200, "content.json": 404, "../content.go": 404, "rules": 404, "/etc/passwd": 404} {
		rec := call(t, h, http.MethodGet, "/api/content?file="+file, "", "Content-Type", "")
		if rec.Code != status || status == 404 && rec.Header().Get("Content-Disposition") != "" {
			t.Errorf("%q: %d, want %d", file, rec.Code, status)
		}
		if status == 200 && strings.HasPrefix(rec.Header().Get("Content-Type"), "application/json") != json.Valid(rec.Body.Bytes()) {
			t.Errorf("%q: %s", file, rec.Header().Get("Content-Type"))
		}
	}
}
