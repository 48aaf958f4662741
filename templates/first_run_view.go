package templates

// FirstRun is what leads from credentials that work to the first update that was complete.
type FirstRun struct {
	// Connections are what can be tested.
	Connections []ConnectionTest
	HasQueries  bool
	// Update is how the first update stands; nil before there is one. Why says what keeps it, "" where nothing is known.
	Update *StatusJob
	Why    string
}

// The states of a step.
const (
	stepDone    = "Done"
	stepToDo    = "To do"
	stepFailed  = "Failed"
	stepRunning = "Under way"
)

// NextStep is a sentence that says what to do next, and where.
type NextStep struct {
	Text string
	Link Link
}

// connectionState is how the first step stands: all have to work.
func (r FirstRun) connectionState() string {
	state := stepDone
	for _, c := range r.Connections {
		switch {
		case !c.Tested.IsZero() && !c.Works:
			return stepFailed
		case c.Tested.IsZero():
			state = stepToDo
		}
	}
	return state
}

func (r FirstRun) queryState() string {
	if r.HasQueries {
		return stepDone
	}
	return stepToDo
}

// updateState is how the last step stands. Once it is done there is nothing to show any more.
func (r FirstRun) updateState() string {
	switch {
	case r.Update == nil || r.Update.Status == "Cancelled":
		return stepToDo
	case r.Update.Status == "Failed" || r.Why != "":
		return stepFailed
	}
	return stepRunning
}

// NextStep is the first step that is not done. That nothing was tested does not matter any more once an update was begun.
func (r FirstRun) NextStep() NextStep {
	switch state := r.connectionState(); {
	case state == stepFailed && r.updateState() != stepRunning:
		return NextStep{"A connection does not work yet.", Link{"See what to do", "./#first-run"}}
	case state == stepToDo && r.Update == nil && !r.HasQueries:
		return NextStep{"The connections were not tested yet.", Link{"Test them first", "./#first-run"}}
	case !r.HasQueries:
		return NextStep{"There is no query yet.", Link{"Add your first query", "edit?window=add"}}
	}
	switch {
	case r.Update == nil:
		return NextStep{"The first update starts within half a minute.", Link{"See the steps that lead to it", "./#first-run"}}
	case r.Update.Status == "Cancelled":
		return NextStep{"The first update was cancelled.", Link{"Run it on JOBS", "jobs"}}
	case r.updateState() == stepFailed:
		return NextStep{"The first update failed.", Link{"See why", "jobs?id=" + r.Update.RequestID}}
	}
	return NextStep{"The first update is under way.", Link{"See how far it is", "jobs?id=" + r.Update.RequestID}}
}

// connectionVerdict says how a connection stands.
func connectionVerdict(c ConnectionTest) string {
	switch {
	case c.Tested.IsZero():
		return "not tested since the Service was started."
	case c.Works:
		return "it works, tested at " + Instant(c.Tested) + "."
	}
	return "it does not work yet, tested at " + Instant(c.Tested) + "."
}
