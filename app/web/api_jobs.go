package web

import (
	"fmt"
	"net/http"
	"slices"
	"strings"
	"time"

	"github.com/labstack/echo/v4"

	"mssentinel/app/job"
	"mssentinel/app/pipeline"
	"mssentinel/app/store"
	"mssentinel/app/text"
)

// jobView is a job as the routes below api/job/request give it. Times are UTC; null is "not yet".
type jobView struct {
	RequestID string `json:"request_id"`
	// Type is scheduled or ad-hoc.
	Type job.Type `json:"job_type"`
	// Mode is delta, full or reconcile.
	Mode   job.Mode   `json:"mode"`
	Status job.Status `json:"status"`
	// Message says what was not as it should be, with the remedy; "" where everything was.
	Message              string     `json:"message"`
	DateQueued           time.Time  `json:"date_queued"`
	DateStarted          *time.Time `json:"date_started"`
	DateDownloadStart    *time.Time `json:"date_download_start"`
	DateDownloadComplete *time.Time `json:"date_download_complete"`
	DateConvertStart     *time.Time `json:"date_convert_start"`
	DateConvertComplete  *time.Time `json:"date_convert_complete"`
	DateUploadStart      *time.Time `json:"date_upload_start"`
	DateUploadComplete   *time.Time `json:"date_upload_complete"`
	DateCompleted        *time.Time `json:"date_completed"`
	DateFailed           *time.Time `json:"date_failed"`
	// Ranged says that the window is a range that was asked for.
	Ranged bool `json:"ranged"`
	// WindowStart and WindowEnd bound lastModified: start included, end not. An update that reads everything has no
	// start.
	WindowStart *time.Time `json:"last_modified_filter_start"`
	WindowEnd   *time.Time `json:"last_modified_filter_end"`
	// FailureCount counts failed attempts since the job was last queued; RetryAfter is when a pending job may run
	// again.
	FailureCount int        `json:"failure_count"`
	RetryAfter   *time.Time `json:"retry_after"`
	countsView
	// RetirementsHeld is how many objects wait for the operator's answer.
	RetirementsHeld int64 `json:"count_retirement_held"`
	// OtherErrors is how many lines of REPORT the other counts leave out.
	OtherErrors int64 `json:"count_other_errors"`
	// Progress is given for the job that runs alone.
	Progress *progressView `json:"progress,omitempty"`
}

// countsView is what a job did. Downloaded, BelowFloor and Invalid count ThreatConnect indicators, the others STIX objects.
type countsView struct {
	Downloaded int64 `json:"count_downloaded"`
	BelowFloor int64 `json:"count_below_floor"`
	Invalid    int64 `json:"count_invalid"`
	Duplicate  int64 `json:"count_duplicate"`
	Unchanged  int64 `json:"count_unchanged"`
	Queued     int64 `json:"count_queued"`
	Uploaded   int64 `json:"count_uploaded"`
	Rejected   int64 `json:"count_rejected"`
	Retired    int64 `json:"count_retired"`
}

// progressView is how far the job is that runs. Expected, Downloaded and Known count indicators, the rest objects.
type progressView struct {
	Stage            string  `json:"stage"`
	Expected         int64   `json:"expected"`
	Downloaded       int64   `json:"downloaded"`
	Converted        int64   `json:"converted"`
	Known            int64   `json:"known"`
	Queued           int64   `json:"queued"`
	Uploaded         int64   `json:"uploaded"`
	ObjectsPerSecond float64 `json:"objects_per_second"`
	// DateStarted is when the attempt began. The counts of indicators are those of this attempt.
	DateStarted time.Time `json:"date_started"`
	// ExpectsMore says that Expected may still grow; ExpectedUploads is null while it is not known.
	ExpectsMore     bool   `json:"expects_more"`
	ExpectedUploads *int64 `json:"expected_uploads"`
	// The shares are from 0 to 1, and never become smaller while an attempt lasts; that of the upload is null while it is not
	// known.
	DownloadShare float64  `json:"download_share"`
	ConvertShare  float64  `json:"convert_share"`
	UploadShare   *float64 `json:"upload_share"`
	// Blocked says why nothing can be told of the time left; "" where it can.
	Blocked string `json:"blocked"`
	// WaitUntil is null where it is not known how long the job waits; WaitReason is "" while it does not wait.
	WaitUntil  *time.Time `json:"wait_until"`
	WaitReason string     `json:"wait_reason"`
	// RemainingSeconds is null while the time left is unknown.
	RemainingSeconds *int64 `json:"remaining_seconds"`
	// RemainingAtLeast says that it may be longer, since not everything is known yet.
	RemainingAtLeast bool `json:"remaining_at_least"`
}

