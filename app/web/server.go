package web

import (
	"context"
	"log/slog"
	"sync/atomic"
	"time"

	"mssentinel/app/doctor"
	"mssentinel/app/job"
	"mssentinel/app/ledger"
	"mssentinel/app/pipeline"
	"mssentinel/app/store"
	"mssentinel/app/threatconnect"
	"mssentinel/templates"
)

const (
	// timeLimit bounds every request. It is shorter than the platform waits (app/docs/platform.md#time-limits).
	timeLimit = 25 * time.Second
	// testLimit bounds a test of a connection, so that its page can say what was found by then.
	testLimit = timeLimit - 2*time.Second
	// maxBody bounds a request body in bytes. A list of 500 long queries fits.
	maxBody = 4 << 20
)

// QueryStore keeps the list of queries. Its version is another after every save.
type QueryStore interface {
	Queries(ctx context.Context) (queries []store.Query, version string, err error)
	// SaveQueries is refused with store.ErrOutdated unless version is "" or the present one.
	SaveQueries(ctx context.Context, queries []store.Query, version string, next job.Mode, by string) (newVersion string, err error)
	// ListVersions are the last lists as they were saved, the newest first; ListVersion is one of them with its queries.
	ListVersions(ctx context.Context) ([]store.ListVersion, error)
	ListVersion(ctx context.Context, number int64) (store.ListVersion, []store.Query, error)
	// QueryTotals is what the saved queries gave.
	QueryTotals(ctx context.Context) (store.QueryTotals, error)
	// CountLeaving is how many live objects only the queries with these ids give.
	CountLeaving(ctx context.Context, ids []string, now time.Time) (int64, error)
}

// JobStore is what JOBS reads. An unknown job is store.ErrNotFound.
type JobStore interface {
	Jobs(ctx context.Context, f store.JobFilter) (jobs []job.Job, total int64, err error)
	Job(ctx context.Context, requestID string) (job.Job, error)
	JobQueries(ctx context.Context, requestID string) ([]store.QueryCounts, error)
	JobDetails(ctx context.Context, requestID, query string) ([]job.Detail, error)
	Attempts(ctx context.Context, requestID string) ([]job.Attempt, error)
	LastEnded(ctx context.Context) (j job.Job, found bool, err error)
	// EachHeld and SummarizeHeld are job.ErrState where the job asks nothing.
	EachHeld(ctx context.Context, requestID string, f store.HeldFilter, after int64, now time.Time, handle func(store.Held) (more bool, err error)) error
	SummarizeHeld(ctx context.Context, requestID string, part int64, now time.Time) (store.HeldSummary, error)
}

// ProblemStore is what REPORT reads. An unknown line is store.ErrNotFound.
type ProblemStore interface {
	Problems(ctx context.Context, f store.ProblemFilter) (problems []job.Problem, total int64, err error)
	Problem(ctx context.Context, id int64) (job.Problem, error)
	ProblemGroups(ctx context.Context, f store.ProblemFilter) (groups []store.ProblemGroup, newest int64, err error)
	EachProblem(ctx context.Context, f store.ProblemFilter, limit int, handle func(job.Problem) error) error
}

// ActivityStore is what ACTIVITY reads. Days are UTC.
type ActivityStore interface {
	Activity(ctx context.Context, from, to time.Time) (store.Activity, error)
	LiveTotals(ctx context.Context) (store.LiveTotals, error)
}

// Store is what the screens read and write.
type Store interface {
	QueryStore
	JobStore
	ProblemStore
	ActivityStore
}

// JobRunner takes commands to jobs. Errors wrap store.ErrNotFound for an unknown job, and job.ErrState for one that
// cannot take the command now.
type JobRunner interface {
	Submit(ctx context.Context, r job.Request) (job.Job, error)
	Cancel(ctx context.Context, requestID string) error
	Retry(ctx context.Context, requestID string) error
	AnswerRetirement(ctx context.Context, requestID string, confirm bool) error
	// RetryProblems is pipeline.ErrNothingToRetry where none of the lines can be retried.
	RetryProblems(ctx context.Context, f store.ProblemFilter) (j job.Job, lines int64, err error)
	Progress() pipeline.Progress
}

