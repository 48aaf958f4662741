package job

import (
	"errors"
	"slices"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"
)

var noon = time.Date(2026, 11, 28, 12, 0, 0, 0, time.UTC)

// transitions are all there are, as they are called in the middle of a job's life. A status that a transition does not name
// refuses it.
var transitions = []struct {
	name string
	do   func(*Job) error
	// leads says to which status the transition leads, from each that allows it.
	leads map[Status]Status
}{
	{"Begin", func(j *Job) error { return j.Begin(7, noon, noon.Add(-time.Minute)) }, map[Status]Status{
		Pending: DownloadInProgress, DownloadInProgress: DownloadInProgress, DownloadComplete: DownloadInProgress,
		ConvertInProgress: DownloadInProgress, ConvertComplete: DownloadInProgress, UploadInProgress: DownloadInProgress}},
	{"SetWindowStart", func(j *Job) error { return j.SetWindowStart(noon) }, map[Status]Status{DownloadInProgress: DownloadInProgress}},
	{"FinishDownload", func(j *Job) error { return j.FinishDownload(noon) }, map[Status]Status{DownloadInProgress: DownloadComplete}},
	{"NoteFirstConverted", func(j *Job) error { return j.NoteFirstConverted(noon) }, unmoved(ActiveStatuses)},
	{"NoteFirstUploaded", func(j *Job) error { return j.NoteFirstUploaded(noon) }, unmoved(ActiveStatuses)},
	{"BeginRetiring", (*Job).BeginRetiring, map[Status]Status{DownloadComplete: ConvertInProgress}},
	{"Hold", func(j *Job) error { return j.Hold(5) }, unmoved(ActiveStatuses)},
	{"FinishConvert", func(j *Job) error { return j.FinishConvert(noon) }, map[Status]Status{ConvertInProgress: ConvertComplete}},
	{"BeginUpload", func(j *Job) error { return j.BeginUpload(noon) }, map[Status]Status{ConvertComplete: UploadInProgress}},
	{"Complete", func(j *Job) error { return j.Complete(noon, "") }, map[Status]Status{UploadInProgress: UploadComplete}},
	{"Complete with retirements held", func(j *Job) error { j.RetirementsHeld = 3; return j.Complete(noon, "") },
		map[Status]Status{UploadInProgress: ConfirmationRequired}},
	{"Fail for good", func(j *Job) error { return j.Fail(noon, "no", false, 0) }, from(underWay, Failed)},
	{"Fail for now", func(j *Job) error { return j.Fail(noon, "no", true, 0) }, from(underWay, Pending)},
	{"Cancel", func(j *Job) error { return j.Cancel(noon) }, from(underWay, Cancelled)},
	{"Retry", (*Job).Retry, map[Status]Status{Failed: Pending, Cancelled: Pending}},
	{"EndQuestion", func(j *Job) error { return j.EndQuestion("answered") }, map[Status]Status{ConfirmationRequired: UploadComplete}},
}

func from(statuses []Status, to Status) map[Status]Status {
	leads := map[Status]Status{}
	for _, s := range statuses {
		leads[s] = to
	}
	return leads
}

func unmoved(statuses []Status) map[Status]Status {
	leads := map[Status]Status{}
	for _, s := range statuses {
		leads[s] = s
	}
	return leads
}

func TestEveryTransitionFromEveryStatus(t *testing.T) {
	for _, tr := range transitions {
		for _, status := range Statuses {
			j := Job{RequestID: "r", Type: Scheduled, Status: status}
			err := tr.do(&j)
			want, allowed := tr.leads[status]
			switch {
			case allowed && (err != nil || j.Status != want):
				t.Errorf("%s from %s led to %s (%v), want %s", tr.name, status, j.Status, err, want)
			case !allowed && (!errors.Is(err, ErrState) || j.Status != status):
				t.Errorf("%s from %s led to %s (%v), want a refusal", tr.name, status, j.Status, err)
			}
		}
	}
}

// The screens offer what is allowed.
func TestMayCancelAndRetry(t *testing.T) {
	for _, s := range Statuses {
		cancelled, retried := Job{Status: s}, Job{Status: s}
		if (cancelled.Cancel(noon) == nil) != s.MayCancel() || (retried.Retry() == nil) != s.MayRetry() {
			t.Errorf("%s: may cancel %v, may retry %v", s, s.MayCancel(), s.MayRetry())
		}
	}
}

func TestRefusedTransitionChangesNothing(t *testing.T) {
	for _, tr := range transitions {
		for _, status := range Statuses {
			if _, allowed := tr.leads[status]; allowed {
				continue
			}
			j := filled(status)
			before := j
			j.RetirementsHeld = 3 // what one of them is called with
			before.RetirementsHeld = 3
			if err := tr.do(&j); err == nil {
				t.Errorf("%s from %s is allowed", tr.name, status)
			}
			if diff := cmp.Diff(before, j); diff != "" {
				t.Errorf("%s from %s (-before +after):\n%s", tr.name, status, diff)
			}
		}
	}
}

