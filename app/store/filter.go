package store

import (
	"context"
	"fmt"
	"strings"

	"mssentinel/app/job"
)

// Bounds of a page of a list.
const (
	defaultLimit = 50
	maxLimit     = 500
)

// where collects the conditions of a filter.
type where struct {
	conditions []string
	args       []any
}

func (w *where) addCondition(condition string, args ...any) {
	w.conditions, w.args = append(w.conditions, condition), append(w.args, args...)
}

func (w *where) addEqual(column, value string) {
	if value != "" {
		w.addCondition(column+" = ?", value)
	}
}

// addContains compares as LIKE does: ASCII letters without regard to case.
func (w *where) addContains(column, part string) {
	if part != "" {
		w.addCondition(column+` LIKE ? ESCAPE '\'`, likePart(part))
	}
}

var likeEscape = strings.NewReplacer(`\`, `\\`, `%`, `\%`, `_`, `\_`)

func likePart(part string) string { return "%" + likeEscape.Replace(part) + "%" }

// lowerASCII gives what two texts have in common that the database takes for the same: ASCII letters without regard to case.
func lowerASCII(s string) string {
	return strings.Map(func(r rune) rune {
		if 'A' <= r && r <= 'Z' {
			r += 'a' - 'A'
		}
		return r
	}, s)
}

func (w *where) addAmong(column string, values []job.Status) {
	if len(values) == 0 {
		return
	}
	args := make([]any, len(values))
	for i, v := range values {
		args[i] = v
	}
	w.addCondition(column+" IN (?"+strings.Repeat(", ?", len(values)-1)+")", args...)
}

func (w *where) String() string {
	if len(w.conditions) == 0 {
		return ""
	}
	return " WHERE (" + strings.Join(w.conditions, ") AND (") + ")"
}

// readPage reads one page of a list, newest first, and the size of the whole, both of the same instant.
func (s *Store) readPage(ctx context.Context, dest any, list, count string, w where, order string, offset, limit int) (total int64, err error) {
	if limit <= 0 {
		limit = defaultLimit
	}
	tx, err := s.read.BeginTxx(ctx, nil)
	if err != nil {
		return 0, err
	}
	defer tx.Rollback() //nolint:errcheck // nothing was written
	if err := tx.GetContext(ctx, &total, count+w.String(), w.args...); err != nil {
		return 0, err
	}
	if int64(offset) >= total { // spares a second look at every line
		return total, nil
	}
	rest := fmt.Sprintf(" ORDER BY %s DESC LIMIT %d OFFSET %d", order, min(limit, maxLimit), max(offset, 0))
	return total, tx.SelectContext(ctx, dest, list+w.String()+rest, w.args...)
}
