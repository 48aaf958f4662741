package web

import (
	"context"
	"fmt"
	"net/http"
	"net/url"
	"slices"
	"strconv"
	"time"

	"github.com/labstack/echo/v4"

	"mssentinel/app/job"
	"mssentinel/app/store"
	"mssentinel/templates"
)

// pageSize is how many lines a screen shows at a time.
const pageSize = 20

// jobsPage shows the list of jobs, or with an id one of them.
func (s *server) jobsPage(c echo.Context) error {
	if id := c.QueryParam("id"); id != "" {
		return s.jobPage(c, id)
	}
	filter, err := jobFilter(c)
	if err != nil {
		return err
	}
	filter.Limit = pageSize
	chosen := filter.Statuses
	if len(chosen) == len(job.Statuses) {
		filter.Statuses = nil
	}
	ctx := c.Request().Context()
	jobs, total, err := s.Store.Jobs(ctx, filter)
	if err != nil {
		return err
	}
	idle, err := s.nothingToRun(ctx)
	if err != nil {
		return err
	}
	params := filterParams(filter)
	if len(jobs) == 0 && filter.Offset > 0 { // there are fewer by now
		return seeOther(c, address("jobs", params))
	}
	view := templates.Jobs{
		Frame: s.frame(c, "JOBS", "jobs"), RequestID: filter.RequestID, Statuses: statusChoices(chosen),
		Pager: pager("jobs", params, filter.Offset, filter.Limit, len(jobs), total), Progress: s.progress(),
		Filtered: len(params) > 0, NothingToRun: idle, Paused: s.paused(), Ask: askRun(c),
	}
	view.Self = address("jobs", withOffset(params, filter.Offset))
	for _, j := range jobs {
		view.Jobs = append(view.Jobs, jobRow(j))
	}
	return render(c, http.StatusOK, templates.JobsPage(view))
}

// nothingToRun: there are no queries, and there never was a job whose objects a reconcile would retire.
func (s *server) nothingToRun(ctx context.Context) (bool, error) {
	queries, _, err := s.Store.Queries(ctx)
	if err != nil || len(queries) > 0 {
		return false, err
	}
	_, jobs, err := s.Store.Jobs(ctx, store.JobFilter{Limit: 1})
	return jobs == 0, err
}

func filterParams(f store.JobFilter) url.Values {
	params := url.Values{}
	if f.RequestID != "" {
		params.Set("request_id", f.RequestID)
	}
	for _, status := range f.Statuses {
		params.Add("status", string(status))
	}
	if f.Type != "" {
		params.Set("job_type", string(f.Type))
	}
	return params
}

func withOffset(params url.Values, offset int) url.Values {
	if offset > 0 {
		params.Set("offset", strconv.Itoa(offset))
	}
	return params
}

func statusChoices(chosen []job.Status) []templates.Choice {
	all := make([]templates.Choice, 0, len(job.Statuses))
	for _, status := range job.Statuses {
		all = append(all, templates.Choice{Value: string(status), Label: string(status),
			Chosen: len(chosen) == 0 || slices.Contains(chosen, status)})
	}
	return all
}

// askRun asks before a job is started by hand.
func askRun(c echo.Context) *templates.Question {
	if c.QueryParam("ask") != "run" {
		return nil
	}
	mode := job.Mode(c.QueryParam("mode"))
	texts, known := runTexts[mode]
	if !known {
		return nil
	}
	return &templates.Question{
		Title: texts.title, Text: []string{texts.text}, Action: "jobs", Back: "jobs#run-" + string(mode), Button: texts.title,
		Fields: []templates.Field{{Name: "action", Value: "run"}, {Name: "mode", Value: string(mode)}},
	}
}

type runText struct{ title, text string }

var runTexts = map[job.Mode]runText{
	job.Delta:     {"Run Delta", "Sends what was modified since the Service's last update."},
	job.Full:      {"Run Full", "Sends everything that the queries return again. With many indicators this takes long, because Microsoft Sentinel limits how fast it accepts them."},
	job.Reconcile: {"Reconcile now", "Reads everything that the queries return, sends only what differs from what Microsoft Sentinel holds, and retires what no query selects any more."},
}

