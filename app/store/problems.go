package store

import (
	"context"
	"database/sql"
	"errors"
	"fmt"
	"time"

	"mssentinel/app/job"
)

type problemRow struct {
	ID        int64          `db:"id"`
	RequestID sql.NullString `db:"request_id"`
	At        int64          `db:"at"`
	Step      job.Step       `db:"step"`
	Code      job.Code       `db:"code"`
	Indicator sql.NullInt64  `db:"indicator"`
	Type      string         `db:"type"`
	Value     string         `db:"value"`
	Owner     string         `db:"owner"`
	Message   string         `db:"message"`
	Raw       string         `db:"raw"`
	Note      bool           `db:"note"`
}

const (
	problemTables = ` FROM problem JOIN problem_raw ON problem_raw.id = problem.id LEFT JOIN job ON job.number = problem.job`
	selectProblem = `SELECT problem.id, job.request_id, problem.at, problem.step, problem.code, problem.indicator, problem.type,
		problem.value, problem.owner, problem.message, problem_raw.raw, problem.note` + problemTables
)

func (r problemRow) toProblem() job.Problem {
	return job.Problem{ID: r.ID, RequestID: r.RequestID.String, DateAdded: fromMillis(r.At), Step: r.Step, Code: r.Code,
		Subject: job.Subject{Indicator: r.Indicator.Int64, Type: r.Type, Value: r.Value, Owner: r.Owner},
		Message: r.Message, Raw: r.Raw, Note: r.Note}
}

// MaxCounted bounds what [Store.CountErrors] counts, for every page.
const MaxCounted = 10_000

// countErrors has the unary plus so that the lines of other days are not looked at.
const countErrors = `SELECT count(*) FROM (SELECT 1 FROM problem WHERE at >= ? AND +note = 0 LIMIT ?)`

// CountErrors is how many lines of REPORT were added since an instant, notes left out: at most [MaxCounted].
func (s *Store) CountErrors(ctx context.Context, since time.Time) (n int64, err error) {
	if err := s.read.GetContext(ctx, &n, countErrors, toMillis(since), MaxCounted); err != nil {
		return 0, fmt.Errorf("counting the errors: %w", err)
	}
	return n, nil
}

// Severity tells errors from notes.
type Severity string

// The severities; "" is both.
const (
	Errors Severity = "errors"
	Notes  Severity = "notes"
)

// ProblemFilter selects lines of REPORT, newest first. Zero members select everything.
type ProblemFilter struct {
	// RequestID is part of a request ID.
	RequestID string
	Step      job.Step
	// Code, Type and Owner are compared without regard to case.
	Code        job.Code
	Type, Owner string
	Severity    Severity
	// Since and Before bound when a line was added: Since included, Before not.
	Since, Before time.Time
	// Indicators are ThreatConnect's ids of those that it is about.
	Indicators []int64
	// Text is part of the message or the value. The raw objects are not searched: they are some hundred times as long.
	Text string
	// Newest is the number of the newest line to be looked at; 0 means all. Pages of a list that grows fit together by it.
	Newest int64
	Offset int
	// Total is how many lines it selects, where that is known: what stands near the end is then looked for from there. 0: not known.
	Total int64
	// Limit is 1 to 500; 0 means 50.
	Limit int
}

// conditions are those of the statement that carries the filter out.
func (f *ProblemFilter) conditions() (w where) {
	if f.RequestID != "" {
		w.addCondition(`problem.job IN (SELECT number FROM job WHERE request_id LIKE ? ESCAPE '\')`, likePart(f.RequestID))
	}
	w.addEqual("problem.step", string(f.Step))
	w.addEqual("problem.code", string(f.Code))
	w.addEqual("problem.type", f.Type)
	w.addEqual("problem.owner", f.Owner)
	if f.Severity != "" {
		w.addCondition("problem.note = ?", f.Severity == Notes)
	}
	// The unary plus keeps SQLite off the index by time: it would read and sort every line of a long time, where the newest are soon
	// found in their order, and counted in the index by kind.
	if !f.Since.IsZero() {
		w.addCondition("+problem.at >= ?", toMillis(f.Since))
	}
	if !f.Before.IsZero() {
		w.addCondition("+problem.at < ?", toMillis(f.Before))
	}
	if len(f.Indicators) > 0 {
		w.addCondition(`problem.indicator IN (SELECT value FROM json_each(?))`, jsonList(f.Indicators))
	}
	if f.Newest != 0 {
		w.addCondition("problem.id <= ?", f.Newest)
	}
	if f.Text != "" {
		part := likePart(f.Text)
		w.addCondition(`problem.message LIKE ? ESCAPE '\' OR problem.value LIKE ? ESCAPE '\'`, part, part)
	}
	return w
}

// Problems are the lines of REPORT that f selects, newest first, and how many there are in all.
func (s *Store) Problems(ctx context.Context, f ProblemFilter) (problems []job.Problem, total int64, err error) {
	var rows []problemRow
	if total, err = s.readPage(ctx, &rows, selectProblem, `SELECT count(*) FROM problem`, f.conditions(), "problem.id", f.Offset, f.Limit); err != nil {
		return nil, 0, fmt.Errorf("reading the errors: %w", err)
	}
	problems = make([]job.Problem, len(rows))
	for i, r := range rows {
		problems[i] = r.toProblem()
	}
	return problems, total, nil
}

