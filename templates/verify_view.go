package templates

import (
	"time"
)

// Verify is the page of JOBS that compares what stands in Microsoft Sentinel with what was sent.
type Verify struct {
	Frame
	// TooNew says why some objects are too new to tell; "" where none is.
	TooNew string
	// State is running, complete, cancelled, refused or failed; empty where nothing was verified yet.
	State string
	// Message says why the verification did not come to its end.
	Message string
	// Progress is how far it is while it runs.
	Progress *Bar
	Facts    []Fact
	Types    []VerifiedType
	// Differences are those kinds of which there are any.
	Differences []Differences
	// SendAgain and Retire are how many objects the two buttons are about. Unread: no update has read everything yet, so that
	// nothing can be retired.
	SendAgain, Retire int64
	Unread            bool
	Repairs           []Repair
	Queries           []WorkspaceQuery
	Ask               *Question
}

// VerifiedType is what the ledger and the workspace have of a type. Zero times are "never".
type VerifiedType struct {
	Type                      string
	Recorded, Active, Expired int64
	Sent, Newest              time.Time
}

// Differences are the objects that differ in one way, with the first of them.
type Differences struct {
	// ID is the id of the section, Text says what the kind means.
	ID, Label, Text string
	Count           int64
	Examples        []Difference
}

// Difference is an object that differs. Zero times are "never".
type Difference struct {
	Value, ID           string
	Sent, RecordedUntil time.Time
	// Standing says that the workspace has a row, and ValidUntil until when that is valid.
	Standing   bool
	ValidUntil time.Time
	// Stranger: this App did not make the object, and cannot retire it.
	Stranger bool
}

// Repair is what was done about differences; RequestID is empty where there was nothing to do.
type Repair struct {
	At              time.Time
	Text, RequestID string
}

// WorkspaceQuery is KQL to paste.
type WorkspaceQuery struct{ Title, Text string }
