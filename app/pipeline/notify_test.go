package pipeline

import (
	"context"
	"fmt"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/mattn/go-sqlite3"

	"mssentinel/app/job"
	"mssentinel/app/notification"
	"mssentinel/app/standin/tcserver"
	"mssentinel/app/store"
)

// notifyingWorld has ten hosts in Sentinel and people who are notified. Updates come every six hours.
func notifyingWorld(t *testing.T, change ...func(*world)) *world {
	w := newWorld(t, append(change, func(w *world) {
		w.notify = true
		w.options.Interval, w.options.FullInterval = 6*time.Hour, 0
	})...)
	w.fill(10)
	w.done(w.save(job.Full, query("", "Alpha")))
	return w
}

// breakSecret has every job fail for good until mendSecret.
func (w *world) breakSecret() {
	w.far.SetSecret(clientID, "another")
	w.far.ExpireTokens()
	w.put("Alpha", fmt.Sprintf("after-%d.example", time.Now().Unix())) // something to upload
}

func (w *world) mendSecret() { w.far.SetSecret(clientID, secret) }

// told fails the test unless people were notified so often since it was last asked, and returns what arrived.
func (w *world) told(n int) []tcserver.Notification {
	w.t.Helper()
	all := w.tc.Notifications()
	fresh := all[w.seen:]
	w.seen = len(all)
	if len(fresh) != n {
		w.t.Fatalf("people were notified %d times, not %d: %+v", len(fresh), n, fresh)
	}
	return fresh
}

// wantMessage fails the test unless a notification has the priority and the parts.
func (w *world) wantMessage(n tcserver.Notification, priority string, parts ...string) {
	w.t.Helper()
	if n.Priority != priority || n.Type != notificationType || !n.Organization {
		w.t.Errorf("sent as %+v", n)
	}
	for _, part := range append(parts, "Microsoft Sentinel v1.2.3, source `"+source+"`:\n\n") {
		if !strings.Contains(n.Message, part) {
			w.t.Errorf("%q is not in\n%s", part, n.Message)
		}
	}
	if strings.Contains(n.Message, ".example`") || strings.Contains(n.Message, secret) || len(n.Message) > 8<<10 {
		w.t.Errorf("says too much:\n%s", n.Message)
	}
}

// postsOf counts the tries to send a notification.
func (w *world) posts() (n int) {
	for _, r := range w.tc.Requests() {
		if r.Target == "/api/v2/notifications" {
			n++
		}
	}
	return n
}

func (w *world) notifications() Task {
	tasks := w.p.Tasks()
	return tasks[len(tasks)-1]
}

func TestPeopleAreToldOfAFailureAndOfTheRecovery(t *testing.T) {
	in(t, func(t *testing.T) {
		w := notifyingWorld(t)
		time.Sleep(24 * time.Hour)
		w.told(0)
		w.breakSecret()
		id := w.runJob(job.Delta).RequestID
		time.Sleep(2 * time.Minute)
		w.wantMessage(w.told(1)[0], "High", "**Job Failed.** 1 update has failed", "Delta update `"+id+"` (ad-hoc)", "Client Secret", "Retry on JOBS")
		if detail := w.notifications().Detail; !strings.Contains(detail, "Last notified at 2000-") || !strings.Contains(detail, "Job Failed") {
			t.Errorf("TASKS says %q", detail)
		}
		time.Sleep(28 * time.Hour) // scheduled ones fail as well, each six hours, and no update completes
		for _, n := range w.told(4) {
			w.wantMessage(n, "High")
		}
		w.mendSecret()
		w.must(w.p.RunTask(t.Context(), "schedule-downloads"))
		time.Sleep(time.Hour)
		w.wantMessage(w.told(1)[0], "Low", "**Recovered: Job Failed** (since 2000-01-02 00:0", "that makes up for what failed", "**Recovered: Update Overdue**")
		time.Sleep(26 * time.Hour)
		w.told(0)
	})
}

func TestPeopleAreToldThatAJobNeedsConfirmation(t *testing.T) {
	in(t, func(t *testing.T) {
		w := notifyingWorld(t)
		for i := range 300 {
			w.put("Alpha", fmt.Sprintf("more-%d.example", i))
		}
		w.done(w.runJob(job.Reconcile))
		for i := range int64(200) {
			w.must(w.tc.Delete(i + 20))
		}
		j := w.runJob(job.Delta)
		if j.Status != job.ConfirmationRequired {
			t.Fatalf("%s: %s", j.Status, j.Message)
		}
		time.Sleep(2 * time.Minute)
		w.wantMessage(w.told(1)[0], "Medium", "**Confirmation Required.** 1 update wants", "`"+j.RequestID+"`", fmt.Sprintf("about %d objects", j.Question()), "confirm or dismiss it on JOBS")
		time.Sleep(3 * time.Hour)
		w.must(w.p.AnswerRetirement(t.Context(), j.RequestID, false))
		time.Sleep(2 * time.Minute)
		w.wantMessage(w.told(1)[0], "Low", "**Recovered: Confirmation Required**")
		time.Sleep(48 * time.Hour)
		w.told(0)
	})
}

