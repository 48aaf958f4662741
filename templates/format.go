package templates

import (
	"fmt"
	"math"
	"net/url"
	"slices"
	"strconv"
	"strings"
	"time"
	"unicode"

	"github.com/a-h/templ"

	"mssentinel/app/text"
)

// Instant writes an instant as all screens do: in UTC, to the second. In a narrow column it breaks after the date
// alone.
func Instant(t time.Time) string {
	if t.IsZero() {
		return "–"
	}
	return t.UTC().Format("2006-01-02 15:04:05\u00a0UTC")
}

func machineTime(t time.Time) string { return t.UTC().Format(time.RFC3339) }

// Number writes n with separators: 12,345.
func Number(n int64) string {
	digits := strconv.FormatInt(n, 10)
	sign := ""
	if n < 0 {
		sign, digits = "-", digits[1:]
	}
	for i := len(digits) - 3; i > 0; i -= 3 {
		digits = digits[:i] + "," + digits[i:]
	}
	return sign + digits
}

// Amount writes how many of something there are: 1 object, 12,345 objects.
func Amount(n int64, one, many string) string {
	if n == 1 {
		return "1 " + one
	}
	return Number(n) + " " + many
}

// Duration writes a span in its two largest units: 1 h 5 min, 23 s.
func Duration(d time.Duration) string {
	s := int64(math.Ceil(d.Seconds()))
	switch {
	case s >= 86400:
		return fmt.Sprintf("%d d %d h", s/86400, s%86400/3600)
	case s >= 3600:
		return fmt.Sprintf("%d h %d min", s/3600, s%3600/60)
	case s >= 60:
		return fmt.Sprintf("%d min %d s", s/60, s%60)
	}
	return fmt.Sprintf("%d s", s)
}

// Runtime writes how long something took that began and ended at instants as they are shown, to the second.
func Runtime(from, to time.Time) string {
	took := to.Truncate(time.Second).Sub(from.Truncate(time.Second))
	if took < time.Second {
		return "under 1 s"
	}
	return Duration(took)
}

func formatRate(r float64) string {
	if r < 10 {
		return strconv.FormatFloat(r, 'f', 1, 64)
	}
	return Number(int64(math.Round(r)))
}

// percentDone is how much of the work is done, in whole per cent rounded down.
func percentDone(b Bar) int64 {
	if b.Max <= 0 {
		return 0
	}
	return min(100, b.Value*100/b.Max)
}

func joinNames(names []string) string { return strings.Join(names, ", ") }

func joinOperators(operators []string) string { return strings.Join(operators, "  ") }

// maxNamed is how many names a line of a list spells out.
const maxNamed = 3

// ownerSummary stands for the owners of a query, "" where they are few enough to be named.
func (q Query) ownerSummary() string {
	if len(q.Owners) <= maxNamed {
		return ""
	}
	return fmt.Sprintf("%d owners", len(q.Owners))
}

// typeSummary stands for the types of a query, "" where they are few enough to be named.
func (q Query) typeSummary() string {
	switch n := len(q.Types); {
	case n > 1 && n == q.AllTypes:
		return fmt.Sprintf("All %d types", n)
	case n > maxNamed:
		return fmt.Sprintf("%d types", n)
	}
	return ""
}

// labelSummary stands for the labels that a query adds, "" where they are few enough to be named.
func (s QuerySettings) labelSummary() string {
	if len(s.Labels) <= maxNamed {
		return ""
	}
	return fmt.Sprintf("%d labels", len(s.Labels))
}

// maxShort bounds in bytes what a line of a table shows of a text. Lists of 500 queries fit into an answer then.
const maxShort = 500

// shortText is a text as a line of a table shows it.
func shortText(s string) string { return text.Cut(s, maxShort) }

// runsRightToLeft says that a name has letters of a script that does.
func runsRightToLeft(names []string) bool {
	return slices.ContainsFunc(names, func(name string) bool {
		return strings.ContainsFunc(name, func(r rune) bool {
			return unicode.In(r, unicode.Arabic, unicode.Hebrew, unicode.Syriac, unicode.Thaana)
		})
	})
}

// shortNames are names as a line of a table shows them: cut where they are longer together than a text may be.
func shortNames(names []string) (shown []string) {
	left := maxShort
	for _, name := range names {
		if left <= 0 {
			return append(shown, "…")
		}
		shown = append(shown, text.Cut(name, left))
		left -= len(name) + len(", ")
	}
	return shown
}

