package e2e

import (
	"fmt"
	"testing"
	"time"

	"github.com/chromedp/chromedp/kb"

	"mssentinel/app/standin/sentinelserver"
	"mssentinel/app/standin/tcplatform"
	"mssentinel/app/standin/tcserver"
)

// What only a browser sees of CONFIGURE, JOBS and REPORT, on one installation with 505 owners and 500 queries.
func TestWindowsInABrowser(t *testing.T) {
	t.Parallel()
	few := tcserver.Generate(300, 7, time.Now().Add(-time.Hour))
	w := newWorld(t, few, sentinelserver.Options{Limit: sentinelserver.Unlimited})
	for i := len(few.Owners()); i < 505; i++ {
		if err := w.tc.AddOwner(tcserver.Owner{ID: int64(70_000 + i), Name: fmt.Sprintf("Community %03d", i), Type: "Community"}); err != nil {
			t.Fatal(err)
		}
	}
	_, s := w.onPlatform(tcplatform.Options{}, tcplatform.ServiceOptions{Path: "ms_sentinel"})
	a := w.turnOn(s)
	a.do("PUT", "api/task/download?pause=true", nil, nil) // no update runs: their questions are what is looked at
	var queries []query
	for i := range 500 {
		queries = append(queries, query{Owners: []string{few.Owners()[0].Name}, Types: []string{"Host"}, TQL: fmt.Sprintf("threatAssessScore >= %d", i)})
	}
	a.save(queries)
	b := openBrowser(t, s.URL())
	b.mayStop = true
	windowIsReached(b, s.URL())
	windowStaysOpenToTyping(b, w)
	windowCloses(b)
	settingsAreTyped(b)
	queriesAreMoved(b)
	questionsLeaveNoTrace(b, a)
	viewsWithForcedColours(b)
}

// inSight says whether all buttons of the window lie inside of it, with nothing over them.
const inSight = `[...document.querySelectorAll("dialog .window-foot .button")].every((button) => {
	const [own, window] = [button.getBoundingClientRect(), button.closest("dialog").getBoundingClientRect()];
	return own.top >= window.top && own.bottom <= Math.min(window.bottom, innerHeight) &&
		button.contains(document.elementFromPoint(own.x + own.width / 2, own.y + own.height / 2));
})`

// windowIsReached goes through the window of a query by the keyboard: a list of 505 owners is one stop, and the buttons are in
// sight whatever the window shows.
func windowIsReached(b *browser, root string) {
	b.t.Helper()
	b.visit(root + "/ui/edit?window=add")
	b.see("dialog:modal", "Add TQL Configuration")
	b.is("505 owners", `document.querySelectorAll("#owner-list input").length === 505`)
	b.is("the keyboard in the list", `document.activeElement.matches("#owner-list input")`)
	b.press(kb.End)
	b.is("the last owner", `document.activeElement === [...document.querySelectorAll("#owner-list input")].at(-1)`)
	b.press(kb.ArrowUp + " ")
	b.see("#owner-chosen", "1 chosen: ")
	b.is("the last but one", `[...document.querySelectorAll("#owner-list input")].at(-2).checked`)
	b.press(kb.Home + " ")
	b.see("#owner-chosen", "2 chosen")
	stops := 0
	for ; stops < 12; stops++ {
		if at, _ := compute[string](b, "document.activeElement.id"); at == "tql" {
			break
		}
		b.press(kb.Tab)
	}
	if stops > 6 {
		b.t.Errorf("%d stops of the keyboard lead from the owners to TQL", stops)
	}
	b.click("[data-choose='type-list']")
	b.see("#type-chosen", "9 chosen")
	b.write("#tql", "rating >= ")
	b.is("all buttons", inSight)
	b.click("#validate")
	b.see("#tql-fault", "column")
	b.is("all buttons, with a fault", inSight)
	b.write("#tql", "rating >= 0")
	b.click("#preview")
	b.see("dialog .preview", "matching indicators")
	b.is("all buttons, with a preview", inSight)
	b.is("the keyboard at a button in sight", `document.activeElement.id === "preview"`)
}

