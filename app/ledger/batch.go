package ledger

import (
	"cmp"
	"slices"
	"time"

	"github.com/google/uuid"

	"mssentinel/app/job"
	"mssentinel/app/stix"
)

// Found is one indicator that a query returned, and what the mapper made of it.
type Found struct {
	// Indicator is ThreatConnect's id; 0 where it could not be read.
	Indicator int64
	Owner     string
	Type      string
	// Modified is lastModified.
	Modified time.Time
	Objects  []FoundObject
	Problems []job.Problem
	// BelowFloor: it gives objects, and none reaches the confidence floor of the query, which does not select it.
	BelowFloor bool
	// Unconverted: the mapper failed, so that what the indicator gives is not known. What it gave before still stands.
	Unconverted bool
	// Fingerprint is that of its [Recipe], 0 where it is to be mapped each time.
	Fingerprint int64
	// Known: its candidates had this fingerprint, so that it was not mapped. It gives what they give.
	Known bool
}

// FoundObject is an object as its mapper made it.
type FoundObject struct {
	*stix.Indicator
	// ID is stix.ID of the pattern, Hash its content hash.
	ID         uuid.UUID
	Hash       uint64
	ValidUntil time.Time
}

// withCreated is the object with the created with which it was first sent, in milliseconds since 1970; with its own for 0. Where that
// lies ahead, because the clock was put back, the object begins then, and its time to live with it.
func (f *FoundObject) withCreated(created int64, now time.Time) *FoundObject {
	if created == 0 || f.Created.UnixMilli() == created {
		return f
	}
	indicator := *f.Indicator
	indicator.Created = time.UnixMilli(created).UTC()
	sent := *f
	sent.Indicator = &indicator
	sent.ValidUntil = sent.ValidUntil.Add(max(0, indicator.Created.Sub(now)))
	return &sent
}

// Batch is a part of what a query returned, in the query's order.
type Batch struct {
	Job   int64
	Mode  job.Mode
	Query int64
	// Unread are queries whose read failed in this attempt: their candidates still stand.
	Unread []int64
	// Place is that of the first Found in the query's order.
	Place int64
	Found []Found
	// Now is the time of conversion.
	Now time.Time
}

// unknownPlace is added to the place of a candidate that a delta update finds: its place in the whole order is not known, and
// those whose place is known come first.
const unknownPlace = 1 << 30

// QueuedObject is an object on its way into the outbox.
type QueuedObject struct {
	*FoundObject
	Seq, Object, Indicator int64
	// Type is ThreatConnect's name of the type, TypeNumber its number.
	Type       string
	TypeNumber int64

	dropped bool
}

// line is what makes a line on REPORT the same as another of the same indicator.
type line struct {
	indicator    int64
	message, raw string
}

// Present is the state of the ledger that a batch meets, apart from its rows.
type Present struct {
	// Attempt is the present attempt at the job, Attempts all at it.
	Attempt  int64
	Attempts []int64
	// Ranks are those of the saved queries by number. A query that was deleted has none.
	Ranks    map[int64]int64
	Question Question
	// NextObject and NextSeq are the next numbers of an object and of a row of the outbox; Handed is the newest row that Upload
	// was given.
	NextObject, NextSeq, Handed int64
}

// WorkingSet is the part of the ledger that a batch touches. The store adds the rows that [WorkingSet.Wanted] and the like name,
// has the indicators taken in one after the other, and writes what changed.
type WorkingSet struct {
	batch    *Batch
	attempt  int64
	attempts []int64
	ranks    map[int64]int64
	question Question
	handed   int64
	// NextObject and NextSeq are the next numbers to be given, once all was taken in.
	NextObject, NextSeq int64

	// objects by pattern and by number; the candidates of this query by indicator; by object the candidates of those objects
	// whose winner may be asked for.
	objects    map[string]*Object
	numbers    map[int64]*Object
	candidates map[int64][]*Candidate
	rivals     map[int64][]*Candidate
	// touched are the indicators whose candidates are to be written, in order of arrival.
	touched  []int64
	reported map[line]bool
	// unknown are the places in the batch of known indicators that are to be mapped for all that.
	unknown []int

	// What came of it: new objects in order of arrival, rows for the outbox, lines for REPORT, counts.
	fresh    []*Object
	queue    []QueuedObject
	problems []job.Problem
	// Superseded are rows that earlier batches queued and that are sent no more, by their number, and the indicator that gave
	// the newer one.
	Superseded map[int64]int64
	Tally      job.Tally
}

