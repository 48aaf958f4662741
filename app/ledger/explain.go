package ledger

import "slices"

// Decision says why the copy of a candidate is sent, or is not.
type Decision int

// The decisions.
const (
	// Wins: its copy is right for Sentinel.
	Wins Decision = iota
	// LosesToQuery: a query in a higher position gives the object.
	LosesToQuery
	// LosesInQuery: another indicator of the same query stands before it, or won before it came.
	LosesInQuery
	// IsNext: the winner went away, and this candidate is the one that is asked for.
	IsNext
	// QueryDeleted: its query was deleted and wins nothing.
	QueryDeleted
)

// Explain says for each candidate of an object why its copy is sent, or is not, with the ranks of the saved queries.
func Explain(candidates []*Candidate, ranks map[int64]int64, winner Origin) []Decision {
	leader := winner
	vacant := winner.Query <= QueryNobody
	if vacant {
		if best := Best(candidates, ranks, winner, func(*Candidate) bool { return true }); best != nil {
			leader = best.Origin
		}
	}
	decisions := make([]Decision, len(candidates))
	for i, c := range candidates {
		_, saved := ranks[c.Query]
		switch {
		case c.Origin == leader && vacant:
			decisions[i] = IsNext
		case c.Origin == leader:
			decisions[i] = Wins
		case !saved:
			decisions[i] = QueryDeleted
		case c.Query == leader.Query:
			decisions[i] = LosesInQuery
		default:
			decisions[i] = LosesToQuery
		}
	}
	return decisions
}

// Outlook is what the next updates do about an object as the ledger knows it now.
type Outlook int

// The outlooks.
const (
	// Settled: nothing; nobody gives it, and it stands nowhere.
	Settled Outlook = iota
	// OnItsWay: its newest version waits in the outbox, or is under way.
	OnItsWay
	// SentWhenChanged: the next update sends it where it was modified, a full one in any case.
	SentWhenChanged
	// SentAnyway: the next update that reads it sends it.
	SentAnyway
	// AskedFor: the next update asks ThreatConnect for the next candidate.
	AskedFor
	// RetiredNext: the next update retires it.
	RetiredNext
	// RetiredWhenAllRead: the next update in which every query is read retires it.
	RetiredWhenAllRead
	// RetiredByReading: the next update that reads everything retires it.
	RetiredByReading
	// HeldForAnswer: it waits for the operator's answer.
	HeldForAnswer
	// KeptByAnswer: it stays until its time to live ends, by the operator's choice.
	KeptByAnswer
)

// Outlook says what the next updates do about the object, with the decisions about its candidates; now is in milliseconds since
// 1970.
func (o *Object) Outlook(q Question, candidates []Decision, now int64) Outlook {
	switch {
	case o.Queued != 0:
		return OnItsWay
	case o.Holder() == Won && o.Resend:
		return SentAnyway
	case o.Holder() == Won:
		return SentWhenChanged
	case slices.Contains(candidates, IsNext):
		return AskedFor
	case o.Holder() == Nobody || o.State != Live || o.ValidUntil <= now:
		return Settled
	case len(candidates) > 0: // of deleted queries
		return RetiredByReading
	}
	switch q.Departure(o.Left) {
	case Asked:
		return HeldForAnswer
	case Kept:
		return KeptByAnswer
	}
	switch o.Loss() {
	case Unselected, Certain:
		return RetiredNext
	case Uncertain:
		return RetiredWhenAllRead
	}
	return RetiredByReading
}
