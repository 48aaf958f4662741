package web

import (
	"fmt"
	"net/http"
	"slices"

	"github.com/labstack/echo/v4"

	"mssentinel/templates"
)

func (s *server) showTasks(c echo.Context) error {
	view := templates.Tasks{Frame: s.newFrame(c, "TASKS", "tasks")}
	runs, err := s.Pipeline.TaskRuns(c.Request().Context())
	if err != nil {
		return err
	}
	for _, t := range s.Pipeline.Tasks() {
		r := runs[t.Slug]
		row := templates.TaskLine{Task: templates.Task(t), Runs: r.Count, Average: r.Average, Longest: r.Longest}
		view.Tasks = append(view.Tasks, row)
		if row.Slug == c.QueryParam("task") {
			view.Ask = askTask(c.QueryParam("ask"), row.Task)
		}
	}
	return renderPage(c, http.StatusOK, templates.TasksPage(view))
}

// askTask asks before a command to a task; nil when the task does not take it now.
func askTask(action string, t templates.Task) *templates.Question {
	if !slices.Contains(t.Commands(), action) {
		return nil
	}
	question := taskQuestions[action]
	if t.RunOnly && action == "run" {
		question.text = "Run %s now? It starts on command alone."
	}
	text := fmt.Sprintf(question.text, t.Name)
	if action == "kill" {
		text += " " + t.KillEffect
	}
	return &templates.Question{
		Title: question.title, Text: []string{text}, Button: question.title,
		Danger: action == "kill", Action: "tasks", Back: "tasks#" + action + "-" + t.Slug,
		Fields: []templates.Field{{Name: "action", Value: action}, {Name: "task", Value: t.Slug}},
	}
}

// taskQuestions have a place for the name of the task.
var taskQuestions = map[string]struct{ title, text string }{
	"run":    {"Run Task", "Run %s now? Tasks run by themselves; by hand is needed only where you do not want to wait."},
	"pause":  {"Pause Task", "Pause %s? It stops taking up work until it is resumed, also after a restart of the Service."},
	"resume": {"Resume Task", "Resume %s? It takes up work again."},
	"kill":   {"Kill Task", "%s is at work. Kill it?"},
}

// jobTasks are the tasks that a job passes through.
var jobTasks = []string{"download", "convert", "upload"}

// submitTaskForm takes the answer of a window on TASKS.
func (s *server) submitTaskForm(c echo.Context) error {
	ctx, slug, action := c.Request().Context(), formValue(c, "task"), formValue(c, "action")
	var err error
	switch action {
	case "run":
		err = s.Pipeline.RunTask(ctx, slug)
	case "pause", "resume":
		err = s.Pipeline.PauseTask(ctx, slug, action == "pause")
	case "kill":
		err = s.Pipeline.KillTask(ctx, slug)
	default:
		err = httpErrorf(http.StatusBadRequest, "TASKS has no such button. Reload the page.")
	}
	if err := s.explainTask(slug, err); err != nil {
		return err
	}
	return seeOther(c, "tasks?done="+action)
}
