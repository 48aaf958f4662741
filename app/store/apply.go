package store

import (
	"bytes"
	"context"
	"fmt"
	"maps"
	"slices"

	"mssentinel/app/job"
	"mssentinel/app/ledger"
	"mssentinel/app/stix"
)

// Applied is what became of a batch.
type Applied struct {
	// Counts are those that were added to the job.
	Counts job.Counts
	// Unknown are the places in the batch of known indicators that are to be mapped for all that. Where there are any, nothing was
	// written: the batch is to be applied again, with their objects.
	Unknown []int
}

// Apply takes a batch into the ledger, decides what is to be sent and queues it, and counts what it did: one transaction.
// A batch that is applied again in the same job changes nothing, and counts nothing again. The rules are in app/ledger.
func (s *Store) Apply(ctx context.Context, b ledger.Batch) (applied Applied, err error) {
	err = s.inTransaction(ctx, func(ctx context.Context, tx *transaction) error {
		a := &application{batch: &b, store: s, tx: tx}
		if err := a.loadRows(ctx); err != nil {
			return err
		}
		if err := a.takeIndicators(ctx); err != nil {
			return err
		}
		if applied.Unknown = a.set.Unknown(); len(applied.Unknown) > 0 {
			return nil // nothing was written yet
		}
		s.nextObject, s.nextSeq = a.set.NextObject, a.set.NextSeq
		if err := s.indexNewKeys(ctx, tx); err != nil {
			return err
		}
		if err := a.writeChanges(ctx); err != nil {
			return fmt.Errorf("writing the ledger: %w", err)
		}
		applied.Counts = a.set.Tally.Total(b.Job)
		return nil
	})
	return applied, err
}

// application is a batch on its way into the ledger: rows are read as sets, decided about in memory, and written as sets.
type application struct {
	batch       *ledger.Batch
	store       *Store
	tx          *transaction
	destination destination
	set         *ledger.WorkingSet
}

// loadRows reads the rows that the batch touches.
func (a *application) loadRows(ctx context.Context) (err error) {
	p := ledger.Present{NextObject: a.store.nextObject, NextSeq: a.store.nextSeq, Handed: a.store.handed}
	if p.Attempts, err = attemptsAt(ctx, a.tx, a.batch.Job); err != nil {
		return err
	}
	if p.Attempt, err = presentAttempt(ctx, a.tx, a.batch.Job); err != nil {
		return err
	}
	if a.destination, err = currentDestination(ctx, a.tx); err != nil {
		return err
	}
	p.Question = a.destination.Question
	if p.Ranks, err = queryRanks(ctx, a.tx); err != nil {
		return err
	}
	a.set = ledger.NewWorkingSet(a.batch, p)
	for _, step := range []func(context.Context) error{a.loadCandidates, a.loadObjects, a.loadUnderWay, a.loadRivals, a.loadReported} {
		if err := step(ctx); err != nil {
			return err
		}
	}
	return nil
}

// loadCandidates reads what the indicators of the batch gave before.
func (a *application) loadCandidates(ctx context.Context) error {
	indicators := make([]int64, 0, len(a.batch.Found))
	for i := range a.batch.Found {
		indicators = append(indicators, a.batch.Found[i].Indicator)
	}
	slices.Sort(indicators)
	return a.readCandidates(ctx, a.set.AddCandidate, `SELECT `+candidateColumns+` FROM json_each(?) AS wanted CROSS JOIN candidate
		WHERE query = ? AND indicator = wanted.value`, jsonList(slices.Compact(indicators)), a.batch.Query)
}

// loadObjects reads the objects that the indicators gave before, and those that were found. Most are found where they were before, and a
// number leads to an object faster than a key. One that only shares its key comes along, and nothing is decided about it.
func (a *application) loadObjects(ctx context.Context) error {
	if err := a.readObjects(ctx, selectDecided, a.set.Given()); err != nil {
		return err
	}
	var keys []int64
	for i := range a.batch.Found {
		objects := a.batch.Found[i].Objects
		for n := range objects {
			if !a.set.HasObject(objects[n].Pattern) {
				keys = append(keys, ledger.Key(objects[n].ID))
			}
		}
	}
	slices.Sort(keys)
	keys = slices.Compact(keys)
	if err := a.store.loadNewKeys(ctx, a.tx); err != nil {
		return err
	}
	if err := a.readObjects(ctx, selectDecidedByKey, keys); err != nil {
		return err
	}
	return a.readObjects(ctx, selectDecided, a.store.newObjects.find(keys))
}

