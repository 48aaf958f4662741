package web

import (
	"cmp"
	"fmt"
	"maps"
	"net/http"
	"net/url"
	"slices"
	"time"

	"github.com/labstack/echo/v4"

	"mssentinel/app/job"
	"mssentinel/app/pipeline"
	"mssentinel/app/store"
	"mssentinel/app/text"
	"mssentinel/templates"
)

// showJob shows one job with all that is known of it.
func (s *server) showJob(c echo.Context, id string) error {
	ctx := c.Request().Context()
	j, err := s.Store.Job(ctx, id)
	if err != nil {
		return err
	}
	here := jobAddress(c, id)
	details, err := s.jobDetails(c, id, here)
	if err != nil {
		return err
	}
	view := templates.JobPage{
		Frame: s.newFrame(c, "Job Details", "jobs"), Here: pageURL("jobs", here), Self: pageURL("jobs", withTypes(here, c.QueryParam("types"))),
		List: listURL("jobs", c.QueryParam("list")), Job: jobRow(j), Facts: jobFacts(j), Stages: jobStages(j, time.Now()), Funnel: jobFunnel(j.Counts), Details: details,
	}
	if p := s.jobProgress(); p != nil && p.RequestID == id {
		view.Progress = p
	}
	view.Ended = describeEnd(j)
	attempts, err := s.Store.Attempts(ctx, id)
	if err != nil {
		return err
	}
	view.Attempts = attemptRows(j, attempts)
	if view.Job.CanCancel { // it waits or runs
		view.Paused = s.pausedTasks()
	}
	asked, err := s.askedAbout(ctx, j)
	if err != nil {
		return err
	}
	if asked != nil {
		if view.Held, err = s.heldView(c, j, asked); err != nil {
			return err
		}
		view.Self = view.Held.Self
	}
	view.Ask = askJob(c.QueryParam("ask"), view.Job, asked, view.Here)
	return renderPage(c, http.StatusOK, templates.JobDetails(view))
}

// jobAddress are the parameters of the page of a job: its id, and the list that it was looked at from.
func jobAddress(c echo.Context, id string) url.Values {
	params := url.Values{"id": {id}}
	if list := c.QueryParam("list"); list != "" {
		params.Set("list", list)
	}
	return params
}

// withTypes is a copy of params that names the query whose types are shown; "" for none.
func withTypes(params url.Values, query string) url.Values {
	params = maps.Clone(params)
	if query != "" {
		params.Set("types", query)
	}
	return params
}

// jobRow is a job's line on JOBS.
func jobRow(j job.Job) templates.Job {
	row := templates.Job{
		RequestID: j.RequestID, Type: typeLabel(j.Type), Mode: modeLabel(j),
		Status: string(j.Status), Message: j.Message,
		Started: j.DateStarted, Ended: j.DateCompleted, Downloaded: j.Downloaded, Uploaded: j.Uploaded,
		Retired: j.Retired, Errors: j.Invalid + j.Rejected + j.OtherErrors, Held: j.Question(),
		CanCancel:   j.Status.MayCancel(),
		CanRetry:    j.Status.MayRetry(),
		NeedsAnswer: j.Status == job.ConfirmationRequired,
	}
	if row.Ended == nil {
		row.Ended = j.DateFailed
	}
	row.Duration, row.Parts = jobDuration(j, row.Ended), jobParts(j.Counts)
	row.Flawed = j.Status == job.UploadComplete && row.Errors > 0
	if j.Status == job.Pending {
		row.RetryAfter = j.RetryAfter
	}
	return row
}

// jobDuration is how long a job took from the first attempt to its end, or takes so far.
func jobDuration(j job.Job, ended *time.Time) time.Duration {
	switch {
	case j.DateStarted == nil:
		return 0
	case j.Status.Active():
		return time.Since(*j.DateStarted)
	case ended == nil:
		return 0
	}
	return ended.Sub(*j.DateStarted)
}

// jobParts are the outcomes of what a job read, those that there are. Retirements are of what it did not read.
func jobParts(c job.Counts) []templates.Part {
	var parts []templates.Part
	for _, p := range []templates.Part{
		{Kind: "sent", Label: "uploaded", Count: c.Uploaded}, {Kind: "waiting", Label: "waiting", Count: c.Queued - c.Answered()},
		{Kind: "unchanged", Label: "unchanged", Count: c.Unchanged}, {Kind: "duplicate", Label: "duplicate", Count: c.Duplicate},
		{Kind: "below", Label: "below floor", Count: c.BelowFloor}, {Kind: "invalid", Label: "invalid", Count: c.Invalid}, {Kind: "rejected", Label: "rejected", Count: c.Rejected},
	} {
		if p.Count > 0 {
			parts = append(parts, p)
		}
	}
	return parts
}