// listProblems first finds which lines are to be read, from the end of the list that is nearer, so that of those that are skipped the
// objects concerned are not. total is how many lines there are, 0 where that is not known.
func listProblems(w where, offset, limit int, total int64) string {
	offset, direction := max(offset, 0), "DESC"
	if behind := int(total) - offset - limit; total > 0 && behind < offset {
		limit, offset, direction = max(limit+min(behind, 0), 0), max(behind, 0), "ASC"
	}
	return selectProblem + ` WHERE problem.id IN (SELECT problem.id FROM problem` + w.String() +
		fmt.Sprintf(` ORDER BY problem.id %s LIMIT %d OFFSET %d) ORDER BY problem.id DESC`, direction, limit, offset)
}

// EachProblem gives the lines of REPORT that f selects, newest first, one by one, at most limit of them from f.Offset on. It ends
// with the first error of handle, which it returns as it is.
func (s *Store) EachProblem(ctx context.Context, f ProblemFilter, limit int, handle func(job.Problem) error) error {
	w := f.conditions()
	rows, err := s.read.QueryxContext(ctx, listProblems(w, f.Offset, limit, f.Total), w.args...)
	if err != nil {
		return fmt.Errorf("reading the errors: %w", err)
	}
	defer rows.Close()
	for rows.Next() {
		var row problemRow
		if err := rows.StructScan(&row); err != nil {
			return fmt.Errorf("reading the errors: %w", err)
		}
		if err := handle(row.toProblem()); err != nil {
			return err
		}
	}
	return rows.Err()
}

// Problem is one line of REPORT; [ErrNotFound] where there is none of this number.
func (s *Store) Problem(ctx context.Context, id int64) (job.Problem, error) {
	var row problemRow
	err := s.read.GetContext(ctx, &row, selectProblem+` WHERE problem.id = ?`, id)
	switch {
	case errors.Is(err, sql.ErrNoRows):
		return job.Problem{}, fmt.Errorf("error line %d: %w", id, ErrNotFound)
	case err != nil:
		return job.Problem{}, fmt.Errorf("reading error line %d: %w", id, err)
	}
	return row.toProblem(), nil
}

// AddProblems puts lines on REPORT for a job, 0 for none. A line without a date gets the present one.
func (s *Store) AddProblems(ctx context.Context, number int64, problems []job.Problem) error {
	return s.inTransaction(ctx, func(ctx context.Context, tx *transaction) error {
		var rows []newLine
		for _, p := range problems {
			if p.DateAdded.IsZero() {
				p.DateAdded = time.Now()
			}
			rows = appendProblem(rows, number, 0, p)
		}
		return addProblems(ctx, tx, rows)
	})
}

var (
	insertProblems = newBulk(13, `INSERT INTO problem (id, job, query, indicator, type, value, owner, at, step, code, message, note, retry) VALUES `, ``)
	insertRaws     = newBulk(2, `INSERT INTO problem_raw (id, raw) VALUES `, ``)
)

// newLine is a line of REPORT that is not written yet.
type newLine struct {
	job, query int64
	job.Problem
}

// appendProblem appends a line; number and query are 0 for none. What a query gave is about an indicator, even one without an id.
func appendProblem(lines []newLine, number, query int64, p job.Problem) []newLine {
	return append(lines, newLine{number, query, p.Bounded()})
}

// values are those of insertProblems.
func (l *newLine) values(id int64) []any {
	indicator := nullNumber(l.Indicator)
	if l.query != 0 {
		indicator = l.Indicator
	}
	return []any{id, nullNumber(l.job), nullNumber(l.query), indicator, l.Type, l.Value, l.Owner, toMillis(l.DateAdded), string(l.Step),
		string(l.Code), l.Message, l.Note, l.retry()}
}

// retry is the column of that name.
func (l *newLine) retry() int64 {
	switch {
	case l.Note:
		return 0
	case l.Step == job.StepUpload && l.Raw != "":
		return -1
	case l.Indicator > 0:
		return l.query
	}
	return 0
}

// nullNumber is NULL for 0.
func nullNumber(n int64) any { return nullValue(sql.NullInt64{Int64: n, Valid: n != 0}) }

// addProblems writes lines under the numbers that follow the last one.
func addProblems(ctx context.Context, tx *transaction, lines []newLine) error {
	if len(lines) == 0 {
		return nil
	}
	var last int64
	err := tx.GetContext(ctx, &last, `SELECT coalesce((SELECT seq FROM sqlite_sequence WHERE name = 'problem'), 0)`)
	if err != nil {
		return fmt.Errorf("numbering what was not sent: %w", err)
	}
	rows, raws := make([]any, 0, insertProblems.columns*len(lines)), make([]any, 0, insertRaws.columns*len(lines))
	for i := range lines {
		last++
		rows, raws = append(rows, lines[i].values(last)...), append(raws, last, lines[i].Raw)
	}
	if err := errors.Join(insertProblems.execRows(ctx, tx, rows), insertRaws.execRows(ctx, tx, raws)); err != nil {
		return fmt.Errorf("keeping what was not sent: %w", err)
	}
	return nil
}
