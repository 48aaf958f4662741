package web

import (
	"context"
	"crypto/rand"
	"errors"
	"fmt"
	"maps"
	"net/http"
	"net/url"
	"slices"
	"strings"
	"sync"
	"time"

	"github.com/labstack/echo/v4"

	"mssentinel/app/job"
	"mssentinel/app/store"
	"mssentinel/app/text"
	"mssentinel/templates"
)

// showJobs shows the list of jobs, or with an id one of them.
func (s *server) showJobs(c echo.Context) error {
	if id := c.QueryParam("id"); id != "" {
		return s.showJob(c, id)
	}
	return s.showJobList(c, http.StatusOK, nil)
}

// showJobList shows the list of jobs, with a window that asks something before it: ask, or what the address wants.
func (s *server) showJobList(c echo.Context, status int, ask *templates.Question) error {
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
	verified, err := s.lastVerified(ctx)
	if err != nil {
		return err
	}
	last, _, err := s.Store.LastEnded(ctx)
	if err != nil {
		return err
	}
	params := jobParams(filter)
	here := withOffset(params, filter.Offset)
	if ask == nil {
		if ask, err = s.askList(c, here); err != nil {
			return err
		}
	}
	if len(jobs) == 0 && filter.Offset > 0 { // there are fewer by now
		return seeOther(c, pageURL("jobs", params))
	}
	view := templates.Jobs{
		Frame: s.newFrame(c, "JOBS", "jobs"), Self: pageURL("jobs", here), Here: here.Encode(),
		Statuses: newChoices(job.Statuses, chosen...),
		Pager:    newPager("jobs", params, filter.Offset, len(jobs), total), Progress: s.jobProgress(),
		Leftover: s.Pipeline.Progress().Leftover, Ended: describeEnd(last), NothingToRun: nothing, Paused: s.pausedTasks(), Verified: verified, Ask: ask,
	}
	showFilter(&view, filter, params)
	if len(jobs) == 0 {
		if view.Next, err = s.readNextStep(ctx); err != nil {
			return err
		}
	}
	for _, j := range jobs {
		view.Jobs = append(view.Jobs, jobRow(j))
	}
	return renderPage(c, status, templates.JobsPage(view))
}

// showFilter fills in what is filtered by, but for the statuses.
func showFilter(view *templates.Jobs, f store.JobFilter, params url.Values) {
	view.RequestID, view.Filtered, view.OnlyParams = f.RequestID, len(params) > 0, withoutParam(params, "status").Encode()
	view.Types, view.Kinds = typeFilter(f.Type), kindFilter(kindOf(f))
	view.Since, view.Before = inputInstant(f.Since), inputInstant(f.Before)
}

func typeFilter(chosen job.Type) []templates.Choice {
	choices := optionalChoices("All", []job.Type{job.Scheduled, job.AdHoc}, chosen)
	for i := range choices[1:] {
		choices[i+1].Label = typeLabel(job.Type(choices[i+1].Value))
	}
	return choices
}

func kindFilter(chosen string) []templates.Choice {
	choices := optionalChoices("All", updateKinds, chosen)
	for i := range choices[1:] {
		choices[i+1].Label = modeLabel(job.Job{Mode: job.Mode(choices[i+1].Value), Ranged: choices[i+1].Value == rangeRun})
	}
	return choices
}

// inputInstant is an instant as a field for times takes it, "" for the zero time.
func inputInstant(t time.Time) string {
	if t.IsZero() {
		return ""
	}
	return strings.TrimSuffix(t.UTC().Format("2006-01-02T15:04:05"), ":00")
}

// withoutParam is a copy of params that lacks one.
func withoutParam(params url.Values, name string) url.Values {
	params = maps.Clone(params)
	params.Del(name)
	return params
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
	for name, value := range map[string]string{"job_type": string(f.Type), "kind": kindOf(f), "since": formatInstant(f.Since), "before": formatInstant(f.Before)} {
		if value != "" {
			params.Set(name, value)
		}
	}
	return params
}

// listParams are the parameters that make up a list, by its page.
var listParams = map[string][]string{
	"jobs":   {"request_id", "status", "job_type", "kind", "since", "before", "offset"},
	"report": {"request_id", "step", "code", "type", "owner", "severity", "since", "before", "text", "offset"},
}

// listURL leads to the list of a page with the filters and the place that encoded has; what else it has is left out.
func listURL(page, encoded string) string {
	all, err := url.ParseQuery(encoded)
	if err != nil {
		return page
	}
	maps.DeleteFunc(all, func(name string, _ []string) bool { return !slices.Contains(listParams[page], name) })
	return pageURL(page, all)
}

// askList asks what the address of the list wants, over the list as it is; nil when it wants nothing.
func (s *server) askList(c echo.Context, here url.Values) (*templates.Question, error) {
	action, ctx := c.QueryParam("ask"), c.Request().Context()
	if action == "run" {
		return s.askRun(ctx, c.QueryParam("mode"), here)
	}
	id := c.QueryParam("job")
	if action == "" || id == "" {
		return nil, nil
	}
	j, err := s.Store.Job(ctx, id)
	if errors.Is(err, store.ErrNotFound) { // cleaned up meanwhile
		return nil, nil
	}
	if err != nil {
		return nil, err
	}
	asked, err := s.askedAbout(ctx, j)
	if err != nil {
		return nil, err
	}
	return askJob(action, jobRow(j), asked, pageURL("jobs", here)), nil
}