func typeLabel(t job.Type) string {
	if t == job.AdHoc {
		return "Ad-Hoc"
	}
	return "Scheduled"
}

func modeLabel(j job.Job) string {
	if j.Ranged {
		return "Delta for a range"
	}
	return text.Capital(string(j.Mode))
}

// jobProgress shows how far the running job is; nil when none runs.
func (s *server) jobProgress() *templates.Progress {
	p := s.Pipeline.Progress()
	if p.RequestID == "" {
		return nil
	}
	view := &templates.Progress{RequestID: p.RequestID, Title: updateTitle(p.Mode, p.Ranged), Started: p.Started, Ago: time.Since(p.Started),
		Stages: stageBars(p), Rate: p.Rate, Remaining: p.Remaining, AtLeast: p.AtLeast, Blocked: p.Blocked != ""}
	switch left := time.Until(p.WaitUntil); {
	case p.Blocked != "" && p.Blocked != p.WaitReason:
		view.Wait = text.Sentence(p.Blocked)
	case p.WaitUntil.IsZero():
		view.Wait = p.WaitReason
	case left > 0:
		view.Wait = fmt.Sprintf("%s Next request in %s.", text.Sentence(p.WaitReason), templates.Duration(left))
	default:
		view.Wait = text.Sentence(p.WaitReason) + " The next request is under way."
	}
	return view
}

// updateTitle names an update by its kind.
func updateTitle(mode job.Mode, ranged bool) string {
	switch {
	case ranged:
		return "Delta update for a range"
	case mode == job.Reconcile:
		return "Reconcile"
	}
	return text.Capital(string(mode)) + " update"
}

// stageBars are the three stages of a job as far as they are.
func stageBars(p pipeline.Progress) []templates.StageBar {
	download := templates.Number(p.Downloaded) + " indicators"
	switch {
	case p.Expected > 0 && p.ExpectsMore:
		download = fmt.Sprintf("%s of at least %s indicators", templates.Number(p.Downloaded), templates.Number(p.Expected))
	case p.Expected > 0:
		download = fmt.Sprintf("%s of %s indicators", templates.Number(p.Downloaded), templates.Number(p.Expected))
	}
	upload, uploaded := templates.Number(p.Uploaded)+" objects", int64(-1)
	switch {
	case p.AllQueued:
		upload = fmt.Sprintf("%s of %s objects", templates.Number(p.Uploaded), templates.Number(p.ExpectedUploads))
		uploaded = percent(p.UploadShare)
	case p.ExpectedUploads > 0:
		upload = fmt.Sprintf("%s of about %s objects", templates.Number(p.Uploaded), templates.Number(p.ExpectedUploads))
		uploaded = percent(p.UploadShare)
	}
	bars := []templates.StageBar{{Label: "Download", Text: download, Percent: percent(p.DownloadShare)},
		{Label: "Convert", Text: describeConverted(p), Percent: percent(p.ConvertShare)},
		{Label: "Upload", Text: upload, Percent: uploaded}}
	for i := range bars {
		if bars[i].Percent >= 0 {
			bars[i].Text += fmt.Sprintf(" · %d %%", bars[i].Percent)
		}
	}
	return bars
}

// describeConverted says what came of the indicators that were read.
func describeConverted(p pipeline.Progress) string {
	made := templates.Number(p.Converted) + " objects made"
	if p.Known == 0 {
		return made
	}
	return made + ", " + templates.Number(p.Known) + " indicators as they were"
}

// percent is a share in whole per cent, rounded down.
func percent(share float64) int64 { return int64(100 * share) }

// justEnded is for how long the end of an update is told to listeners.
const justEnded = time.Minute