// className makes a class name of a status: "Upload Complete" is upload-complete.
func className(text string) string { return strings.ReplaceAll(strings.ToLower(text), " ", "-") }

// shortID is the first group of a request ID, enough for the eye.
func shortID(id string) string {
	head, _, _ := strings.Cut(id, "-")
	return head
}

// announceProgress is what a screen reader says about the progress. It changes in steps of 10 %, so that it is said often
// enough and no more often.
func announceProgress(p *Progress) string {
	if p == nil {
		return ""
	}
	if p.Blocked {
		return p.Title + " waits. " + p.Wait
	}
	text := p.Title
	for _, b := range p.Stages {
		if b.Percent >= 0 {
			text += fmt.Sprintf(", %s %d %%", b.Label, b.Percent/10*10)
		}
	}
	return text
}

// describeTimeLeft is how long the job takes yet.
func describeTimeLeft(p *Progress) string {
	switch {
	case p.Remaining <= 0 && p.Blocked:
		return "not known"
	case p.Remaining <= 0:
		return "not known yet"
	case p.AtLeast:
		return "at least " + Duration(p.Remaining)
	}
	return "about " + Duration(p.Remaining)
}

// announceVerification is announceProgress of a verification.
func announceVerification(b *Bar) string {
	if b.Max <= 0 {
		return b.Label
	}
	return fmt.Sprintf("%s %d %%", b.Label, percentDone(*b)/10*10)
}

// viewOnly leads to the jobs of one status; others are the other filters of the address.
func viewOnly(status, others string) templ.SafeURL {
	params := url.Values{"status": {status}}.Encode()
	if others != "" {
		params = others + "&" + params
	}
	return templ.URL("jobs?" + params)
}

// JoinWithVerb puts names before the form of a verb that fits their number: Download is, Download and Upload are.
func JoinWithVerb(names []string, one, many string) string {
	last := len(names) - 1
	if last == 0 {
		return names[0] + " " + one
	}
	return joinNames(names[:last]) + " and " + names[last] + " " + many
}

func chosenLabels(choices []Choice) []string {
	var names []string
	for _, c := range choices {
		if c.Chosen {
			names = append(names, c.Label)
		}
	}
	return names
}

// summarizeChoices says in a line what a multi-select has chosen.
func summarizeChoices(choices []Choice) string {
	names := chosenLabels(choices)
	switch {
	case len(names) == 0 || len(names) == len(choices):
		return "All"
	case len(names) <= 2:
		return joinNames(names)
	}
	return fmt.Sprintf("%d of %d", len(names), len(choices))
}

// placedPart is a part of a bar with its place in it.
type placedPart struct{ Kind, X, Width string }

// placeParts divides a bar of a width among its parts. One that is there is seen, however small it is.
func placeParts(parts []Part, width float64) (placed []placedPart) {
	total := 0.0
	for _, p := range parts {
		total += max(float64(p.Count), 0)
	}
	const least = 1.5
	x, room := 0.0, width-least*float64(len(parts))
	for _, p := range parts {
		wide := least + room*float64(p.Count)/max(total, 1)
		placed = append(placed, placedPart{p.Kind, formatFloat(x), formatFloat(wide)})
		x += wide
	}
	return placed
}

func formatFloat(f float64) string { return strconv.FormatFloat(f, 'f', 2, 64) }

// describeParts says what the bar shows.
func describeParts(parts []Part) string {
	texts := make([]string, len(parts))
	for i, p := range parts {
		texts[i] = Number(p.Count) + " " + p.Label
	}
	return joinNames(texts)
}

// withParams leads to a list with the filters and the place that it has, and more.
func withParams(here, more string) templ.SafeURL {
	if here != "" {
		more = here + "&" + more
	}
	return templ.URL("jobs?" + more)
}

// detailsURL leads to a job, from where the way back leads to the list as it is.
func detailsURL(j Job, here string) templ.SafeURL {
	address := "jobs?id=" + j.RequestID
	if here != "" {
		address += "&list=" + url.QueryEscape(here)
	}
	return templ.URL(address)
}

// lineURL leads to a line of REPORT, from where the way back leads to the list as it is.
func lineURL(p Problem, here string) templ.SafeURL {
	address := "report?id=" + formatInt(p.ID)
	if here != "" {
		address += "&list=" + url.QueryEscape(here)
	}
	return templ.URL(address)
}

