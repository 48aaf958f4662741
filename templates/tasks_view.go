package templates

import (
	"time"
)

// Tasks is the TASKS screen.
type Tasks struct {
	Frame
	Tasks []TaskLine
	Ask   *Question
}

// TaskLine is a line of TASKS: a task, and how long its runs took.
type TaskLine struct {
	Task
	// Runs is how many there were; with none the others mean nothing.
	Runs             int64
	Average, Longest time.Duration
}

// Task is a task as TASKS shows it. Zero times are "not yet" or "not planned".
type Task struct {
	Name, Slug, Description string
	// Status is Running, Paused or Idle.
	Status                          string
	Paused                          bool
	Schedule                        string
	HeartbeatTimeout                time.Duration
	LastHeartbeat, LastRun, NextRun time.Time
	// Detail says what the task does just now.
	Detail string
	// RunOnly says that the task starts on command alone, so that there is nothing to pause.
	RunOnly bool
	// KillEffect says in sentences what becomes of the work in hand when the task is killed.
	KillEffect string
}

// Commands are what the task takes now: run, pause, resume, kill. One that is paused does not run until it is resumed.
func (t Task) Commands() []string {
	switch {
	case t.Paused:
		return []string{"resume"}
	case t.Status == "Running" && t.RunOnly:
		return []string{"kill"}
	case t.Status == "Running":
		return []string{"kill", "pause"}
	case t.RunOnly:
		return []string{"run"}
	}
	return []string{"run", "pause"}
}
