package templates

import (
	"time"
)

// Report is the ERRORS view of REPORT.
type Report struct {
	Frame
	// Next is what to do before there is something to list; nil where that is done.
	Next                            *NextStep
	RequestID, Text, Owner          string
	Steps, Codes, Types, Severities []Choice
	// Groups are the kinds of lines that the other filters leave.
	Groups   []ProblemGroup
	Problems []Problem
	Pager    Pager
	Filtered bool
	// Retriable is how many of the lines can be retried, RetryLink leads to the question.
	Retriable int64
	RetryLink string
	Ask       *Question
	// Here are the filters and the place of the list.
	Here string
	// CSV and JSON are the addresses of the files of an export.
	CSV, JSON []string
	// Empty says what it means that there is no line where nothing is filtered.
	Empty string
}

// ProblemGroup counts lines of a kind.
type ProblemGroup struct {
	Step, Code, Type, Remedy string
	Note, Chosen             bool
	Count                    int64
	Newest                   time.Time
	// Link shows the lines.
	Link string
}

// ProblemPage is one line of REPORT with all that is known of it.
type ProblemPage struct {
	Frame
	Problem Problem
	// List leads back to the list.
	List string
}

// Problem is a line of REPORT.
type Problem struct {
	ID                                  int64
	RequestID, Step, Code, Message, Raw string
	Added                               time.Time
	Note                                bool
	// Value, Type and Owner name the indicator; empty where the line is about none.
	Value, Type, Owner string
	// Indicator leads to it in ThreatConnect, LookUp to what the ledger knows of it.
	Indicator Link
	LookUp    string
	Remedy    string
}

// ActivityPage is the ACTIVITY view of REPORT.
type ActivityPage struct {
	Frame
	// Periods are how many days there are to choose from, Period is how many are shown.
	Periods []int
	Period  int
	// Days says which days are shown, Bars what a bar stands for.
	Days, Bars string
	Live       LivePanel
	Charts     []Chart
}

// LivePanel is how many objects stood in Microsoft Sentinel when they were last counted; AsOf is zero where they never were.
type LivePanel struct {
	AsOf          time.Time
	Total         int64
	Types, Owners []Share
}

// Share is a part of all objects. Share and Width are in per cent: of all objects, and of the largest part.
type Share struct {
	Name         string
	Objects      int64
	Share, Width string
	// Rest: it is what the other parts leave over.
	Rest bool
}

// IndicatorPage is the INDICATOR view of REPORT.
type IndicatorPage struct {
	Frame
	// Wanted is what was looked for, "" before anything was.
	Wanted  string
	Objects []KnownObject
	Errors  []Problem
}

// KnownObject is what the ledger knows of one object.
type KnownObject struct {
	ID, Pattern, Type, Name, State, Outlook string
	Stands                                  bool
	Created                                 *time.Time
	Candidates                              []KnownCandidate
	Sends                                   []KnownSend
}

// KnownCandidate is who gives an object, or would. Query 0 was deleted.
type KnownCandidate struct {
	Query         int
	Indicator     Link
	Owner, Reason string
	Wins          bool
}

// KnownSend is one time that Microsoft Sentinel accepted an object.
type KnownSend struct {
	At        time.Time
	RequestID string
	Retired   bool
	Indicator Link
}