// askRun asks before a job is started by hand; nil for a mode that there is not.
func (s *server) askRun(ctx context.Context, mode string, here url.Values) (*templates.Question, error) {
	question, known := runQuestions[job.Mode(mode)]
	switch {
	case mode == rangeRun:
		return askRange("", "", "", here), nil
	case !known:
		return nil, nil
	}
	q := &templates.Question{
		Title: question.title, Text: []string{question.text}, Button: question.title,
		Action: pageURL("jobs", here), Back: pageURL("jobs", here) + "#run-" + mode,
		Fields: []templates.Field{{Name: "action", Value: "run"}, {Name: "mode", Value: mode}, {Name: "once", Value: rand.Text()}},
	}
	warning, err := s.describeOpenJob(ctx, job.Mode(mode))
	if warning != "" {
		q.Text, q.Danger = append(q.Text, warning), true
	}
	return q, err
}

// describeOpenJob says that an update of a mode runs or waits already, "" where none does.
func (s *server) describeOpenJob(ctx context.Context, mode job.Mode) (string, error) {
	open, _, err := s.Store.Jobs(ctx, store.JobFilter{Mode: mode, Statuses: append([]job.Status{job.Pending}, job.ActiveStatuses...), Limit: maxLimit})
	if err != nil {
		return "", err
	}
	name, running := strings.ToLower(updateTitle(mode, false)), ""
	for _, j := range open {
		switch {
		case j.Status == job.Pending && j.Type == job.AdHoc && j.Attempt == 0:
			return fmt.Sprintf("A %s that was asked for waits already: asking again changes nothing.", name), nil
		case j.Status == job.Pending:
			running = fmt.Sprintf("A %s waits already for its next attempt: this one comes on top of it.", name)
		case j.DateStarted != nil && running == "":
			running = fmt.Sprintf("A %s runs already, since %s: this one begins when that has ended.", name, templates.Instant(*j.DateStarted))
		}
	}
	return running, nil
}

// rangeRun stands for a delta update for a range in the address of its window.
const rangeRun = "range"

// askRange asks for which range a delta update shall be; from and to are as they were typed, fault is what is wrong with
// them.
func askRange(from, to, fault string, here url.Values) *templates.Question {
	return &templates.Question{
		Title: "Run Range",
		Text: []string{"Sends what was modified in ThreatConnect between two times, UTC, as a delta update does. " +
			"The next scheduled update is the same as without it, and nothing is retired."},
		Fault: fault,
		Inputs: []templates.Input{
			{ID: "range-from", Name: "from", Label: "Modified from", Value: from},
			{ID: "range-to", Name: "to", Label: "until, not included", Value: to},
		},
		Button: "Run Range", Action: pageURL("jobs", here), Back: pageURL("jobs", here) + "#run-" + rangeRun,
		Fields: []templates.Field{{Name: "action", Value: "run"}, {Name: "mode", Value: rangeRun}, {Name: "once", Value: rand.Text()}},
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
	if c.QueryParam("id") != "" {
		here := jobAddress(c, id)
		here.Set("done", action)
		return seeOther(c, pageURL("jobs", here))
	}
	return s.returnToList(c, action, true)
}

// returnToList leads to the list that the address has, on its page or on the first one, and says what was done.
func (s *server) returnToList(c echo.Context, done string, samePage bool) error {
	here := readHere(c)
	if !samePage {
		here.Del("offset")
	}
	here.Set("done", done)
	return seeOther(c, pageURL("jobs", here))
}

// readHere are the filters and the place of the list in the address, none where one is not understood.
func readHere(c echo.Context) url.Values {
	filter, err := readJobFilter(c)
	if err != nil {
		return url.Values{}
	}
	return withOffset(jobParams(filter), filter.Offset)
}

// answeredForms knows which questions were answered: one that is sent twice, by a double click, is carried out once.
type answeredForms struct {
	mu    sync.Mutex
	known []string
}

// maxAnswered bounds how many answers are remembered.
const maxAnswered = 1000

// take says whether the answer of this name comes for the first time. One without a name always does.
func (a *answeredForms) take(once string) bool {
	a.mu.Lock()
	defer a.mu.Unlock()
	once = text.Cut(once, maxQuoted)
	if once == "" {
		return true
	}
	if slices.Contains(a.known, once) {
		return false
	}
	a.known = append(a.known[max(0, len(a.known)+1-maxAnswered):], once)
	return true
}

// release forgets an answer that could not be carried out.
func (a *answeredForms) release(once string) {
	a.mu.Lock()
	defer a.mu.Unlock()
	a.known = slices.DeleteFunc(a.known, func(known string) bool { return known == once })
}

// submitRunForm takes the answer of a window that asks before a job is started. A range that is none is asked for again.
func (s *server) submitRunForm(c echo.Context) error {
	mode, from, to := formValue(c, "mode"), "", ""
	ranged := mode == rangeRun
	if ranged {
		mode, from, to = string(job.Delta), strings.TrimSpace(formValue(c, "from")), strings.TrimSpace(formValue(c, "to"))
	}
	request, err := readRequest(job.Mode(mode), from, to)
	if ranged && err == nil && !request.HasRange() {
		err = httpErrorf(http.StatusBadRequest, "Say from when until when.")
	}
	var fault *echo.HTTPError
	if ranged && errors.As(err, &fault) {
		return s.showJobList(c, fault.Code, askRange(text.Cut(from, maxQuoted), text.Cut(to, maxQuoted), fmt.Sprint(fault.Message), readHere(c)))
	}
	if err != nil {
		return err
	}
	if once := formValue(c, "once"); s.answered.take(once) {
		if _, err := s.Pipeline.Submit(c.Request().Context(), request); err != nil {
			s.answered.release(once)
			return err
		}
	}
	return s.returnToList(c, "submitted", false) // the job is the first of the list
}
