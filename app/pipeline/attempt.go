package pipeline

import (
	"context"
	"errors"
	"fmt"
	"slices"
	"strings"
	"sync/atomic"
	"time"

	"mssentinel/app/job"
	"mssentinel/app/store"
	"mssentinel/app/text"
)

// errCancelled ends a job that an operator does not want any more.
var errCancelled = errors.New("the job was cancelled")

// jobUpdater carries out a transition of a job.
type jobUpdater interface {
	UpdateJob(ctx context.Context, requestID string, transition func(*job.Job) error) (job.Job, error)
}

// attempt is one attempt at a job, which all tasks work on. Each says which of its members only one task may touch.
type attempt struct {
	// job is as it was when the attempt began: only what never changes is of use.
	job     job.Job
	store   jobUpdater
	disk    *disk
	overlap time.Duration
	// ctx ends when the attempt does; its cause says why.
	ctx    context.Context
	cancel context.CancelCauseFunc

	// queries are those to be read, in rank order. deleted are the queries that were deleted and whose objects may still
	// stand in Sentinel. end is the end of the window. All three are set before the first chunk is sent.
	queries, deleted []store.RunQuery
	end              time.Time

	// failures are the queries that could not be read completely, damaged those that returned a row which cannot be told
	// from others. Download alone changes them, and Convert looks at them once everything was read.
	failures []queryFailure
	damaged  []int64
	// unlisted are the lists of what has gone that could not be read. They are asked for again: the marks of the queries
	// that look there stay.
	unlisted []listFailure
	// allRead tells that everything was handed to Convert.
	allRead atomic.Bool

	// convertNoted says that the first page that went through Convert was dated. Convert alone touches it.
	convertNoted bool
	// retirement is what came of the objects that are no longer selected; set before allQueued is closed.
	retirement store.Retirement
	// allQueued is closed when everything that the job sends is in the outbox.
	allQueued chan struct{}

	// uploadNoted says that the first request was dated, uploadBegun that the job was told that only Upload is left.
	// Upload alone touches them.
	uploadNoted, uploadBegun bool
	// allSettled is closed when the outbox was found empty after allQueued.
	allSettled chan struct{}

	// cancelled says that the job was cancelled; set before ended is closed, which happens when the attempt has its
	// outcome.
	cancelled bool
	ended     chan struct{}

	counters
}

func newAttempt(ctx context.Context, j job.Job, s jobUpdater, d *disk, overlap time.Duration) *attempt {
	a := &attempt{job: j, store: s, disk: d, overlap: overlap,
		allQueued: make(chan struct{}), allSettled: make(chan struct{}), ended: make(chan struct{})}
	a.ctx, a.cancel = context.WithCancelCause(ctx)
	a.startCounting(j.Counts)
	return a
}

// isClosed tells whether a channel was closed.
func isClosed(c chan struct{}) bool {
	select {
	case <-c:
		return true
	default:
		return false
	}
}

// advanceJob carries out a transition of the job. [job.ErrState] means that it was cancelled meanwhile.
func (a *attempt) advanceJob(transition func(j *job.Job, now time.Time) error) error {
	return a.disk.retryWrite(a.ctx, func(ctx context.Context) error {
		now := time.Now().UTC()
		_, err := a.store.UpdateJob(ctx, a.job.RequestID, func(j *job.Job) error { return transition(j, now) })
		if err != nil {
			return fmt.Errorf("keeping how far the job is: %w", err)
		}
		return nil
	})
}

// readsAll tells whether everything that a query selects is read: by a delta update only where it was never read to
// the end, and by one for a range never.
func (a *attempt) readsAll(q store.RunQuery) bool {
	return a.job.Mode.ReadsAll() || a.readFrom(q).IsZero()
}

// readFrom is where a delta update starts to read a query; zero is the beginning.
func (a *attempt) readFrom(q store.RunQuery) time.Time {
	if a.job.Ranged {
		return *a.job.WindowStart
	}
	if q.Mark.IsZero() {
		return time.Time{}
	}
	return q.Mark.Add(-a.overlap)
}

