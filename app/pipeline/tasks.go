package pipeline

import (
	"context"
	"errors"
	"fmt"
	"sync"
	"time"

	"mssentinel/app/job"
	"mssentinel/app/store"
)

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

// errKilled ends what a task has in hand when an operator asks for it.
var errKilled = errors.New("killed on TASKS")

func (p *Pipeline) newTasks() {
	p.scheduler = newTask("Schedule Downloads", "schedule-downloads", "Schedules the next threat intel downloads.", "Every 30 seconds", 10*time.Minute)
	p.downloader = newTask("Download", "download", "Downloads indicators from ThreatConnect.", "When a job waits", 20*time.Minute)
	p.converter = newTask("Convert", "convert", "Converts indicators to STIX objects and decides which are sent.", "As they are downloaded", time.Hour)
	p.uploader = newTask("Upload", "upload", "Uploads STIX objects to Microsoft Sentinel.", "As they are converted", 30*time.Minute)
	p.cleaner = newTask("Cleaner", "cleaner", "Cleans the filesystem and the database.", "Every 2 hours", 30*time.Minute)
}

func (p *Pipeline) all() []*task {
	return []*task{p.scheduler, p.downloader, p.converter, p.uploader, p.cleaner}
}

// task finds a task, or nil.
func (p *Pipeline) task(slug string) *task {
	for _, t := range p.all() {
		if t.slug == slug {
			return t
		}
	}
	return nil
}

func (p *Pipeline) findTask(slug string) (*task, error) {
	if t := p.task(slug); t != nil {
		return t, nil
	}
	return nil, fmt.Errorf("task %q: %w", slug, store.ErrNotFound)
}

// Tasks lists the tasks in the order in which a job meets them.
func (p *Pipeline) Tasks() []Task {
	var tasks []Task
	for _, t := range p.all() {
		tasks = append(tasks, t.show())
	}
	return tasks
}

// RunTask makes a task look for work at once: Schedule Downloads queues the next update without waiting for its time,
// Download takes up a job that waits for its next attempt, Cleaner cleans. A paused task is [job.ErrState].
func (p *Pipeline) RunTask(_ context.Context, slug string) error {
	t, err := p.findTask(slug)
	if err != nil {
		return err
	}
	if t.isPaused() {
		return fmt.Errorf("%s is paused, resume it first: %w", t.name, job.ErrState)
	}
	switch t {
	case p.scheduler:
		p.due.Store(true)
	case p.downloader:
		p.hurry.Store(true)
	}
	t.wake()
	return nil
}

// PauseTask keeps a task from taking up work, or lets it go on. A task stops before its next page or request; what is under
// way is finished. Pausing survives a restart.
func (p *Pipeline) PauseTask(ctx context.Context, slug string, paused bool) error {
	t, err := p.findTask(slug)
	if err != nil {
		return err
	}
	if err := p.Store.SetPaused(ctx, slug, paused); err != nil {
		return fmt.Errorf("keeping that %s is paused: %w", t.name, err)
	}
	t.pause(paused)
	p.Logger.Info("task commanded", "task", slug, "paused", paused)
	return nil
}

// KillTask ends what the task has in hand. A job that passes through it fails as by any other fault: a scheduled one is
// tried again later.
func (p *Pipeline) KillTask(_ context.Context, slug string) error {
	t, err := p.findTask(slug)
	if err != nil {
		return err
	}
	t.end(fmt.Errorf("the task %s was %w", t.name, errKilled))
	p.Logger.Info("task killed", "task", slug)
	return nil
}

// watchEvery is how often the heartbeats are looked at.
const watchEvery = 30 * time.Second

// watch ends what gives no sign of life for longer than its task allows.
func (p *Pipeline) watch(ctx context.Context) {
	tick := time.NewTicker(watchEvery)
	defer tick.Stop()
	for {
		select {
		case <-ctx.Done():
			return
		case <-tick.C:
		}
		p.keepWait(ctx)
		for _, t := range p.all() {
			switch {
			case p.Trouble() != "":
				t.beat()
			case t.silent(time.Now()):
				p.Logger.Warn("task gave no sign of life, its work is ended", "task", t.slug, "timeout", t.timeout)
				t.end(fmt.Errorf("the task %s gave no sign of life for %.0f minutes", t.name, t.timeout.Minutes()))
			}
		}
	}
}

// task is a worker: its state for the screens and the ways to command it.
type task struct {
	name, slug, description, schedule string
	timeout                           time.Duration
	// woken asks the owner to look for work.
	woken chan struct{}

	mu     sync.Mutex
	paused bool
	// resumed is closed while the task is not paused.
	resumed chan struct{}
	// kill ends the work in hand; nil while there is none. held counts the pieces of it.
	kill context.CancelCauseFunc
	held int
	// alive is the last sign of life. Until excused, silence is no fault.
	alive, excused time.Time
	ran, next      time.Time
	detail         string
}

