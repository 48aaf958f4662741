package store

import (
	"context"
	"fmt"
	"maps"
	"slices"

	"mssentinel/app/job"
	"mssentinel/app/stix"
)

// queued is a row on its way into the outbox.
type queued struct {
	seq, object, indicator int64
	typ, name              string
	typeNumber             int64
	created, validUntil    int64
	// Where its payload stands among those of the batch.
	from, to int
	dropped  bool
}

// enqueue queues an object. A row of it that waits and cannot have left yet is dropped: it would be sent for nothing.
func (a *application) enqueue(f *Found, e *FoundObject, o *object) {
	if o.Queued > a.store.handed && !a.unqueue(o) {
		a.superseded[o.Queued] = f.Indicator
	}
	from := len(a.payloads)
	a.payloads = e.AppendJSON(a.payloads, stix.Envelope{Modified: a.Now, ValidUntil: e.ValidUntil})
	q := queued{seq: a.store.nextSeq, object: o.Number, indicator: f.Indicator, typ: f.Type, typeNumber: o.Type, name: e.Name,
		created: millis(e.Created), validUntil: millis(e.ValidUntil), from: from, to: len(a.payloads)}
	a.store.nextSeq++
	a.queue = append(a.queue, q)
	a.tally.Of(a.Job, a.Query, f.Type).Queued++
	o.Job, o.Queued, o.changed = a.Job, q.seq, true
}

// unqueue takes back a row that this batch queued itself.
func (a *application) unqueue(o *object) bool {
	if len(a.queue) == 0 || o.Queued < a.queue[0].seq {
		return false
	}
	q := &a.queue[o.Queued-a.queue[0].seq]
	q.dropped = true
	a.tally.Of(a.Job, a.Query, q.typ).Queued--
	if q.indicator != o.Indicator {
		a.tally.Of(a.Job, a.Query, q.typ).Duplicate++
	}
	return true
}

// load reads the rows that the batch touches.
func (a *application) load(ctx context.Context) (err error) {
	a.tally, a.reported, a.superseded = job.Tally{}, map[int64]map[line]bool{}, map[int64]int64{}
	a.objects, a.numbers = map[string]*object{}, map[int64]*object{}
	a.claims, a.rivals = map[int64][]*claim{}, map[int64][]*claim{}
	if a.run, err = presentAttempt(ctx, a.tx, a.Job); err != nil {
		return err
	}
	if a.attempts, err = attemptsAt(ctx, a.tx, a.Job); err != nil {
		return err
	}
	if a.destination, err = currentDestination(ctx, a.tx); err != nil {
		return err
	}
	if a.ranks, err = queryRanks(ctx, a.tx); err != nil {
		return err
	}
	if err := a.loadClaims(ctx); err != nil {
		return err
	}
	if err := a.loadObjects(ctx); err != nil {
		return err
	}
	return a.loadRivals(ctx)
}

func (a *application) loadClaims(ctx context.Context) error {
	indicators := make([]int64, 0, len(a.Found))
	for i := range a.Found {
		indicators = append(indicators, a.Found[i].Indicator)
	}
	slices.Sort(indicators)
	indicators = slices.Compact(indicators)
	rows, err := a.tx.QueryContext(ctx, `SELECT indicator, object, owner, seen, place FROM json_each(?) AS wanted CROSS JOIN candidate
		WHERE query = ? AND indicator = wanted.value`, set(indicators), a.Query)
	if err != nil {
		return fmt.Errorf("reading candidates: %w", err)
	}
	defer rows.Close()
	for rows.Next() {
		c := &claim{query: a.Query, stored: true}
		if err := rows.Scan(&c.indicator, &c.object, &c.owner, &c.seen, &c.place); err != nil {
			return fmt.Errorf("reading candidates: %w", err)
		}
		a.claims[c.indicator] = append(a.claims[c.indicator], c)
	}
	return rows.Err()
}

