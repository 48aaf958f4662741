package notification

import (
	"fmt"
	"slices"
	"strings"
	"testing"
	"time"

	"mssentinel/app/job"
)

var noon = time.Date(2026, 11, 28, 12, 0, 0, 0, time.UTC)

// life is a Service as people are notified of it, minute by minute.
type life struct {
	t      *testing.T
	now    time.Time
	s      Standing
	states []State
	// outcome of a notification: "told", "refused" or "unknown".
	outcome string
	sent    []string
}

func newLife(t *testing.T) *life {
	return &life{t: t, now: noon, outcome: "told", s: Standing{Interval: 24 * time.Hour}}
}

// pass lets time go by, and looks every minute as the pipeline does.
func (l *life) pass(d time.Duration) {
	for end := l.now.Add(d); l.now.Before(end); l.now = l.now.Add(time.Minute) {
		l.states = Observe(l.states, l.s, l.now)
		items := Due(l.states, l.s, l.now)
		if len(items) == 0 {
			continue
		}
		var told []string
		for _, i := range items {
			name := string(i.Cause)
			if i.Healed {
				name = "recovered " + name
			}
			told = append(told, name)
		}
		l.states = NoteTried(l.states, items, l.now)
		switch l.outcome {
		case "told":
			l.states = NoteTold(l.states, items, l.now)
		case "refused":
			l.states = NoteRefused(l.states, items)
		}
		l.sent = append(l.sent, fmt.Sprintf("%v %s", l.now.Sub(noon), strings.Join(told, ", ")))
	}
}

// want fails the test unless exactly this was sent since it was last asked.
func (l *life) want(sent ...string) {
	l.t.Helper()
	if !slices.Equal(l.sent, sent) {
		l.t.Errorf("sent\n%s\nnot\n%s", strings.Join(l.sent, "\n"), strings.Join(sent, "\n"))
	}
	l.sent = nil
}

// fail is a job that fails now.
func (l *life) fail(mode job.Mode) {
	at, end := l.now, l.now.Add(-time.Hour)
	l.s.Failed = append([]job.Job{{RequestID: fmt.Sprintf("job-%d", len(l.s.Failed)), Type: job.Scheduled, Mode: mode, Status: job.Failed,
		DateQueued: end, DateFailed: &at, WindowEnd: &end, Message: "No."}}, l.s.Failed...)
}

// complete is an update that completes now.
func (l *life) complete(mode job.Mode) {
	l.s.Completed, l.s.Covered, l.s.Wanted = l.now, l.now, time.Time{}
	if mode.ReadsAll() {
		l.s.CoveredAll = l.now
	}
}

func (l *life) ask() {
	at := l.now
	l.s.Asking = []job.Job{{RequestID: "asks", Mode: job.Reconcile, Status: job.ConfirmationRequired, DateCompleted: &at, RetirementsHeld: 500}}
}

const day = 24 * time.Hour

