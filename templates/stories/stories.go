// Package stories holds the screens in every state that looks different: each is a Story, with data made up for it. The golden
// pages, the tests of a browser, the storybook and the README's pictures are made of them. The product does not contain it.
package stories

import (
	"slices"
	"time"

	"github.com/a-h/templ"
)

// Story is a page in one state.
type Story struct {
	// Name is unlike that of any other story; that of the screen's usual state is the screen's own, for example "jobs".
	Name  string
	State State
	// Text says what is to be seen.
	Text string
	Page templ.Component
}

// State is a kind of state, the same for all screens.
type State string

// The states. Broken is whatever went wrong; Asking waits for an answer; Long has the longest texts and lists that there may be.
const (
	Empty       State = "empty"
	Full        State = "full"
	Broken      State = "broken"
	Running     State = "running"
	Asking      State = "asking"
	Long        State = "long"
	RightToLeft State = "right to left"
)

// Screen is a screen with its stories.
type Screen struct {
	Name    string
	Stories []Story
}

// Screens are all of them, in the order of the navigation.
func Screens() []Screen {
	return []Screen{
		{"CONFIGURE", slices.Concat(tellConfigure(), tellFirstRun(), tellHistory(), tellWindows(), tellConfigureExtremes())},
		{"JOBS", append(tellJobs(), tellJobExtremes()...)},
		{"Verify", append(tellVerify(), tellVerifyExtremes()...)},
		{"TASKS", append(tellTasks(), tellTaskExtremes()...)},
		{"Doctor", append(tellDoctor(), tellDoctorExtremes()...)},
		{"REPORT", slices.Concat(tellReport(), tellContent(), tellReportExtremes())},
		{"Settings", append(tellSettings(), tellSettingExtremes()...)},
		{"Help", tellHelp()},
		{"Status", append(tellStatus(), tellStatusExtremes()...)},
	}
}

// All are the stories of all screens.
func All() []Story {
	var all []Story
	for _, s := range Screens() {
		all = append(all, s.Stories...)
	}
	return all
}

// noon is when most of it was done.
var noon = time.Date(2026, 11, 24, 12, 0, 0, 0, time.UTC)

// Now is when the stories are told.
var Now = noon.Add(3 * time.Minute)

const jobID = "5f0c6a52-4c1b-4d3e-9f63-0f1f2f3f4f5f"
