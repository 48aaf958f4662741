package store

import (
	"cmp"
	"fmt"
	"maps"
	"slices"
	"time"

	"mssentinel/app/job"
	"mssentinel/app/ledger"
)

// rules is the ledger as the rules have it: plain maps, one thing after the other, no sets, no SQL. The store has to come to
// the same in every step.
type rules struct {
	ranks      map[int64]int
	candidates map[refCandidate]refSeen
	objects    map[string]*refObject
	outbox     []refRow
	// seq is the last number given to a row, written the last that a row kept until the end of its step, handed the last
	// that was given away.
	seq, written, handed int64
	// given counts how often a row was given away.
	given map[int64]int
	jobs  map[int64]*job.Counts
	// began counts all attempts, attempts is the present one of a job, jobOf the job of each.
	began    int64
	attempts map[int64]int64
	jobOf    map[int64]int64
	// reported are the lines on REPORT.
	reported []string
}

type refCandidate struct {
	query, indicator int64
	pattern          string
}

type refSeen struct {
	attempt, place int64
}

type refObject struct {
	number int
	// winner.query 0: nobody, -1: vacant.
	winner refCandidate
	// loss is how it lost its last winner, while it has none: certainly, or because a query did not return it, or its
	// retirement was rejected.
	loss     ledger.Loss
	elected  int64
	modified int64
	// content is what was last decided to be right, "" for "send whatever it is".
	content string
	job     int64
	queued  int64
	settled int64
	// What stands in Sentinel, as far as is known.
	state   ledger.State
	name    string
	expires time.Time
}

type refRow struct {
	seq     int64
	pattern string
	retire  bool
	origin  refCandidate
	job     int64
	name    string
	expires time.Time
}

func newRules() *rules {
	return &rules{ranks: map[int64]int{}, candidates: map[refCandidate]refSeen{}, objects: map[string]*refObject{}, jobs: map[int64]*job.Counts{}, given: map[int64]int{}, attempts: map[int64]int64{}, jobOf: map[int64]int64{}}
}

func (r *rules) count(j int64) *job.Counts {
	if r.jobs[j] == nil {
		r.jobs[j] = new(job.Counts)
	}
	return r.jobs[j]
}

// begin begins a job, or begins it again.
func (r *rules) begin(j int64) {
	r.began++
	r.attempts[j], r.jobOf[r.began] = r.began, j
}

func (r *rules) apply(b ledger.Batch) {
	for i := range b.Found {
		r.found(b, &b.Found[i], b.Place+int64(i))
	}
	r.wrote()
}

func (r *rules) wrote() {
	for _, row := range r.outbox {
		r.written = max(r.written, row.seq)
	}
}

// restart is what a new process does not know.
func (r *rules) restart() { r.seq = r.written }

func (r *rules) found(b ledger.Batch, f *ledger.Found, place int64) {
	count := r.count(b.Job)
	first := true
	for c, s := range r.candidates {
		if c.query == b.Query && c.indicator == f.Indicator && r.jobOf[s.attempt] == b.Job {
			first = false
		}
	}
	if first {
		count.Downloaded++
		if len(f.Objects) == 0 || len(f.Problems) > 0 {
			count.Invalid++
		}
	}
	for _, p := range f.Problems {
		line := fmt.Sprintf("%d|%d|%d|%s|%s", b.Job, b.Query, f.Indicator, p.Message, p.Raw)
		if !slices.Contains(r.reported, line) {
			r.reported = append(r.reported, line)
		}
	}
	mine := func(c refCandidate) bool { return c.query == b.Query && c.indicator == f.Indicator }
	if f.Unconverted {
		known := false
		for c, s := range r.candidates {
			if !mine(c) {
				continue
			}
			known = true
			if b.Mode != job.Delta {
				s.place = place
				if o := r.objects[c.pattern]; o != nil && o.winner == c {
					o.elected = r.attempts[b.Job]
				}
			}
			s.attempt = r.attempts[b.Job]
			r.candidates[c] = s
		}
		if !known {
			r.note(b, refCandidate{b.Query, f.Indicator, ""}, place)
		}
		return
	}
	var given []string
	for _, o := range f.Objects {
		if !slices.Contains(given, o.Pattern) {
			given = append(given, o.Pattern)
		}
	}
	for c := range r.candidates {
		if mine(c) && !slices.Contains(given, c.pattern) && (c.pattern != "" || len(given) > 0) {
			r.drop(c, ledger.Uncertain)
		}
	}
	if len(given) == 0 {
		r.note(b, refCandidate{b.Query, f.Indicator, ""}, place)
	}
	for _, p := range given {
		i := slices.IndexFunc(f.Objects, func(o ledger.FoundObject) bool { return o.Pattern == p })
		r.object(b, f, &f.Objects[i], place)
	}
}

