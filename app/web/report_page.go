package web

import (
	"net/http"
	"net/url"
	"strconv"

	"github.com/labstack/echo/v4"

	"mssentinel/app/job"
	"mssentinel/app/store"
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
	problems, total, err := s.Store.Problems(c.Request().Context(), filter)
	if err != nil {
		return err
	}
	params := problemParams(filter)
	if len(problems) == 0 && filter.Offset > 0 { // there are fewer by now
		return seeOther(c, pageURL("report", params))
	}
	view := templates.Report{
		Frame:     s.newFrame(c, "REPORT", "report"),
		RequestID: filter.RequestID, Code: string(filter.Code), Text: filter.Text,
		Steps: optionalChoices("All", job.Steps, filter.Step), Filtered: len(params) > 0,
		Pager: newPager("report", params, filter.Offset, len(problems), total),
	}
	for _, p := range problems {
		view.Problems = append(view.Problems, problemRow(p))
	}
	return renderPage(c, http.StatusOK, templates.ReportPage(view))
}

// problemParams are the parameters that make a page filter by f.
func problemParams(f store.ProblemFilter) url.Values {
	params := url.Values{}
	for name, value := range map[string]string{
		"request_id": f.RequestID, "step": string(f.Step), "code": string(f.Code), "text": f.Text,
	} {
		if value != "" {
			params.Set(name, value)
		}
	}
	return params
}

// problemRow is a line of REPORT.
func problemRow(p job.Problem) templates.Problem {
	return templates.Problem{ID: p.ID, RequestID: p.RequestID, Step: string(p.Step), Code: string(p.Code),
		Message: p.Message, Raw: indentJSON([]byte(p.Raw)), Added: p.DateAdded, Note: p.Note}
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
		Frame: s.newFrame(c, "Error Details", "report"), Problem: problemRow(p)}))
}
