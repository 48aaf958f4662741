package stories

import (
	"fmt"
	"strings"
	"time"

	"mssentinel/templates"
)

// What the longest texts are made of. A long word has no place to break; a right-to-left name stands between others.
var (
	longWord = strings.Repeat("0123456789abcdef", 640)
	longText = strings.Repeat("The answer was neither this nor that, and nobody knows why. ", 170)
	longName = "Organization of a very long name " + strings.Repeat("x", 200)
	arabic   = "شركة الأمن السيبراني (قسم التحليل)"
	hebrew   = "ארגון לדוגמה 42"
	arabicID = "مثال-خبيث.شبكة"
)

func tellConfigureExtremes() []Story {
	return []Story{
		{"configure-long", Long, "500 queries, as many as there may be", templates.ConfigurePage(templates.Configure{
			Frame: newFrame("CONFIGURE", "configure"), Queries: countGiven(newManyQueries(500)), ReadAt: noon, CountedAt: noon})},
		{"configure-settings-long", Long, "settings with as many and as long labels as there may be", templates.ConfigurePage(templates.Configure{
			Frame: newFrame("CONFIGURE", "configure"), Queries: addLongSettings(countGiven(newManyQueries(12))), ReadAt: noon, CountedAt: noon})},
		{"configure-rtl", RightToLeft, "owners and TQL of right-to-left scripts", templates.ConfigurePage(templates.Configure{
			Frame: newFrame("CONFIGURE", "configure"), Queries: countGiven(newRTLQueries()), ReadAt: noon, CountedAt: noon})},
		{"editor-settings-long", Long, "Edit with as many and as long labels as there may be", templates.EditorPage(newEditor(func(e *templates.Editor) { e.Queries = addLongSettings(newManyQueries(12)) }))},
		{"editor-long", Long, "Edit with 500 queries", templates.EditorPage(newEditor(func(e *templates.Editor) { e.Queries = newManyQueries(500) }))},
		{"editor-add-long", Long, "the window of a query with a TQL of 10 kB, long names, and many faults", templates.EditorPage(newEditor(func(e *templates.Editor) {
			e.Form = newForm()
			e.Form.TQL = `summary in ("` + longWord + `")`
			for i := range 60 {
				e.Form.Owners = append(e.Form.Owners, newChoice(fmt.Sprint(longName, i), i%2 == 0))
			}
			for i := range 40 {
				e.Form.Faults = append(e.Form.Faults, fmt.Sprintf("Fault %d: %s", i+1, longText[:600]))
			}
		}))},
		{"editor-rtl", RightToLeft, "the window of a query with right-to-left owners", templates.EditorPage(newEditor(func(e *templates.Editor) {
			e.Queries, e.Form = newRTLQueries(), newForm()
			e.Form.Owners = append(e.Form.Owners, newChoice(arabic, true), newChoice(hebrew, false))
			e.Form.TQL = `summary like "%` + arabicID + `%" and tag = "` + hebrew + `"`
			e.Form.Labels = hebrew + "\nSOC\n" + arabic
			e.Form.Valid = "TQL is valid — 1,234 matching results."
		}))},
		{"editor-delete-long", Long, "whether to delete a query with a TQL of 10 kB", templates.EditorPage(newEditor(func(e *templates.Editor) {
			e.Queries[1].TQL = longWord
			e.Delete = &e.Queries[1]
		}))},
		{"preview-long", Long, "a preview of 100 indicators with patterns of 10 kB", templates.PreviewQuery(templates.PreviewPage{
			Frame: newFrame("Preview", "configure"), Query: newManyQueries(1)[0], Preview: newLongPreview()})},
	}
}

// newManyQueries are long ones among short ones.
func newManyQueries(n int) []templates.Query {
	queries := make([]templates.Query, n)
	for i := range queries {
		q := newRealQueries()[i%6]
		q.Key, q.Position = fmt.Sprintf("q%d", i+1), i+1
		if i%50 == 0 {
			q.TQL, q.Owners = longWord, append(q.Owners, longName)
		}
		queries[i] = q
	}
	return queries
}

// addLongSettings gives queries as many labels as there may be, long ones and short ones.
func addLongSettings(queries []templates.Query) []templates.Query {
	for i := range queries {
		s := templates.QuerySettings{MinConfidence: 100, TTLHours: 87_600, TLP: "WHITE", Labels: []string{longWord[:100]}}
		for n := range i % 4 * 6 {
			s.Labels = append(s.Labels, fmt.Sprintf("%.90s %d", longText, n))
		}
		queries[i].Settings = s
	}
	return queries
}

