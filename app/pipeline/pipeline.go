// Package pipeline carries out the jobs: what the saved queries select is downloaded from ThreatConnect, converted by
// the mappers, taken into the ledger and uploaded to Microsoft Sentinel.
//
// Five tasks do the work, each a type of its own: the scheduler queues jobs, the downloader takes one after the other
// and reads ThreatConnect, the converter maps what was read and writes it to the ledger and the outbox, the uploader
// empties the outbox, the cleaner deletes what is old. Beside them the notifier watches and notifies people. Two more start
// on command alone: the verifier compares what was sent with what stands in the workspace, the examiner asks how the
// outside world behaves. One job runs at a time; within it the tasks overlap, joined by
// bounded queues. [Pipeline] joins them and takes the commands of the screens. The whole is drawn in
// app/docs/architecture.md#the-way-of-an-indicator.
//
// An attempt at a job may be cut off at any instant, by a failure, a command or the end of the process. What it did is
// in the store, and doing it again changes nothing: the next attempt starts from the beginning, under the same request
// ID.
package pipeline

import (
	"context"
	"fmt"
	"log/slog"
	"runtime"
	"slices"
	"sync"
	"sync/atomic"
	"time"

	"mssentinel/app/store"
)

// Defaults of [Options].
const (
	// DefaultLag keeps a window's end behind now: what ThreatConnect is just writing may not be visible yet.
	DefaultLag = 5 * time.Minute
	// DefaultOverlap is how much of the window before is read again.
	DefaultOverlap = 10 * time.Minute
)

// Options are what the pipeline stands on.
type Options struct {
	// Store is the state that survives. Each task names the few methods that it needs. Errors for which
	// [store.Unavailable] is true left everything as it was.
	Store         *store.Store
	ThreatConnect ThreatConnect
	Sentinel      Sentinel
	// Standing reads back what stands in the workspace.
	Standing StandingReader
	Mappers  Mappers
	// Notifier tells people of failures and recoveries; nil where nobody shall be told.
	Notifier Notifier
	// Version is that of the App, for the messages to people.
	Version string
	// Build tells builds of the App from each other: what another one made of an indicator is made again. "" where it is not known: all is
	// made again each time.
	Build string
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
	Pace float64
	// Examine is what the task Doctor does when it is told to run; report says what is being asked. nil: there is no
	// such task.
	Examine func(ctx context.Context, report func(doing string)) error
	// ReleaseMemory is called when an update has ended and none waits; nil for nothing.
	ReleaseMemory func(context.Context) error
	Logger        *slog.Logger
}

// Pipeline runs the jobs. Its methods may be called from any goroutine, before Run, during it and after.
type Pipeline struct {
	Options

	scheduler  *scheduler
	downloader *downloader
	converter  *converter
	uploader   *uploader
	cleaner    *cleaner
	notifier   *notifier // nil where nobody is notified
	verifier   *verifier
	examiner   *examiner // nil where there is nothing to ask
	live       *liveCounter

	// tasks are those of a job in the order in which it meets them, and then the rest.
	tasks    []*task
	watchdog *watchdog
	runs     *runRecord

	mappers *mapperSet
	disk    *disk
	outbox  *outboxGauge
	// pages has the work on updates give way to pages.
	pages *pagesUnderWay
	// current is the attempt in hand, or nil. The downloader sets it; the uploader, the commands and the screens read it.
	current *atomic.Pointer[attempt]
	pauses  pauseStore
}

// pauseStore keeps which tasks are paused, by their slugs.
type pauseStore interface {
	PausedTasks(ctx context.Context) ([]string, error)
	SetPaused(ctx context.Context, slug string, paused bool) error
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
		mappers: newMapperSet(o.Mappers, o.TTL, o.Build),
		disk:    &disk{log: o.Logger, store: o.Store, probed: time.Now()},
		outbox:  newOutboxGauge(o.Store),
		current: new(atomic.Pointer[attempt]),
		pauses:  o.Store,

		pages: new(pagesUnderWay),
	}
	p.joinTasks()
	return p
}

