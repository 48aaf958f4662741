package stories

import (
	"strings"
	"time"

	"mssentinel/templates"
)

func tellDoctor() []Story {
	return []Story{
		{"doctor-empty", Empty, "no report yet", templates.DoctorPage(templates.Doctor{Frame: newFrame("Doctor", "tasks"), Waits: "5, 20"})},
		{"doctor-first", Running, "the first run", templates.DoctorPage(templates.Doctor{Frame: newFrame("Doctor", "tasks"), Running: true})},
		{"doctor", Full, "a report", templates.DoctorPage(newDoctor())},
		{"doctor-running", Running, "a run beside the last report", templates.DoctorPage(func() templates.Doctor {
			d := newDoctor()
			d.Running, d.Doing, d.Ended = true, "asking about AZURE", time.Time{}
			return d
		}())},
		{"doctor-stopped", Broken, "a run that was killed", templates.DoctorPage(func() templates.Doctor {
			d := newDoctor()
			d.Stopped = "killed on TASKS"
			return d
		}())},
		{"doctor-ask", Asking, "whether to send large bodies", templates.DoctorPage(func() templates.Doctor {
			d := newDoctor()
			d.Variable, d.Indicator, d.Large = "name", "bad.example", true
			d.Ask = &templates.Question{Title: "Send large bodies", Text: []string{"They count."}, Action: "doctor", Back: "doctor#run-doctor", Button: "Run with large bodies", Danger: true, Fields: []templates.Field{{Name: "large", Value: "confirmed"}}}
			return d
		}())},
	}
}

// doctorReport has what has to be escaped.
func newDoctor() templates.Doctor {
	return templates.Doctor{Frame: newFrame("Doctor", "tasks"), Headline: "AZURE role missing · PAGES ok · 1 answer differs from what the App relies on: azure.role", Waits: "5, 20",
		Began: noon, Ended: noon.Add(time.Hour), Areas: []templates.DoctorArea{
			{Name: "AZURE", Summary: "role missing", Lines: []templates.DoctorLine{
				{ID: "azure.role", Question: "Is the role assigned?", Verdict: "no", Evidence: "status 403 <b>", Effect: "Nothing arrives.", Differs: true},
				{ID: "azure.large", Question: "How large may a body be?", Verdict: "not tried"}}},
			{Name: "PAGES", Summary: "ok", Lines: []templates.DoctorLine{{ID: "pages.methods", Question: "Which methods reach the App?", Verdict: "value", Evidence: "GET, POST"},
				{ID: "platform.parameters", Question: "Which parameters came?", Verdict: "value", Evidence: strings.Repeat("tc_api_path <text>, ", 20)}}}}}
}
