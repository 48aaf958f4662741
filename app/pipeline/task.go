package pipeline

import (
	"context"
	"fmt"
	"sync"
	"time"
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
	// Detail says what the task does just now, or what is left to say of what it did last.
	Detail string
	// RunOnly says that the task starts on command alone, so that there is nothing to pause.
	RunOnly bool
	// KillEffect says in sentences what becomes of the work in hand when the task is killed.
	KillEffect string
}

// updateKilled is what becomes of an update whose work is killed.
const updateKilled = "The update in hand fails: a scheduled one is tried again later, one that was asked for stays Failed until you retry it. "

// The tasks as they are described on TASKS.
var (
	aboutScheduler = Task{Name: "Schedule Downloads", Slug: "schedule-downloads", HeartbeatTimeout: 10 * time.Minute,
		Description: "Schedules the next threat intel downloads.", Schedule: "Every 30 seconds",
		KillEffect: "An update that was to be queued is queued at its next run, within 30 seconds."}
	aboutDownloader = Task{Name: "Download", Slug: "download", HeartbeatTimeout: 20 * time.Minute,
		Description: "Downloads indicators from ThreatConnect.", Schedule: "When a job waits",
		KillEffect: updateKilled + "What was converted by then is still uploaded."}
	aboutConverter = Task{Name: "Convert", Slug: "convert", HeartbeatTimeout: time.Hour,
		Description: "Converts indicators to STIX objects and decides which are sent.", Schedule: "As they are downloaded",
		KillEffect: updateKilled + "What was converted by then is still uploaded."}
	aboutUploader = Task{Name: "Upload", Slug: "upload", HeartbeatTimeout: 30 * time.Minute,
		Description: "Uploads STIX objects to Microsoft Sentinel.", Schedule: "As they are converted",
		KillEffect: updateKilled + "What waits to be uploaded stays queued, and is sent with the next update, or by itself 5 minutes later."}
	aboutCleaner = Task{Name: "Cleaner", Slug: "cleaner", HeartbeatTimeout: 30 * time.Minute,
		Description: "Cleans the filesystem and the database.", Schedule: "Every 2 hours",
		KillEffect: "What was not cleaned is cleaned at its next run, 2 hours later."}
	aboutNotifier = Task{Name: "Notifications", Slug: "notifications", HeartbeatTimeout: 10 * time.Minute,
		Description: "Notifies people in ThreatConnect of failures and recoveries.", Schedule: "Every minute",
		KillEffect: "A message that is on its way has perhaps arrived, so it is sent again an hour later at the earliest. Other work is done at its next run, a minute later."}
	aboutVerifier = Task{Name: "Verify", Slug: "verify", HeartbeatTimeout: 30 * time.Minute, RunOnly: true,
		Description: "Compares what stands in Microsoft Sentinel with what was sent.", Schedule: "Run only",
		KillEffect: "The verification ends as cancelled, with what it found so far. It does not begin again by itself."}
	aboutExaminer = Task{Name: "Doctor", Slug: "doctor", HeartbeatTimeout: 30 * time.Minute, RunOnly: true,
		Description: "Asks ThreatConnect and Microsoft what cannot be known before a Service runs, and writes a report.",
		Schedule:    "Run only",
		KillEffect:  "The report ends with what was asked so far. It does not begin again by itself."}
)

// task is what all tasks have in common: their state for the screens, and the ways to command them.
type task struct {
	about Task
	// woken holds a token when the task shall look for work.
	woken chan struct{}

	mu     sync.Mutex
	paused bool
	// resumed is closed while the task is not paused.
	resumed chan struct{}
	// pieces counts the pieces of work in hand; stop cancels them, nil while there are none.
	pieces int
	stop   context.CancelCauseFunc
	// active is the last sign of life. Silence is no fault before excused.
	active, excused time.Time
	lastRun         time.Time
	nextRun         time.Time
	detail          string
	// remark is shown while there is no detail.
	remark string
	// record takes down for how long the task was at work; nil where nothing does.
	record *runRecord
}

func newTask(about Task) *task {
	t := &task{about: about, woken: make(chan struct{}, 1), resumed: make(chan struct{})}
	close(t.resumed)
	return t
}

// wake makes the task look for work.
func (t *task) wake() { leaveToken(t.woken) }

// leaveToken puts a token into a channel that holds one, if there is none in it.
func leaveToken(c chan struct{}) {
	select {
	case c <- struct{}{}:
	default:
	}
}

