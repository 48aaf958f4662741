package templates

import (
	"slices"
	"time"
)

// Frame is what every screen stands in. What a screen shows besides stands in a file of its name, <screen>_view.go.
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
	// Overview stands above every screen; nil where it is not known. OverviewSeen is its fingerprint.
	Overview     *Overview
	OverviewSeen string
}

// Overview is how the updates stand, at a glance. Links lead from the Service's root.
type Overview struct {
	// Running is the update under way, Last the one that ended last; nil where there is none.
	Running, Last *StatusJob
	// Unsent is how many objects of updates that are over are still to be sent.
	Unsent int64
	// Next is when the next update is queued; zero while one waits or runs, and while there is nothing to do.
	Next time.Time
	// Live is how many objects stand in Sentinel, "" where that is not known; Errors how many lines REPORT has from the last
	// day.
	Live, Errors string
	// Alerts are what needs a person, the gravest first.
	Alerts []Alert
}

// StatusJob is an update in the strip. At is when it ended, or else began.
type StatusJob struct {
	RequestID, Mode, Status, Link string
	At                            time.Time
	// Flawed: it is complete, with errors.
	Flawed bool
}

// Alert is something that needs a person. Section is the screen where it is dealt with, Link leads there.
type Alert struct{ Kind, Section, Link, Text string }

// alertsOf are those of one screen.
func (f Frame) alertsOf(section string) (n int) {
	if f.Overview == nil {
		return 0
	}
	for _, a := range f.Overview.Alerts {
		if a.Section == section {
			n++
		}
	}
	return n
}

// screen is an entry of the navigation; path leads there from the Service's root.
type screen struct{ section, path, name string }

var screens = []screen{{"configure", "ui/", "CONFIGURE"}, {"jobs", "ui/jobs", "JOBS"}, {"tasks", "ui/tasks", "TASKS"}, {"report", "ui/report", "REPORT"}}

// asides are the pages beside the screens.
var asides = []screen{{"settings", "ui/settings", "Settings"}, {"help", "ui/help", "Help"}}

// currentScreen is the one that the page belongs to, or the first.
func (f Frame) currentScreen() screen {
	for _, s := range append(slices.Clone(screens), asides...) {
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

// Question asks before something is done. The form that answers posts Fields.
type Question struct {
	Title string
	Text  []string
	// Action is the relative URL that takes the answer, Back the one without the window, at the link that opened it.
	Action, Back string
	Fields       []Field
	// Inputs are what the answer has to say; Fault is what was wrong with them.
	Inputs []Input
	Fault  string
	Button string
	// Keep is the button that does nothing, where it is not Cancel.
	Keep   string
	Danger bool
}

// Input is a field of a form for a time, UTC.
type Input struct{ ID, Name, Label, Value string }

// Field is a hidden field of a form.
type Field struct{ Name, Value string }

// Link is a text that leads somewhere else, or nowhere where URL is empty.
type Link struct{ Text, URL string }

// Pager leads through a long list. First and Last count from 1; an empty link leads nowhere.
type Pager struct {
	First, Last, Total int64
	Newer, Older       string
}
