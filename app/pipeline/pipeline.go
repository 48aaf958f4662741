// Package pipeline carries out the jobs: what the saved queries select is downloaded from ThreatConnect, converted by the
// mappers, weighed against the ledger and uploaded to Microsoft Sentinel.
//
// Five tasks do the work, each with a goroutine of its own: Schedule Downloads queues jobs, Download takes one after the
// other and reads, Convert maps pages and writes them to the ledger and the outbox, Upload empties the outbox, Cleaner drops
// what is old. One job runs at a time; within it the stages overlap, joined by bounded queues.
//
// A job may be cut off at any instant, by a failure, a command, or the end of the process. What it did is in the store, and
// doing it again changes nothing: it starts over, under the same request ID.
package pipeline

import (
	"context"
	"errors"
	"fmt"
	"log/slog"
	"runtime"
	"sync"
	"sync/atomic"
	"time"

	"github.com/google/uuid"

	"mssentinel/app/job"
	"mssentinel/app/ledger"
	"mssentinel/app/mapping"
	"mssentinel/app/sentinel"
	"mssentinel/app/store"
	"mssentinel/app/threatconnect"
	"mssentinel/plugins/mapper"
)

// Defaults of [Options].
const (
	// DefaultLag keeps a window's end behind now: what ThreatConnect is just writing may not be visible yet.
	DefaultLag = 5 * time.Minute
	// DefaultOverlap is how much of the window before is read again.
	DefaultOverlap = 10 * time.Minute
)

// Store is the state that survives. Errors for which [store.Unavailable] is true left everything as it was.
type Store interface {
	SetDestination(ctx context.Context, workspace, source string) (store.DestinationChange, error)
	Schedule(ctx context.Context) (store.Schedule, error)
	RunQueries(ctx context.Context) ([]store.RunQuery, error)
	DeletedQueries(ctx context.Context) ([]store.RunQuery, error)

	AddJob(ctx context.Context, kind job.Type, mode job.Mode, now time.Time) (job.Job, error)
	NextJob(ctx context.Context, now time.Time) (job.Job, bool, error)
	BeginAttempt(ctx context.Context, requestID string, now, windowEnd time.Time) (job.Job, error)
	UpdateJob(ctx context.Context, requestID string, transition func(*job.Job) error) (job.Job, error)
	CompleteJob(ctx context.Context, requestID string, now time.Time, message string) (job.Job, error)
	CancelJob(ctx context.Context, requestID string, now time.Time) error

	Apply(ctx context.Context, b ledger.Batch) (job.Counts, error)
	Unseen(ctx context.Context, job, query int64, ids []int64) ([]int64, error)
	Forget(ctx context.Context, query int64, indicators []int64) error
	SweepDeparted(ctx context.Context, job int64, queries []int64) error
	OriginsOf(ctx context.Context, owner string, ids []uuid.UUID) ([]ledger.Origin, error)
	OriginsFor(ctx context.Context, indicators []int64) ([]ledger.Origin, error)
	Vacant(ctx context.Context, after int64, limit int) (candidates []ledger.Origin, next int64, err error)
	Retire(ctx context.Context, job int64, now time.Time) (store.Retirement, error)
	AnswerRetirement(ctx context.Context, requestID string, confirm bool, now time.Time) error
	SetMarks(ctx context.Context, job int64, queries []int64, end time.Time) error
	AddProblems(ctx context.Context, job int64, problems []job.Problem) error

	Outgoing(ctx context.Context, after int64, limit int) ([]store.Outgoing, error)
	OutboxSize(ctx context.Context) (rows int64, err error)
	Settle(ctx context.Context, s store.Settlement) error
	AddWait(ctx context.Context, day time.Time, d time.Duration) error

	PausedTasks(ctx context.Context) ([]string, error)
	SetPaused(ctx context.Context, slug string, paused bool) error
	Clean(ctx context.Context, now time.Time) error
}

// ThreatConnect is where indicators come from.
type ThreatConnect interface {
	Owners(ctx context.Context) ([]threatconnect.Owner, error)
	Download(ctx context.Context, s threatconnect.Selection, handle func(threatconnect.Page) error, unseen func(ids []int64) ([]int64, error)) error
	First(ctx context.Context, q threatconnect.Query, n int) (threatconnect.Page, error)
	Inactive(ctx context.Context, owners, types []string, since time.Time, handle func(ids []int64) error) error
	Deleted(ctx context.Context, owner string, since time.Time, handle func([]threatconnect.Deleted) error) error
}

// Sentinel is where objects go.
type Sentinel interface {
	Deliver(ctx context.Context, source string, objects [][]byte, report sentinel.Report) error
}

// Mappers turn indicators into objects, each of which passes its Check.
type Mappers interface {
	Types() []mapping.Type
	StartJob()
	Map(ctx context.Context, typ string, indicators [][]byte, now time.Time) ([]mapper.Answer, error)
}

// Options are what the pipeline stands on.
type Options struct {
	Store         Store
	ThreatConnect ThreatConnect
	Sentinel      Sentinel
	Mappers       Mappers
	// Workspace is the GUID of the workspace, Source the name under which it lists the indicators. What the ledger says
	// belongs to both.
	Workspace, Source string
	// Interval lies between scheduled updates.
	Interval time.Duration
	// FullInterval is how old the last complete read may get before a scheduled update becomes a reconcile; 0 is never.
	FullInterval time.Duration
	// TTL is the time to live by ThreatConnect's type. A type that is missing has the one its mapper names.
	TTL map[string]time.Duration
	// Lag and Overlap shape the window of an update; 0 stands for the defaults.
	Lag, Overlap time.Duration
	// Pace is how many objects a second the limit on requests allows, for the time left; 0 where there is no limit.
	Pace   float64
	Logger *slog.Logger
}