// beginWork says that the task has one more piece of work in hand. Of the pieces in hand the cancel that was given
// last is the one that a command calls. endWork says that this piece is done; only its first call counts.
func (t *task) beginWork(cancel context.CancelCauseFunc) (endWork func()) {
	t.mu.Lock()
	defer t.mu.Unlock()
	now := time.Now()
	if t.pieces == 0 {
		t.lastRun = now
	}
	t.pieces++
	t.stop, t.active = cancel, now
	return sync.OnceFunc(t.endPiece)
}

func (t *task) endPiece() {
	t.mu.Lock()
	defer t.mu.Unlock()
	if t.pieces--; t.pieces == 0 {
		t.stop, t.detail, t.excused = nil, "", time.Time{}
	}
}

// noteRun takes down a run that ended now.
func (t *task) noteRun(took time.Duration) {
	if t.record != nil {
		t.record.noteRun(t.about.Slug, took)
	}
}

// cancelWork cancels the work in hand, if there is any.
func (t *task) cancelWork(cause error) {
	t.mu.Lock()
	stop := t.stop
	t.active = time.Now()
	t.mu.Unlock()
	if stop != nil {
		stop(cause)
	}
}

// noteActivity is a sign of life.
func (t *task) noteActivity() {
	t.mu.Lock()
	defer t.mu.Unlock()
	t.active = time.Now()
}

// excuseSilence says that the task waits for something until then.
func (t *task) excuseSilence(until time.Time) {
	t.mu.Lock()
	defer t.mu.Unlock()
	t.excused = until
}

// beginWait says that the task waits for another task; endWait that it does no more.
func (t *task) beginWait() (endWait func()) {
	t.excuseSilence(time.Now().AddDate(100, 0, 0))
	return func() {
		t.excuseSilence(time.Time{})
		t.noteActivity()
	}
}

// isOverdue says that the task has had work in hand for longer than its timeout without a sign of life or an excuse.
func (t *task) isOverdue(now time.Time) bool {
	t.mu.Lock()
	defer t.mu.Unlock()
	timeout := t.about.HeartbeatTimeout
	return t.stop != nil && !t.paused && now.Sub(t.active) > timeout && now.Sub(t.excused) > timeout
}

// silentSince is the last sign of life while there is work in hand and nothing excuses the silence since, else zero.
func (t *task) silentSince() time.Time {
	t.mu.Lock()
	defer t.mu.Unlock()
	if t.stop == nil || t.paused || t.excused.After(time.Now()) {
		return time.Time{}
	}
	return t.active
}

// setDetail says what the task does just now.
func (t *task) setDetail(format string, args ...any) {
	t.mu.Lock()
	defer t.mu.Unlock()
	t.detail = fmt.Sprintf(format, args...)
}

// setRemark says something of the task that stays when its work is done.
func (t *task) setRemark(remark string) {
	t.mu.Lock()
	defer t.mu.Unlock()
	t.remark = remark
}

func (t *task) setNextRun(next time.Time) {
	t.mu.Lock()
	defer t.mu.Unlock()
	t.nextRun = next
}

func (t *task) setPaused(paused bool) {
	t.mu.Lock()
	defer t.mu.Unlock()
	switch {
	case paused && !t.paused:
		t.resumed = make(chan struct{})
	case !paused && t.paused:
		close(t.resumed)
		t.active = time.Now()
	}
	t.paused = paused
	t.wake()
}

func (t *task) isPaused() bool {
	t.mu.Lock()
	defer t.mu.Unlock()
	return t.paused
}

// awaitResume waits while the task is paused, or until ctx ends and then returns why it did.
func (t *task) awaitResume(ctx context.Context) error {
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
	t.noteActivity()
	return nil
}

// snapshot is the task as TASKS shows it.
func (t *task) snapshot() Task {
	t.mu.Lock()
	defer t.mu.Unlock()
	v := t.about
	v.Paused, v.LastHeartbeat, v.LastRun, v.NextRun, v.Detail = t.paused, t.active, t.lastRun, t.nextRun, t.detail
	if v.Detail == "" {
		v.Detail = t.remark
	}
	v.Status = "Idle"
	switch {
	case t.paused:
		v.Status = "Paused"
	case t.stop != nil:
		v.Status = "Running"
	}
	return v
}