// loadObjects reads the objects that were found, and those that their indicators gave before.
func (a *application) loadObjects(ctx context.Context) error {
	var keys []int64
	wanted := map[string]bool{}
	for i := range a.Found {
		for _, e := range a.Found[i].Objects {
			if !wanted[e.Pattern] {
				wanted[e.Pattern] = true
				keys = append(keys, key(e.ID))
			}
		}
	}
	slices.Sort(keys)
	keys = slices.Compact(keys)
	err := a.readObjects(ctx, "key", keys, func(o *object) bool { return wanted[o.Pattern] })
	if err != nil {
		return err
	}
	var before []int64
	for _, claims := range a.claims {
		for _, c := range claims {
			if c.object != 0 && a.numbers[c.object] == nil {
				before = append(before, c.object)
			}
		}
	}
	slices.Sort(before)
	return a.readObjects(ctx, "number", slices.Compact(before), func(*object) bool { return true })
}

func (a *application) readObjects(ctx context.Context, column string, values []int64, wanted func(*object) bool) error {
	if len(values) == 0 {
		return nil
	}
	rows, err := a.tx.QueryxContext(ctx, `SELECT `+objectColumns+` FROM json_each(?) AS wanted CROSS JOIN object
		WHERE object.`+column+` = wanted.value AND destination = ?`, set(values), a.destination.Number)
	if err != nil {
		return fmt.Errorf("reading the ledger: %w", err)
	}
	defer rows.Close()
	for rows.Next() {
		o := new(object)
		if err := o.scan(rows); err != nil {
			return fmt.Errorf("reading the ledger: %w", err)
		}
		if wanted(o) {
			a.objects[o.Pattern], a.numbers[o.Number] = o, o
		}
	}
	return rows.Err()
}

// loadRivals reads all claims on the objects for which the ledger may be asked who is best: in a delta update all that are
// known, else those that have no winner or may lose it.
func (a *application) loadRivals(ctx context.Context) error {
	var numbers []int64
	for n, o := range a.numbers {
		if _, sits := a.ranks[o.Query]; !a.complete() || !sits {
			numbers = append(numbers, n)
		}
	}
	for i := range a.Found {
		for _, c := range a.claims[a.Found[i].Indicator] {
			if c.object != 0 && !a.Found[i].Unconverted && !a.gives(&a.Found[i], c.object) {
				numbers = append(numbers, c.object)
			}
		}
	}
	for _, claims := range a.claims {
		for _, c := range claims {
			if c.object != 0 {
				a.rivals[c.object] = append(a.rivals[c.object], c)
			}
		}
	}
	if len(numbers) == 0 {
		return nil
	}
	slices.Sort(numbers)
	numbers = slices.Compact(numbers)
	rows, err := a.tx.QueryContext(ctx, `SELECT query, indicator, object, owner, seen, place FROM json_each(?) AS wanted CROSS JOIN candidate
		WHERE object = wanted.value AND object <> 0`, set(numbers))
	if err != nil {
		return fmt.Errorf("reading candidates: %w", err)
	}
	defer rows.Close()
	for rows.Next() {
		c := &claim{stored: true}
		if err := rows.Scan(&c.query, &c.indicator, &c.object, &c.owner, &c.seen, &c.place); err != nil {
			return fmt.Errorf("reading candidates: %w", err)
		}
		if c.query == a.Query && a.claims[c.indicator] != nil {
			continue // it is there already
		}
		a.rivals[c.object] = append(a.rivals[c.object], c)
	}
	return rows.Err()
}

// write writes all that changed.
func (a *application) write(ctx context.Context) error {
	for _, step := range []func(context.Context) error{a.writeObjects, a.writeClaims, a.dropSuperseded, a.writeQueue} {
		if err := step(ctx); err != nil {
			return fmt.Errorf("writing the ledger: %w", err)
		}
	}
	if err := addProblems(ctx, a.tx, a.problems); err != nil {
		return err
	}
	return writeTally(ctx, a.tx, a.tally)
}