// describeEnd tells listeners how a job ended that did so a moment ago, else "".
func describeEnd(j job.Job) string {
	ended := j.DateCompleted
	if j.DateFailed != nil && (ended == nil || j.DateFailed.After(*ended)) {
		ended = j.DateFailed
	}
	if ended == nil || time.Since(*ended) > justEnded || j.Status.Active() {
		return ""
	}
	title := updateTitle(j.Mode, j.Ranged)
	counts := fmt.Sprintf(": %s uploaded, %s", templates.Number(j.Uploaded), templates.Amount(j.Invalid+j.Rejected+j.OtherErrors, "error", "errors"))
	switch j.Status {
	case job.UploadComplete:
		if j.Invalid+j.Rejected+j.OtherErrors == 0 {
			return title + " complete" + counts + "."
		}
		return title + " complete with errors" + counts + "."
	case job.ConfirmationRequired:
		return title + " needs your answer" + counts + ", " + templates.Amount(j.Question(), "object", "objects") + " to confirm."
	case job.Cancelled:
		return title + " cancelled" + counts + "."
	case job.Pending:
		return title + " failed and is tried again. " + text.Cut(j.Message, maxAnnounced)
	}
	return title + " failed. " + text.Cut(j.Message, maxAnnounced)
}

// maxAnnounced bounds in bytes what is told to listeners of a message.
const maxAnnounced = 200

// pausedTasks names the tasks that jobs pass through and that are paused.
func (s *server) pausedTasks() []string {
	var names []string
	for _, t := range s.Pipeline.Tasks() {
		if t.Paused && slices.Contains(jobTasks, t.Slug) {
			names = append(names, t.Name)
		}
	}
	return names
}

// maxLabel bounds in bytes what is shown of a TQL where it only names a query.
const maxLabel = 63

// manyDetails is how many counts by query and type a page shows at most as they are. Of more it shows those by query, and the types of
// one that is chosen.
const manyDetails = 100

// jobDetails are the counts by query and type. They name the queries by their place in today's list.
func (s *server) jobDetails(c echo.Context, id string, here url.Values) ([]templates.Detail, error) {
	ctx := c.Request().Context()
	counts, err := s.Store.JobQueries(ctx, id)
	if err != nil {
		return nil, err
	}
	list := detailList{here: here, labels: map[string]string{}, chosen: c.QueryParam("types")}
	number := 0
	for _, q := range counts {
		number += q.Types
	}
	if list.folded = number > manyDetails; !list.folded {
		list.details, err = s.Store.JobDetails(ctx, id, "")
	} else if list.chosen != "" {
		list.details, err = s.Store.JobDetails(ctx, id, list.chosen)
	}
	if err != nil {
		return nil, err
	}
	queries, _, err := s.Store.Queries(ctx)
	if err != nil {
		return nil, err
	}
	for i, q := range queries {
		list.labels[q.ID] = fmt.Sprintf("%d: %s", i+1, text.Cut(q.TQL, maxLabel))
	}
	return list.rows(counts), nil
}

// detailList shows a job's counts by query and type.
type detailList struct {
	labels map[string]string // of the queries
	// details are those of the types that are shown, in the order of their queries.
	details []job.Detail
	// folded says that there are too many: those of the query chosen are shown, and here leads to the others.
	folded bool
	here   url.Values
	chosen string
}

// rows puts the sum of a query before its types where it has several, and the sum of all at the end.
func (l *detailList) rows(counts []store.QueryCounts) (rows []templates.Detail) {
	var all job.Counts
	for _, q := range counts {
		all.Add(q.Counts)
		label := cmp.Or(l.labels[q.QueryID], "a query that was deleted")
		if q.Types == 1 {
			rows = append(rows, detailRow(label, q.Type, q.Counts))
			continue
		}
		rows = append(rows, l.sumRow(label, q))
		for _, d := range l.details {
			if d.QueryID == q.QueryID {
				rows = append(rows, detailRow(label, d.Type, d.Counts))
			}
		}
	}
	if len(counts) > 1 {
		sum := detailRow("All queries", "All types", all)
		sum.Total = true
		rows = append(rows, sum)
	}
	return rows
}

// sumRow is the sum of a query that has several types.
func (l *detailList) sumRow(label string, q store.QueryCounts) templates.Detail {
	sum := detailRow(label, "All types", q.Counts)
	sum.Total = true
	if !l.folded {
		return sum
	}
	sum.Place = "counts-" + q.QueryID
	sum.Link, sum.Type = pageURL("jobs", withTypes(l.here, q.QueryID))+"#"+sum.Place, fmt.Sprintf("%d types", q.Types)
	if q.QueryID == l.chosen {
		sum.Link, sum.Type = pageURL("jobs", l.here)+"#"+sum.Place, "Hide the types"
	}
	return sum
}

