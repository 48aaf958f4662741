package templates

import (
	"fmt"
	"math"
	"net/url"
	"slices"
	"strconv"
	"strings"
	"time"

	"github.com/a-h/templ"

	"mssentinel/app/text"
)

// formatTime writes an instant as all screens do: in UTC, to the second. In a narrow column it breaks after the date
// alone.
func formatTime(t time.Time) string {
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

// maxShort bounds in bytes what a line of a table shows of a text. Lists of 500 queries fit into an answer then.
const maxShort = 500

// shortText is a text as a line of a table shows it.
func shortText(s string) string { return text.Cut(s, maxShort) }

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
	text := p.Stage
	for _, b := range p.Bars {
		if b.Max > 0 {
			text += fmt.Sprintf(", %s %d %%", b.Label, percentDone(b)/10*10)
		}
	}
	return text
}

// viewOnly leads to the jobs of one status, and keeps what is searched for.
func viewOnly(status, requestID string) templ.SafeURL {
	params := url.Values{"status": {status}}
	if requestID != "" {
		params.Set("request_id", requestID)
	}
	return templ.URL("jobs?" + params.Encode())
}

// joinWithVerb puts names before the form of a verb that fits their number: Download is, Download and Upload are.
func joinWithVerb(names []string, one, many string) string {
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

// openerID is the id of the button that opened the window, where the keyboard goes on when it closes.
func (w *QueryForm) openerID() string {
	if w.Key == "" {
		return "add"
	}
	return "edit-" + w.Key
}

// pollAttributes has a part of a page ask for itself again: often while something runs, seldom otherwise. What troubles
// the Service comes with it, since the banner stands outside.
func pollAttributes(f Frame, self string, busy bool) templ.Attributes {
	trigger := "every 20s"
	if busy {
		trigger = "every 2s"
	}
	return templ.Attributes{"hx-get": self, "hx-trigger": trigger, "hx-select": "#live", "hx-swap": "outerHTML", "hx-target": "#live",
		"data-trouble": f.Trouble}
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
