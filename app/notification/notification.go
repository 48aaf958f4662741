// Package notification decides of what people are notified, and when. It is the one place of these rules, and pure: it
// reads no clock, knows no database and sends nothing. The pipeline tells it how the updates stand and what was told
// before, sends what it decides, and keeps what it remembers.
//
// There are three causes: a job failed for good, a job needs confirmation, an update is overdue. The rules for each:
//
//   - When it arises, it is told at once. What arises together is one notification, the digest.
//   - While it lasts, it is told again a day later. Where something new belongs to it, such as another job that failed,
//     it is told earlier: an hour after the first time, then 2, 4, 8 and 16 hours after the last.
//   - When it has healed, that is told once, if the cause was. What heals before anybody was told is not told at all.
//   - Between two notifications of the same cause, its recovery included, lies at least an hour. A cause that returns
//     within a day of the last one goes on where the pauses had got to.
//   - A notification of which nobody knows whether it arrived counts as one for that hour, and is then told again.
package notification

import (
	"slices"
	"time"

	"mssentinel/app/job"
	"mssentinel/app/retry"
)

// Cause is what people are notified of, in the words of the message.
type Cause string

// The causes.
const (
	// JobFailed: a job is not tried again by itself, and no update made up for it.
	JobFailed Cause = "Job Failed"
	// ConfirmationRequired: a job holds retirements until an operator answers.
	ConfirmationRequired Cause = "Confirmation Required"
	// UpdateOverdue: an update is wanted and none has completed for two intervals of the schedule.
	UpdateOverdue Cause = "Update Overdue"
)

// Causes lists them in the order of the message.
var Causes = []Cause{JobFailed, UpdateOverdue, ConfirmationRequired}

// overdueIntervals is after how many intervals of the schedule an update is overdue.
const overdueIntervals = 2

// pauses lie between two notifications of a cause that grows; the longest between two of one that merely lasts.
var pauses = retry.Backoff{First: time.Hour, Longest: 24 * time.Hour}

// Standing is how the updates stand at a moment. Zero times are "never".
type Standing struct {
	// Failed are the jobs in [job.Failed], Asking those in [job.ConfirmationRequired], newest first; where there are very
	// many, the newest of them.
	Failed, Asking []job.Job
	// Covered is up to when the updates that completed have read what changed, CoveredAll those of them that read
	// everything.
	Covered, CoveredAll time.Time
	// Completed is when an update last completed.
	Completed time.Time
	// Wanted is since when an update is wanted that has not completed; zero where none is.
	Wanted time.Time
	// Interval lies between scheduled updates.
	Interval time.Duration
	// Reason says in sentences what keeps the update that is wanted; "" where that is not known.
	Reason string
}

// State is what is remembered of a cause. Zero times are "never".
type State struct {
	Cause Cause `json:"cause"`
	// Arose is when the cause was first seen; zero once it has healed and that was told.
	Arose time.Time `json:"arose,omitzero"`
	// Told is when people were last notified of the cause or its recovery, Times how often of the cause in a row, without a
	// day between.
	Told  time.Time `json:"told,omitzero"`
	Times int       `json:"times,omitempty"`
	// Tried is when a notification was sent of which it is not known whether it arrived.
	Tried time.Time `json:"tried,omitzero"`
	// Lost and LostAll are up to when the jobs that failed should have read what changed, and everything: updates that
	// completed heal [JobFailed] when they cover both.
	Lost    time.Time `json:"lost,omitzero"`
	LostAll time.Time `json:"lost_all,omitzero"`
}

// wasTold says that people know that the cause stands.
func (c State) wasTold() bool { return !c.Told.IsZero() && !c.Told.Before(c.Arose) }

// lastReached is when the last notification may have reached people.
func (c State) lastReached() time.Time {
	if c.Tried.After(c.Told) {
		return c.Tried
	}
	return c.Told
}

// Item is a cause that a digest tells of.
type Item struct {
	Cause Cause
	// Healed: the item tells of the recovery.
	Healed bool
	// News: something belongs to the cause that was not told yet.
	News bool
	// Since is when the cause arose.
	Since time.Time
}

// Observe takes over into what is remembered how the updates stand: which causes arose, and which healed before anybody
// was told. Both lists have at most one state a cause.
func Observe(states []State, s Standing, now time.Time) []State {
	var observed []State
	for _, cause := range Causes {
		c := State{Cause: cause}
		if i := slices.IndexFunc(states, func(c State) bool { return c.Cause == cause }); i >= 0 {
			c = states[i].notAhead(now)
		}
		present := s.isPresent(cause, now)
		switch {
		case present && c.Arose.IsZero():
			c.Arose = now
		case !present && s.hasHealed(c) && !c.wasTold() && c.Tried.IsZero():
			c.Arose = time.Time{}
		}
		if c.Arose.IsZero() && now.Sub(c.lastReached()) >= pauses.Longest {
			continue // nothing is to be remembered of it
		}
		if present && cause == JobFailed {
			c.Lost, c.LostAll = s.addLost(c)
		}
		observed = append(observed, c)
	}
	return observed
}