var (
	insertObjects = newBulk(13, `INSERT INTO object (number, key, destination, type, pattern, query, indicator, elected, lost, modified,
		hash, job, queued) VALUES `, ``)
	updateObjects = newSingle(10, `UPDATE object SET type = ?2, query = ?3, indicator = ?4, elected = ?5,
		lost = ?6, modified = ?7, hash = ?8, job = ?9, queued = ?10 WHERE number = ?1`)
	upsertClaims = newBulk(6, `INSERT INTO candidate (query, indicator, object, owner, seen, place) VALUES `,
		` ON CONFLICT DO UPDATE SET owner = excluded.owner, seen = excluded.seen, place = excluded.place`)
	deleteClaims = newSingle(3, `DELETE FROM candidate WHERE query = ? AND indicator = ? AND object = ?`)
	insertQueue  = newBulk(12, `INSERT INTO outbox (seq, object, job, destination, retire, query, indicator, type, name, created, valid_until, payload) VALUES `, ``)
)

func (a *application) writeObjects(ctx context.Context) error {
	var inserts, updates []any
	for _, o := range a.fresh {
		inserts = append(inserts, o.Number, o.Key, a.destination.Number, o.Type, o.Pattern, o.Query, o.Indicator, o.Elected, o.Lost,
			o.Modified, value(o.Hash), o.Job, o.Queued)
	}
	if err := insertObjects.exec(ctx, a.tx, inserts); err != nil {
		return err
	}
	for _, n := range slices.Sorted(maps.Keys(a.numbers)) {
		if o := a.numbers[n]; o.changed && !o.fresh {
			updates = append(updates, o.Number, o.Type, o.Query, o.Indicator, o.Elected, o.Lost, o.Modified, value(o.Hash), o.Job, o.Queued)
		}
	}
	return updateObjects.exec(ctx, a.tx, updates)
}

func (a *application) writeClaims(ctx context.Context) error {
	var upserts, deletes []any
	slices.Sort(a.touched)
	for _, indicator := range slices.Compact(a.touched) {
		for _, c := range a.claims[indicator] {
			switch {
			case c.gone && c.stored:
				deletes = append(deletes, c.query, c.indicator, c.object)
			case !c.gone && c.changed:
				upserts = append(upserts, c.query, c.indicator, c.object, c.owner, c.seen, c.place)
			}
		}
	}
	if err := deleteClaims.exec(ctx, a.tx, deletes); err != nil {
		return err
	}
	return upsertClaims.exec(ctx, a.tx, upserts)
}

// dropSuperseded drops rows for whose objects this batch queued newer ones, and takes them out of the counts.
func (a *application) dropSuperseded(ctx context.Context) error {
	rows, err := a.store.drop(ctx, a.tx, slices.Sorted(maps.Keys(a.superseded)), a.tally)
	if err != nil {
		return err
	}
	for _, r := range rows {
		if r.job != a.Job || r.query == a.Query && r.indicator == a.superseded[r.seq] {
			continue
		}
		typ, err := a.store.names.typeName(ctx, a.tx, r.typ)
		if err != nil {
			return err
		}
		a.tally.Of(a.Job, r.query, typ).Duplicate++
	}
	return nil
}

func (a *application) writeQueue(ctx context.Context) error {
	values := make([]any, 0, 12*len(a.queue))
	for i := range a.queue {
		if q := &a.queue[i]; !q.dropped {
			values = append(values, q.seq, q.object, a.Job, a.destination.Number, false, a.Query, q.indicator, q.typeNumber, q.name, q.created, q.validUntil, a.payloads[q.from:q.to:q.to])
		}
	}
	return insertQueue.exec(ctx, a.tx, values)
}

// maxBuffer bounds what is kept of a batch's room, in bytes.
const maxBuffer = 4 << 20

func (s *Store) keepBuffer(b []byte) {
	if cap(b) <= maxBuffer {
		s.payloads = b
	}
}