func (r *rules) note(b ledger.Batch, c refCandidate, place int64) (first bool) {
	s, known := r.candidates[c]
	first = r.jobOf[s.attempt] != b.Job
	switch {
	case b.Mode != job.Delta:
		s.place = place
	case !known:
		s.place = 1<<30 + place
	}
	s.attempt = r.attempts[b.Job]
	r.candidates[c] = s
	return first
}

// drop takes a candidate away; its object becomes vacant if it had won. What is certain stays so.
func (r *rules) drop(c refCandidate, loss ledger.Loss) {
	delete(r.candidates, c)
	o := r.objects[c.pattern]
	switch {
	case o == nil:
	case o.winner == c:
		o.vacate(loss)
	case o.winner.query == ledger.QueryVacant && (loss == ledger.Certain || o.loss == ledger.Disputed):
		o.loss = loss
	}
}

func (o *refObject) vacate(loss ledger.Loss) {
	o.winner, o.loss = refCandidate{query: ledger.QueryVacant}, loss
}

func (r *rules) object(b ledger.Batch, f *ledger.Found, e *ledger.FoundObject, place int64) {
	c := refCandidate{b.Query, f.Indicator, e.Pattern}
	o := r.objects[e.Pattern]
	if o == nil {
		o = &refObject{number: len(r.objects), winner: refCandidate{query: ledger.QueryVacant}}
		r.objects[e.Pattern] = o
	}
	first := r.note(b, c, place)
	count := r.count(b.Job)
	if !r.wins(b, c, o, toMillis(f.Modified)) {
		if first {
			count.Duplicate++
		}
		return
	}
	send := o.content != e.Name || toMillis(f.Modified) > o.modified
	if b.Mode == job.Full && o.job != b.Job {
		send = true
	}
	o.winner, o.loss, o.elected, o.modified = c, ledger.Uncertain, r.attempts[b.Job], toMillis(f.Modified)
	if !send {
		if first {
			count.Unchanged++
		}
		return
	}
	if o.queued > r.handed {
		// It cannot have left yet, and would be sent for nothing.
		i := slices.IndexFunc(r.outbox, func(row refRow) bool { return row.seq == o.queued })
		row := r.outbox[i]
		r.outbox = slices.Delete(r.outbox, i, i+1)
		r.count(row.job).Queued--
		if row.job == b.Job && row.origin != c {
			count.Duplicate++
		}
	}
	r.seq++
	o.content, o.job, o.queued = e.Name, b.Job, r.seq
	r.outbox = append(r.outbox, refRow{seq: r.seq, pattern: e.Pattern, origin: c, job: b.Job, name: e.Name, expires: e.ValidUntil})
	count.Queued++
}

func (r *rules) wins(b ledger.Batch, c refCandidate, o *refObject, modified int64) bool {
	rank, saved := r.ranks[c.query]
	if !saved {
		return false
	}
	sitting, sits := r.ranks[o.winner.query]
	if b.Mode != job.Delta && sits {
		switch {
		case o.winner == c:
			return true
		case o.elected == r.attempts[b.Job]:
			return rank < sitting
		case slices.Contains(b.Unread, o.winner.query):
			return rank < sitting
		}
		return true
	}
	best := r.best(b, c.pattern, o)
	// Changed since its better query returned it, which did not do so again.
	fell := best.indicator == c.indicator && r.candidates[best].attempt != r.attempts[b.Job] && modified > o.modified
	switch {
	case best == c:
		return true
	case best == o.winner && !fell:
		return false
	}
	o.vacate(ledger.Uncertain)
	return false
}

// best is who should win; in a complete run only what it has read, or could not read, counts.
func (r *rules) best(b ledger.Batch, pattern string, o *refObject) refCandidate {
	var rivals []refCandidate
	for c, s := range r.candidates {
		_, saved := r.ranks[c.query]
		if c.pattern == pattern && saved && (b.Mode == job.Delta || s.attempt == r.attempts[b.Job] || slices.Contains(b.Unread, c.query)) {
			rivals = append(rivals, c)
		}
	}
	return slices.MinFunc(rivals, func(c, d refCandidate) int {
		if c.query != d.query {
			return cmp.Compare(r.ranks[c.query], r.ranks[d.query])
		}
		if c == o.winner || d == o.winner {
			return map[bool]int{true: -1, false: 1}[c == o.winner]
		}
		return cmp.Or(cmp.Compare(r.candidates[c].place, r.candidates[d].place), cmp.Compare(c.indicator, d.indicator))
	})
}

func (r *rules) forget(query, indicator int64, loss ledger.Loss) {
	for c := range r.candidates {
		if c.query == query && c.indicator == indicator {
			r.drop(c, loss)
		}
	}
}

func (r *rules) sweep(j int64, queries []int64) {
	all := true
	for number := range r.ranks {
		all = all && slices.Contains(queries, number)
	}
	for c, s := range r.candidates {
		_, saved := r.ranks[c.query]
		if s.attempt != r.attempts[j] && (!saved && all || slices.Contains(queries, c.query)) {
			r.drop(c, ledger.Uncertain)
		}
	}
}

