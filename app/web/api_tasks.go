package web

import (
	"errors"
	"net/http"
	"strings"
	"time"

	"github.com/labstack/echo/v4"

	"mssentinel/app/job"
	"mssentinel/app/pipeline"
	"mssentinel/app/store"
)

// taskView is a task as GET api/task gives it. Times are UTC; null is "not yet" or "not planned".
type taskView struct {
	Name        string `json:"name"`
	Slug        string `json:"slug"`
	Description string `json:"description"`
	// Status is Running, Paused or Idle.
	Status                  string     `json:"status"`
	Paused                  bool       `json:"paused"`
	Schedule                string     `json:"schedule"`
	HeartbeatTimeoutMinutes float64    `json:"heartbeat_timeout_minutes"`
	LastHeartbeat           *time.Time `json:"last_heartbeat"`
	LastRun                 *time.Time `json:"last_run"`
	NextRun                 *time.Time `json:"next_run"`
	// Detail says what the task does just now.
	Detail string `json:"detail"`
	// Runs counts those that ended in the last 30 days; the seconds are null where there were none.
	Runs              int64    `json:"runs"`
	AverageRunSeconds *float64 `json:"average_run_seconds"`
	LongestRunSeconds *float64 `json:"longest_run_seconds"`
}

// tasksView is the answer of GET api/task, in the order in which a job meets the tasks.
type tasksView struct {
	Count int        `json:"count"`
	Data  []taskView `json:"data"`
}

func newTaskView(t pipeline.Task, runs pipeline.Runs) taskView {
	view := taskView{
		Name: t.Name, Slug: t.Slug, Description: t.Description, Status: t.Status, Paused: t.Paused, Schedule: t.Schedule,
		HeartbeatTimeoutMinutes: t.HeartbeatTimeout.Minutes(), LastHeartbeat: optionalTime(t.LastHeartbeat),
		LastRun: optionalTime(t.LastRun), NextRun: optionalTime(t.NextRun), Detail: t.Detail, Runs: runs.Count,
	}
	if runs.Count > 0 {
		average, longest := runs.Average.Seconds(), runs.Longest.Seconds()
		view.AverageRunSeconds, view.LongestRunSeconds = &average, &longest
	}
	return view
}

// optionalTime is t in UTC, nil for the zero time.
func optionalTime(t time.Time) *time.Time {
	if t.IsZero() {
		return nil
	}
	t = t.UTC()
	return &t
}

func (s *server) listTasks(c echo.Context) error {
	runs, err := s.Pipeline.TaskRuns(c.Request().Context())
	if err != nil {
		return err
	}
	data := []taskView{}
	for _, t := range s.Pipeline.Tasks() {
		data = append(data, newTaskView(t, runs[t.Slug]))
	}
	return c.JSON(http.StatusOK, tasksView{Count: len(data), Data: data})
}

// commandTask is PUT api/task/<slug>, with ?run=true or ?pause=true or false.
func (s *server) commandTask(c echo.Context) error {
	ctx, slug := c.Request().Context(), c.Param("slug")
	run, pause := c.QueryParam("run"), c.QueryParam("pause")
	switch {
	case run == "true" && pause == "":
		return s.answerTaskCommand(c, s.Pipeline.RunTask(ctx, slug))
	case run == "" && (pause == "true" || pause == "false"):
		return s.answerTaskCommand(c, s.Pipeline.PauseTask(ctx, slug, pause == "true"))
	}
	return httpErrorf(http.StatusBadRequest, "Say what the task shall do: ?run=true, ?pause=true or ?pause=false.")
}

func (s *server) killTask(c echo.Context) error {
	return s.answerTaskCommand(c, s.Pipeline.KillTask(c.Request().Context(), c.Param("slug")))
}

// answerTaskCommand answers a command to a task that ended in err.
func (s *server) answerTaskCommand(c echo.Context, err error) error {
	if err := s.explainTask(c.Param("slug"), err); err != nil {
		return err
	}
	return c.NoContent(http.StatusNoContent)
}

// explainTask says what is wrong with a command to a task; it names the tasks that there are when this one is not among
// them.
func (s *server) explainTask(slug string, err error) error {
	if errors.Is(err, job.ErrState) {
		return httpErrorf(http.StatusConflict, "The task %s is paused. Resume it first.", quoteValue(slug))
	}
	switch {
	case errors.Is(err, pipeline.ErrRunOnly):
		return httpErrorf(http.StatusConflict, "The task %s starts on command alone: there is nothing to pause.", quoteValue(slug))
	case errors.Is(err, pipeline.ErrAtWork):
		return httpErrorf(http.StatusConflict, "The task %s is at work already. Wait for its end, or kill it.", quoteValue(slug))
	case !errors.Is(err, store.ErrNotFound):
		return err
	}
	var slugs []string
	for _, t := range s.Pipeline.Tasks() {
		slugs = append(slugs, t.Slug)
	}
	return httpErrorf(http.StatusNotFound, "There is no task %s: use one of %s.", quoteValue(slug), strings.Join(slugs, ", "))
}
