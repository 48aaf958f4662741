package store

import (
	"context"
	"strconv"
	"strings"
)

// A bulk statement writes many rows at once: compiling and stepping one statement a row would cost several times what
// the rows cost. It has two lengths, so that the connection's statement cache holds both.
type bulk struct {
	columns   int
	many, one string
}

const bulkRows = 32

// newBulk makes a statement of head, as many rows of columns as there are, and tail.
func newBulk(columns int, head, tail string) bulk {
	row := "(?" + strings.Repeat(",?", columns-1) + ")"
	return bulk{
		columns: columns,
		one:     head + row + tail,
		many:    head + row + strings.Repeat(","+row, bulkRows-1) + tail,
	}
}

// exec writes the rows whose values stand one after another in values.
func (b bulk) exec(ctx context.Context, tx *transaction, values []any) error {
	for size := bulkRows * b.columns; len(values) >= size; values = values[size:] {
		if err := exec(ctx, tx, b.many, values[:size]); err != nil {
			return err
		}
	}
	for ; len(values) > 0; values = values[b.columns:] {
		if err := exec(ctx, tx, b.one, values[:b.columns]); err != nil {
			return err
		}
	}
	return nil
}

// exec runs a statement as a query, for which the driver hands over all values at once; for an Exec it crosses into C once
// a value.
func exec(ctx context.Context, tx *transaction, text string, values []any) error {
	rows, err := tx.QueryContext(ctx, text, values...)
	if err != nil {
		return err
	}
	return rows.Close()
}

// set is a list of numbers as one parameter: … IN (SELECT value FROM json_each(?)).
func set(numbers []int64) string {
	b := make([]byte, 0, 12*len(numbers)+2)
	for i, n := range numbers {
		b = append(b, "[,"[min(i, 1)])
		b = strconv.AppendInt(b, n, 10)
	}
	if len(numbers) == 0 {
		b = append(b, '[')
	}
	return string(append(b, ']'))
}