// vacancies are the objects that want a winner, and who is next.
func (r *rules) vacancies() map[string]ledger.Origin {
	next := map[string]ledger.Origin{}
	for p, o := range r.objects {
		if o.winner.query != ledger.QueryVacant {
			continue
		}
		for c := range r.candidates {
			if _, saved := r.ranks[c.query]; c.pattern == p && saved {
				best := r.best(ledger.Batch{Mode: job.Delta}, p, o)
				next[p] = ledger.Origin{Query: best.query, Indicator: best.indicator}
			}
		}
	}
	return next
}

// retire: what is certainly gone by any update, what no query returned by one that read every query, and what Sentinel
// refused to see retired by one that read everything.
func (r *rules) retire(j int64, mode job.Mode, complete bool, now time.Time) int64 {
	queued := int64(0)
	given := map[string]bool{}
	for c := range r.candidates {
		given[c.pattern] = true
	}
	patterns := slices.SortedFunc(maps.Keys(r.objects), func(a, b string) int { return cmp.Compare(r.objects[a].number, r.objects[b].number) })
	for _, p := range patterns {
		o := r.objects[p]
		if o.winner.query != ledger.QueryVacant || given[p] {
			continue
		}
		if o.loss != ledger.Certain && !complete || o.loss == ledger.Disputed && mode == job.Delta {
			continue
		}
		o.winner, o.content = refCandidate{}, ""
		name, stands := o.name, o.state == ledger.Live && o.expires.After(now)
		o.queued = 0
		var newest refRow
		for _, row := range slices.Clone(r.outbox) {
			if row.pattern != p {
				continue
			}
			if row.seq > r.handed && !row.retire {
				r.outbox = slices.DeleteFunc(r.outbox, func(x refRow) bool { return x.seq == row.seq })
				r.count(row.job).Queued--
				continue
			}
			o.queued = row.seq
			if row.retire {
				stands = false // its retirement waits already
				continue
			}
			name, stands, newest = row.name, true, row
		}
		if stands && newest.seq > 0 {
			o.mayHold(newest)
		}
		if !stands {
			continue
		}
		r.seq++
		o.queued = r.seq
		r.outbox = append(r.outbox, refRow{seq: r.seq, pattern: p, retire: true, job: j, name: name, expires: now})
		r.count(j).Queued++
		queued++
	}
	r.wrote()
	return queued
}

func (r *rules) cancel(j int64) { r.dropRows(func(row refRow) bool { return row.job == j }) }

// dropRows drops rows of the outbox.
func (r *rules) dropRows(dropped func(refRow) bool) {
	for _, row := range slices.Clone(r.outbox) {
		if !dropped(row) {
			continue
		}
		r.outbox = slices.DeleteFunc(r.outbox, func(x refRow) bool { return x.seq == row.seq })
		r.count(row.job).Queued--
		o := r.objects[row.pattern]
		if o.queued == row.seq {
			o.queued, o.content, o.winner = 0, "", refCandidate{query: ledger.QueryVacant} // lost as it was
			for _, left := range r.outbox {                                                // what is under way still decides
				if left.pattern == row.pattern {
					o.queued = left.seq
				}
			}
		}
		if !row.retire && row.seq <= r.handed {
			o.mayHold(row)
		}
	}
}

// mayHold: a row that was under way may have arrived, and its answer will not be seen. What stands longest counts.
func (o *refObject) mayHold(row refRow) {
	if o.settled >= row.seq {
		return
	}
	if o.state != ledger.Live || row.expires.After(o.expires) {
		o.expires = row.expires
	}
	o.state, o.name = ledger.Live, row.name
}

// settle is an answer of Sentinel. lost: an answer before it was lost, so that a rejected object may stand.
func (r *rules) settle(seq int64, pattern, name string, retire, rejected, lost bool, expires time.Time) {
	i := slices.IndexFunc(r.outbox, func(row refRow) bool { return row.seq == seq })
	if i < 0 && rejected {
		return
	}
	o := r.objects[pattern]
	if i >= 0 {
		count := r.count(r.outbox[i].job)
		switch {
		case rejected:
			count.Rejected++
		case retire:
			count.Retired++
		default:
			count.Uploaded++
		}
		r.outbox = slices.Delete(r.outbox, i, i+1)
	}
	if seq <= o.settled {
		return
	}
	if rejected && !retire && (lost || r.given[seq] > 1) {
		o.mayHold(refRow{seq: seq, name: name, expires: expires})
	}
	o.settled = seq
	if o.queued == seq {
		o.queued = 0
	}
	switch {
	case rejected && retire && o.state == ledger.Live && o.winner.query == ledger.QueryNobody && o.queued == 0:
		o.vacate(ledger.Disputed)
	case rejected:
	case retire:
		o.state, o.expires = ledger.Retired, expires
	default:
		o.state, o.name, o.expires = ledger.Live, name, expires
	}
}
