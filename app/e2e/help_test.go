package e2e

import (
	"net/http"
	"testing"

	"github.com/a-h/templ"
	"github.com/chromedp/cdproto/input"
	"github.com/chromedp/chromedp"

	"mssentinel/templates"
)

// emptyScreen is JOBS, with a window where it asks something, CONFIGURE or Help, each as empty as it may be.
func emptyScreen(path string, asks bool) templ.Component {
	frame := func(title, section string) templates.Frame {
		return templates.Frame{Title: title, Section: section, Root: "../"}
	}
	switch path {
	case "/ui/help":
		return templates.HelpPage(frame("Help", "help"))
	case "/ui/jobs":
		view := templates.Jobs{Frame: frame("JOBS", "jobs"), Self: "jobs"}
		if asks {
			view.Ask = &templates.Question{Title: "Run Full", Action: "jobs", Back: "jobs", Button: "Run Full"}
		}
		return templates.JobsPage(view)
	}
	return templates.ConfigurePage(templates.Configure{Frame: frame("CONFIGURE", "configure")})
}

func serveScreens(w http.ResponseWriter, r *http.Request) {
	templ.Handler(emptyScreen(r.URL.Path, r.URL.Query().Has("ask"))).ServeHTTP(w, r)
}

// at waits until the browser is at an address below ui/ and its scripts have run.
func (b *browser) at(address string) {
	b.t.Helper()
	b.is(address, `document.readyState === "complete" && location.href.endsWith("/ui/`+address+`")`)
}

// asFromAKeyboard has a key type nothing where the page prevents it.
func asFromAKeyboard(k *input.DispatchKeyEventParams) {
	if k.Type == input.DispatchKeyEventTypeKeyDown {
		k.Type = input.DispatchKeyEventTypeRawKeyDown
	}
}

// Keys lead to the screens, to the filters and to what Help says of the screen; not while something is typed or a window is
// open, not with a modifier, and not once they are turned off, which the browser keeps.
func TestShortcuts(t *testing.T) {
	b := showPage(t, "/ui/jobs", emptyScreen("/ui/jobs", false), serveScreens)
	press := func(keys string, options ...chromedp.KeyOption) {
		t.Helper()
		b.do(chromedp.KeyEvent(keys, append(options, asFromAKeyboard)...))
	}
	b.at("jobs")
	press("/")
	b.is("the filter", `document.activeElement.id === "request-id"`)
	press("?gc/")
	b.is("what was typed", `document.activeElement.value === "?gc/"`)
	b.is("no field", `(document.activeElement.blur(), true)`)
	press("c")
	press("g", chromedp.KeyModifiers(chromedp.ModifierAlt))
	press("xc")
	b.at("jobs")
	press("?")
	b.at("help#help-jobs-the-updates")
	b.is("in sight", `(y => y >= 0 && y < innerHeight / 2)(document.querySelector("#help-jobs-the-updates").getBoundingClientRect().top)`)
	press("gc")
	b.at("")
	press("gj")
	b.at("jobs")
	b.is("a window", `(location.href = "jobs?ask=run", true)`)
	b.count("dialog:modal", 1)
	b.at("jobs") // a question takes the place of no page
	press("?gc")
	b.at("jobs")
	b.count("dialog:modal", 1)

	b.is("Help", `(location.href = "help", true)`)
	b.at("help")
	b.click("#shortcuts input")
	b.is("no field", `(document.activeElement.blur(), true)`)
	press("gc")
	b.at("help")
	b.is("JOBS", `(location.href = "jobs", true)`)
	b.at("jobs")
	press("?/gc")
	b.at("jobs")
	b.is("no filter", `document.activeElement === document.body`)
	b.is("Help", `(location.href = "help", true)`)
	b.at("help")
	b.is("the switch", `!document.querySelector("#shortcuts input").checked`)
	b.click("#shortcuts input")
	b.is("no field", `(document.activeElement.blur(), true)`)
	press("gj")
	b.at("jobs")
}

// Help can be read from a telephone to a wide screen: nothing has to be scrolled to sideways, and what a link names is in sight.
func TestHelpFits(t *testing.T) {
	b := showPage(t, "/ui/help#word-unchanged", emptyScreen("/ui/help", false), serveScreens)
	for _, width := range []int64{1920, 1366, 390} {
		b.do(chromedp.EmulateViewport(width, 844))
		b.fits("html")
		b.is("tables that fit", `[...document.querySelectorAll(".scroll")].every(box => box.scrollWidth <= box.clientWidth + 1)`)
	}
	b.is("a word", `(location.hash = "#word-lost", true)`)
	b.is("its card", `(box => box.top >= 0 && box.bottom <= innerHeight)(document.querySelector("#word-lost").getBoundingClientRect())`)
	b.do(chromedp.EmulateViewport(1366, 844))
	b.is("another word", `(location.hash = "#word-won", true)`)
	b.is("its line, below the head of the table", `(row => row.getBoundingClientRect().top >= row.closest("table").tHead.getBoundingClientRect().bottom)(document.querySelector("#word-won"))`)
	b.do(emulateMedia("print", "", ""))
	b.is("chapters without contents", `getComputedStyle(document.querySelector(".contents")).display === "none" && document.querySelector(".pages").offsetHeight > 1000`)
}
