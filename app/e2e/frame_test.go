package e2e

import (
	"context"
	"fmt"
	"net/http"
	"strings"
	"sync/atomic"
	"testing"
	"time"

	"github.com/a-h/templ"
	"github.com/chromedp/cdproto/cdp"
	"github.com/chromedp/cdproto/emulation"
	"github.com/chromedp/chromedp"
	"github.com/chromedp/chromedp/kb"

	"mssentinel/templates"
)

// aWhileAgo is an instant that is shown relative to now.
func aWhileAgo() *time.Time {
	at := time.Now().Add(-25*time.Minute - 20*time.Second).Truncate(time.Second)
	return &at
}

// someJobs is JOBS with lines as short as most are. One job waits, so that the page often asks for itself.
func someJobs(n int, message string) templates.Jobs {
	at := aWhileAgo()
	v := templates.Jobs{Self: "jobs", Frame: templates.Frame{Title: "JOBS", Section: "jobs", Root: "../", Overview: &templates.Overview{
		Last:   &templates.StatusJob{RequestID: "a", Mode: "Full", Status: "Upload Complete", Link: "ui/jobs", At: *at},
		Next:   time.Now().Add(2 * time.Hour),
		Errors: "12", Alerts: []templates.Alert{{Kind: "paused", Section: "tasks", Link: "ui/tasks", Text: "Upload is paused."}}}}}
	for i := range n {
		j := templates.Job{RequestID: fmt.Sprintf("%08d-4c1b-4d3e-9f63-0f1f2f3f4f5f", i), Type: "Scheduled", Mode: "Delta", Status: "Upload Complete",
			Started: at, Ended: at, Downloaded: 12345, Uploaded: 1234}
		if i == 0 {
			j.Status, j.Message, j.CanCancel = "Pending", message, true
		}
		v.Jobs = append(v.Jobs, j)
	}
	return v
}

// Rows are of one line, times do not wrap and tell on hover and on focus exactly when, nothing that does not scroll is a stop
// for the keyboard, and the head of a table stays in sight.
func TestDenseTables(t *testing.T) {
	b := showPage(t, "/ui/jobs", templates.JobsPage(someJobs(20, "")), noContent)
	b.do(chromedp.EmulateViewport(1366, 768))
	b.is("12 rows in sight", `[...document.querySelectorAll("#jobs-table tbody tr")].filter(r => r.getBoundingClientRect().bottom <= innerHeight).length >= 12`)
	b.is("times on one line", `[...document.querySelectorAll("time")].every(t => t.getClientRects().length === 1 && t.offsetHeight < 30)`)
	b.is("a relative time", `document.querySelector("tbody time.instant").innerText === "25 min ago"`)
	b.is("no tab stop", `!document.querySelector("#jobs-table").hasAttribute("tabindex")`)
	b.is("shared edges", `(() => { const left = s => document.querySelector(s).getBoundingClientRect().left;
		return left(".brand") === left("h1") && left("#strip dl") === left("h1"); })()`)
	b.is("a head that stays", `(() => { scrollTo(0, 400); const y = document.querySelector("#jobs-table thead th").getBoundingClientRect().top; scrollTo(0, 0); return y === 0; })()`)

	exact := aWhileAgo().UTC().Format("2006-01-02 15:04")
	b.do(chromedp.ScrollIntoView("#jobs-table"))
	x, y := b.reach("tbody tr:nth-child(2) time.instant")
	b.point(moveMouse, x, y)
	b.see("#tip:not([hidden])", exact)
	b.point(moveMouse, 5, 5)
	b.count("#tip[hidden]", 1)
	until(b, "the keyboard in a row", `(document.querySelector("#strip-errors").focus(), document.activeElement.id === "strip-errors")`, isTrue)
	for range 60 {
		b.press(kb.Tab)
		if inRow, _ := compute[bool](b, `document.activeElement.closest("tbody") !== null`); inRow {
			break
		}
	}
	b.see("#tip:not([hidden])", "Start Time: "+exact)
	b.press(kb.Escape)
	b.count("#tip[hidden]", 1)
}

func noContent(w http.ResponseWriter, _ *http.Request) { w.WriteHeader(http.StatusNoContent) }

// is waits until a script finds that something is so.
func (b *browser) is(what, script string) {
	b.t.Helper()
	until(b, what, script, isTrue)
}