// NewWorkingSet is an empty working set for a batch.
func NewWorkingSet(b *Batch, p Present) *WorkingSet {
	n := len(b.Found)
	return &WorkingSet{
		batch: b, attempt: p.Attempt, attempts: p.Attempts, ranks: p.Ranks, question: p.Question, handed: p.Handed,
		NextObject: p.NextObject, NextSeq: p.NextSeq,
		objects: make(map[string]*Object, n), numbers: make(map[int64]*Object, n),
		candidates: make(map[int64][]*Candidate, n), rivals: make(map[int64][]*Candidate, n),
		reported: map[line]bool{}, Superseded: map[int64]int64{}, Tally: job.Tally{},
	}
}

// AddCandidate adds a stored candidate of this query.
func (w *WorkingSet) AddCandidate(c *Candidate) {
	c.stored = true
	w.candidates[c.Indicator] = append(w.candidates[c.Indicator], c)
	if c.Object != 0 {
		w.rivals[c.Object] = append(w.rivals[c.Object], c)
	}
}

// AddRival adds a stored candidate, of whichever query, for an object of [WorkingSet.Contested].
func (w *WorkingSet) AddRival(c *Candidate) {
	if c.Query == w.batch.Query && w.candidates[c.Indicator] != nil {
		return // it was added as a candidate of this query
	}
	c.stored = true
	w.rivals[c.Object] = append(w.rivals[c.Object], c)
}

// AddObject adds a stored object.
func (w *WorkingSet) AddObject(o *Object) {
	o.stored = true
	w.objects[o.Pattern], w.numbers[o.Number] = o, o
}

// HasObject says whether the object of a pattern was added.
func (w *WorkingSet) HasObject(pattern string) bool { return w.objects[pattern] != nil }

// AddReported adds a line that this job already put on REPORT about an indicator.
func (w *WorkingSet) AddReported(indicator int64, message, raw string) {
	w.reported[line{indicator, message, raw}] = true
}

// Unsettled are the objects of which nothing is known to stand while rows are in the outbox. Those rows that are under way may
// come to stand: their created is to be added by [WorkingSet.AddUnderWay].
func (w *WorkingSet) Unsettled() []int64 {
	var numbers []int64
	for n, o := range w.numbers {
		if o.State == Nothing && o.Passage(w.handed) != None {
			numbers = append(numbers, n)
		}
	}
	slices.Sort(numbers)
	return numbers
}

// AddUnderWay adds the created of a row of the object that was handed to Upload and that may stand by now.
func (w *WorkingSet) AddUnderWay(number, created int64) { w.numbers[number].Created = created }

// Given are the numbers of the objects that the candidates gave before.
func (w *WorkingSet) Given() []int64 {
	var numbers []int64
	for _, candidates := range w.candidates {
		for _, c := range candidates {
			if c.Object != 0 {
				numbers = append(numbers, c.Object)
			}
		}
	}
	slices.Sort(numbers)
	return slices.Compact(numbers)
}

// Contested are the objects whose candidates, of all queries, are to be added: in a delta update all, else those that have no
// winner or may lose it.
func (w *WorkingSet) Contested() []int64 {
	var numbers []int64
	for n, o := range w.numbers {
		if _, ranked := w.ranks[o.Winner.Query]; !ranked || !w.batch.Mode.ReadsAll() {
			numbers = append(numbers, n)
		}
	}
	for i := range w.batch.Found {
		f := &w.batch.Found[i]
		if f.Unconverted || f.Known {
			continue
		}
		for _, c := range w.candidates[f.Indicator] {
			if c.Object != 0 && !w.givesObject(f, c.Object) {
				numbers = append(numbers, c.Object)
			}
		}
	}
	slices.Sort(numbers)
	return slices.Compact(numbers)
}

