package web

import (
	"fmt"
	"net/http"
	"slices"

	"github.com/labstack/echo/v4"

	"mssentinel/templates"
)

func (s *server) tasksPage(c echo.Context) error {
	view := templates.Tasks{Frame: s.frame(c, "TASKS", "tasks")}
	for _, t := range s.Pipeline.Tasks() {
		row := templates.Task(t)
		view.Tasks = append(view.Tasks, row)
		if row.Slug == c.QueryParam("task") {
			view.Ask = askTask(c.QueryParam("ask"), row)
		}
	}
	return render(c, http.StatusOK, templates.TasksPage(view))
}

// askTask asks before a command to a task; nil when the task does not take it now.
func askTask(action string, t templates.Task) *templates.Question {
	if !slices.Contains(t.Commands(), action) {
		return nil
	}
	text := taskTexts[action]
	return &templates.Question{
		Title: text.title, Text: []string{fmt.Sprintf(text.text, t.Name)}, Action: "tasks", Back: "tasks#" + action + "-" + t.Slug, Button: text.title, Danger: action == "kill",
		Fields: []templates.Field{{Name: "action", Value: action}, {Name: "task", Value: t.Slug}},
	}
}

var taskTexts = map[string]struct{ title, text string }{
	"run":    {"Run Task", "Run %s now? Tasks run by themselves; by hand is needed only where you do not want to wait."},
	"pause":  {"Pause Task", "Pause %s? It stops taking up work until it is resumed, also after a restart of the Service."},
	"resume": {"Resume Task", "Resume %s? It takes up work again."},
	"kill":   {"Kill Task", "%s is at work. Kill it? What is in its hands is done again later; nothing is lost."},
}

// tasksAction takes the answer of a window on TASKS.
func (s *server) tasksAction(c echo.Context) error {
	if err := s.requireToken(c); err != nil {
		return err
	}
	ctx, slug, action := c.Request().Context(), c.FormValue("task"), c.FormValue("action")
	var err error
	switch action {
	case "run":
		err = s.Pipeline.RunTask(ctx, slug)
	case "pause", "resume":
		err = s.Pipeline.PauseTask(ctx, slug, action == "pause")
	case "kill":
		err = s.Pipeline.KillTask(ctx, slug)
	default:
		err = fault(http.StatusBadRequest, "TASKS has no such button. Reload the page.")
	}
	if err := s.taskFault(slug, err); err != nil {
		return err
	}
	return seeOther(c, "tasks?done="+action)
}
