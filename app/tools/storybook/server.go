package main

import (
	"bytes"
	_ "embed"
	"fmt"
	"html/template"
	"net/http"
	"slices"
	"strconv"
	"strings"

	"github.com/a-h/templ"

	"mssentinel/templates"
	"mssentinel/templates/stories"
)

// themes are those of the switch on every page; system is that of the browser.
var themes = []string{"system", "light", "dark"}

// widths are those of the frames, in pixels: a phone, where cards begin, a laptop and a large screen.
var widths = []int{390, 720, 1366, 1920}

//go:embed index.html
var indexText string

//go:embed frame.html
var frameText string

var (
	indexPage = template.Must(template.New("index").Parse(indexText))
	framePage = template.Must(template.New("frame").Parse(frameText))
)

// newHandler serves the index at /, a story at /<theme>/ui/<name>, and the same in a frame at /frame/<theme>/<width>/<name>.
func newHandler() http.Handler {
	mux := http.NewServeMux()
	mux.HandleFunc("GET /{$}", showIndex)
	mux.HandleFunc("/", showNothing)
	for _, theme := range themes {
		mux.HandleFunc("GET /frame/"+theme+"/{width}/{name}", func(w http.ResponseWriter, r *http.Request) { showFrame(w, r, theme) })
		mux.HandleFunc("GET /"+theme+"/ui/{$}", func(w http.ResponseWriter, r *http.Request) { showStory(w, r, "configure") })
		mux.HandleFunc("/"+theme+"/ui/{name}", func(w http.ResponseWriter, r *http.Request) { showStory(w, r, r.PathValue("name")) })
		mux.HandleFunc("GET /"+theme+"/static/{hash}/theme.js", func(w http.ResponseWriter, _ *http.Request) { writeThemeScript(w, theme) })
		mux.Handle("GET /"+theme+"/static/", http.StripPrefix("/"+theme+"/static/", templates.Static()))
	}
	return http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		w.Header().Set("Content-Security-Policy", templates.ContentSecurityPolicy)
		w.Header().Set("Cache-Control", "no-store") // a static file says otherwise
		mux.ServeHTTP(w, r)
	})
}

// showIndex lists all stories.
func showIndex(w http.ResponseWriter, _ *http.Request) {
	fillPage(w, indexPage, map[string]any{"Root": "system/", "Screens": stories.Screens(), "Themes": themes, "Widths": widths})
}

// showFrame shows a story as wide as a window, with the ways to its neighbours.
func showFrame(w http.ResponseWriter, r *http.Request, theme string) {
	width, err := strconv.Atoi(r.PathValue("width"))
	all := stories.All()
	at := slices.IndexFunc(all, func(s stories.Story) bool { return s.Name == r.PathValue("name") })
	if err != nil || !slices.Contains(widths, width) || at < 0 {
		showNothing(w, r)
		return
	}
	fillPage(w, framePage, map[string]any{"Root": "../../../system/", "Story": all[at], "Theme": theme, "Width": width,
		"Before": all[(at+len(all)-1)%len(all)], "After": all[(at+1)%len(all)], "Themes": themes, "Widths": widths})
}

// fillPage answers with a page of the storybook's own, which may have frames of the storybook in it.
func fillPage(w http.ResponseWriter, page *template.Template, values map[string]any) {
	values["Icon"] = templates.AssetURL(fmt.Sprint(values["Root"]), "icon.svg")
	values["CSS"] = templates.AssetURL(fmt.Sprint(values["Root"]), "app.css")
	var buf bytes.Buffer
	if err := page.Execute(&buf, values); err != nil {
		http.Error(w, err.Error(), http.StatusInternalServerError)
		return
	}
	w.Header().Set("Content-Security-Policy", templates.ContentSecurityPolicy+"; frame-src 'self'")
	writePage(w, http.StatusOK, buf.Bytes())
}

// showStory shows a story as it is: a page that asks for itself again has seen it all, and there is no Service for commands.
func showStory(w http.ResponseWriter, r *http.Request, name string) {
	all := stories.All()
	at := slices.IndexFunc(all, func(s stories.Story) bool { return s.Name == name })
	switch {
	case r.Method != http.MethodGet:
		drawPage(w, r, http.StatusConflict, templates.Failure(newFrame(), http.StatusConflict, "A story takes no command: there is no Service behind it."))
	case r.Header.Get("HX-Request") != "":
		w.WriteHeader(http.StatusNoContent)
	case at < 0:
		showNothing(w, r)
	default:
		drawPage(w, r, http.StatusOK, all[at].Page)
	}
}

// showNothing is where links of a story lead that are no story.
func showNothing(w http.ResponseWriter, r *http.Request) {
	if strings.Count(r.URL.Path, "/") == 3 && strings.Contains(r.URL.Path, "/ui/") {
		drawPage(w, r, http.StatusNotFound, templates.Failure(newFrame(), http.StatusNotFound, "No story shows this page."))
		return
	}
	http.Error(w, "No story shows this page: the list stands at /.", http.StatusNotFound)
}

func newFrame() templates.Frame {
	return templates.Frame{Title: "Storybook", Section: "jobs", Root: "../", Version: "storybook"}
}

func drawPage(w http.ResponseWriter, r *http.Request, status int, page templ.Component) {
	var buf bytes.Buffer
	if err := page.Render(r.Context(), &buf); err != nil {
		http.Error(w, err.Error(), http.StatusInternalServerError)
		return
	}
	writePage(w, status, buf.Bytes())
}

func writePage(w http.ResponseWriter, status int, page []byte) {
	w.Header().Set("Content-Type", "text/html; charset=utf-8")
	w.WriteHeader(status)
	_, _ = w.Write(page) // a reader that has gone needs no answer
}

// themeScript stands in for theme.js: the address chooses the theme, and the clock stands where the stories take place, so
// that relative times are the same on every day.
const themeScript = `document.documentElement.dataset.theme = %q;
Date = class extends Date {
  constructor(...parts) { super(...(parts.length > 0 ? parts : [%d])); }
  static now() { return %[2]d; }
};
`

func writeThemeScript(w http.ResponseWriter, theme string) {
	if theme == "system" {
		theme = ""
	}
	w.Header().Set("Content-Type", "text/javascript; charset=utf-8")
	fmt.Fprintf(w, themeScript, theme, stories.Now.UnixMilli())
}