// Take takes in the nth indicator of the batch. owner and typ are the numbers of its owner and type.
func (w *WorkingSet) Take(n int, owner, typ int64) {
	f := &w.batch.Found[n]
	place := w.batch.Place + int64(n)
	if f.Indicator == 0 {
		// It has no identity: only its problems tell whether it was here before.
		w.countRead(f, w.reportProblems(f) > 0)
		return
	}
	w.countRead(f, !w.wasRead(f.Indicator))
	w.reportProblems(f)
	switch {
	case f.Unconverted:
		w.keepGiven(f, owner, place)
		return
	case f.Known:
		if !w.takeKnown(f, owner, typ, place) {
			w.unknown = append(w.unknown, n)
		}
		return
	}
	w.withdrawGiven(f)
	if len(f.Objects) == 0 {
		fingerprint := int64(0)
		if f.BelowFloor {
			fingerprint = w.fingerprint(f)
		}
		w.noteCandidate(f.Indicator, 0, owner, place, fingerprint)
		return
	}
	for i := range f.Objects {
		if slices.ContainsFunc(f.Objects[:i], func(e FoundObject) bool { return e.Pattern == f.Objects[i].Pattern }) {
			continue
		}
		o := w.findObject(&f.Objects[i], typ)
		first := w.noteCandidate(f.Indicator, o.Number, owner, place, w.fingerprint(f))
		w.decideObject(f, &f.Objects[i], o, typ, first)
	}
}

// takeKnown takes in an indicator that was not mapped, or says that it has to be: because one of its objects is to be sent, or because
// its candidates are not what they were when it was passed by.
func (w *WorkingSet) takeKnown(f *Found, owner, typ, place int64) (taken bool) {
	for _, c := range w.candidates[f.Indicator] {
		o := w.numbers[c.Object]
		if c.Fingerprint != f.Fingerprint || o == nil && c.Object != 0 {
			return false
		}
		first := w.noteCandidate(f.Indicator, c.Object, owner, place, c.Fingerprint)
		if o != nil && !w.decideObject(f, nil, o, typ, first) {
			return false
		}
		taken = true
	}
	return taken
}

// Unknown are the places in the batch of known indicators that are to be mapped for all that. Where there are any, what was taken in is
// not to be written: the batch is taken in again, with their objects.
func (w *WorkingSet) Unknown() []int { return w.unknown }

// fingerprint is with which fingerprint the candidates of an indicator are kept. Where its query was deleted while it was read, nothing was
// decided about its objects.
func (w *WorkingSet) fingerprint(f *Found) int64 {
	if _, saved := w.ranks[w.batch.Query]; !saved {
		return 0
	}
	return f.Fingerprint
}

// countRead counts an indicator the first time that this job reads it from the query.
func (w *WorkingSet) countRead(f *Found, first bool) {
	if !first {
		return
	}
	count := w.Tally.Of(w.batch.Job, w.batch.Query, f.Type)
	count.Downloaded++
	switch {
	case w.isBelowFloor(f):
		count.BelowFloor++
	case len(f.Objects) == 0 && !f.Known || slices.ContainsFunc(f.Problems, func(p job.Problem) bool { return !p.Note }):
		count.Invalid++
	}
}

// isBelowFloor says that an indicator does not reach the floor of the query: of what is known nothing else gives no object.
func (w *WorkingSet) isBelowFloor(f *Found) bool {
	return f.BelowFloor || f.Known && slices.ContainsFunc(w.candidates[f.Indicator], func(c *Candidate) bool { return c.Object == 0 })
}

// wasRead says that this job has read the indicator from this query before.
func (w *WorkingSet) wasRead(indicator int64) bool {
	return slices.ContainsFunc(w.candidates[indicator], func(c *Candidate) bool { return w.isOwn(c.Attempt) })
}

// isOwn says that an attempt is one at this job.
func (w *WorkingSet) isOwn(attempt int64) bool { return slices.Contains(w.attempts, attempt) }

