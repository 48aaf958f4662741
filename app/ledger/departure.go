package ledger

// The brake: an update that would retire more than BrakeObjects objects, and more than one in BrakePart of those that are live,
// asks first.
const (
	BrakeObjects = 100
	BrakePart    = 10
)

// NeedsConfirmation says that an update may not retire so many objects without being told to. countLive counts those that are
// live; it is called only where that matters.
func NeedsConfirmation(departed int64, countLive func() (int64, error)) (bool, error) {
	if departed <= BrakeObjects {
		return false, nil
	}
	live, err := countLive()
	return departed*BrakePart > live, err
}

// Departure is the state of an object that departed.
type Departure int

// The departures.
const (
	// Free: the object may be retired.
	Free Departure = iota
	// Asked: it waits for the operator's answer.
	Asked
	// Kept: it stays in Sentinel by the operator's choice.
	Kept
)

// Question counts departures in generations. What departs does so in the present Generation; a question closes it. What departed
// in a generation up to Asked waits for the operator's answer, what departed in one up to Kept stays by the operator's choice.
// Kept ≤ Asked < Generation.
type Question struct {
	Generation int64 `db:"generation"`
	Asked      int64 `db:"asked"`
	Kept       int64 `db:"kept"`
}

// Departure says what holds for an object that departed in a generation.
func (q Question) Departure(left int64) Departure {
	switch {
	case left <= q.Kept:
		return Kept
	case left <= q.Asked:
		return Asked
	}
	return Free
}

// Ask makes everything that departed the operator's question, what was kept before included.
func (q *Question) Ask() { q.Asked, q.Generation = q.Generation, q.Generation+1 }

// Dismiss has what was asked about stay.
func (q *Question) Dismiss() { q.Kept = q.Asked }

// Close ends the question without an answer, or because its answer was carried out: what was not retired may be, and what was
// kept stays.
func (q *Question) Close() { q.Asked = q.Kept }

// RetireAfter is the generation after which what departed may be retired by an update. One that read everything has an answer of
// its own to an open question. Beside an open question a delta update, or one in which a query could not be read, has not, and
// leaves what is asked about alone.
func (q Question) RetireAfter(beside bool) int64 {
	if beside {
		return q.Asked
	}
	return q.Kept
}

// RetirableLoss is up to which loss an update may retire objects. complete says that it read every query, readsAll that it read
// everything that they select.
func RetirableLoss(complete, readsAll bool) Loss {
	switch {
	case complete && readsAll:
		return Disputed
	case complete:
		return Uncertain
	}
	return Certain
}

// HasDeparted says that an object without any candidate left after one generation and up to another, by at most this loss.
func (o *Object) HasDeparted(after, upTo int64, most Loss) bool {
	return o.Holder() == Vacant && o.Left > after && o.Left <= upTo && o.Loss() <= most
}

// Postpone says that the question that closes a generation is not about the object, which is not certainly gone: it departs in
// the next one.
func (o *Object) Postpone(kept, generation int64) {
	if o.Holder() == Vacant && o.Loss() > Certain && o.Left > kept && o.Left <= generation {
		o.Left = generation + 1
	}
}

// MakeCertain says that every query was read and none gives the object, which the operator is asked about.
func (o *Object) MakeCertain() {
	if o.Loss() > Certain {
		o.Winner.Indicator = int64(Unselected)
	}
}

// MayStand says that an object stands in Sentinel, or may by the time that its newest row, the zero Row for none, is answered.
// Instants are milliseconds since 1970.
func (o *Object) MayStand(now int64, newest Row, handed int64) bool {
	return o.State == Live && o.ValidUntil > now || newest.Seq != 0 && newest.Seq <= handed && !newest.Retire
}

// Withdrawal is what has to be done with the outbox when an object departs.
type Withdrawal struct {
	// Drop is a row that waits and is not sent any more, 0 for none.
	Drop int64
	// Retirement is the row to be queued, of sequence number 0 where none is needed.
	Retirement Row
}

// Depart takes an object out of the ledger that nobody gives any more, or whose source name is left: → Nobody. Where it stands in
// Sentinel, or may stand, its retirement is queued under the number seq. newest is its newest row in the outbox; where that waits
// and cannot have left yet it is dropped. underWay is the newest row that may have left. Both may be the zero Row. Should Sentinel
// take what is under way and the answer be lost, the object is known to stand.
func (o *Object) Depart(newest, underWay Row, handed, seq, generation, now int64) Withdrawal {
	var w Withdrawal
	if o.Passage(handed) == Waiting && !newest.Retire {
		w.Drop, o.Queued = o.Queued, 0
	}
	if o.Queued == 0 {
		o.Queued, newest = underWay.Seq, underWay
	}
	row := Row{Seq: seq, Retire: true, Name: o.Name, Created: o.Created, ValidUntil: now}
	mayArrive := o.Queued != 0 && !newest.Retire
	if mayArrive {
		row.Name, row.Created = newest.Name, newest.Created
		o.AssumeAccepted(newest)
	}
	retiring := o.Queued != 0 && newest.Retire
	if !retiring && (mayArrive || o.State == Live && o.ValidUntil > now) {
		w.Retirement = row
		o.Queued = seq
	}
	o.loseWinner(Origin{QueryNobody, int64(o.Loss())}, generation)
	return w
}

// Abandon leaves an object where it is, since its workspace is not served any more. Should that be served again, the object is
// one that departed, unless a query gives it: nothing was read yet.
func (o *Object) Abandon(generation int64) {
	o.loseWinner(Origin{QueryVacant, int64(Uncertain)}, generation)
}

func (o *Object) loseWinner(holder Origin, generation int64) {
	if o.Holder() == Won {
		o.Left = generation
	}
	o.Winner, o.Resend = holder, true
}
