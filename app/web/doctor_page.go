package web

import (
	"fmt"
	"net/http"
	"strings"

	"github.com/labstack/echo/v4"

	"mssentinel/app/doctor"
	"mssentinel/templates"
)

// showDoctor shows the last report, and the forms that make another one.
func (s *server) showDoctor(c echo.Context) error {
	return renderPage(c, http.StatusOK, templates.DoctorPage(s.newDoctorView(c)))
}

func (s *server) newDoctorView(c echo.Context) templates.Doctor {
	view := templates.Doctor{Frame: s.newFrame(c, "Doctor", "tasks"), Waits: joinWaits()}
	if task := s.findDoctorTask(); task.Status == "Running" {
		view.Running, view.Doing = true, task.Detail
	}
	report, ok := s.Doctor.Last()
	if !ok {
		return view
	}
	view.Headline, view.Began, view.Ended, view.Stopped = report.Headline(), report.Began, report.Ended, report.Stopped
	for _, summary := range report.Summaries {
		area := templates.DoctorArea{Name: string(summary.Area), Summary: summary.Text}
		for _, l := range report.Lines {
			if l.Area == summary.Area {
				area.Lines = append(area.Lines, templates.DoctorLine{ID: l.ID, Question: l.Question, Verdict: string(l.Verdict),
					Evidence: l.Evidence, Effect: l.Effect, Differs: l.Differs})
			}
		}
		view.Areas = append(view.Areas, area)
	}
	return view
}

// joinWaits lists the waits that the page proposes.
func joinWaits() string {
	var waits []string
	for _, wait := range doctor.Waits {
		waits = append(waits, fmt.Sprintf("%g", wait.Seconds()))
	}
	return strings.Join(waits, ", ")
}

// submitDoctorForm runs the doctor. What could do harm is asked for a second time.
func (s *server) submitDoctorForm(c echo.Context) error {
	large := formValue(c, "large")
	request := doctor.Request{LargeBodies: large == "confirmed", Variable: strings.TrimSpace(formValue(c, "variable")),
		Indicator: strings.TrimSpace(formValue(c, "indicator"))}
	if large == "asked" {
		view := s.newDoctorView(c)
		view.Variable, view.Indicator, view.Large = request.Variable, request.Indicator, true
		view.Ask = askLargeBodies(request)
		return renderPage(c, http.StatusOK, templates.DoctorPage(view))
	}
	if err := s.runDoctor(c, request); err != nil {
		return err
	}
	return seeOther(c, "doctor?done=doctor")
}

func askLargeBodies(request doctor.Request) *templates.Question {
	return &templates.Question{
		Title: "Send large bodies", Button: "Run with large bodies", Danger: true, Action: "doctor", Back: "doctor#run-doctor",
		Text: []string{"Requests of 1.5 and 4 MiB go to Microsoft Sentinel, to find out where it refuses them. " +
			"They count towards its limit, so that an update under way may wait; and what stands between may hold such requests against this Service.",
			"Without this the doctor asks everything else."},
		Fields: []templates.Field{{Name: "variable", Value: request.Variable}, {Name: "indicator", Value: request.Indicator},
			{Name: "large", Value: "confirmed"}},
	}
}