// keepGiven notes that an indicator was read, and leaves what it gave as it is.
func (w *WorkingSet) keepGiven(f *Found, owner, place int64) {
	known := false
	for _, c := range w.candidates[f.Indicator] {
		if c.gone {
			continue
		}
		known = true
		w.noteCandidate(c.Indicator, c.Object, owner, place, c.Fingerprint)
		// In an update that reads everything it would else lose to the next copy.
		o := w.numbers[c.Object]
		if o != nil && o.Winner == c.Origin && o.Elected != w.attempt && w.batch.Mode.ReadsAll() {
			o.Elected, o.changed = w.attempt, true
		}
	}
	if !known {
		w.noteCandidate(f.Indicator, 0, owner, place, 0)
	}
}

// withdrawGiven takes back what an indicator gave before and gives no more.
func (w *WorkingSet) withdrawGiven(f *Found) {
	for _, c := range w.candidates[f.Indicator] {
		if c.gone || w.givesObject(f, c.Object) {
			continue
		}
		c.gone = true
		w.noteTouched(f.Indicator)
		if o := w.numbers[c.Object]; o != nil {
			o.Withdraw(c.Origin, w.question.Generation, Uncertain)
		}
	}
}

func (w *WorkingSet) givesObject(f *Found, number int64) bool {
	if number == 0 {
		return len(f.Objects) == 0
	}
	o := w.numbers[number]
	return o != nil && slices.ContainsFunc(f.Objects, func(e FoundObject) bool { return e.Pattern == o.Pattern })
}

// findObject is the ledger's row of what was found, a new one where there is none.
func (w *WorkingSet) findObject(f *FoundObject, typ int64) *Object {
	if o := w.objects[f.Pattern]; o != nil {
		return o
	}
	o := &Object{Number: w.NextObject, Key: Key(f.ID), Type: typ, Pattern: f.Pattern, Winner: Origin{Query: QueryVacant}, Resend: true,
		Left: w.question.Generation}
	w.NextObject++
	w.objects[f.Pattern], w.numbers[o.Number] = o, o
	w.fresh = append(w.fresh, o)
	return o
}

// noteCandidate notes that the indicator gives the object, and says whether this job had not read that before.
func (w *WorkingSet) noteCandidate(indicator, object, owner, place, fingerprint int64) (first bool) {
	w.noteTouched(indicator)
	for _, c := range w.candidates[indicator] {
		if c.Object != object || c.gone {
			continue
		}
		if !w.batch.Mode.ReadsAll() {
			place = c.Place
		}
		first = !w.isOwn(c.Attempt)
		if c.Attempt != w.attempt || c.Owner != owner || c.Place != place || c.Fingerprint != fingerprint {
			c.Attempt, c.Owner, c.Place, c.Fingerprint, c.changed = w.attempt, owner, place, fingerprint, true
		}
		return first
	}
	if !w.batch.Mode.ReadsAll() {
		place += unknownPlace
	}
	c := &Candidate{Origin: Origin{w.batch.Query, indicator}, Object: object, Owner: owner, Attempt: w.attempt, Place: place,
		Fingerprint: fingerprint, changed: true}
	w.candidates[indicator] = append(w.candidates[indicator], c)
	if object != 0 {
		w.rivals[object] = append(w.rivals[object], c)
	}
	return true
}

func (w *WorkingSet) noteTouched(indicator int64) {
	if n := len(w.touched); n == 0 || w.touched[n-1] != indicator {
		w.touched = append(w.touched, indicator)
	}
}

// decideObject decides whether this copy wins the object, and if so whether it is sent. That of a known indicator is nil: it has the
// hash that was decided on while it won. Where it is to win anew, or to be sent, it is not decided.
func (w *WorkingSet) decideObject(f *Found, e *FoundObject, o *Object, typ int64, first bool) (decided bool) {
	count := w.Tally.Of(w.batch.Job, w.batch.Query, f.Type)
	if !w.electWinner(f, o) {
		if first {
			count.Duplicate++
		}
		return true
	}
	winner, modified, hash := Origin{w.batch.Query, f.Indicator}, f.Modified.UnixMilli(), o.Hash
	if e != nil {
		hash = int64(e.Hash)
	}
	send := w.mustSend(o, modified, hash)
	if e == nil && (send || o.Winner != winner) {
		return false
	}
	if o.Winner != winner || o.Elected != w.attempt || o.Modified != modified || o.Type != typ {
		o.Winner, o.Elected, o.Modified, o.Type, o.changed = winner, w.attempt, modified, typ, true
	}
	if !send {
		if first {
			count.Unchanged++
		}
		return true
	}
	o.Hash, o.Resend = hash, false
	w.queueObject(f, e, o)
	return true
}

