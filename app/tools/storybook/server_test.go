package main

import (
	"net/http"
	"net/http/httptest"
	"os"
	"path/filepath"
	"strings"
	"testing"

	"mssentinel/templates"
	"mssentinel/templates/stories"
)

// ask has the storybook answer a request.
func ask(t *testing.T, method, path string, header ...string) *httptest.ResponseRecorder {
	t.Helper()
	r := httptest.NewRequestWithContext(t.Context(), method, path, nil)
	for _, name := range header {
		r.Header.Set(name, "true")
	}
	w := httptest.NewRecorder()
	newHandler().ServeHTTP(w, r)
	if policy := w.Header().Get("Content-Security-Policy"); !strings.HasPrefix(policy, templates.ContentSecurityPolicy) {
		t.Errorf("%s: the policy is %q", path, policy)
	}
	return w
}

func TestIndexNamesEveryStory(t *testing.T) {
	page := ask(t, http.MethodGet, "/").Body.String()
	for _, s := range stories.All() {
		for _, link := range []string{"light/ui/" + s.Name, "dark/ui/" + s.Name, "frame/light/390/" + s.Name} {
			if !strings.Contains(page, `"`+link+`"`) {
				t.Errorf("nothing leads to %s", link)
			}
		}
	}
}

func TestAnswers(t *testing.T) {
	static := templates.AssetURL("/dark/", "")
	for _, c := range []struct {
		method, path, header string
		status               int
		says                 string
	}{
		{"GET", "/dark/ui/jobs", "", 200, "<h1>Jobs</h1>"},
		{"GET", "/dark/ui/jobs?seen=x", "HX-Request", 204, ""},
		{"GET", "/dark/ui/", "", 200, "<h1>Configure</h1>"},
		{"POST", "/dark/ui/jobs", "", 409, "takes no command"},
		{"GET", "/dark/ui/no-story", "", 404, "No story shows this page"},
		{"GET", "/pink/ui/jobs", "", 404, "No story shows this page"},
		{"GET", static + "theme.js", "", 200, `dataset.theme = "dark"`},
		{"GET", static + "app.css", "", 200, ":root"},
		{"GET", "/frame/dark/720/jobs", "", 200, `src="../../../dark/ui/jobs"`},
		{"GET", "/frame/dark/721/jobs", "", 404, ""},
		{"GET", "/frame/dark/720/no-story", "", 404, ""},
		{"GET", "/dark/api/job", "", 404, "No story"},
	} {
		var header []string
		if c.header != "" {
			header = []string{c.header}
		}
		w := ask(t, c.method, c.path, header...)
		if w.Code != c.status || !strings.Contains(w.Body.String(), c.says) {
			t.Errorf("%s %s: status %d, want %d, with %q", c.method, c.path, w.Code, c.status, c.says)
		}
	}
}

// The README shows what ./package.sh pictures takes.
func TestPictures(t *testing.T) {
	readme, err := os.ReadFile("../../../README.md")
	if err != nil {
		t.Fatal(err)
	}
	told := map[string]bool{}
	for _, s := range stories.All() {
		told[s.Name] = true
	}
	for _, p := range pictures {
		info, err := os.Stat(filepath.Join("../../../templates/docs", p.file))
		if err != nil || info.Size() > 100<<10 {
			t.Errorf("%s is not there or larger than 100 KiB (%v): run ./package.sh pictures", p.file, err)
		}
		if !told[p.story] || !strings.Contains(string(readme), "(templates/docs/"+p.file+")") {
			t.Errorf("%s: there is no story %s, or the README does not show it", p.file, p.story)
		}
	}
}
