package web

import (
	"net/http"
	"slices"
	"strings"
	"time"

	"github.com/labstack/echo/v4"

	"mssentinel/app/job"
	"mssentinel/app/store"
	"mssentinel/app/text"
)

// problemView is a line of REPORT as GET api/report/batch-error gives it. Its id is text, since a browser rounds large
// numbers; so is the raw object, for the ids in it.
type problemView struct {
	ID        int64     `json:"id,string"`
	RequestID string    `json:"request_id"`
	DateAdded time.Time `json:"date_added"`
	// Step is Download, Convert or Upload.
	Step    job.Step `json:"step"`
	Code    job.Code `json:"code"`
	Message string   `json:"message"`
	// Raw is the object concerned, as JSON; "" where there is none. It ends in "…" where it is too long.
	Raw string `json:"raw"`
	// Note: the object was sent all the same.
	Note bool `json:"note"`
}

// problemsView is the answer of GET api/report/batch-error, newest first.
type problemsView struct {
	// Count is how many lines Data has, TotalCount how many match the filters.
	Count      int           `json:"count"`
	Data       []problemView `json:"data"`
	TotalCount int64         `json:"total_count"`
}

func (s *server) listProblems(c echo.Context) error {
	filter, err := readProblemFilter(c)
	if err != nil {
		return err
	}
	problems, total, err := s.Store.Problems(c.Request().Context(), filter)
	if err != nil {
		return err
	}
	data := make([]problemView, 0, len(problems))
	for _, p := range problems {
		p.Raw = text.Cut(p.Raw, maxRaws/len(problems))
		p.Message = text.Cut(p.Message, maxMessages/len(problems))
		data = append(data, problemView(p))
	}
	return c.JSON(http.StatusOK, problemsView{Count: len(data), Data: data, TotalCount: total})
}

// maxRaws bounds the raw objects of an answer in bytes, maxMessages its messages. Of many lines each shows the beginning of
// its own, so that the answer stays within what the platform carries: JSON takes up to six bytes for one.
const (
	maxRaws     = 768 << 10
	maxMessages = 384 << 10
)

// readProblemFilter reads which lines are asked for, of GET api/report/batch-error and of REPORT.
func readProblemFilter(c echo.Context) (store.ProblemFilter, error) {
	offset, limit, err := readRange(c)
	if err != nil {
		return store.ProblemFilter{}, err
	}
	filter := store.ProblemFilter{RequestID: readParam(c, "request_id"), Code: job.Code(readParam(c, "code")),
		Text: readParam(c, "text"), Offset: offset, Limit: limit}
	if name := readParam(c, "step"); name != "" {
		i := slices.IndexFunc(job.Steps, func(s job.Step) bool { return strings.EqualFold(string(s), name) })
		if i < 0 {
			return filter, httpErrorf(http.StatusBadRequest,
				"There is no step %s: use one of %s.", quoteValue(name), joinNames(job.Steps))
		}
		filter.Step = job.Steps[i]
	}
	return filter, nil
}
