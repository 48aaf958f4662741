package pipeline

import (
	"context"
	"errors"
	"fmt"
	"log/slog"
	"slices"
	"strings"
	"sync/atomic"
	"time"

	"mssentinel/app/job"
	"mssentinel/app/notification"
	"mssentinel/app/retry"
	"mssentinel/app/store"
	"mssentinel/app/threatconnect"
)

// notifyEvery is how often it is looked whether people are to be notified.
const notifyEvery = time.Minute

// notifyRetry are the pauses after notifications that ThreatConnect did not take.
var notifyRetry = retry.Backoff{First: 5 * time.Minute, Longest: time.Hour}

// maxJobsTold bounds the jobs of a status that are looked at.
const maxJobsTold = 100

// notificationType is the name by which people choose in ThreatConnect how they are notified; that of the vendor's own
// engines is formed in the same way (app/docs/threatconnect.md#notifications).
const notificationType = "Service: Microsoft Sentinel"

// Notifier sends notifications to people; [threatconnect.Undelivered] tells what an error means.
type Notifier interface {
	Notify(ctx context.Context, n threatconnect.Notification) error
}

// notifyStore is what the notifier needs of the store.
type notifyStore interface {
	Schedule(ctx context.Context) (store.Schedule, error)
	Completions(ctx context.Context) (store.Completions, error)
	Jobs(ctx context.Context, f store.JobFilter) ([]job.Job, int64, error)
	NotificationStates(ctx context.Context) ([]notification.State, error)
	SetNotificationStates(ctx context.Context, states []notification.State) error
}

// notifier is the task Notifications: it tells people of failures and recoveries, as app/notification decides. No job
// waits for it, and nothing that happens to it disturbs one.
type notifier struct {
	*task
	store  notifyStore
	people Notifier
	log    *slog.Logger
	// sender begins each message.
	sender string
	// interval lies between scheduled updates; nextUpdate says when the next one is due.
	interval   time.Duration
	nextUpdate func(plan store.Schedule, now time.Time) time.Time
	// explainDelay says what keeps an update.
	explainDelay func(ctx context.Context) string

	// states is what is remembered; nil before it was read. unsaved: the store does not have it yet, since the disk takes
	// nothing. People are notified all the same.
	states  []notification.State
	loaded  bool
	unsaved bool
	// failures counts notifications in a row that were not taken; none is tried before retryAt, unless an operator asks.
	failures  int
	retryAt   time.Time
	skipPause atomic.Bool
}

func (p *Pipeline) newNotifier() *notifier {
	sender := fmt.Sprintf("Microsoft Sentinel v%s, source `%s`:", p.Version, strings.ReplaceAll(p.Source, "`", "'"))
	return &notifier{task: newTask(aboutNotifier), store: p.Store, people: p.Notifier, log: p.Logger, sender: sender,
		interval: p.Interval, nextUpdate: p.scheduler.nextUpdate, explainDelay: p.explainDelay}
}

// notifyPeople works until ctx ends.
func (n *notifier) notifyPeople(ctx context.Context) {
	repeatWork(ctx, n.task, n.log, notifyEvery, notifyEvery, n.tellDue)
}

// tellDue sends what is due, as one notification, and says when it will look again.
func (n *notifier) tellDue(ctx context.Context) (time.Time, error) {
	now := time.Now().UTC().Round(0)
	next := now.Add(notifyEvery)
	if !n.loaded {
		states, err := n.store.NotificationStates(ctx)
		if err != nil {
			return next, err
		}
		n.states, n.loaded = states, true
	}
	standing, err := n.readStanding(ctx, now)
	if err != nil {
		return next, err
	}
	n.remember(notification.Observe(n.states, standing, now))
	items := notification.Due(n.states, standing, now)
	n.forgetFailure()
	switch asked := n.skipPause.Swap(false); {
	case len(items) == 0:
		return next, n.saveStates(ctx)
	case now.Before(n.retryAt) && !asked:
		return n.retryAt, n.saveStates(ctx)
	}
	n.remember(notification.NoteTried(n.states, items, now))
	unsaved := n.saveStates(ctx)
	next, err = n.sendDigest(ctx, items, standing, now)
	return next, errors.Join(unsaved, err)
}

// sendDigest sends one notification, and remembers what became of it even where the process is just ending.
func (n *notifier) sendDigest(ctx context.Context, items []notification.Item, s notification.Standing,
	now time.Time) (time.Time, error) {
	err := n.people.Notify(ctx, threatconnect.Notification{Type: notificationType,
		Priority: string(notification.UrgencyOf(items)), Message: notification.Message(n.sender, items, s)})
	switch {
	case err == nil:
		n.failures, n.retryAt = 0, time.Time{}
		n.remember(notification.NoteTold(n.states, items, now))
		n.setRemark(fmt.Sprintf("Last notified at %s: %s.", now.Format("2006-01-02 15:04 UTC"), nameItems(items)))
		n.log.Info("people notified", "causes", nameItems(items))
	default:
		if threatconnect.Undelivered(err) {
			n.remember(notification.NoteRefused(n.states, items))
		}
		n.noteFailure(ctx, err)
	}
	next := time.Now().Add(notifyEvery)
	if n.retryAt.After(next) {
		next = n.retryAt
	}
	return next, n.saveStates(context.WithoutCancel(ctx))
}

