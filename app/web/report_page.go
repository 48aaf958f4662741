package web

import (
	"net/http"
	"net/url"
	"strconv"

	"github.com/labstack/echo/v4"

	"mssentinel/app/job"
	"mssentinel/templates"
)

// reportPage shows the list of errors, or with an id one of them.
func (s *server) reportPage(c echo.Context) error {
	if id := c.QueryParam("id"); id != "" {
		return s.problemPage(c, id)
	}
	filter, err := problemFilter(c)
	if err != nil {
		return err
	}
	filter.Limit = pageSize
	problems, total, err := s.Store.Problems(c.Request().Context(), filter)
	if err != nil {
		return err
	}
	params := url.Values{}
	for name, value := range map[string]string{"request_id": filter.RequestID, "step": string(filter.Step), "code": string(filter.Code), "text": filter.Text} {
		if value != "" {
			params.Set(name, value)
		}
	}
	if len(problems) == 0 && filter.Offset > 0 { // there are fewer by now
		return seeOther(c, address("report", params))
	}
	view := templates.Report{
		Frame: s.frame(c, "REPORT", "report"), RequestID: filter.RequestID, Code: string(filter.Code), Text: filter.Text,
		Steps: append([]templates.Choice{{Value: "", Label: "All", Chosen: filter.Step == ""}}, choices(steps, one(string(filter.Step)))...),
		Pager: pager("report", params, filter.Offset, filter.Limit, len(problems), total), Filtered: len(params) > 0,
	}
	for _, p := range problems {
		view.Problems = append(view.Problems, problemRow(p))
	}
	return render(c, http.StatusOK, templates.ReportPage(view))
}

func problemRow(p job.Problem) templates.Problem {
	return templates.Problem{ID: p.ID, RequestID: p.RequestID, Step: string(p.Step), Code: string(p.Code), Message: p.Message,
		Raw: indent([]byte(p.Raw)), Added: p.DateAdded, Note: p.Note}
}

func (s *server) problemPage(c echo.Context, text string) error {
	id, err := strconv.ParseInt(text, 10, 64)
	if err != nil {
		return fault(http.StatusNotFound, "There is no error %q. It may have been cleaned up; reload the list.", text)
	}
	p, err := s.Store.Problem(c.Request().Context(), id)
	if err != nil {
		return err
	}
	return render(c, http.StatusOK, templates.ErrorDetails(templates.ProblemPage{
		Frame: s.frame(c, "Error Details", "report"), Problem: problemRow(p)}))
}