func jobRow(j job.Job) templates.Job {
	row := templates.Job{
		RequestID: j.RequestID, Type: jobTypeLabel(j.Type), Mode: modeLabel(j.Mode), Status: string(j.Status), Message: j.Message,
		Started: j.DateStarted, Ended: ended(j), Downloaded: j.Downloaded, Uploaded: j.Uploaded,
		Retired: j.Retired, Errors: j.Invalid + j.Rejected + j.OtherErrors, Held: j.Question(),
		CanCancel:   j.Status == job.Pending || j.Status.Active(),
		CanRetry:    j.Status == job.Failed || j.Status == job.Cancelled,
		NeedsAnswer: j.Status == job.ConfirmationRequired,
	}
	if j.Status == job.Pending {
		row.RetryAfter = j.RetryAfter
	}
	return row
}

func ended(j job.Job) *time.Time {
	if j.DateCompleted != nil {
		return j.DateCompleted
	}
	return j.DateFailed
}

func jobTypeLabel(t job.Type) string {
	if t == job.AdHoc {
		return "Ad-Hoc"
	}
	return "Scheduled"
}

func modeLabel(m job.Mode) string { return capital(string(m)) }

// progress shows how far the running job is; nil when none runs.
func (s *server) progress() *templates.Progress {
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
		view.Wait = fmt.Sprintf("%s, next request in %s", p.WaitReason, templates.Duration(left))
	}
	if len(s.paused()) > 0 {
		view.Remaining = 0
	}
	return view
}

// paused names the tasks that jobs pass through and that are paused.
func (s *server) paused() []string {
	var names []string
	for _, t := range s.Pipeline.Tasks() {
		if t.Paused && slices.Contains([]string{"download", "convert", "upload"}, t.Slug) {
			names = append(names, t.Name)
		}
	}
	return names
}

func (s *server) jobPage(c echo.Context, id string) error {
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
		Frame: s.frame(c, "Job Details", "jobs"), Self: address("jobs", url.Values{"id": {id}}),
		Job: jobRow(j), Facts: jobFacts(j), Details: details,
	}
	if p := s.progress(); p != nil && p.RequestID == id {
		view.Progress = p
	}
	if view.Job.CanCancel { // it waits or runs
		view.Paused = s.paused()
	}
	view.Ask = askJob(c.QueryParam("ask"), view.Job)
	return render(c, http.StatusOK, templates.JobDetails(view))
}

// jobDetails names the queries by their place in today's list.
func (s *server) jobDetails(ctx context.Context, id string) ([]templates.Detail, error) {
	details, err := s.Store.JobDetails(ctx, id)
	if err != nil {
		return nil, err
	}
	queries, _, err := s.Store.Queries(ctx)
	if err != nil {
		return nil, err
	}
	places := map[string]string{}
	for i, q := range queries {
		places[q.ID] = fmt.Sprintf("%d: %s", i+1, shorten(q.TQL, 60))
	}
	rows := make([]templates.Detail, 0, len(details))
	for _, d := range details {
		place, saved := places[d.QueryID]
		if !saved {
			place = "a query that was deleted"
		}
		rows = append(rows, templates.Detail{Query: place, Type: d.Type, Downloaded: d.Downloaded, Invalid: d.Invalid,
			Duplicate: d.Duplicate, Unchanged: d.Unchanged, Queued: d.Queued, Uploaded: d.Uploaded, Rejected: d.Rejected, Retired: d.Retired})
	}
	return rows, nil
}

// shorten cuts a text at n characters.
func shorten(text string, n int) string {
	if runes := []rune(text); len(runes) > n {
		return string(runes[:n]) + "…"
	}
	return text
}