// windowStaysOpenToTyping works in the window while ThreatConnect does not answer: what is typed stays, and the window stops or
// closes at once.
func windowStaysOpenToTyping(b *browser, w *world) {
	b.t.Helper()
	const begun = "rating > 1"
	hang := func(f tcserver.Fault) {
		w.tc.ClearFaults()
		f.Count = -1
		if err := w.tc.Inject(f); err != nil {
			b.t.Fatal(err)
		}
	}
	typed := func(text string) {
		b.t.Helper()
		b.is(text, fmt.Sprintf(`document.querySelector("#tql").value === %q`, text))
	}
	more := func(text string) {
		b.t.Helper()
		b.is("the keyboard in TQL", `(() => { const tql = document.querySelector("#tql"); tql.focus(); tql.setSelectionRange(tql.value.length, tql.value.length); return true; })()`)
		b.press(text)
	}
	b.write("#tql", begun)
	hang(tcserver.Fault{Kind: tcserver.Hang})
	b.click("#validate")
	b.see("#busy[role=status]", "Asking ThreatConnect… Esc stops it.")
	b.is("a window at work", `document.querySelector("#editor").ariaBusy === "true"`)
	more(" or rating > 2 ")
	b.press(kb.Escape)
	b.see("#busy", "Stopped.")
	b.is("a window at rest", `document.querySelector("#editor").ariaBusy === "false"`)
	typed(begun + " or rating > 2 ")

	hang(tcserver.Fault{Kind: tcserver.Slow, Seconds: 1})
	b.click("#validate")
	b.see("#busy", "Asking")
	more("or rating = 5 ")
	b.see("dialog .notice.success", "TQL is valid")
	typed(begun + " or rating > 2 or rating = 5 ")

	hang(tcserver.Fault{Kind: tcserver.Hang})
	for _, work := range []string{"#preview", "#submit"} {
		b.click(work)
		b.see("#busy", "Esc stops it.")
		b.press(kb.Escape)
		b.see("#busy", "Stopped.")
	}
	b.click("#validate")
	b.see("#busy", "Asking")
	b.click("dialog [data-dismiss]")
	b.count("dialog", 0)
	w.tc.ClearFaults()
}

// windowCloses closes the window of a query by Esc and by a press beside it, neither of which drops what was typed unasked.
func windowCloses(b *browser) {
	b.t.Helper()
	outside := func() {
		b.point(pressMouse, 4, 4)
		b.point(releaseMouse, 4, 4)
	}
	b.click("#add")
	b.see("dialog:modal", "Add TQL Configuration")
	outside()
	b.count("dialog", 0)
	b.is("the keyboard where it was", `document.activeElement.id === "add"`)
	b.click("#add")
	b.write("#tql", "rating > 2")
	outside()
	b.press(kb.Escape)
	b.see("#busy", "Esc once more drops what you typed.")
	b.is("what was typed", `document.querySelector("#tql").value === "rating > 2"`)
	b.press(kb.Escape)
	b.count("dialog", 0)
}

// settingsAreTyped gives a query settings: what is wrong with one is told below its field, where the keyboard is then, and what was
// typed stays.
func settingsAreTyped(b *browser) {
	b.t.Helper()
	b.click("#queries tbody tr:first-child button[value^='edit:']")
	b.see("dialog:modal", "Edit TQL Configuration")
	b.write("#ttl-hours", "72")
	b.write("#min-confidence", "high")
	b.write("#labels", "SOC\nvip")
	b.choose("#tlp", "AMBER")
	b.click("#validate")
	b.see("#min-confidence-fault", `Confidence Floor is "high": enter a whole number from 0 to 100`)
	b.is("the field that is at fault", `(({id, value, ariaInvalid}) => id === "min-confidence" && value === "high" && ariaInvalid === "true")(document.activeElement)`)
	b.is("all buttons, with a fault", inSight)
	b.is("the others as they were typed", `[...document.querySelectorAll("#ttl-hours, #labels, #tlp")].every((field) => field.value && !field.ariaInvalid)`)
	b.write("#min-confidence", "60")
	b.click("#validate")
	b.see("dialog .notice.success", "TQL is valid")
	b.is("no fault", `(({textContent}) => textContent === "")(document.querySelector("#min-confidence-fault")) && !document.querySelector("#min-confidence").ariaInvalid`)
	b.click("#submit")
	b.count("dialog", 0)
	b.see("#queries thead", "Floor")
	b.see("#queries tbody tr:first-child", "≥ 60")
	b.see("#queries tbody tr:first-child", "SOC, vip")
}

