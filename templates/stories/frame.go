package stories

import (
	"time"

	"mssentinel/templates"
)

func tellStatus() []Story {
	return []Story{
		{"status", Full, "all is well", templates.StatusPage(newFrame("STATUS", "jobs"))},
		{"status-alerts", Broken, "much needs a person", templates.StatusPage(addAlerts(newFrame("STATUS", "jobs")))},
		{"status-unknown", Empty, "nothing is known", templates.StatusPage(dropOverview(newFrame("STATUS", "jobs")))},
	}
}

var (
	success = templates.Notice{Kind: "success", Text: "Saved. A delta update starts now; JOBS shows it."}
	faults  = templates.Notice{Kind: "error", Text: "The list cannot be saved yet:", Points: []string{"Query 1: TQL is empty: enter the query.", `Query 2: The owner "O'Brien & <Sons>" is not among those.`}}
)

func newFrame(title, section string) templates.Frame {
	return templates.Frame{Title: title, Section: section, Root: "../", Version: "1.0.0", Source: "ThreatConnect-Demo", Token: "the-token", OverviewSeen: "0123456789abcdef",
		Overview: &templates.Overview{Last: &templates.StatusJob{RequestID: jobID, Mode: "Full", Status: "Upload Complete", Link: "ui/jobs?id=" + jobID, At: noon, Flawed: false}, Next: noon.Add(6 * time.Hour), Live: "12,345", Errors: "12"}}
}

// pressing is a frame in which much needs a person.
func addAlerts(f templates.Frame) templates.Frame {
	f.Overview = &templates.Overview{Running: &templates.StatusJob{RequestID: jobID, Mode: "Delta", Status: "Upload In Progress", Link: "ui/jobs?id=" + jobID, At: noon, Flawed: false},
		Last: &templates.StatusJob{RequestID: jobID, Mode: "Full", Status: "Upload Complete", Link: "ui/jobs?id=" + jobID, At: noon, Flawed: true}, Errors: "10,000 or more",
		Alerts: []templates.Alert{{Kind: "failed", Section: "jobs", Link: "ui/jobs?id=" + jobID, Text: "The full update failed, and none made up for it since."},
			{Kind: "silent", Section: "jobs", Link: "ui/jobs", Text: "Sentinel at <h> cannot be reached."}, {Kind: "paused", Section: "tasks", Link: "ui/tasks", Text: "Upload is paused."}}}
	return f
}

// unknown is a frame without a strip.
func dropOverview(f templates.Frame) templates.Frame {
	f.Overview = nil
	return f
}

func addTrouble(f templates.Frame) templates.Frame {
	f.Trouble = "The database cannot be written: the disk is full. Free some space; it is tried again every 30 s."
	return f
}

func addNotice(f templates.Frame, n templates.Notice) templates.Frame {
	f.Notices = []templates.Notice{n}
	return f
}

func newPager(page string) templates.Pager {
	return templates.Pager{First: 21, Last: 40, Total: 1234, Newer: page, Older: page + "?offset=40"}
}

// newOptions is a list of which nothing is chosen.
func newOptions(names ...string) []templates.Choice {
	options := []templates.Choice{{Label: "All", Chosen: true}}
	for _, name := range names {
		options = append(options, newChoice(name, false))
	}
	return options
}

func newChoice(name string, chosen bool) templates.Choice {
	return templates.Choice{Value: name, Label: name, Chosen: chosen}
}