func detailRow(query, typ string, n job.Counts) templates.Detail {
	return templates.Detail{Query: query, Type: typ, Downloaded: n.Downloaded, BelowFloor: n.BelowFloor, Invalid: n.Invalid, Duplicate: n.Duplicate,
		Unchanged: n.Unchanged, Queued: n.Queued, Uploaded: n.Uploaded, Rejected: n.Rejected, Retired: n.Retired}
}

// jobStages are when each stage of a job worked, and from when to when it waited.
func jobStages(j job.Job, now time.Time) []templates.JobStage {
	var stages []templates.JobStage
	add := func(label string, from, to *time.Time) {
		if from == nil {
			return
		}
		if to == nil && !j.Status.Active() { // cut off by the end of the attempt
			to = j.DateFailed
		}
		until := now
		if to != nil && to.After(*from) {
			until = *to
		} else if to != nil || !j.Status.Active() {
			until, to = *from, from
		}
		stages = append(stages, templates.JobStage{Label: label, Started: *from, Ended: to, Runtime: until.Sub(*from)})
	}
	if j.DateStarted != nil {
		add("Waiting", &j.DateQueued, j.DateStarted)
	}
	add("Download", j.DateDownloadStart, j.DateDownloadComplete)
	add("Convert", j.DateConvertStart, j.DateConvertComplete)
	add("Upload", j.DateUploadStart, j.DateUploadComplete)
	return placeStages(stages)
}

// placeStages gives each stage its place between the first beginning and the last end.
func placeStages(stages []templates.JobStage) []templates.JobStage {
	if len(stages) == 0 {
		return nil
	}
	first, last := stages[0].Started, stages[0].Started
	for _, s := range stages {
		if s.Started.Before(first) {
			first = s.Started
		}
		if end := s.Started.Add(s.Runtime); end.After(last) {
			last = end
		}
	}
	whole := max(last.Sub(first).Seconds(), 0.001)
	for i := range stages {
		from := stages[i].Started.Sub(first).Seconds()
		stages[i].From, stages[i].To = 100*from/whole, 100*(from+stages[i].Runtime.Seconds())/whole
	}
	return stages
}

// jobFunnel is what became of what a job read, step by step; nil before it read anything.
func jobFunnel(c job.Counts) []templates.FunnelStep {
	if c == (job.Counts{}) {
		return nil
	}
	steps := []templates.FunnelStep{
		{Kind: "read", Label: "Downloaded", Count: c.Downloaded, Means: "indicators, once for each query that returned them"},
		{Kind: "invalid", Label: "Invalid", Count: c.Invalid, Means: "indicators that give no object; REPORT says why"},
		{Kind: "duplicate", Label: "Duplicate", Count: c.Duplicate, Means: "objects that a better copy wins"},
		{Kind: "unchanged", Label: "Unchanged", Count: c.Unchanged, Means: "objects that stand in Sentinel as they are"},
		{Kind: "queued", Label: "Queued", Count: c.Queued, Means: "objects handed to Upload"},
		{Kind: "sent", Label: "Uploaded", Count: c.Uploaded, Means: "objects that Sentinel accepted"},
		{Kind: "rejected", Label: "Rejected", Count: c.Rejected, Means: "objects that Sentinel refused; REPORT says why"},
		{Kind: "retired", Label: "Retired", Count: c.Retired, Means: "objects ended in Sentinel, since no query gives them any more"},
	}
	if c.BelowFloor > 0 {
		steps = slices.Insert(steps, 1, templates.FunnelStep{Kind: "below", Label: "Below floor", Count: c.BelowFloor,
			Means: "indicators that their query does not select, for their confidence"})
	}
	largest := int64(1)
	for _, s := range steps {
		largest = max(largest, s.Count)
	}
	for i := range steps {
		steps[i].Share = 100 * float64(steps[i].Count) / float64(largest)
	}
	return steps
}

// attemptRows are the attempts at a job where one of them came to nothing; the only one that went well says what the facts
// say.
func attemptRows(j job.Job, attempts []job.Attempt) []templates.Attempt {
	if len(attempts) == 0 || len(attempts) == 1 && attempts[0].Failure == "" {
		return nil
	}
	rows := make([]templates.Attempt, len(attempts))
	for i, a := range attempts {
		rows[i] = templates.Attempt{Started: a.Started, Ended: a.Ended, Outcome: describeAttempt(j, a)}
	}
	return rows
}

