package web

import (
	"fmt"
	"net/http"
	"slices"
	"strconv"
	"strings"
	"time"

	"github.com/labstack/echo/v4"

	"mssentinel/app/job"
	"mssentinel/app/store"
)

const (
	defaultLimit = 50
	maxLimit     = 500
)

// jobView is a job with the progress of the one that runs.
type jobView struct {
	job.Job
	CountRetirementHeld int64         `json:"count_retirement_held"`
	Progress            *progressView `json:"progress,omitempty"`
}

func viewJob(j job.Job) jobView { return jobView{Job: j, CountRetirementHeld: j.Question()} }

type progressView struct {
	Stage            string     `json:"stage"`
	Expected         int64      `json:"expected"`
	Downloaded       int64      `json:"downloaded"`
	Converted        int64      `json:"converted"`
	Queued           int64      `json:"queued"`
	Uploaded         int64      `json:"uploaded"`
	ObjectsPerSecond float64    `json:"objects_per_second"`
	WaitUntil        *time.Time `json:"wait_until"`
	WaitReason       string     `json:"wait_reason"`
	RemainingSeconds *int64     `json:"remaining_seconds"`
}

func (s *server) jobs(c echo.Context) error {
	filter, err := jobFilter(c)
	if err != nil {
		return err
	}
	jobs, total, err := s.Store.Jobs(c.Request().Context(), filter)
	if err != nil {
		return err
	}
	running := s.Pipeline.Progress()
	data := make([]jobView, 0, len(jobs))
	for _, j := range jobs {
		view := viewJob(j)
		if j.RequestID == running.RequestID {
			view.Progress = progressJSON(running)
		}
		data = append(data, view)
	}
	return c.JSON(http.StatusOK, map[string]any{"data": data, "count": len(data), "total_count": total})
}

func progressJSON(p Progress) *progressView {
	view := &progressView{Stage: p.Stage, Expected: p.Expected, Downloaded: p.Downloaded, Converted: p.Converted,
		Queued: p.Queued, Uploaded: p.Uploaded, ObjectsPerSecond: p.Rate, WaitReason: p.WaitReason}
	if !p.WaitUntil.IsZero() {
		view.WaitUntil = &p.WaitUntil
	}
	if p.Remaining > 0 {
		seconds := int64(p.Remaining.Seconds())
		view.RemainingSeconds = &seconds
	}
	return view
}

// jobFilter reads which jobs are asked for.
func jobFilter(c echo.Context) (store.JobFilter, error) {
	offset, limit, err := page(c)
	if err != nil {
		return store.JobFilter{}, err
	}
	filter := store.JobFilter{RequestID: strings.TrimSpace(c.QueryParam("request_id")), Offset: offset, Limit: limit}
	for _, name := range c.QueryParams()["status"] {
		if name == "" {
			continue
		}
		status, known := findStatus(name)
		if !known {
			return filter, fault(http.StatusBadRequest, "There is no status %q: use one of %s.", name, joinStatuses())
		}
		filter.Statuses = append(filter.Statuses, status)
	}
	switch kind := job.Type(strings.ToLower(c.QueryParam("job_type"))); kind {
	case "", job.Scheduled, job.AdHoc:
		filter.Type = kind
	default:
		return filter, fault(http.StatusBadRequest, "There is no job type %q: use %s or %s.", kind, job.Scheduled, job.AdHoc)
	}
	return filter, nil
}

// findStatus knows a status in any letter case.
func findStatus(name string) (job.Status, bool) {
	i := slices.IndexFunc(job.Statuses, func(s job.Status) bool { return strings.EqualFold(string(s), name) })
	if i < 0 {
		return "", false
	}
	return job.Statuses[i], true
}

func joinStatuses() string {
	names := make([]string, 0, len(job.Statuses))
	for _, status := range job.Statuses {
		names = append(names, string(status))
	}
	return strings.Join(names, ", ")
}

// page reads offset and limit of a list.
func page(c echo.Context) (offset, limit int, err error) {
	if offset, err = number(c, "offset", 0, 0, 1<<31-1); err != nil {
		return 0, 0, err
	}
	limit, err = number(c, "limit", defaultLimit, 1, maxLimit)
	return offset, limit, err
}

func number(c echo.Context, name string, missing, low, high int) (int, error) {
	text := c.QueryParam(name)
	if text == "" {
		return missing, nil
	}
	n, err := strconv.Atoi(text)
	if err != nil || n < low || n > high {
		return 0, fault(http.StatusBadRequest, "%s is %q: send a whole number from %d to %d.", name, text, low, high)
	}
	return n, nil
}

func (s *server) submitJob(c echo.Context) error {
	order, err := decode[struct {
		Mode job.Mode `json:"mode"`
	}](c)
	if err != nil {
		return err
	}
	if err := checkMode(order.Mode); err != nil {
		return err
	}
	j, err := s.Pipeline.Submit(c.Request().Context(), order.Mode)
	if err != nil {
		return err
	}
	return c.JSON(http.StatusOK, viewJob(j))
}

func checkMode(mode job.Mode) error {
	switch mode {
	case job.Delta, job.Full, job.Reconcile:
		return nil
	}
	return fault(http.StatusBadRequest, "There is no mode %q: send delta, full or reconcile.", mode)
}

func (s *server) answerRetirement(c echo.Context) error {
	answer, err := decode[struct {
		Confirm *bool `json:"confirm"`
	}](c)
	if err != nil {
		return err
	}
	if answer.Confirm == nil {
		return fault(http.StatusBadRequest, `The body lacks the answer: send {"confirm":true} or {"confirm":false}.`)
	}
	return s.orderJob(c, s.Pipeline.AnswerRetirement(c.Request().Context(), c.Param("id"), *answer.Confirm))
}

func (s *server) cancelJob(c echo.Context) error {
	return s.orderJob(c, s.Pipeline.Cancel(c.Request().Context(), c.Param("id")))
}

func (s *server) retryJob(c echo.Context) error {
	return s.orderJob(c, s.Pipeline.Retry(c.Request().Context(), c.Param("id")))
}

// orderJob answers a command to a job.
func (s *server) orderJob(c echo.Context, err error) error {
	if err != nil {
		return fmt.Errorf("job %s: %w", c.Param("id"), err)
	}
	return c.NoContent(http.StatusNoContent)
}
