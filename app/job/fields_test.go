package job

import (
	"reflect"
	"strings"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"
)

// A transition writes what it says, and leaves the rest of the job.
func TestWhatTransitionsWrite(t *testing.T) {
	after := noon.Add(285 * time.Second)
	for name, c := range map[string]struct {
		from Status
		do   func(*Job) error
		want func(*Job)
	}{
		"SetWindowStart":     {DownloadInProgress, func(j *Job) error { return j.SetWindowStart(noon) }, func(j *Job) { j.WindowStart = &noon }},
		"FinishDownload":     {DownloadInProgress, func(j *Job) error { return j.FinishDownload(noon) }, func(j *Job) { j.Status, j.DateDownloadComplete = DownloadComplete, &noon }},
		"NoteFirstConverted": {DownloadInProgress, func(j *Job) error { return j.NoteFirstConverted(noon) }, func(j *Job) { j.DateConvertStart = &noon }},
		"NoteFirstUploaded":  {DownloadInProgress, func(j *Job) error { return j.NoteFirstUploaded(noon) }, func(j *Job) { j.DateUploadStart = &noon }},
		"BeginRetiring":      {DownloadComplete, (*Job).BeginRetiring, func(j *Job) { j.Status = ConvertInProgress }},
		"Hold":               {ConvertInProgress, func(j *Job) error { return j.Hold(7) }, func(j *Job) { j.RetirementsHeld = 7 }},
		"FinishConvert":      {ConvertInProgress, func(j *Job) error { return j.FinishConvert(noon) }, func(j *Job) { j.Status, j.DateConvertComplete = ConvertComplete, &noon }},
		"Complete": {UploadInProgress, func(j *Job) error { return j.Complete(noon, "said") }, func(j *Job) {
			j.Status, j.Message, j.DateUploadComplete, j.DateCompleted = ConfirmationRequired, "said", &noon, &noon
		}},
		"Fail": {UploadInProgress, func(j *Job) error { j.FailureCount = 0; return j.Fail(noon, "said", true, 0.25) }, func(j *Job) {
			j.Status, j.Message, j.RetryAfter, j.RetirementsHeld = Pending, "said", &after, 0
		}},
		"Cancel": {UploadInProgress, func(j *Job) error { return j.Cancel(noon) }, func(j *Job) {
			j.Status, j.Message, j.DateCompleted, j.RetryAfter, j.RetirementsHeld = Cancelled, "Cancelled by the operator.", &noon, nil, 0
		}},
		"Retry": {Failed, (*Job).Retry, func(j *Job) {
			j.Status, j.Message, j.FailureCount = Pending, "", 0
			j.DateStarted, j.DateFailed, j.DateCompleted, j.RetryAfter = nil, nil, nil, nil
		}},
		"EndQuestion": {ConfirmationRequired, func(j *Job) error { return j.EndQuestion("said") }, func(j *Job) {
			j.Status, j.Message, j.RetirementsHeld = UploadComplete, "said", 0
		}},
	} {
		got, want := filled(c.from), filled(c.from)
		c.want(&want)
		if err := c.do(&got); err != nil {
			t.Errorf("%s: %v", name, err)
		}
		if diff := cmp.Diff(want, got); diff != "" {
			t.Errorf("%s (-want +got):\n%s", name, diff)
		}
	}
}

func TestOneRetirementIsAQuestion(t *testing.T) {
	j := Job{Status: UploadInProgress, RetirementsHeld: 1}
	if err := j.Complete(noon, ""); err != nil || j.Status != ConfirmationRequired {
		t.Errorf("%s: %v", j.Status, err)
	}
}

func TestBeginUploadDatesTheFirstRequest(t *testing.T) {
	j := Job{Status: ConvertComplete}
	if err := j.BeginUpload(noon); err != nil || j.DateUploadStart == nil || !j.DateUploadStart.Equal(noon) {
		t.Errorf("%v: %v", j.DateUploadStart, err)
	}
}

func TestARangeKeepsItsStart(t *testing.T) {
	early := noon.Add(-time.Hour)
	j := Job{Status: DownloadInProgress, Ranged: true, WindowStart: &early}
	if err := j.SetWindowStart(noon); err != nil || !j.WindowStart.Equal(early) {
		t.Errorf("%v: %v", j.WindowStart, err)
	}
}

func TestAddAddsEveryCount(t *testing.T) {
	var c, d Counts
	for i := range reflect.TypeFor[Counts]().NumField() {
		reflect.ValueOf(&c).Elem().Field(i).SetInt(int64(100 * i))
		reflect.ValueOf(&d).Elem().Field(i).SetInt(int64(i + 1))
	}
	c.Add(d)
	for i := range reflect.TypeFor[Counts]().NumField() {
		if got, want := reflect.ValueOf(c).Field(i).Int(), int64(101*i+1); got != want {
			t.Errorf("%s: %d, want %d", reflect.TypeFor[Counts]().Field(i).Name, got, want)
		}
	}
}

func TestReadsAll(t *testing.T) {
	for mode, want := range map[Mode]bool{Delta: false, Full: true, Reconcile: true} {
		if mode.ReadsAll() != want {
			t.Errorf("%s: %v", mode, !want)
		}
	}
}

func TestWasComplete(t *testing.T) {
	for name, c := range map[string]struct {
		change func(*Job)
		want   bool
	}{
		"complete":   {func(*Job) {}, true},
		"running":    {func(j *Job) { j.Status = UploadInProgress }, false},
		"question":   {func(j *Job) { j.Status = ConfirmationRequired }, false},
		"message":    {func(j *Job) { j.Message = "One query could not be read." }, false},
		"unmapped":   {func(j *Job) { j.Invalid = 1 }, false},
		"refused":    {func(j *Job) { j.Rejected = 1 }, false},
		"unread":     {func(j *Job) { j.OtherErrors = 1 }, false},
		"duplicates": {func(j *Job) { j.Duplicate = 1 }, true},
	} {
		j := Job{Status: UploadComplete}
		if c.change(&j); j.WasComplete() != c.want {
			t.Errorf("%s: %v", name, !c.want)
		}
	}
}

func TestBounded(t *testing.T) {
	long := strings.Repeat("x", MaxRaw+MaxMessage)
	p := Problem{Message: "Bearer abcdefghijklmnopqrstuvwxyz0123456789 " + long, Raw: long, Subject: Subject{Type: "a\nb", Value: long, Owner: "c\nd"}}.Bounded()
	if len(p.Message) > MaxMessage || len(p.Raw) > MaxRaw || len(p.Value) > MaxValue || strings.ContainsAny(p.Type+p.Owner, "\n") {
		t.Errorf("%d, %d, %d bytes, %q, %q", len(p.Message), len(p.Raw), len(p.Value), p.Type, p.Owner)
	}
	if strings.Contains(p.Message, "abcdefghijklmnopqrstuvwxyz0123456789") {
		t.Error("a token is not masked")
	}
}
