package pipeline

import (
	"context"
	"errors"
	"fmt"
	"time"

	"mssentinel/app/job"
	"mssentinel/app/ledger"
	"mssentinel/app/sentinel"
	"mssentinel/app/store"
)

// Why what a verification found is not put right.
var (
	// ErrNoDifference says that nothing is left of what the last verification found.
	ErrNoDifference = errors.New("the last verification found nothing of this kind, or it was put right")
	// ErrNotReadYet says that no update has read everything that the queries select: the ledger cannot know yet what is not selected.
	ErrNotReadYet = errors.New("no update has read everything yet")
	// ErrNotAtWork says that no verification runs that could be cancelled.
	ErrNotAtWork = errors.New("no verification runs")
)

// maxExamples is how many differences of a kind the screens show.
const maxExamples = 20

// WorkspaceQuery is KQL that asks the workspace by hand for what a verification asks.
type WorkspaceQuery struct{ Title, Text string }

// Verification is what the screens show of Verify.
type Verification struct {
	// Verification is the one that runs, or else the last one; its State is "" where there was none.
	store.Verification
	// Running: one waits or runs. Expected is then about how many objects it compares, 0 while that is not known.
	Running  bool
	Expected int64
	// Repairable is what can be put right of what was found; nothing while one runs.
	Repairable store.Repairable
	// Examples are the first differences of each kind that are left.
	Examples []store.Difference
	// Queries ask the workspace for the same.
	Queries []WorkspaceQuery
}

// Verify begins to compare the ledger with what stands in the workspace: all ids, or a sample of about 1,000. It is [ErrAtWork] while
// another verification runs.
func (p *Pipeline) Verify(_ context.Context, all bool) error {
	if err := p.verifier.requestVerification(all); err != nil {
		return err
	}
	p.Logger.Info("verification asked for", "all", all)
	return nil
}

// CancelVerification ends the verification that runs; [ErrNotAtWork] where none does.
func (p *Pipeline) CancelVerification() error {
	if running, _ := p.verifier.presentVerification(); running == nil {
		return ErrNotAtWork
	}
	p.verifier.cancelled.Store(true)
	p.verifier.cancelWork(errVerifyCancelled)
	p.Logger.Info("verification cancelled")
	return nil
}

// LastVerification is the verification that runs, or else the last one, without what it found; its State is "" where there was none.
func (p *Pipeline) LastVerification(ctx context.Context) (store.Verification, error) {
	if running, _ := p.verifier.presentVerification(); running != nil {
		return *running, nil
	}
	return p.verifier.lastVerification(ctx)
}

// Verification tells what came of the last verification, or how far the one is that runs.
func (p *Pipeline) Verification(ctx context.Context) (v Verification, err error) {
	v.Queries = []WorkspaceQuery{
		{"Counts by type, and the newest row", sentinel.CountsQuery(p.Source)},
		{fmt.Sprintf("The first %d objects in the order of their ids", maxExamples), sentinel.PageQuery(p.Source, "", maxExamples)},
	}
	running, expected := p.verifier.presentVerification()
	if running != nil {
		v.Verification, v.Running, v.Expected = *running, true, expected
	} else if v.Verification, err = p.verifier.lastVerification(ctx); err != nil {
		return v, err
	}
	for _, kind := range ledger.Differences {
		examples, err := p.verifier.store.Differences(ctx, kind, maxExamples)
		if err != nil {
			return v, err
		}
		v.Examples = append(v.Examples, examples...)
	}
	if !v.Running {
		v.Repairable, err = p.verifier.store.Repairable(ctx, time.Now())
	}
	return v, err
}

// lastVerification is the last one as it was kept. One that was kept as running ended with its process.
func (v *verifier) lastVerification(ctx context.Context) (store.Verification, error) {
	last, err := v.store.Verification(ctx)
	if err != nil {
		return last, err
	}
	if last.State == store.VerificationRunning {
		last.State = store.VerificationFailed
		last.Message = "The Service was restarted before the end. Verify again."
	}
	return last, nil
}

// SendAgain has an update send what the last verification found to be missing, expired or other than it was sent. It gives the job, and
// how many objects these are: for none there is no job.
func (p *Pipeline) SendAgain(ctx context.Context) (j job.Job, objects int64, err error) {
	return p.repairDifferences(ctx, false, p.verifier.store.SendDifferencesAgain)
}

// RetireUnexpected has an update retire what the last verification found in the workspace and nobody gives. Where that is much, the job
// asks first, as any other. It is [ErrNotReadYet] before an update read everything. The answers are those of [Pipeline.SendAgain].
func (p *Pipeline) RetireUnexpected(ctx context.Context) (j job.Job, objects int64, err error) {
	schedule, err := p.verifier.store.Schedule(ctx)
	if err != nil {
		return j, 0, err
	}
	if schedule.LastFullRead.IsZero() {
		return j, 0, fmt.Errorf("retiring what is unexpected: %w", ErrNotReadYet)
	}
	return p.repairDifferences(ctx, true, func(ctx context.Context) (int64, error) {
		return p.verifier.store.RetireDifferences(ctx, time.Now().UTC())
	})
}

// repairDifferences carries out a command about differences. What has begun is finished, even when the caller has given up waiting: without the job
// nothing would be sent before the next update.
func (p *Pipeline) repairDifferences(ctx context.Context, retire bool, change func(context.Context) (int64, error)) (j job.Job, objects int64, err error) {
	letGo, err := p.verifier.takeHand()
	if err != nil {
		return j, 0, err
	}
	defer letGo()
	last, err := p.verifier.lastVerification(ctx)
	if err != nil {
		return j, 0, err
	}
	r, err := p.verifier.store.Repairable(ctx, time.Now())
	if err != nil {
		return j, 0, err
	}
	if retire && r.Retire == 0 || !retire && r.SendAgain == 0 {
		return j, objects, ErrNoDifference
	}
	ctx = context.WithoutCancel(ctx)
	if objects, err = change(ctx); err != nil {
		return j, objects, err
	}
	if objects > 0 {
		if j, err = p.Submit(ctx, job.Request{Mode: job.Delta}); err != nil {
			return j, objects, err
		}
	}
	last.Repairs = append(last.Repairs, store.Repair{At: time.Now().UTC(), Retire: retire, Objects: objects, RequestID: j.RequestID})
	p.Logger.Info("differences are put right", "retire", retire, "objects", objects, "job", j.RequestID)
	return j, objects, p.verifier.store.KeepVerification(ctx, last)
}
