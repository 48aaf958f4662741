package web

import (
	"context"
	"log/slog"
	"sync/atomic"
	"time"

	"mssentinel/app/job"
	"mssentinel/app/pipeline"
	"mssentinel/app/store"
	"mssentinel/app/threatconnect"
)

const (
	// timeLimit bounds every request. It is shorter than the platform waits (app/docs/platform.md#time-limits).
	timeLimit = 25 * time.Second
	// maxBody bounds a request body in bytes. A list of 500 long queries fits.
	maxBody = 4 << 20
)

// QueryStore keeps the list of queries. Its version is another after every save.
type QueryStore interface {
	Queries(ctx context.Context) (queries []store.Query, version string, err error)
	// SaveQueries is refused with store.ErrOutdated unless version is "" or the present one.
	SaveQueries(ctx context.Context, queries []store.Query, version string, next job.Mode) (newVersion string, err error)
}

// JobStore is what JOBS reads. An unknown job is store.ErrNotFound.
type JobStore interface {
	Jobs(ctx context.Context, f store.JobFilter) (jobs []job.Job, total int64, err error)
	Job(ctx context.Context, requestID string) (job.Job, error)
	JobDetails(ctx context.Context, requestID string) ([]job.Detail, error)
}

// ProblemStore is what REPORT reads. An unknown line is store.ErrNotFound.
type ProblemStore interface {
	Problems(ctx context.Context, f store.ProblemFilter) (problems []job.Problem, total int64, err error)
	Problem(ctx context.Context, id int64) (job.Problem, error)
}

// Store is what the screens read and write.
type Store interface {
	QueryStore
	JobStore
	ProblemStore
}

// JobRunner takes commands to jobs. Errors wrap store.ErrNotFound for an unknown job, and job.ErrState for one that
// cannot take the command now.
type JobRunner interface {
	Submit(ctx context.Context, mode job.Mode) (job.Job, error)
	Cancel(ctx context.Context, requestID string) error
	Retry(ctx context.Context, requestID string) error
	AnswerRetirement(ctx context.Context, requestID string, confirm bool) error
	Progress() pipeline.Progress
}

// TaskRunner takes commands to tasks. Errors wrap store.ErrNotFound for an unknown task, and job.ErrState for one that
// is paused and cannot run.
type TaskRunner interface {
	Tasks() []pipeline.Task
	RunTask(ctx context.Context, slug string) error
	PauseTask(ctx context.Context, slug string, paused bool) error
	KillTask(ctx context.Context, slug string) error
}

// Pipeline is what runs the jobs.
type Pipeline interface {
	JobRunner
	TaskRunner
	Preview(ctx context.Context, q threatconnect.Query) (pipeline.Preview, error)
	// QueriesSaved tells that an update may have become due.
	QueriesSaved()
	// Trouble is what keeps the Service from its work, with the remedy; "" while nothing does.
	Trouble() string
}

// ThreatConnect is what the query editor asks.
type ThreatConnect interface {
	Owners(ctx context.Context) ([]threatconnect.Owner, error)
	Count(ctx context.Context, q threatconnect.Query) (int64, error)
}

// Options is what the screens stand on. All members are required.
type Options struct {
	Store         Store
	Pipeline      Pipeline
	ThreatConnect ThreatConnect
	// Types are the indicator types that an installed mapper takes, under ThreatConnect's names.
	Types   []string
	Version string
	// Source is the name under which Sentinel lists the indicators.
	Source string
	// Key signs the tokens of the forms and the unsaved lists. Where it is another than before, open pages ask to be
	// reloaded.
	Key    []byte
	Logger *slog.Logger
}

// server has the handlers of all routes as its methods.
type server struct {
	Options
	started time.Time
	// owners are the names of the owners as ThreatConnect listed them last; nil before the first answer.
	owners atomic.Pointer[[]string]
}
