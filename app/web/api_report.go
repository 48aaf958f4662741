package web

import (
	"errors"
	"net/http"
	"time"

	"github.com/labstack/echo/v4"

	"mssentinel/app/job"
	"mssentinel/app/pipeline"
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
	// IndicatorID is ThreatConnect's, Type, Value and Owner those of the indicator; "0" and empty where it is about none.
	IndicatorID int64  `json:"indicator_id,string"`
	Type        string `json:"type"`
	Value       string `json:"value"`
	Owner       string `json:"owner"`
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

func newProblemView(p job.Problem) problemView {
	return problemView{ID: p.ID, RequestID: p.RequestID, DateAdded: p.DateAdded, Step: p.Step, Code: p.Code, Message: p.Message,
		IndicatorID: p.Indicator, Type: p.Type, Value: p.Value, Owner: p.Owner, Raw: p.Raw, Note: p.Note}
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
		data = append(data, newProblemView(p))
	}
	return c.JSON(http.StatusOK, problemsView{Count: len(data), Data: data, TotalCount: total})
}

// retryView is the answer of POST api/report/batch-error/retry.
type retryView struct {
	// Retried is how many lines were taken off REPORT, RequestID the job that asks for their indicators.
	Retried   int64  `json:"retried"`
	RequestID string `json:"request_id"`
}

// retryProblems retries what the filters in the address select.
func (s *server) retryProblems(c echo.Context) error {
	filter, err := readProblemFilter(c)
	if err != nil {
		return err
	}
	j, lines, err := s.Pipeline.RetryProblems(c.Request().Context(), filter)
	if err != nil {
		return explainRetry(err)
	}
	return c.JSON(http.StatusOK, retryView{Retried: lines, RequestID: j.RequestID})
}

func explainRetry(err error) error {
	if errors.Is(err, pipeline.ErrNothingToRetry) {
		return httpErrorf(http.StatusConflict, "None of these lines can be retried: notes need nothing, and a failed update is retried on JOBS.")
	}
	return err
}

// maxRaws bounds the raw objects of an answer in bytes, maxMessages its messages. Of many lines each shows the beginning of
// its own, so that the answer stays within what the platform carries: JSON takes up to six bytes for one.
const (
	maxRaws     = 768 << 10
	maxMessages = 384 << 10
)

// readProblemFilter reads which lines are asked for, of GET api/report/batch-error, of its exports and of REPORT.
func readProblemFilter(c echo.Context) (store.ProblemFilter, error) {
	offset, limit, err := readRange(c)
	if err != nil {
		return store.ProblemFilter{}, err
	}
	filter := store.ProblemFilter{RequestID: readParam(c, "request_id"), Code: job.Code(readParam(c, "code")), Type: readParam(c, "type"),
		Owner: readParam(c, "owner"), Text: readParam(c, "text"), Offset: offset, Limit: limit}
	if filter.Step, err = readName(c, "step", job.Steps); err != nil {
		return filter, err
	}
	if filter.Severity, err = readName(c, "severity", []store.Severity{store.Errors, store.Notes}); err != nil {
		return filter, err
	}
	if filter.Since, err = readInstant(c, "since"); err != nil {
		return filter, err
	}
	filter.Before, err = readInstant(c, "before")
	return filter, err
}
