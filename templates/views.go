package templates

import "time"

// Frame is what every screen stands in.
type Frame struct {
	// Title is the screen's name; Section is the navigation entry that is current, for example "jobs".
	Title, Section string
	// Root leads from the page to the Service's root, for example "../".
	Root            string
	Version, Source string
	// Trouble is what every screen must say; empty when all is well.
	Trouble string
	Notices []Notice
	// Token goes into every form that changes state.
	Token string
}

// screen is an entry of the navigation; path leads there from the Service's root.
type screen struct{ section, path, name string }

var screens = []screen{{"configure", "ui/", "CONFIGURE"}, {"jobs", "ui/jobs", "JOBS"}, {"tasks", "ui/tasks", "TASKS"}, {"report", "ui/report", "REPORT"}}

// currentScreen is the one that the page belongs to, or the first.
func (f Frame) currentScreen() screen {
	for _, s := range screens {
		if s.section == f.Section {
			return s
		}
	}
	return screens[0]
}

// Notice is a sentence above a screen, and what belongs to it point by point.
type Notice struct {
	// Kind is success, info, warning or error.
	Kind   string
	Text   string
	Points []string
}

// Query is a line of CONFIGURE.
type Query struct {
	// Key tells the lines of a page apart: the query's id, or a name of its own for a new one.
	Key                      string
	Position                 int
	Owners, Types            []string
	TQL                      string
	SortField, SortDirection string
	// Mark is New or Changed while that is not saved.
	Mark string
}

// Configure is the CONFIGURE screen as it opens.
type Configure struct {
	Frame
	Queries []Query
}

// Editor is the CONFIGURE screen in Edit mode. The draft travels in hidden fields; no state stays on the server.
type Editor struct {
	Frame
	Queries []Query
	// Draft is the unsaved list as JSON, Version the saved list it started from, and Base a fingerprint of that. Seal
	// signs the three.
	Draft, Version, Base, Seal string
	Dirty                      bool
	// Outdated: someone else saved since, and Version is no longer the saved one.
	Outdated bool
	// Focus is the id of the element that the keyboard goes on from.
	Focus string

	// At most one window is open.
	Form    *QueryForm
	Delete  *Query
	Save    *SaveWindow
	Discard bool
	Import  *ImportWindow
}

// QueryForm is the window "Add TQL Configuration", or the same window for a query that is edited.
type QueryForm struct {
	// Key is the line that is edited; empty to add one.
	Key            string
	Owners, Types  []Choice
	TQL            string
	SortFields     []Choice
	SortDirections []Choice
	Faults         []string
	// OwnersFault says why the owners cannot be listed.
	OwnersFault string
	// Valid is the sentence after a validation that succeeded.
	Valid   string
	Preview *Preview
}

// Choice is an entry of a list to choose from.
type Choice struct {
	Value, Label string
	Chosen       bool
}

// SaveWindow is the window "Save Changes".
type SaveWindow struct {
	// Late: queries were added or changed that a delta update reads from the last update on only.
	Late bool
	// First: no update ever completed, so the next one is a full one in any case.
	First bool
}

// ImportWindow is the window "Import queries", with what was pasted into it and why that cannot be imported.
type ImportWindow struct{ Pasted, Fault string }

// Preview is what a query would send.
type Preview struct {
	Total, Cap int
	Truncated  bool
	Objects    []PreviewObject
	Problems   []string
}

// PreviewObject is a STIX object: its name and pattern for the eye, and all of it as indented JSON.
type PreviewObject struct{ Name, Pattern, JSON string }

// PreviewPage shows the preview of a saved query.
type PreviewPage struct {
	Frame
	Query   Query
	Preview *Preview
	Fault   string
}

