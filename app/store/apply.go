package store

import (
	"context"
	"fmt"
	"slices"

	"mssentinel/app/job"
)

// later is added to the place of a candidate that a delta update finds: its place in the whole order is not known, and
// those whose place is known come first.
const later = 1 << 30

// Apply takes a batch into the ledger, decides what is to be sent and queues it, and counts what it did: one transaction.
// A batch that is applied again in the same job changes nothing, and counts nothing again.
//
// In a full or reconcile update queries are read in rank order, and the first copy of an object that is read wins it. In a
// delta update the ledger is asked who is best. The counts returned are those that were added to the job.
func (s *Store) Apply(ctx context.Context, b Batch) (job.Counts, error) {
	var added job.Counts
	err := s.inTransaction(ctx, func(ctx context.Context, tx *transaction) error {
		a := &application{Batch: b, store: s, tx: tx, payloads: s.payloads[:0]}
		defer func() { s.keepBuffer(a.payloads) }()
		if err := a.load(ctx); err != nil {
			return err
		}
		for i := range b.Found {
			if err := a.take(ctx, &b.Found[i], b.Place+int64(i)); err != nil {
				return err
			}
		}
		if err := a.write(ctx); err != nil {
			return err
		}
		added = a.tally.Total(b.Job)
		return nil
	})
	return added, err
}

// claim is a row of the table candidate.
type claim struct {
	query, indicator, object int64
	owner, seen, place       int64

	// stored: it has a row. changed: the row is to be written. gone: the indicator gives the object no more.
	stored, changed, gone bool
}

// application is a batch on its way into the ledger. Decisions are made in memory, on rows that were read as sets; then
// all that changed is written as sets.
type application struct {
	Batch
	store *Store
	tx    *transaction

	// run is the attempt at the job; a better or first copy is one of the same run, what was counted is of the same job.
	run         int64
	attempts    []int64
	destination destination
	ranks       map[int64]int64
	// objects by pattern and by number; claims of this query by indicator; all claims of those objects that need them.
	objects map[string]*object
	numbers map[int64]*object
	claims  map[int64][]*claim
	rivals  map[int64][]*claim
	// touched and fresh are the indicators and objects to be written, in order of arrival.
	touched []int64
	fresh   []*object

	queue    []queued
	payloads []byte
	// superseded are the rows of earlier batches that are sent no more, by number, and the indicator that gave the newer one.
	superseded map[int64]int64
	problems   []any
	// reported is what this job put on REPORT about an indicator, as far as it was asked for.
	reported map[int64]map[line]bool
	tally    job.Tally
}

// line is what makes a line on REPORT the same as another of the same indicator.
type line struct{ message, raw string }

// complete says that the run reads everything, and so decides anew who wins.
func (a *application) complete() bool { return a.Mode != job.Delta }

// take takes in one indicator.
func (a *application) take(ctx context.Context, f *Found, place int64) error {
	first := !a.seen(f.Indicator)
	if f.Indicator == 0 {
		// It has no identity: only its problems tell whether it was here before.
		return a.takeUnreadable(ctx, f)
	}
	count := a.tally.Of(a.Job, a.Query, f.Type)
	if first {
		count.Downloaded++
		if len(f.Objects) == 0 || slices.ContainsFunc(f.Problems, func(p job.Problem) bool { return !p.Note }) {
			count.Invalid++
		}
	}
	if _, err := a.report(ctx, f); err != nil {
		return err
	}
	owner, err := a.store.names.owner(ctx, a.tx, f.Owner)
	if err != nil {
		return err
	}
	if f.Unconverted {
		a.keep(f, owner, place)
		return nil
	}
	return a.takeObjects(ctx, f, owner, place)
}

func (a *application) takeUnreadable(ctx context.Context, f *Found) error {
	reported, err := a.report(ctx, f)
	if err == nil && reported > 0 {
		count := a.tally.Of(a.Job, a.Query, f.Type)
		count.Downloaded++
		count.Invalid++
	}
	return err
}

// seen says that this job has read the indicator from this query before.
func (a *application) seen(indicator int64) bool {
	return slices.ContainsFunc(a.claims[indicator], func(c *claim) bool { return a.isOwn(c.seen) })
}

// isOwn says that an attempt is one at this job.
func (a *application) isOwn(attempt int64) bool { return slices.Contains(a.attempts, attempt) }

