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
	w := threeTasks()
	w.runs = map[string]pipeline.Runs{"download": {Count: 3, Average: 90500 * time.Millisecond, Longest: 2 * time.Hour}, "cleaner": {Count: 1, Average: 1, Longest: 1}}
	v := w.visit(t, "ui/")
	v.follow("TASKS")
	v.sees("Average and longest run are of the last 30 days.")
	if diff := cmp.Diff([]string{"State", "Name", "Description", "Schedule", "Last Run", "Next Run", "Average Run", "Longest Run", "Last Heartbeat", "Heartbeat Timeout (Minutes)", "Actions"}, v.heads()); diff != "" {
		t.Errorf("columns (-want +got):\n%s", diff)
	}
	for i, want := range map[int][]string{
		0:  {"Running", "Idle", "Paused"},
		1:  {"Download", "Cleaner", "Upload"},
		6:  {"1 min 31 s", "under 1 s", "–"},
		7:  {"2 h 0 min", "under 1 s", "–"},
		9:  {"20", "30", "1.5"},
		10: {"Kill Pause", "Run Pause", "Resume"},
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

// Who kills a task is told what becomes of the work in hand, in the words of the task, which app/pipeline holds to what it does.
func TestKillSaysWhatHappens(t *testing.T) {
	w := threeTasks()
	w.tasks[0].KillEffect = "The update <in hand> fails."
	v := w.visit(t, "ui/tasks?ask=kill&task=download")
	v.sees("Download is at work. Kill it? The update <in hand> fails.")
}

// A task that starts on command alone can be run and killed, and offers nothing to pause.
func TestRunOnlyTask(t *testing.T) {
	w := threeTasks().withDoctor()
	v := w.visit(t, "ui/tasks")
	if got := v.column(10)[3]; got != "Report Run" {
		t.Errorf("an idle Doctor offers %q", got)
	}
	w.task("doctor").Status = "Running"
	v.open("ui/tasks")
	if got := v.column(10)[3]; got != "Report Kill" {
		t.Errorf("a Doctor at work offers %q", got)
	}
	w.task("doctor").Status = "Idle"
	v.open("ui/tasks?ask=run&task=doctor")
	v.sees("It starts on command alone.")
	for refusal, says := range map[error]string{
		pipeline.ErrRunOnly: `The task "doctor" starts on command alone: there is nothing to pause.`,
		pipeline.ErrAtWork:  `The task "doctor" is at work already. Wait for its end, or kill it.`,
	} {
		w.refuse = nil
		v.open("ui/tasks?ask=run&task=doctor")
		w.refuse = refusal
		v.press("Run Task")
		v.status(http.StatusConflict)
		v.sees(says)
	}
}
