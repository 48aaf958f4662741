package doctor

import (
	"context"
	"errors"
	"log/slog"
	"strings"
	"testing"
	"testing/synctest"
	"time"
)

func TestRun(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		rows := 0
		var kept []Report
		d := New(Options{Version: "1.0", Logger: slog.New(slog.DiscardHandler), Rechecks: []time.Duration{2 * time.Minute},
			Clean: func(s string) string { return strings.ReplaceAll(s, "hunter2", "***") },
			Keep:  func(r Report) error { kept = append(kept, r); return nil },
			Probes: []Probe{
				{Area: Pages, Questions: []Question{{"pages.methods", "Which methods arrive?"}}},
				{Area: Azure, Questions: []Question{{"azure.rows", "Do rows arrive?"}, {"azure.large", "Are large bodies taken?"}},
					Examine: func(_ context.Context, r Request, a *Answers) string {
						a.Set("azure.rows", Answer{Verdict: No, Evidence: "no row for hunter2", Differs: true})
						if r.LargeBodies {
							a.Set("azure.large", Answer{Verdict: Yes})
						}
						return "hunter2 refused"
					},
					Recheck: func(_ context.Context, a *Answers) string {
						rows++
						a.Set("azure.rows", Answer{Verdict: Yes, Evidence: "1 row"})
						return "ok"
					}},
			}})
		if err := d.Record(Pages, func(a *Answers) string { a.Set("pages.methods", Answer{Verdict: Value, Evidence: "GET"}); return "ok" }); err != nil {
			t.Fatal(err)
		}
		if err := d.Ask(Request{LargeBodies: true}); err != nil {
			t.Fatal(err)
		}
		began := time.Now()
		ended := make(chan error)
		go func() { ended <- d.Run(t.Context(), func(string) {}) }()
		synctest.Wait()
		if err := d.Run(t.Context(), func(string) {}); !errors.Is(err, ErrRunning) {
			t.Errorf("a second run at once: %v", err)
		}
		if err := d.Ask(Request{LargeBodies: true}); !errors.Is(err, ErrRunning) {
			t.Errorf("what is asked during a run: %v", err)
		}
		first, _ := d.Last()
		if text := first.Text(); !strings.Contains(text, "no row for ***") || strings.Contains(text, "hunter2") ||
			!strings.Contains(text, "PAGES ok · AZURE *** refused · 1 answer differs from what the App relies on: azure.rows\n") {
			t.Errorf("the text is\n%s", text)
		}
		if err := <-ended; err != nil {
			t.Fatal(err)
		}
		last, ok := d.Last()
		if !ok || time.Since(began) != 2*time.Minute || rows != 1 || len(kept) != 3 ||
			last.Headline() != "PAGES ok · AZURE ok · no answer differs from what the App relies on" {
			t.Errorf("after %v, %d rechecks and %d reports: %+v", time.Since(began), rows, len(kept), last)
		}
		for i, want := range []Line{
			{ID: "pages.methods", Area: Pages, Question: "Which methods arrive?", Verdict: Value, Evidence: "GET"},
			{ID: "azure.rows", Area: Azure, Question: "Do rows arrive?", Verdict: Yes, Evidence: "1 row"},
			{ID: "azure.large", Area: Azure, Question: "Are large bodies taken?", Verdict: Yes},
		} {
			if last.Lines[i] != want {
				t.Errorf("line %d is %+v, want %+v", i, last.Lines[i], want)
			}
		}
		go func() { ended <- d.Run(t.Context(), func(string) {}) }()
		if err := <-ended; err != nil {
			t.Fatal(err)
		}
		if again, _ := d.Last(); again.Lines[2].Verdict != NotTried {
			t.Errorf("what was allowed for one run was done in the next: %+v", again.Lines[2])
		}
	})
}

// A run that is killed leaves a report that says so, and a probe that panics leaves a Service that lives.
func TestRunCutShort(t *testing.T) {
	ctx, kill := context.WithCancelCause(t.Context())
	var kept Report
	d := New(Options{Logger: slog.New(slog.DiscardHandler), Clean: func(s string) string { return s },
		Keep: func(r Report) error { kept = r; return nil },
		Probes: []Probe{
			{Area: Platform, Questions: []Question{{"platform.a", "A?"}}, Examine: func(_ context.Context, _ Request, a *Answers) string {
				a.Set("platform.a", Answer{Verdict: Yes})
				panic("oh dear")
			}},
			{Area: Azure, Examine: func(context.Context, Request, *Answers) string {
				kill(errors.New("killed on TASKS"))
				return "half asked"
			}},
			{Area: Pages, Examine: func(context.Context, Request, *Answers) string { t.Error("asked after the end"); return "" }},
		}})
	if err := d.Run(ctx, func(string) {}); err == nil || err.Error() != "killed on TASKS" {
		t.Errorf("the run ended with %v", err)
	}
	if text := kept.Text(); kept.Lines[0].Verdict != Yes || !strings.Contains(text, "not to the end: killed on TASKS\n") ||
		!strings.Contains(text, "PLATFORM the App failed on it, its log says why · AZURE half asked · PAGES not tried") {
		t.Errorf("the report is\n%s", text)
	}
}

// So does one that the end of the Service cuts short.
func TestRunUntilTheEndOfTheService(t *testing.T) {
	ctx, end := context.WithCancel(t.Context())
	d := New(Options{Logger: slog.New(slog.DiscardHandler), Clean: func(s string) string { return s }, Keep: func(Report) error { return nil },
		Probes: []Probe{{Area: Azure, Examine: func(context.Context, Request, *Answers) string { end(); return "half asked" }}}})
	if err := d.Run(ctx, func(string) {}); !errors.Is(err, context.Canceled) {
		t.Errorf("the run ended with %v", err)
	}
	if report, _ := d.Last(); report.Stopped != "the Service ended" || report.Ended.IsZero() {
		t.Errorf("%+v", report)
	}
}

// A probe that asks what is not among its questions must not stay unnoticed.
func TestUnknownQuestion(t *testing.T) {
	defer func() {
		if recover() == nil {
			t.Error("an answer without a question was taken")
		}
	}()
	(&Answers{clean: func(s string) string { return s }}).Set("azure.nothing", Answer{})
}