// TaskRunner takes commands to tasks. Errors wrap store.ErrNotFound for an unknown task, and job.ErrState for one that
// is paused and cannot run.
type TaskRunner interface {
	Tasks() []pipeline.Task
	// TaskRuns tells by their slugs for how long the tasks were at work. One that did not run is left out.
	TaskRuns(ctx context.Context) (map[string]pipeline.Runs, error)
	RunTask(ctx context.Context, slug string) error
	PauseTask(ctx context.Context, slug string, paused bool) error
	KillTask(ctx context.Context, slug string) error
}

// Verifier compares what stands in Microsoft Sentinel with what was sent, and puts right what differs. Errors wrap
// pipeline.ErrAtWork while a verification runs, and pipeline.ErrNotAtWork where none does.
type Verifier interface {
	Verify(ctx context.Context, all bool) error
	CancelVerification() error
	LastVerification(ctx context.Context) (store.Verification, error)
	Verification(ctx context.Context) (pipeline.Verification, error)
	// SendAgain and RetireUnexpected give the job that does it, for how many objects. Their errors wrap pipeline.ErrNoDifference
	// where nothing is left, and that of RetireUnexpected pipeline.ErrNotReadYet before an update has read everything.
	SendAgain(ctx context.Context) (j job.Job, objects int64, err error)
	RetireUnexpected(ctx context.Context) (j job.Job, objects int64, err error)
}

// Pipeline is what runs the jobs.
type Pipeline interface {
	JobRunner
	TaskRunner
	Verifier
	// Overview tells how the updates stand. It is asked for each page, and has to be cheap.
	Overview(ctx context.Context) (pipeline.Overview, error)
	Preview(ctx context.Context, q threatconnect.Query, settings ledger.Settings) (pipeline.Preview, error)
	// Lookup tells what is known of a value, or of an id of ThreatConnect or STIX.
	Lookup(ctx context.Context, wanted string) ([]store.Known, error)
	// QueriesSaved tells that an update may have become due.
	QueriesSaved()
	// BeginPage has the updates give way to a page until done is called.
	BeginPage() (done func())
	// Trouble is what keeps the Service from its work, with the remedy; "" while nothing does.
	Trouble() string
}

// ThreatConnect is what the query editor asks.
type ThreatConnect interface {
	Owners(ctx context.Context) ([]threatconnect.Owner, error)
	Count(ctx context.Context, q threatconnect.Query) (int64, error)
}

// Options is what the screens stand on. All members are required but Caller.
type Options struct {
	Store         Store
	Pipeline      Pipeline
	ThreatConnect ThreatConnect
	// Doctor asks how the outside world behaves. It runs as the task doctor of Pipeline.
	Doctor *doctor.Doctor
	// ObjectsPerSecond is how many Sentinel's limit allows to be sent; 0 where there is no limit.
	ObjectsPerSecond float64
	// Types are the indicator types that an installed mapper takes, under ThreatConnect's names.
	Types   []string
	Version string
	// Caller names who made the request of a context, "" where that is not known; nil where it never is.
	Caller func(ctx context.Context) string
	// Settings are what the Service was given, without secrets, and what it is made of.
	Settings []SettingGroup
	// Connections can be tested on SETTINGS.
	Connections []Connection
	// Source is the name under which Sentinel lists the indicators.
	Source string
	// ThreatConnectPages is the address that ThreatConnect's pages are below, "" where it is not known.
	ThreatConnectPages string
	// Key signs the tokens of the forms and the unsaved lists. Where it is another than before, open pages ask to be
	// reloaded.
	Key    []byte
	Logger *slog.Logger
}

// SettingGroup is a part of what SETTINGS shows.
type SettingGroup = templates.SettingGroup

// Setting is a value that SETTINGS shows.
type Setting = templates.Setting

// Connection is a service outside that a person can have tested. A test ends with ctx.
type Connection struct {
	// Slug names it in forms, Name to people.
	Slug, Name string
	// Test says what was found, in sentences, with the remedy where it does not work.
	Test func(ctx context.Context) (works bool, found []string)
}

// server has the handlers of all routes as its methods.
type server struct {
	Options
	started time.Time
	echo    doctor.Echo
	// owners are what ThreatConnect listed last; nil before the first answer.
	owners atomic.Pointer[ownerList]
	held   heldCache
	tests  connectionTests
	// hasUpdated: an update was complete once, so that nobody needs the first steps any more.
	hasUpdated atomic.Bool
	// answered are the questions on JOBS that were answered.
	answered answeredForms
}
