package store

import (
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"

	"mssentinel/app/job"
)

// The runs of tasks are summed up over days and a restart; what is too old is dropped and does not count.
func TestTaskRuns(t *testing.T) {
	f := newFixture(t)
	day := noon.Truncate(day24)
	f.do(f.AddTaskRuns(ctx(), []TaskRuns{{"cleaner", day, 2, 3 * time.Second, 2 * time.Second}, {"verify", day.Add(-day24), 1, time.Hour, time.Hour},
		{"verify", day.Add(-40 * day24), 1, 9 * time.Hour, 9 * time.Hour}}))
	f.do(f.AddTaskRuns(ctx(), []TaskRuns{{"cleaner", day, 1, 5 * time.Second, 5 * time.Second}, {"cleaner", day.Add(-day24), 1, time.Second, time.Second}}))
	f.reopen()
	since := noon.Add(-30 * day24)
	want := []TaskRuns{{"cleaner", since, 4, 9 * time.Second, 5 * time.Second}, {"verify", since, 1, time.Hour, time.Hour}}
	got, err := f.TaskRuns(ctx(), since)
	f.do(err)
	if diff := cmp.Diff(want, got); diff != "" {
		t.Errorf("runs (-want +got):\n%s", diff)
	}
	f.do(f.Clean(ctx(), noon))
	var rows int
	f.do(f.read.Get(&rows, `SELECT count(*) FROM daily_task`))
	if rows != 3 {
		t.Errorf("%d rows are kept", rows)
	}
}

// The stages of updates count where they ended within the window.
func TestStageRuns(t *testing.T) {
	f := newFixture(t)
	at := func(d time.Duration) *time.Time { moment := noon.Add(d); return &moment }
	for _, stages := range [][3]time.Duration{{time.Minute, 2 * time.Minute, time.Hour}, {3 * time.Minute, 2 * time.Minute, 0}} {
		j, err := f.AddJob(ctx(), job.Request{Type: job.AdHoc, Mode: job.Full}, noon)
		f.do(err)
		_, err = f.UpdateJob(ctx(), j.RequestID, func(j *job.Job) error {
			j.Status = job.Failed
			j.DateDownloadStart, j.DateDownloadComplete = at(0), at(stages[0])
			j.DateConvertStart, j.DateConvertComplete = at(0), at(stages[1])
			if j.DateUploadStart = at(0); stages[2] > 0 {
				j.DateUploadComplete = at(stages[2])
			}
			return nil
		})
		f.do(err)
	}
	for _, tt := range []struct {
		since time.Time
		want  Stages
	}{
		{noon, Stages{TaskRuns{Day: noon, Runs: 2, Took: 4 * time.Minute, Longest: 3 * time.Minute}, TaskRuns{Day: noon, Runs: 2, Took: 4 * time.Minute, Longest: 2 * time.Minute},
			TaskRuns{Day: noon, Runs: 1, Took: time.Hour, Longest: time.Hour}}},
		{noon.Add(day24), Stages{TaskRuns{Day: noon.Add(day24)}, TaskRuns{Day: noon.Add(day24)}, TaskRuns{Day: noon.Add(day24)}}},
	} {
		got, err := f.StageRuns(ctx(), tt.since)
		f.do(err)
		if diff := cmp.Diff(tt.want, got); diff != "" {
			t.Errorf("since %s (-want +got):\n%s", tt.since, diff)
		}
	}
}
