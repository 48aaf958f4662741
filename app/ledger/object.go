package ledger

// Origin is where an object comes from: the number of the query and ThreatConnect's id of the indicator. Where no query gives
// the object, Query says so, and Indicator is its [Loss].
type Origin struct {
	Query, Indicator int64
}

// What stands in place of a query's number in [Object.Winner] where no query gives the object.
const (
	QueryNobody int64 = 0
	QueryVacant int64 = -1
)

// Holder says who gives an object.
type Holder int

// The holders.
const (
	// Won: a candidate wins it.
	Won Holder = iota
	// Vacant: its winner went away, and neither was another one asked for nor was the object retired.
	Vacant
	// Nobody gives it, and nothing is left to do about that.
	Nobody
)

// Loss says how an object that has no winner lost it, and so how much an update must have read that retires it: the smaller, the
// less.
type Loss int64

// The losses.
const (
	// Unselected: every query was read when the operator was asked about it, and none gave it. It is as certain as what follows.
	Unselected Loss = iota - 2
	// Certain: it is gone, however other queries fare: ThreatConnect reports the indicator as deleted or inactive.
	Certain
	// Uncertain: a query did not return it any more. One that could not be read may give it: every query must have been read.
	Uncertain
	// Disputed: Sentinel rejected its retirement. It is asked about again by an update that reads everything.
	Disputed
)

// State is what Sentinel holds of an object, as far as its answers tell.
type State int64

// The states.
const (
	Nothing State = 0
	Live    State = 1
	Retired State = 2
)

// Passage is what of an object is on its way to Sentinel.
type Passage int

// The passages.
const (
	// None: no row of it is in the outbox.
	None Passage = iota
	// Waiting: its newest row was not handed to Upload, and may be dropped.
	Waiting
	// UnderWay: its newest row was handed to Upload, may be at Sentinel, and must be answered.
	UnderWay
)

// Candidate is an indicator that a query selects and that gives an object. Object 0: it is selected, but gives none.
type Candidate struct {
	Origin
	// Object is the object's number, Owner that of the indicator's owner.
	Object, Owner int64
	// Attempt is the one that last read it.
	Attempt int64
	// Place is where it stands in the query's order: smaller comes first.
	Place int64
	// Fingerprint is that of the indicator as it gave the object, 0 where it is to be mapped each time.
	Fingerprint int64

	// stored: it has a row. changed: the row is to be written. gone: the indicator gives the object no more.
	stored, changed, gone bool
}

// Object is a STIX object as the ledger knows it. Instants are milliseconds since 1970 UTC.
type Object struct {
	Number int64
	// Key is that of the STIX id, see [Key], Type the number of ThreatConnect's type.
	Key, Type int64
	Pattern   string
	// Winner is whose copy is right for Sentinel; see [Object.Holder]. Elected is the attempt that elected it.
	Winner  Origin
	Elected int64
	// Left is the generation in which the winner went away; it means nothing while there is one.
	Left int64
	// Modified and Hash are what was last decided to be right for Sentinel: lastModified, and the hash of the content. Resend:
	// it is to be sent whatever they are. Job is who queued it.
	Modified int64
	Hash     int64
	Resend   bool
	Job      int64
	// Queued is its newest row in the outbox, 0 for none, Settled the newest that was answered.
	Queued, Settled int64
	// State is what Sentinel holds, with these members. Created is known from the first row on that was accepted or may have been,
	// and does not change any more; 0 before.
	State      State
	Name       string
	Created    int64
	ValidUntil int64

	// stored: it has a row. changed: the row is to be written.
	stored, changed bool
}

// Row is a row of the outbox as far as the transitions look at it. Seq 0 is no row.
type Row struct {
	Seq    int64
	Retire bool
	// With which members the object goes out.
	Name                string
	Created, ValidUntil int64
}

// Holder says who gives the object.
func (o *Object) Holder() Holder {
	switch o.Winner.Query {
	case QueryVacant:
		return Vacant
	case QueryNobody:
		return Nobody
	}
	return Won
}