// selectDecided selects objects of a destination, ?2, by a list of their numbers, ?1, and selectDecidedByKey those that are not new by their
// keys.
var (
	selectDecided = `SELECT ` + decisionColumns + ` FROM json_each(?1) AS wanted CROSS JOIN object
		WHERE object.number = wanted.value AND destination = ?2`
	selectDecidedByKey = selectIndexed(decisionColumns)
)

func (a *application) readObjects(ctx context.Context, statement string, values []int64) error {
	if len(values) == 0 {
		return nil
	}
	rows, err := a.tx.QueryContext(ctx, statement, jsonList(values), a.destination.Number)
	if err != nil {
		return fmt.Errorf("reading the ledger: %w", err)
	}
	defer rows.Close()
	for rows.Next() {
		o, err := scanDecided(rows)
		if err != nil {
			return fmt.Errorf("reading the ledger: %w", err)
		}
		a.set.AddObject(o)
	}
	return rows.Err()
}

// loadUnderWay reads with which created the objects went out that may stand without our knowing it.
func (a *application) loadUnderWay(ctx context.Context) error {
	unsettled := a.set.Unsettled()
	if len(unsettled) == 0 {
		return nil
	}
	rows, err := readUnderWay(ctx, a.tx, a.store.handed, unsettled)
	if err != nil {
		return fmt.Errorf("reading what is under way: %w", err)
	}
	maps.Copy(rows, a.store.unwritten.findUnderWay(a.store.handed, unsettled))
	for number, r := range rows {
		if !r.Retire {
			a.set.AddUnderWay(number, r.Created)
		}
	}
	return nil
}

// loadRivals reads all candidates for the objects that are contested.
func (a *application) loadRivals(ctx context.Context) error {
	contested := a.set.Contested()
	if len(contested) == 0 {
		return nil
	}
	return a.readCandidates(ctx, a.set.AddRival, `SELECT `+candidateColumns+` FROM json_each(?) AS wanted CROSS JOIN candidate
		WHERE object = wanted.value AND object <> 0`, jsonList(contested))
}

func (a *application) readCandidates(ctx context.Context, add func(*ledger.Candidate), query string, args ...any) error {
	rows, err := a.tx.QueryContext(ctx, query, args...)
	if err != nil {
		return fmt.Errorf("reading candidates: %w", err)
	}
	defer rows.Close()
	for rows.Next() {
		c := new(ledger.Candidate)
		if err := rows.Scan(&c.Query, &c.Indicator, &c.Object, &c.Owner, &c.Attempt, &c.Place, &c.Fingerprint); err != nil {
			return fmt.Errorf("reading candidates: %w", err)
		}
		add(c)
	}
	return rows.Err()
}

// loadReported reads what this job has put on REPORT about those indicators of the batch that have problems.
func (a *application) loadReported(ctx context.Context) error {
	var indicators []int64
	for i := range a.batch.Found {
		if len(a.batch.Found[i].Problems) > 0 {
			indicators = append(indicators, a.batch.Found[i].Indicator)
		}
	}
	if len(indicators) == 0 {
		return nil
	}
	rows, err := a.tx.QueryContext(ctx, `SELECT indicator, message, raw FROM problem JOIN problem_raw ON problem_raw.id = problem.id
		WHERE job = ? AND query = ? AND indicator IN (SELECT value FROM json_each(?))`, a.batch.Job, a.batch.Query, jsonList(indicators))
	if err != nil {
		return fmt.Errorf("reading what was reported before: %w", err)
	}
	defer rows.Close()
	for rows.Next() {
		var indicator int64
		var message, raw string
		if err := rows.Scan(&indicator, &message, &raw); err != nil {
			return fmt.Errorf("reading what was reported before: %w", err)
		}
		a.set.AddReported(indicator, message, raw)
	}
	return rows.Err()
}

// takeIndicators has the indicators taken in, in their order.
func (a *application) takeIndicators(ctx context.Context) error {
	for i := range a.batch.Found {
		f := &a.batch.Found[i]
		var owner, typ int64
		var err error
		if f.Indicator != 0 {
			if owner, err = a.store.names.ownerNumber(ctx, a.tx, f.Owner); err != nil {
				return err
			}
		}
		if len(f.Objects) > 0 || f.Known {
			if typ, err = a.store.names.typeNumber(ctx, a.tx, f.Type); err != nil {
				return err
			}
		}
		a.set.Take(i, owner, typ)
	}
	return nil
}

