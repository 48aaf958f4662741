package store

import (
	"context"
	"encoding/json"
	"fmt"
	"sync"
	"time"

	"mssentinel/app/job"
	"mssentinel/app/ledger"
)

// Settlement is what Sentinel answered to a request.
type Settlement struct {
	// Slot is the request's, 0 for none.
	Slot     int64
	At       time.Time
	Accepted []*Outgoing
	Rejected []RejectedObject
}

// RejectedObject is an object that Sentinel does not take.
type RejectedObject struct {
	*Outgoing
	Code    job.Code
	Message string
	// MayStand: an earlier request with the object was not answered, so that it may stand all the same.
	MayStand bool
}

// settling gathers the answers that come in while one is written: they are written together, in one transaction. An update without
// a limit has several requests under way, and counts and commits would cost each of them as much as its objects.
type settling struct {
	mutex   sync.Mutex
	waiting []*pendingSettlement
	// turn is held by who writes.
	turn chan struct{}
}

// pendingSettlement is one that waits; decided and err are of who has the turn.
type pendingSettlement struct {
	Settlement
	decided bool
	err     error
}

func (g *settling) add(p *pendingSettlement) {
	g.mutex.Lock()
	defer g.mutex.Unlock()
	g.waiting = append(g.waiting, p)
}

func (g *settling) takeAll() []*pendingSettlement {
	g.mutex.Lock()
	defer g.mutex.Unlock()
	all := g.waiting
	g.waiting = nil
	return all
}

// Settle writes down what Sentinel answered: ledger, sends, counts, lines on REPORT, and the end of the slot, in one
// transaction with taking the rows off the outbox. What was settled before is passed over. It does not end with ctx: Sentinel holds
// the objects, whoever waits.
func (s *Store) Settle(ctx context.Context, st Settlement) error {
	p := &pendingSettlement{Settlement: st}
	s.settling.add(p)
	s.settling.turn <- struct{}{}
	defer func() { <-s.settling.turn }()
	if !p.decided {
		s.settleWaiting(context.WithoutCancel(ctx))
	}
	return p.err
}

// settleWaiting settles all that wait once the writer is free. One that cannot be written fails alone.
func (s *Store) settleWaiting(ctx context.Context) {
	var group []*pendingSettlement
	err := s.inTransaction(ctx, func(ctx context.Context, tx *transaction) error {
		group = s.settling.takeAll()
		return s.settleGroup(ctx, tx, group)
	})
	if group == nil { // the transaction could not begin
		group = s.settling.takeAll()
	}
	for _, p := range group {
		p.decided, p.err = true, err
		if err == nil || len(group) == 1 || Unavailable(err) {
			continue
		}
		p.err = s.inTransaction(ctx, func(ctx context.Context, tx *transaction) error {
			return s.settleGroup(ctx, tx, []*pendingSettlement{p})
		})
	}
}

func (s *Store) settleGroup(ctx context.Context, tx *transaction, group []*pendingSettlement) error {
	x := &settlement{store: s, tx: tx, tally: job.Tally{}, days: map[dayOfType]*day{}}
	if err := x.takeRows(ctx, group); err != nil {
		return fmt.Errorf("taking what was sent off the outbox: %w", err)
	}
	for _, p := range group {
		x.at = p.At
		for i := range p.Accepted {
			if err := x.acceptRow(ctx, &p.Accepted[i].row); err != nil {
				return err
			}
		}
		for i := range p.Rejected {
			if err := x.rejectRow(ctx, &p.Rejected[i]); err != nil {
				return err
			}
		}
		if p.Slot == 0 {
			continue
		}
		if err := endSlot(ctx, tx, p.Slot, p.At); err != nil {
			return err
		}
	}
	return x.writeAnswers(ctx)
}

// settlement is what a group of answers changes. No two of them are about one object: a row does not leave while an earlier one of
// its object is under way.
type settlement struct {
	store *Store
	tx    *transaction
	// at is when the answer came that is taken in.
	at time.Time

	// waiting are the rows that were still in the outbox.
	waiting                     map[int64]bool
	tally                       job.Tally
	days                        map[dayOfType]*day
	accepted, retired, rejected []any
	sends                       []newSend
	// mayStand are the rejected ones that may stand all the same, disputed the rejected retirements.
	mayStand, disputed []any
	problems           []newLine
}

func (x *settlement) takeRows(ctx context.Context, group []*pendingSettlement) error {
	var seqs []int64
	for _, p := range group {
		for i := range p.Accepted {
			seqs = append(seqs, p.Accepted[i].Seq)
		}
		for i := range p.Rejected {
			seqs = append(seqs, p.Rejected[i].Seq)
		}
	}
	x.accepted, x.sends = make([]any, 0, accept.columns*len(seqs)), make([]newSend, 0, len(seqs))
	x.waiting = make(map[int64]bool, len(seqs))
	for _, seq := range seqs {
		x.waiting[seq] = x.store.unwritten.find(seq) != nil
	}
	written, err := x.store.forgetSettled(ctx, x.tx, seqs)
	if err != nil || len(written) == 0 {
		return err
	}
	var taken []int64
	err = x.tx.SelectContext(ctx, &taken, `DELETE FROM outbox WHERE seq IN (SELECT value FROM json_each(?)) RETURNING seq`, jsonList(written))
	if err != nil {
		return err
	}
	for _, seq := range taken {
		x.waiting[seq] = true
	}
	return dropBlocks(ctx, x.tx)
}

