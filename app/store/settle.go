package store

import (
	"context"
	"encoding/json"
	"fmt"
	"time"

	"mssentinel/app/job"
	"mssentinel/app/ledger"
)

// Settlement is what Sentinel answered to a request.
type Settlement struct {
	// Slot is the request's, 0 for none.
	Slot     int64
	At       time.Time
	Accepted []Outgoing
	Rejected []RejectedObject
}

// RejectedObject is an object that Sentinel does not take.
type RejectedObject struct {
	Outgoing
	Code    job.Code
	Message string
	// MayStand: an earlier request with the object was not answered, so that it may stand all the same.
	MayStand bool
}

// Settle writes down what Sentinel answered: ledger, sends, counts, lines on REPORT, and the end of the slot, in one
// transaction with taking the rows off the outbox. What was settled before is passed over.
func (s *Store) Settle(ctx context.Context, st Settlement) error {
	return s.inTransaction(ctx, func(ctx context.Context, tx *transaction) error {
		x := &settlement{Settlement: st, store: s, tx: tx, at: toMillis(st.At), tally: job.Tally{}, days: map[int64]*day{}}
		if err := x.takeRows(ctx); err != nil {
			return fmt.Errorf("taking what was sent off the outbox: %w", err)
		}
		if err := dropBlocks(ctx, tx); err != nil {
			return err
		}
		for i := range st.Accepted {
			if err := x.acceptRow(ctx, &st.Accepted[i].row); err != nil {
				return err
			}
		}
		for i := range st.Rejected {
			if err := x.rejectRow(ctx, &st.Rejected[i]); err != nil {
				return err
			}
		}
		return x.writeAnswers(ctx)
	})
}

type settlement struct {
	Settlement
	store *Store
	tx    *transaction
	at    int64

	// waiting are the rows that were still in the outbox.
	waiting                            map[int64]bool
	tally                              job.Tally
	days                               map[int64]*day
	accepted, retired, rejected, sends []any
	// mayStand are the rejected ones that may stand all the same, disputed the rejected retirements.
	mayStand, disputed []any
	problems           []newLine
}

func (x *settlement) takeRows(ctx context.Context) error {
	seqs := make([]int64, 0, len(x.Accepted)+len(x.Rejected))
	for i := range x.Accepted {
		seqs = append(seqs, x.Accepted[i].Seq)
	}
	for i := range x.Rejected {
		seqs = append(seqs, x.Rejected[i].Seq)
	}
	rows, err := x.tx.QueryContext(ctx, `DELETE FROM outbox WHERE seq IN (SELECT value FROM json_each(?)) RETURNING seq`, jsonList(seqs))
	if err != nil {
		return err
	}
	defer rows.Close()
	x.waiting = make(map[int64]bool, len(seqs))
	for rows.Next() {
		var seq int64
		if err := rows.Scan(&seq); err != nil {
			return err
		}
		x.waiting[seq] = true
	}
	return rows.Err()
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
	d := x.days[r.typ]
	if d == nil {
		d = new(day)
		x.days[r.typ] = d
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
	x.sends = append(x.sends, r.object, x.at, r.job, r.Retire, r.Query, r.Indicator)
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
	x.problems = appendProblem(x.problems, r.job, r.Query, job.Problem{DateAdded: x.At, Step: job.StepUpload, Code: o.Code,
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
	insertSends = newBulk(6, `INSERT OR REPLACE INTO send (object, at, job, retire, query, indicator) VALUES `, ``)
)

func (x *settlement) writeAnswers(ctx context.Context) error {
	for _, w := range []struct {
		bulk   bulk
		values []any
	}{{accept, x.accepted}, {acceptRetirement, x.retired}, {reject, x.rejected},
		{rejectMayStand, x.mayStand}, {rejectRetirement, x.disputed}, {insertSends, x.sends}} {
		if err := w.bulk.execRows(ctx, x.tx, w.values); err != nil {
			return fmt.Errorf("writing down what Sentinel answered: %w", err)
		}
	}
	if err := addProblems(ctx, x.tx, x.problems); err != nil {
		return err
	}
	if err := writeTally(ctx, x.tx, x.tally); err != nil {
		return err
	}
	if err := addDay(ctx, x.tx, x.At, x.days); err != nil {
		return err
	}
	if x.Slot == 0 {
		return nil
	}
	return endSlot(ctx, x.tx, x.Slot, x.At)
}
