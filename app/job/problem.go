package job

import (
	"time"

	"mssentinel/app/mask"
	"mssentinel/app/text"
)

// Step is the stage in which a problem came up.
type Step string

// The steps, in the order in which an indicator passes through them.
const (
	StepDownload Step = "Download"
	StepConvert  Step = "Convert"
	StepUpload   Step = "Upload"
)

// Steps lists them.
var Steps = []Step{StepDownload, StepConvert, StepUpload}

// Code groups problems of a kind.
type Code string

// The codes of problems.
const (
	// CodeUpdateFailed: an attempt at an update failed as a whole.
	CodeUpdateFailed Code = "update-failed"
	// CodeQueryFailed: a query could not be read completely.
	CodeQueryFailed Code = "query-failed"
	// CodeListFailed: the list of what was deleted or set inactive in an owner could not be read.
	CodeListFailed Code = "list-failed"
	// CodeUnreadable: an indicator in ThreatConnect's answer is too large or damaged, or has no id and cannot be told from others.
	CodeUnreadable Code = "unreadable"
	// CodeNoMapper: no installed mapper takes the indicator's type.
	CodeNoMapper Code = "no-mapper"
	// CodeInvalidValue: the mapper found no object in the indicator, or one less than it should give.
	CodeInvalidValue Code = "invalid-value"
	// CodeMapperFailed: the mapper died, or broke its contract, on the indicator.
	CodeMapperFailed Code = "mapper-failed"
	// CodeRejected: Sentinel named the object and said what is wrong with it.
	CodeRejected Code = "sentinel-rejected"
	// CodeBatchRejected: Sentinel, or what stands between, refused every request that held the object, even it alone.
	CodeBatchRejected Code = "batch-rejected"
	// CodeNote: the object was sent, and something about it is worth knowing.
	CodeNote Code = "note"
)

// Problem is one line of REPORT: what was not sent and why, or, as a note, what was sent and is worth knowing.
type Problem struct {
	ID        int64
	RequestID string
	DateAdded time.Time
	Step      Step
	Code      Code
	Message   string
	// Subject is the indicator that the line is about.
	Subject
	// Raw is the object concerned, as JSON; "" where there is none.
	Raw string
	// Note: the object was sent all the same.
	Note bool
}

// Subject names an indicator of ThreatConnect; it is zero where a line of REPORT is about none.
type Subject struct {
	Indicator          int64 // its id
	Type, Value, Owner string
}

// MaxValue bounds the value of a subject in bytes.
const MaxValue = 500

// Bounds of a line of REPORT, in bytes. MaxMessage is also that of a job's message.
const (
	MaxMessage = 4 << 10
	MaxRaw     = 16 << 10
)

// Bounded is the problem with its texts cut to their bounds, and made text that a page can show. What looks like a secret in
// the message is masked; the object concerned stays as it is.
func (p Problem) Bounded() Problem {
	p.Message, p.Raw = text.Cut(mask.Text(p.Message), MaxMessage), text.Cut(text.JSON(p.Raw), MaxRaw)
	p.Type, p.Value, p.Owner = text.Line(p.Type, MaxValue), text.Line(p.Value, MaxValue), text.Line(p.Owner, MaxValue)
	return p
}
