package notification

import (
	"fmt"
	"regexp"
	"strings"
	"time"

	"mssentinel/app/job"
	"mssentinel/app/text"
)

// Bounds of a message, in jobs and bytes. ThreatConnect takes 64 KB (app/docs/threatconnect.md#notifications).
const (
	maxListed  = 5
	maxReason  = 400
	maxMessage = 8 << 10
)

// Urgency is how much a notification matters, in ThreatConnect's words.
type Urgency string

// The urgencies.
const (
	Low    Urgency = "Low"
	Medium Urgency = "Medium"
	High   Urgency = "High"
)

// UrgencyOf is that of the most urgent item.
func UrgencyOf(items []Item) Urgency {
	urgency := Low
	for _, i := range items {
		switch {
		case i.Healed:
		case i.Cause != ConfirmationRequired:
			return High
		default:
			urgency = Medium
		}
	}
	return urgency
}

// Message writes a digest in Markdown, of at most 8 KiB: what, how many, why, what to do and where to look. sender says
// which Service it is. No value of an indicator is in it: what stands in quotation marks in the message of a job, such as
// a part of a query, is left out.
func Message(sender string, items []Item, s Standing) string {
	var parts []string
	for _, i := range items {
		parts = append(parts, describeItem(i, s))
	}
	return text.Cut(sender+"\n\n"+strings.Join(parts, "\n\n"), maxMessage)
}

func describeItem(i Item, s Standing) string {
	if i.Healed {
		return "**Recovered: " + string(i.Cause) + "** (since " + formatTime(i.Since) + "). " + describeRecovery(i.Cause)
	}
	return "**" + string(i.Cause) + ".** " + map[Cause]func(Standing) string{
		JobFailed: describeFailed, ConfirmationRequired: describeAsking, UpdateOverdue: describeOverdue}[i.Cause](s)
}

func describeRecovery(c Cause) string {
	switch c {
	case JobFailed:
		return "An update has completed that makes up for what failed."
	case ConfirmationRequired:
		return "No update waits for an answer any more."
	}
	return "An update has completed."
}

func describeFailed(s Standing) string {
	jobs := s.UncoveredJobs()
	told := ""
	return countJobs(len(jobs), "has failed and is", "have failed and are") +
		" not tried again. Do what the message says, then choose Retry on JOBS; the schedule goes on.\n" +
		listJobs(jobs, func(j job.Job) string {
			reason := ": " + quoteReason(j.Message)
			if j.Message == told {
				reason = " for the same reason"
			}
			told = j.Message
			return "failed " + formatTime(timeOr(j.DateFailed, j.DateQueued)) + reason
		})
}

func describeAsking(s Standing) string {
	return countJobs(len(s.Asking), "wants", "want") + " to retire unusually many objects and " +
		map[bool]string{true: "asks", false: "ask"}[len(s.Asking) == 1] +
		" first. Look at what changed in ThreatConnect, then confirm or dismiss it on JOBS.\n" +
		listJobs(s.Asking, func(j job.Job) string {
			return fmt.Sprintf("asks since %s about %d objects", formatTime(timeOr(j.DateCompleted, j.DateQueued)), j.Question())
		})
}

func describeOverdue(s Standing) string {
	last := "None has ever completed."
	if !s.Completed.IsZero() {
		last = "The last one completed " + formatTime(s.Completed) + "."
	}
	reason := ""
	if s.Reason != "" {
		reason = ": " + quoteReason(s.Reason)
	}
	return fmt.Sprintf("An update is wanted since %s, and none has completed for two schedule intervals (of %.0f hours). %s "+
		"Look at JOBS and TASKS%s.", formatTime(s.Wanted), s.Interval.Hours(), last, reason)
}

func countJobs(n int, one, many string) string {
	if n == 1 {
		return "1 update " + one
	}
	return fmt.Sprintf("%d updates %s", n, many)
}

// listJobs lists the first jobs, and says how many there are more.
func listJobs(jobs []job.Job, describe func(job.Job) string) string {
	var lines []string
	for _, j := range jobs[:min(len(jobs), maxListed)] {
		line := fmt.Sprintf("\n* %s update `%s` (%s), %s", text.Capital(string(j.Mode)), j.RequestID, j.Type, describe(j))
		lines = append(lines, line)
	}
	if more := len(jobs) - maxListed; more > 0 {
		lines = append(lines, fmt.Sprintf("\n* and %d more", more))
	}
	return strings.Join(lines, "")
}

func timeOr(t *time.Time, otherwise time.Time) time.Time {
	if t == nil {
		return otherwise
	}
	return *t
}

func formatTime(t time.Time) string { return t.UTC().Format("2006-01-02 15:04 UTC") }

// quoteReason makes a job's message fit to stand in Markdown: as code, where nothing in it is a link or a picture.
func quoteReason(message string) string {
	return "`" + hideQuoted(text.Line(message, maxReason)) + "`"
}

// quoted is a part in quotation marks: a query or a value, as ThreatConnect repeats it. An apostrophe in a word begins
// none.
var quoted = regexp.MustCompile(`"[^"]*("|$)|(^|[^\pL\pN])'[^']*('|$)`)

// hideQuoted leaves out what stands in quotation marks, and what would end the code in which the rest stands.
func hideQuoted(message string) string {
	message = quoted.ReplaceAllStringFunc(message, func(part string) string {
		if before, _, apostrophe := strings.Cut(part, "'"); apostrophe && !strings.HasPrefix(part, `"`) {
			return before + "'…'"
		}
		return `"…"`
	})
	return strings.ReplaceAll(message, "`", "'")
}
