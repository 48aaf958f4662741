package sentinel

import (
	"context"
	"slices"
	"time"
)

// Outcome is what became of some objects of a batch.
type Outcome struct {
	// Slot is the slot of the request, to be ended in the transaction that notes the outcome; 0 where there is none to
	// end.
	Slot     int64
	At       time.Time // when the answer arrived
	Accepted []int     // indexes into the objects of the batch
	Rejected []Rejection
	// MayStand are the indexes of those rejected objects that an earlier request held whose answer was lost: Sentinel may
	// have stored them.
	MayStand []int
}

// Report is whom a delivery tells what happens while it goes on.
type Report struct {
	// Settle is called for each request that decided about objects, and for each object that Sentinel rejected alone,
	// from the goroutine that called Deliver. It is told of each object once. What it notes is final even if Deliver
	// fails later. It may be called after the end of ctx. Its error ends Deliver.
	Settle func(Outcome) error

	// OnSend is called before each request, once nothing keeps it back any more, from the goroutine that called Deliver: from
	// then on the objects may be at Sentinel. It may be nil.
	OnSend func()

	// OnWait is told until when deliveries wait and why, in one or more sentences, and the zero time when none waits any
	// more. Where only an operator can heal the cause, the reason says how. During an outage a reason stands while the
	// next attempt is under way; its time is past then. Of several waits it is the one that ends first, whichever delivery of the client it belongs to: deliveries that run at once give
	// the same OnWait. Its calls are in order and never overlap. It has to return soon and must not call the client. It
	// may be nil.
	OnWait func(until time.Time, reason string)
}

// Deliver sends a batch of JSON objects under a source system. It returns nil once each object is accepted or rejected
// and Settle was told so. A batch has at most [MaxObjects] objects, and at most [MaxPayload] bytes of them. The same
// object may be sent more than once, where an answer was lost or was not Sentinel's: Sentinel updates what has the same
// id.
//
// A *[ConfigError] says that nothing can be delivered before an operator changes something. Any other error is an
// outage that lasted for more than an hour, the error of Settle or of the [Slots], or the cause that ended ctx. Objects
// that Settle was not told about have to be delivered again.
//
// When ctx ends, no further request begins, and one under way gets 3.5 s to be answered.
func (c *Client) Deliver(ctx context.Context, source string, objects [][]byte, report Report) error {
	if len(objects) == 0 {
		return nil
	}
	all := make([]int, len(objects))
	for i := range all {
		all[i] = i
	}
	d := &delivery{client: c, source: source, objects: objects, report: report}
	d.report.Settle = func(o Outcome) error {
		o.MayStand = d.findUnanswered(o.Rejected)
		return report.Settle(o)
	}
	c.lone.beginDelivery()
	rest, err := d.sendPart(ctx, all)
	if err == nil {
		err = d.bisect(ctx, rest)
	}
	c.lone.endDelivery()
	if err == nil {
		err = d.settleHeld(ctx)
	}
	return err
}

// delivery is one call of Deliver.
type delivery struct {
	client  *Client
	source  string
	objects [][]byte
	report  Report

	// decided says that Sentinel has accepted an object of this batch, or rejected one by its index: the configuration
	// is right.
	decided bool
	// blocked says that something between refuses a request of this delivery while it lets others pass.
	blocked bool
	held    []heldRejection
	outage  wait // whose reason is shown; zero for none
	// unanswered are the indexes of the objects that a request held which was not answered by Sentinel.
	unanswered map[int]bool
}

// sendPart sends the objects with these indexes until Sentinel has decided about each, or has rejected all that are
// left without naming one. Those are returned.
func (d *delivery) sendPart(ctx context.Context, part []int) (undecided, error) {
	for len(part) > 0 {
		x, err := d.sendRequest(ctx, part)
		if err != nil {
			return undecided{}, err
		}
		o := Outcome{At: x.at}
		o.addDecision(x.decision, part)
		part = slices.DeleteFunc(slices.Clone(part), o.hasIndex)
		if len(o.Accepted)+len(o.Rejected) == 0 {
			if err := d.client.pacer.recordEnd(ctx, x.slot, x.at); err != nil {
				return undecided{}, err
			}
			return undecided{part, x.text, x.between, x.at}, nil
		}
		o.Slot = x.slot
		if err := d.settleDecided(o); err != nil {
			return undecided{}, err
		}
	}
	return undecided{}, nil
}

// addDecision turns a decision, whose indexes count the objects of a request, into an outcome for those of the batch.
func (o *Outcome) addDecision(d decision, part []int) {
	for _, r := range d.rejected {
		r.Index = part[r.Index]
		o.Rejected = append(o.Rejected, r)
	}
	if d.action != actionAccept {
		return
	}
	for _, i := range part {
		if !o.hasIndex(i) {
			o.Accepted = append(o.Accepted, i)
		}
	}
}

func (o *Outcome) hasIndex(i int) bool {
	return slices.Contains(o.Accepted, i) ||
		slices.ContainsFunc(o.Rejected, func(r Rejection) bool { return r.Index == i })
}

// settleDecided settles an outcome which proves that the configuration is right.
func (d *delivery) settleDecided(o Outcome) error {
	d.decided = true
	d.client.lone.startOver()
	return d.report.Settle(o)
}
