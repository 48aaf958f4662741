package main

import (
	"context"
	"fmt"
	"os"
	"slices"
	"time"

	"github.com/chromedp/chromedp"
)

// interaction is what a press or a word in the browser took until the page showed what came of it, in milliseconds: the longest of the
// pauses in which the page took no input, as the browser tells them, over some rounds.
type interaction struct {
	Name   string  `json:"name"`
	Least  float64 `json:"least_ms"`
	Median float64 `json:"median_ms"`
	Most   float64 `json:"most_ms"`
	// Above says that even the least is above the bar: what else uses the machine only adds.
	Above bool `json:"above,omitempty"`
}

const (
	interactionBar    = 100 // milliseconds
	interactionRounds = 3
	// interactionLimit bounds one round.
	interactionLimit = time.Minute
)

// gestures are what is done on a page, each on one that was opened anew. press is the selector of what is clicked, or where
// keys is typed; done is a script that says whether the page shows what came of it. before is done first, and not measured.
var gestures = []struct{ name, path, before, press, keys, done string }{
	{"Edit: Add, with 505 owners", "ui/edit", "", "#add", "", `!!document.querySelector("#owner-list input") && !!document.querySelector("dialog:modal")`},
	{"Edit: search owners", "ui/edit?window=add", "", "[data-filter=owner-list]", "source 49", `document.querySelectorAll("#owner-list label:not([hidden])").length < 100`},
	{"Edit: select all owners", "ui/edit?window=add", "", "[data-choose=owner-list]", "", `document.querySelectorAll("#owner-list input:checked").length >= 500`},
	{"Edit: type TQL", "ui/edit?window=add", "", "#tql", "rating", `document.querySelector("#tql").value === "rating"`},
	{"Edit: down, the first of 500", "ui/edit", "", "#queries tbody tr:first-child button[value^=down]", "", `document.querySelector("#order").value !== ""`},
	{"Edit: move from 1 to 500", "ui/edit", `document.querySelector("#move-from").value = 1; document.querySelector("#move-to").value = document.querySelectorAll("#queries tbody tr").length`,
		".move button", "", `document.querySelector("#order").value !== ""`},
	{"Edit: find queries", "ui/edit", "", "#query-filter", "17", `/\d+ of \d+/.test(document.querySelector("#query-found").textContent)`},
	{"Edit: delete", "ui/edit", "", `#queries button[value^="delete:"]`, "", `!!document.querySelector("dialog:modal")`},
	{"Edit: Save", "ui/edit", "", "#save", "", `!!document.querySelector("dialog:modal, .notice")`},
	{"JOBS: submit window", "ui/jobs", "", `a[href*="ask=run"]`, "", `!!document.querySelector("dialog:modal")`},
}

// watch has the page note for how long it took no input.
const watch = `(() => {
	window.longest = 0;
	const note = (list) => { for (const e of list.getEntries()) longest = Math.max(longest, e.duration); };
	new PerformanceObserver(note).observe({type: "event", durationThreshold: 16});
	new PerformanceObserver(note).observe({type: "longtask"});
	%s;
	return true;
})()`

// rest waits until the page has drawn what it has, and told of it.
const rest = `(async () => {
	for (let i = 0; i < 3; i++) await new Promise(requestAnimationFrame);
	await new Promise((done) => setTimeout(done, 100));
	return window.longest ?? 0;
})()`

// spot is the middle of an element once it can be pressed.
const spot = `(() => {
	const e = document.querySelector(%q);
	if (!e || document.readyState !== "complete" || document.querySelector("dialog[data-modal]:not(:modal)")) return [];
	e.scrollIntoView({block: "nearest"});
	const r = e.getBoundingClientRect();
	return r.width ? [r.x + r.width / 2, r.y + r.height / 2] : [];
})()`

// measureInteractions does each gesture in a browser of its own, with no update under way.
func (s *screens) measureInteractions(ctx context.Context) (all []interaction, err error) {
	options := append(chromedp.DefaultExecAllocatorOptions[:], chromedp.NoSandbox, chromedp.DisableGPU, chromedp.WindowSize(1366, 768))
	allocator, end := chromedp.NewExecAllocator(ctx, options...)
	defer end()
	browser, closeBrowser := chromedp.NewContext(allocator)
	defer closeBrowser()
	if err := chromedp.Do(browser); err != nil {
		return nil, fmt.Errorf("starting the browser: %w", err)
	}
	for _, g := range gestures {
		took := make([]float64, interactionRounds)
		for i := range took {
			if took[i], err = s.doGesture(browser, g.path, g.before, g.press, g.keys, g.done); err != nil {
				return nil, fmt.Errorf("%s: %w", g.name, err)
			}
		}
		slices.Sort(took)
		fmt.Fprintf(os.Stderr, "%s: %.0f ms\n", g.name, took[0])
		all = append(all, interaction{Name: g.name, Least: took[0], Median: took[len(took)/2], Most: took[len(took)-1], Above: took[0] > interactionBar})
	}
	return all, nil
}

// doGesture opens the page in a tab of its own, does the gesture and gives the longest pause. A page that is left with something
// typed would ask whether it may be left.
func (s *screens) doGesture(browser context.Context, path, before, press, keys, done string) (float64, error) {
	tab, closeTab := chromedp.NewContext(browser)
	defer closeTab()
	ctx, cancel := context.WithTimeout(tab, interactionLimit)
	defer cancel()
	if err := chromedp.Do(ctx, chromedp.Navigate(s.service.URL()+"/"+path)); err != nil {
		return 0, err
	}
	var at []float64
	err := pollUntil(ctx, lookEvery, func() (_ bool, err error) {
		at, err = chromedp.Run(ctx, chromedp.Evaluate[[]float64](fmt.Sprintf(spot, press)))
		return len(at) == 2, err
	})
	if err != nil {
		return 0, fmt.Errorf("finding %s: %w", press, err)
	}
	if _, err := chromedp.Run(ctx, chromedp.Evaluate[float64](rest, chromedp.EvalAwaitPromise)); err != nil {
		return 0, err
	}
	if _, err := chromedp.Run(ctx, chromedp.Evaluate[bool](fmt.Sprintf(watch, before))); err != nil {
		return 0, err
	}
	input := chromedp.MouseClickXY(at[0], at[1])
	if keys != "" {
		if _, err := chromedp.Run(ctx, chromedp.Evaluate[bool](fmt.Sprintf(`document.querySelector(%q).focus() ?? true`, press))); err != nil {
			return 0, err
		}
		input = chromedp.KeyEvent(keys)
	}
	if err := chromedp.Do(ctx, input); err != nil {
		return 0, err
	}
	err = pollUntil(ctx, lookEvery, func() (bool, error) { return chromedp.Run(ctx, chromedp.Evaluate[bool](done)) })
	if err != nil {
		return 0, fmt.Errorf("waiting for %s: %w", done, err)
	}
	return chromedp.Run(ctx, chromedp.Evaluate[float64](rest, chromedp.EvalAwaitPromise))
}
