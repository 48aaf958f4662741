package web

import (
	"context"
	"fmt"
	"net/http"
	"net/url"
	"slices"
	"time"

	"github.com/labstack/echo/v4"

	"mssentinel/app/job"
	"mssentinel/app/text"
	"mssentinel/templates"
)

// showJob shows one job with all that is known of it.
func (s *server) showJob(c echo.Context, id string) error {
	ctx := c.Request().Context()
	j, err := s.Store.Job(ctx, id)
	if err != nil {
		return err
	}
	details, err := s.jobDetails(ctx, id)
	if err != nil {
		return err
	}
	view := templates.JobPage{
		Frame: s.newFrame(c, "Job Details", "jobs"), Self: pageURL("jobs", url.Values{"id": {id}}),
		Job: jobRow(j), Facts: jobFacts(j), Details: details,
	}
	if p := s.jobProgress(); p != nil && p.RequestID == id {
		view.Progress = p
	}
	if view.Job.CanCancel { // it waits or runs
		view.Paused = s.pausedTasks()
	}
	view.Ask = askJob(c.QueryParam("ask"), view.Job)
	return renderPage(c, http.StatusOK, templates.JobDetails(view))
}

// jobRow is a job's line on JOBS.
func jobRow(j job.Job) templates.Job {
	row := templates.Job{
		RequestID: j.RequestID, Type: typeLabel(j.Type), Mode: modeLabel(j.Mode),
		Status: string(j.Status), Message: j.Message,
		Started: j.DateStarted, Ended: j.DateCompleted, Downloaded: j.Downloaded, Uploaded: j.Uploaded,
		Retired: j.Retired, Errors: j.Invalid + j.Rejected + j.OtherErrors, Held: j.Question(),
		CanCancel:   j.Status.MayCancel(),
		CanRetry:    j.Status.MayRetry(),
		NeedsAnswer: j.Status == job.ConfirmationRequired,
	}
	if row.Ended == nil {
		row.Ended = j.DateFailed
	}
	if j.Status == job.Pending {
		row.RetryAfter = j.RetryAfter
	}
	return row
}

func typeLabel(t job.Type) string {
	if t == job.AdHoc {
		return "Ad-Hoc"
	}
	return "Scheduled"
}

func modeLabel(m job.Mode) string { return text.Capital(string(m)) }

// jobProgress shows how far the running job is; nil when none runs.
func (s *server) jobProgress() *templates.Progress {
	p := s.Pipeline.Progress()
	if p.RequestID == "" {
		return nil
	}
	convert := templates.Bar{Label: "Convert", Unit: "objects made", Value: p.Converted}
	if p.Stage == "Upload" { // only then it is known how many objects the indicators give
		convert.Max = p.Converted
	}
	view := &templates.Progress{RequestID: p.RequestID, Stage: p.Stage, Rate: p.Rate, Remaining: p.Remaining,
		Bars: []templates.Bar{
			{Label: "Download", Unit: "indicators", Value: p.Downloaded, Max: max(p.Expected, p.Downloaded)},
			convert,
			{Label: "Upload", Unit: "objects", Value: p.Uploaded, Max: max(p.Queued, p.Uploaded)},
		}}
	switch left := time.Until(p.WaitUntil); {
	case p.WaitUntil.IsZero():
		view.Wait = p.WaitReason
	case left > 0:
		view.Wait = fmt.Sprintf("%s Next request in %s.", text.Sentence(p.WaitReason), templates.Duration(left))
	default:
		view.Wait = text.Sentence(p.WaitReason) + " The next request is under way."
	}
	if len(s.pausedTasks()) > 0 {
		view.Remaining = 0
	}
	return view
}

// pausedTasks names the tasks that jobs pass through and that are paused.
func (s *server) pausedTasks() []string {
	var names []string
	for _, t := range s.Pipeline.Tasks() {
		if t.Paused && slices.Contains([]string{"download", "convert", "upload"}, t.Slug) {
			names = append(names, t.Name)
		}
	}
	return names
}

// maxLabel bounds in bytes what is shown of a TQL where it only names a query.
const maxLabel = 63

// jobDetails are the counts by query and type. They name the queries by their place in today's list.
func (s *server) jobDetails(ctx context.Context, id string) ([]templates.Detail, error) {
	details, err := s.Store.JobDetails(ctx, id)
	if err != nil {
		return nil, err
	}
	queries, _, err := s.Store.Queries(ctx)
	if err != nil {
		return nil, err
	}
	labels := map[string]string{}
	for i, q := range queries {
		labels[q.ID] = fmt.Sprintf("%d: %s", i+1, text.Cut(q.TQL, maxLabel))
	}
	rows := make([]templates.Detail, 0, len(details))
	for _, d := range details {
		label, saved := labels[d.QueryID]
		if !saved {
			label = "a query that was deleted"
		}
		rows = append(rows, templates.Detail{Query: label, Type: d.Type, Downloaded: d.Downloaded, Invalid: d.Invalid,
			Duplicate: d.Duplicate, Unchanged: d.Unchanged, Queued: d.Queued, Uploaded: d.Uploaded,
			Rejected: d.Rejected, Retired: d.Retired})
	}
	return rows, nil
}

