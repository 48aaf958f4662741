package store

import (
	"context"
	"database/sql"
	"errors"
	"fmt"
	"strings"
	"time"
	"unicode/utf8"
)

// Bounds of a line of REPORT, in bytes.
const (
	maxMessage = 4 << 10
	maxRaw     = 16 << 10
)

type problemRow struct {
	ID        int64          `db:"id"`
	RequestID sql.NullString `db:"request_id"`
	At        int64          `db:"at"`
	Step      string         `db:"step"`
	Code      string         `db:"code"`
	Message   string         `db:"message"`
	Raw       string         `db:"raw"`
	Note      bool           `db:"note"`
}

const (
	problemTables = ` FROM problem LEFT JOIN job ON job.number = problem.job`
	selectProblem = `SELECT problem.id, job.request_id, problem.at, problem.step, problem.code, problem.message, problem.raw, problem.note` + problemTables
)

func (r problemRow) problem() Problem {
	return Problem{ID: r.ID, RequestID: r.RequestID.String, DateAdded: fromMillis(r.At), Step: r.Step, Code: r.Code,
		Message: r.Message, Raw: r.Raw, Note: r.Note}
}

// Problems are the lines of REPORT that f selects, newest first, and how many there are in all.
func (s *Store) Problems(ctx context.Context, f ProblemFilter) (problems []Problem, total int64, err error) {
	var w where
	if f.RequestID != "" {
		w.add(`problem.job IN (SELECT number FROM job WHERE request_id LIKE ? ESCAPE '\')`, "%"+likeEscape.Replace(f.RequestID)+"%")
	}
	w.equal("problem.step", f.Step)
	w.equal("problem.code", f.Code)
	if f.Text != "" {
		text := "%" + likeEscape.Replace(f.Text) + "%"
		w.add(`problem.message LIKE ? ESCAPE '\' OR problem.raw LIKE ? ESCAPE '\'`, text, text)
	}
	var rows []problemRow
	if total, err = s.page(ctx, &rows, selectProblem, `SELECT count(*) FROM problem`, w, "problem.id", f.Offset, f.Limit); err != nil {
		return nil, 0, fmt.Errorf("reading the errors: %w", err)
	}
	problems = make([]Problem, len(rows))
	for i, r := range rows {
		problems[i] = r.problem()
	}
	return problems, total, nil
}

// Problem is one line of REPORT; [ErrNotFound] where there is none of this number.
func (s *Store) Problem(ctx context.Context, id int64) (Problem, error) {
	var row problemRow
	err := s.read.GetContext(ctx, &row, selectProblem+` WHERE problem.id = ?`, id)
	switch {
	case errors.Is(err, sql.ErrNoRows):
		return Problem{}, fmt.Errorf("error line %d: %w", id, ErrNotFound)
	case err != nil:
		return Problem{}, fmt.Errorf("reading error line %d: %w", id, err)
	}
	return row.problem(), nil
}

// AddProblems puts lines on REPORT for a job, 0 for none. A line without a date gets the present one.
func (s *Store) AddProblems(ctx context.Context, job int64, problems []Problem) error {
	return s.tx(ctx, func(ctx context.Context, tx *transaction) error {
		var rows []any
		for _, p := range problems {
			if p.DateAdded.IsZero() {
				p.DateAdded = time.Now()
			}
			rows = appendProblem(rows, job, nil, nil, p)
		}
		return addProblems(ctx, tx, rows)
	})
}

var insertProblems = newBulk(9, `INSERT INTO problem (job, query, indicator, at, step, code, message, raw, note) VALUES `, ``)

func appendProblem(rows []any, job int64, query, indicator any, p Problem) []any {
	return append(rows, value(sql.NullInt64{Int64: job, Valid: job != 0}), query, indicator, millis(p.DateAdded), p.Step, p.Code,
		bounded(p.Message, maxMessage), bounded(p.Raw, maxRaw), p.Note)
}

func addProblems(ctx context.Context, tx *transaction, rows []any) error {
	if err := insertProblems.exec(ctx, tx, rows); err != nil {
		return fmt.Errorf("keeping what was not sent: %w", err)
	}
	return nil
}

// bounded cuts s at a character, and makes it text that a page can show.
func bounded(s string, size int) string {
	if len(s) > size {
		cut := size - len("…")
		for cut > 0 && !utf8.RuneStart(s[cut]) {
			cut--
		}
		s = s[:cut] + "…"
	}
	return strings.ToValidUTF8(s, "\uFFFD")
}