// A poll leaves the page alone while it is the same, and while text in it is selected.
func TestPollsKeepSelections(t *testing.T) {
	var asked atomic.Int64
	var change atomic.Bool
	b := showPage(t, "/ui/jobs", templates.JobsPage(someJobs(3, "before")), func(w http.ResponseWriter, r *http.Request) {
		asked.Add(1)
		if !change.Load() {
			noContent(w, r)
			return
		}
		next := someJobs(3, "after")
		next.Frame.Overview.Errors = "13"
		templ.Handler(templates.JobsPage(next)).ServeHTTP(w, r)
	})
	b.is("a mark on the page", `(document.querySelector("#live").marked = true)`)
	awaitPolls := func(n int64) {
		t.Helper()
		until(b, "polls", "true", func(bool) bool { return asked.Load() >= n })
	}
	awaitPolls(2)
	b.is("the same page", `document.querySelector("#live").marked === true && document.querySelector("#lost").hidden`)
	b.is("selected text", `(() => { getSelection().selectAllChildren(document.querySelector("tbody .message")); return getSelection().toString() === "before"; })()`)
	change.Store(true)
	before := asked.Load()
	b.is("a wait longer than a poll", `(window.waited ??= performance.now()) && performance.now() - window.waited > 4500`)
	b.is("the selection", `getSelection().toString() === "before"`)
	if n := asked.Load(); n > before+1 {
		t.Errorf("asked %d times while text was selected", n-before)
	}
	b.is("no selection", `(getSelection().removeAllRanges(), true)`)
	b.see("tbody .message", "after")
	b.see("#strip-errors", "13")
	b.is("the time of the new page", `document.querySelector("tbody time.instant").innerText === "25 min ago"`)
}

// The theme is the system's until one is chosen, which the browser keeps.
func TestThemeSwitch(t *testing.T) {
	b := showPage(t, "/ui/jobs", templates.JobsPage(someJobs(3, "")), func(w http.ResponseWriter, r *http.Request) {
		templ.Handler(templates.JobsPage(someJobs(3, ""))).ServeHTTP(w, r)
	})
	ground := func(want string) {
		t.Helper()
		b.is(want, fmt.Sprintf(`getComputedStyle(document.body).backgroundColor === %q`, want))
	}
	const light, dark = "rgb(244, 246, 248)", "rgb(16, 22, 29)"
	b.do(emulateMedia("", "prefers-color-scheme", "dark"))
	ground(dark)
	b.choose("#theme select", "light")
	ground(light)
	b.do(chromedp.Reload())
	ground(light)
	b.is("the choice", `document.querySelector("#theme select").value === "light"`)
	b.do(emulateMedia("print", "prefers-color-scheme", "dark"))
	b.choose("#theme select", "dark")
	b.is("white paper", `getComputedStyle(document.querySelector("h1")).color === "rgb(27, 39, 51)"`)
	b.is("nothing to press", `["nav", ".theme", ".head .buttons", ".filters", "td.actions"].every(s => getComputedStyle(document.querySelector(s)).display === "none")`)
	b.is("exact times", fmt.Sprintf(`document.querySelector("tbody time.instant").innerText.startsWith(%q)`, aWhileAgo().UTC().Format("2006-01-02 15:")))
	b.do(emulateMedia("", "prefers-color-scheme", ""))
	b.choose("#theme select", "")
	ground(light)
	b.do(emulateMedia("", "forced-colors", "active"))
	b.is("the current screen", `(() => { const edge = s => getComputedStyle(document.querySelector(s)).borderBottomColor;
		return edge("#screen-jobs") !== edge("#screen-tasks") && edge("#screen-tasks") === edge("#screen-report"); })()`)
}

// emulateMedia has the browser draw for a medium, "" for the screen, with a preference of the user.
func emulateMedia(medium, feature, value string) chromedp.Action[chromedp.Void] {
	params := emulation.SetEmulatedMediaParams{Media: medium, Features: []*emulation.MediaFeature{{Name: feature, Value: value}}}
	return chromedp.Func(func(ctx context.Context, t *chromedp.Target) error {
		_, err := cdp.Call(ctx, t, emulation.SetEmulatedMedia, params)
		return err
	})
}

// In a narrow window each line is a card that names its columns, and nothing has to be scrolled to sideways.
func TestCards(t *testing.T) {
	b := showPage(t, "/ui/jobs", templates.JobsPage(someJobs(3, strings.Repeat("a long message ", 20))), noContent)
	for _, width := range []int64{390, 320} {
		b.do(chromedp.EmulateViewport(width, 844))
		b.fits("html")
		b.fits("#jobs-table")
		b.is("every screen in sight", `[...document.querySelectorAll("#screens a")].every(a => a.getBoundingClientRect().right <= innerWidth)`)
		b.is("the names of the columns", `getComputedStyle(document.querySelector("tbody tr td:nth-child(4)"), "::before").content === '"Status"'`)
	}
	b.do(chromedp.EmulateViewport(1366, 768))
	b.is("a table again", `getComputedStyle(document.querySelector("#jobs-table tbody tr")).display === "table-row"`)
}