// jobFacts lists what is known of a job; what is not there yet is left out.
func jobFacts(j job.Job) []templates.Fact {
	facts := []templates.Fact{{Label: "Job Type", Value: jobTypeLabel(j.Type)}, {Label: "Update", Value: modeLabel(j.Mode)},
		{Label: "Date Queued", Time: &j.DateQueued}}
	instant := func(label string, t *time.Time) {
		if t != nil {
			facts = append(facts, templates.Fact{Label: label, Time: t})
		}
	}
	runtime := func(label string, from, to *time.Time) {
		if from != nil && to != nil {
			facts = append(facts, templates.Fact{Label: label, Value: templates.Duration(to.Sub(*from))})
		}
	}
	instant("Modified From", j.WindowStart)
	instant("Modified Before", j.WindowEnd)
	instant("Date Started", j.DateStarted)
	instant("Date Download Start", j.DateDownloadStart)
	instant("Date Download Complete", j.DateDownloadComplete)
	runtime("Download Runtime", j.DateDownloadStart, j.DateDownloadComplete)
	instant("Date Convert Start", j.DateConvertStart)
	instant("Date Convert Complete", j.DateConvertComplete)
	runtime("Convert Runtime", j.DateConvertStart, j.DateConvertComplete)
	instant("Date Upload Start", j.DateUploadStart)
	instant("Date Upload Complete", j.DateUploadComplete)
	runtime("Upload Runtime", j.DateUploadStart, j.DateUploadComplete)
	instant("Date Completed", j.DateCompleted)
	runtime("Total Runtime", j.DateStarted, j.DateCompleted)
	instant("Date Failed", j.DateFailed)
	return append(facts, countFacts(j)...)
}

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
	q := &templates.Question{Action: "jobs", Back: address("jobs", url.Values{"id": {j.RequestID}}) + "#" + action + "-" + j.RequestID,
		Fields: []templates.Field{{Name: "action", Value: action}, {Name: "id", Value: j.RequestID}}}
	switch {
	case action == "cancel" && j.CanCancel:
		q.Title, q.Button, q.Keep, q.Danger = "Cancel Job", "Cancel Job", "Keep the job", true
		q.Text = []string{"The job ends as Cancelled. What Microsoft Sentinel accepted so far stays there; the rest comes with a later update."}
	case action == "retry" && j.CanRetry:
		q.Title, q.Button = "Retry Job", "Retry Job"
		q.Text = []string{"The job is queued again under the same Request ID, and repeats its update."}
	case action == "confirm" && j.NeedsAnswer:
		q.Title, q.Button, q.Danger = "Confirm Retirement", "Retire", true
		q.Text = []string{fmt.Sprintf("Retire %s in Microsoft Sentinel? What is retired stops matching as soon as that arrives there.", templates.Amount(j.Held, "object", "objects"))}
	case action == "dismiss" && j.NeedsAnswer:
		q.Title, q.Button = "Dismiss Retirement", "Keep the objects"
		q.Text = []string{fmt.Sprintf("Keep %s in Microsoft Sentinel? You are asked again only when the set changes.", templates.Amount(j.Held, "object", "objects"))}
	default:
		return nil
	}
	return q
}

// jobsAction takes the answer of a window on JOBS.
func (s *server) jobsAction(c echo.Context) error {
	if err := s.requireToken(c); err != nil {
		return err
	}
	ctx, id, action := c.Request().Context(), c.FormValue("id"), c.FormValue("action")
	var err error
	switch action {
	case "run":
		return s.runFromPage(c)
	case "cancel":
		err = s.Pipeline.Cancel(ctx, id)
	case "retry":
		err = s.Pipeline.Retry(ctx, id)
	case "confirm", "dismiss":
		err = s.Pipeline.AnswerRetirement(ctx, id, action == "confirm")
	default:
		err = fault(http.StatusBadRequest, "JOBS has no such button. Reload the page.")
	}
	if err != nil {
		return err
	}
	return seeOther(c, address("jobs", url.Values{"id": {id}, "done": {action}}))
}

func (s *server) runFromPage(c echo.Context) error {
	mode := job.Mode(c.FormValue("mode"))
	if err := checkMode(mode); err != nil {
		return err
	}
	if _, err := s.Pipeline.Submit(c.Request().Context(), mode); err != nil {
		return err
	}
	return seeOther(c, "jobs?done=submitted")
}