// queriesAreMoved puts 500 queries in another order, without a request, and without more of the page drawn anew than one row.
func queriesAreMoved(b *browser) {
	b.t.Helper()
	b.is("a count of work", `(() => {
		window.rowsDrawn = 0;
		new MutationObserver((all) => {
			for (const { addedNodes } of all) for (const node of addedNodes) if (node.nodeType === 1) rowsDrawn += node.localName === "tr" ? 1 : 1000;
		}).observe(document.querySelector("#queries"), {childList: true, subtree: true});
		window.requests = performance.getEntriesByType("resource").length;
		window.began = [...document.querySelectorAll("#queries tbody tr")];
		return began.length === 500;
	})()`)
	moved := 0
	at := func(query, position int) {
		b.t.Helper()
		moved++
		b.is(fmt.Sprintf("query %d at %d", query, position), fmt.Sprintf(`began[%d].rowIndex === %d && began[%d].cells[0].textContent === "%d"`, query-1, position, query-1, position))
		b.is("one row drawn anew", fmt.Sprintf("rowsDrawn === %d", moved))
	}
	b.write("#move-from", "500")
	b.write("#move-to", "1")
	b.click("[value=move]")
	at(500, 1)
	b.see("#announcer", "Query 500 is now at position 1.")
	b.is("the arrow of query 2", `began[1].querySelector("button").focus() === undefined`)
	for _, step := range []struct {
		key string
		to  int
	}{{kb.End, 500}, {kb.ArrowUp, 499}, {kb.Home, 1}, {kb.ArrowDown, 2}} {
		b.press(step.key)
		at(2, step.to)
	}
	b.is("the keyboard where it was", `document.activeElement === began[1].querySelector("button")`)
	b.drag("#queries tbody tr:nth-child(1) td", "#queries tbody tr:nth-child(4) td") // query 500
	at(500, 4)
	b.is("no request", `performance.getEntriesByType("resource").length === requests`)
	took := until(b, "the time of a move", `(() => {
		const began = performance.now();
		document.querySelector("#move-from").value = 1;
		document.querySelector("#move-to").value = 500;
		document.querySelector("[value=move]").click();
		document.body.offsetHeight;
		return performance.now() - began;
	})()`, func(float64) bool { return true })
	b.t.Logf("moving query 1 of 500 to the end takes %.0f ms", took)
	b.see("#dirty", "Unsaved changes")
	b.click("#cancel")
	b.click("#discard")
	b.see("h1", "Configure")
	b.count("#editor", 0)
}

// drag presses the mouse on one element and lets go of it on another.
func (b *browser) drag(from, to string) {
	b.t.Helper()
	x, y := b.reach(from)
	b.point(pressMouse, x, y)
	x, y = b.reach(to)
	b.point(moveMouse, x, y-2)
	b.point(moveMouse, x, y)
	b.point(releaseMouse, x, y)
}

// questionsLeaveNoTrace opens questions from a list with a filter: who does not answer is back in it, and neither Back nor a
// reload asks again.
func questionsLeaveNoTrace(b *browser, a *app) {
	b.t.Helper()
	id := a.submit("full").RequestID
	b.click("nav a[href$='ui/jobs']")
	b.choose("#kind", "full")
	b.click("#search")
	b.see(".filters a.plain", "Clear")
	const isList = `(({pathname, searchParams}) => pathname.endsWith("/ui/jobs") && searchParams.get("kind") === "full" && !searchParams.has("ask"))(new URL(location))`
	entries, err := compute[int](b, "history.length")
	if err != nil {
		b.t.Fatal(err)
	}
	isBack := func() {
		b.t.Helper()
		b.count("dialog", 0)
		b.is("the list as it was, and no step more", fmt.Sprintf("%s && history.length === %d", isList, entries))
	}
	for name, leave := range map[string]func(){
		"Esc":     func() { b.press(kb.Escape) },
		"a press": func() { b.click("dialog [data-dismiss]") },
		"outside": func() { b.point(pressMouse, 4, 400); b.point(releaseMouse, 4, 400) },
	} {
		b.click("#cancel-" + id)
		b.see("dialog:modal", "Cancel Job")
		leave()
		isBack()
		b.is("the keyboard where it was after "+name, fmt.Sprintf(`document.activeElement.id === "cancel-%s"`, id))
	}
	b.click("#cancel-" + id)
	b.see("dialog:modal", "Cancel Job")
	b.is("a reload", "location.reload() === undefined")
	isBack()
	b.click("#run-reconcile")
	b.see("dialog:modal", "Reconcile")
	b.click("dialog button[type='submit']")
	b.see(".notice.success", "The job is queued.")
	b.is("a way back", "history.back() === undefined")
	b.is("the list", isList+" && document.querySelector('.notice.success') === null")
	b.count("dialog", 0)
}

// viewsWithForcedColours shows the views of REPORT as somebody sees them who has colours of his own.
func viewsWithForcedColours(b *browser) {
	b.t.Helper()
	b.click("nav a[href$='ui/report']")
	b.see("h1", "Report")
	b.do(emulateMedia("", "forced-colors", "active"))
	b.is("the current view told from the others", `(() => {
		const edges = [...document.querySelectorAll(".views a")].map((a) => getComputedStyle(a).borderBottomColor);
		return edges.length > 1 && edges[0] !== edges[1] && edges.slice(1).every((edge) => edge === edges[1]);
	})()`)
}