func describeAttempt(j job.Job, a job.Attempt) string {
	last := a.Number == j.Attempt
	switch {
	case a.Failure != "" && last && j.RetryAfter != nil:
		return a.Failure + " The next attempt begins at " + templates.Instant(*j.RetryAfter) + "."
	case a.Failure != "":
		return a.Failure
	case a.Ended == nil && last && j.Status.Active():
		return "Under way."
	case a.Ended == nil:
		return "Cut off by the end of the process; the next attempt went on."
	case last && j.Status == job.Cancelled:
		return "Cancelled by the operator."
	}
	return "Complete."
}

// jobFacts lists what is known of a job; what is not there yet is left out.
func jobFacts(j job.Job) []templates.Fact {
	facts := []templates.Fact{{Label: "Job Type", Value: typeLabel(j.Type)},
		{Label: "Update", Value: modeLabel(j)}, {Label: "Date Queued", Time: &j.DateQueued}}
	addTime := func(label string, t *time.Time) {
		if t != nil {
			facts = append(facts, templates.Fact{Label: label, Time: t})
		}
	}
	addRuntime := func(label string, from, to *time.Time) {
		if from != nil && to != nil {
			facts = append(facts, templates.Fact{Label: label, Value: templates.Runtime(*from, *to)})
		}
	}
	addTime("Modified From", j.WindowStart)
	addTime("Modified Before", j.WindowEnd)
	addTime("Date Started", j.DateStarted)
	addTime("Date Download Start", j.DateDownloadStart)
	addTime("Date Download Complete", j.DateDownloadComplete)
	addRuntime("Download Runtime", j.DateDownloadStart, j.DateDownloadComplete)
	addTime("Date Convert Start", j.DateConvertStart)
	addTime("Date Convert Complete", j.DateConvertComplete)
	addRuntime("Convert Runtime", j.DateConvertStart, j.DateConvertComplete)
	addTime("Date Upload Start", j.DateUploadStart)
	addTime("Date Upload Complete", j.DateUploadComplete)
	addRuntime("Upload Runtime", j.DateUploadStart, j.DateUploadComplete)
	addTime("Date Completed", j.DateCompleted)
	addRuntime("Total Runtime", j.DateStarted, j.DateCompleted)
	addTime("Date Failed", j.DateFailed)
	return append(facts, countFacts(j)...)
}

// countFacts lists what a job counted beside what became of what it read.
func countFacts(j job.Job) []templates.Fact {
	counts := []struct {
		label string
		n     int64
	}{
		{"Total Retries", int64(j.FailureCount)}, {"Count Other Errors", j.OtherErrors},
	}
	facts := make([]templates.Fact, 0, len(counts))
	for _, c := range counts {
		facts = append(facts, templates.Fact{Label: c.label, Value: templates.Number(c.n)})
	}
	return facts
}

// askJob asks before a command to a job; nil when the job does not take it now. here is the address that it is asked on.
func askJob(action string, j templates.Job, asked *store.HeldSummary, here string) *templates.Question {
	q := &templates.Question{Action: here, Back: here + "#" + action + "-" + j.RequestID,
		Fields: []templates.Field{{Name: "action", Value: action}, {Name: "id", Value: j.RequestID}}}
	amount := templates.Amount(j.Held, "object", "objects")
	switch {
	case action == "cancel" && j.CanCancel:
		q.Title, q.Button, q.Keep, q.Danger = "Cancel Job", "Cancel Job", "Keep the job", true
		q.Text = []string{"The job ends as Cancelled. What Microsoft Sentinel accepted so far stays there; " +
			"the rest comes with a later update."}
	case action == "retry" && j.CanRetry:
		q.Title, q.Button = "Retry Job", "Retry Job"
		q.Text = []string{"The job is queued again under the same Request ID, and repeats its update."}
	case action == "confirm" && j.NeedsAnswer:
		q.Title, q.Button, q.Danger = "Confirm Retirement", "Retire", true
		if asked != nil {
			amount = templates.Amount(asked.Objects, "object", "objects")
		}
		q.Text = []string{fmt.Sprintf("Retire %s in Microsoft Sentinel? What is retired stops matching "+
			"as soon as that arrives there.", amount)}
		if asked != nil && len(asked.Groups) > 0 {
			q.Text = append(q.Text, describeHeld(asked.Groups))
		}
	case action == "dismiss" && j.NeedsAnswer:
		q.Title, q.Button = "Dismiss Retirement", "Keep the objects"
		q.Text = []string{fmt.Sprintf("Keep %s in Microsoft Sentinel? You are asked again only when the set changes.", amount)}
	default:
		return nil
	}
	return q
}
