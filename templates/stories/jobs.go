package stories

import (
	"time"

	"mssentinel/templates"
)

func tellJobs() []Story {
	return []Story{
		{"jobs-empty", Empty, "no job, and no query to run", templates.JobsPage(templates.Jobs{Frame: newFrame("JOBS", "jobs"), Types: newOptions("Scheduled", "Ad-Hoc"), Kinds: newOptions("Delta", "Full", "Reconcile"), Self: "jobs", Statuses: newStatuses("Pending", "Failed"), NothingToRun: true, Next: &templates.NextStep{Text: "There is no query yet.", Link: templates.Link{Text: "Add your first query", URL: "edit?window=add"}}})},
		{"jobs-none-found", Empty, "no job fits the filters", templates.JobsPage(templates.Jobs{Frame: newFrame("JOBS", "jobs"), Types: newOptions("Scheduled", "Ad-Hoc"), Kinds: newOptions("Delta", "Full", "Reconcile"), Self: "jobs?status=Failed", Statuses: newStatuses("Failed"), RequestID: "5f0c", Filtered: true})},
		{"jobs", Full, "a job of each status", templates.JobsPage(templates.Jobs{Frame: newFrame("JOBS", "jobs"), Types: newOptions("Scheduled", "Ad-Hoc"), Kinds: newOptions("Delta", "Full", "Reconcile"), Self: "jobs?offset=20", Statuses: newStatuses("Pending", "Failed"), Jobs: newJobs(), Leftover: 14700, Ended: "Full update complete: 7 uploaded, 0 errors.", Pager: newPager("jobs")})},
		{"jobs-running", Running, "an update that waits for Sentinel's limit", templates.JobsPage(templates.Jobs{Frame: newFrame("JOBS", "jobs"), Types: newOptions("Scheduled", "Ad-Hoc"), Kinds: newOptions("Delta", "Full", "Reconcile"), Self: "jobs", Statuses: newStatuses("Pending", "Failed"), Jobs: newJobs()[:1], Progress: newProgress(), Pager: templates.Pager{First: 1, Last: 1, Total: 1}})},
		{"jobs-ask", Asking, "whether to run a full update", templates.JobsPage(templates.Jobs{Frame: newFrame("JOBS", "jobs"), Types: newOptions("Scheduled", "Ad-Hoc"), Kinds: newOptions("Delta", "Full", "Reconcile"), Self: "jobs", Statuses: newStatuses("Pending", "Failed"), Ask: &templates.Question{Title: "Run Full", Text: []string{"Sends everything again."},
			Action: "jobs", Back: "jobs", Button: "Run Full", Fields: []templates.Field{{Name: "action", Value: "run"}, {Name: "mode", Value: "full"}}}})},
		{"jobs-filtered", Full, "filtered by status, kind and time", templates.JobsPage(templates.Jobs{Frame: newFrame("JOBS", "jobs"), Self: "jobs?kind=delta&status=Failed", Statuses: newStatuses("Failed"), Types: []templates.Choice{{Value: "", Label: "All", Chosen: true}, {Value: "ad-hoc", Label: "Ad-Hoc", Chosen: false}},
			Kinds: []templates.Choice{{Value: "delta", Label: "Delta", Chosen: true}}, Since: "2026-11-24T12:00:00", OnlyParams: "kind=delta", Here: "kind=delta&status=Failed", Filtered: true, Jobs: newJobs(), Pager: newPager("jobs")})},
		{"jobs-verified", Full, "what the last verification found", templates.JobsPage(templates.Jobs{Frame: newFrame("JOBS", "jobs"), Types: newOptions("Scheduled", "Ad-Hoc"), Kinds: newOptions("Delta", "Full", "Reconcile"), Self: "jobs", Statuses: newStatuses("Pending", "Failed"), Verified: &templates.Fact{Value: "12 objects differ.", Time: &noon}})},
		{"job", Full, "a job that is over, with its stages and counts", templates.JobDetails(templates.JobPage{Frame: newFrame("Job Details", "jobs"), List: "jobs?offset=20&status=Failed", Here: "jobs?id=" + jobID, Self: "jobs?id=" + jobID, Job: newJobs()[1], Facts: newFacts(), Stages: newStages(), Funnel: newFunnel(), Details: newDetails(),
			Attempts: []templates.Attempt{{Started: noon, Outcome: "Under way."}, {Started: noon, Ended: &noon, Outcome: "The role is missing."}}})},
		{"job-running", Running, "a job that waits for paused tasks", templates.JobDetails(templates.JobPage{Frame: newFrame("Job Details", "jobs"), Here: "jobs?id=" + jobID, Self: "jobs?id=" + jobID, Job: newJobs()[0], Facts: newFacts()[:1], Paused: []string{"Download", "Upload"}, Progress: &templates.Progress{RequestID: jobID, Title: "Reconcile", Started: noon, Ago: time.Minute, Blocked: true, Wait: "Download and Upload are paused.", Stages: []templates.StageBar{{Label: "Download", Text: "0 indicators"}}}})},
		{"job-retiring", Asking, "a job in Confirmation Required, before its objects are known", templates.JobDetails(templates.JobPage{Frame: newFrame("Job Details", "jobs"), Here: "jobs?id=" + jobID, Self: "jobs?id=" + jobID, Job: newJobs()[3]})},
		{"job-held", Asking, "a job in Confirmation Required, with what would leave", templates.JobDetails(templates.JobPage{Frame: newFrame("Job Details", "jobs"), Here: "jobs?id=" + jobID, Self: "jobs?id=" + jobID, Job: newJobs()[3], Held: newHeld()})},
		{"job-ask", Asking, "whether to cancel a job", templates.JobDetails(templates.JobPage{Frame: newFrame("Job Details", "jobs"), Here: "jobs?id=" + jobID, Self: "jobs?id=" + jobID, Job: newJobs()[0], Ask: askCancel()})},
		{"jobs-workday", Full, "a working week, and a full update that waits for Sentinel's limit", templates.JobsPage(newJobsPage(func(v *templates.Jobs) {
			v.Frame, v.Jobs, v.Progress, v.Pager = newWorkFrame("JOBS", "jobs"), newWorkJobs(), newWorkProgress(), templates.Pager{First: 1, Last: 20, Total: 214, Older: "jobs?offset=20"}
			v.Overview.Running = &templates.StatusJob{RequestID: v.Jobs[0].RequestID, Mode: "Full", Status: "Upload In Progress", Link: "ui/jobs?id=" + jobID, At: noon}
			v.Overview.Last.At, v.Overview.Next = *v.Jobs[1].Ended, time.Time{}
		}))},
		{"jobs-quiet", Full, "a working week, and nothing to do", templates.JobsPage(newJobsPage(func(v *templates.Jobs) {
			v.Jobs, v.Pager = newWorkJobs()[1:], templates.Pager{First: 1, Last: 19, Total: 19}
		}))},
		{"jobs-paused", Broken, "jobs that wait for paused tasks", templates.JobsPage(newJobsPage(func(v *templates.Jobs) {
			v.Jobs, v.Paused = newJobs()[4:], []string{"Download", "Upload"}
		}))},
		{"jobs-range", Broken, "the window of a time range that ends before it begins", templates.JobsPage(newJobsPage(func(v *templates.Jobs) {
			v.Jobs = newJobs()
			v.Ask = &templates.Question{Title: "Run Range", Text: []string{"Reads what was modified between the two times. It moves no marks and retires nothing."}, Action: "jobs", Back: "jobs", Button: "Run Range",
				Inputs: []templates.Input{{ID: "from", Name: "from", Label: "Modified from, UTC", Value: "2026-11-24T12:00:00"}, {ID: "to", Name: "to", Label: "to, UTC", Value: "2026-11-23T12:00:00"}},
				Fault:  "The range ends before it begins.", Fields: []templates.Field{{Name: "action", Value: "run"}, {Name: "mode", Value: "range"}}}
		}))},
		{"failure-not-found", Broken, "a page that there is not", templates.Failure(newFrame("Error", "jobs"), 404, "There is no such page. JOBS lists all jobs.")},
		{"failure", Broken, "a page that answers with an error", templates.Failure(newFrame("Error", "jobs"), 409, "The job has moved on and does not allow this any more. Reload to see its status.")},
	}
}

