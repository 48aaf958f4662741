// Package job is the life of a job: what an update is, the statuses it passes through, and each transition between them as a
// method that says from which statuses it may come. Nothing else changes a status. The package reads no clock and knows no
// database; the map of the statuses is drawn in app/docs/architecture.md#the-life-of-a-job.
package job

import (
	"errors"
	"fmt"
	"slices"
	"time"

	"mssentinel/app/text"
)

// ErrState is wrapped by every transition that is not allowed from the job's present status. The job is unchanged then.
var ErrState = errors.New("the job is not in a state that allows this")

// Type says who asked for a job.
type Type string

// The two job types, in ThreatConnect's words.
const (
	Scheduled Type = "scheduled"
	AdHoc     Type = "ad-hoc"
)

// Mode says how much a job reads and sends.
type Mode string

// The modes of an update.
const (
	// Delta reads what changed since the last update and sends what is newer or different.
	Delta Mode = "delta"
	// Full reads everything and sends it again.
	Full Mode = "full"
	// Reconcile reads everything and sends what differs from the ledger.
	Reconcile Mode = "reconcile"
)

// Modes lists all of them.
var Modes = []Mode{Delta, Full, Reconcile}

// ReadsAll says that the mode reads everything that the queries select, and so decides anew which copy of an object wins.
func (m Mode) ReadsAll() bool { return m != Delta }

// Status is where a job stands, in the words that ThreatConnect's operators know.
type Status string

// The statuses, in the order in which a job passes through them.
const (
	// Pending: the job waits for its turn, or until [Job.RetryAfter] after a failure.
	Pending Status = "Pending"
	// DownloadInProgress: an attempt reads ThreatConnect; what was read is mapped and uploaded meanwhile.
	DownloadInProgress Status = "Download In Progress"
	// DownloadComplete: everything was read and handed to Convert.
	DownloadComplete Status = "Download Complete"
	// ConvertInProgress: everything that was read is in the ledger; what nobody gives any more is being retired.
	ConvertInProgress Status = "Convert In Progress"
	// ConvertComplete: all that the job sends is in the outbox.
	ConvertComplete Status = "Convert Complete"
	// UploadInProgress: the rest of the outbox is on its way.
	UploadInProgress Status = "Upload In Progress"
	// ConfirmationRequired: the update is complete but for retirements that the operator has to confirm or dismiss.
	ConfirmationRequired Status = "Confirmation Required"
	// UploadComplete: everything stands in Sentinel or on REPORT.
	UploadComplete Status = "Upload Complete"
	// Failed: the job is not tried again by itself.
	Failed Status = "Failed"
	// Cancelled: an operator ended the job; what it had queued and was not sent is dropped.
	Cancelled Status = "Cancelled"
)

// Statuses lists all of them, in that order.
var Statuses = []Status{Pending, DownloadInProgress, DownloadComplete, ConvertInProgress, ConvertComplete,
	UploadInProgress, ConfirmationRequired, UploadComplete, Failed, Cancelled}

// ActiveStatuses are those of a job that an attempt has in hand, or had when the process ended.
var ActiveStatuses = []Status{DownloadInProgress, DownloadComplete, ConvertInProgress, ConvertComplete, UploadInProgress}

// EndedStatuses are those of a job that is over.
var EndedStatuses = []Status{UploadComplete, Failed, Cancelled}

// Active says that an attempt has the job in hand.
func (s Status) Active() bool { return slices.Contains(ActiveStatuses, s) }

// Open says that the job is not over: it waits for its turn, for a worker or for the operator.
func (s Status) Open() bool { return !slices.Contains(EndedStatuses, s) }

// Request is what a job is queued for. From and To make a delta update one for a range: it reads what was modified from
// From to To, that not included, moves no marks and retires nothing. Both are zero for any other update.
type Request struct {
	Type     Type
	Mode     Mode
	From, To time.Time
}

// HasRange says that the request is one for a range.
func (r Request) HasRange() bool { return !r.From.IsZero() || !r.To.IsZero() }

// Check says what is wrong with a request, in a sentence for the one who made it; nil where nothing is.
func (r Request) Check(now time.Time) error {
	switch {
	case !slices.Contains(Modes, r.Mode):
		return fmt.Errorf("there is no mode %q: use delta, full or reconcile", text.Line(string(r.Mode), 100))
	case !r.HasRange():
		return nil
	case r.Mode != Delta:
		return fmt.Errorf("a %s update takes no range: use delta, or leave from and to out", r.Mode)
	case r.From.IsZero():
		return errors.New("the range has no beginning: say from when")
	case r.To.IsZero():
		return errors.New("the range has no end: say until when")
	case !r.From.Before(r.To):
		return errors.New("the range ends before it begins: let it end later")
	case r.From.After(now):
		return errors.New("the range begins in the future: nothing was modified then")
	}
	return nil
}

// Job is one update. Times are UTC; nil is "not yet".
type Job struct {
	// Number is the job's place in the order of creation; the ledger refers to it.
	Number int64
	// RequestID is a UUID, by which the screens and the API name the job.
	RequestID string
	Type      Type
	Mode      Mode
	Status    Status
	// Message says what was not as it should be, with the remedy; "" where everything was.
	Message              string
	DateQueued           time.Time
	DateStarted          *time.Time
	DateDownloadStart    *time.Time
	DateDownloadComplete *time.Time
	DateConvertStart     *time.Time
	DateConvertComplete  *time.Time
	DateUploadStart      *time.Time
	DateUploadComplete   *time.Time
	DateCompleted        *time.Time
	DateFailed           *time.Time
	// Ranged: the window is a range that was asked for; see [Request].
	Ranged bool
	// WindowStart and WindowEnd bound lastModified: start included, end not. An update that reads everything has no start.
	WindowStart *time.Time
	WindowEnd   *time.Time
	// Attempt is the number of the present attempt, 0 before the first. No two attempts, of whichever jobs, share a number.
	Attempt int64
	// FailureCount counts failed attempts since the job was last queued; RetryAfter is when a pending job may run again.
	FailureCount int
	RetryAfter   *time.Time
	Counts
	// RetirementsHeld is how many objects the present attempt asks about instead of retiring them; see [Job.Question].
	RetirementsHeld int64
	// OtherErrors is how many lines of REPORT of the last attempt the other counts leave out: a query that could not be read,
	// for example, or why the attempt failed.
	OtherErrors int64
}

// Question is how many objects wait for the operator's answer: 0 unless the job is in [ConfirmationRequired].
func (j Job) Question() int64 {
	if j.Status != ConfirmationRequired {
		return 0
	}
	return j.RetirementsHeld
}

// WasComplete says that everything the update was to read stands in Sentinel: nothing failed, was refused or is asked about.
func (j Job) WasComplete() bool {
	return j.Status == UploadComplete && j.Message == "" && j.Invalid+j.Rejected+j.OtherErrors == 0
}

// Attempt is one attempt at a job.
type Attempt struct {
	Number  int64
	Started time.Time
	// Ended is nil while the attempt runs, and for ever when the end of the process cut it off.
	Ended *time.Time
	// Failure says why the attempt failed; "" where it did not.
	Failure string
}