// Passage says what of the object is on its way. handed is the newest row of the outbox that Upload was given.
func (o *Object) Passage(handed int64) Passage {
	switch {
	case o.Queued == 0:
		return None
	case o.Queued > handed:
		return Waiting
	}
	return UnderWay
}

// Loss says how the object lost its winner; [Uncertain] while it has one.
func (o *Object) Loss() Loss {
	if o.Holder() == Won {
		return Uncertain
	}
	return Loss(o.Winner.Indicator)
}

// makeVacant takes the winner away; the object left in this generation.
func (o *Object) makeVacant(generation int64, loss Loss) {
	o.Winner, o.Left, o.changed = Origin{QueryVacant, int64(loss)}, generation, true
}

// Withdraw says that an indicator of a query gives the object no more. If it won, or nobody did, the object is vacant, as one
// that left now; else nothing changes. What one candidate made certain, another does not make uncertain again.
func (o *Object) Withdraw(origin Origin, generation int64, loss Loss) (changed bool) {
	switch {
	case o.Holder() == Vacant:
		loss = min(loss, o.Loss())
	case o.Winner != origin:
		return false
	}
	o.makeVacant(generation, loss)
	return true
}

// Accept says that Sentinel took a row: the object stands with its members. What was answered for an older row does not touch
// what is known of a newer one; nor do [Object.AcceptRetirement], [Object.Reject] and [Object.RejectRetirement] then.
func (o *Object) Accept(r Row) {
	if o.settleRow(r.Seq) {
		o.State, o.Name, o.Created, o.ValidUntil = Live, r.Name, r.Created, r.ValidUntil
	}
}

// AcceptRetirement says that Sentinel took the row that retires the object.
func (o *Object) AcceptRetirement(r Row) {
	if o.settleRow(r.Seq) {
		o.State, o.ValidUntil = Retired, r.ValidUntil
	}
}

// Reject says that Sentinel does not take a row: it holds what it held. mayStand says that the row may have been sent before,
// and that this answer was lost: then the object may stand for all that.
func (o *Object) Reject(r Row, mayStand bool) {
	if mayStand {
		o.AssumeAccepted(r)
	}
	o.settleRow(r.Seq)
}

// RejectRetirement says that Sentinel does not take the row that retires the object. Where it still stands and nobody gives it,
// it departs once more, in this generation, for the next update that reads everything.
func (o *Object) RejectRetirement(r Row, generation int64) {
	if o.settleRow(r.Seq) && o.Holder() == Nobody && o.State == Live && o.Queued == 0 {
		o.Winner, o.Left = Origin{QueryVacant, int64(Disputed)}, generation
	}
}

// settleRow says that a row was answered, and whether that is news.
func (o *Object) settleRow(seq int64) bool {
	if o.Settled >= seq {
		return false
	}
	o.Settled = seq
	if o.Queued == seq {
		o.Queued = 0
	}
	return true
}

// DropRow says that the object's newest row was taken out of the outbox: what it held is to be sent again. Its winner is asked
// for by the next job, whose window need not reach back to it; one that nobody gives has departed again. older is the newest row
// of the object that is left in the outbox, 0 for none: one that is under way, and whose answer still decides about the object.
func (o *Object) DropRow(seq, older, generation int64) {
	if o.Queued != seq {
		return
	}
	if o.Holder() == Won {
		o.Left = generation
	}
	o.Winner, o.Resend, o.Queued = Origin{QueryVacant, int64(o.Loss())}, true, older
}

// AssumeAccepted says that a row was under way when its answer was given up: the object may stand. Its name is the newest, and
// it stands as long as any copy of it that may.
func (o *Object) AssumeAccepted(r Row) {
	if o.Settled >= r.Seq {
		return
	}
	until := r.ValidUntil
	if o.State == Live {
		until = max(until, o.ValidUntil)
	}
	o.State, o.Name, o.Created, o.ValidUntil = Live, r.Name, r.Created, until
}
