package pipeline

import (
	"context"
	"log/slog"
	"slices"
	"sync"
	"time"

	"mssentinel/app/store"
)

const (
	// RunWindow is how far back runs count for the average and the longest run of a task.
	RunWindow = 30 * 24 * time.Hour
	// saveRunsEvery bounds how many short runs the end of the process may lose. A run as long as longRun is saved with the
	// next look of the watchdog.
	saveRunsEvery = 10 * time.Minute
	longRun       = 10 * time.Second
)

// Runs are the runs of a task that ended within [RunWindow]. Of Download, Convert and Upload they are the stages of updates
// that got through them, of the other tasks whatever they had in hand, also where that failed or was killed.
type Runs struct {
	Count            int64
	Average, Longest time.Duration
}

// runRecord keeps for how long tasks were at work, until the database has it.
type runRecord struct {
	store interface {
		AddTaskRuns(ctx context.Context, all []store.TaskRuns) error
	}
	log *slog.Logger

	mu      sync.Mutex
	unsaved []store.TaskRuns
	saved   time.Time
}

// noteRun takes down a run that ended now.
func (r *runRecord) noteRun(slug string, took time.Duration) {
	r.mu.Lock()
	defer r.mu.Unlock()
	day := time.Now().UTC().Truncate(24 * time.Hour)
	i := slices.IndexFunc(r.unsaved, func(u store.TaskRuns) bool { return u.Slug == slug && u.Day.Equal(day) })
	if i < 0 {
		i = len(r.unsaved)
		r.unsaved = append(r.unsaved, store.TaskRuns{Slug: slug, Day: day})
	}
	u := &r.unsaved[i]
	u.Runs, u.Took, u.Longest = u.Runs+1, u.Took+took, max(u.Longest, took)
}

// saveRuns keeps what was taken down, where that is long ago or long, or now is true. What cannot be kept stays for later.
func (r *runRecord) saveRuns(ctx context.Context, now bool) {
	r.mu.Lock()
	isLong := func(u store.TaskRuns) bool { return u.Longest >= longRun }
	if len(r.unsaved) == 0 || !now && time.Since(r.saved) < saveRunsEvery && !slices.ContainsFunc(r.unsaved, isLong) {
		r.mu.Unlock()
		return
	}
	taken := r.unsaved
	r.unsaved, r.saved = nil, time.Now()
	r.mu.Unlock()
	if err := r.store.AddTaskRuns(ctx, taken); err != nil {
		r.log.Debug("the runs of tasks could not be kept yet", "error", err)
		r.mu.Lock()
		r.unsaved = mergeRuns(taken, r.unsaved)
		r.mu.Unlock()
	}
}

// readUnsaved is what the database does not have yet.
func (r *runRecord) readUnsaved() []store.TaskRuns {
	r.mu.Lock()
	defer r.mu.Unlock()
	return slices.Clone(r.unsaved)
}

// mergeRuns adds runs to others of the same task and day, in place.
func mergeRuns(all, more []store.TaskRuns) []store.TaskRuns {
	for _, m := range more {
		i := slices.IndexFunc(all, func(a store.TaskRuns) bool { return a.Slug == m.Slug && a.Day.Equal(m.Day) })
		if i < 0 {
			all = append(all, m)
			continue
		}
		all[i].Runs, all[i].Took, all[i].Longest = all[i].Runs+m.Runs, all[i].Took+m.Took, max(all[i].Longest, m.Longest)
	}
	return all
}

// TaskRuns tells for how long the tasks were at work, by their slugs. A task that did not run is left out.
func (p *Pipeline) TaskRuns(ctx context.Context) (map[string]Runs, error) {
	since := time.Now().UTC().Add(-RunWindow)
	saved, err := p.Store.TaskRuns(ctx, since)
	if err != nil {
		return nil, err
	}
	stages, err := p.Store.StageRuns(ctx, since)
	if err != nil {
		return nil, err
	}
	for task, stage := range map[*task]store.TaskRuns{p.downloader.task: stages.Download, p.converter.task: stages.Convert, p.uploader.task: stages.Upload} {
		stage.Slug = task.about.Slug
		saved = append(saved, stage)
	}
	unsaved := p.runs.readUnsaved()
	for i := range unsaved {
		unsaved[i].Day = since // as those that are summed up
	}
	runs := map[string]Runs{}
	for _, r := range mergeRuns(saved, unsaved) {
		if r.Runs > 0 {
			runs[r.Slug] = Runs{Count: r.Runs, Average: r.Took / time.Duration(r.Runs), Longest: r.Longest}
		}
	}
	return runs, nil
}
