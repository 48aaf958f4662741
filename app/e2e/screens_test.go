package e2e

import (
	"strings"
	"testing"

	"github.com/chromedp/chromedp"
	"github.com/chromedp/chromedp/kb"

	"mssentinel/app/standin/sentinelserver"
	"mssentinel/app/standin/tcplatform"
)

// An operator goes through all screens, from the Services page on, with a mouse and a keyboard. What the platform does to query
// parameters and forms on their way to an App is unknown: both ways are tried.
func TestScreensInABrowser(t *testing.T) {
	for name, o := range map[string]tcplatform.Options{"decoded": {}, "as a servlet": {RawQuery: true, FormsAsQuery: true}} {
		t.Run(name, func(t *testing.T) { throughAllScreens(t, o) })
	}
}

func throughAllScreens(t *testing.T, o tcplatform.Options) {
	w := newWorld(t, population(t), sentinelserver.Options{Limit: sentinelserver.Unlimited, Keep: sentinelserver.KeepHashes})
	p, s := w.onPlatform(o, tcplatform.ServiceOptions{Path: "ms_sentinel"})
	b := openBrowser(t, s.URL(), p.URL()+"/services")

	b.do(chromedp.Navigate(p.URL() + "/services"))
	b.click("#toggle-ms_sentinel")
	b.click("dd a[href='" + strings.TrimPrefix(s.URL(), p.URL()) + "']")
	b.see("h2", "No queries yet")

	id := firstUpdate(b, &app{t: t, url: s.URL()})
	filterJobs(b, id)
	pauseAndResume(b)
	readReport(b)
	editAndDrop(b)
}

// firstUpdate makes a query, saves it, and watches its update until it is complete. It returns the request ID.
func firstUpdate(b *browser, a *app) string {
	b.t.Helper()
	b.click("#edit")
	b.addQuery("nonsense")
	b.click("#validate")
	b.see("dialog .notice.error", "The query cannot be used yet")
	b.write("#tql", "rating >= 1 or confidence >= 20")
	b.choose("#sort-field", "threatAssessScore")
	b.choose("#sort-direction", "DESC")
	b.click("#validate")
	b.see("dialog .notice.success", "TQL is valid")
	until(b, "the keyboard at the button that was pressed", "document.activeElement.id === 'validate'", isTrue)
	b.click("dialog #preview")
	b.see("dialog .preview", "matching indicators")
	b.click("#submit")
	b.count("dialog", 0)
	b.see("tbody .badge", "New")
	b.click("#save")
	b.see("dialog", "Save Changes")
	a.do("PUT", "api/task/download?pause=true", nil, nil) // the update does not begin before it was seen
	b.click("#save-full")
	b.see(".notice.success", "A full update starts now")

	b.click("nav a[href$='ui/jobs']")
	b.see("h1", "Jobs")
	b.see("#live tbody", "Pending")
	until(b, "a mark on the page", "window.reloaded = false, true", isTrue)
	a.do("PUT", "api/task/download?pause=false", nil, nil)
	b.see("#live tbody", "Upload Complete")
	until(b, "the same page", "window.reloaded === false", isTrue)
	b.click("#live tbody .actions a[id^='details-']")
	b.see("h1", "Job Details")
	b.see(".facts", "Count Uploaded")
	b.see("#live .status", "Upload Complete")
	return b.text("p.lead code")
}

func filterJobs(b *browser, id string) {
	b.t.Helper()
	b.click(".crumbs a")
	b.click("#status-filter summary")
	b.click("#status-filter input[value='Upload Complete']")
	b.do(chromedp.KeyEvent(kb.Escape))
	b.count("#status-filter[open]", 0)
	b.click("#search")
	b.see(".empty", "No jobs found")
	b.click(".filters a.plain")
	b.see("#live tbody", "Upload Complete")
	b.write("#request-id", id[:13])
	b.click("#search")
	b.see(".filters a.plain", "Clear")
	b.see("#live tbody", id[:8])
	b.write("#request-id", "no such job")
	b.click("#search")
	b.see(".empty", "No jobs found")
}

func pauseAndResume(b *browser) {
	b.t.Helper()
	b.click("nav a[href$='ui/tasks']")
	for _, step := range []struct{ button, asks, says string }{
		{"#pause-cleaner", "Pause Task", "The task is paused."},
		{"#resume-cleaner", "Resume Task", "The task goes on."},
	} {
		b.clickSlowly(step.button)
		b.see("dialog h2", step.asks)
		b.click("dialog button[type='submit']")
		b.see(".notice.success", step.says)
		until(b, "an address that says nothing of it", "location.search === ''", isTrue)
	}
	b.count("#pause-cleaner", 1)
}

func readReport(b *browser) {
	b.t.Helper()
	b.click("nav a[href$='ui/report']")
	message := b.text("tbody .message")
	b.click("tbody .actions a")
	b.see("h1", "Error Details")
	b.see(".facts", message)
	b.see("pre", "{")
}

// editAndDrop changes the list in every way, and drops the changes.
func editAndDrop(b *browser) {
	b.t.Helper()
	b.click("nav a[href$='ui/']")
	b.click("#edit")
	b.addQuery("rating = 5")
	b.click("#submit")
	b.count("dialog", 0)
	b.see("#row-new-1 .number", "2")
	b.click("#up-new-1")
	b.see("#row-new-1 .number", "1")
	b.see("tbody tr:nth-child(1)", "rating = 5")
	b.click("#edit-new-1")
	b.see("dialog", "Edit TQL Configuration")
	b.write("#tql", "rating = 4")
	b.click("#submit")
	b.count("dialog", 0)
	b.see("#row-new-1", "rating = 4")
	b.click("#delete-new-1")
	b.see("dialog", "Delete query 1 from the list?")
	b.click("dialog .danger")
	b.count("dialog", 0)
	b.count("tbody tr", 1)
	b.click("tbody tr button[id^='delete-']")
	b.see("dialog", "Delete query 1 from the list?")
	b.click("dialog .danger")
	b.see(".empty", "No queries in the list")
	b.see(".unsaved", "Unsaved changes")
	b.click("#cancel")
	b.see("dialog", "Drop all changes")
	b.click("#discard")
	b.see("tbody", "rating >= 1 or confidence >= 20")
	b.count("tbody tr", 1)
}
