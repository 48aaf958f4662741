package e2e

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"sync"
	"testing"
	"time"

	"github.com/chromedp/chromedp"
)

// glance bounds every wait for a page, also for the one that shows an update as complete.
const glance = time.Minute

// browser is a tab, and what it complained about.
type browser struct {
	t *testing.T
	engine
	// ctx is for what is done in Chromium alone.
	ctx context.Context
	// allowed is where every request has to go.
	allowed []string
	// mayFail is where a page asks for what may be refused; "" for nowhere.
	mayFail string
	// mayStop: the page stops requests of its own.
	mayStop bool

	mu     sync.Mutex
	faults []string
}

// openBrowser opens a tab of Chromium. Whatever it writes on its console, and every request that fails or goes elsewhere than
// below one of the allowed addresses, fails the test.
func openBrowser(t *testing.T, allowed ...string) *browser {
	t.Helper()
	b := watchTab(t, allowed)
	tab := openChromium(t, b)
	b.engine, b.ctx = tab, tab.ctx
	return b
}

// watchTab makes a browser without a tab, that fails the test for what the tab will complain about.
func watchTab(t *testing.T, allowed []string) *browser {
	b := &browser{t: t, allowed: allowed}
	t.Cleanup(func() {
		b.mu.Lock()
		defer b.mu.Unlock()
		for _, fault := range b.faults {
			t.Error(fault)
		}
	})
	return b
}

// visit leads to an address.
func (b *browser) visit(address string) {
	b.t.Helper()
	if err := b.open(address); err != nil {
		b.t.Fatal(err)
	}
}

// press presses keys one after the other.
func (b *browser) press(keys string) {
	b.t.Helper()
	if err := b.keys(keys); err != nil {
		b.t.Fatal(err)
	}
}

// point moves the mouse, and presses or releases its button.
func (b *browser) point(act mouseAct, x, y float64) {
	b.t.Helper()
	if err := b.mouse(act, x, y); err != nil {
		b.t.Fatal(err)
	}
}

// do has Chromium do what no other engine is asked to do.
func (b *browser) do(action chromedp.Action[chromedp.Void]) {
	b.t.Helper()
	if err := chromedp.Do(b.ctx, action); err != nil {
		b.t.Fatal(err)
	}
}

// until asks the page again and again for something that a script computes, until it is there. A page that is being
// left does not answer.
func until[T any](b *browser, what, script string, there func(T) bool) T {
	b.t.Helper()
	tick := time.NewTicker(30 * time.Millisecond)
	defer tick.Stop()
	for deadline := time.Now().Add(glance); ; <-tick.C {
		got, err := compute[T](b, script)
		if err == nil && there(got) {
			return got
		}
		if time.Now().After(deadline) {
			page, _ := compute[string](b, "location.href + document.body.innerText")
			b.t.Fatalf("waited in vain for %s (%v); the page is %s", what, err, page)
		}
	}
}

// compute asks the page once for something that a script computes.
func compute[T any](b *browser, script string) (got T, err error) {
	text, err := b.evaluate(script)
	if err != nil {
		return got, err
	}
	return got, json.Unmarshal([]byte(text), &got)
}

// see waits until the part of the page that selector finds contains a text.
func (b *browser) see(selector, text string) {
	b.t.Helper()
	until(b, fmt.Sprintf("%q in %s", text, selector),
		fmt.Sprintf("document.querySelector(%q)?.textContent.includes(%q) ?? false", selector, text), isTrue)
}

// count waits until selector finds n elements.
func (b *browser) count(selector string, n int) {
	b.t.Helper()
	until(b, fmt.Sprintf("%d of %s", n, selector), fmt.Sprintf("document.querySelectorAll(%q).length === %d", selector, n), isTrue)
}

func isTrue(found bool) bool { return found }

// place gives the middle of an element once a mouse can reach it there: the page and it have come to rest, and nothing
// lies over it. What was scrolled just now is drawn with the next frame, and a window that just arrived moves when it
// becomes modal: a click before that would miss.
const place = `(async () => {
	const e = document.querySelector(%q);
	if (!e || document.readyState !== "complete") return [];
	if (document.querySelector(".htmx-swapping, .htmx-settling, dialog[data-modal]:not(:modal)")) return [];
	e.scrollIntoView({block: "nearest"});
	const middle = () => {
		const r = e.getBoundingClientRect();
		return [r.x + r.width / 2, r.y + r.height / 2];
	};
	const before = middle();
	for (let i = 0; i < 2; i++) await new Promise(requestAnimationFrame);
	const [x, y] = middle();
	return x === before[0] && y === before[1] && e.contains(document.elementFromPoint(x, y)) ? [x, y] : [];
})()`

