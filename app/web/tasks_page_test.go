package web

import (
	"net/http"
	"slices"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"

	"mssentinel/app/job"
	"mssentinel/app/pipeline"
)

// threeTasks is a world with a task in each state.
func threeTasks() *world {
	w := newWorld()
	w.tasks = append(w.tasks, pipeline.Task{Name: "Upload", Slug: "upload", Status: "Paused", Paused: true, HeartbeatTimeout: 90 * time.Second})
	return w
}

func TestTasks(t *testing.T) {
	v := threeTasks().visit(t, "ui/")
	v.follow("TASKS")
	if diff := cmp.Diff([]string{"State", "Name", "Description", "Schedule", "Last Run", "Next Run", "Last Heartbeat", "Heartbeat Timeout (Minutes)", "Actions"}, v.heads()); diff != "" {
		t.Errorf("columns (-want +got):\n%s", diff)
	}
	for i, want := range map[int][]string{
		0: {"Running", "Idle", "Paused"},
		1: {"Download", "Cleaner", "Upload"},
		7: {"20", "30", "1.5"},
		8: {"Kill Pause", "Run Pause", "Resume"},
	} {
		if got := v.column(i); !slices.Equal(got, want) {
			t.Errorf("column %d is %q, want %q", i, got, want)
		}
	}
}

func TestTaskCommands(t *testing.T) {
	for _, tt := range []struct{ link, button, says, did string }{
		{"Run Cleaner", "Run Task", "The task runs.", "run cleaner"},
		{"Pause Cleaner", "Pause Task", "The task is paused.", "pause cleaner true"},
		{"Resume Upload", "Resume Task", "The task goes on.", "pause upload false"},
		{"Kill Download", "Kill Task", "The task was killed.", "kill download"},
	} {
		t.Run(tt.link, func(t *testing.T) {
			w := threeTasks()
			v := w.visit(t, "ui/tasks")
			v.follow(tt.link)
			v.sees(tt.button)
			v.leaveWindow()
			w.mustHaveDone(t)
			v.follow(tt.link)
			v.press(tt.button)
			v.sees(tt.says)
			w.mustHaveDone(t, tt.did)
		})
	}
}

// What a task does not take now is not asked about, and refused with the remedy where the page is older than the task's state.
func TestTaskCommandsTooLate(t *testing.T) {
	w := threeTasks()
	v := w.visit(t, "ui/tasks")
	for _, page := range []string{"ui/tasks?ask=kill&task=cleaner", "ui/tasks?ask=run&task=upload", "ui/tasks?ask=pause&task=upload", "ui/tasks?ask=resume&task=cleaner", "ui/tasks?ask=run&task=download", "ui/tasks?ask=dance&task=cleaner", "ui/tasks?ask=run&task=nothing"} {
		v.open(page)
		v.status(http.StatusOK)
		if v.has("dialog") {
			t.Errorf("%s asks", page)
		}
	}
	v.open("ui/tasks?ask=run&task=cleaner")
	w.refuse = job.ErrState
	v.press("Run Task")
	v.status(http.StatusConflict)
	v.sees(`The task "cleaner" is paused. Resume it first.`)
	v.follow("Go to TASKS")
	for field, tt := range map[string]struct {
		value, says string
		status      int
	}{
		"task":   {"nothing", `There is no task "nothing": use one of download, cleaner, upload.`, http.StatusNotFound},
		"action": {"dance", "TASKS has no such button. Reload the page.", http.StatusBadRequest},
	} {
		v.open("ui/tasks?ask=run&task=cleaner")
		v.tamper(field, tt.value)
		v.press("Run Task")
		v.status(tt.status)
		v.sees(tt.says)
	}
	w.mustHaveDone(t)
}
