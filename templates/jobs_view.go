package templates

import (
	"slices"
	"time"
)

// Jobs is the JOBS screen.
type Jobs struct {
	Frame
	// Next is what to do before there is something to list; nil where that is done.
	Next *NextStep
	// Self is the page's own relative URL with its filters, for polling.
	Self      string
	Statuses  []Choice
	RequestID string
	// Types, Kinds, Since and Before are the other filters; OnlyParams are all but the status, as the address has them.
	Types, Kinds  []Choice
	Since, Before string
	OnlyParams    string
	// Here are the filters and the place of the list, as the address has them.
	Here     string
	Jobs     []Job
	Pager    Pager
	Progress *Progress
	// Leftover is how many objects are still uploaded of updates that have ended.
	Leftover int64
	// Ended says how the update ended that did so a moment ago, "" where none did.
	Ended string
	// Filtered: an empty table may be due to the filters.
	Filtered bool
	// NothingToRun: there are no queries, and never were.
	NothingToRun bool
	// Paused are the tasks for which the jobs wait.
	Paused []string
	// Verified says what came of the last verification, and when; nil where there was none.
	Verified *Fact
	// Ask is the job command that waits for a confirmation.
	Ask *Question
}

// Job is a line of JOBS.
type Job struct {
	RequestID, Type, Mode, Status, Message string
	Started, Ended, RetryAfter             *time.Time
	Downloaded, Uploaded, Retired, Errors  int64
	// Held is how many retirements wait for an answer.
	Held int64
	// Duration is how long it took, or takes so far; 0 before it began. Parts are what became of what was read.
	Duration time.Duration
	Parts    []Part
	// Flawed: it is complete, with errors.
	Flawed                           bool
	CanCancel, CanRetry, NeedsAnswer bool
}

// Part is how many of what was read had one outcome.
type Part struct {
	// Kind is the class of its look, Label the word for it.
	Kind, Label string
	Count       int64
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
	// List leads back to the list that the job was looked at from, and Here to the job with the way back.
	List, Here string
	// Self is the page's own relative URL with what it shows, for polling.
	Self  string
	Job   Job
	Facts []Fact
	// Stages are when each stage worked, Funnel what became of what was read.
	Stages  []JobStage
	Funnel  []FunnelStep
	Details []Detail
	// Attempts are those at the job, newest first, where there is more to say than that the first one went well.
	Attempts []Attempt
	Progress *Progress
	// Ended says how the job ended, where it did so a moment ago.
	Ended string
	// Held is what it asks about; nil where it asks nothing.
	Held *Held
	// Paused are the tasks for which the job waits.
	Paused []string
	Ask    *Question
}

// Held is what a job in Confirmation Required asks about.
type Held struct {
	RequestID string
	// Objects is how many they are by now, Back how many of those that were asked about are given again.
	Objects, Back int64
	// Tallies count them by cause and query, by owner and by type.
	Tallies []HeldTally
	// Lines are some of the objects that the filters leave; All says that all of them can be paged through.
	Lines []HeldLine
	All   bool
	Pager Pager
	// Text is what is searched for, Fields are the other filters. Clear leads to the list without any.
	Text     string
	Fields   []Field
	Filtered bool
	Clear    string
	// Self is the page's address with the filters.
	Self string
	// CSV are the addresses of the files of an export.
	CSV []string
}

// HeldTally counts the objects that would be retired by one thing, the largest first. Rest counts those of all others.
type HeldTally struct {
	// ID names its table, Label what it counts by.
	ID, Label string
	Rows      []HeldCount
	Rest      int64
}

// HeldCount is how many objects have one value; Note says more of it.
type HeldCount struct {
	Value, Note string
	Objects     int64
	Chosen      bool
	// Link shows the objects, or all again where they are chosen.
	Link string
}

// HeldLine is an object that would be retired. Zero times are "not known".
type HeldLine struct {
	Value, Owner, Type, Query, Cause, LookUp string
	Sent, ValidUntil                         time.Time
}

// Attempt is one attempt at a job.
type Attempt struct {
	Started time.Time
	Ended   *time.Time
	// Outcome says how it ended, or that it runs.
	Outcome string
}

// Fact is a label and its value.
type Fact struct {
	Label, Value string
	// Time is set for an instant.
	Time *time.Time
}

// JobStage is a stage of a job in its time line. Ended is nil while it works.
type JobStage struct {
	Label   string
	Started time.Time
	Ended   *time.Time
	Runtime time.Duration
	// From and To are its place in the time line, from 0 to 100.
	From, To float64
}

// FunnelStep counts what of a job had one outcome. Share is that of the largest count, from 0 to 100.
type FunnelStep struct {
	Kind, Label, Means string
	Count              int64
	Share              float64
}

// Detail is what a job did for one query and type, or in total.
type Detail struct {
	// Link leads to the types of the query, or away from them, and Place is where on the page; "" where all types are shown.
	Link, Place                                                                                string
	Total                                                                                      bool
	Query, Type                                                                                string
	Downloaded, BelowFloor, Invalid, Duplicate, Unchanged, Queued, Uploaded, Rejected, Retired int64
}

// hasBelowFloor says that a confidence floor kept something out.
func hasBelowFloor(details []Detail) bool {
	return slices.ContainsFunc(details, func(d Detail) bool { return d.BelowFloor > 0 })
}

// Progress is how far the running job is.
type Progress struct {
	// Title says what runs: Full update.
	RequestID, Title string
	// Started is when the attempt began, Ago how long ago that is.
	Started time.Time
	Ago     time.Duration
	Stages  []StageBar
	// Rate is in objects a second.
	Rate float64
	Wait string
	// Blocked: somebody has to act before it can be told how long it takes.
	Blocked bool
	// Remaining is 0 where it is not known; AtLeast says that more may come.
	Remaining time.Duration
	AtLeast   bool
}

// StageBar is how far a stage is, in per cent, or below 0 where that is not known. Text says it in numbers.
type StageBar struct {
	Label, Text string
	Percent     int64
}

// Bar is a share of the work. Max 0 is "not known yet".
type Bar struct {
	Label, Unit string
	Value, Max  int64
}
