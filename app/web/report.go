package web

import (
	"net/http"
	"strings"
	"time"

	"github.com/labstack/echo/v4"

	"mssentinel/app/job"
	"mssentinel/app/store"
)

// problemView is a line of REPORT. Its id is text, since a browser rounds large numbers; so is the raw object, for the
// ids in it.
type problemView struct {
	ID        int64     `json:"id,string"`
	RequestID string    `json:"request_id"`
	DateAdded time.Time `json:"date_added"`
	Step      job.Step  `json:"step"`
	Code      job.Code  `json:"code"`
	Message   string    `json:"message"`
	Raw       string    `json:"raw"`
	Note      bool      `json:"note"`
}

func (s *server) problems(c echo.Context) error {
	filter, err := problemFilter(c)
	if err != nil {
		return err
	}
	problems, total, err := s.Store.Problems(c.Request().Context(), filter)
	if err != nil {
		return err
	}
	data := make([]problemView, 0, len(problems))
	for _, p := range problems {
		data = append(data, problemView(p))
	}
	return c.JSON(http.StatusOK, map[string]any{"data": data, "count": len(data), "total_count": total})
}

var steps = func() []string {
	names := make([]string, 0, len(job.Steps))
	for _, step := range job.Steps {
		names = append(names, string(step))
	}
	return names
}()

// problemFilter reads which lines are asked for.
func problemFilter(c echo.Context) (store.ProblemFilter, error) {
	offset, limit, err := page(c)
	if err != nil {
		return store.ProblemFilter{}, err
	}
	filter := store.ProblemFilter{RequestID: param(c, "request_id"), Code: job.Code(param(c, "code")), Text: param(c, "text"), Offset: offset, Limit: limit}
	if name := param(c, "step"); name != "" {
		for _, step := range steps {
			if strings.EqualFold(step, name) {
				filter.Step = job.Step(step)
			}
		}
		if filter.Step == "" {
			return filter, fault(http.StatusBadRequest, "There is no step %q: use one of %s.", name, strings.Join(steps, ", "))
		}
	}
	return filter, nil
}

func param(c echo.Context, name string) string { return strings.TrimSpace(c.QueryParam(name)) }
