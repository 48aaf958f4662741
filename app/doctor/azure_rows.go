package doctor

import (
	"context"
	"errors"
	"fmt"
	"strings"
	"time"

	"mssentinel/app/sentinel"
	"mssentinel/app/text"
)

// rowsArrive is after how long a row that is not there will not come any more, app/docs/sentinel.md#tables.
var rowsArrive = AzureRechecks[len(AzureRechecks)-1]

// rowsOf are the rows of this run's objects, by key, the newest first.
type rowsOf map[string][]sentinel.RawRow

// noRow is the evidence of a question whose rows did not come.
var noRow = fmt.Sprintf("no row within %d minutes", int(rowsArrive.Minutes()))

// rowQuestion is a question that rows answer.
type rowQuestion struct {
	id string
	// needs are the names of the objects that have to be taken and, without their version, the keys of those that need a row.
	needs []string
	judge func(r *azureRun, rows rowsOf) Answer
	// refused is the answer where Sentinel rejects one of the objects, and missing where there is no row in time; the
	// evidence is added.
	refused, missing Answer
	needsData        bool // from the column Data
}

// withoutData is the answer where the owner of the workspace has the column Data dropped.
var withoutData = Answer{Verdict: Failed, Evidence: "the rows have no Data: a rule of the workspace drops it",
	Effect: "Names, labels and descriptions are not in the workspace, and the workbook shows no owner."}

// awaitedRows is the evidence of a question whose rows may still come.
const awaitedRows = "the rows are looked for 2, 5 and 10 minutes after the run"

// countStanding asks how many objects of the App itself stand, which shows whether the application may read at all, and
// says so.
func (r *azureRun) countStanding(ctx context.Context) (mayRead bool) {
	limited, cancel := context.WithTimeout(ctx, queryBudget)
	defer cancel()
	counts, err := r.Client.CountStanding(limited, r.Source)
	var noRight *sentinel.NoReadRight
	switch {
	case errors.As(err, &noRight):
		r.rows = "rows not readable (no right)"
		r.answers.Set("azure.read-right", Answer{Verdict: No, Effect: noRight.Remedy,
			Evidence: text.Line(noRight.Message, 300) + " KQL to paste under Logs of the workspace: " + sentinel.ProbeRowsQuery(r.source)})
		r.answers.Set("azure.real-source", Answer{Verdict: NotTried,
			Evidence: "it may not be read. KQL to paste under Logs of the workspace: " + sentinel.CountsQuery(r.Source)})
		return false
	case err != nil:
		r.rows = "rows not read"
		r.answers.Set("azure.read-right", Answer{Verdict: Failed, Evidence: err.Error()})
		return false
	}
	r.noteReading()
	r.answers.Set("azure.real-source", r.compareCounts(limited, counts))
	return true
}

// noteReading notes that the workspace answers, also after it did not.
func (r *azureRun) noteReading() {
	r.reads, r.rows = true, "rows awaited"
	if r.sent.IsZero() {
		r.rows = ""
	}
	r.answers.Set("azure.read-right", Answer{Verdict: Yes, Evidence: "the workspace answers queries"})
}

// compareCounts compares what stands in the workspace with what the App takes for live.
func (r *azureRun) compareCounts(ctx context.Context, counts []sentinel.TypeCount) Answer {
	var active, expired int64
	var newest time.Time
	for _, c := range counts {
		active, expired = active+c.Active, expired+c.Expired
		if c.Newest.After(newest) {
			newest = c.Newest
		}
	}
	a := Answer{Verdict: Value, Evidence: fmt.Sprintf("%s has %d active objects and %d expired ones in the rows of 14 days", r.Source, active, expired)}
	if !newest.IsZero() {
		a.Evidence += ", the newest row of " + newest.UTC().Format("2006-01-02 15:04 MST")
	}
	if r.Live == nil {
		return a
	}
	live, err := r.Live(ctx)
	if err != nil {
		a.Evidence += "; what the App takes for live could not be read: " + err.Error()
		return a
	}
	a.Evidence += fmt.Sprintf("; the App takes %d for live", live)
	a.Verdict = Yes
	if difference := max(active-live, live-active); difference > 0 {
		a.Verdict, a.Differs = No, difference > max(live/100, 100)
		a.Effect = "Rows take minutes to arrive, and an update may be under way. What does not go away is shown by Verify on JOBS."
	}
	return a
}

