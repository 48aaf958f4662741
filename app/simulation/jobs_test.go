package simulation

import (
	"context"
	"strings"
	"time"

	"mssentinel/app/job"
	"mssentinel/app/store"
)

// The brake, as the user guide has it: above so many retirements, and more than one in ten of what is live, an update asks. What a
// history has in ThreatConnect is never so much that a tenth is more.
const brake = 100

// checkJobs holds all jobs that were not looked at yet to what was commanded. Nothing runs meanwhile.
func (w *world) checkJobs() {
	ctx := context.Background()
	jobs, _, err := w.process.store.Jobs(ctx, store.JobFilter{Limit: 500})
	w.expectNone(err, "reading the jobs")
	for _, j := range jobs {
		if j.Number <= w.looked {
			break
		}
		attempts, err := w.process.store.Attempts(ctx, j.RequestID)
		w.expectNone(err, "reading the attempts at a job")
		w.checkJob(j, attempts)
	}
	if len(jobs) > 0 {
		w.looked = jobs[0].Number
	}
}

// checkJob holds one job to what was commanded.
func (w *world) checkJob(j job.Job, attempts []job.Attempt) {
	if j.Status.Open() {
		w.fail("rest", "at rest a job is %s: %s", j.Status, j.Message)
	}
	if j.Answered() > j.Queued {
		w.fail("counts", "JOBS says that of %d objects %d were answered: %+v", j.Queued, j.Answered(), j.Counts)
	}
	if j.Retired > brake && !w.confirmed[j.RequestID] && len(attempts) < 2 {
		w.fail("brake", "the %s update retired %d objects without asking", j.Mode, j.Retired)
	}
	if j.Status == job.Cancelled && !w.commanded(Cancel, j.DateQueued, j.DateCompleted) {
		w.fail("command", "the %s update %s was cancelled, and nobody did", j.Mode, j.RequestID)
	}
	for _, a := range attempts {
		if strings.Contains(a.Failure, "killed") && !w.commanded(KillTask, a.Started, a.Ended) {
			w.fail("command", "an attempt at the %s update from %v to %v was killed, and nobody did", j.Mode, a.Started, a.Ended)
		}
	}
}

// commanded says that a command was given within a time.
func (w *world) commanded(do Kind, from time.Time, to *time.Time) bool {
	for _, at := range w.commands[do] {
		if !at.Before(from.Add(-time.Second)) && (to == nil || !at.After(to.Add(time.Second))) {
			return true
		}
	}
	return false
}

// checkQuestion holds a question to the brake, which has to be the reason for it.
func (w *world) checkQuestion(j *job.Job) {
	if j.RetirementsHeld <= brake {
		w.fail("brake", "the %s update asks about %d objects", j.Mode, j.RetirementsHeld)
	}
}
