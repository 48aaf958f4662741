package store

import (
	"context"
	"fmt"
)

// names knows the numbers under which owners and types stand in the ledger. It belongs to the writer, and is dropped
// when a transaction is rolled back, since that may have taken a number back.
type names struct {
	owners, types map[string]int64
	typeNames     map[int64]string
}

func (n *names) forgetAll() {
	n.owners, n.types, n.typeNames = map[string]int64{}, map[string]int64{}, map[int64]string{}
}

func (n *names) ownerNumber(ctx context.Context, tx *transaction, name string) (int64, error) {
	return numberOf(ctx, tx, "owner", n.owners, name)
}

func (n *names) typeNumber(ctx context.Context, tx *transaction, name string) (int64, error) {
	number, err := numberOf(ctx, tx, "type", n.types, name)
	if err == nil {
		n.typeNames[number] = name
	}
	return number, err
}

func numberOf(ctx context.Context, tx *transaction, table string, known map[string]int64, name string) (int64, error) {
	if number, ok := known[name]; ok {
		return number, nil
	}
	if _, err := tx.ExecContext(ctx, `INSERT INTO `+table+` (name) VALUES (?) ON CONFLICT DO NOTHING`, name); err != nil {
		return 0, fmt.Errorf("keeping %s %q: %w", table, name, err)
	}
	var number int64
	if err := tx.GetContext(ctx, &number, `SELECT number FROM `+table+` WHERE name = ?`, name); err != nil {
		return 0, fmt.Errorf("reading %s %q: %w", table, name, err)
	}
	known[name] = number
	return number, nil
}

// typeName is the name of a type that stands in the ledger.
func (n *names) typeName(ctx context.Context, tx *transaction, number int64) (string, error) {
	if name, ok := n.typeNames[number]; ok {
		return name, nil
	}
	var name string
	if err := tx.GetContext(ctx, &name, `SELECT name FROM type WHERE number = ?`, number); err != nil {
		return "", fmt.Errorf("reading type %d: %w", number, err)
	}
	n.typeNames[number] = name
	return name, nil
}
