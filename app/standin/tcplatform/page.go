package tcplatform

import (
	"embed"
	"fmt"
	"html/template"
	"net/http"
	"net/url"
	"strings"
)

//go:embed page
var pageFiles embed.FS

var pageTemplates = template.Must(template.ParseFS(pageFiles, "page/*.html"))

const logLines = 12

// serviceView is a Service as the page shows it.
type serviceView struct {
	Name, App, Path, URL string
	On                   bool
	Status
	Missing []string // labels of required parameters without a value
	Log     []string
}

// Class is the state as a style sheet names it.
func (v serviceView) Class() string { return strings.ToLower(string(v.State)) }

type fieldView struct {
	Parameter
	Value   string
	Secret  bool // there is a value, and it is not shown
	Problem string
}

type stepView struct {
	Number int
	Title  string
	Fields []fieldView
}

// routePages adds the Services page.
func (p *Platform) routePages(mux *http.ServeMux) {
	mux.HandleFunc("GET /services", p.showServices)
	mux.HandleFunc("GET /services/{$}", p.showServices)
	mux.Handle("GET /services/style.css", http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		http.ServeFileFS(w, r, pageFiles, "page/style.css")
	}))
	mux.HandleFunc("POST /services/{path}/on", p.withService(p.turnOn))
	mux.HandleFunc("POST /services/{path}/off", p.withService(p.turnOff))
	mux.HandleFunc("GET /services/{path}/parameters", p.withService(p.editParameters))
	mux.HandleFunc("POST /services/{path}/parameters", p.withService(p.saveParameters))
}

func (p *Platform) withService(next func(w http.ResponseWriter, r *http.Request, s *Service)) http.HandlerFunc {
	return func(w http.ResponseWriter, r *http.Request) {
		s := p.byPath(r.PathValue("path"))
		if s == nil {
			http.NotFound(w, r)
			return
		}
		next(w, r, s)
	}
}

func (p *Platform) showServices(w http.ResponseWriter, r *http.Request) {
	var views []serviceView
	for _, s := range p.Services() {
		views = append(views, s.newView())
	}
	if p.o.Front.RequireSession {
		http.SetCookie(w, &http.Cookie{Name: sessionCookie, Value: p.session, Path: "/", HttpOnly: true, SameSite: http.SameSiteLaxMode})
	}
	p.renderPage(w, http.StatusOK, "services.html", map[string]any{"Services": views, "Problem": r.URL.Query().Get("problem")})
}

func (s *Service) newView() serviceView {
	status := s.Status()
	return serviceView{
		Name: s.o.Name, App: s.App.Manifest.DisplayName + " " + s.App.Manifest.ProgramVersion, Path: s.o.Path, URL: s.rootPath(),
		On: status.State != Stopped, Status: status,
		Missing: s.App.missingLabels(s.Parameters()), Log: s.LogTail(logLines),
	}
}

func (p *Platform) turnOn(w http.ResponseWriter, r *http.Request, s *Service) {
	target := "/services"
	if err := s.TurnOn(); err != nil {
		target += "?problem=" + url.QueryEscape(s.o.Name+": "+err.Error())
	}
	http.Redirect(w, r, target, http.StatusSeeOther)
}

func (p *Platform) turnOff(w http.ResponseWriter, r *http.Request, s *Service) {
	s.TurnOff()
	http.Redirect(w, r, "/services", http.StatusSeeOther)
}

func (p *Platform) editParameters(w http.ResponseWriter, _ *http.Request, s *Service) {
	p.showParameters(w, http.StatusOK, s, s.Parameters(), false)
}

// saveParameters keeps nothing when something required is missing. An empty secret leaves the one that is there.
func (p *Platform) saveParameters(w http.ResponseWriter, r *http.Request, s *Service) {
	r.Body = http.MaxBytesReader(w, r.Body, 1<<20)
	if err := r.ParseForm(); err != nil {
		http.Error(w, err.Error(), http.StatusBadRequest)
		return
	}
	values := s.Parameters()
	for _, step := range s.App.Steps {
		for _, parameter := range step.Parameters {
			if text := strings.TrimSpace(r.PostForm.Get(parameter.Name)); text != "" || !parameter.Encrypt {
				values[parameter.Name] = text
			}
		}
	}
	if len(s.App.missingLabels(values)) > 0 {
		p.showParameters(w, http.StatusUnprocessableEntity, s, values, true)
		return
	}
	s.SetParameters(values)
	http.Redirect(w, r, "/services", http.StatusSeeOther)
}

func (p *Platform) showParameters(w http.ResponseWriter, status int, s *Service, values map[string]string, strict bool) {
	var steps []stepView
	for i, step := range s.App.Steps {
		view := stepView{Number: i + 1, Title: step.Title}
		for _, parameter := range step.Parameters {
			view.Fields = append(view.Fields, parameter.newView(values[parameter.Name], strict))
		}
		steps = append(steps, view)
	}
	p.renderPage(w, status, "parameters.html", map[string]any{"Service": s.newView(), "Steps": steps})
}

// newView shows a secret as a hint that there is one.
func (f Parameter) newView(value string, strict bool) fieldView {
	v := fieldView{Parameter: f, Value: value}
	if f.Encrypt && value != "" {
		v.Value, v.Secret = "", true
	}
	if strict && f.Required && strings.TrimSpace(value) == "" {
		v.Problem = fmt.Sprintf("%s is required.", f.Label)
	}
	return v
}

func (p *Platform) renderPage(w http.ResponseWriter, status int, name string, data any) {
	var page strings.Builder
	if err := pageTemplates.ExecuteTemplate(&page, name, data); err != nil {
		p.log.Error("page failed", "page", name, "error", err)
		http.Error(w, "the page cannot be shown", http.StatusInternalServerError)
		return
	}
	w.Header().Set("Content-Type", "text/html; charset=utf-8")
	w.Header().Set("Cache-Control", "no-store")
	w.Header().Set("Content-Security-Policy", "default-src 'none'; img-src data:; style-src 'self'; form-action 'self'; frame-ancestors 'none'")
	w.WriteHeader(status)
	w.Write([]byte(page.String())) //nolint:errcheck // the client may have gone
}