// joinTasks makes the tasks, each with those behind it that it wakes or hands something to.
func (p *Pipeline) joinTasks() {
	schedule, download, convert := newTask(aboutScheduler), newTask(aboutDownloader), newTask(aboutConverter)
	upload, clean := newTask(aboutUploader), newTask(aboutCleaner)
	chunks := make(chan *chunk)
	p.live = &liveCounter{store: p.Store, woken: make(chan struct{}, 1), log: p.Logger}
	p.uploader = &uploader{task: upload, store: p.Store, sentinel: p.Sentinel, outbox: p.outbox, disk: p.disk,
		pages: p.pages, current: p.current, suspensions: make(chan suspension), log: p.Logger}
	p.converter = &converter{task: convert, ledger: p.Store, mappers: p.mappers, chunks: chunks,
		calls: make(chan struct{}, runtime.GOMAXPROCS(0)), pages: p.pages,
		applier: &applier{task: convert, store: p.Store, outbox: p.outbox, disk: p.disk, uploads: upload, pages: p.pages, log: p.Logger}}
	p.converter.applier.mapUnknown = p.converter.mapUnknown
	p.downloader = &downloader{task: download, store: p.Store, ledger: p.Store, threatConnect: p.ThreatConnect,
		mappers: p.mappers, handover: handover{download, chunks}, uploader: p.uploader, schedules: schedule, live: p.live,
		disk: p.disk, current: p.current, lag: p.Lag, overlap: p.Overlap, releaseMemory: p.ReleaseMemory, log: p.Logger}
	p.scheduler = &scheduler{task: schedule, store: p.Store, downloads: download, disk: p.disk,
		interval: p.Interval, fullInterval: p.FullInterval, log: p.Logger}
	p.cleaner = &cleaner{task: clean, store: p.Store, disk: p.disk, log: p.Logger}
	p.verifier = &verifier{task: newTask(aboutVerifier), store: p.Store, reader: p.Standing, source: p.Source, disk: p.disk,
		hand: make(chan struct{}, 1), pageSize: verifyPage, sampleSize: verifySample, log: p.Logger}
	p.tasks = []*task{schedule, download, convert, upload, clean, p.verifier.task}
	if p.Notifier != nil {
		p.notifier = p.newNotifier()
		p.tasks = append(p.tasks, p.notifier.task)
	}
	if p.Examine != nil {
		p.examiner = &examiner{task: newTask(aboutExaminer), examine: p.Examine, log: p.Logger}
		p.tasks = append(p.tasks, p.examiner.task)
	}
	p.runs = &runRecord{store: p.Store, log: p.Logger, saved: time.Now()}
	for _, t := range p.tasks {
		t.record = p.runs
	}
	p.watchdog = &watchdog{tasks: p.tasks, uploader: p.uploader, runs: p.runs, disk: p.disk, log: p.Logger}
}

// Run works until ctx ends, then lets the requests that are under way finish and returns. A job that is cut off goes
// on at the next start.
func (p *Pipeline) Run(ctx context.Context) error {
	if err := p.prepareStart(ctx); err != nil {
		if ctx.Err() != nil {
			return nil
		}
		return err
	}
	var tasks sync.WaitGroup
	works := []func(context.Context){p.scheduler.scheduleUpdates, p.downloader.processJobs, p.converter.convertChunks,
		p.uploader.uploadObjects, p.cleaner.cleanStore, p.verifier.awaitCommands, p.watchdog.watchTasks, p.live.countObjects}
	if p.notifier != nil {
		works = append(works, p.notifier.notifyPeople)
	}
	if p.examiner != nil {
		works = append(works, p.examiner.awaitCommands)
	}
	for _, work := range works {
		tasks.Go(func() { work(ctx) })
	}
	tasks.Wait()
	last, cancel := context.WithTimeout(context.WithoutCancel(ctx), saveLimit)
	defer cancel()
	p.runs.saveRuns(last, true)
	return nil
}

// saveLimit bounds what is kept once ctx has ended: the process is about to end.
const saveLimit = time.Second

// prepareStart brings the pipeline to where the last process left it.
func (p *Pipeline) prepareStart(ctx context.Context) error {
	var change store.DestinationChange
	err := p.disk.retryWrite(ctx, func(ctx context.Context) (err error) {
		change, err = p.Store.SetDestination(ctx, p.Workspace, p.Source)
		return err
	})
	if err != nil {
		return fmt.Errorf("taking up the workspace and source name: %w", err)
	}
	switch change {
	case store.SourceChanged:
		p.Logger.Info("source name changed: what stands under the old one is retired, a full update follows",
			"source", p.Source)
	case store.WorkspaceChanged:
		p.Logger.Info("workspace changed: a full update follows, the old workspace is left to its times to live",
			"workspace", p.Workspace)
	}
	paused, err := p.pauses.PausedTasks(ctx)
	if err != nil {
		return fmt.Errorf("reading which tasks are paused: %w", err)
	}
	for _, t := range p.tasks {
		if slices.Contains(paused, t.about.Slug) {
			t.setPaused(true)
		}
	}
	return p.outbox.recount(ctx)
}
