package store

import (
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"

	"mssentinel/app/job"
	"mssentinel/app/notification"
)

func TestCompletions(t *testing.T) {
	f := newFixture(t)
	want := func(want Completions) {
		t.Helper()
		got, err := f.Completions(ctx())
		f.do(err)
		if diff := cmp.Diff(want, got); diff != "" {
			t.Errorf("(-want +got):\n%s", diff)
		}
	}
	want(Completions{})
	at := func(hours int) time.Time { return noon.Add(time.Duration(hours) * time.Hour) }
	end := func(kind job.Type, mode job.Mode, queued, completed int, status job.Status) {
		j, err := f.AddJob(ctx(), job.Request{Type: kind, Mode: mode}, at(queued))
		f.do(err)
		f.do(second(f.UpdateJob(ctx(), j.RequestID, func(j *job.Job) error {
			window, date := at(queued).Add(-time.Minute), at(completed)
			j.Status, j.Mode, j.WindowEnd = status, mode, &window
			if status != job.Pending {
				j.DateCompleted = &date
			}
			return nil
		})))
	}
	window := func(hours int) time.Time { return at(hours).Add(-time.Minute) }
	end(job.Scheduled, job.Full, 0, 0, job.Failed)
	want(Completions{Queued: at(0)})
	end(job.Scheduled, job.Full, 1, 2, job.ConfirmationRequired)
	want(Completions{Covered: window(1), CoveredAll: window(1), Last: at(2)})
	end(job.AdHoc, job.Delta, 3, 4, job.UploadComplete)
	end(job.AdHoc, job.Full, 5, 0, job.Failed)
	end(job.Scheduled, job.Full, 6, 9, job.Cancelled)
	end(job.AdHoc, job.Delta, 5, 6, job.UploadComplete)
	f.do(second(f.write.Exec(`UPDATE job SET ranged = 1 WHERE number = (SELECT max(number) FROM job)`)))
	want(Completions{Covered: window(3), CoveredAll: window(1), Last: at(4)})
	end(job.Scheduled, job.Delta, 7, 0, job.Failed)
	end(job.Scheduled, job.Delta, 8, 0, job.Pending)
	want(Completions{Covered: window(3), CoveredAll: window(1), Last: at(4), Queued: at(7)})
}

func TestNotificationStatesSurviveARestart(t *testing.T) {
	f := newFixture(t)
	want := func(want []notification.State) {
		t.Helper()
		got, err := f.NotificationStates(ctx())
		f.do(err)
		if diff := cmp.Diff(want, got); diff != "" {
			t.Errorf("(-want +got):\n%s", diff)
		}
	}
	want(nil)
	states := []notification.State{{Cause: notification.JobFailed, Arose: noon, Told: noon.Add(time.Second), Times: 3, Tried: noon, Lost: noon, LostAll: noon},
		{Cause: notification.UpdateOverdue, Arose: noon}}
	f.do(f.SetNotificationStates(ctx(), states))
	f.reopen()
	want(states)
	f.do(second(f.write.Exec(`UPDATE setting SET value = '{"newer":1}' WHERE name = ?`, settingNotified)))
	want(nil)
}