func newRTLQueries() []templates.Query {
	return []templates.Query{
		{Key: "a", Position: 1, Owners: []string{arabic, "Demo Organization", hebrew}, Types: []string{"Host", "URL"}, TQL: `tag = "` + arabic + `" and rating >= 3`,
			Settings: templates.QuerySettings{MinConfidence: 60, Labels: []string{hebrew, "SOC", arabic}, TLP: "AMBER"}},
		{Key: "b", Position: 2, Owners: []string{hebrew}, Types: []string{"File"}, TQL: `summary like "%` + arabicID + `%"`},
	}
}

func newLongPreview() *templates.Preview {
	p := &templates.Preview{Total: 123_456_789, Cap: 100, Truncated: true, Problems: []string{longText}}
	for i := range 100 {
		row := newPreview().Rows[i%2]
		row.Value = fmt.Sprintf("%d.%s.example", i, longWord[:200])
		if i%50 == 0 {
			row.Value, row.Owner, row.Pattern = longWord, longName, longWord
		}
		p.Rows = append(p.Rows, row)
	}
	return p
}

func tellJobExtremes() []Story {
	return []Story{
		{"jobs-long", Long, "jobs with numbers and messages as long as they get", templates.JobsPage(newJobsPage(func(v *templates.Jobs) {
			v.Frame, v.Jobs, v.Pager = addAlerts(v.Frame), newLongJobs(), newPager("jobs")
			v.Paused, v.Leftover = []string{"Download", "Convert", "Upload"}, 987_654_321
		}))},
		{"job-long", Long, "a job of 100 queries with a long message and 20 attempts", templates.JobDetails(newLongJob())},
		{"job-rtl", RightToLeft, "what would leave, by right-to-left owners and values", templates.JobDetails(templates.JobPage{
			Frame: newFrame("Job Details", "jobs"), Here: "jobs?id=" + jobID, Self: "jobs?id=" + jobID, Job: newJobs()[3], Held: newRTLHeld()})},
		{"jobs-rtl", RightToLeft, "a source of a right-to-left name, and such a message", templates.JobsPage(newJobsPage(func(v *templates.Jobs) {
			v.Source, v.Jobs = "ThreatConnect-"+arabic, newJobs()
			v.Jobs[2].Message = "The owner " + arabic + " is gone: correct query 3, then retry."
		}))},
	}
}

func newLongJobs() []templates.Job {
	var long []templates.Job
	for i, j := range append(newJobs(), newJobs()...) {
		j.RequestID = fmt.Sprintf("%08d", i) + j.RequestID[8:]
		j.Downloaded, j.Uploaded, j.Retired, j.Errors, j.Held = 987_654_321, 987_654_321, 987_654_321, 987_654_321, 987_654_321
		j.Message, j.Duration = longText, 4321*time.Hour
		if i == 0 {
			j.Message = longWord
		}
		long = append(long, j)
	}
	return long
}

func newLongJob() templates.JobPage {
	j := newLongJobs()[2]
	v := templates.JobPage{Frame: newFrame("Job Details", "jobs"), List: "jobs", Here: "jobs?id=" + j.RequestID, Self: "jobs?id=" + j.RequestID, Job: j, Facts: newFacts(), Stages: newStages(), Funnel: newFunnel()}
	for i := range 100 {
		d := newDetails()[0]
		d.Query = fmt.Sprintf("%d: %s", i+1, newRealQueries()[i%6].TQL)
		if i%50 == 0 {
			d.Query = longWord
		}
		if i%10 == 3 {
			d.Total, d.Type, d.Link, d.Place = true, "9 types", "jobs?id="+j.RequestID+"&types=a", fmt.Sprintf("counts-%d", i)
		}
		v.Details = append(v.Details, d)
	}
	for range 20 {
		v.Attempts = append(v.Attempts, templates.Attempt{Started: noon, Ended: &noon, Outcome: longText})
	}
	return v
}

func newRTLHeld() *templates.Held {
	h := newHeld()
	h.Lines[0].Value, h.Lines[0].Owner, h.Lines[0].Query = arabicID, arabic, `deleted: tag = "`+hebrew+`"`
	h.Lines[1].Value, h.Lines[1].Owner = "[x:y = '"+arabicID+"']", hebrew
	h.Tallies[1].Rows[0].Value = arabic
	h.Tallies[0].Rows[0].Note = `deleted: tag = "` + hebrew + `"`
	return h
}