// roughly writes a span in its largest unit: 3 min.
func roughly(d time.Duration) string {
	switch {
	case d >= 24*time.Hour:
		return fmt.Sprintf("%d d", d/(24*time.Hour))
	case d >= time.Hour:
		return fmt.Sprintf("%d h", d/time.Hour)
	case d >= time.Minute:
		return fmt.Sprintf("%d min", d/time.Minute)
	}
	return fmt.Sprintf("%d s", max(0, d/time.Second))
}

// describeChosen says how many choices of a list are made, and which.
func describeChosen(choices []Choice) string {
	names := chosenLabels(choices)
	if len(names) == 0 {
		return "None chosen"
	}
	return fmt.Sprintf("%d chosen: %s", len(names), shortText(joinNames(names)))
}

// noticeRole has a screen reader interrupt what it reads for an error, and for nothing else.
func noticeRole(kind string) string {
	if kind == "error" {
		return "alert"
	}
	return "status"
}

func (w *QueryForm) windowTitle() string {
	if w.Key == "" {
		return "Add TQL Configuration"
	}
	return "Edit TQL Configuration"
}

// opener is the button that opened the window, by its value: there the keyboard goes on when the window closes.
func (w *QueryForm) opener() string {
	if w.Key == "" {
		return "add"
	}
	return "edit:" + w.Key
}

// SeenMark stands in a page for its fingerprint. A part that asks for itself again sends the fingerprint of the page that it
// came with, so that a page that is the same needs no answer.
const (
	SeenMark  = "fingerprint-of-the-page"
	seenParam = "seen=" + SeenMark
)

// pollAttributes has a part of a page ask for itself again: often while something runs, seldom otherwise. What troubles
// the Service comes with it, since the banner stands outside, and so do the strip and the navigation.
func pollAttributes(f Frame, self string, busy bool) templ.Attributes {
	trigger := "every 20s"
	if busy {
		trigger = "every 2s"
	}
	join := "?"
	if strings.Contains(self, "?") {
		join = "&"
	}
	return templ.Attributes{"hx-get": self + join + seenParam, "hx-trigger": trigger, "hx-select": "#live", "hx-swap": "outerHTML",
		"hx-target": "#live", "hx-select-oob": "#strip,#screens", "data-trouble": f.Trouble}
}

// stripAttributes have the strip ask for itself, and for the navigation, now and then.
func stripAttributes(f Frame) templ.Attributes {
	if f.Overview == nil {
		return nil
	}
	return templ.Attributes{"hx-get": f.Root + "ui/status?section=" + url.QueryEscape(f.Section) + "&seen=" + f.OverviewSeen, "hx-trigger": "every 20s",
		"hx-select": "#strip", "hx-swap": "outerHTML", "hx-target": "#strip", "hx-select-oob": "#screens", "data-trouble": f.Trouble}
}

func testVerdict(works bool) string {
	if works {
		return "It works."
	}
	return "It does not work yet."
}

// needsPerson is what a screen reader adds to the number at a screen.
func needsPerson(n int) string {
	if n == 1 {
		return " thing needs you"
	}
	return " things need you"
}

// isAnyRunning says that a task is at work, so that its line changes soon.
func isAnyRunning(tasks []TaskLine) bool {
	return slices.ContainsFunc(tasks, func(t TaskLine) bool { return t.Status == "Running" })
}

// hasOpenJob says that a job waits or runs, so that its line changes soon.
func hasOpenJob(jobs ...Job) bool {
	return slices.ContainsFunc(jobs, func(j Job) bool { return j.CanCancel })
}

func formatInt(n int64) string { return strconv.FormatInt(n, 10) }

func barText(b Bar) string {
	if b.Max <= 0 {
		return Number(b.Value) + " " + b.Unit
	}
	return fmt.Sprintf("%s of %s %s · %d %%", Number(b.Value), Number(b.Max), b.Unit, percentDone(b))
}

func formatMinutes(d time.Duration) string { return strconv.FormatFloat(d.Minutes(), 'f', -1, 64) }

// orID is a value, or the id of what has none.
func orID(value, id string) string {
	if value == "" {
		return id
	}
	return value
}

// runTime is how long runs of a task took.
func runTime(d time.Duration) string {
	if d < time.Second {
		return "under 1 s"
	}
	return Duration(d.Round(time.Second))
}

// announceDoctor is what a screen reader says about the doctor when it changes.
func announceDoctor(v Doctor) string {
	switch {
	case v.Running && v.Doing != "":
		return "The doctor is " + v.Doing
	case v.Running:
		return "The doctor is at work"
	}
	return v.Headline
}
