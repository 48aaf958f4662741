package templates

import (
	"time"

	"github.com/a-h/templ"
)

var noon = time.Date(2026, 11, 24, 12, 0, 0, 0, time.UTC)

const jobID = "5f0c6a52-4c1b-4d3e-9f63-0f1f2f3f4f5f"

// pages are the screens in each state that looks different, by the name of their golden file.
var pages = map[string]templ.Component{
	"configure-empty":   ConfigurePage(Configure{Frame: frame("CONFIGURE", "configure")}),
	"configure":         ConfigurePage(Configure{Frame: frame("CONFIGURE", "configure"), Queries: queries()}),
	"configure-trouble": ConfigurePage(Configure{Frame: troubled(frame("CONFIGURE", "configure")), Queries: queries()}),
	"configure-saved":   ConfigurePage(Configure{Frame: noticed(frame("CONFIGURE", "configure"), success), Queries: queries()}),

	"editor":       EditorPage(editor(func(e *Editor) { e.Focus = "add" })),
	"editor-empty": EditorPage(editor(func(e *Editor) { e.Queries, e.Draft = nil, "[]" })),
	"editor-changed": EditorPage(editor(func(e *Editor) {
		e.Dirty, e.Focus, e.Queries[0].Mark, e.Queries[1].Mark = true, "up-new-1", "New", "Changed"
	})),
	"editor-outdated": EditorPage(editor(func(e *Editor) { e.Outdated = true })),
	"editor-faults":   EditorPage(editor(func(e *Editor) { e.Frame = noticed(e.Frame, faults) })),
	"editor-add":      EditorPage(editor(func(e *Editor) { e.Form = form() })),
	"editor-edit":     EditorPage(editor(func(e *Editor) { e.Form = form(); e.Form.Key, e.Form.Faults, e.Focus = "a", faults.Points, "validate" })),
	"editor-valid":    EditorPage(editor(func(e *Editor) { e.Form = form(); e.Form.Valid = "TQL is valid — 1,234 matching results." })),
	"editor-preview":  EditorPage(editor(func(e *Editor) { e.Form = form(); e.Form.Preview = sample() })),
	"editor-no-owners": EditorPage(editor(func(e *Editor) {
		e.Form = form()
		e.Form.Owners, e.Form.OwnersFault = nil, "The owners cannot be listed. ThreatConnect at tc.example gives no usable answer."
	})),
	"editor-delete":     EditorPage(editor(func(e *Editor) { e.Delete = &e.Queries[1] })),
	"editor-save":       EditorPage(editor(func(e *Editor) { e.Save = &SaveWindow{Late: true} })),
	"editor-save-first": EditorPage(editor(func(e *Editor) { e.Save = &SaveWindow{First: true} })),
	"editor-discard":    EditorPage(editor(func(e *Editor) { e.Discard = true })),
	"editor-import":     EditorPage(editor(func(e *Editor) { e.Import = &ImportWindow{} })),
	"editor-no-import": EditorPage(editor(func(e *Editor) {
		e.Import = &ImportWindow{Pasted: `{"a":"</textarea>"}`, Fault: "Not imported: this is not a list of queries."}
	})),

	"preview":        PreviewQuery(PreviewPage{Frame: frame("Preview", "configure"), Query: queries()[0], Preview: sample()}),
	"preview-failed": PreviewQuery(PreviewPage{Frame: frame("Preview", "configure"), Query: queries()[0], Fault: "ThreatConnect did not answer within 25 seconds."}),

	"jobs-empty":      JobsPage(Jobs{Frame: frame("JOBS", "jobs"), Self: "jobs", Statuses: statuses("Pending", "Failed"), NothingToRun: true}),
	"jobs-none-found": JobsPage(Jobs{Frame: frame("JOBS", "jobs"), Self: "jobs?status=Failed", Statuses: statuses("Failed"), RequestID: "5f0c", Filtered: true}),
	"jobs":            JobsPage(Jobs{Frame: frame("JOBS", "jobs"), Self: "jobs?offset=20", Statuses: statuses("Pending", "Failed"), Jobs: jobs(), Pager: middle("jobs")}),
	"jobs-running":    JobsPage(Jobs{Frame: frame("JOBS", "jobs"), Self: "jobs", Statuses: statuses("Pending", "Failed"), Jobs: jobs()[:1], Progress: progressed(), Pager: Pager{First: 1, Last: 1, Total: 1}}),
	"jobs-ask": JobsPage(Jobs{Frame: frame("JOBS", "jobs"), Self: "jobs", Statuses: statuses("Pending", "Failed"), Ask: &Question{Title: "Run Full", Text: []string{"Sends everything again."},
		Action: "jobs", Back: "jobs", Button: "Run Full", Fields: []Field{{"action", "run"}, {"mode", "full"}}}}),

	"job":           JobDetails(JobPage{Frame: frame("Job Details", "jobs"), Self: "jobs?id=" + jobID, Job: jobs()[1], Facts: facts(), Details: details()}),
	"job-running":   JobDetails(JobPage{Frame: frame("Job Details", "jobs"), Self: "jobs?id=" + jobID, Job: jobs()[0], Facts: facts()[:1], Paused: []string{"Download", "Upload"}, Progress: &Progress{RequestID: jobID, Stage: "Download", Bars: []Bar{{Label: "Download", Unit: "indicators"}}}}),
	"job-retiring":  JobDetails(JobPage{Frame: frame("Job Details", "jobs"), Self: "jobs?id=" + jobID, Job: jobs()[3]}),
	"job-ask":       JobDetails(JobPage{Frame: frame("Job Details", "jobs"), Self: "jobs?id=" + jobID, Job: jobs()[0], Ask: cancel()}),
	"tasks":         TasksPage(Tasks{Frame: frame("TASKS", "tasks"), Tasks: tasks()}),
	"tasks-ask":     TasksPage(Tasks{Frame: frame("TASKS", "tasks"), Tasks: tasks(), Ask: &Question{Title: "Kill Task", Text: []string{"Download is at work. Kill it?"}, Action: "tasks", Back: "tasks", Button: "Kill Task", Danger: true, Fields: []Field{{"action", "kill"}, {"task", "download"}}}}),
	"report-empty":  ReportPage(Report{Frame: frame("REPORT", "report"), Steps: steps()}),
	"report-none":   ReportPage(Report{Frame: frame("REPORT", "report"), Steps: steps(), Text: "nothing like it", Filtered: true}),
	"report":        ReportPage(Report{Frame: frame("REPORT", "report"), Steps: steps(), Problems: problems(), Pager: middle("report")}),
	"report-no-job": ErrorDetails(ProblemPage{Frame: frame("Error Details", "report"), Problem: problems()[2]}),
	"report-detail": ErrorDetails(ProblemPage{Frame: frame("Error Details", "report"), Problem: problems()[0]}),
	"failure":       Failure(frame("Error", "jobs"), 409, "The job has moved on and does not allow this any more. Reload to see its status."),
}

