package stories

import (
	"time"

	"mssentinel/templates"
)

func tellTasks() []Story {
	return []Story{
		{"tasks", Full, "tasks that run, pause and wait", templates.TasksPage(templates.Tasks{Frame: newFrame("TASKS", "tasks"), Tasks: newTasks()})},
		{"tasks-ask", Asking, "whether to kill a task", templates.TasksPage(templates.Tasks{Frame: newFrame("TASKS", "tasks"), Tasks: newTasks(), Ask: &templates.Question{Title: "Kill Task", Text: []string{"Download is at work. Kill it?"}, Action: "tasks", Back: "tasks", Button: "Kill Task", Danger: true, Fields: []templates.Field{{Name: "action", Value: "kill"}, {Name: "task", Value: "download"}}}})},
	}
}

func newTasks() []templates.TaskLine {
	lines := []templates.TaskLine{}
	for _, t := range []templates.Task{
		{Name: "Download", Slug: "download", Description: "Downloads indicators from ThreatConnect.", Status: "Running", Schedule: "When a job waits", HeartbeatTimeout: 20 * time.Minute, LastHeartbeat: noon, LastRun: noon, Detail: "Page 3"},
		{Name: "Upload", Slug: "upload", Description: "Uploads STIX objects to Microsoft Sentinel.", Status: "Paused", Paused: true, Schedule: "As they are converted", HeartbeatTimeout: 30 * time.Minute},
		{Name: "Cleaner", Slug: "cleaner", Description: "Cleans the filesystem and the database.", Status: "Idle", Schedule: "Every 2 hours", HeartbeatTimeout: 30 * time.Minute, NextRun: noon.Add(time.Hour)},
		{Name: "Doctor", Slug: "doctor", Description: "Asks ThreatConnect and Microsoft.", Status: "Idle", Schedule: "Run only", HeartbeatTimeout: 30 * time.Minute, RunOnly: true},
	} {
		lines = append(lines, templates.TaskLine{Task: t})
	}
	lines[0].Runs, lines[0].Average, lines[0].Longest = 12, 90*time.Second, 2*time.Hour
	lines[2].Runs, lines[2].Average, lines[2].Longest = 1234, 20*time.Millisecond, 1400*time.Millisecond
	return lines
}
