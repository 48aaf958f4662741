package templates

import (
	"time"
)

// Doctor is the page of the doctor.
type Doctor struct {
	Frame
	// Running: it asks its questions, just now about Doing.
	Running bool
	Doing   string
	// Headline is the verdict line; "" while there is no report.
	Headline string
	// Began and Ended are when the report was made. Stopped says why its run did not come to its end.
	Began, Ended time.Time
	Stopped      string
	Areas        []DoctorArea
	// Variable, Indicator and Large are what was typed into the form.
	Variable, Indicator string
	Large               bool
	// Waits are those that the browser asks for by default, in seconds with commas between them.
	Waits string
	Ask   *Question
}

// DoctorArea is a part of the outside world with what is known of it.
type DoctorArea struct {
	Name, Summary string
	Lines         []DoctorLine
}

// DoctorLine is a question of the doctor with its answer.
type DoctorLine struct {
	ID, Question, Verdict, Evidence, Effect string
	// Differs: the answer is not the one that the App relies on.
	Differs bool
}

// maxEvidence is how long the evidence of a line may be, in bytes, before it is folded.
const maxEvidence = 240
