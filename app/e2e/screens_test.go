package e2e

import (
	"fmt"
	"strings"
	"testing"

	"github.com/chromedp/chromedp/kb"

	"mssentinel/app/standin/sentinelserver"
	"mssentinel/app/standin/tcplatform"
)

// An operator goes through all screens, from the Services page on, with a mouse and a keyboard. What the platform does to query
// parameters and forms on their way to an App is unknown: both ways are tried, one in each browser.
func TestScreensInABrowser(t *testing.T) {
	t.Run("Chromium", func(t *testing.T) { throughAllScreens(t, openBrowser, tcplatform.Options{}) })
	t.Run("Firefox", func(t *testing.T) {
		throughAllScreens(t, openOtherBrowser, tcplatform.Options{RawQuery: true, FormsAsQuery: true})
	})
}

func throughAllScreens(t *testing.T, openTab func(t *testing.T, allowed ...string) *browser, o tcplatform.Options) {
	t.Parallel()
	w := newWorld(t, population(t), sentinelserver.Options{Limit: sentinelserver.Unlimited, Keep: sentinelserver.KeepHashes})
	p, s := w.onPlatform(o, tcplatform.ServiceOptions{Path: "ms_sentinel"})
	b := openTab(t, s.URL(), p.URL()+"/services")

	b.visit(p.URL() + "/services")
	b.click("#toggle-ms_sentinel")
	b.click("dd a[href='" + strings.TrimPrefix(s.URL(), p.URL()) + "']")
	b.see("h2", "First steps")

	a := &app{t: t, url: s.URL()}
	id := firstUpdate(b, a)
	filterJobs(b, id)
	killAndComplete(b, a)
	pauseAndResume(b)
	readReport(b)
	editAndDrop(b)
	chooseTheme(b)
}

// firstUpdate makes a query, saves it, and watches its update until it is complete. It returns the request ID.
func firstUpdate(b *browser, a *app) string {
	b.t.Helper()
	b.click("#edit")
	b.addQuery("nonsense")
	b.click("#validate")
	b.see("dialog .notice.error", "The query cannot be used yet")
	b.see("#tql-fault", "at line 1, column")
	until(b, "the fault marked", "document.activeElement.id === 'tql' && document.activeElement.ariaInvalid === 'true'", isTrue)
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
	b.see("#announcer", "Full update complete")
	until(b, "the same page", "window.reloaded === false", isTrue)
	b.click("#live tbody .actions a[id^='details-']")
	b.see("h1", "Job Details")
	b.see(".funnel", "Uploaded")
	b.see("#live .status", "Upload Complete")
	return b.text("p.lead code")
}

func filterJobs(b *browser, id string) {
	b.t.Helper()
	b.click(".crumbs a")
	b.click("#status-filter summary")
	b.click("#status-filter input[value='Upload Complete']")
	b.press(kb.Escape)
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

// killAndComplete asks for an update, kills it while it is held up, and has it done after all.
func killAndComplete(b *browser, a *app) {
	b.t.Helper()
	a.do("PUT", "api/task/upload?pause=true", nil, nil) // so that the update is under way when it is killed
	b.click("nav a[href$='ui/jobs']")
	b.click("#run-full")
	b.see("dialog h2", "Run Full")
	b.click("dialog button[type='submit']")
	b.see(".notice.success", "The job is queued.")
	b.see("#live tbody", "In Progress")
	b.click("nav a[href$='ui/tasks']")
	b.click("#kill-download")
	b.see("dialog h2", "Kill Task")
	b.click("dialog button[type='submit']")
	b.see(".notice.success", "killed")
	b.click("#resume-upload")
	b.click("dialog button[type='submit']")
	b.see(".notice.success", "The task goes on.")
	b.click("nav a[href$='ui/jobs']")
	b.click("#live tbody .actions a[id^='retry-']")
	b.click("dialog button[type='submit']")
	b.see(".notice.success", "queued again")
	b.see("#live tbody tr:first-child .status", "Upload Complete")
}

// chooseTheme chooses the dark theme, which stays on the next page.
func chooseTheme(b *browser) {
	b.t.Helper()
	const dark = `getComputedStyle(document.body).backgroundColor === "rgb(16, 22, 29)"`
	b.choose("#theme select", "dark")
	b.is("a dark page", dark)
	b.click("nav a[href$='ui/tasks']")
	b.see("h1", "Tasks")
	b.is("a dark page", dark)
}

func readReport(b *browser) {
	b.t.Helper()
	b.click("nav a[href$='ui/report']")
	lines := b.text("#lines")
	file := until(b, "an export", `fetch(document.querySelector("#export-CSV, #export-CSV a").href).then((answer) => answer.text())`, func(s string) bool { return s != "" })
	if n, want := strings.Count(file, "\n")-1, strings.Fields(lines)[0]; fmt.Sprint(n) != want {
		b.t.Errorf("%d lines are exported of %s", n, lines)
	}
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
	b.see("tr:has([value='up:new-1']) td", "2")
	b.click("[value='up:new-1']")
	b.see("tr:has([value='up:new-1']) td", "1")
	b.see("tbody tr:nth-child(1)", "rating = 5")
	b.click("[value='edit:new-1']")
	b.see("dialog", "Edit TQL Configuration")
	b.write("#tql", "rating = 4")
	b.click("#submit")
	b.count("dialog", 0)
	b.see("tr:has([value='up:new-1'])", "rating = 4")
	b.click("[value='delete:new-1']")
	b.see("dialog", "Delete query 1 from the list?")
	b.click("dialog .danger")
	b.count("dialog", 0)
	b.count("tbody tr", 1)
	b.click("tbody tr button[value^='delete:']")
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