func newStatuses(chosen ...string) []templates.Choice {
	all := []templates.Choice{{Value: "Pending", Label: "Pending"}, {Value: "Failed", Label: "Failed"}}
	for i := range all {
		for _, name := range chosen {
			all[i].Chosen = all[i].Chosen || all[i].Value == name
		}
	}
	return all
}

// jobs has one in each state that offers something else.
func newJobs() []templates.Job {
	started, ended := noon, noon.Add(time.Hour)
	id := func(first string) string { return first + jobID[8:] }
	return []templates.Job{
		{RequestID: jobID, Type: "Scheduled", Mode: "Full", Status: "Upload In Progress", Started: &started, Downloaded: 12345, Uploaded: 700, CanCancel: true},
		{RequestID: id("11111111"), Type: "Ad-Hoc", Mode: "Delta", Status: "Upload Complete", Started: &started, Ended: &ended, Downloaded: 10, Uploaded: 7, Retired: 1, Errors: 2, Duration: time.Hour, Flawed: true, Parts: []templates.Part{{Kind: "sent", Label: "uploaded", Count: 7}, {Kind: "invalid", Label: "invalid", Count: 2}}},
		{RequestID: id("22222222"), Type: "Ad-Hoc", Mode: "Delta", Status: "Failed", Message: "Check <Client Secret>.", Started: &started, Ended: &ended, CanRetry: true},
		{RequestID: id("33333333"), Type: "Scheduled", Mode: "Reconcile", Status: "Confirmation Required", Started: &started, Ended: &ended, Held: 1200, NeedsAnswer: true},
		{RequestID: id("44444444"), Type: "Scheduled", Mode: "Delta", Status: "Pending", RetryAfter: &ended, CanCancel: true},
	}
}

