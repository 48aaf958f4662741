package store

import (
	"context"
	"database/sql/driver"
	"strconv"
	"strings"

	"github.com/mattn/go-sqlite3"
)

// A bulk statement writes many rows. It goes to the driver itself, as a query: so all values of a statement cross into C at
// once, and nothing is converted, checked and locked for every row. Values are those that the driver knows: int64, bool,
// string, []byte, nil.
type bulk struct {
	columns int
	// many takes bulkRows rows, one takes one; many is empty where rows have to go one by one.
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

// newSingle makes a statement that takes a row after the other. For an UPDATE that is faster than a set of rows, which
// SQLite copies into a table of its own first.
func newSingle(columns int, text string) bulk { return bulk{columns: columns, one: text} }

// execRows writes the rows whose values stand one after another in values.
func (b bulk) execRows(ctx context.Context, tx *transaction, values []any) error {
	if len(values) == 0 {
		return nil
	}
	return tx.Raw(func(c any) error {
		conn := c.(*sqlite3.SQLiteConn)
		named := make([]driver.NamedValue, min(len(values), bulkRows*b.columns))
		if size := bulkRows * b.columns; b.many != "" {
			for ; len(values) >= size; values = values[size:] {
				if err := execStatement(ctx, conn, b.many, named, values[:size]); err != nil {
					return err
				}
			}
		}
		for ; len(values) > 0; values = values[b.columns:] {
			if err := execStatement(ctx, conn, b.one, named, values[:b.columns]); err != nil {
				return err
			}
		}
		return nil
	})
}

// execStatement executes one statement; named is room for its values.
func execStatement(ctx context.Context, conn *sqlite3.SQLiteConn, text string, named []driver.NamedValue, values []any) error {
	for i, v := range values {
		named[i] = driver.NamedValue{Ordinal: i + 1, Value: v}
	}
	rows, err := conn.QueryContext(ctx, text, named[:len(values)])
	if err != nil {
		return err
	}
	return rows.Close()
}

// jsonList is a list of numbers as one parameter: … IN (SELECT value FROM json_each(?)).
func jsonList(numbers []int64) string {
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