// Jobs is the JOBS screen.
type Jobs struct {
	Frame
	// Self is the page's own relative URL with its filters, for polling.
	Self      string
	Statuses  []Choice
	RequestID string
	Jobs      []Job
	Pager     Pager
	Progress  *Progress
	// Filtered: an empty table may be due to the filters.
	Filtered bool
	// NothingToRun: there are no queries, and never were.
	NothingToRun bool
	// Paused are the tasks for which the jobs wait.
	Paused []string
	// Ask is the job command that waits for a confirmation.
	Ask *Question
}

// Job is a line of JOBS.
type Job struct {
	RequestID, Type, Mode, Status, Message string
	Started, Ended, RetryAfter             *time.Time
	Downloaded, Uploaded, Retired, Errors  int64
	// Held is how many retirements wait for an answer.
	Held                             int64
	CanCancel, CanRetry, NeedsAnswer bool
}

// commandNames are what the job takes now.
func (j Job) commandNames() []string {
	switch {
	case j.NeedsAnswer:
		return []string{"confirm", "dismiss"}
	case j.CanRetry:
		return []string{"retry"}
	case j.CanCancel:
		return []string{"cancel"}
	}
	return nil
}

// commandLabels are the buttons that give commands to jobs and tasks.
var commandLabels = map[string]string{"confirm": "Confirm", "dismiss": "Dismiss", "retry": "Retry", "cancel": "Cancel",
	"run": "Run", "pause": "Pause", "resume": "Resume", "kill": "Kill"}

// JobPage is one job with all that is known of it.
type JobPage struct {
	Frame
	Self     string
	Job      Job
	Facts    []Fact
	Details  []Detail
	Progress *Progress
	// Paused are the tasks for which the job waits.
	Paused []string
	Ask    *Question
}

// Fact is a label and its value.
type Fact struct {
	Label, Value string
	// Time is set for an instant.
	Time *time.Time
}

// Detail is what a job did for one query and type.
type Detail struct {
	Query, Type                                                                    string
	Downloaded, Invalid, Duplicate, Unchanged, Queued, Uploaded, Rejected, Retired int64
}

// Progress is how far the running job is.
type Progress struct {
	RequestID, Stage string
	Bars             []Bar
	// Rate is in objects a second.
	Rate      float64
	Wait      string
	Remaining time.Duration
}

// Bar is one stage's share of the work. Max 0 is "not known yet".
type Bar struct {
	Label, Unit string
	Value, Max  int64
}

// Question asks before something is done. The form that answers posts Fields.
type Question struct {
	Title string
	Text  []string
	// Action is the relative URL that takes the answer, Back the one without the window, at the link that opened it.
	Action, Back string
	Fields       []Field
	Button       string
	// Keep is the button that does nothing, where it is not Cancel.
	Keep   string
	Danger bool
}

// Field is a hidden field of a form.
type Field struct{ Name, Value string }

// Tasks is the TASKS screen.
type Tasks struct {
	Frame
	Tasks []Task
	Ask   *Question
}

// Task is a line of TASKS. Zero times are "not yet" or "not planned".
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
}

// Commands are what the task takes now: run, pause, resume, kill. One that is paused does not run until it is resumed.
func (t Task) Commands() []string {
	switch {
	case t.Paused:
		return []string{"resume"}
	case t.Status == "Running":
		return []string{"kill", "pause"}
	}
	return []string{"run", "pause"}
}

// Report is the ERRORS view of REPORT.
type Report struct {
	Frame
	RequestID, Code, Text string
	Steps                 []Choice
	Problems              []Problem
	Pager                 Pager
	Filtered              bool
}

// ProblemPage is one line of REPORT with all that is known of it.
type ProblemPage struct {
	Frame
	Problem Problem
}

// Problem is a line of REPORT.
type Problem struct {
	ID                                  int64
	RequestID, Step, Code, Message, Raw string
	Added                               time.Time
	Note                                bool
}

// Pager leads through a long list. First and Last count from 1; an empty link leads nowhere.
type Pager struct {
	First, Last, Total int64
	Newer, Older       string
}
