package web

import (
	"context"
	"encoding/json"
	"fmt"
	"net/http"
	"net/url"
	"time"

	"github.com/labstack/echo/v4"

	"mssentinel/app/job"
	"mssentinel/app/pipeline"
	"mssentinel/app/store"
	"mssentinel/app/text"
	"mssentinel/templates"
)

// showStatus shows how the updates stand on a page of its own, which the other pages also take their strip from.
func (s *server) showStatus(c echo.Context) error {
	frame := s.newFrame(c, "STATUS", c.QueryParam("section"))
	if frame.Overview != nil && c.QueryParam("seen") == frame.OverviewSeen {
		return c.NoContent(http.StatusNoContent)
	}
	return renderPage(c, http.StatusOK, templates.StatusPage(frame))
}

// fingerprintOverview is the same where the strip and the navigation show the same.
func fingerprintOverview(f templates.Frame) string {
	shown, err := json.Marshal([]any{f.Overview, f.Trouble})
	if err != nil { // there is nothing in it that cannot be written
		return ""
	}
	return fingerprintPage(shown)
}

// readOverview is the strip of a page: nil where the database cannot be read, which the page says.
func (s *server) readOverview(ctx context.Context) *templates.Overview {
	v, err := s.Pipeline.Overview(ctx)
	if err != nil {
		s.Logger.Warn("the page says nothing of how the updates stand", "error", err)
		return nil
	}
	status := &templates.Overview{Running: statusJob(v.Running), Last: statusJob(v.Last), Unsent: v.Unsent, Next: v.Next,
		Errors: templates.Number(v.Errors), Alerts: describeAlerts(v, s.Pipeline.Trouble())}
	if !v.LiveAsOf.IsZero() {
		status.Live = templates.Number(v.Live)
	}
	if v.Errors >= store.MaxCounted {
		status.Errors += " or more"
	}
	return status
}

func statusJob(j *job.Job) *templates.StatusJob {
	if j == nil {
		return nil
	}
	view := &templates.StatusJob{RequestID: j.RequestID, Mode: modeLabel(*j), Status: string(j.Status), Link: jobLink(j.RequestID),
		Flawed: jobRow(*j).Flawed}
	for _, at := range []*time.Time{j.DateCompleted, j.DateFailed, j.DateStarted, &j.DateQueued} {
		if at != nil {
			view.At = *at
			break
		}
	}
	return view
}

func jobLink(requestID string) string {
	return pageURL("ui/jobs", url.Values{"id": {requestID}})
}

// maxAlert bounds in bytes what the strip repeats of a message; all of it stands where the link leads.
const maxAlert = 200

// describeAlerts lists what needs a person, the gravest first.
func describeAlerts(v pipeline.Overview, trouble string) []templates.Alert {
	var alerts []templates.Alert
	add := func(kind, section, link, format string, args ...any) {
		alerts = append(alerts, templates.Alert{Kind: kind, Section: section, Link: link, Text: fmt.Sprintf(format, args...)})
	}
	if trouble != "" { // the banner has the words
		add("disk", "tasks", "ui/tasks", "The database cannot be written.")
	}
	switch len(v.Failed) {
	case 0:
	case 1:
		add("failed", "jobs", jobLink(v.Failed[0].RequestID), "The %s update failed, and none made up for it since.", v.Failed[0].Mode)
	default:
		add("failed", "jobs", statusLink(job.Failed), "%d updates failed, and none made up for them since.", len(v.Failed))
	}
	switch v.Asking {
	case 0:
	case 1:
		add("confirmation", "jobs", jobLink(v.AskingID), "An update waits for your answer.")
	default:
		add("confirmation", "jobs", statusLink(job.ConfirmationRequired), "%s updates wait for your answer.", templates.Number(v.Asking))
	}
	if v.Silent != "" {
		link := "ui/jobs"
		if v.Running != nil {
			link = jobLink(v.Running.RequestID)
		}
		add("silent", "jobs", link, "%s", text.Cut(text.Sentence(v.Silent), maxAlert))
	}
	if r := v.Retried; r != nil {
		add("retried", "jobs", jobLink(r.RequestID), "The %s update is tried again. %s", r.Mode, text.Cut(r.Message, maxAlert))
	}
	if len(v.Paused) > 0 {
		add("paused", "tasks", "ui/tasks", "%s", templates.JoinWithVerb(v.Paused, "is paused.", "are paused."))
	}
	return alerts
}

func statusLink(status job.Status) string {
	return pageURL("ui/jobs", url.Values{"status": {string(status)}})
}

// statusView is the answer of GET api/status: what stands above every screen.
type statusView struct {
	// Attention is what needs a person, the gravest first.
	Attention []attentionView `json:"attention"`
	// ErrorsLastDay counts lines of REPORT, notes left out; at most 100,000.
	ErrorsLastDay int64 `json:"errors_last_day"`
	// LastUpdate is the one that ended last, Running the one under way; null where there is none.
	LastUpdate *statusJobView `json:"last_update"`
	// LiveObjects is how many stood in Sentinel when they were last counted; null before that.
	LiveObjects *int64 `json:"live_objects"`
	// NextUpdate is null while none is planned: one waits or runs, or there is nothing to do.
	NextUpdate *time.Time     `json:"next_update"`
	Running    *statusJobView `json:"running"`
	// UnsentObjects of updates that are over are still to be sent.
	UnsentObjects int64 `json:"unsent_objects"`
}

// attentionView is something that needs a person. Kind is disk, failed, confirmation, silent, retried or paused.
type attentionView struct {
	Kind    string `json:"kind"`
	Message string `json:"message"`
	// Screen is where it is dealt with: jobs or tasks.
	Screen string `json:"screen"`
}

// statusJobView names an update. Date is when it ended, or else began.
type statusJobView struct {
	Date      time.Time  `json:"date"`
	Mode      job.Mode   `json:"mode"`
	RequestID string     `json:"request_id"`
	Status    job.Status `json:"status"`
}

// getStatus tells a script what stands above every screen.
func (s *server) getStatus(c echo.Context) error {
	v, err := s.Pipeline.Overview(c.Request().Context())
	if err != nil {
		return err
	}
	view := statusView{Attention: []attentionView{}, ErrorsLastDay: v.Errors, LastUpdate: viewUpdate(v.Last), Running: viewUpdate(v.Running),
		UnsentObjects: v.Unsent}
	if !v.LiveAsOf.IsZero() {
		view.LiveObjects = &v.Live
	}
	if !v.Next.IsZero() {
		view.NextUpdate = &v.Next
	}
	for _, a := range describeAlerts(v, s.Pipeline.Trouble()) {
		view.Attention = append(view.Attention, attentionView{Kind: a.Kind, Message: a.Text, Screen: a.Section})
	}
	return c.JSON(http.StatusOK, view)
}

func viewUpdate(j *job.Job) *statusJobView {
	if j == nil {
		return nil
	}
	return &statusJobView{Date: statusJob(j).At, Mode: j.Mode, RequestID: j.RequestID, Status: j.Status}
}
