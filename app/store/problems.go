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
	Message   string         `db:"message"`
	Raw       string         `db:"raw"`
	Note      bool           `db:"note"`
}

const (
	problemTables = ` FROM problem LEFT JOIN job ON job.number = problem.job`
	selectProblem = `SELECT problem.id, job.request_id, problem.at, problem.step, problem.code, problem.message, problem.raw, problem.note` + problemTables
)

func (r problemRow) toProblem() job.Problem {
	return job.Problem{ID: r.ID, RequestID: r.RequestID.String, DateAdded: fromMillis(r.At), Step: r.Step, Code: r.Code,
		Message: r.Message, Raw: r.Raw, Note: r.Note}
}

// ProblemFilter selects lines of REPORT, newest first.
type ProblemFilter struct {
	// RequestID is part of a request ID.
	RequestID string
	Step      job.Step
	Code      job.Code
	// Text is part of the message or the raw object.
	Text   string
	Offset int
	// Limit is 1 to 500; 0 means 50.
	Limit int
}

// Problems are the lines of REPORT that f selects, newest first, and how many there are in all.
func (s *Store) Problems(ctx context.Context, f ProblemFilter) (problems []job.Problem, total int64, err error) {
	var w where
	if f.RequestID != "" {
		w.addCondition(`problem.job IN (SELECT number FROM job WHERE request_id LIKE ? ESCAPE '\')`, likePart(f.RequestID))
	}
	w.addEqual("problem.step", string(f.Step))
	w.addEqual("problem.code", string(f.Code))
	if f.Text != "" {
		w.addCondition(`problem.message LIKE ? ESCAPE '\' OR problem.raw LIKE ? ESCAPE '\'`, likePart(f.Text), likePart(f.Text))
	}
	var rows []problemRow
	if total, err = s.readPage(ctx, &rows, selectProblem, `SELECT count(*) FROM problem`, w, "problem.id", f.Offset, f.Limit); err != nil {
		return nil, 0, fmt.Errorf("reading the errors: %w", err)
	}
	problems = make([]job.Problem, len(rows))
	for i, r := range rows {
		problems[i] = r.toProblem()
	}
	return problems, total, nil
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
		var rows []any
		for _, p := range problems {
			if p.DateAdded.IsZero() {
				p.DateAdded = time.Now()
			}
			rows = appendProblem(rows, number, nil, nil, p)
		}
		return addProblems(ctx, tx, rows)
	})
}

var insertProblems = newBulk(9, `INSERT INTO problem (job, query, indicator, at, step, code, message, raw, note) VALUES `, ``)

func appendProblem(rows []any, number int64, query, indicator any, p job.Problem) []any {
	p = p.Bounded()
	return append(rows, nullValue(sql.NullInt64{Int64: number, Valid: number != 0}), query, indicator, toMillis(p.DateAdded), string(p.Step), string(p.Code),
		p.Message, p.Raw, p.Note)
}

func addProblems(ctx context.Context, tx *transaction, rows []any) error {
	if err := insertProblems.execRows(ctx, tx, rows); err != nil {
		return fmt.Errorf("keeping what was not sent: %w", err)
	}
	return nil
}
