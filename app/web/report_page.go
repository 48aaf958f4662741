package web

import (
	"context"
	"fmt"
	"maps"
	"net/http"
	"net/url"
	"slices"
	"strconv"
	"strings"
	"time"

	"github.com/labstack/echo/v4"

	"mssentinel/app/job"
	"mssentinel/app/store"
	"mssentinel/app/text"
	"mssentinel/templates"
)

// showReport shows the list of errors, or with an id one of them.
func (s *server) showReport(c echo.Context) error {
	if id := c.QueryParam("id"); id != "" {
		return s.showProblem(c, id)
	}
	filter, err := readProblemFilter(c)
	if err != nil {
		return err
	}
	filter.Limit = pageSize
	ctx := c.Request().Context()
	groups, newest, err := s.Store.ProblemGroups(ctx, withoutKind(filter))
	if err != nil {
		return err
	}
	total, retriable := sumGroups(groups, filter)
	params := problemParams(filter)
	if int64(filter.Offset) >= total && filter.Offset > 0 { // there are fewer by now
		return seeOther(c, pageURL("report", params))
	}
	problems, err := s.readProblems(ctx, filter, total)
	if err != nil {
		return err
	}
	view := templates.Report{
		Frame:     s.newFrame(c, "REPORT", "report"),
		RequestID: filter.RequestID, Text: filter.Text, Owner: filter.Owner,
		Steps: optionalChoices("All", job.Steps, filter.Step), Codes: codeChoices(groups, filter.Code), Types: typeChoices(groups, filter.Type),
		Severities: severityChoices(filter.Severity), Filtered: len(params) > 0, Groups: groupRows(groups, filter, params),
		Here:  withOffset(params, filter.Offset).Encode(),
		Pager: newPager("report", params, filter.Offset, len(problems), total),
		CSV:   exportLinks("csv", csvLines, params, newest, total), JSON: exportLinks("json", jsonLines, params, newest, total),
	}
	if len(problems) == 0 && !view.Filtered {
		last, found, err := s.Store.LastEnded(ctx)
		if err != nil {
			return err
		}
		view.Empty = describeNoErrors(last, found)
		if view.Next, err = s.readNextStep(ctx); err != nil {
			return err
		}
	}
	for _, p := range problems {
		view.Problems = append(view.Problems, s.problemRow(p))
	}
	view.Retriable, view.RetryLink = retriable, pageURL("report", withAsk(params, "retry"))
	if c.QueryParam("ask") == "retry" && view.Retriable > 0 {
		view.Ask = askRetry(view.Retriable, params)
	}
	return renderPage(c, http.StatusOK, templates.ReportPage(view))
}

// sumGroups is how many lines a filter selects, and how many of them can be retried. The groups are of the filter without its kind: all
// that is counted is counted in one go, however long the list is.
func sumGroups(groups []store.ProblemGroup, f store.ProblemFilter) (total, retriable int64) {
	for _, g := range groups {
		if (f.Step == "" || g.Step == f.Step) && (f.Code == "" || strings.EqualFold(string(g.Code), string(f.Code))) &&
			(f.Type == "" || strings.EqualFold(g.Type, f.Type)) && (f.Severity == "" || severityName(g.Note) == f.Severity) {
			total, retriable = total+g.Count, retriable+g.Retriable
		}
	}
	return total, retriable
}

// readProblems gives the lines of a page of REPORT, where the filter selects total of them.
func (s *server) readProblems(ctx context.Context, f store.ProblemFilter, total int64) (problems []job.Problem, err error) {
	if total == 0 { // which has looked at every line already
		return nil, nil
	}
	f.Total = total
	err = s.Store.EachProblem(ctx, f, f.Limit, func(p job.Problem) error {
		problems = append(problems, p)
		return nil
	})
	return problems, err
}

func withAsk(params url.Values, what string) url.Values {
	params = maps.Clone(params)
	params.Set("ask", what)
	return params
}

// askRetry asks before lines are retried.
func askRetry(lines int64, params url.Values) *templates.Question {
	q := &templates.Question{Title: "Retry", Button: "Retry", Action: pageURL("report", params), Back: pageURL("report", params) + "#retry",
		Text: []string{fmt.Sprintf("What fits the filters, %s, leaves this list. A delta update asks ThreatConnect for the indicators behind them, and sends what they give. "+
			"What fails again is listed again.", templates.Amount(min(lines, store.MaxRetried), "line", "lines"))},
		Fields: []templates.Field{{Name: "action", Value: "retry"}}}
	if lines > store.MaxRetried {
		q.Text = append(q.Text, "These are the newest; retry again for the rest.")
	}
	return q
}

// submitReportForm takes the answer of a window on REPORT. The filters are those of its address.
func (s *server) submitReportForm(c echo.Context) error {
	if formValue(c, "action") != "retry" {
		return httpErrorf(http.StatusBadRequest, "REPORT has no such button. Reload the page.")
	}
	filter, err := readProblemFilter(c)
	if err != nil {
		return err
	}
	j, _, err := s.Pipeline.RetryProblems(c.Request().Context(), filter)
	if err != nil {
		return explainRetry(err)
	}
	return seeOther(c, pageURL("jobs", url.Values{"id": {j.RequestID}, "done": {"retried"}}))
}

