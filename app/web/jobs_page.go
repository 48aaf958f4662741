package web

import (
	"context"
	"net/http"
	"net/url"

	"github.com/labstack/echo/v4"

	"mssentinel/app/job"
	"mssentinel/app/store"
	"mssentinel/templates"
)

// showJobs shows the list of jobs, or with an id one of them.
func (s *server) showJobs(c echo.Context) error {
	if id := c.QueryParam("id"); id != "" {
		return s.showJob(c, id)
	}
	filter, err := readJobFilter(c)
	if err != nil {
		return err
	}
	filter.Limit = pageSize
	chosen := filter.Statuses
	if len(chosen) == 0 || len(chosen) == len(job.Statuses) { // both mean all of them
		chosen, filter.Statuses = job.Statuses, nil
	}
	ctx := c.Request().Context()
	jobs, total, err := s.Store.Jobs(ctx, filter)
	if err != nil {
		return err
	}
	nothing, err := s.hasNothingToRun(ctx)
	if err != nil {
		return err
	}
	params := jobParams(filter)
	if len(jobs) == 0 && filter.Offset > 0 { // there are fewer by now
		return seeOther(c, pageURL("jobs", params))
	}
	view := templates.Jobs{
		Frame: s.newFrame(c, "JOBS", "jobs"), Self: pageURL("jobs", withOffset(params, filter.Offset)),
		Statuses: newChoices(job.Statuses, chosen...), RequestID: filter.RequestID, Filtered: len(params) > 0,
		Pager: newPager("jobs", params, filter.Offset, len(jobs), total), Progress: s.jobProgress(),
		NothingToRun: nothing, Paused: s.pausedTasks(), Ask: askRun(c),
	}
	for _, j := range jobs {
		view.Jobs = append(view.Jobs, jobRow(j))
	}
	return renderPage(c, http.StatusOK, templates.JobsPage(view))
}

// hasNothingToRun says that there are no queries, and never was a job whose objects a reconcile would retire.
func (s *server) hasNothingToRun(ctx context.Context) (bool, error) {
	queries, _, err := s.Store.Queries(ctx)
	if err != nil || len(queries) > 0 {
		return false, err
	}
	_, jobs, err := s.Store.Jobs(ctx, store.JobFilter{Limit: 1})
	return jobs == 0, err
}

// jobParams are the parameters that make a page filter by f.
func jobParams(f store.JobFilter) url.Values {
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

// askRun asks before a job is started by hand; nil when the address does not want that.
func askRun(c echo.Context) *templates.Question {
	if c.QueryParam("ask") != "run" {
		return nil
	}
	mode := job.Mode(c.QueryParam("mode"))
	question, known := runQuestions[mode]
	if !known {
		return nil
	}
	return &templates.Question{
		Title: question.title, Text: []string{question.text}, Button: question.title,
		Action: "jobs", Back: "jobs#run-" + string(mode),
		Fields: []templates.Field{{Name: "action", Value: "run"}, {Name: "mode", Value: string(mode)}},
	}
}

var runQuestions = map[job.Mode]struct{ title, text string }{
	job.Delta: {"Run Delta", "Sends what was modified since the Service's last update."},
	job.Full: {"Run Full", "Sends everything that the queries return again. " +
		"With many indicators this takes long, because Microsoft Sentinel limits how fast it accepts them."},
	job.Reconcile: {"Reconcile now", "Reads everything that the queries return, sends only what differs from what " +
		"Microsoft Sentinel holds, and retires what no query selects any more."},
}

// submitJobForm takes the answer of a window on JOBS.
func (s *server) submitJobForm(c echo.Context) error {
	ctx, id, action := c.Request().Context(), formValue(c, "id"), formValue(c, "action")
	var err error
	switch action {
	case "run":
		return s.submitRunForm(c)
	case "cancel":
		err = s.Pipeline.Cancel(ctx, id)
	case "retry":
		err = s.Pipeline.Retry(ctx, id)
	case "confirm", "dismiss":
		err = s.Pipeline.AnswerRetirement(ctx, id, action == "confirm")
	default:
		err = httpErrorf(http.StatusBadRequest, "JOBS has no such button. Reload the page.")
	}
	if err != nil {
		return err
	}
	return seeOther(c, pageURL("jobs", url.Values{"id": {id}, "done": {action}}))
}

// submitRunForm takes the answer of a window that asks before a job is started.
func (s *server) submitRunForm(c echo.Context) error {
	mode := job.Mode(formValue(c, "mode"))
	if err := checkMode(mode); err != nil {
		return err
	}
	if _, err := s.Pipeline.Submit(c.Request().Context(), mode); err != nil {
		return err
	}
	return seeOther(c, "jobs?done=submitted")
}
