package pipeline

import (
	"context"
	"fmt"
	"log/slog"
	"time"
)

// watchEvery is how often the heartbeats are looked at.
const watchEvery = 30 * time.Second

// watchdog cancels the work of a task that gives no sign of life for longer than its timeout. While the disk takes
// nothing, no task is blamed.
type watchdog struct {
	tasks    []*task
	uploader *uploader
	runs     *runRecord
	disk     *disk
	log      *slog.Logger
}

// watchTasks works until ctx ends.
func (w *watchdog) watchTasks(ctx context.Context) {
	tick := time.NewTicker(watchEvery)
	defer tick.Stop()
	for {
		select {
		case <-ctx.Done():
			return
		case <-tick.C:
		}
		w.disk.probe(ctx)
		w.uploader.saveWaitTime(ctx)
		w.runs.saveRuns(ctx, false)
		for _, t := range w.tasks {
			w.checkTask(t)
		}
	}
}

func (w *watchdog) checkTask(t *task) {
	timeout := t.about.HeartbeatTimeout
	switch {
	case w.disk.describeTrouble() != "":
		t.noteActivity()
	case t.isOverdue(time.Now()):
		w.log.Warn("task gave no sign of life, its work is ended", "task", t.about.Slug, "timeout", timeout)
		t.cancelWork(fmt.Errorf("the task %s gave no sign of life for %.0f minutes", t.about.Name, timeout.Minutes()))
	}
}