func newProgress() *templates.Progress {
	return &templates.Progress{RequestID: jobID, Title: "Full update", Started: noon, Ago: 3 * time.Minute, Rate: 166.6, Wait: "Sentinel's limit reached. Next request in 23 s.", Remaining: 65 * time.Minute,
		AtLeast: true, Stages: []templates.StageBar{{Label: "Download", Text: "12,345 of 12,345 indicators · 100 %", Percent: 100}, {Label: "Convert", Text: "15,000 objects made · 90 %", Percent: 90}, {Label: "Upload", Text: "700 objects", Percent: -1}}}
}

func newFacts() []templates.Fact {
	return []templates.Fact{{Label: "Job Type", Value: "Ad-Hoc"}, {Label: "Date Queued", Time: &noon}, {Label: "Count Uploaded", Value: "7"}}
}

func newStages() []templates.JobStage {
	ended := noon.Add(time.Minute)
	return []templates.JobStage{{Label: "Waiting", Started: noon, Ended: &ended, Runtime: time.Minute, From: 0, To: 40}, {Label: "Download", Started: ended, Ended: nil, Runtime: 90 * time.Second, From: 40, To: 100}}
}

func newDetails() []templates.Detail {
	return []templates.Detail{{Query: "1: rating >= 3", Type: "Host", Downloaded: 13, BelowFloor: 3, Invalid: 1, Duplicate: 1, Queued: 8, Uploaded: 7, Rejected: 1, Retired: 1}}
}

func askCancel() *templates.Question {
	return &templates.Question{Title: "Cancel Job", Text: []string{"The job ends as Cancelled."}, Action: "jobs", Back: "jobs?id=" + jobID, Button: "Cancel Job", Danger: true,
		Fields: []templates.Field{{Name: "action", Value: "cancel"}, {Name: "id", Value: jobID}}}
}

// heldObjectsView is what a job asks about, with a part of it chosen.
func newHeld() *templates.Held {
	return &templates.Held{RequestID: jobID, Objects: 1200, Back: 1, Text: `"x"`, Fields: []templates.Field{{Name: "id", Value: jobID}, {Name: "type", Value: "Host"}}, Filtered: true, Clear: "jobs?id=" + jobID,
		Pager: templates.Pager{First: 101, Last: 102, Total: 1000, Newer: "jobs?id=" + jobID, Older: "jobs?offset=200&id=" + jobID}, CSV: []string{"../a.csv", "../b.csv"},
		Tallies: []templates.HeldTally{{ID: "held-causes", Label: "cause and query", Rest: 7, Rows: []templates.HeldCount{
			{Value: "The query was deleted", Note: "deleted: rating > 3", Objects: 1182, Chosen: true, Link: "jobs?type=Host"},
			{Value: "Deleted or inactive in ThreatConnect", Note: "1: summary like '<%>'", Objects: 11, Link: "jobs?cause=x"}}},
			{ID: "held-owners", Label: "owner", Rows: []templates.HeldCount{{Value: "O'Brien & <Sons>", Objects: 1200, Link: "jobs?owner=x"}}},
			{ID: "held-types", Label: "type", Rows: []templates.HeldCount{{Value: "Host", Objects: 1200, Link: "jobs?type=Host"}}}},
		Lines: []templates.HeldLine{{Value: "<b>bad.example", Owner: "O'Brien & <Sons>", Type: "Host", Query: "deleted: rating > 3", Cause: "The query was deleted", LookUp: "indicator?value=x", Sent: noon, ValidUntil: noon.Add(time.Hour)},
			{Value: "[x:y = 'z']", Type: "Host", Query: "not known", Cause: "No query is known to have given it", LookUp: "indicator?value=y"}}}
}
