package job

import (
	"fmt"
	"slices"
	"time"

	"mssentinel/app/retry"
)

// MaxRetries is how often a scheduled job that fails is tried again, after pauses that grow.
const MaxRetries = 10

// RetryPauses lie between the attempts at a scheduled job.
var RetryPauses = retry.Backoff{First: 5 * time.Minute, Longest: 3 * time.Hour}

// underWay are the statuses of a job that an attempt may still begin, end or be taken from.
var underWay = append([]Status{Pending}, ActiveStatuses...)

// retriable are the statuses of a job that an operator may queue again.
var retriable = []Status{Failed, Cancelled}

// MayCancel says that [Job.Cancel] is allowed.
func (s Status) MayCancel() bool { return slices.Contains(underWay, s) }

// MayRetry says that [Job.Retry] is allowed.
func (s Status) MayRetry() bool { return slices.Contains(retriable, s) }

// requireStatus refuses a transition from any but these statuses.
func (j *Job) requireStatus(allowed ...Status) error {
	if slices.Contains(allowed, j.Status) {
		return nil
	}
	return fmt.Errorf("job %s is %s: %w", j.RequestID, j.Status, ErrState)
}

// Begin begins an attempt: Pending, or active because the process ended in mid-attempt → Download In Progress. The end of the
// window stays what it was at the first attempt, unless that lies ahead: then the clock was wrong. What an earlier attempt did
// counts and is not counted again.
func (j *Job) Begin(attempt int64, now, windowEnd time.Time) error {
	if err := j.requireStatus(underWay...); err != nil {
		return err
	}
	if j.DateStarted == nil || j.DateStarted.After(now) {
		j.DateStarted = &now
	}
	if j.WindowEnd == nil || j.WindowEnd.After(now) {
		j.WindowEnd = &windowEnd
	}
	j.Attempt, j.Status, j.Message = attempt, DownloadInProgress, ""
	j.RetryAfter, j.DateFailed, j.RetirementsHeld = nil, nil, 0
	j.DateDownloadStart, j.DateDownloadComplete = &now, nil
	j.DateConvertStart, j.DateConvertComplete, j.DateUploadStart, j.DateUploadComplete = nil, nil, nil, nil
	return nil
}

// SetWindowStart says where a delta update starts to read; the status stays. That of a range stays, too.
func (j *Job) SetWindowStart(start time.Time) error {
	if err := j.requireStatus(DownloadInProgress); err != nil {
		return err
	}
	if j.Ranged {
		return nil
	}
	j.WindowStart = &start
	return nil
}

// FinishDownload says that everything was read and handed to Convert: Download In Progress → Download Complete.
func (j *Job) FinishDownload(now time.Time) error {
	if err := j.requireStatus(DownloadInProgress); err != nil {
		return err
	}
	j.Status, j.DateDownloadComplete = DownloadComplete, &now
	return nil
}

// NoteFirstConverted dates the first page that went through Convert; the status stays, since Download goes on.
func (j *Job) NoteFirstConverted(now time.Time) error {
	if err := j.requireStatus(ActiveStatuses...); err != nil {
		return err
	}
	j.DateConvertStart = &now
	return nil
}

// NoteFirstUploaded dates the first request with objects of the job; the status stays, since earlier stages go on.
func (j *Job) NoteFirstUploaded(now time.Time) error {
	if err := j.requireStatus(ActiveStatuses...); err != nil {
		return err
	}
	j.DateUploadStart = &now
	return nil
}

// BeginRetiring says that all that was read is in the ledger, and that what nobody gives any more is looked for: Download
// Complete → Convert In Progress.
func (j *Job) BeginRetiring() error {
	if err := j.requireStatus(DownloadComplete); err != nil {
		return err
	}
	j.Status = ConvertInProgress
	return nil
}

// Hold says how many objects the attempt asks about instead of retiring them, 0 for none; the status stays.
func (j *Job) Hold(objects int64) error {
	if err := j.requireStatus(ActiveStatuses...); err != nil {
		return err
	}
	j.RetirementsHeld = objects
	return nil
}

// FinishConvert says that all that the job sends is in the outbox: Convert In Progress → Convert Complete.
func (j *Job) FinishConvert(now time.Time) error {
	if err := j.requireStatus(ConvertInProgress); err != nil {
		return err
	}
	j.Status, j.DateConvertComplete = ConvertComplete, &now
	return nil
}

// BeginUpload says that nothing is left to do but to empty the outbox: Convert Complete → Upload In Progress.
func (j *Job) BeginUpload(now time.Time) error {
	if err := j.requireStatus(ConvertComplete); err != nil {
		return err
	}
	j.Status = UploadInProgress
	if j.DateUploadStart == nil {
		j.DateUploadStart = &now
	}
	return nil
}

// Complete ends a job whose objects all stand in Sentinel or on REPORT: Upload In Progress → Upload Complete, or Confirmation
// Required where retirements are held. message says what was not as it should be.
func (j *Job) Complete(now time.Time, message string) error {
	if err := j.requireStatus(UploadInProgress); err != nil {
		return err
	}
	j.Status, j.Message, j.DateUploadComplete, j.DateCompleted = UploadComplete, message, &now, &now
	if j.RetirementsHeld > 0 {
		j.Status = ConfirmationRequired
	}
	return nil
}

// Fail ends an attempt that failed: Pending or active → Pending with a time for the next attempt, for a scheduled job whose
// fault may heal by itself and that did not fail too often; else → Failed. spread, from 0 to 1, moves the pause by up to a
// tenth of its length, so that Services that failed together do not return together.
func (j *Job) Fail(now time.Time, message string, mayHeal bool, spread float64) error {
	if err := j.requireStatus(underWay...); err != nil {
		return err
	}
	j.FailureCount++
	j.Message, j.RetirementsHeld = message, 0
	if j.Type != Scheduled || !mayHeal || j.FailureCount > MaxRetries {
		j.Status, j.DateFailed = Failed, &now
		return nil
	}
	pause := float64(RetryPauses.Pause(j.FailureCount)) * (0.9 + 0.2*spread)
	after := now.Add(time.Duration(pause))
	j.Status, j.RetryAfter = Pending, &after
	return nil
}

// Cancel ends a job that an operator does not want any more: Pending or active → Cancelled.
func (j *Job) Cancel(now time.Time) error {
	if err := j.requireStatus(underWay...); err != nil {
		return err
	}
	j.Status, j.Message, j.DateCompleted = Cancelled, "Cancelled by the operator.", &now
	j.RetryAfter, j.RetirementsHeld = nil, 0
	return nil
}

// Retry queues a job again under the same request ID: Failed or Cancelled → Pending. Its window ends where it did: what came
// and went since is for the next update.
func (j *Job) Retry() error {
	if err := j.requireStatus(retriable...); err != nil {
		return err
	}
	j.Status, j.Message, j.FailureCount = Pending, "", 0
	j.DateStarted, j.DateFailed, j.DateCompleted, j.RetryAfter = nil, nil, nil, nil
	return nil
}

// EndQuestion ends the question about held retirements, by the operator's answer or because a newer update read everything
// again: Confirmation Required → Upload Complete. message says how it ended.
func (j *Job) EndQuestion(message string) error {
	if err := j.requireStatus(ConfirmationRequired); err != nil {
		return err
	}
	j.Status, j.Message, j.RetirementsHeld = UploadComplete, message, 0
	return nil
}