// reach waits until the first element that selector finds can be reached, and says where.
func (b *browser) reach(selector string) (x, y float64) {
	b.t.Helper()
	at := until(b, selector+" within reach", fmt.Sprintf(place, selector), func(at []float64) bool { return len(at) == 2 })
	return at[0], at[1]
}

// errLeft says that the page was being left when the mouse came.
var errLeft = errors.New("the page is being left")

// click presses the mouse on the first element that selector finds, once it can be reached. Where that was on a page that was being left,
// the next one has it.
func (b *browser) click(selector string) {
	b.t.Helper()
	x, y := b.reach(selector)
	err := b.mouse(pressMouse, x, y)
	for tries := 0; errors.Is(err, errLeft) && tries < 3; tries++ {
		x, y = b.reach(selector)
		err = b.mouse(pressMouse, x, y)
	}
	if err != nil {
		b.t.Fatal(err)
	}
	if err := b.mouse(releaseMouse, x, y); err != nil && !errors.Is(err, errLeft) { // the click itself leaves some
		b.t.Fatal(err)
	}
}

// askAgain has the page ask for itself at once, whatever it has seen.
const askAgain = `(() => {
	const live = document.querySelector("#live");
	const values = {select: "#live", swap: "outerHTML", target: "#live", source: live};
	htmx.ajax("GET", live.getAttribute("hx-get").replace(/seen=\w+/, "seen=nothing"), values);
	return true;
})()`

// clickSlowly lets go of the mouse only when the page has asked for itself meanwhile.
func (b *browser) clickSlowly(selector string) {
	b.t.Helper()
	b.reach(selector) // else the watch may be on the page before
	until(b, "a watch on the page", `(() => {
		document.addEventListener("htmx:afterOnLoad", () => { window.asked = (window.asked ?? 0) + 1; });
		return true;
	})()`, isTrue)
	x, y := b.reach(selector)
	b.point(pressMouse, x, y)
	until(b, "the page to ask for itself", askAgain, isTrue)
	until(b, "an answer", "(window.asked ?? 0) > 0", isTrue)
	b.point(releaseMouse, x, y)
}

// write replaces the text of a field.
func (b *browser) write(selector, text string) {
	b.t.Helper()
	b.click(selector)
	until(b, "the old text chosen", fmt.Sprintf("document.querySelector(%q).select() === undefined", selector), isTrue)
	b.press(text)
	until(b, "the text in "+selector, fmt.Sprintf("document.querySelector(%q).value === %q", selector, text), isTrue)
}

// choose picks an entry of a dropdown.
func (b *browser) choose(selector, value string) {
	b.t.Helper()
	until(b, selector, fmt.Sprintf(`(() => {
		const list = document.querySelector(%q);
		list.value = %q;
		list.dispatchEvent(new Event("change", {bubbles: true}));
		return list.value === %q;
	})()`, selector, value, value), isTrue)
}

// tick ticks all boxes of a list.
func (b *browser) tick(list string) {
	b.t.Helper()
	n := until(b, list, fmt.Sprintf("document.querySelectorAll('%s label').length", list), func(n int) bool { return n > 0 })
	for i := range n {
		b.click(fmt.Sprintf("%s label:nth-of-type(%d) input", list, i+1))
	}
	b.count(list+" input:checked", n)
}

// addQuery fills in the window of a new query.
func (b *browser) addQuery(tql string) {
	b.t.Helper()
	b.click("#add")
	b.see("dialog", "Add TQL Configuration")
	b.tick("#owner-list")
	b.tick("#type-list")
	b.write("#tql", tql)
}

// text waits for an element and gives its text.
func (b *browser) text(selector string) string {
	b.t.Helper()
	return until(b, selector, fmt.Sprintf("document.querySelector(%q)?.textContent ?? ''", selector), func(s string) bool { return s != "" })
}