func tellVerifyExtremes() []Story {
	change := func(value string, n int) func(*templates.Verify) {
		return func(v *templates.Verify) {
			for i := range n {
				v.Differences[0].Examples = append(v.Differences[0].Examples, templates.Difference{Value: value, ID: fmt.Sprintf("indicator--%08d", i) + jobID[8:], Sent: noon, RecordedUntil: noon})
			}
		}
	}
	return []Story{
		{"verify-long", Long, "differences with values of 10 kB", templates.VerifyPage(newVerify(change(longWord, 20)))},
		{"verify-rtl", RightToLeft, "differences with right-to-left values", templates.VerifyPage(newVerify(change(arabicID+" | "+hebrew, 2)))},
	}
}

func tellTaskExtremes() []Story {
	all := newTasks()
	for i := range all {
		all[i].Detail, all[i].Description = longText[:900], longText[:300]
	}
	all[0].Detail = longWord
	return []Story{
		{"tasks-long", Long, "tasks with much to say", templates.TasksPage(templates.Tasks{Frame: newFrame("TASKS", "tasks"), Tasks: all})},
		{"tasks-trouble", Broken, "tasks while the disk is full", templates.TasksPage(templates.Tasks{Frame: addAlerts(addTrouble(newFrame("TASKS", "tasks"))), Tasks: newTasks()})},
	}
}

func tellDoctorExtremes() []Story {
	answer := func(evidence string) templates.Doctor {
		v := newDoctor()
		v.Headline += " " + evidence
		v.Areas[0].Lines[0].Evidence, v.Areas[0].Lines[0].Effect = evidence, evidence
		v.Variable, v.Indicator = evidence, evidence
		return v
	}
	return []Story{
		{"doctor-long", Long, "evidence of 10 kB", templates.DoctorPage(answer(longWord))},
		{"doctor-rtl", RightToLeft, "evidence in a right-to-left script", templates.DoctorPage(answer(arabic))},
	}
}

func tellReportExtremes() []Story {
	return []Story{
		{"report-long", Long, "a hundred kinds of errors, with values and messages of 10 kB", templates.ReportPage(newLongReport())},
		{"report-rtl", RightToLeft, "errors of right-to-left owners and values", templates.ReportPage(templates.Report{
			Frame: newFrame("REPORT", "report"), Steps: newOptions("Convert"), Codes: newOptions("invalid-value"), Types: newOptions("Host"), Severities: newOptions("Errors", "Notes"), Problems: newRTLProblems(), Owner: arabic, Pager: newPager("report"), Filtered: true})},
		{"report-trouble", Broken, "errors while much needs a person", templates.ReportPage(templates.Report{
			Frame: addAlerts(addTrouble(newFrame("REPORT", "report"))), Steps: newOptions("Convert"), Codes: newOptions("invalid-value"), Types: newOptions("Host"), Severities: newOptions("Errors", "Notes"), Problems: newProblems(), Pager: newPager("report")})},
		{"report-detail-long", Long, "an error with a value and a record of 10 kB", templates.ErrorDetails(templates.ProblemPage{
			Frame: newFrame("Error Details", "report"), Problem: newLongReport().Problems[0]})},
		{"report-detail-rtl", RightToLeft, "an error of a right-to-left owner", templates.ErrorDetails(templates.ProblemPage{
			Frame: newFrame("Error Details", "report"), Problem: newRTLProblems()[0]})},
		{"activity-long", Long, "what was done in a year, in large numbers and by long names", templates.Activity(newYear(longName))},
		{"activity-rtl", RightToLeft, "what was done, by owners of right-to-left names", templates.Activity(newYear(arabic))},
		{"indicator-long", Long, "a value of 10 kB, given by 30 owners", templates.Indicator(newLongIndicator())},
		{"indicator-rtl", RightToLeft, "a value and owners of right-to-left scripts", templates.Indicator(templates.IndicatorPage{
			Frame: newFrame("REPORT", "report"), Wanted: arabicID, Errors: newRTLProblems(), Objects: []templates.KnownObject{newKnownObject(arabicID, arabic, hebrew)}})},
	}
}

