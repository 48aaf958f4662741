package web

import (
	"errors"
	"net/http"
	"strings"
	"time"

	"github.com/labstack/echo/v4"

	"mssentinel/app/job"
	"mssentinel/app/store"
)

type taskView struct {
	Name                    string     `json:"name"`
	Slug                    string     `json:"slug"`
	Description             string     `json:"description"`
	Status                  string     `json:"status"`
	Paused                  bool       `json:"paused"`
	Schedule                string     `json:"schedule"`
	HeartbeatTimeoutMinutes float64    `json:"heartbeat_timeout_minutes"`
	LastHeartbeat           *time.Time `json:"last_heartbeat"`
	LastRun                 *time.Time `json:"last_run"`
	NextRun                 *time.Time `json:"next_run"`
	Detail                  string     `json:"detail"`
}

func (s *server) tasks(c echo.Context) error {
	data := []taskView{}
	for _, t := range s.Pipeline.Tasks() {
		data = append(data, taskView{
			Name: t.Name, Slug: t.Slug, Description: t.Description, Status: t.Status, Paused: t.Paused, Schedule: t.Schedule,
			HeartbeatTimeoutMinutes: t.HeartbeatTimeout.Minutes(), LastHeartbeat: known(t.LastHeartbeat),
			LastRun: known(t.LastRun), NextRun: known(t.NextRun), Detail: t.Detail,
		})
	}
	return c.JSON(http.StatusOK, map[string]any{"data": data, "count": len(data)})
}

// known is nil for a time that is not there.
func known(t time.Time) *time.Time {
	if t.IsZero() {
		return nil
	}
	t = t.UTC()
	return &t
}

func (s *server) commandTask(c echo.Context) error {
	ctx, slug := c.Request().Context(), c.Param("slug")
	run, pause := c.QueryParam("run"), c.QueryParam("pause")
	switch {
	case run == "true" && pause == "":
		return s.orderTask(c, s.Pipeline.RunTask(ctx, slug))
	case run == "" && (pause == "true" || pause == "false"):
		return s.orderTask(c, s.Pipeline.PauseTask(ctx, slug, pause == "true"))
	}
	return fault(http.StatusBadRequest, "Say what the task shall do: ?run=true, ?pause=true or ?pause=false.")
}

func (s *server) killTask(c echo.Context) error {
	return s.orderTask(c, s.Pipeline.KillTask(c.Request().Context(), c.Param("slug")))
}

// orderTask answers a command to a task.
func (s *server) orderTask(c echo.Context, err error) error {
	if err := s.taskFault(c.Param("slug"), err); err != nil {
		return err
	}
	return c.NoContent(http.StatusNoContent)
}

// taskFault names the tasks that there are when one is not among them.
func (s *server) taskFault(slug string, err error) error {
	if errors.Is(err, job.ErrState) {
		return fault(http.StatusConflict, "The task %q is paused. Resume it first.", slug)
	}
	if !errors.Is(err, store.ErrNotFound) {
		return err
	}
	var slugs []string
	for _, t := range s.Pipeline.Tasks() {
		slugs = append(slugs, t.Slug)
	}
	return fault(http.StatusNotFound, "There is no task %q: use one of %s.", slug, strings.Join(slugs, ", "))
}
