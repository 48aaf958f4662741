package pipeline

import (
	"context"
	"errors"
	"fmt"
	"log/slog"
	"maps"
	"sync"
	"sync/atomic"
	"time"

	"mssentinel/app/ledger"
	"mssentinel/app/sentinel"
	"mssentinel/app/store"
)

// StandingReader reads what stands in the workspace under a source name.
type StandingReader interface {
	CountStanding(ctx context.Context, source string) ([]sentinel.TypeCount, error)
	ListStanding(ctx context.Context, source, afterID string, limit int) ([]sentinel.Standing, error)
}

// verifyStore is what the verifier needs of the store.
type verifyStore interface {
	ledgerPages
	Schedule(ctx context.Context) (store.Schedule, error)
	CountRecorded(ctx context.Context, now time.Time) ([]store.RecordedType, error)
	BeginVerification(ctx context.Context, v store.Verification) error
	KeepVerification(ctx context.Context, v store.Verification) error
	Verification(ctx context.Context) (v store.Verification, err error)
	Differences(ctx context.Context, kind ledger.Verdict, limit int) ([]store.Difference, error)
	Repairable(ctx context.Context, now time.Time) (store.Repairable, error)
	SendDifferencesAgain(ctx context.Context) (objects int64, err error)
	RetireDifferences(ctx context.Context, now time.Time) (objects int64, err error)
}

// errVerifyCancelled ends a verification that an operator does not want any more.
var errVerifyCancelled = errors.New("the verification was cancelled")

// verifier is the task Verify: when somebody asks for it, it compares the ledger with what stands in the workspace. It changes
// neither.
type verifier struct {
	*task
	store  verifyStore
	reader StandingReader
	source string
	disk   *disk
	log    *slog.Logger
	// hand holds a token while a verification waits or runs, or while what one found is put right.
	hand chan struct{}
	// pageSize is how many objects of either side are read at a time, sampleSize about how many a sample has.
	pageSize   int
	sampleSize int64
	// cancelled says that the verification in hand is not wanted any more, even if it has not begun yet.
	cancelled atomic.Bool

	mu sync.Mutex
	// running is how far the verification in hand was when it last told, nil while there is none; expected about how many objects it
	// compares, 0 while that is not known.
	running  *store.Verification
	expected int64
}

// takeHand is [ErrAtWork] while another verification or repair is in hand.
func (v *verifier) takeHand() (letGo func(), err error) {
	select {
	case v.hand <- struct{}{}:
		return func() { <-v.hand }, nil
	default:
		return nil, fmt.Errorf("starting %s: %w", v.about.Name, ErrAtWork)
	}
}

// requestVerification begins a verification of all ids or of a sample.
func (v *verifier) requestVerification(all bool) error {
	if _, err := v.takeHand(); err != nil { // until it has ended
		return err
	}
	v.cancelled.Store(false)
	v.noteProgress(&store.Verification{Began: time.Now().UTC(), State: store.VerificationRunning, All: all}, 0)
	v.wake()
	return nil
}

// awaitCommands works until ctx ends.
func (v *verifier) awaitCommands(ctx context.Context) {
	for {
		select {
		case <-ctx.Done():
			return
		case <-v.woken:
		}
		if asked, _ := v.presentVerification(); asked != nil {
			result := *asked
			workOnce(ctx, v.task, v.log, func(inHand context.Context) (time.Time, error) {
				return time.Time{}, v.runVerification(ctx, inHand, &result)
			})
			<-v.hand
		}
	}
}

// presentVerification is how far the verification in hand was when it last told, nil while there is none. Nobody changes it.
func (v *verifier) presentVerification() (running *store.Verification, expected int64) {
	v.mu.Lock()
	defer v.mu.Unlock()
	return v.running, v.expected
}

// noteProgress tells the screens how far the verification in hand is; that is a sign of life as well. The result goes on changing, and
// what was told does not.
func (v *verifier) noteProgress(result *store.Verification, expected int64) {
	v.noteActivity()
	v.setDetail("Compared %d objects", result.Compared())
	told := *result
	told.Differences = maps.Clone(result.Differences)
	v.mu.Lock()
	defer v.mu.Unlock()
	v.running, v.expected = &told, expected
}

// noteEnd tells the screens that no verification is in hand any more.
func (v *verifier) noteEnd() {
	v.mu.Lock()
	defer v.mu.Unlock()
	v.running = nil
}

// runVerification sees one verification to its end, and keeps what came of it. One that the end of the process cuts off is not kept; the
// next start says so.
func (v *verifier) runVerification(ctx, inHand context.Context, result *store.Verification) error {
	defer v.noteEnd()
	r := &verification{verifier: v, ctx: inHand, result: result}
	cause := errVerifyCancelled
	if !v.cancelled.Load() {
		cause = r.compareLedger()
	}
	if ctx.Err() != nil {
		return nil
	}
	if inHand.Err() != nil {
		cause = context.Cause(inHand)
	}
	concludeVerification(result, cause)
	v.log.Info("verification ended", "state", result.State, "message", result.Message, "all", result.All, "agreed", result.Agreed,
		"too_new", result.TooNew, "differences", result.CountDifferences(), "seconds", int(result.Ended.Sub(result.Began).Seconds()))
	err := v.disk.retryWrite(ctx, func(ctx context.Context) error { return v.store.KeepVerification(ctx, *result) })
	if err != nil {
		return fmt.Errorf("keeping what came of a verification: %w", err)
	}
	return nil
}

// concludeVerification says how a verification ended.
func concludeVerification(result *store.Verification, cause error) {
	var noRight *sentinel.NoReadRight
	result.Ended = time.Now().UTC()
	switch {
	case cause == nil:
		result.State = store.VerificationComplete
		return
	case errors.Is(cause, errVerifyCancelled), errors.Is(cause, errKilled):
		result.State = store.VerificationCancelled
	case errors.As(cause, &noRight):
		result.State = store.VerificationRefused
		result.Message = noRight.Error()
		return
	default:
		result.State = store.VerificationFailed
	}
	result.Message = describeFailure(cause)
}
