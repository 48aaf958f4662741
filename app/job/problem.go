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
	// CodeQueryFailed: a query could not be read completely.
	CodeQueryFailed Code = "query-failed"
	// CodeUnreadable: an indicator in ThreatConnect's answer is too large or damaged, or has no id and cannot be told from others.
	CodeUnreadable Code = "unreadable"
	// CodeNoMapper: no installed mapper takes the indicator's type.
	CodeNoMapper Code = "no-mapper"
	// CodeInvalidValue: the mapper found no object in the indicator, or one less than it should give.
	CodeInvalidValue Code = "invalid-value"
	// CodeMapperFailed: the mapper died, or broke its contract, on the indicator.
	CodeMapperFailed Code = "mapper-failed"
	// CodeNote: the object was sent, and something about it is worth knowing.
	CodeNote Code = "note"
)

// Problem is one line of REPORT: what was not sent and why, or, as a note, what was sent and is worth knowing.
type Problem struct {
	ID        int64
	RequestID string
	DateAdded time.Time
	Step      Step
	// Code is one of the codes above, or one of Upload's.
	Code    Code
	Message string
	// Raw is the object concerned, as JSON; "" where there is none.
	Raw string
	// Note: the object was sent all the same.
	Note bool
}

// Bounds of a line of REPORT, in bytes. MaxMessage is also that of a job's message.
const (
	MaxMessage = 4 << 10
	MaxRaw     = 16 << 10
)

// Bounded is the problem with its texts cut to their bounds, and made text that a page can show. What looks like a secret in
// the message is masked; the object concerned stays as it is.
func (p Problem) Bounded() Problem {
	p.Message, p.Raw = text.Cut(mask.Text(p.Message), MaxMessage), text.Cut(text.JSON(p.Raw), MaxRaw)
	return p
}