func newTask(name, slug, description, schedule string, timeout time.Duration) *task {
	t := &task{name: name, slug: slug, description: description, schedule: schedule, timeout: timeout,
		woken: make(chan struct{}, 1), resumed: make(chan struct{})}
	close(t.resumed)
	return t
}

func (t *task) wake() { signal(t.woken) }

// signal leaves a token in a channel that holds one.
func signal(c chan struct{}) {
	select {
	case c <- struct{}{}:
	default:
	}
}

// hold says that the task has one more piece of work in hand, release that it has one less.
func (t *task) hold(kill context.CancelCauseFunc) {
	t.mu.Lock()
	t.held++
	t.mu.Unlock()
	t.begin(kill)
}

func (t *task) release() {
	t.mu.Lock()
	defer t.mu.Unlock()
	if t.held--; t.held == 0 {
		t.rested()
	}
}

// begin says that the task has work in hand, which kill ends.
func (t *task) begin(kill context.CancelCauseFunc) {
	t.mu.Lock()
	defer t.mu.Unlock()
	now := time.Now()
	if t.kill == nil {
		t.ran = now
	}
	t.kill, t.alive = kill, now
}

// done says that nothing is in hand any more.
func (t *task) done() {
	t.mu.Lock()
	defer t.mu.Unlock()
	t.rested()
}

func (t *task) rested() { t.kill, t.detail, t.excused = nil, "", time.Time{} }

// end ends the work in hand, if there is any.
func (t *task) end(cause error) {
	t.mu.Lock()
	kill := t.kill
	t.alive = time.Now()
	t.mu.Unlock()
	if kill != nil {
		kill(cause)
	}
}

// beat is a sign of life.
func (t *task) beat() {
	t.mu.Lock()
	defer t.mu.Unlock()
	t.alive = time.Now()
}

// excuse says that the task waits for something until then.
func (t *task) excuse(until time.Time) {
	t.mu.Lock()
	defer t.mu.Unlock()
	t.excused = until
}

// rest says that the task waits for a neighbour; the function that it gives ends that.
func (t *task) rest() func() {
	t.excuse(time.Now().AddDate(100, 0, 0))
	return func() {
		t.excuse(time.Time{})
		t.beat()
	}
}

func (t *task) silent(now time.Time) bool {
	t.mu.Lock()
	defer t.mu.Unlock()
	return t.kill != nil && !t.paused && now.Sub(t.alive) > t.timeout && now.Sub(t.excused) > t.timeout
}

// waitsSince is the last sign of life while there is work in hand and nothing excuses the silence since, else zero.
func (t *task) waitsSince() time.Time {
	t.mu.Lock()
	defer t.mu.Unlock()
	if t.kill == nil || t.paused || t.excused.After(time.Now()) {
		return time.Time{}
	}
	return t.alive
}

func (t *task) say(format string, args ...any) {
	t.mu.Lock()
	defer t.mu.Unlock()
	t.detail = fmt.Sprintf(format, args...)
}

func (t *task) plan(next time.Time) {
	t.mu.Lock()
	defer t.mu.Unlock()
	t.next = next
}

func (t *task) pause(paused bool) {
	t.mu.Lock()
	defer t.mu.Unlock()
	switch {
	case paused && !t.paused:
		t.resumed = make(chan struct{})
	case !paused && t.paused:
		close(t.resumed)
		t.alive = time.Now()
	}
	t.paused = paused
	t.wake()
}

func (t *task) isPaused() bool {
	t.mu.Lock()
	defer t.mu.Unlock()
	return t.paused
}

// gate waits while the task is paused.
func (t *task) gate(ctx context.Context) error {
	t.mu.Lock()
	resumed := t.resumed
	t.mu.Unlock()
	select {
	case <-resumed:
	case <-ctx.Done():
	}
	if ctx.Err() != nil {
		return context.Cause(ctx)
	}
	t.beat()
	return nil
}

func (t *task) show() Task {
	t.mu.Lock()
	defer t.mu.Unlock()
	status := "Idle"
	switch {
	case t.paused:
		status = "Paused"
	case t.kill != nil:
		status = "Running"
	}
	return Task{Name: t.name, Slug: t.slug, Description: t.description, Status: status, Paused: t.paused, Schedule: t.schedule,
		HeartbeatTimeout: t.timeout, LastHeartbeat: t.alive, LastRun: t.ran, NextRun: t.next, Detail: t.detail}
}
