package e2e

import (
	"fmt"
	"net/http"
	"net/http/httptest"
	"strings"
	"sync/atomic"
	"testing"
	"time"

	"github.com/a-h/templ"
	"github.com/chromedp/chromedp"

	"mssentinel/templates"
)

// showPage has a browser look at a page as its view describes it. answer takes what the page asks for later.
func showPage(t *testing.T, path string, page templ.Component, answer http.HandlerFunc) *browser {
	t.Helper()
	var shown atomic.Bool
	mux := http.NewServeMux()
	mux.HandleFunc("/ui/", func(w http.ResponseWriter, r *http.Request) {
		if shown.Swap(true) {
			answer(w, r)
			return
		}
		templ.Handler(page).ServeHTTP(w, r)
	})
	mux.Handle("/static/", http.StripPrefix("/static/", templates.Static()))
	server := httptest.NewServer(mux)
	t.Cleanup(server.Close)
	b := openBrowser(t, server.URL)
	b.visit(server.URL + path)
	return b
}

// On a laptop no column of JOBS lies under the buttons that stay in sight, however long the jobs' messages and numbers are.
func TestJobsFitALaptop(t *testing.T) {
	at := time.Date(2026, 11, 24, 12, 0, 0, 0, time.UTC)
	job := func(status string) templates.Job {
		return templates.Job{RequestID: "5f0c6a52-4c1b-4d3e-9f63-0f1f2f3f4f5f", Type: "Scheduled", Mode: "Reconcile", Status: status, Started: &at, Ended: &at,
			Downloaded: 123456789, Uploaded: 12345678, Retired: 123456, Errors: 12345,
			Message: "ThreatConnect did not accept query 3: Syntax error(s) found with your TQL query. Check your query and try again."}
	}
	asking, failed := job("Confirmation Required"), job("Failed")
	asking.NeedsAnswer, asking.Held, failed.CanRetry = true, 1234567, true
	b := showPage(t, "/ui/jobs", templates.JobsPage(templates.Jobs{Frame: templates.Frame{Root: "../"}, Self: "jobs",
		Jobs: []templates.Job{asking, failed, job("Upload Complete")}}), http.NotFound)
	b.fits(".scroll")
}

// However long an owner's name is, CONFIGURE shows all columns on a laptop; on a telephone the table can be scrolled, not the
// page.
func TestConfigureFits(t *testing.T) {
	b := showPage(t, "/ui/", templates.ConfigurePage(templates.Configure{Frame: templates.Frame{Root: "../", Section: "configure"}, Queries: []templates.Query{{
		Key: "a", Owners: []string{strings.Repeat("O", 100), "Common Community"}, Types: []string{"Address", "Registry Key"},
		TQL: "summary like \"" + strings.Repeat("x", 1000) + "\"", SortField: "externalLastModified", SortDirection: "DESC",
		Gave: &templates.QueryGave{Read: true, Matched: 123456, Won: 123456, Lost: 12345, Invalid: 123, Live: 123456}}}}), http.NotFound)
	b.fits(".scroll")
	b.do(chromedp.EmulateViewport(400, 800))
	b.fits("html")
}

// On a laptop the doctor's page shows all columns, however long the evidence is; on a telephone the table can be scrolled, not
// the page. The button for the browser's own questions is there with the script alone.
func TestDoctorFits(t *testing.T) {
	b := showPage(t, "/ui/doctor", templates.DoctorPage(templates.Doctor{Frame: templates.Frame{Root: "../"}, Waits: "5, 20",
		Headline: "PAGES 2 warnings (query, session) · " + strings.Repeat("pages.answer-headers, ", 30), Areas: []templates.DoctorArea{
			{Name: "KEY-VALUE STORE", Summary: strings.Repeat("long ", 40), Lines: []templates.DoctorLine{{ID: "pages.answer-headers",
				Question: "How long does the platform wait for an answer, and what does the caller get then?", Verdict: "not tried", Differs: true,
				Evidence: strings.Repeat("x", 1000), Effect: strings.Repeat("What it changes. ", 29)}}}}}), http.NotFound)
	b.shows("#ask-front")
	b.fits(".scroll")
	b.do(chromedp.EmulateViewport(400, 800))
	b.fits("html")
}

// fits checks that nothing of an element has to be scrolled to sideways.
func (b *browser) fits(selector string) {
	b.t.Helper()
	hidden, err := compute[int](b, fmt.Sprintf("(({scrollWidth, clientWidth}) => scrollWidth - clientWidth)(document.querySelector(%q))", selector))
	if err != nil || hidden > 0 {
		b.t.Errorf("%s is %d too wide: %v", selector, hidden, err)
	}
}

// Whatever comes in the place of the page that was asked for, a page for the platform's login for example, what was edited
// and what was seen stays, and the page says what it knows of it.
func TestAnswersThatAreNoUse(t *testing.T) {
	login := func(w http.ResponseWriter, _ *http.Request) {
		w.Header().Set("Content-Type", "text/html")
		fmt.Fprint(w, `<title>Log in</title><main id="main"><form></form></main>`)
	}
	frame := templates.Frame{Root: "../"}
	for click, e := range map[string]templates.Editor{
		"[value='edit:a']": {Queries: []templates.Query{{Key: "a"}}},
		"#save-delta":      {Save: &templates.SaveWindow{}},
		"#do-import":       {Import: &templates.ImportWindow{}},
	} {
		t.Run(click, func(t *testing.T) {
			e.Frame, e.Dirty = frame, true
			b := showPage(t, "/ui/edit", templates.EditorPage(e), login)
			b.click(click)
			b.shows("#lost")
			b.see(".unsaved", "Unsaved changes")
		})
	}
	t.Run("failure", func(t *testing.T) {
		refuse := templ.Handler(templates.Failure(frame, http.StatusUnprocessableEntity, "The file is too long."), templ.WithStatus(http.StatusUnprocessableEntity))
		b := showPage(t, "/ui/edit", templates.EditorPage(templates.Editor{Frame: frame, Dirty: true, Import: &templates.ImportWindow{}}), refuse.ServeHTTP)
		b.click("#do-import")
		b.see("dialog #lost", "The file is too long.")
	})
	t.Run("by itself", func(t *testing.T) {
		b := showPage(t, "/ui/tasks", templates.TasksPage(templates.Tasks{Frame: frame, Tasks: []templates.TaskLine{{Task: templates.Task{Name: "Cleaner", Status: "Running"}}}}), login)
		b.shows("#lost")
		b.see("#live tbody", "Cleaner")
	})
}

// shows waits until the element that selector finds is there and not hidden.
func (b *browser) shows(selector string) {
	b.t.Helper()
	until(b, selector, fmt.Sprintf("document.querySelector(%q)?.hidden === false", selector), isTrue)
}