// withoutKind is the filter without what the groups tell apart, so that the others can be chosen as well.
func withoutKind(f store.ProblemFilter) store.ProblemFilter {
	f.Step, f.Code, f.Type, f.Severity = "", "", "", ""
	return f
}

// groupRows are the kinds of lines, with what to do about each.
func groupRows(groups []store.ProblemGroup, f store.ProblemFilter, params url.Values) []templates.ProblemGroup {
	rows := make([]templates.ProblemGroup, 0, len(groups))
	for _, g := range groups {
		link := maps.Clone(params)
		for name, value := range map[string]string{"step": string(g.Step), "code": string(g.Code), "type": g.Type, "severity": string(severityName(g.Note))} {
			link.Set(name, value)
			if value == "" {
				link.Del(name)
			}
		}
		rows = append(rows, templates.ProblemGroup{Step: string(g.Step), Code: string(g.Code), Type: g.Type, Note: g.Note, Count: g.Count, Newest: g.Newest,
			Remedy: remedies[g.Code], Link: pageURL("report", link),
			Chosen: f.Code == g.Code && f.Step == g.Step && f.Type == g.Type && f.Severity == severityName(g.Note)})
	}
	return rows
}

func severityName(note bool) store.Severity {
	if note {
		return store.Notes
	}
	return store.Errors
}

func severityChoices(chosen store.Severity) []templates.Choice {
	return []templates.Choice{{Label: "All", Chosen: chosen == ""}, {Value: string(store.Errors), Label: "Errors", Chosen: chosen == store.Errors},
		{Value: string(store.Notes), Label: "Notes", Chosen: chosen == store.Notes}}
}

// codeChoices are the codes that there are, with how often each comes.
func codeChoices(groups []store.ProblemGroup, chosen job.Code) []templates.Choice {
	counts := map[string]int64{}
	for _, g := range groups {
		counts[string(g.Code)] += g.Count
	}
	return countedChoices(counts, string(chosen))
}

func typeChoices(groups []store.ProblemGroup, chosen string) []templates.Choice {
	counts := map[string]int64{}
	for _, g := range groups {
		if g.Type != "" {
			counts[g.Type] += g.Count
		}
	}
	return countedChoices(counts, chosen)
}

// countedChoices lists names with their counts, in order. What is chosen is among them, however it is written.
func countedChoices(counts map[string]int64, chosen string) []templates.Choice {
	names := slices.Sorted(maps.Keys(counts))
	for _, name := range names {
		if strings.EqualFold(name, chosen) {
			chosen = name
		}
	}
	choices := optionalChoices("All", names, chosen)
	for i := range choices {
		if n, counted := counts[choices[i].Value]; counted {
			choices[i].Label = fmt.Sprintf("%s (%s)", choices[i].Label, templates.Number(n))
		}
	}
	return choices
}

// describeNoErrors says what it means that no error is kept: that all is well only where the last update was complete.
func describeNoErrors(last job.Job, found bool) string {
	switch {
	case !found:
		return "No errors yet, since no update has ended yet."
	case last.WasComplete() && !last.Ranged:
		return "No errors. Everything that the queries returned could be sent."
	case last.WasComplete():
		return "No errors. The last update was one for a range; JOBS lists those before it."
	}
	return "No error is kept here, but the last update was not complete (" + string(last.Status) + "). JOBS says what became of it."
}

// problemParams are the parameters that make a page filter by f.
func problemParams(f store.ProblemFilter) url.Values {
	params := url.Values{}
	for name, value := range map[string]string{
		"request_id": f.RequestID, "step": string(f.Step), "code": string(f.Code), "type": f.Type, "owner": f.Owner,
		"severity": string(f.Severity), "since": formatInstant(f.Since), "before": formatInstant(f.Before), "text": f.Text,
	} {
		if value != "" {
			params.Set(name, value)
		}
	}
	return params
}

// formatInstant is "" for the zero time.
func formatInstant(t time.Time) string {
	if t.IsZero() {
		return ""
	}
	return t.UTC().Format(time.RFC3339)
}

// problemRow is a line of REPORT.
func (s *server) problemRow(p job.Problem) templates.Problem {
	row := templates.Problem{ID: p.ID, RequestID: p.RequestID, Step: string(p.Step), Code: string(p.Code), Message: text.Capital(p.Message),
		Raw: indentJSON([]byte(p.Raw)), Added: p.DateAdded, Note: p.Note, Value: p.Value, Type: p.Type, Owner: p.Owner, Remedy: remedies[p.Code]}
	if p.Indicator != 0 {
		row.Indicator = s.indicatorLink(p.Indicator)
		row.LookUp = pageURL("indicator", url.Values{"value": {row.Indicator.Text}})
	}
	return row
}

// showProblem shows one line of REPORT with the object concerned. id is as the address has it.
func (s *server) showProblem(c echo.Context, id string) error {
	number, err := strconv.ParseInt(id, 10, 64)
	if err != nil {
		return httpErrorf(http.StatusNotFound,
			"There is no error %s. It may have been cleaned up; reload the list.", quoteValue(id))
	}
	p, err := s.Store.Problem(c.Request().Context(), number)
	if err != nil {
		return err
	}
	return renderPage(c, http.StatusOK, templates.ErrorDetails(templates.ProblemPage{
		Frame: s.newFrame(c, "Error Details", "report"), Problem: s.problemRow(p), List: listURL("report", c.QueryParam("list"))}))
}
