package ledger

import (
	"slices"

	"mssentinel/app/job"
)

// electWinner says whether the indicator of this batch's query wins the object. Where a better copy is to win that has to be
// asked for first, the object becomes vacant.
func (w *WorkingSet) electWinner(f *Found, o *Object) bool {
	origin := Origin{w.batch.Query, f.Indicator}
	rank, saved := w.ranks[origin.Query]
	if !saved {
		return false // the query was deleted while it was read
	}
	if w.batch.Mode.ReadsAll() {
		if o.Winner == origin {
			return true
		}
		if winnerRank, ranked := w.ranks[o.Winner.Query]; ranked {
			return w.takesOver(rank, winnerRank, o)
		}
	}
	best := w.bestCandidate(o)
	switch {
	case best.Origin == origin:
		return true
	case best.Origin == o.Winner && !w.fellOut(best, f, o):
		return false
	}
	o.makeVacant(w.question.Generation, Uncertain)
	return false
}

// takesOver says, in an update that reads everything, whether a copy from a query of this rank takes over from the winner. One
// that this attempt elected yields to a better rank alone, and so does one whose query could not be read.
func (w *WorkingSet) takesOver(rank, winnerRank int64, o *Object) bool {
	if o.Elected == w.attempt || slices.Contains(w.batch.Unread, o.Winner.Query) {
		return rank < winnerRank
	}
	return true
}

// fellOut says that the winner is the same indicator as a better query knew it, that it has changed since, and that the better
// query, which was read before this one, did not return it: that query may select it no more.
func (w *WorkingSet) fellOut(best *Candidate, f *Found, o *Object) bool {
	return best.Indicator == f.Indicator && best.Attempt != w.attempt && f.Modified.UnixMilli() > o.Modified
}

// bestCandidate is who is to win the object. In an update that reads everything only what was read in it counts, and what could
// not be read.
func (w *WorkingSet) bestCandidate(o *Object) *Candidate {
	counts := func(c *Candidate) bool {
		return !c.gone && (!w.batch.Mode.ReadsAll() || c.Attempt == w.attempt || slices.Contains(w.batch.Unread, c.Query))
	}
	return Best(w.rivals[o.Number], w.ranks, o.Winner, counts)
}

// Best is the candidate that is to win an object: of the best-ranked query the present winner, where it is of that query, else
// the first in its order. A query without a rank was deleted and wins nothing. Only candidates that count are looked at. nil
// where there is none.
func Best(candidates []*Candidate, ranks map[int64]int64, winner Origin, counts func(*Candidate) bool) *Candidate {
	var best *Candidate
	for _, c := range candidates {
		rank, saved := ranks[c.Query]
		if !saved || !counts(c) {
			continue
		}
		if best == nil || rank < ranks[best.Query] || c.Query == best.Query && comesFirst(c, best, winner) {
			best = c
		}
	}
	return best
}

// comesFirst says which of two candidates of one query comes first.
func comesFirst(c, d *Candidate, winner Origin) bool {
	switch {
	case c.Origin == winner || d.Origin == winner:
		return c.Origin == winner
	case c.Place != d.Place:
		return c.Place < d.Place
	}
	return c.Indicator < d.Indicator
}

// mustSend says whether a copy that won is sent: what changed, and in a full update everything, once a job.
func (w *WorkingSet) mustSend(o *Object, modified, hash int64) bool {
	return o.Resend || o.Hash != hash || modified > o.Modified || w.batch.Mode == job.Full && o.Job != w.batch.Job
}