func (w *world) newestJob() job.Job {
	w.t.Helper()
	jobs, _, err := w.store.Jobs(w.t.Context(), store.JobFilter{Limit: 1})
	w.must(err)
	return jobs[0]
}

func TestPeopleAreToldThatAnUpdateIsOverdue(t *testing.T) {
	for _, slug := range []string{"upload", "schedule-downloads", "download"} {
		t.Run(slug, func(t *testing.T) {
			in(t, func(t *testing.T) {
				w := notifyingWorld(t)
				w.must(w.p.PauseTask(t.Context(), slug, true))
				w.put("Alpha", "waits.example")
				time.Sleep(17 * time.Hour) // an update is wanted after 6
				w.told(0)
				time.Sleep(2 * time.Hour)
				name := map[string]string{"upload": "Upload", "schedule-downloads": "Schedule Downloads", "download": "Download"}[slug]
				waits := ""
				if slug == "download" {
					waits = "Update " + w.newestJob().RequestID + " is Pending."
				}
				w.wantMessage(w.told(1)[0], "High", "**Update Overdue.** An update is wanted since 2000-01-01 06:0", "(of 6 hours)", "The last one completed 2000-01-01 00:0", name+" is paused: resume it on TASKS.", waits)
				w.restart() // the pause survives it
				time.Sleep(3 * time.Hour)
				w.told(0)
				w.must(w.p.PauseTask(t.Context(), slug, false))
				time.Sleep(time.Hour)
				w.wantMessage(w.told(1)[0], "Low", "**Recovered: Update Overdue**")
			})
		})
	}
}

// What comes up while nobody is told is one notification then.
func TestPeopleGetOneDigest(t *testing.T) {
	in(t, func(t *testing.T) {
		w := notifyingWorld(t)
		w.must(w.p.PauseTask(t.Context(), "notifications", true))
		w.breakSecret()
		w.must(w.p.PauseTask(t.Context(), "schedule-downloads", true))
		w.runJob(job.Delta)
		time.Sleep(20 * time.Hour)
		w.told(0)
		w.must(w.p.PauseTask(t.Context(), "notifications", false))
		time.Sleep(2 * time.Minute)
		w.wantMessage(w.told(1)[0], "High", "**Job Failed.**", "**Update Overdue.**")
	})
}

func TestARestartNeitherRepeatsNorForgets(t *testing.T) {
	in(t, func(t *testing.T) {
		w := notifyingWorld(t)
		w.must(w.p.PauseTask(t.Context(), "schedule-downloads", true))
		w.breakSecret()
		w.runJob(job.Delta)
		w.stop() // before anybody was told
		time.Sleep(time.Minute)
		w.start()
		time.Sleep(2 * time.Minute)
		w.told(1)
		for range 5 {
			w.restart()
			time.Sleep(10 * time.Minute)
		}
		w.told(0)
		w.mendSecret()
		w.done(w.runJob(job.Delta))
		w.restart()
		time.Sleep(time.Hour)
		w.wantMessage(w.told(1)[0], "Low", "**Recovered: Job Failed**")
		w.restart()
		time.Sleep(time.Hour)
		w.told(0)
	})
}

// The end of the process while a notification is on its way keeps nobody waiting, and does not make it two in an hour.
func TestTheEndWhileANotificationIsOnItsWay(t *testing.T) {
	in(t, func(t *testing.T) {
		w := notifyingWorld(t)
		w.must(w.p.PauseTask(t.Context(), "schedule-downloads", true))
		w.breakSecret()
		w.must(w.tc.Inject(tcserver.Fault{Kind: tcserver.Hang, Path: "/api/v2/notifications"}))
		w.runJob(job.Delta)
		time.Sleep(70 * time.Second)
		w.restart()
		time.Sleep(50 * time.Minute)
		w.told(0)
		time.Sleep(20 * time.Minute)
		w.told(1)
		if n := w.posts(); n != 2 {
			t.Errorf("%d tries", n)
		}
	})
}