func filled(status Status) Job {
	at := func(minutes int) *time.Time { at := noon.Add(time.Duration(minutes) * time.Minute); return &at }
	return Job{RequestID: "r", Type: Scheduled, Mode: Full, Status: status, Message: "before", DateQueued: noon, DateStarted: at(-9),
		DateDownloadStart: at(-8), DateDownloadComplete: at(-7), DateConvertStart: at(-6), DateConvertComplete: at(-5),
		DateUploadStart: at(-4), DateUploadComplete: at(-3), DateCompleted: at(-2), DateFailed: at(-1), WindowStart: at(-60),
		WindowEnd: at(-10), Attempt: 2, FailureCount: 1, RetryAfter: at(30), RetirementsHeld: 4}
}

func TestStatusesAreEachOfOneKind(t *testing.T) {
	for _, s := range Statuses {
		if s.Active() && !s.Open() {
			t.Errorf("%s is active and over", s)
		}
		if (s == Pending || s == ConfirmationRequired) != (s.Open() && !s.Active()) {
			t.Errorf("%s waits, or does not", s)
		}
	}
	if len(Statuses) != 2+len(ActiveStatuses)+len(EndedStatuses) {
		t.Error("a status is on no list")
	}
}

func TestBeginStartsOverAndKeepsTheWindow(t *testing.T) {
	j := filled(UploadInProgress)
	want := Job{RequestID: "r", Type: Scheduled, Mode: Full, Status: DownloadInProgress, DateQueued: noon, DateStarted: j.DateStarted,
		DateDownloadStart: &noon, DateCompleted: j.DateCompleted, WindowStart: j.WindowStart,
		WindowEnd: j.WindowEnd, Attempt: 3, FailureCount: 1}
	if err := j.Begin(3, noon, noon.Add(-time.Minute)); err != nil {
		t.Fatal(err)
	}
	if diff := cmp.Diff(want, j); diff != "" {
		t.Errorf("(-want +got):\n%s", diff)
	}
}

func TestBeginMistrustsDatesThatLieAhead(t *testing.T) {
	ahead, end := noon.Add(time.Hour), noon.Add(-5*time.Minute)
	j := Job{Status: Pending, DateStarted: &ahead, WindowEnd: &ahead}
	if err := j.Begin(1, noon, end); err != nil || !j.DateStarted.Equal(noon) || !j.WindowEnd.Equal(end) {
		t.Errorf("started %v, window to %v, %v", j.DateStarted, j.WindowEnd, err)
	}
}

func TestBeginUploadKeepsAnEarlierDate(t *testing.T) {
	early := noon.Add(-time.Hour)
	j := Job{Status: ConvertComplete, DateUploadStart: &early}
	if err := j.BeginUpload(noon); err != nil || !j.DateUploadStart.Equal(early) {
		t.Errorf("%v, %v", j.DateUploadStart, err)
	}
}

func TestFailTriesScheduledJobsAgain(t *testing.T) {
	scheduled := Job{Type: Scheduled, Status: DownloadInProgress}
	var pauses []time.Duration
	for range MaxRetries {
		if err := scheduled.Fail(noon, "no answer", true, 0.5); err != nil || scheduled.Status != Pending {
			t.Fatalf("%s: %v", scheduled.Status, err)
		}
		pauses = append(pauses, scheduled.RetryAfter.Sub(noon))
	}
	want := []time.Duration{5 * time.Minute, 10 * time.Minute, 20 * time.Minute, 40 * time.Minute, 80 * time.Minute, 160 * time.Minute}
	if !slices.Equal(pauses[:6], want) || slices.Max(pauses) != 3*time.Hour {
		t.Errorf("pauses of %v", pauses)
	}
	if err := scheduled.Fail(noon, "no answer", true, 0.5); err != nil || scheduled.Status != Failed || !scheduled.DateFailed.Equal(noon) {
		t.Errorf("after the last retry: %s, %v", scheduled.Status, err)
	}
	asked := Job{Type: AdHoc, Status: DownloadInProgress}
	if err := asked.Fail(noon, "no answer", true, 0); err != nil || asked.Status != Failed || asked.RetryAfter != nil {
		t.Errorf("an ad hoc job: %s, %v", asked.Status, err)
	}
}

func TestFailSpreadsItsPause(t *testing.T) {
	for spread, want := range map[float64]time.Duration{0: 270 * time.Second, 0.5: 300 * time.Second, 1: 330 * time.Second} {
		j := Job{Type: Scheduled, Status: Pending}
		if err := j.Fail(noon, "", true, spread); err != nil || j.RetryAfter.Sub(noon) != want {
			t.Errorf("spread %v: %v, %v", spread, j.RetryAfter, err)
		}
	}
}

func TestQuestionIsThereOnlyWhileItCanBeAnswered(t *testing.T) {
	for _, s := range Statuses {
		j := Job{Status: s, RetirementsHeld: 7}
		if want := map[bool]int64{true: 7}[s == ConfirmationRequired]; j.Question() != want {
			t.Errorf("%s: a question about %d", s, j.Question())
		}
	}
}

func TestTally(t *testing.T) {
	tally := Tally{}
	tally.Of(1, 5, "Host").Queued += 2
	tally.Of(1, 5, "Host").Queued--
	tally.Of(1, 6, "URL").Duplicate = 3
	tally.Of(2, 5, "Host").Queued = 9
	if got, want := tally.Total(1), (Counts{Queued: 1, Duplicate: 3}); got != want {
		t.Errorf("%+v, want %+v", got, want)
	}
	if got := (&Counts{Uploaded: 1, Rejected: 2, Retired: 4, Queued: 8}).Answered(); got != 7 {
		t.Errorf("%d answered", got)
	}
}