// keep notes that an indicator was read, and leaves what it gave as it is.
func (a *application) keep(f *Found, owner, place int64) {
	known := false
	for _, c := range a.claims[f.Indicator] {
		if c.gone {
			continue
		}
		known = true
		a.stake(c.indicator, c.object, owner, place)
		// In a complete run it would else lose to the next copy.
		if o := a.numbers[c.object]; o != nil && o.Query == a.Query && o.Indicator == f.Indicator && o.Elected != a.run && a.complete() {
			o.Elected, o.changed = a.run, true
		}
	}
	if !known {
		a.stake(f.Indicator, 0, owner, place)
	}
}

func (a *application) takeObjects(ctx context.Context, f *Found, owner, place int64) error {
	a.withdraw(f)
	if len(f.Objects) == 0 {
		a.stake(f.Indicator, 0, owner, place)
		return nil
	}
	typ, err := a.store.names.typ(ctx, a.tx, f.Type)
	if err != nil {
		return err
	}
	for i := range f.Objects {
		if slices.ContainsFunc(f.Objects[:i], func(e FoundObject) bool { return e.Pattern == f.Objects[i].Pattern }) {
			continue
		}
		o := a.object(&f.Objects[i], typ)
		first := a.stake(f.Indicator, o.Number, owner, place)
		a.weigh(f, &f.Objects[i], o, typ, first)
	}
	return nil
}

// withdraw takes back what an indicator gave before and gives no more.
func (a *application) withdraw(f *Found) {
	for _, c := range a.claims[f.Indicator] {
		if c.gone || a.gives(f, c.object) {
			continue
		}
		c.gone = true
		a.touch(f.Indicator)
		if o := a.numbers[c.object]; o != nil && (o.Query == a.Query && o.Indicator == f.Indicator || o.Query == vacant) {
			a.vacate(o)
		}
	}
}

func (a *application) gives(f *Found, number int64) bool {
	if number == 0 {
		return len(f.Objects) == 0
	}
	o := a.numbers[number]
	return o != nil && slices.ContainsFunc(f.Objects, func(e FoundObject) bool { return e.Pattern == o.Pattern })
}

// vacate takes the winner away: another will be elected, or the object retired, as one that left now.
func (a *application) vacate(o *object) {
	o.Query, o.Indicator, o.Lost, o.changed = vacant, 0, a.destination.Generation, true
}

// object is the ledger's row of what was found, a new one where there is none.
func (a *application) object(f *FoundObject, typ int64) *object {
	if o := a.objects[f.Pattern]; o != nil {
		return o
	}
	o := &object{Number: a.store.nextObject, Key: key(f.ID), Type: typ, Pattern: f.Pattern, Query: vacant, fresh: true,
		Lost: a.destination.Generation}
	a.store.nextObject++
	a.objects[f.Pattern], a.numbers[o.Number] = o, o
	a.fresh = append(a.fresh, o)
	return o
}

// stake notes that the indicator gives the object, and says whether this job had not read that before.
func (a *application) stake(indicator, object, owner, place int64) (first bool) {
	a.touch(indicator)
	for _, c := range a.claims[indicator] {
		if c.object != object || c.gone {
			continue
		}
		if !a.complete() {
			place = c.place
		}
		first = !a.isOwn(c.seen)
		if c.seen != a.run || c.owner != owner || c.place != place {
			c.seen, c.owner, c.place, c.changed = a.run, owner, place, true
		}
		return first
	}
	if !a.complete() {
		place += later
	}
	c := &claim{query: a.Query, indicator: indicator, object: object, owner: owner, seen: a.run, place: place, changed: true}
	a.claims[indicator] = append(a.claims[indicator], c)
	if object != 0 {
		a.rivals[object] = append(a.rivals[object], c)
	}
	return true
}

func (a *application) touch(indicator int64) {
	if n := len(a.touched); n == 0 || a.touched[n-1] != indicator {
		a.touched = append(a.touched, indicator)
	}
}