// findCounts are what a row is counted in; nil for a row that the outbox knew no more: it was counted before, or its job was
// cancelled.
func (x *settlement) findCounts(ctx context.Context, r *outboxRow) (*job.Counts, *day, error) {
	if !x.waiting[r.Seq] {
		return nil, nil, nil
	}
	delete(x.waiting, r.Seq)
	typ, err := x.store.names.typeName(ctx, x.tx, r.typ)
	if err != nil {
		return nil, nil, err
	}
	of := dayOfType{dayNumber(x.at), r.typ}
	d := x.days[of]
	if d == nil {
		d = new(day)
		x.days[of] = d
	}
	return x.tally.Of(r.job, r.Query, typ), d, nil
}

func (x *settlement) acceptRow(ctx context.Context, r *outboxRow) error {
	count, d, err := x.findCounts(ctx, r)
	if err != nil {
		return err
	}
	// Sentinel holds it, whether the outbox knows it or not.
	if r.Retire {
		x.retired = append(x.retired, r.object, r.Seq, r.ValidUntil)
	} else {
		x.accepted = append(x.accepted, r.object, r.Seq, r.sent.value, r.sent.owner, r.Created, r.ValidUntil)
	}
	switch {
	case count == nil:
		return nil
	case r.Retire:
		count.Retired++
		d.retired++
	default:
		count.Uploaded++
		d.sent++
	}
	x.sends = append(x.sends, newSend{r.object, r.Indicator, delivery{toMillis(x.at), r.job, r.Retire, r.Query}})
	return nil
}

func (x *settlement) rejectRow(ctx context.Context, o *RejectedObject) error {
	r := &o.row
	count, d, err := x.findCounts(ctx, r)
	if count == nil || err != nil {
		return err
	}
	count.Rejected++
	d.rejected++
	switch {
	case r.Retire:
		x.disputed = append(x.disputed, r.object, r.Seq)
	case o.MayStand || o.repeated:
		x.mayStand = append(x.mayStand, r.object, r.Seq, r.sent.value, r.sent.owner, r.Created, r.ValidUntil)
	default:
		x.rejected = append(x.rejected, r.object, r.Seq)
	}
	typ, err := x.store.names.typeName(ctx, x.tx, r.typ)
	if err != nil {
		return err
	}
	var sent struct{ Name string }
	if err := json.Unmarshal(o.Payload, &sent); err != nil {
		return fmt.Errorf("reading the name of what was rejected: %w", err)
	}
	subject := job.Subject{Indicator: r.Indicator, Type: typ}
	subject.Value, subject.Owner = splitName(sent.Name)
	x.problems = appendProblem(x.problems, r.job, r.Query, job.Problem{DateAdded: x.at, Step: job.StepUpload, Code: o.Code,
		Message: o.Message, Subject: subject, Raw: string(o.Payload)})
	return nil
}

// departsAgain is when an object departs once more because its retirement was rejected.
var departsAgain = fmt.Sprintf(`query = %d AND state = %d AND queued IN (0, ?2)`, ledger.QueryNobody, ledger.Live)

// The transitions of the same names of ledger.Object, for many rows: this is where every object passes through, and reading it
// first would cost as much again. TestSettlementsFollowTheLedger holds them to the functions.
var (
	accept = newSingle(6, fmt.Sprintf(`UPDATE object SET settled = ?2, queued = iif(queued = ?2, 0, queued), state = %d,
		value = ?3, owner = ?4, created = ?5, valid_until = ?6 WHERE number = ?1 AND settled < ?2`, ledger.Live))
	acceptRetirement = newSingle(3, fmt.Sprintf(`UPDATE object SET settled = ?2, queued = iif(queued = ?2, 0, queued), state = %d,
		valid_until = ?3 WHERE number = ?1 AND settled < ?2`, ledger.Retired))
	reject = newSingle(2, `UPDATE object SET settled = ?2, queued = iif(queued = ?2, 0, queued)
		WHERE number = ?1 AND settled < ?2`)
	// rejectMayStand is Reject of what may stand.
	rejectMayStand = newSingle(6, fmt.Sprintf(`UPDATE object SET settled = ?2, queued = iif(queued = ?2, 0, queued), state = %[1]d,
		value = ?3, owner = ?4, created = ?5, valid_until = iif(state = %[1]d, max(valid_until, ?6), ?6) WHERE number = ?1 AND settled < ?2`, ledger.Live))
	rejectRetirement = newSingle(2, fmt.Sprintf(`UPDATE object SET settled = ?2, queued = iif(queued = ?2, 0, queued),
		query = iif(%[1]s, %[2]d, query), indicator = iif(%[1]s, %[3]d, indicator),
		left_in = iif(%[1]s, (SELECT generation FROM destination WHERE destination.number = object.destination), left_in)
		WHERE number = ?1 AND settled < ?2`, departsAgain, ledger.QueryVacant, ledger.Disputed))
)

func (x *settlement) writeAnswers(ctx context.Context) error {
	for _, w := range []struct {
		bulk   bulk
		values []any
	}{{accept, x.accepted}, {acceptRetirement, x.retired}, {reject, x.rejected},
		{rejectMayStand, x.mayStand}, {rejectRetirement, x.disputed}} {
		if err := w.bulk.execRows(ctx, x.tx, w.values); err != nil {
			return fmt.Errorf("writing down what Sentinel answered: %w", err)
		}
	}
	if err := addSends(ctx, x.tx, x.sends); err != nil {
		return fmt.Errorf("writing down what was sent: %w", err)
	}
	if err := addProblems(ctx, x.tx, x.problems); err != nil {
		return err
	}
	if err := writeTally(ctx, x.tx, x.tally); err != nil {
		return err
	}
	return addDays(ctx, x.tx, x.days)
}
