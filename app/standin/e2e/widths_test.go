package e2e

import (
	"net/http"
	"net/http/httptest"
	"testing"
	"time"

	"github.com/a-h/templ"
	"github.com/chromedp/chromedp"

	"mssentinel/templates"
)

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
	page := templates.JobsPage(templates.Jobs{Frame: templates.Frame{Root: "../"}, Self: "jobs", Jobs: []templates.Job{asking, failed, job("Upload Complete")}})
	mux := http.NewServeMux()
	mux.Handle("/ui/jobs", templ.Handler(page))
	mux.Handle("/static/", http.StripPrefix("/static/", templates.Static()))
	server := httptest.NewServer(mux)
	t.Cleanup(server.Close)

	b := openBrowser(t, server.URL)
	b.do(chromedp.Navigate(server.URL + "/ui/jobs"))
	hidden, err := chromedp.Run(b.ctx, chromedp.Evaluate[int](`(({scrollWidth, clientWidth}) => scrollWidth - clientWidth)(document.querySelector("#jobs-table"))`))
	if err != nil || hidden > 0 {
		t.Errorf("in a window of 1280 the table is %d too wide: %v", hidden, err)
	}
}
