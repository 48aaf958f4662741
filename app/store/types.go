package store

import (
	"errors"
	"time"
)

// Errors that callers tell apart.
var (
	// ErrNotFound: no such query, job or error line.
	ErrNotFound = errors.New("not found")
	// ErrOutdated: the list of queries was changed since the version that the caller read.
	ErrOutdated = errors.New("the list of queries was changed by someone else")
	// ErrState: the job is not in a state that allows what was asked.
	ErrState = errors.New("the job is not in a state that allows this")
)

// Query is one line of CONFIGURE. Its ID is its identity: it survives a change of rank, and the ledger refers to it.
type Query struct {
	ID            string   `json:"id"`
	Rank          int      `json:"rank"`
	Owners        []string `json:"owners"`
	Types         []string `json:"types"`
	TQL           string   `json:"tql"`
	SortField     string   `json:"sort_field"`
	SortDirection string   `json:"sort_direction"`
	// Version changes when what the query selects changes.
	Version string `json:"version"`
}

// JobType says who asked for a job.
type JobType string

// The two job types, in ThreatConnect's words.
const (
	Scheduled JobType = "scheduled"
	AdHoc     JobType = "ad-hoc"
)

// Mode says how much a job reads and sends.
type Mode string

// The modes of an update.
const (
	Delta     Mode = "delta"
	Full      Mode = "full"
	Reconcile Mode = "reconcile"
)

// Status is a job's state in the words that ThreatConnect operators know.
type Status string

// The statuses, in the order in which a job passes through them.
const (
	Pending              Status = "Pending"
	DownloadInProgress   Status = "Download In Progress"
	DownloadComplete     Status = "Download Complete"
	ConvertInProgress    Status = "Convert In Progress"
	ConvertComplete      Status = "Convert Complete"
	UploadInProgress     Status = "Upload In Progress"
	ConfirmationRequired Status = "Confirmation Required"
	UploadComplete       Status = "Upload Complete"
	Failed               Status = "Failed"
	Cancelled            Status = "Cancelled"
)

// Statuses lists all of them for a filter.
var Statuses = []Status{Pending, DownloadInProgress, DownloadComplete, ConvertInProgress, ConvertComplete,
	UploadInProgress, ConfirmationRequired, UploadComplete, Failed, Cancelled}

// Open says that the job is not over: it waits for its turn, for a worker or for the operator.
func (s Status) Open() bool { return s == Pending || s == ConfirmationRequired || s.Active() }

// Active says that a worker has the job in hand.
func (s Status) Active() bool {
	switch s {
	case DownloadInProgress, DownloadComplete, ConvertInProgress, ConvertComplete, UploadInProgress:
		return true
	}
	return false
}

// Job is one update. Times are UTC; nil is "not yet". CountDownloaded and CountInvalid count
// ThreatConnect indicators, the other counts STIX objects.
type Job struct {
	// Number is the job's place in the order of creation; the ledger refers to it.
	Number               int64      `json:"-"`
	RequestID            string     `json:"request_id"`
	JobType              JobType    `json:"job_type"`
	Mode                 Mode       `json:"mode"`
	Status               Status     `json:"status"`
	Message              string     `json:"message"`
	DateQueued           time.Time  `json:"date_queued"`
	DateStarted          *time.Time `json:"date_started"`
	DateDownloadStart    *time.Time `json:"date_download_start"`
	DateDownloadComplete *time.Time `json:"date_download_complete"`
	DateConvertStart     *time.Time `json:"date_convert_start"`
	DateConvertComplete  *time.Time `json:"date_convert_complete"`
	DateUploadStart      *time.Time `json:"date_upload_start"`
	DateUploadComplete   *time.Time `json:"date_upload_complete"`
	DateCompleted        *time.Time `json:"date_completed"`
	DateFailed           *time.Time `json:"date_failed"`
	// WindowStart and WindowEnd bound lastModified: start included, end not. A full update has no start.
	WindowStart *time.Time `json:"last_modified_filter_start"`
	WindowEnd   *time.Time `json:"last_modified_filter_end"`
	// FailureCount counts failed attempts; RetryAfter is when a pending job may run again.
	FailureCount int        `json:"failure_count"`
	RetryAfter   *time.Time `json:"retry_after"`
	Counts
	// CountRetirementHeld is how many objects wait for the operator's answer (Confirmation Required).
	CountRetirementHeld int64 `json:"count_retirement_held"`
	// CountOtherErrors is how many lines of REPORT the other counts leave out: a query that could not be read, for example.
	CountOtherErrors int64 `json:"count_other_errors"`
}

// Counts is what a job did.
type Counts struct {
	Downloaded int64 `json:"count_downloaded" db:"count_downloaded"`
	Invalid    int64 `json:"count_invalid" db:"count_invalid"`
	// Duplicate objects lost to a copy from a higher query, or an earlier row of the same.
	Duplicate int64 `json:"count_duplicate" db:"count_duplicate"`
	// Unchanged objects stand in Sentinel as they are and were not sent.
	Unchanged int64 `json:"count_unchanged" db:"count_unchanged"`
	// Queued objects were handed to Upload.
	Queued   int64 `json:"count_queued" db:"count_queued"`
	Uploaded int64 `json:"count_uploaded" db:"count_uploaded"`
	Rejected int64 `json:"count_rejected" db:"count_rejected"`
	Retired  int64 `json:"count_retired" db:"count_retired"`
}

// JobDetail is a count per query and type, for the job's details.
type JobDetail struct {
	QueryID string `json:"query_id" db:"query_id"`
	Type    string `json:"type" db:"type"`
	Counts
}

// JobFilter selects jobs, newest first. Zero members select everything.
type JobFilter struct {
	// RequestID is part of a request ID.
	RequestID string
	Statuses  []Status
	JobType   JobType
	Offset    int
	// Limit is 1 to 500; 0 means 50.
	Limit int
}

// Problem is one line of REPORT: what was not sent and why.
type Problem struct {
	ID        int64     `json:"id"`
	RequestID string    `json:"request_id"`
	DateAdded time.Time `json:"date_added"`
	// Step is Download, Convert or Upload.
	Step string `json:"step"`
	// Code groups problems of a kind, for example "invalid-value".
	Code    string `json:"code"`
	Message string `json:"message"`
	// Raw is the object concerned, as JSON; empty where there is none.
	Raw string `json:"raw"`
	// Note: the object was sent all the same.
	Note bool `json:"note"`
}

// ProblemFilter selects lines of REPORT, newest first.
type ProblemFilter struct {
	// RequestID is part of a request ID.
	RequestID string
	Step      string
	Code      string
	// Text is part of the message or the raw object.
	Text   string
	Offset int
	// Limit is 1 to 500; 0 means 50.
	Limit int
}