// No update minds whether people can be told; TASKS and the log say why they were not, and they are told later.
func TestThreatConnectTakesNoNotification(t *testing.T) {
	for name, fail := range map[string]func(w *world) (mend func()){
		"Organization Administrator": func(w *world) func() {
			w.tc.RefuseNotifications(true)
			return func() { w.tc.RefuseNotifications(false) }
		},
		"answered 503": func(w *world) func() {
			w.must(w.tc.Inject(tcserver.Fault{Kind: tcserver.Status, Status: 503, Count: -1, Path: "/api/v2/notifications"}))
			return w.tc.ClearFaults
		},
		"no usable answer": func(w *world) func() {
			w.must(w.tc.Inject(tcserver.Fault{Kind: tcserver.CutBefore, Count: -1, Path: "/api/v2/notifications"}))
			return w.tc.ClearFaults
		},
	} {
		t.Run(name, func(t *testing.T) {
			in(t, func(t *testing.T) {
				w := notifyingWorld(t)
				mend := fail(w)
				w.breakSecret()
				w.runJob(job.Full) // scheduled deltas make up for no full update
				w.mendSecret()
				time.Sleep(5 * time.Minute)
				if detail := w.notifications().Detail; !strings.Contains(detail, name) || !strings.Contains(detail, ", the next try is at ") {
					t.Errorf("TASKS says %q", detail)
				}
				if log := w.log.String(); !strings.Contains(log, "people were not notified") || !strings.Contains(log, name) || strings.Contains(log, tcserver.DefaultSecretKey) {
					t.Errorf("the log says\n%s", log)
				}
				w.put("Alpha", "new.example")
				w.done(w.runJob(job.Delta))
				time.Sleep(24 * time.Hour)
				if n := w.posts(); n < 10 || n > 30 {
					t.Errorf("%d tries in a day", n)
				}
				w.told(0)
				mayHaveArrived := name == "no usable answer"
				for !mayHaveArrived && time.Until(w.notifications().NextRun) < 10*time.Minute {
					time.Sleep(time.Minute)
				}
				mend()
				tries := w.posts()
				w.must(w.p.RunTask(t.Context(), "cleaner"))
				time.Sleep(2 * notifyEvery)
				if n := w.posts() - tries; n > 0 && !mayHaveArrived {
					t.Errorf("%d tries since another task was run", n)
				}
				w.must(w.p.RunTask(t.Context(), "notifications")) // by hand it is tried at once, unless one may have arrived
				if mayHaveArrived {
					time.Sleep(time.Hour)
				}
				time.Sleep(time.Second)
				w.wantMessage(w.told(1)[0], "High", "**Job Failed.** 1 update has failed", "Full update")
			})
		})
	}
}

// Where it is not known whether a notification arrived, the next one comes an hour later.
func TestANotificationThatMayHaveArrived(t *testing.T) {
	in(t, func(t *testing.T) {
		w := notifyingWorld(t)
		w.must(w.p.PauseTask(t.Context(), "schedule-downloads", true))
		w.must(w.tc.Inject(tcserver.Fault{Kind: tcserver.Truncated, Path: "/api/v2/notifications"}))
		w.breakSecret()
		w.runJob(job.Delta)
		time.Sleep(55 * time.Minute)
		first := w.told(1)[0].Time // it did
		time.Sleep(10 * time.Minute)
		if again := w.told(1)[0].Time; again.Sub(first) < time.Hour {
			t.Errorf("told again after %v", again.Sub(first))
		}
		time.Sleep(10 * time.Hour)
		w.told(0)
	})
}

// forgetful is a store on a disk that takes nothing.
type forgetful struct{ taskStores }

func (forgetful) SetNotificationStates(context.Context, []notification.State) error {
	return fmt.Errorf("keeping: %w", sqlite3.Error{Code: sqlite3.ErrFull})
}

func TestAFullDiskKeepsNobodyFromBeingTold(t *testing.T) {
	in(t, func(t *testing.T) {
		w := notifyingWorld(t, func(w *world) { w.wrap = func(s *store.Store) taskStores { return forgetful{s} } })
		w.must(w.p.PauseTask(t.Context(), "schedule-downloads", true))
		w.breakSecret()
		w.runJob(job.Delta)
		time.Sleep(3 * time.Hour)
		w.told(1)
	})
}

func TestNobodyIsToldWhereThatIsOff(t *testing.T) {
	in(t, func(t *testing.T) {
		w := notifyingWorld(t, func(w *world) { w.notifyOff = true })
		w.breakSecret()
		w.runJob(job.Delta)
		time.Sleep(48 * time.Hour)
		w.told(0)
		shown := slices.ContainsFunc(w.p.Tasks(), func(task Task) bool { return task.Slug == aboutNotifier.Slug })
		if shown || w.posts() != 0 {
			t.Errorf("the task is shown: %t; %d tries", shown, w.posts())
		}
	})
}

func TestWantedSince(t *testing.T) {
	at := func(hours int) time.Time { return time.Date(2026, 5, 1, hours, 0, 0, 0, time.UTC) }
	for _, c := range []struct {
		name    string
		hasWork bool
		done    store.Completions
		due     time.Time
		want    time.Time
	}{
		{"nothing to do", false, store.Completions{Queued: at(1)}, at(2), time.Time{}},
		{"the next is not due yet", true, store.Completions{Last: at(1)}, at(20), time.Time{}},
		{"one waits or runs", true, store.Completions{Last: at(1), Queued: at(2)}, at(8), at(2)},
		{"one was due and is not queued", true, store.Completions{Last: at(1)}, at(7), at(7)},
		{"one took longer than the interval", true, store.Completions{Last: at(9)}, at(7), at(9)},
		{"none has ever completed", true, store.Completions{Queued: at(3)}, at(9), at(3)},
		{"one failed, the next is queued", true, store.Completions{Last: at(1), Queued: at(2)}, at(8), at(2)},
	} {
		if got := wantedSince(c.hasWork, c.done, c.due, at(10)); !got.Equal(c.want) {
			t.Errorf("%s: %v, want %v", c.name, got, c.want)
		}
	}
}