func newLongReport() templates.Report {
	v := templates.Report{Frame: newFrame("REPORT", "report"), Steps: newOptions("Convert"), Codes: newOptions("invalid-value"), Types: newOptions("Host"), Severities: newOptions("Errors", "Notes"), Text: longWord, Owner: longName, Filtered: true, Pager: newPager("report"), Retriable: 100_000, RetryLink: "report?ask=retry"}
	for i := range 20 {
		p := newProblems()[i%3]
		p.ID, p.Message = int64(i+1), longText
		if i%5 == 0 {
			p.Value, p.Owner, p.Message, p.Raw, p.Remedy, p.Type = longWord, longName, longWord, longWord, longText[:500], "Host"
		}
		v.Problems = append(v.Problems, p)
		v.CSV = append(v.CSV, fmt.Sprintf("../api/report/batch-error.csv?part=%d", i+1))
	}
	for i := range 100 {
		v.Groups = append(v.Groups, templates.ProblemGroup{Step: "Convert", Code: fmt.Sprintf("invalid-value-%d", i), Type: "Email Subject", Count: 987_654_321, Newest: noon, Remedy: longText[:500], Link: fmt.Sprintf("report?code=%d", i)})
	}
	return v
}

func newRTLProblems() []templates.Problem {
	all := newProblems()[:2]
	for i := range all {
		all[i].Value, all[i].Owner, all[i].Type = arabicID, arabic, "Host"
		all[i].Message = "<" + arabicID + "> of " + hebrew + " is a wildcard."
	}
	all[1].Owner = hebrew
	return all
}

func newLongIndicator() templates.IndicatorPage {
	v := templates.IndicatorPage{Frame: newFrame("REPORT", "report"), Wanted: longWord, Errors: newLongReport().Problems}
	owners := make([]string, 30)
	for i := range owners {
		owners[i] = fmt.Sprint(i, " ", longName)
	}
	v.Objects = []templates.KnownObject{newKnownObject(longWord, owners...)}
	return v
}

// newKnownObject is given by owners, the first of which wins.
func newKnownObject(value string, owners ...string) templates.KnownObject {
	o := templates.KnownObject{ID: "indicator--" + jobID, Pattern: "[domain-name:value = '" + value + "']", Type: "Host", Name: value + " | " + owners[0],
		State: "Stands until 2026-12-24", Stands: true, Created: &noon, Outlook: "A delta update sends it again."}
	for i, owner := range owners {
		link := templates.Link{Text: fmt.Sprint(i + 7), URL: fmt.Sprintf("https://tc.example/#/details/indicators/%d/overview", i+7)}
		o.Candidates = append(o.Candidates, templates.KnownCandidate{Query: i + 1, Indicator: link, Owner: owner, Reason: "Its query stands higher.", Wins: i == 0})
		o.Sends = append(o.Sends, templates.KnownSend{At: noon, RequestID: jobID, Indicator: link, Retired: i%2 == 1})
	}
	return o
}

func tellSettingExtremes() []Story {
	change := func(text string) templates.Settings {
		v := newSettings()
		v.Source = text
		v.Groups[0].Settings = append(v.Groups[0].Settings, templates.Setting{Label: "Sentinel Source Name", Value: text})
		v.Groups[1].Rows = append(v.Groups[1].Rows, []string{text, strings.Repeat("c0ffee", 11)[:64]})
		v.Tests[0].Found, v.Tests[1].Found = []string{text, text}, []string{text}
		return v
	}
	return []Story{
		{"settings-long", Long, "values of 10 kB", templates.SettingsPage(change(longWord))},
		{"settings-rtl", RightToLeft, "a source of a right-to-left name", templates.SettingsPage(change(arabic))},
	}
}

func tellStatusExtremes() []Story {
	many := addAlerts(newFrame("STATUS", "jobs"))
	many.Source, many.Trouble = longName, longText[:500]
	many.Overview.Unsent, many.Overview.Live = 987_654_321, "987,654,321"
	for i, kind := range []string{"disk", "confirmation", "threatconnect", "incomplete", "overdue"} {
		many.Overview.Alerts = append(many.Overview.Alerts, templates.Alert{Kind: kind, Section: "jobs", Link: fmt.Sprint("ui/jobs?id=", i), Text: fmt.Sprintf("%d: %s", i, longText[:300])})
	}
	rtl := newFrame("STATUS", "jobs")
	rtl.Source = "ThreatConnect-" + arabic
	rtl.Overview.Alerts = []templates.Alert{{Kind: "failed", Section: "jobs", Link: "ui/jobs", Text: "The owner " + arabic + " is gone."}}
	return []Story{
		{"status-long", Long, "all that can need a person, at once", templates.StatusPage(many)},
		{"status-rtl", RightToLeft, "a source of a right-to-left name", templates.StatusPage(rtl)},
	}
}