// notAhead takes times that lie ahead of now for now: the clock was put back.
func (c State) notAhead(now time.Time) State {
	for _, t := range []*time.Time{&c.Arose, &c.Told, &c.Tried} {
		if t.After(now) {
			*t = now
		}
	}
	return c
}

// Due is what is to be told now, as one digest; nothing most of the time. The states are those that [Observe] gave for
// this moment.
func Due(states []State, s Standing, now time.Time) []Item {
	var items []Item
	for _, c := range states {
		present := s.isPresent(c.Cause, now)
		item := Item{Cause: c.Cause, Since: c.Arose, Healed: !present && s.hasHealed(c),
			News: !c.wasTold() || s.newestPart(c.Cause).After(c.Told)}
		if (present || item.Healed) && !c.Arose.IsZero() && now.Sub(c.lastReached()) >= c.pauseBefore(item) {
			items = append(items, item)
		}
	}
	return items
}

// pauseBefore is how long after the last notification of a cause the item may follow.
func (c State) pauseBefore(i Item) time.Duration {
	switch {
	case c.lastReached().IsZero():
		return 0
	case i.Healed || c.Tried.After(c.Told):
		return pauses.First
	case !i.News:
		return pauses.Longest
	}
	return pauses.Pause(max(1, c.Times))
}

// isPresent says that a cause is there now.
func (s Standing) isPresent(cause Cause, now time.Time) bool {
	switch cause {
	case JobFailed:
		return len(s.UncoveredJobs()) > 0
	case ConfirmationRequired:
		return len(s.Asking) > 0
	}
	return !s.Wanted.IsZero() && now.Sub(s.Wanted) >= overdueIntervals*s.Interval
}

// hasHealed says that a cause which is not there any more has healed. A job that an operator cancelled, for example, is no
// longer failed, but has not been made up for either: then nothing is told of it until an update does that.
func (s Standing) hasHealed(c State) bool {
	switch c.Cause {
	case JobFailed:
		return !s.Covered.Before(c.Lost) && !s.CoveredAll.Before(c.LostAll)
	case UpdateOverdue:
		return s.Completed.After(c.Arose)
	}
	return true
}

// UncoveredJobs are those of Failed that no update made up for: one that covers as late a window, and read
// everything where the failed one should have.
func (s Standing) UncoveredJobs() []job.Job {
	var jobs []job.Job
	for _, j := range s.Failed {
		covered := s.Covered
		if j.Mode.ReadsAll() {
			covered = s.CoveredAll
		}
		if covered.Before(windowEnd(j)) {
			jobs = append(jobs, j)
		}
	}
	return jobs
}

// windowEnd is up to when an update has to read that makes up for a job: as far as that should have. One that never began
// has no window yet; that of a range was asked for though it had been read before, so that only a later update counts.
func windowEnd(j job.Job) time.Time {
	switch {
	case j.Ranged && j.DateFailed != nil:
		return *j.DateFailed
	case j.Ranged || j.WindowEnd == nil:
		return j.DateQueued
	}
	return *j.WindowEnd
}

// addLost adds to what a state says of the jobs that failed those that did now.
func (s Standing) addLost(c State) (lost, lostAll time.Time) {
	lost, lostAll = c.Lost, c.LostAll
	for _, j := range s.UncoveredJobs() {
		to := &lost
		if j.Mode.ReadsAll() {
			to = &lostAll
		}
		if end := windowEnd(j); end.After(*to) {
			*to = end
		}
	}
	return lost, lostAll
}

// newestPart is when the newest part of a cause came about; zero for a cause without parts.
func (s Standing) newestPart(cause Cause) (newest time.Time) {
	consider := func(t *time.Time) {
		if t != nil && t.After(newest) {
			newest = *t
		}
	}
	switch cause {
	case JobFailed:
		for _, j := range s.UncoveredJobs() {
			consider(j.DateFailed)
		}
	case ConfirmationRequired:
		for _, j := range s.Asking {
			consider(j.DateCompleted)
		}
	}
	return newest
}

// NoteTried notes that the items are being sent, before they are: what ends here has perhaps arrived.
func NoteTried(states []State, items []Item, now time.Time) []State {
	return changeStates(states, items, func(c *State, _ Item) { c.Tried = now })
}

// NoteTold notes that the items, which were decided at that time, have arrived.
func NoteTold(states []State, items []Item, decided time.Time) []State {
	return changeStates(states, items, func(c *State, i Item) {
		c.Tried, c.Told = time.Time{}, decided
		switch {
		case i.Healed:
			c.Arose, c.Lost, c.LostAll = time.Time{}, time.Time{}, time.Time{}
		case i.News:
			c.Times++
		default:
			c.Times = 1 // a quiet day has passed
		}
	})
}

// NoteRefused notes that the items have certainly not arrived.
func NoteRefused(states []State, items []Item) []State {
	return changeStates(states, items, func(c *State, _ Item) { c.Tried = time.Time{} })
}

func changeStates(states []State, items []Item, change func(*State, Item)) []State {
	changed := slices.Clone(states)
	for _, i := range items {
		if n := slices.IndexFunc(changed, func(c State) bool { return c.Cause == i.Cause }); n >= 0 {
			change(&changed[n], i)
		}
	}
	return changed
}