var (
	success = Notice{Kind: "success", Text: "Saved. A delta update starts now; JOBS shows it."}
	faults  = Notice{Kind: "error", Text: "The list cannot be saved yet:", Points: []string{"Query 1: TQL is empty: enter the query.", `Query 2: The owner "O'Brien & <Sons>" is not among those.`}}
)

func frame(title, section string) Frame {
	return Frame{Title: title, Section: section, Root: "../", Version: "1.0.0", Source: "ThreatConnect-Demo", Token: "the-token"}
}

func troubled(f Frame) Frame {
	f.Trouble = "The database cannot be written: the disk is full. Free some space; it is tried again every 30 s."
	return f
}

func noticed(f Frame, n Notice) Frame {
	f.Notices = []Notice{n}
	return f
}

// queries hold what has to be escaped.
func queries() []Query {
	return []Query{
		{Key: "new-1", Position: 1, Owners: []string{"Demo Organization", "O'Brien & <Sons>"}, Types: []string{"Address", "File"}, TQL: `rating >= 3 and summary like "%<b>%"`, SortField: "threatAssessScore", SortDirection: "DESC"},
		{Key: "a", Position: 2, Owners: []string{"Common Community"}, Types: []string{"Email Subject"}, TQL: "confidence > 50"},
	}
}

func editor(change func(*Editor)) Editor {
	e := Editor{Frame: frame("CONFIGURE", "configure"), Queries: queries(), Draft: `[{"key":"a","tql":"x < \"y\""}]`, Version: "v1", Base: "0123456789abcdef", Seal: "the-seal"}
	change(&e)
	return e
}

func form() *QueryForm {
	return &QueryForm{
		Owners: []Choice{{"Demo Organization", "Demo Organization", true}, {"O'Brien & <Sons>", "O'Brien & <Sons>", false}},
		Types:  []Choice{{"Address", "Address", true}, {"Host", "Host", false}}, TQL: `summary like "%<b>%"`,
		SortFields:     []Choice{{"", "None", false}, {"rating", "rating", true}},
		SortDirections: []Choice{{"ASC", "Ascending", false}, {"DESC", "Descending", true}},
	}
}

