package stories

import (
	"time"

	"mssentinel/templates"
)

func tellVerify() []Story {
	return []Story{
		{"verify-none", Empty, "nothing was verified yet", templates.VerifyPage(templates.Verify{Frame: newFrame("Verify", "jobs"), Queries: newWorkspaceQueries()})},
		{"verify-beginning", Running, "a verification that begins", templates.VerifyPage(templates.Verify{Frame: newFrame("Verify", "jobs"), State: "running", Progress: &templates.Bar{Label: "Compared", Unit: "objects"}})},
		{"verify-running", Running, "a verification under way", templates.VerifyPage(templates.Verify{Frame: newFrame("Verify", "jobs"), State: "running", Progress: &templates.Bar{Label: "Compared", Unit: "objects", Value: 500, Max: 12345}, Facts: newFacts()[1:2], Queries: newWorkspaceQueries()})},
		{"verify-complete", Full, "nothing differs", templates.VerifyPage(newVerify(func(v *templates.Verify) { v.Differences, v.SendAgain, v.Retire = nil, 0, 0 }))},
		{"verify", Full, "a difference of each kind", templates.VerifyPage(newVerify(func(*templates.Verify) {}))},
		{"verify-unread", Full, "differences before the first full update", templates.VerifyPage(newVerify(func(v *templates.Verify) { v.Unread, v.SendAgain, v.Repairs = true, 0, nil }))},
		{"verify-refused", Broken, "a role is missing", templates.VerifyPage(templates.Verify{Frame: newFrame("Verify", "jobs"), State: "refused", Message: "Log Analytics does not let the application read the workspace: <no>. Give it the role Log Analytics Reader.", Queries: newWorkspaceQueries()})},
		{"verify-failed", Broken, "Log Analytics failed", templates.VerifyPage(templates.Verify{Frame: newFrame("Verify", "jobs"), State: "failed", Message: "Log Analytics is out of order.", Queries: newWorkspaceQueries()})},
		{"verify-cancelled", Broken, "cancelled", templates.VerifyPage(templates.Verify{Frame: newFrame("Verify", "jobs"), State: "cancelled", Message: "The verification was cancelled.", Queries: newWorkspaceQueries()})},
		{"verify-ask", Asking, "whether to retire what nobody gives", templates.VerifyPage(newVerify(func(v *templates.Verify) {
			v.Ask = &templates.Question{Title: "Retire", Text: []string{"Retire 2 objects in Microsoft Sentinel?"}, Action: "verify", Back: "verify#retire", Button: "Retire", Danger: true, Fields: []templates.Field{{Name: "action", Value: "retire"}}}
		}))},
	}
}

// verified has a difference of each kind of object.
func newVerify(change func(*templates.Verify)) templates.Verify {
	v := templates.Verify{Frame: newFrame("Verify", "jobs"), State: "complete", TooNew: "20 objects are too new to tell.", Facts: newFacts(), Queries: newWorkspaceQueries(), SendAgain: 1, Retire: 2,
		Types: []templates.VerifiedType{{Type: "Host (domain-name)", Recorded: 12345, Active: 12344, Expired: 7, Sent: noon, Newest: noon.Add(time.Minute)}, {Type: "File (file)", Active: 2}},
		Differences: []templates.Differences{
			{ID: "missing", Label: "Missing", Text: "Sent, and not in the workspace.", Count: 1234, Examples: []templates.Difference{
				{Value: "bad.example | O'Brien & <Sons>", ID: "indicator--" + jobID, Sent: noon, RecordedUntil: noon.Add(time.Hour)}}},
			{ID: "unexpected", Label: "Unexpected", Text: "In the workspace, and given by nobody.", Count: 3, Examples: []templates.Difference{
				{Value: "old.example", ID: "indicator--2" + jobID[1:], Standing: true, ValidUntil: noon.Add(time.Hour)},
				{Value: "[x:y = 'z']", ID: "indicator--3" + jobID[1:], Standing: true, Stranger: true}}},
			{ID: "expired", Label: "Expired", Text: "Nothing is left to show.", Count: 1}},
		Repairs: []templates.Repair{{At: noon, Text: "5 objects are sent again.", RequestID: jobID}, {At: noon, Text: "Nothing had to be retired."}}}
	change(&v)
	return v
}

func newWorkspaceQueries() []templates.WorkspaceQuery {
	return []templates.WorkspaceQuery{{Title: "Counts by type", Text: "ThreatIntelIndicators\n| where SourceSystem == 'ThreatConnect-<Demo>'"}}
}