// windowStart is where a delta update starts to read: the earliest start of its queries. nil is the beginning.
func (a *attempt) windowStart() *time.Time {
	if a.job.Mode.ReadsAll() || len(a.queries) == 0 {
		return nil
	}
	first := a.readFrom(a.queries[0])
	for _, q := range a.queries[1:] {
		if from := a.readFrom(q); from.Before(first) {
			first = from
		}
	}
	if first.IsZero() {
		return nil
	}
	return &first
}

// departedSince is where the lists of what has gone start for these queries; zero when none of them was ever read.
func (a *attempt) departedSince(queries []store.RunQuery) time.Time {
	var first time.Time
	for _, q := range queries {
		if from := a.readFrom(q); !from.IsZero() && (first.IsZero() || from.Before(first)) {
			first = from
		}
	}
	return first
}

func (a *attempt) failureText(f queryFailure) string {
	return fmt.Sprintf("query %d could not be read: %s", a.queryPosition(f.query), strings.TrimRight(f.err.Error(), "."))
}

// queryPosition is the position of a query on CONFIGURE.
func (a *attempt) queryPosition(q store.RunQuery) int {
	for i := range a.queries {
		if a.queries[i].Number == q.Number {
			return i + 1
		}
	}
	return 0
}

// hasFailed tells whether a query could not be read completely in this attempt.
func (a *attempt) hasFailed(query int64) bool {
	for _, f := range a.failures {
		if f.query.Number == query {
			return true
		}
	}
	return false
}

// addFailure keeps what is wrong with a query; the first fault counts.
func (a *attempt) addFailure(q store.RunQuery, err error) {
	if !a.hasFailed(q.Number) {
		a.failures = append(a.failures, queryFailure{q, err})
	}
}

func (a *attempt) failedNumbers() []int64 {
	var numbers []int64
	for _, f := range a.failures {
		numbers = append(numbers, f.query.Number)
	}
	return numbers
}

// isUnlisted tells whether a list of what has gone could not be read for an owner of the query.
func (a *attempt) isUnlisted(q store.RunQuery) bool {
	return slices.ContainsFunc(a.unlisted, func(f listFailure) bool { return f.concerns(q) })
}

// queriesToMark gives the numbers of the queries whose marks the job moves: those that were read completely, with the
// lists of what has gone where they look, unless a newer update was faster. An update for a range moves none.
func (a *attempt) queriesToMark() []int64 {
	if a.job.Ranged {
		return nil
	}
	var numbers []int64
	for _, q := range a.queries {
		if !a.hasFailed(q.Number) && !a.isUnlisted(q) && q.Mark.Before(a.end) {
			numbers = append(numbers, q.Number)
		}
	}
	return numbers
}

// listsToTell are the lists that could not be read, but for those where no query could be read either.
func (a *attempt) listsToTell() []listFailure {
	return slices.DeleteFunc(slices.Clone(a.unlisted), func(f listFailure) bool {
		return !slices.ContainsFunc(a.queries, func(q store.RunQuery) bool {
			return f.concerns(q) && !a.hasFailed(q.Number)
		})
	})
}

// unreadError tells which queries could not be read completely and which lists not at all, or is nil. It is fatal if none
// of them may heal by itself.
func (a *attempt) unreadError() error {
	var texts []string
	heals := false
	for _, f := range a.failures {
		texts = append(texts, a.failureText(f))
		heals = heals || !isPermanent(f.err)
	}
	for _, f := range a.listsToTell() {
		texts = append(texts, f.describe())
		heals = heals || !isPermanent(f.err)
	}
	if len(texts) == 0 {
		return nil
	}
	err := errors.New(strings.Join(texts, "; "))
	if heals {
		return err
	}
	return fatal{err}
}

// completionMessage says on JOBS what was not as it should be.
func (a *attempt) completionMessage() string {
	var parts []string
	if err := a.unreadError(); err != nil {
		parts = append(parts, text.Sentence(err.Error()))
	}
	if len(a.failures) > 0 {
		parts = append(parts, "What the query selects was left as it stands. Until it can be read, nothing is retired but "+
			"what ThreatConnect lists as deleted or inactive elsewhere.")
	}
	if len(a.listsToTell()) > 0 {
		parts = append(parts, "The next update asks for the list again.")
	}
	if a.retirement.Held > 0 { // JOBS says how many
		parts = append(parts,
			"So many objects are no longer selected by any query that they are retired only when you confirm it.")
	}
	return strings.Join(parts, " ")
}