// Pipeline runs the jobs. Its methods may be called from any goroutine, before Run, during it and after.
type Pipeline struct {
	Options
	types map[string]mapping.Type

	scheduler, downloader, converter, uploader, cleaner *task

	// due asks the scheduler to queue an update now; hurry asks Download to take a job that waits for its next attempt.
	due, hurry atomic.Bool
	// chunks carries what Download read to Convert.
	chunks chan *chunk
	// maps holds a token for every call to a mapper.
	maps chan struct{}
	// between carries what must be done while no request is under way to Upload.
	between chan command
	// outbox is about how many rows wait for Upload; room tells that it became less.
	outbox atomic.Int64
	room   chan struct{}

	wait    wait
	trouble trouble

	mu  sync.Mutex
	run *run
}

// New makes a pipeline that does nothing until Run is called.
func New(o Options) *Pipeline {
	if o.Lag == 0 {
		o.Lag = DefaultLag
	}
	if o.Overlap == 0 {
		o.Overlap = DefaultOverlap
	}
	p := &Pipeline{
		Options: o,
		types:   map[string]mapping.Type{},
		chunks:  make(chan *chunk, 1),
		maps:    make(chan struct{}, runtime.GOMAXPROCS(0)),
		between: make(chan command),
		room:    make(chan struct{}, 1),
	}
	for _, t := range o.Mappers.Types() {
		p.types[t.Name] = t
	}
	p.newTasks()
	return p
}

// Run works until ctx ends, then lets the requests that are under way finish and returns. A job that is cut off goes on at
// the next start.
func (p *Pipeline) Run(ctx context.Context) error {
	if err := p.prepare(ctx); err != nil {
		if ctx.Err() != nil {
			return nil
		}
		return err
	}
	var tasks sync.WaitGroup
	for _, work := range []func(context.Context){p.schedule, p.download, p.convert, p.upload, p.clean, p.watch} {
		tasks.Go(func() { work(ctx) })
	}
	tasks.Wait()
	return nil
}

// prepare brings the pipeline to where the last process left it.
func (p *Pipeline) prepare(ctx context.Context) error {
	var change store.DestinationChange
	err := p.persist(ctx, func(ctx context.Context) (err error) {
		change, err = p.Store.SetDestination(ctx, p.Workspace, p.Source)
		return err
	})
	if err != nil {
		return fmt.Errorf("taking up the workspace and source name: %w", err)
	}
	switch change {
	case store.SourceChanged:
		p.Logger.Info("source name changed: what stands under the old one is retired, a full update follows", "source", p.Source)
	case store.WorkspaceChanged:
		p.Logger.Info("workspace changed: a full update follows, the old workspace is left to its times to live", "workspace", p.Workspace)
	}
	paused, err := p.Store.PausedTasks(ctx)
	if err != nil {
		return fmt.Errorf("reading which tasks are paused: %w", err)
	}
	for _, slug := range paused {
		if t := p.task(slug); t != nil {
			t.pause(true)
		}
	}
	return p.countOutbox(ctx)
}

// current is the run of the job in hand, or nil.
func (p *Pipeline) current() *run {
	p.mu.Lock()
	defer p.mu.Unlock()
	return p.run
}

func (p *Pipeline) setCurrent(r *run) {
	p.mu.Lock()
	defer p.mu.Unlock()
	p.run = r
}

// unavailableRetry lies between attempts to use a database that cannot be written.
const unavailableRetry = 30 * time.Second

// persist uses the store. While the disk is full, read-only or failing it says so on every screen and tries again until ctx
// ends: no job fails for that, and nothing exits.
func (p *Pipeline) persist(ctx context.Context, do func(context.Context) error) error {
	err := do(ctx)
	if !store.Unavailable(err) {
		return err
	}
	if p.trouble.begin(err) {
		p.Logger.Error("the database cannot be written; trying again every 30 s", "error", err)
	}
	defer func() {
		if p.trouble.over() {
			p.Logger.Info("the database can be written again")
		}
	}()
	for ; store.Unavailable(err); err = do(ctx) {
		p.trouble.update(err)
		select {
		case <-ctx.Done():
			return errors.Join(context.Cause(ctx), err)
		case <-time.After(unavailableRetry):
		}
	}
	return err
}

// stall shows an error of the database as trouble for as long as it makes no sense to try again.
func (p *Pipeline) stall(ctx context.Context, err error) {
	p.trouble.begin(err)
	defer p.trouble.over()
	select {
	case <-ctx.Done():
	case <-time.After(unavailableRetry):
	}
}

// trouble is the state of the disk, for the screens.
type trouble struct {
	mu sync.Mutex
	// stuck counts who waits for the disk.
	stuck int
	text  string
}

// begin says whether nobody waited before.
func (t *trouble) begin(err error) (first bool) {
	t.mu.Lock()
	defer t.mu.Unlock()
	t.stuck++
	t.text = err.Error()
	return t.stuck == 1
}

func (t *trouble) update(err error) {
	t.mu.Lock()
	defer t.mu.Unlock()
	t.text = err.Error()
}

// over says whether nobody waits any more.
func (t *trouble) over() (last bool) {
	t.mu.Lock()
	defer t.mu.Unlock()
	t.stuck--
	return t.stuck == 0
}

// Trouble is what stands on every screen while the database cannot be written, or "".
func (p *Pipeline) Trouble() string {
	t := &p.trouble
	t.mu.Lock()
	defer t.mu.Unlock()
	if t.stuck == 0 {
		return ""
	}
	return fmt.Sprintf("The Service cannot write its database (%s). Free some space on its disk or make it writable. Jobs wait meanwhile and go on by themselves; the Service tries again every %.0f seconds.",
		t.text, unavailableRetry.Seconds())
}
