// Package web serves the four screens and the same as JSON. Everything it answers works under any path prefix:
// each URL it writes is relative, and no state lives in a cookie.
package web

import (
	"context"
	"encoding/json"
	"io"
	"log/slog"
	"net/http"
	"runtime/debug"
	"sync/atomic"
	"time"

	"github.com/labstack/echo/v4"

	"mssentinel/app/job"
	"mssentinel/app/store"
	"mssentinel/app/threatconnect"
	"mssentinel/templates"
)

const (
	// timeLimit bounds every request: the platform drops an answer after 30 s.
	timeLimit = 25 * time.Second
	// saveLimit bounds what is asked before a save, so that the save itself still fits.
	saveLimit = 20 * time.Second
	// maxBody bounds a request body in bytes. A list of 500 long queries fits.
	maxBody = 4 << 20
	// maxQueries bounds the list of queries.
	maxQueries = 500
)

// Store is what the screens read and write.
type Store interface {
	Queries(ctx context.Context) (queries []store.Query, version string, err error)
	SaveQueries(ctx context.Context, queries []store.Query, version string, next job.Mode) (newVersion string, err error)
	Jobs(ctx context.Context, f store.JobFilter) (jobs []job.Job, total int64, err error)
	Job(ctx context.Context, requestID string) (job.Job, error)
	JobDetails(ctx context.Context, requestID string) ([]job.Detail, error)
	Problems(ctx context.Context, f store.ProblemFilter) (problems []job.Problem, total int64, err error)
	Problem(ctx context.Context, id int64) (job.Problem, error)
}

// Pipeline is what runs the jobs. Errors wrap store.ErrNotFound for an unknown task or job, and job.ErrState
// for a job that cannot take the command now.
type Pipeline interface {
	Tasks() []Task
	RunTask(ctx context.Context, slug string) error
	PauseTask(ctx context.Context, slug string, paused bool) error
	KillTask(ctx context.Context, slug string) error
	Submit(ctx context.Context, mode job.Mode) (job.Job, error)
	Cancel(ctx context.Context, requestID string) error
	Retry(ctx context.Context, requestID string) error
	AnswerRetirement(ctx context.Context, requestID string, confirm bool) error
	Progress() Progress
	QueriesSaved()
	Preview(ctx context.Context, q threatconnect.Query) (Preview, error)
	Trouble() string
}

// ThreatConnect is what the query editor asks.
type ThreatConnect interface {
	Owners(ctx context.Context) ([]threatconnect.Owner, error)
	Count(ctx context.Context, q threatconnect.Query) (int64, error)
}

// Task is a worker of the pipeline as TASKS shows it. Zero times are "not yet" or "not planned".
type Task struct {
	Name        string
	Slug        string
	Description string
	// Status is Running, Paused or Idle.
	Status                          string
	Paused                          bool
	Schedule                        string
	HeartbeatTimeout                time.Duration
	LastHeartbeat, LastRun, NextRun time.Time
	// Detail says what the task does just now.
	Detail string
}

// Progress is the state of the job that runs; an empty RequestID means that none does.
// Expected and Downloaded count ThreatConnect indicators, the rest STIX objects.
type Progress struct {
	RequestID  string
	Stage      string
	Expected   int64
	Downloaded int64
	Converted  int64
	Queued     int64
	Uploaded   int64
	// Rate is in objects a second.
	Rate float64
	// WaitUntil is zero where it is not known how long the job waits.
	WaitUntil  time.Time
	WaitReason string
	// Remaining is 0 while it is unknown.
	Remaining time.Duration
}

// Preview is what a query would send, nothing of which is kept.
type Preview struct {
	TotalCount    int
	ReturnedCount int
	Cap           int
	Truncated     bool
	Objects       []json.RawMessage
	Problems      []string
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
	// Key signs the tokens of the forms. It may be new at every start: open pages then ask to be reloaded.
	Key    []byte
	Logger *slog.Logger
}

type server struct {
	Options
	started time.Time
	owners  atomic.Pointer[[]string] // as ThreatConnect listed them last
}

// New gives the handler for all routes. Paths are relative to the Service's root.
func New(o Options) http.Handler {
	s := &server{Options: o, started: time.Now()}

	e := echo.New()
	e.HideBanner, e.HidePort = true, true
	e.HTTPErrorHandler = s.answerError
	e.Logger.SetOutput(io.Discard) // what matters goes to the Service's log
	e.Pre(normalisePath)
	e.Use(secure, s.surviveFault, bound, guardAPI)

	e.GET("/", root)
	e.GET("/v1", stray)
	e.GET("/v1/*", stray)
	e.GET("/ui", s.uiRoot)
	e.GET("/static/:hash/:file", echo.WrapHandler(http.StripPrefix("/static/", templates.Static())))
	s.routeAPI(e.Group("/api"))
	s.routePages(e.Group("/ui"))
	return e
}

func (s *server) routeAPI(g *echo.Group) {
	g.GET("/health", s.health)
	g.GET("/tc_info", s.info)
	g.GET("/tql-config", s.queries)
	g.POST("/tql-config", s.saveQueries)
	g.POST("/tql-config/test", s.testQuery)
	g.POST("/tql-config/preview", s.previewQuery)
	g.GET("/job/request", s.jobs)
	g.POST("/job/request", s.submitJob)
	g.POST("/job/request/:id/retirement", s.answerRetirement)
	g.DELETE("/job/request/:id", s.cancelJob)
	g.POST("/job/request/:id/retry", s.retryJob)
	g.GET("/task", s.tasks)
	g.PUT("/task/:slug", s.commandTask)
	g.DELETE("/task/:slug", s.killTask)
	g.GET("/report/batch-error", s.problems)
}

func (s *server) routePages(g *echo.Group) {
	g.GET("/", s.configurePage)
	g.GET("/preview", s.previewPage)
	g.GET("/export", s.exportQueries)
	g.GET("/edit", s.editPage)
	g.POST("/edit", s.edit)
	g.GET("/jobs", s.jobsPage)
	g.POST("/jobs", s.jobsAction)
	g.GET("/tasks", s.tasksPage)
	g.POST("/tasks", s.tasksAction)
	g.GET("/report", s.reportPage)
}

// surviveFault keeps a fault of one page from ending the Service, and leaves a trace of it.
func (s *server) surviveFault(next echo.HandlerFunc) echo.HandlerFunc {
	return func(c echo.Context) (err error) {
		defer func() {
			if fault := recover(); fault != nil {
				s.Logger.Error("a page failed", "path", c.Request().URL.Path, "fault", fault, "stack", string(debug.Stack()))
				err = echo.NewHTTPError(http.StatusInternalServerError, "This page failed. The log says why.")
			}
		}()
		return next(c)
	}
}