// jobFacts lists what is known of a job; what is not there yet is left out.
func jobFacts(j job.Job) []templates.Fact {
	facts := []templates.Fact{{Label: "Job Type", Value: typeLabel(j.Type)},
		{Label: "Update", Value: modeLabel(j.Mode)}, {Label: "Date Queued", Time: &j.DateQueued}}
	addTime := func(label string, t *time.Time) {
		if t != nil {
			facts = append(facts, templates.Fact{Label: label, Time: t})
		}
	}
	addRuntime := func(label string, from, to *time.Time) {
		if from != nil && to != nil {
			facts = append(facts, templates.Fact{Label: label, Value: templates.Duration(to.Sub(*from))})
		}
	}
	addTime("Modified From", j.WindowStart)
	addTime("Modified Before", j.WindowEnd)
	addTime("Date Started", j.DateStarted)
	addTime("Date Download Start", j.DateDownloadStart)
	addTime("Date Download Complete", j.DateDownloadComplete)
	addRuntime("Download Runtime", j.DateDownloadStart, j.DateDownloadComplete)
	addTime("Date Convert Start", j.DateConvertStart)
	addTime("Date Convert Complete", j.DateConvertComplete)
	addRuntime("Convert Runtime", j.DateConvertStart, j.DateConvertComplete)
	addTime("Date Upload Start", j.DateUploadStart)
	addTime("Date Upload Complete", j.DateUploadComplete)
	addRuntime("Upload Runtime", j.DateUploadStart, j.DateUploadComplete)
	addTime("Date Completed", j.DateCompleted)
	addRuntime("Total Runtime", j.DateStarted, j.DateCompleted)
	addTime("Date Failed", j.DateFailed)
	return append(facts, countFacts(j)...)
}

// countFacts lists what a job counted.
func countFacts(j job.Job) []templates.Fact {
	counts := []struct {
		label string
		n     int64
	}{
		{"Total Retries", int64(j.FailureCount)},
		{"Count Downloaded", j.Downloaded}, {"Count Invalid", j.Invalid}, {"Count Duplicate", j.Duplicate},
		{"Count Unchanged", j.Unchanged}, {"Count Queued", j.Queued}, {"Count Uploaded", j.Uploaded},
		{"Count Rejected", j.Rejected}, {"Count Retired", j.Retired}, {"Count Other Errors", j.OtherErrors},
	}
	facts := make([]templates.Fact, 0, len(counts))
	for _, c := range counts {
		facts = append(facts, templates.Fact{Label: c.label, Value: templates.Number(c.n)})
	}
	return facts
}

// askJob asks before a command to a job; nil when the job does not take it now.
func askJob(action string, j templates.Job) *templates.Question {
	q := &templates.Question{Action: "jobs",
		Back:   pageURL("jobs", url.Values{"id": {j.RequestID}}) + "#" + action + "-" + j.RequestID,
		Fields: []templates.Field{{Name: "action", Value: action}, {Name: "id", Value: j.RequestID}}}
	held := templates.Amount(j.Held, "object", "objects")
	switch {
	case action == "cancel" && j.CanCancel:
		q.Title, q.Button, q.Keep, q.Danger = "Cancel Job", "Cancel Job", "Keep the job", true
		q.Text = []string{"The job ends as Cancelled. What Microsoft Sentinel accepted so far stays there; " +
			"the rest comes with a later update."}
	case action == "retry" && j.CanRetry:
		q.Title, q.Button = "Retry Job", "Retry Job"
		q.Text = []string{"The job is queued again under the same Request ID, and repeats its update."}
	case action == "confirm" && j.NeedsAnswer:
		q.Title, q.Button, q.Danger = "Confirm Retirement", "Retire", true
		q.Text = []string{fmt.Sprintf("Retire %s in Microsoft Sentinel? What is retired stops matching "+
			"as soon as that arrives there.", held)}
	case action == "dismiss" && j.NeedsAnswer:
		q.Title, q.Button = "Dismiss Retirement", "Keep the objects"
		q.Text = []string{fmt.Sprintf("Keep %s in Microsoft Sentinel? You are asked again only when the set changes.", held)}
	default:
		return nil
	}
	return q
}