// jobsView is the answer of GET api/job/request, newest first.
type jobsView struct {
	// Count is how many jobs Data has, TotalCount how many match the filters.
	Count      int       `json:"count"`
	Data       []jobView `json:"data"`
	TotalCount int64     `json:"total_count"`
}

// submitBody is what POST api/job/request takes. From and To, as [parseInstant] reads them, make a delta update one for a
// range.
type submitBody struct {
	Mode job.Mode `json:"mode"`
	From string   `json:"from"`
	To   string   `json:"to"`
}

// answerBody is what POST api/job/request/<id>/retirement takes: whether the objects that wait shall be retired.
type answerBody struct {
	Confirm *bool `json:"confirm"`
}

func newJobView(j job.Job) jobView {
	return jobView{
		RequestID: j.RequestID, Type: j.Type, Mode: j.Mode, Status: j.Status, Message: j.Message,
		DateQueued: j.DateQueued, DateStarted: j.DateStarted,
		DateDownloadStart: j.DateDownloadStart, DateDownloadComplete: j.DateDownloadComplete,
		DateConvertStart: j.DateConvertStart, DateConvertComplete: j.DateConvertComplete,
		DateUploadStart: j.DateUploadStart, DateUploadComplete: j.DateUploadComplete,
		DateCompleted: j.DateCompleted, DateFailed: j.DateFailed, Ranged: j.Ranged, WindowStart: j.WindowStart, WindowEnd: j.WindowEnd,
		FailureCount: j.FailureCount, RetryAfter: j.RetryAfter,
		countsView: countsView(j.Counts), OtherErrors: j.OtherErrors, RetirementsHeld: j.Question(),
	}
}

func newProgressView(p pipeline.Progress) *progressView {
	view := &progressView{Stage: p.Stage, Expected: p.Expected, Downloaded: p.Downloaded, Converted: p.Converted, Known: p.Known,
		Queued: p.Queued, Uploaded: p.Uploaded, ObjectsPerSecond: p.Rate, WaitReason: p.WaitReason,
		DateStarted: p.Started, ExpectsMore: p.ExpectsMore, DownloadShare: p.DownloadShare, ConvertShare: p.ConvertShare, Blocked: p.Blocked,
		RemainingAtLeast: p.AtLeast}
	if p.AllQueued || p.ExpectedUploads > 0 {
		view.ExpectedUploads, view.UploadShare = &p.ExpectedUploads, &p.UploadShare
	}
	if !p.WaitUntil.IsZero() {
		view.WaitUntil = &p.WaitUntil
	}
	if p.Remaining > 0 {
		seconds := int64(p.Remaining.Seconds())
		view.RemainingSeconds = &seconds
	}
	return view
}

func (s *server) listJobs(c echo.Context) error {
	filter, err := readJobFilter(c)
	if err != nil {
		return err
	}
	jobs, total, err := s.Store.Jobs(c.Request().Context(), filter)
	if err != nil {
		return err
	}
	progress := s.Pipeline.Progress()
	data := make([]jobView, 0, len(jobs))
	for _, j := range jobs {
		j.Message = text.Cut(j.Message, 2*maxMessages/len(jobs))
		view := newJobView(j)
		if j.RequestID == progress.RequestID {
			view.Progress = newProgressView(progress)
		}
		data = append(data, view)
	}
	return c.JSON(http.StatusOK, jobsView{Count: len(data), Data: data, TotalCount: total})
}