func sample() *Preview {
	return &Preview{Total: 1234, Cap: 100, Truncated: true, Problems: []string{"Indicator 2 (Host 7 in Demo Organization): *.example is a wildcard"},
		Objects: []PreviewObject{{Name: "bad.example | O'Brien & <Sons>", Pattern: "[domain-name:value = 'bad.example']", JSON: "{\n  \"type\": \"indicator\"\n}"}}}
}

func statuses(chosen ...string) []Choice {
	all := []Choice{{Value: "Pending", Label: "Pending"}, {Value: "Failed", Label: "Failed"}}
	for i := range all {
		for _, name := range chosen {
			all[i].Chosen = all[i].Chosen || all[i].Value == name
		}
	}
	return all
}

// jobs has one in each state that offers something else.
func jobs() []Job {
	started, ended := noon, noon.Add(time.Hour)
	id := func(first string) string { return first + jobID[8:] }
	return []Job{
		{RequestID: jobID, Type: "Scheduled", Mode: "Full", Status: "Upload In Progress", Started: &started, Downloaded: 12345, Uploaded: 700, CanCancel: true},
		{RequestID: id("11111111"), Type: "Ad-Hoc", Mode: "Delta", Status: "Upload Complete", Started: &started, Ended: &ended, Downloaded: 10, Uploaded: 7, Retired: 1, Errors: 2},
		{RequestID: id("22222222"), Type: "Ad-Hoc", Mode: "Delta", Status: "Failed", Message: "Check <Client Secret>.", Started: &started, Ended: &ended, CanRetry: true},
		{RequestID: id("33333333"), Type: "Scheduled", Mode: "Reconcile", Status: "Confirmation Required", Started: &started, Ended: &ended, Held: 1200, NeedsAnswer: true},
		{RequestID: id("44444444"), Type: "Scheduled", Mode: "Delta", Status: "Pending", RetryAfter: &ended, CanCancel: true},
	}
}

func progressed() *Progress {
	return &Progress{RequestID: jobID, Stage: "Upload", Rate: 166.6, Wait: "Sentinel's limit reached. Next request in 23 s.", Remaining: 65 * time.Minute,
		Bars: []Bar{{"Download", "indicators", 12345, 12345}, {"Convert", "objects made", 15000, 0}, {"Upload", "objects", 700, 15000}}}
}

func facts() []Fact {
	return []Fact{{Label: "Job Type", Value: "Ad-Hoc"}, {Label: "Date Queued", Time: &noon}, {Label: "Count Uploaded", Value: "7"}}
}

func details() []Detail {
	return []Detail{{Query: "1: rating >= 3", Type: "Host", Downloaded: 10, Invalid: 1, Duplicate: 1, Queued: 8, Uploaded: 7, Rejected: 1, Retired: 1}}
}

func cancel() *Question {
	return &Question{Title: "Cancel Job", Text: []string{"The job ends as Cancelled."}, Action: "jobs", Back: "jobs?id=" + jobID, Button: "Cancel Job", Danger: true,
		Fields: []Field{{"action", "cancel"}, {"id", jobID}}}
}

func middle(page string) Pager {
	return Pager{First: 21, Last: 40, Total: 1234, Newer: page, Older: page + "?offset=40"}
}

func tasks() []Task {
	return []Task{
		{Name: "Download", Slug: "download", Description: "Downloads indicators from ThreatConnect.", Status: "Running", Schedule: "When a job waits", HeartbeatTimeout: 20 * time.Minute, LastHeartbeat: noon, LastRun: noon, Detail: "Page 3"},
		{Name: "Upload", Slug: "upload", Description: "Uploads STIX objects to Microsoft Sentinel.", Status: "Paused", Paused: true, Schedule: "As they are converted", HeartbeatTimeout: 30 * time.Minute},
		{Name: "Cleaner", Slug: "cleaner", Description: "Cleans the filesystem and the database.", Status: "Idle", Schedule: "Every 2 hours", HeartbeatTimeout: 30 * time.Minute, NextRun: noon.Add(time.Hour)},
	}
}

func steps() []Choice { return []Choice{{"", "All", true}, {"Convert", "Convert", false}} }

func problems() []Problem {
	return []Problem{
		{ID: 9007199254740993, RequestID: jobID, Step: "Convert", Code: "invalid-value", Message: "<*.example> is a wildcard.", Raw: "{\n  \"id\": 9007199254740993\n}", Added: noon},
		{ID: 2, RequestID: jobID, Step: "Convert", Code: "long-pattern", Message: "Sentinel's rules may not match it.", Added: noon, Note: true},
		{ID: 1, Step: "Upload", Code: "refused", Message: "It belongs to no job.", Added: noon},
	}
}