// queueObject queues an object. A row of it that waits and cannot have left yet is dropped: it would be sent for nothing.
func (w *WorkingSet) queueObject(f *Found, e *FoundObject, o *Object) {
	if o.Passage(w.handed) == Waiting && !w.dropQueued(o) {
		w.Superseded[o.Queued] = f.Indicator
	}
	w.queue = append(w.queue, QueuedObject{FoundObject: e.withCreated(o.Created, w.batch.Now), Seq: w.NextSeq, Object: o.Number, Indicator: f.Indicator, Type: f.Type, TypeNumber: o.Type})
	w.Tally.Of(w.batch.Job, w.batch.Query, f.Type).Queued++
	o.Job, o.Queued, o.changed = w.batch.Job, w.NextSeq, true
	w.NextSeq++
}

// dropQueued takes back a row that this batch queued itself.
func (w *WorkingSet) dropQueued(o *Object) bool {
	if len(w.queue) == 0 || o.Queued < w.queue[0].Seq {
		return false
	}
	q := &w.queue[o.Queued-w.queue[0].Seq]
	q.dropped = true
	CountSuperseded(w.Tally, w.batch.Job, Origin{w.batch.Query, q.Indicator}, q.Type, w.batch.Job, o.Winner)
	return true
}

// CountSuperseded counts that a newer row, of an origin and a job, takes the place of one that was queued by a job for an origin of
// this type. Where it is another copy in the same job, the older one lost to it.
func CountSuperseded(t job.Tally, older int64, origin Origin, typ string, newer int64, by Origin) {
	count := t.Of(older, origin.Query, typ)
	count.Queued--
	if older == newer && origin != by {
		count.Duplicate++
	}
}

// reportProblems puts an indicator's problems on REPORT, once a job, and says how many were new.
func (w *WorkingSet) reportProblems(f *Found) int {
	added := 0
	for _, p := range f.Problems {
		p = p.Bounded()
		p.DateAdded = w.batch.Now
		l := line{f.Indicator, p.Message, p.Raw}
		if w.reported[l] {
			continue
		}
		w.reported[l] = true
		added++
		p.Indicator = f.Indicator
		w.problems = append(w.problems, p)
	}
	return added
}

// NewObjects are those without a row, in order of arrival.
func (w *WorkingSet) NewObjects() []*Object { return w.fresh }

// ChangedObjects are the stored ones to be written, by number.
func (w *WorkingSet) ChangedObjects() []*Object {
	var changed []*Object
	for _, o := range w.numbers {
		if o.stored && o.changed {
			changed = append(changed, o)
		}
	}
	slices.SortFunc(changed, func(a, b *Object) int { return cmp.Compare(a.Number, b.Number) })
	return changed
}

// ChangedCandidates are the candidates to be written, and those whose rows are to be deleted, by indicator.
func (w *WorkingSet) ChangedCandidates() (changed, gone []*Candidate) {
	slices.Sort(w.touched)
	for _, indicator := range slices.Compact(w.touched) {
		for _, c := range w.candidates[indicator] {
			switch {
			case c.gone && c.stored:
				gone = append(gone, c)
			case !c.gone && c.changed:
				changed = append(changed, c)
			}
		}
	}
	return changed, gone
}

// Queue are the rows for the outbox, in order.
func (w *WorkingSet) Queue() []QueuedObject {
	return slices.DeleteFunc(w.queue, func(q QueuedObject) bool { return q.dropped })
}

// Problems are the lines for REPORT.
func (w *WorkingSet) Problems() []job.Problem { return w.problems }
