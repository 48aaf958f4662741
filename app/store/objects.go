package store

import (
	"context"
	"database/sql"
	"fmt"

	"mssentinel/app/ledger"
)

// decisionColumns are the columns of an object that the decisions about a batch depend on, in the order of scanDecided: every one
// costs, since most objects of an update are read.
const decisionColumns = `object.number, object.type, object.pattern, object.query, object.indicator, object.elected, object.left_in,
	object.modified, object.hash, object.job, object.queued, object.state, object.created`

func scanDecided(rows *sql.Rows) (*ledger.Object, error) {
	o := new(ledger.Object)
	var hash, created sql.NullInt64
	err := rows.Scan(&o.Number, &o.Type, &o.Pattern, &o.Winner.Query, &o.Winner.Indicator, &o.Elected, &o.Left, &o.Modified,
		&hash, &o.Job, &o.Queued, &o.State, &created)
	o.Hash, o.Resend, o.Created = hash.Int64, !hash.Valid, created.Int64
	return o, err
}

// objectColumns are all columns of an object but its pattern, in the order of scanObject.
var objectColumns = `object.number, object.key, object.type, object.query, object.indicator, object.elected, object.left_in, object.modified,
	object.hash, object.job, object.queued, object.settled, object.state, ` + objectName + `, coalesce(object.created, 0),
	coalesce(object.valid_until, 0)`

// scanObject reads an object, and the values of further columns into more.
func scanObject(rows *sql.Rows, more ...any) (*ledger.Object, error) {
	o := new(ledger.Object)
	var hash sql.NullInt64
	err := rows.Scan(append([]any{&o.Number, &o.Key, &o.Type, &o.Winner.Query, &o.Winner.Indicator, &o.Elected, &o.Left, &o.Modified, &hash,
		&o.Job, &o.Queued, &o.Settled, &o.State, &o.Name, &o.Created, &o.ValidUntil}, more...)...)
	o.Hash, o.Resend = hash.Int64, !hash.Valid
	return o, err
}

// readObjects reads objects by number.
func readObjects(ctx context.Context, tx *transaction, numbers []int64) (map[int64]*ledger.Object, error) {
	rows, err := tx.QueryContext(ctx, `SELECT `+objectColumns+` FROM object WHERE number IN (SELECT value FROM json_each(?))`, jsonList(numbers))
	if err != nil {
		return nil, fmt.Errorf("reading the ledger: %w", err)
	}
	defer rows.Close()
	objects := make(map[int64]*ledger.Object, len(numbers))
	for rows.Next() {
		o, err := scanObject(rows)
		if err != nil {
			return nil, fmt.Errorf("reading the ledger: %w", err)
		}
		objects[o.Number] = o
	}
	return objects, rows.Err()
}

// hashValue is NULL for an object that is to be sent whatever its hash is.
func hashValue(o *ledger.Object) any {
	if o.Resend {
		return nil
	}
	return o.Hash
}

var (
	insertObjects = newBulk(13, `INSERT INTO object (number, key, destination, type, pattern, query, indicator, elected, left_in, modified,
		hash, job, queued) VALUES `, ``)
	// updateDecisions writes what a batch may change.
	updateDecisions = newSingle(10, `UPDATE object SET type = ?2, query = ?3, indicator = ?4, elected = ?5, left_in = ?6, modified = ?7,
		hash = ?8, job = ?9, queued = ?10 WHERE number = ?1`)
	// updateObjects writes what the transitions of an object that loses its winner or its row may change.
	updateObjects = newSingle(10, `UPDATE object SET query = ?2, indicator = ?3, left_in = ?4, hash = ?5, queued = ?6, state = ?7, value = ?8, owner = NULL,
		created = ?9, valid_until = ?10 WHERE number = ?1`)
)

func writeObjects(ctx context.Context, tx *transaction, objects []*ledger.Object) error {
	values := make([]any, 0, updateObjects.columns*len(objects))
	for _, o := range objects {
		values = append(values, o.Number, o.Winner.Query, o.Winner.Indicator, o.Left, hashValue(o), o.Queued, int64(o.State))
		if o.State == ledger.Nothing {
			values = append(values, nil, nil, nil)
		} else {
			values = append(values, o.Name, o.Created, o.ValidUntil)
		}
	}
	if err := updateObjects.execRows(ctx, tx, values); err != nil {
		return fmt.Errorf("writing the ledger: %w", err)
	}
	return nil
}
