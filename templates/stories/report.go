package stories

import (
	"mssentinel/templates"
)

func tellReport() []Story {
	return []Story{
		{"report-empty", Empty, "no error", templates.ReportPage(templates.Report{Frame: newFrame("REPORT", "report"), Steps: newOptions("Convert"), Codes: newOptions("invalid-value"), Types: newOptions("Host"), Severities: newOptions("Errors", "Notes"), Next: &templates.NextStep{Text: "The first update failed.", Link: templates.Link{Text: "See why", URL: "jobs?id=1"}}, Empty: "No errors. Everything that the queries returned could be sent."})},
		{"report-none", Empty, "no error fits the filters", templates.ReportPage(templates.Report{Frame: newFrame("REPORT", "report"), Steps: newOptions("Convert"), Codes: newOptions("invalid-value"), Types: newOptions("Host"), Severities: newOptions("Errors", "Notes"), Text: "nothing like it", Filtered: true})},
		{"report", Full, "errors by kind and one by one", templates.ReportPage(templates.Report{Frame: newFrame("REPORT", "report"), Steps: newOptions("Convert"), Codes: newOptions("invalid-value"), Types: newOptions("Host"), Severities: newOptions("Errors", "Notes"), Problems: newProblems(), Pager: newPager("report"),
			Groups: []templates.ProblemGroup{{Step: "Convert", Code: "invalid-value", Type: "Host", Count: 12345, Newest: noon, Remedy: "Correct the value.", Link: "report?code=invalid-value"},
				{Step: "Download", Code: "update-failed", Count: 1, Newest: noon, Remedy: "Retry.", Link: "report?code=update-failed", Chosen: true},
				{Step: "Convert", Code: "note", Type: "URL", Note: true, Count: 2, Newest: noon, Remedy: "Nothing.", Link: "report?code=note"}},
			CSV: []string{"../api/report/batch-error.csv?part=1", "../api/report/batch-error.csv?part=2"}, JSON: []string{"../api/report/batch-error.json?part=1"},
			Retriable: 2, RetryLink: "report?ask=retry"})},
		{"report-no-job", Full, "an error of no job", templates.ErrorDetails(templates.ProblemPage{Frame: newFrame("Error Details", "report"), List: "report", Problem: newProblems()[2]})},
		{"report-detail", Full, "an error with the indicator it is about", templates.ErrorDetails(templates.ProblemPage{Frame: newFrame("Error Details", "report"), List: "report", Problem: newProblems()[0]})},
		{"activity-empty", Empty, "nothing was done yet", templates.Activity(newActivity(func(v *templates.ActivityPage) { v.Live, v.Charts = templates.LivePanel{}, v.Charts[3:] }))},
		{"report-retry", Asking, "whether to retry what failed", templates.ReportPage(templates.Report{Frame: newFrame("REPORT", "report"), Steps: newOptions("Convert"), Codes: newOptions("invalid-value"), Types: newOptions("Host"), Severities: newOptions("Errors", "Notes"), Problems: newProblems(), Pager: newPager("report"), Retriable: 2, RetryLink: "report?ask=retry",
			Ask: &templates.Question{Title: "Retry", Text: []string{"2 lines are mapped and sent again."}, Action: "report", Back: "report", Button: "Retry", Fields: []templates.Field{{Name: "action", Value: "retry"}}}})},
		{"activity-month", Full, "what was done in a month", templates.Activity(newMonth())},
		{"activity", Full, "what was done in a week", templates.Activity(newActivity(func(*templates.ActivityPage) {}))},
		{"indicator-ask", Empty, "nothing was looked for yet", templates.Indicator(templates.IndicatorPage{Frame: newFrame("REPORT", "report")})},
		{"indicator-none", Empty, "no such indicator", templates.Indicator(templates.IndicatorPage{Frame: newFrame("REPORT", "report"), Wanted: "good.example"})},
		{"indicator", Full, "who gives an indicator, and what was sent of it", templates.Indicator(templates.IndicatorPage{Frame: newFrame("REPORT", "report"), Wanted: "bad.example", Errors: newProblems(),
			Objects: []templates.KnownObject{{ID: "indicator--5f0c6a52-4c1b-5d3e-9f63-0f1f2f3f4f5f", Pattern: "[domain-name:value = 'bad.example']", Type: "Host", Name: "bad.example | Alpha",
				State: "Stands until 2026-12-24", Stands: true, Created: &noon, Outlook: "A delta update sends it again.",
				Candidates: []templates.KnownCandidate{{Query: 1, Indicator: templates.Link{Text: "7", URL: "https://tc.example/#/details/indicators/7/overview"}, Owner: "Alpha", Reason: "Wins.", Wins: true},
					{Indicator: templates.Link{Text: "8", URL: ""}, Owner: "<b>Beta", Reason: "Its query was deleted."}},
				Sends: []templates.KnownSend{{At: noon, RequestID: jobID, Indicator: templates.Link{Text: "7", URL: ""}}, {At: noon, Retired: true, Indicator: templates.Link{Text: "8", URL: ""}}}}}})},
	}
}

func newProblems() []templates.Problem {
	return []templates.Problem{
		{ID: 9007199254740993, RequestID: jobID, Step: "Convert", Code: "invalid-value", Value: "<b>.example", Type: "Host", Owner: "O'Brien & <Sons>", Indicator: templates.Link{Text: "7", URL: "https://tc.example/#/details/indicators/7/overview"}, LookUp: "indicator?value=7", Remedy: "Correct the value.", Message: "<*.example> is a wildcard.", Raw: "{\n  \"id\": 9007199254740993\n}", Added: noon},
		{ID: 2, RequestID: jobID, Step: "Convert", Code: "long-pattern", Message: "Sentinel's rules may not match it.", Added: noon, Note: true},
		{ID: 1, Step: "Upload", Code: "batch-rejected", Message: "It belongs to no job.", Added: noon},
	}
}