// readJobFilter reads which jobs are asked for, of GET api/job/request and of JOBS.
func readJobFilter(c echo.Context) (store.JobFilter, error) {
	offset, limit, err := readRange(c)
	if err != nil {
		return store.JobFilter{}, err
	}
	filter := store.JobFilter{RequestID: readParam(c, "request_id"), Offset: offset, Limit: limit}
	for _, name := range c.QueryParams()["status"] {
		if name == "" {
			continue
		}
		i := slices.IndexFunc(job.Statuses, func(s job.Status) bool { return strings.EqualFold(string(s), name) })
		if i < 0 {
			return filter, httpErrorf(http.StatusBadRequest,
				"There is no status %s: use one of %s.", quoteValue(name), joinNames(job.Statuses))
		}
		if !slices.Contains(filter.Statuses, job.Statuses[i]) {
			filter.Statuses = append(filter.Statuses, job.Statuses[i])
		}
	}
	switch kind := job.Type(strings.ToLower(c.QueryParam("job_type"))); kind {
	case "", job.Scheduled, job.AdHoc:
		filter.Type = kind
	default:
		return filter, httpErrorf(http.StatusBadRequest,
			"There is no job type %s: use %s or %s.", quoteValue(kind), job.Scheduled, job.AdHoc)
	}
	kind, err := readName(c, "kind", updateKinds)
	if err != nil {
		return filter, err
	}
	if filter.Ranged = kind == rangeRun; !filter.Ranged {
		filter.Mode = job.Mode(kind)
	}
	if filter.Since, err = readInstant(c, "since"); err != nil {
		return filter, err
	}
	if filter.Before, err = readInstant(c, "before"); err != nil {
		return filter, err
	}
	if !filter.Since.IsZero() && !filter.Before.IsZero() && !filter.Since.Before(filter.Before) {
		return filter, httpErrorf(http.StatusBadRequest, "The time ends before it begins: let before be later than since.")
	}
	return filter, nil
}

// updateKinds are the kinds of updates that the filters tell apart.
var updateKinds = []string{string(job.Delta), rangeRun, string(job.Full), string(job.Reconcile)}

// kindOf is the kind of update that a filter selects, "" for all.
func kindOf(f store.JobFilter) string {
	if f.Ranged {
		return rangeRun
	}
	return string(f.Mode)
}

func (s *server) submitJob(c echo.Context) error {
	body, err := decodeBody[submitBody](c)
	if err != nil {
		return err
	}
	request, err := readRequest(body.Mode, body.From, body.To)
	if err != nil {
		return err
	}
	j, err := s.Pipeline.Submit(c.Request().Context(), request)
	if err != nil {
		return err
	}
	return c.JSON(http.StatusOK, newJobView(j))
}

// readRequest reads what a job is asked for with; its error says what to change.
func readRequest(mode job.Mode, from, to string) (job.Request, error) {
	r := job.Request{Mode: mode}
	for name, part := range map[string]struct {
		text    string
		instant *time.Time
	}{"from": {from, &r.From}, "to": {to, &r.To}} {
		if part.text == "" {
			continue
		}
		var err error
		if *part.instant, err = parseInstant(part.text); err != nil {
			return r, badInstant(name, part.text)
		}
	}
	if err := r.Check(time.Now()); err != nil {
		return r, httpErrorf(http.StatusBadRequest, "%s", text.Sentence(err.Error()))
	}
	return r, nil
}

func (s *server) answerRetirement(c echo.Context) error {
	body, err := decodeBody[answerBody](c)
	if err != nil {
		return err
	}
	if body.Confirm == nil {
		return httpErrorf(http.StatusBadRequest,
			`The body lacks the answer: send {"confirm":true} or {"confirm":false}.`)
	}
	return answerJobCommand(c, s.Pipeline.AnswerRetirement(c.Request().Context(), c.Param("id"), *body.Confirm))
}

func (s *server) cancelJob(c echo.Context) error {
	return answerJobCommand(c, s.Pipeline.Cancel(c.Request().Context(), c.Param("id")))
}

func (s *server) retryJob(c echo.Context) error {
	return answerJobCommand(c, s.Pipeline.Retry(c.Request().Context(), c.Param("id")))
}

// answerJobCommand answers a command to a job that ended in err.
func answerJobCommand(c echo.Context, err error) error {
	if err != nil {
		return fmt.Errorf("job %s: %w", c.Param("id"), err)
	}
	return c.NoContent(http.StatusNoContent)
}
