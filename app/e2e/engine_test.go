package e2e

import (
	"context"
	"fmt"
	"strings"
	"sync"
	"testing"

	"github.com/chromedp/cdproto/log"
	"github.com/chromedp/cdproto/network"
	"github.com/chromedp/cdproto/runtime"
	"github.com/chromedp/chromedp"
)

// engine is a tab of a browser, of whichever make. Its methods return when the browser has done what was asked for.
type engine interface {
	// open leads to an address. The page may still be loading.
	open(address string) error
	// evaluate gives what a script computes, and a promise of it fulfils, as JSON. A page that is being left does not answer.
	evaluate(script string) (string, error)
	// mouse moves the pointer, and presses or releases the left button there.
	mouse(act mouseAct, x, y float64) error
	// keys presses keys one after the other: characters, and names of package kb.
	keys(text string) error
}

type mouseAct int

const (
	moveMouse mouseAct = iota
	pressMouse
	releaseMouse
)

// asJSON has a script answer in a form that every engine gives back unchanged.
func asJSON(script string) string {
	return "(async () => JSON.stringify(await (" + script + ")) ?? 'null')()"
}

// chromium is a tab of its own, with nothing kept from other tabs.
type chromium struct{ ctx context.Context }

// chromiumProcess is the one Chromium of all tests: its start is the longest part of most of them.
var chromiumProcess = sync.OnceValues(func() (context.Context, error) {
	options := append(chromedp.DefaultExecAllocatorOptions[:], chromedp.NoSandbox, chromedp.DisableGPU)
	allocator, _ := chromedp.NewExecAllocator(context.Background(), options...)
	ctx, end := chromedp.NewContext(allocator)
	endChromium = end
	return ctx, chromedp.Do(ctx)
})

// endChromium ends the process, if it was ever started.
var endChromium = func() {}

func openChromium(t *testing.T, b *browser) chromium {
	t.Helper()
	process, err := chromiumProcess()
	if err != nil {
		t.Fatalf("starting Chromium: %v", err)
	}
	ctx, closeTab := chromedp.NewContext(process, chromedp.WithNewBrowserContext())
	t.Cleanup(closeTab)
	if err := chromedp.Do(ctx, chromedp.EmulateViewport(1280, 800)); err != nil {
		t.Fatalf("opening a tab: %v", err)
	}
	if err := chromedp.Listen(ctx, func(event any) { b.listen(event) }); err != nil {
		t.Fatal(err)
	}
	return chromium{ctx}
}

func (c chromium) open(address string) error { return chromedp.Do(c.ctx, chromedp.Navigate(address)) }

func (c chromium) evaluate(script string) (string, error) {
	return chromedp.Run(c.ctx, chromedp.Evaluate[string](asJSON(script), chromedp.EvalAwaitPromise))
}

func (c chromium) mouse(act mouseAct, x, y float64) error {
	switch act {
	case pressMouse:
		return chromedp.Do(c.ctx, chromedp.MouseEvent(chromedp.MousePressed, x, y, chromedp.ButtonLeft, chromedp.ClickCount(1)))
	case releaseMouse:
		return chromedp.Do(c.ctx, chromedp.MouseEvent(chromedp.MouseReleased, x, y, chromedp.ButtonLeft, chromedp.ClickCount(1)))
	default:
		return chromedp.Do(c.ctx, chromedp.MouseEvent(chromedp.MouseMoved, x, y))
	}
}

func (c chromium) keys(text string) error { return chromedp.Do(c.ctx, chromedp.KeyEvent(text)) }

// listen takes down what Chromium complains about, and where it asks.
func (b *browser) listen(event any) {
	switch e := event.(type) {
	case *runtime.EventConsoleAPICalled:
		if len(e.Args) > 0 && b.mayStop && isStopped(string(e.Args[0].Value)) {
			return
		}
		for _, part := range e.Args {
			b.fault("console: %s %s", part.Value, part.Description)
		}
	case *runtime.EventExceptionThrown:
		b.fault("exception: %s", e.ExceptionDetails.Text)
	case *log.EventEntryAdded: // breaches of the Content-Security-Policy are among these
		if strings.Contains(e.Entry.Text, "422") || b.mayFail != "" && strings.HasPrefix(e.Entry.URL, b.mayFail) { // a form with a mistake in it
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

// isStopped says whether htmx tells with a line on the console that the page stopped a request.
func isStopped(line string) bool {
	return strings.Contains(line, "htmx:sendAbort") || strings.Contains(line, "htmx:afterRequest")
}

func (b *browser) check(address string) {
	if strings.HasPrefix(address, "data:image/svg+xml;base64,") || strings.HasPrefix(address, "data:font/") || address == "data:," {
		return // a browser's own icons, and the one that the Services page has not
	}
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
