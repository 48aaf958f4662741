package stories

import (
	"mssentinel/templates"
)

func tellFirstRun() []Story {
	tell := func(name string, state State, text string, queries []templates.Query, change func(*templates.FirstRun)) Story {
		r := templates.FirstRun{Connections: newSettings().Tests, HasQueries: len(queries) > 0}
		change(&r)
		return Story{name, state, text, templates.ConfigurePage(templates.Configure{Frame: newFrame("CONFIGURE", "configure"), Queries: countGiven(queries), FirstRun: &r})}
	}
	return []Story{
		tell("first-run", Empty, "nothing is tested, nothing saved", nil, func(*templates.FirstRun) {}),
		tell("first-run-broken", Broken, "a connection does not work", nil, func(r *templates.FirstRun) {
			passTests(r)
			r.Connections[1].Works, r.Connections[1].Found = false, []string{"The role is <missing>.", "Assign it."}
		}),
		tell("first-run-tested", Empty, "the connections work, no query is saved", nil, passTests),
		tell("first-run-saved", Full, "the first list is just saved", newQueries(), passTests),
		tell("first-run-running", Running, "the first update is under way", newQueries(), func(r *templates.FirstRun) {
			passTests(r)
			r.Update = &templates.StatusJob{RequestID: jobID, Mode: "Full", Status: "Upload In Progress"}
		}),
		tell("first-run-failed", Broken, "the first update failed", newQueries(), func(r *templates.FirstRun) {
			r.Update, r.Why = &templates.StatusJob{RequestID: jobID, Mode: "Full", Status: "Failed"}, "The role is <missing>: assign it."
		}),
	}
}

// passTests has all connections work.
func passTests(r *templates.FirstRun) {
	for i := range r.Connections {
		r.Connections[i].Works, r.Connections[i].Tested, r.Connections[i].Found = true, noon, []string{"It answers."}
	}
}