// weigh decides whether this copy wins the object, and if so whether it is sent.
func (a *application) weigh(f *Found, e *FoundObject, o *object, typ int64, first bool) {
	count := a.tally.Of(a.Job, a.Query, f.Type)
	if !a.elect(f, o) {
		if first {
			count.Duplicate++
		}
		return
	}
	changedHands := o.Query != a.Query || o.Indicator != f.Indicator
	modified, hash := millis(f.Modified), int64(e.Hash)
	send := !o.Hash.Valid || o.Hash.Int64 != hash || modified > o.Modified
	if a.Mode == job.Full && o.Job != a.Job {
		send = true
	}
	if changedHands || o.Elected != a.run || o.Modified != modified || o.Type != typ {
		o.Query, o.Indicator, o.Elected, o.Lost, o.Modified, o.Type, o.changed = a.Query, f.Indicator, a.run, 0, modified, typ, true
	}
	if !send {
		if first {
			count.Unchanged++
		}
		return
	}
	o.Hash.Int64, o.Hash.Valid = hash, true
	a.enqueue(f, e, o)
}

// elect says whether the indicator of this query wins the object. Where a better one is to win that has to be fetched
// first, the object becomes vacant.
func (a *application) elect(f *Found, o *object) bool {
	rank, saved := a.ranks[a.Query]
	if !saved {
		// The query was deleted while it was read.
		return false
	}
	if o.Query == a.Query && o.Indicator == f.Indicator && a.complete() {
		return true
	}
	sitting, sits := a.ranks[o.Query]
	if a.complete() && sits {
		switch {
		case o.Elected == a.run:
			return rank < sitting
		case sitting < rank && slices.Contains(a.Unread, o.Query):
			return false
		}
		return true
	}
	best := a.best(o)
	switch {
	case best.query == a.Query && best.indicator == f.Indicator:
		return true
	case best.query == o.Query && best.indicator == o.Indicator && !a.outgrew(best, f, o):
		return false
	}
	a.vacate(o)
	return false
}

// outgrew says that the winner is the same indicator as a better query knew it, which has changed since, and which that
// query, read before this one, did not return: it may select it no more.
func (a *application) outgrew(best *claim, f *Found, o *object) bool {
	return best.indicator == f.Indicator && best.seen != a.run && millis(f.Modified) > o.Modified
}

// best is the claim on o that is to win: of the best-ranked query the winner, if it is of that query, else the first in its
// order. In a complete run only what was read in it counts, and what could not be read.
func (a *application) best(o *object) *claim {
	var best *claim
	for _, c := range a.rivals[o.Number] {
		rank, saved := a.ranks[c.query]
		if !saved || c.gone {
			continue
		}
		if a.complete() && c.seen != a.run && !slices.Contains(a.Unread, c.query) {
			continue
		}
		if best == nil || rank < a.ranks[best.query] || c.query == best.query && a.before(c, best, o) {
			best = c
		}
	}
	return best
}

func (a *application) before(c, d *claim, o *object) bool {
	sits := func(c *claim) bool { return c.query == o.Query && c.indicator == o.Indicator }
	switch {
	case sits(c) || sits(d):
		return sits(c)
	case c.place != d.place:
		return c.place < d.place
	}
	return c.indicator < d.indicator
}

// report puts an indicator's problems on REPORT, once a job, and says how many were new.
func (a *application) report(ctx context.Context, f *Found) (int, error) {
	if len(f.Problems) == 0 {
		return 0, nil
	}
	known, err := a.known(ctx, f.Indicator)
	if err != nil {
		return 0, err
	}
	fresh := 0
	for _, p := range f.Problems {
		p.DateAdded = a.Now
		p.Message, p.Raw = bounded(p.Message, maxMessage), bounded(p.Raw, maxRaw)
		id := line{p.Message, p.Raw}
		if known[id] {
			continue
		}
		known[id] = true
		fresh++
		a.problems = appendProblem(a.problems, a.Job, a.Query, f.Indicator, p)
	}
	return fresh, nil
}

func (a *application) known(ctx context.Context, indicator int64) (map[line]bool, error) {
	if known := a.reported[indicator]; known != nil {
		return known, nil
	}
	known := map[line]bool{}
	a.reported[indicator] = known
	rows, err := a.tx.QueryContext(ctx, `SELECT message, raw FROM problem WHERE job = ? AND query = ? AND indicator = ?`, a.Job, a.Query, indicator)
	if err != nil {
		return nil, fmt.Errorf("reading what was reported before: %w", err)
	}
	defer rows.Close()
	for rows.Next() {
		var l line
		if err := rows.Scan(&l.message, &l.raw); err != nil {
			return nil, fmt.Errorf("reading what was reported before: %w", err)
		}
		known[l] = true
	}
	return known, rows.Err()
}
