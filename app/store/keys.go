package store

import (
	"context"
	"fmt"
	"iter"
	"maps"
	"slices"
)

// The keys of objects are random, so that a batch of new ones would touch a page of an index for each of them. The key of a new object
// stands in no index, therefore, until there are enough of them: then they go into the table object_key together, in their order. Until
// then the writer has them in memory, and whoever else asks for keys looks through the new objects.

// There are newKeys new objects, about, before their keys go into the table, and one for objectsPerNewKey objects in a large ledger: there
// each page of the table has a place for one of them or two.
const (
	newKeys          = 16_384
	objectsPerNewKey = 64
)

// indexChunk is how many keys go into the table at a time. To sort them is not left to SQLite: it takes megabytes that stay with the process.
const indexChunk = 1000

var insertKeys = newBulk(2, `INSERT INTO object_key (key, object) VALUES `, ``)

// isNew selects the objects whose keys are not in the table: they have the highest numbers.
const isNew = `object.number > coalesce((SELECT CAST(value AS INTEGER) FROM setting WHERE name = '` + settingIndexed + `'), 0)`

// selectIndexed selects columns of the objects of a destination, ?2, that have one of the keys in a list, ?1, as JSON, and are not new.
func selectIndexed(columns string) string {
	return `SELECT ` + columns + ` FROM json_each(?1) AS wanted CROSS JOIN object_key ON object_key.key = wanted.value
		CROSS JOIN object ON object.number = object_key.object WHERE object.destination = ?2`
}

// selectByKey is selectIndexed with the new objects.
func selectByKey(columns string) string {
	return selectIndexed(columns) + ` UNION ALL SELECT ` + columns + ` FROM object WHERE ` + isNew + `
		AND object.destination = ?2 AND object.key IN (SELECT value FROM json_each(?1))`
}

// keyedObjects are the numbers of the new objects by their keys. The zero value knows nothing of them.
type keyedObjects struct {
	// newest has the newest object of a key, and before the one of the same key before an object.
	newest, before map[int64]int64
}

func (k *keyedObjects) add(key, number int64) {
	if other, found := k.newest[key]; found {
		k.before[number] = other
	}
	k.newest[key] = number
}

// all are the new objects of these keys, each with its key.
func (k *keyedObjects) all(keys []int64) iter.Seq2[int64, int64] {
	return func(yield func(key, number int64) bool) {
		for _, key := range keys {
			for number, found := k.newest[key]; found; number, found = k.before[number] {
				if !yield(key, number) {
					return
				}
			}
		}
	}
}

func (k *keyedObjects) find(keys []int64) (numbers []int64) {
	for _, number := range k.all(keys) {
		numbers = append(numbers, number)
	}
	return numbers
}

// loadNewKeys reads the keys of the new objects, unless they are known.
func (s *Store) loadNewKeys(ctx context.Context, tx *transaction) error {
	if s.newObjects.newest != nil {
		return nil
	}
	rows, err := tx.QueryContext(ctx, `SELECT key, number FROM object WHERE `+isNew)
	if err != nil {
		return fmt.Errorf("reading the new objects: %w", err)
	}
	defer rows.Close()
	known := keyedObjects{newest: map[int64]int64{}, before: map[int64]int64{}}
	for rows.Next() {
		var key, number int64
		if err := rows.Scan(&key, &number); err != nil {
			return fmt.Errorf("reading the new objects: %w", err)
		}
		known.add(key, number)
	}
	if err := rows.Err(); err != nil {
		return fmt.Errorf("reading the new objects: %w", err)
	}
	s.newObjects = known
	return nil
}

// indexNewKeys puts the keys of the new objects into the table, once there are enough.
func (s *Store) indexNewKeys(ctx context.Context, tx *transaction) error {
	if int64(len(s.newObjects.newest)) < max(s.newKeys, s.nextObject/objectsPerNewKey) {
		return nil
	}
	for keys := range slices.Chunk(slices.Sorted(maps.Keys(s.newObjects.newest)), indexChunk) {
		values := make([]any, 0, insertKeys.columns*len(keys))
		for key, number := range s.newObjects.all(keys) {
			values = append(values, key, number)
		}
		if err := insertKeys.execRows(ctx, tx, values); err != nil {
			return fmt.Errorf("indexing the new objects: %w", err)
		}
	}
	var last int64
	if err := tx.GetContext(ctx, &last, `SELECT max(number) FROM object`); err != nil {
		return fmt.Errorf("indexing the new objects: %w", err)
	}
	if err := putSetting(ctx, tx, settingIndexed, fmt.Sprint(last)); err != nil {
		return err
	}
	clear(s.newObjects.newest)
	clear(s.newObjects.before)
	return nil
}
