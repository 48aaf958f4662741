package main

import (
	"context"
	"errors"
	"fmt"
	"net/http"
	"os"
	"path/filepath"
	"slices"
	"time"

	"mssentinel/app/standin/sentinelserver"
	"mssentinel/app/standin/tcserver"
	"mssentinel/plugins/builtin"
)

// bench is the App and what it stands between.
type bench struct {
	options
	tc    *tcserver.Server
	cloud *sentinelserver.Server
	app   *app
}

// types are those that the built-in mappers take, by name.
var types = builtinTypes()

func builtinTypes() []string {
	names := make([]string, len(builtin.Types))
	for i, t := range builtin.Types {
		names[i] = t.Name
	}
	return names
}

// job is one line of JOBS.
type job struct {
	RequestID string `json:"request_id"`
	Status    string `json:"status"`
	Message   string `json:"message"`
	Unchanged int    `json:"count_unchanged"`
	Duplicate int    `json:"count_duplicate"`
	Uploaded  int    `json:"count_uploaded"`
	Rejected  int    `json:"count_rejected"`
}

// runUpdates runs the updates one after the other, each followed by the Cleaner.
func (b *bench) runUpdates(ctx context.Context) (all []update, err error) {
	for _, step := range []struct {
		name  string
		queue func(context.Context) error
	}{
		{"full", b.saveQuery},
		{"full again", b.submitJob("full")},
		{"reconcile", b.submitJob("reconcile")},
		{"delta", b.submitJob("delta")},
	} {
		if step.name == "delta" {
			if err := b.changeIndicators(); err != nil {
				return nil, err
			}
		}
		u, err := b.measureUpdate(ctx, step.queue)
		if err != nil {
			return nil, fmt.Errorf("%s: %w", step.name, err)
		}
		u.Name = step.name
		all = append(all, u)
	}
	return all, nil
}

// measureUpdate measures one update, and the Cleaner after it: what one App puts off until then another may do at once.
func (b *bench) measureUpdate(ctx context.Context, queue func(context.Context) error) (u update, err error) {
	m := b.startMeter()
	defer m.stopMeter()
	began := time.Now()
	if err := queue(ctx); err != nil {
		return u, err
	}
	j, err := b.awaitJob(ctx)
	if err != nil {
		return u, err
	}
	m.stopMeter()
	first, last := b.workSpan(began)
	u = update{Objects: j.Uploaded + j.Rejected + j.Unchanged + j.Duplicate, Uploaded: j.Uploaded, Seconds: last.Sub(first).Seconds(),
		consumption: m.sumConsumption(), Processes: m.sumByName(), Live: b.cloud.Stats().Live}
	cleaner := b.startMeter()
	defer cleaner.stopMeter()
	if err := b.runCleaner(ctx); err != nil {
		return u, err
	}
	cleaner.stopMeter()
	u.Cleaner = cleaner.sumConsumption()
	u.CleanBytes, err = databaseBytes(b.databaseFolder())
	return u, err
}

func (b *bench) startMeter() *meter { return startMeter(b.app.cmd.Process.Pid, b.databaseFolder()) }

// saveQuery saves one query that selects everything that is active; a full update follows.
func (b *bench) saveQuery(ctx context.Context) error {
	var owners []string
	for _, o := range b.tc.Owners() {
		owners = append(owners, o.Name)
	}
	query := map[string]any{"owners": owners, "types": types, "sort_field": b.sort, "tql": "id > 0", "sort_direction": ""}
	return b.app.callRoute(ctx, http.MethodPost, "api/tql-config?reset=true", []any{query}, nil)
}

func (b *bench) submitJob(mode string) func(context.Context) error {
	return func(ctx context.Context) error {
		return b.app.callRoute(ctx, http.MethodPost, "api/job/request", map[string]string{"mode": mode}, nil)
	}
}

// awaitJob waits until the newest job is over.
func (b *bench) awaitJob(ctx context.Context) (j job, err error) {
	err = pollUntil(ctx, lookEvery, func() (bool, error) {
		var jobs struct{ Data []job }
		if err := b.app.callRoute(ctx, http.MethodGet, "api/job/request?limit=1", nil, &jobs); err != nil || len(jobs.Data) == 0 {
			return false, err
		}
		switch j = jobs.Data[0]; j.Status {
		case "Upload Complete":
			return true, nil
		case "Failed", "Cancelled", "Confirmation Required":
			return false, fmt.Errorf("the job ended as %s: %s", j.Status, j.Message)
		}
		return false, nil
	})
	return j, err
}

// workSpan is from the first request since then to the last answer.
func (b *bench) workSpan(since time.Time) (first, last time.Time) {
	for _, r := range b.tc.Requests() {
		if r.Time.After(since) && (first.IsZero() || r.Time.Before(first)) {
			first = r.Time
		}
		last = laterOf(last, r.Ended)
	}
	for _, r := range b.cloud.Requests() {
		last = laterOf(last, r.Ended)
	}
	return first, last
}

func laterOf(a, b time.Time) time.Time {
	if a.After(b) {
		return a
	}
	return b
}

// changeIndicators modifies indicators all over the population, within the window of the next delta update.
func (b *bench) changeIndicators() error {
	active := slices.DeleteFunc(b.tc.Rows(), func(r tcserver.Row) bool { return !r.Active || !slices.Contains(types, r.Type) })
	at := time.Now().Add(-6 * time.Minute).UTC().Format(time.RFC3339)
	for i := range min(b.changes, len(active)) {
		id := active[i*len(active)/b.changes].ID
		if err := b.tc.Modify(id, map[string]any{"confidence": 1, "lastModified": at}); err != nil {
			return err
		}
	}
	return nil
}

// runCleaner runs the Cleaner and waits for it.
func (b *bench) runCleaner(ctx context.Context) error {
	asked := time.Now()
	if err := b.app.callRoute(ctx, http.MethodPut, "api/task/cleaner?run=true", nil, nil); err != nil {
		return err
	}
	return pollUntil(ctx, lookEvery, func() (bool, error) {
		var tasks struct {
			Data []struct {
				Slug, Status string
				LastRun      time.Time `json:"last_run"`
			}
		}
		err := b.app.callRoute(ctx, http.MethodGet, "api/task", nil, &tasks)
		for _, t := range tasks.Data {
			if t.Slug == "cleaner" {
				return t.Status != "Running" && t.LastRun.After(asked), err
			}
		}
		return false, errors.Join(err, errors.New("there is no Cleaner"))
	})
}

func (b *bench) databaseFolder() string { return filepath.Join(b.state, "state") }

// databaseBytes is the size of the database in a folder, with its log.
func databaseBytes(folder string) (size int64, err error) {
	files, err := filepath.Glob(filepath.Join(folder, "*.db*"))
	for _, path := range files {
		info, statErr := os.Stat(path)
		if statErr != nil {
			err = errors.Join(err, ignoreMissing(statErr))
			continue
		}
		size += info.Size()
	}
	return size, err
}
