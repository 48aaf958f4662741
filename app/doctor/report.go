// Package doctor turns what cannot be known before a Service runs into answers: how ThreatConnect's platform, its API,
// Microsoft Entra and Sentinel behave on this very instance, and what that changes for this Service.
//
// A [Probe] holds the questions about one [Area] and finds their answers. The [Doctor] runs the probes one after the
// other and keeps the last [Report], which is shown as a page, as JSON and as a text. No secret, no header's value and no
// indicator is in a report. The open questions themselves stand in app/docs/platform.md, app/docs/threatconnect.md and
// app/docs/sentinel.md, each with the ID of its line here.
package doctor

import (
	"fmt"
	"slices"
	"strings"
	"time"
)

// Area is the part of the outside world that a question is about, as the verdict line names it.
type Area string

// The areas in the order of the report.
const (
	Platform      Area = "PLATFORM"
	Broker        Area = "BROKER"
	KeyValueStore Area = "KEY-VALUE STORE"
	ThreatConnect Area = "THREATCONNECT"
	Azure         Area = "AZURE"
	Pages         Area = "PAGES"
)

// Verdict is the short answer to a question.
type Verdict string

// The verdicts.
const (
	Yes Verdict = "yes"
	No  Verdict = "no"
	// Value says that the evidence is the answer.
	Value Verdict = "value"
	// NotTried is the verdict of a question that nobody answered; the evidence may say why.
	NotTried Verdict = "not tried"
	// Failed says that the probe came to no answer; the evidence says why.
	Failed Verdict = "failed"
)

// Question is one thing that is not known before a Service runs.
type Question struct {
	ID   string // lower case words behind the area's: "platform.path-slash"; it never changes its meaning
	Text string // ends in a question mark
}

// Line is one question with its answer.
type Line struct {
	ID       string  `json:"id"`
	Area     Area    `json:"area"`
	Question string  `json:"question"`
	Verdict  Verdict `json:"verdict"`
	// Evidence is what was seen: names, lengths, types, statuses; at most 1,000 bytes.
	Evidence string `json:"evidence"`
	// Effect is what the answer changes for this Service, "" for nothing; at most 500 bytes.
	Effect string `json:"effect"`
	// Differs says that the answer is not the one that the App relies on.
	Differs bool `json:"differs"`
}

// Summary is what the verdict line says of an area.
type Summary struct {
	Area Area `json:"area"`
	// Text begins with "ok" where nothing is wrong and with "not tried" where nobody asked, else it says what is wrong, in
	// a few words; at most 200 bytes.
	Text string `json:"text"`
}

// broken says that something is wrong with the area.
func (s Summary) broken() bool {
	return !strings.HasPrefix(s.Text, "ok") && !strings.HasPrefix(s.Text, string(NotTried))
}

// Report is what a run found.
type Report struct {
	Version   string    `json:"version"` // of the App
	Began     time.Time `json:"began"`
	Ended     time.Time `json:"ended"`   // zero while the run goes on
	Stopped   string    `json:"stopped"` // why the run ended before all was asked, else ""; at most 200 bytes
	Summaries []Summary `json:"summaries"`
	Lines     []Line    `json:"lines"`
}

// Broken lists the areas with which something is wrong.
func (r Report) Broken() []Area {
	var areas []Area
	for _, s := range r.Summaries {
		if s.broken() {
			areas = append(areas, s.Area)
		}
	}
	return areas
}

// Headline is the verdict line: each area in a few words, and how many answers differ from what the App relies on.
func (r Report) Headline() string {
	var parts, differ []string
	for _, s := range r.Summaries {
		parts = append(parts, string(s.Area)+" "+s.Text)
	}
	for _, l := range r.Lines {
		if l.Differs {
			differ = append(differ, l.ID)
		}
	}
	switch len(differ) {
	case 0:
		parts = append(parts, "no answer differs from what the App relies on")
	case 1:
		parts = append(parts, "1 answer differs from what the App relies on: "+differ[0])
	default:
		parts = append(parts, fmt.Sprintf("%d answers differ from what the App relies on: %s", len(differ), strings.Join(differ, ", ")))
	}
	return strings.Join(parts, " · ")
}

// Text is the report to read and to send to somebody: the verdict line, then one paragraph for each question.
func (r Report) Text() string {
	var b strings.Builder
	fmt.Fprintf(&b, "%s\n\nMicrosoft Sentinel App %s, asked from %s", r.Headline(), r.Version, r.Began.Format(time.RFC3339))
	switch {
	case r.Ended.IsZero():
		b.WriteString(", not yet ended\n")
	case r.Stopped != "":
		fmt.Fprintf(&b, " to %s and not to the end: %s\n", r.Ended.Format(time.RFC3339), r.Stopped)
	default:
		fmt.Fprintf(&b, " to %s\n", r.Ended.Format(time.RFC3339))
	}
	for _, l := range r.Lines {
		fmt.Fprintf(&b, "\n%s · %s\n  %s", l.ID, l.Question, l.Verdict)
		if l.Differs {
			b.WriteString(" (differs from what the App relies on)")
		}
		b.WriteByte('\n')
		for _, part := range []string{l.Evidence, l.Effect} {
			if part != "" {
				fmt.Fprintf(&b, "  %s\n", part)
			}
		}
	}
	return b.String()
}

// clone is a report that shares no memory with r.
func (r Report) clone() Report {
	r.Summaries, r.Lines = slices.Clone(r.Summaries), slices.Clone(r.Lines)
	return r
}

// copyAnswers copies what r says about an area and its questions.
func (r Report) copyAnswers(summary *Summary, lines []Line) {
	for _, s := range r.Summaries {
		if s.Area == summary.Area {
			*summary = s
		}
	}
	for i := range lines {
		for _, l := range r.Lines {
			if l.ID == lines[i].ID {
				lines[i].Verdict, lines[i].Evidence, lines[i].Effect, lines[i].Differs = l.Verdict, l.Evidence, l.Effect, l.Differs
			}
		}
	}
}

// putAnswers puts what was found out about an area into r: in place, or behind the rest if r has nothing about it.
func (r *Report) putAnswers(summary Summary, lines []Line) {
	at := slices.IndexFunc(r.Summaries, func(s Summary) bool { return s.Area == summary.Area })
	if at < 0 {
		r.Summaries = append(r.Summaries, summary)
		r.Lines = append(r.Lines, lines...)
		return
	}
	r.Summaries[at] = summary
	for _, l := range lines {
		if i := slices.IndexFunc(r.Lines, func(old Line) bool { return old.ID == l.ID }); i >= 0 {
			r.Lines[i] = l
		}
	}
}
