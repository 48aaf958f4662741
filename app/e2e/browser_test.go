package e2e

import (
	"context"
	"fmt"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/chromedp/cdproto/input"
	"github.com/chromedp/cdproto/log"
	"github.com/chromedp/cdproto/network"
	"github.com/chromedp/cdproto/runtime"
	"github.com/chromedp/chromedp"
)

// glance bounds every wait for a page, also for the one that shows an update as complete.
const glance = time.Minute

// browser is a tab, and what it complained about.
type browser struct {
	t   *testing.T
	ctx context.Context
	// allowed is where every request has to go.
	allowed []string

	mu     sync.Mutex
	faults []string
}

// openBrowser starts a browser. Whatever it writes on its console, and every request that fails or goes elsewhere than
// below one of the allowed addresses, fails the test.
func openBrowser(t *testing.T, allowed ...string) *browser {
	t.Helper()
	options := append(chromedp.DefaultExecAllocatorOptions[:], chromedp.NoSandbox, chromedp.DisableGPU, chromedp.WindowSize(1280, 900))
	allocator, end := chromedp.NewExecAllocator(t.Context(), options...)
	t.Cleanup(end)
	ctx, closeTab := chromedp.NewContext(allocator)
	t.Cleanup(closeTab)
	b := &browser{t: t, ctx: ctx, allowed: allowed}
	if err := chromedp.Do(ctx); err != nil {
		t.Fatalf("starting the browser: %v", err)
	}
	if err := chromedp.Listen(ctx, b.listen); err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() {
		b.mu.Lock()
		defer b.mu.Unlock()
		for _, fault := range b.faults {
			t.Error(fault)
		}
	})
	return b
}

func (b *browser) listen(event any) {
	switch e := event.(type) {
	case *runtime.EventConsoleAPICalled:
		for _, part := range e.Args {
			b.fault("console: %s %s", part.Value, part.Description)
		}
	case *runtime.EventExceptionThrown:
		b.fault("exception: %s", e.ExceptionDetails.Text)
	case *log.EventEntryAdded: // breaches of the Content-Security-Policy are among these
		if strings.Contains(e.Entry.Text, "422") { // a form with a mistake in it
			return
		}
		b.fault("log: %s %s %s", e.Entry.Source, e.Entry.Text, e.Entry.URL)
	case *network.EventLoadingFailed:
		if !e.Canceled { // a poll that a click on a link overtakes
			b.fault("failed: %s %s", e.ErrorText, e.BlockedReason)
		}
	case *network.EventRequestWillBeSent:
		b.check(e.Request.URL)
	}
}

func (b *browser) check(address string) {
	for _, root := range b.allowed {
		if address == root || strings.HasPrefix(address, root+"/") {
			return
		}
	}
	b.fault("a request went to %s", address)
}

func (b *browser) fault(format string, args ...any) {
	b.mu.Lock()
	defer b.mu.Unlock()
	b.faults = append(b.faults, fmt.Sprintf(format, args...))
}

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
		got, err := chromedp.Run(b.ctx, chromedp.Evaluate[T](script, chromedp.EvalAwaitPromise))
		if err == nil && there(got) {
			return got
		}
		if time.Now().After(deadline) {
			page, _ := chromedp.Run(b.ctx, chromedp.Evaluate[string]("location.href + document.body.innerText"))
			b.t.Fatalf("waited in vain for %s (%v); the page is %s", what, err, page)
		}
	}
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

// click presses the mouse on the first element that selector finds, once it can be reached.
func (b *browser) click(selector string) {
	b.t.Helper()
	b.do(chromedp.MouseClickXY(b.reach(selector)))
}

// clickSlowly lets go of the mouse only when the page has asked for itself meanwhile.
func (b *browser) clickSlowly(selector string) {
	b.t.Helper()
	b.reach(selector) // else the watch may be on the page before
	until(b, "a watch on the page", `(() => {
		document.addEventListener("htmx:afterOnLoad", () => { window.asked = (window.asked ?? 0) + 1; });
		return true;
	})()`, isTrue)
	x, y := b.reach(selector)
	b.do(chromedp.MouseEvent(input.DispatchMouseEventTypeMousePressed, x, y, chromedp.ButtonLeft, chromedp.ClickCount(1)))
	asked := until(b, "the page's answer", "window.asked ?? 0", func(int) bool { return true })
	until(b, "the page to ask for itself", fmt.Sprintf("(window.asked ?? 0) > %d", asked), isTrue)
	b.do(chromedp.MouseEvent(input.DispatchMouseEventTypeMouseReleased, x, y, chromedp.ButtonLeft, chromedp.ClickCount(1)))
}

// write replaces the text of a field.
func (b *browser) write(selector, text string) {
	b.t.Helper()
	b.click(selector)
	b.do(chromedp.KeyEvent("a", chromedp.KeyModifiers(chromedp.ModifierCtrl)))
	b.do(chromedp.KeyEvent(text))
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