// writeChanges writes all that changed.
func (a *application) writeChanges(ctx context.Context) error {
	for _, step := range []func(context.Context) error{a.writeObjects, a.writeCandidates, a.dropSuperseded, a.writeQueue, a.writeProblems} {
		if err := step(ctx); err != nil {
			return err
		}
	}
	return writeTally(ctx, a.tx, a.set.Tally)
}

func (a *application) writeObjects(ctx context.Context) error {
	fresh, changed := a.set.NewObjects(), a.set.ChangedObjects()
	inserts := make([]any, 0, insertObjects.columns*len(fresh))
	for _, o := range fresh {
		inserts = append(inserts, o.Number, o.Key, a.destination.Number, o.Type, o.Pattern, o.Winner.Query, o.Winner.Indicator, o.Elected,
			o.Left, o.Modified, hashValue(o), o.Job, o.Queued)
	}
	if err := insertObjects.execRows(ctx, a.tx, inserts); err != nil {
		return err
	}
	for _, o := range fresh {
		a.store.newObjects.add(o.Key, o.Number)
	}
	updates := make([]any, 0, updateDecisions.columns*len(changed))
	for _, o := range changed {
		updates = append(updates, o.Number, o.Type, o.Winner.Query, o.Winner.Indicator, o.Elected, o.Left, o.Modified, hashValue(o), o.Job, o.Queued)
	}
	return updateDecisions.execRows(ctx, a.tx, updates)
}

func (a *application) writeCandidates(ctx context.Context) error {
	changed, gone := a.set.ChangedCandidates()
	deletes := make([]any, 0, deleteCandidates.columns*len(gone))
	for _, c := range gone {
		deletes = append(deletes, c.Query, c.Indicator, c.Object)
	}
	if err := deleteCandidates.execRows(ctx, a.tx, deletes); err != nil {
		return err
	}
	upserts := make([]any, 0, upsertCandidates.columns*len(changed))
	for _, c := range changed {
		upserts = append(upserts, c.Query, c.Indicator, c.Object, c.Owner, c.Attempt, c.Place, c.Fingerprint)
	}
	return upsertCandidates.execRows(ctx, a.tx, upserts)
}

// dropSuperseded drops the rows of earlier batches for whose objects this one queued newer ones.
func (a *application) dropSuperseded(ctx context.Context) error {
	rows, err := a.store.takeRows(ctx, a.tx, slices.Sorted(maps.Keys(a.set.Superseded)))
	if err != nil {
		return err
	}
	for i := range rows {
		r := &rows[i]
		typ, err := a.store.names.typeName(ctx, a.tx, r.typ)
		if err != nil {
			return err
		}
		by := ledger.Origin{Query: a.batch.Query, Indicator: a.set.Superseded[r.Seq]}
		ledger.CountSuperseded(a.set.Tally, r.job, r.Origin, typ, a.batch.Job, by)
	}
	return nil
}

// writeQueue queues what is to be sent.
func (a *application) writeQueue(ctx context.Context) error {
	queue := a.set.Queue()
	if len(queue) == 0 {
		return nil
	}
	rows := make([]*Outgoing, len(queue))
	for i := range queue {
		q := &queue[i]
		r := outboxRow{object: q.Object, job: a.batch.Job, typ: q.TypeNumber, sent: a.store.names.shortenName(q.Name, q.Pattern)}
		r.Seq, r.Created, r.ValidUntil = q.Seq, toMillis(q.Created), toMillis(q.ValidUntil)
		r.Query, r.Indicator = a.batch.Query, q.Indicator
		rows[i] = r.toOutgoing(a.destination.Source)
		a.store.packer.lines = q.AppendJSON(a.store.packer.lines[:0], stix.Envelope{Modified: a.batch.Now, ValidUntil: q.ValidUntil})
		rows[i].Payload = bytes.Clone(a.store.packer.lines)
	}
	return a.store.keepUnwritten(ctx, a.tx, a.destination.Number, rows)
}

func (a *application) writeProblems(ctx context.Context) error {
	var rows []newLine
	for _, p := range a.set.Problems() {
		rows = appendProblem(rows, a.batch.Job, a.batch.Query, p)
	}
	return addProblems(ctx, a.tx, rows)
}