// readBack looks for the rows of the probes, and answers what they answer so far.
func (r *azureRun) readBack(ctx context.Context) string {
	r.answers.Set(throttlingQuestion.ID, answerThrottling(r.Client.Limit()))
	isAsked := r.upload != "login refused" && r.upload != "no token"
	if !isAsked || !r.reads && !r.countStanding(ctx) || r.sent.IsZero() {
		return r.summary()
	}
	limited, cancel := context.WithTimeout(ctx, queryBudget)
	defer cancel()
	rows, err := r.findRows(limited)
	if err != nil {
		r.rows = "rows not read"
		r.answers.Set("azure.read-right", Answer{Verdict: Failed, Evidence: err.Error()})
		return r.summary()
	}
	r.noteReading()
	r.judgeRows(rows)
	switch {
	case len(rows) > 0:
		r.rows = ""
	case r.isLast():
		r.rows = "no rows"
	}
	return r.summary()
}

// isLast says that rows which are not there by now will not come.
func (r *azureRun) isLast() bool { return time.Since(r.sent) >= rowsArrive }

// findRows reads the rows of this run's objects.
func (r *azureRun) findRows(ctx context.Context) (rowsOf, error) {
	keys := map[string]string{}
	var ids []string
	for _, o := range r.trackedObjects() {
		keys[r.stixID(o)] = o.key
		ids = append(ids, r.stixID(o))
	}
	all, err := r.Client.RawRows(ctx, r.source, ids)
	if err != nil {
		return nil, err
	}
	found := rowsOf{}
	for _, row := range all {
		if r.isOfRun(row) {
			found[keys[row.ID]] = append(found[keys[row.ID]], row)
		}
	}
	return found, nil
}

// clockSkew is how far the clock of this machine may be ahead of Microsoft's.
const clockSkew = time.Minute

// isOfRun says that a row is of this run and not of an earlier one, which sent the same objects.
func (r *azureRun) isOfRun(row sentinel.RawRow) bool {
	return row.Ingested.After(r.began.Add(-clockSkew)) || r.wasModified(row, 0) || r.wasModified(row, earlierBefore) || r.wasModified(row, olderBefore)
}

// isVersion says that a row is of this version of its object: by its name or, where the workspace has Data dropped, by when
// it was modified.
func (r *azureRun) isVersion(row sentinel.RawRow, version string) bool {
	if row.Name != "" {
		_, of, _ := strings.Cut(strings.TrimPrefix(row.Name, namePrefix), " ")
		return of == version
	}
	return r.wasModified(row, map[string]time.Duration{versionEarlier: earlierBefore, versionOlder: olderBefore}[version])
}

// wasModified says that a row is of what was modified so long before the run; a column may leave out fractions of a second.
func (r *azureRun) wasModified(row sentinel.RawRow, before time.Duration) bool {
	return row.Modified.Sub(r.began.Add(-before)).Abs() < time.Second
}

// judgeRows answers what rows answer; nil means that they were not looked for.
func (r *azureRun) judgeRows(rows rowsOf) {
	for _, q := range rowQuestions {
		r.answers.Set(q.id, r.judgeQuestion(q, rows))
	}
}

// withEvidence is an answer that was made before; one without a verdict is none.
func withEvidence(a Answer, evidence string) Answer {
	a.Evidence = evidence
	if a.Verdict == "" {
		a.Verdict = Failed
	}
	return a
}

func (r *azureRun) judgeQuestion(q rowQuestion, rows rowsOf) Answer {
	complete := true
	for _, name := range q.needs {
		key, _, _ := strings.Cut(name, " ")
		if said, refused := r.rejected[name]; refused {
			return withEvidence(q.refused, "Sentinel rejects it: "+text.Line(said, 300))
		}
		if why, open := r.unclear[name]; open {
			return Answer{Verdict: Failed, Evidence: why}
		}
		if !r.taken[name] {
			return Answer{Verdict: NotTried, Evidence: r.open}
		}
		complete = complete && len(rows[key]) > 0
	}
	switch {
	case complete && q.needsData && rows[keyFirst] != nil && rows[keyFirst][0].Name == "":
		return withoutData
	case complete:
		return q.judge(r, rows)
	case rows != nil && r.isLast():
		return withEvidence(q.missing, noRow)
	case strings.Contains(r.rows, "not read"):
		return Answer{Verdict: NotTried, Evidence: "it takes rows, and they cannot be read, see azure.read-right"}
	}
	return Answer{Verdict: NotTried, Evidence: awaitedRows}
}