// noteFailure shows and logs why people were not notified, and when that is tried again.
func (n *notifier) noteFailure(ctx context.Context, err error) {
	if ctx.Err() != nil {
		return // ended by an operator, or with the process
	}
	n.failures++
	what, pause := "The last notification was not taken", notifyRetry.Pause(n.failures)
	if !threatconnect.Undelivered(err) {
		what, pause = "It is not known whether the last notification arrived", notifyRetry.Longest
	}
	n.retryAt = time.Now().UTC().Add(pause)
	n.setRemark(fmt.Sprintf("%s, the next try is at %s: %s", what, n.retryAt.Format("15:04 UTC"), describeFailure(err)))
	n.log.Warn("people were not notified", "error", err, "retry_after", n.retryAt)
}

// forgetFailure no longer shows a failure once nobody has to be told of anything.
func (n *notifier) forgetFailure() {
	stands := slices.ContainsFunc(n.states, func(c notification.State) bool { return !c.Arose.IsZero() })
	if n.failures > 0 && !stands {
		n.failures, n.retryAt = 0, time.Time{}
		n.setRemark("")
	}
}

// remember takes over what is remembered.
func (n *notifier) remember(states []notification.State) {
	n.unsaved = n.unsaved || !slices.Equal(n.states, states)
	n.states = states
}

// saveStates keeps what is remembered. A disk that takes nothing is no reason to keep quiet: it is tried again later.
func (n *notifier) saveStates(ctx context.Context) error {
	if !n.unsaved {
		return nil
	}
	err := n.store.SetNotificationStates(ctx, n.states)
	if store.Unavailable(err) {
		return nil
	}
	n.unsaved = err != nil
	return err
}

// readStanding reads how the updates stand.
func (n *notifier) readStanding(ctx context.Context, now time.Time) (notification.Standing, error) {
	plan, err := n.store.Schedule(ctx)
	if err != nil {
		return notification.Standing{}, err
	}
	done, err := n.store.Completions(ctx)
	if err != nil {
		return notification.Standing{}, err
	}
	s := notification.Standing{Covered: done.Covered, CoveredAll: done.CoveredAll, Completed: done.Last, Interval: n.interval,
		Wanted: wantedSince(plan.HasWork, done, n.nextUpdate(plan, now), now)}
	if s.Failed, err = n.listJobs(ctx, job.Failed); err != nil {
		return notification.Standing{}, err
	}
	if s.Asking, err = n.listJobs(ctx, job.ConfirmationRequired); err != nil {
		return notification.Standing{}, err
	}
	if !s.Wanted.IsZero() {
		s.Reason = n.explainDelay(ctx)
	}
	return s, nil
}

// listJobs lists the newest jobs of a status.
func (n *notifier) listJobs(ctx context.Context, status job.Status) ([]job.Job, error) {
	jobs, _, err := n.store.Jobs(ctx, store.JobFilter{Statuses: []job.Status{status}, Limit: maxJobsTold})
	return jobs, err
}

// wantedSince is since when an update is wanted that has not completed: when one was queued, or else when one was due,
// but not before the last one completed. It is zero where none is wanted.
func wantedSince(hasWork bool, done store.Completions, due, now time.Time) time.Time {
	if due.Before(done.Last) {
		due = done.Last
	}
	switch {
	case !hasWork || done.Queued.IsZero() && due.After(now):
		return time.Time{}
	case !done.Queued.IsZero() && done.Queued.Before(due):
		return done.Queued
	}
	return due
}

// explainDelay says in sentences what keeps an update, "" where nothing is known.
func (p *Pipeline) explainDelay(ctx context.Context) string {
	var reasons []string
	for _, t := range []*task{p.scheduler.task, p.downloader.task, p.converter.task, p.uploader.task} {
		if t.isPaused() {
			reasons = append(reasons, fmt.Sprintf("%s is paused: resume it on TASKS.", t.about.Name))
		}
	}
	if trouble := p.disk.describeTrouble(); trouble != "" {
		reasons = append(reasons, trouble)
	}
	if now := p.Progress(); now.RequestID != "" {
		reasons = append(reasons, fmt.Sprintf("Update %s is in %s: %d of %d objects are sent so far. %s",
			now.RequestID, now.Stage, now.Uploaded, now.Queued, now.WaitReason))
	} else if waiting, err := p.notifier.listJobs(ctx, job.Pending); err == nil && len(waiting) > 0 {
		reasons = append(reasons, fmt.Sprintf("Update %s is Pending. %s", waiting[0].RequestID, waiting[0].Message))
	}
	return strings.TrimSpace(strings.Join(reasons, " "))
}

// nameItems lists what a digest tells of, for the log and TASKS.
func nameItems(items []notification.Item) string {
	names := make([]string, len(items))
	for i, item := range items {
		names[i] = string(item.Cause)
		if item.Healed {
			names[i] = "Recovered: " + names[i]
		}
	}
	return strings.Join(names, ", ")
}