func TestWhatIsToldWhen(t *testing.T) {
	for _, c := range []struct {
		name string
		live func(*life)
		want []string
	}{
		{"nothing while all is well", func(l *life) { l.complete(job.Full); l.pass(3 * day) }, nil},
		{"a failure, each day while it lasts, and the recovery", func(l *life) {
			l.fail(job.Delta)
			l.pass(2*day + time.Hour)
			l.complete(job.Delta)
			l.pass(3 * day)
		}, []string{"0s Job Failed", "24h0m0s Job Failed", "48h0m0s Job Failed", "49h0m0s recovered Job Failed"}},
		{"hourly failures grow rare", func(l *life) {
			for range 4 * 24 {
				l.fail(job.Delta)
				l.pass(time.Hour)
			}
		}, []string{"0s Job Failed", "1h0m0s Job Failed", "3h0m0s Job Failed", "7h0m0s Job Failed", "15h0m0s Job Failed",
			"31h0m0s Job Failed", "55h0m0s Job Failed", "79h0m0s Job Failed"}},
		{"another failure is told before the day is over", func(l *life) {
			l.fail(job.Full)
			l.pass(5 * time.Hour)
			l.fail(job.Delta)
			l.pass(2 * time.Hour)
		}, []string{"0s Job Failed", "5h0m0s Job Failed"}},
		{"after quiet days news are told at once again", func(l *life) {
			l.fail(job.Full)
			l.pass(3*day + 2*time.Hour)
			l.fail(job.Delta)
			l.pass(time.Hour)
		}, []string{"0s Job Failed", "24h0m0s Job Failed", "48h0m0s Job Failed", "72h0m0s Job Failed", "74h0m0s Job Failed"}},
		{"a delta update makes up for no full one", func(l *life) {
			l.fail(job.Full)
			l.pass(2 * time.Hour)
			l.complete(job.Delta)
			l.pass(2 * time.Hour)
			l.complete(job.Reconcile)
			l.pass(2 * time.Hour)
		}, []string{"0s Job Failed", "4h0m0s recovered Job Failed"}},
		{"what was made up for before it failed for good is not told", func(l *life) {
			l.complete(job.Delta)
			l.fail(job.Delta)
			l.pass(day)
		}, nil},
		{"a range that failed, though it was read before", func(l *life) {
			l.now = l.now.Add(time.Hour)
			l.complete(job.Delta)
			l.now = l.now.Add(time.Minute)
			l.fail(job.Delta)
			l.s.Failed[0].Ranged = true
			l.pass(2 * time.Hour)
			l.complete(job.Delta)
			l.pass(2 * time.Hour)
		}, []string{"1h1m0s Job Failed", "3h1m0s recovered Job Failed"}},
		{"a job that an operator tries again and cancels is not told of again, until something makes up for it", func(l *life) {
			l.fail(job.Delta)
			l.pass(2 * time.Hour)
			l.s.Failed = nil
			l.pass(3 * day)
			l.complete(job.Delta)
			l.pass(2 * time.Hour)
		}, []string{"0s Job Failed", "74h0m0s recovered Job Failed"}},
		{"a question, and its answer", func(l *life) {
			l.ask()
			l.pass(26 * time.Hour)
			l.s.Asking = nil
			l.pass(day)
		}, []string{"0s Confirmation Required", "24h0m0s Confirmation Required", "26h0m0s recovered Confirmation Required"}},
		{"an update of two intervals ago", func(l *life) {
			l.s.Wanted = l.now
			l.pass(3 * day)
			l.complete(job.Delta)
			l.pass(2 * day)
		}, []string{"48h0m0s Update Overdue", "72h0m0s recovered Update Overdue"}},
		{"an update that is cancelled is still overdue", func(l *life) {
			l.s.Wanted = l.now
			l.pass(50 * time.Hour)
			l.s.Wanted = time.Time{}
			l.pass(2 * day)
			l.complete(job.Delta)
			l.pass(time.Hour)
		}, []string{"48h0m0s Update Overdue", "98h0m0s recovered Update Overdue"}},
		{"what arises together is one digest", func(l *life) {
			l.s.Wanted = l.now.Add(-3 * day)
			l.fail(job.Delta)
			l.ask()
			l.pass(time.Hour)
			l.s.Asking = nil
			l.complete(job.Delta)
			l.pass(time.Hour)
		}, []string{"0s Job Failed, Update Overdue, Confirmation Required",
			"1h0m0s recovered Job Failed, recovered Update Overdue, recovered Confirmation Required"}},
		{"a recovery within the hour waits for its end", func(l *life) {
			l.fail(job.Delta)
			l.pass(10 * time.Minute)
			l.complete(job.Delta)
			l.pass(day)
		}, []string{"0s Job Failed", "1h0m0s recovered Job Failed"}},
	} {
		t.Run(c.name, func(t *testing.T) {
			l := newLife(t)
			c.live(l)
			l.want(c.want...)
		})
	}
}

// However often a cause comes and goes, no hour has two notifications of it.
func TestNeverTwiceAnHour(t *testing.T) {
	l := newLife(t)
	for range 24 * 6 {
		l.fail(job.Delta)
		l.pass(5 * time.Minute)
		l.complete(job.Delta)
		l.pass(5 * time.Minute)
	}
	var before time.Duration
	for i, line := range l.sent {
		at, err := time.ParseDuration(strings.Fields(line)[0])
		if err != nil || i > 0 && at-before < time.Hour {
			t.Errorf("%s comes %v after the one before, %v", line, at-before, err)
		}
		before = at
	}
	if n := len(l.sent); n < 2 || n > 16 {
		t.Errorf("%d notifications in a day:\n%s", n, strings.Join(l.sent, "\n"))
	}
}

func TestWhatDidNotArriveIsToldLater(t *testing.T) {
	l := newLife(t)
	l.outcome = "refused"
	l.fail(job.Delta)
	l.pass(2 * time.Minute) // the pipeline makes pauses
	l.outcome = "told"
	l.pass(day)
	l.want("0s Job Failed", "1m0s Job Failed", "2m0s Job Failed")
}

func TestWhatHealsBeforeAnybodyWasToldIsNotTold(t *testing.T) {
	l := newLife(t)
	l.outcome = "refused"
	l.fail(job.Delta)
	l.pass(time.Minute)
	l.outcome = "told"
	l.complete(job.Delta)
	l.pass(day)
	l.want("0s Job Failed")
	if len(l.states) != 0 {
		t.Errorf("remembered: %+v", l.states)
	}
}

// One of which nobody knows whether it arrived counts as one for an hour, whatever became of the cause.
func TestWhatMayHaveArrivedWaitsAnHour(t *testing.T) {
	l := newLife(t)
	l.outcome = "unknown"
	l.fail(job.Delta)
	l.pass(time.Minute)
	l.outcome = "told"
	l.pass(2 * time.Hour)
	l.want("0s Job Failed", "1h0m0s Job Failed")

	l = newLife(t)
	l.outcome = "unknown"
	l.fail(job.Delta)
	l.pass(time.Minute)
	l.outcome = "told"
	l.complete(job.Delta)
	l.pass(2 * time.Hour)
	l.want("0s Job Failed", "1h0m0s recovered Job Failed")
}

func TestAClockThatWasPutBackDoesNotSilence(t *testing.T) {
	l := newLife(t)
	l.now = l.now.Add(1000 * day)
	l.fail(job.Delta)
	l.pass(time.Minute)
	l.sent, l.s.Failed, l.now = nil, nil, noon
	l.fail(job.Delta)
	l.pass(25 * time.Hour)
	l.want("24h0m0s Job Failed")
}

func TestMessage(t *testing.T) {
	l := newLife(t)
	for range 7 {
		l.fail(job.Delta)
	}
	l.s.Failed[0].Message = "Query 1 could not be read: ThreatConnect answered 400: no viable alternative at 'summary = \"evil.example\"'. " +
		"The owner's [name](https://evil.example) is \"Alpha`\"."
	l.s.Wanted, l.s.Completed, l.s.Reason = noon.Add(-50*time.Hour), noon.Add(-60*time.Hour), "Upload is paused on TASKS."
	l.ask()
	l.states = Observe(nil, l.s, noon)
	items := Due(l.states, l.s, noon)
	got := Message("Microsoft Sentinel v1, source `Test`", items, l.s)
	for _, want := range []string{"Microsoft Sentinel v1, source `Test`\n\n**Job Failed.** 7 updates have failed",
		"Retry on JOBS", "\n* Delta update `job-6` (scheduled), failed 2026-11-28 12:00 UTC: `Query 1 could not be read: ThreatConnect answered 400: no viable alternative at '…'",
		"The owner's [name](https://evil.example) is \"…\".`\n", " failed 2026-11-28 12:00 UTC: `No.`\n", " failed 2026-11-28 12:00 UTC for the same reason\n", "\n* and 2 more\n\n**Update Overdue.** An update is wanted since 2026-11-26 10:00 UTC, ",
		"(of 24 hours). The last one completed 2026-11-26 00:00 UTC. Look at JOBS and TASKS: `Upload is paused on TASKS.`.\n\n**Confirmation Required.** 1 update wants",
		"Reconcile update `asks`", "about 500 objects"} {
		if !strings.Contains(got, want) {
			t.Errorf("%q is not in\n%s", want, got)
		}
	}
	if strings.Contains(got, "summary") || strings.Contains(got, "Alpha") {
		t.Errorf("tells what is quoted:\n%s", got)
	}
	if u := UrgencyOf(items); u != High {
		t.Errorf("urgency %s", u)
	}
	l.s.Failed[0].Message = strings.Repeat("\"", 100_000)
	if n := len(Message(strings.Repeat("x", 100_000), items, l.s)); n > maxMessage {
		t.Errorf("%d bytes", n)
	}
	recovered := []Item{{Cause: JobFailed, Healed: true, Since: noon}, {Cause: UpdateOverdue, Healed: true, Since: noon}, {Cause: ConfirmationRequired, Healed: true, Since: noon}}
	if got := Message("x", recovered, Standing{}); strings.Count(got, "**Recovered: ") != 3 || UrgencyOf(recovered) != Low {
		t.Errorf("%s: %s", UrgencyOf(recovered), got)
	}
	if u := UrgencyOf([]Item{{Cause: ConfirmationRequired}, {Cause: JobFailed, Healed: true}}); u != Medium {
		t.Errorf("urgency %s", u)
	}
}
