package sentinel

import (
	"context"
	"fmt"
	"slices"
	"time"
)

// Outcome is what became of some objects of a batch.
type Outcome struct {
	// Slot is the slot of the request, to be ended in the transaction that notes the outcome; 0 when there is none to end.
	Slot     int64
	At       time.Time // when the answer arrived
	Accepted []int     // indexes into the objects of the batch
	Refused  []Refusal
}

// Report is whom a delivery tells what happens while it goes on.
type Report struct {
	// Settle is called, from the goroutine of the caller, once for each request that decided about objects and once for each
	// record found guilty; each object is named once. What it notes is final even if Deliver fails later. Its error ends Deliver.
	Settle func(Outcome) error

	// OnWait is told until when deliveries wait and why, and the zero time when none waits any more. Of several waits it is the
	// one that ends first, whichever delivery of the client it belongs to: deliveries that run at once give the same OnWait.
	// It may be nil, has to return soon, and must not call the client. It is never called twice at the same time.
	OnWait func(until time.Time, reason string)
}

// roleDelays are the pauses after which a refusal for lack of a role is tried again: a role takes minutes to arrive.
var roleDelays = []time.Duration{time.Minute, 2 * time.Minute, 4 * time.Minute, 8 * time.Minute, 15 * time.Minute}

// Deliver sends a batch of JSON objects under a source system and returns nil when every one is accepted or refused. The
// batch keeps to [MaxObjects] and [MaxBytes], for which [Room] helps.
//
// A *[ConfigError] says that the job cannot go on before somebody changes something. Any other error is an outage of more
// than an hour, the error of Report.Settle or of the [Slots], or that of ctx. Whatever Settle was not told about has to be sent again.
//
// When ctx ends, no further request begins, and one in flight gets 3.5 s, so that Settle may be called after the end of ctx.
func (c *Client) Deliver(ctx context.Context, source string, objects [][]byte, report Report) error {
	if len(objects) == 0 {
		return nil
	}
	all := make([]int, len(objects))
	for i := range all {
		all[i] = i
	}
	d := &delivery{client: c, source: source, objects: objects, report: report}
	c.doubt.enter()
	left, err := d.send(ctx, all)
	if err == nil {
		err = d.halve(ctx, left)
	}
	c.doubt.leave()
	if err == nil {
		err = d.sentence(ctx)
	}
	return err
}

// delivery is one call of Deliver.
type delivery struct {
	client  *Client
	source  string
	objects [][]byte
	report  Report

	judged bool // Sentinel has taken or judged a record of this batch, so that the configuration is right
	held   []suspect
}

// suspect is a record that was refused alone, for whatever reason.
type suspect struct {
	refusal Refusal
	text    string
	at      time.Time
	asked   *question
}

// remainder is what an answer left undecided.
type remainder struct {
	part []int
	text string
	at   time.Time
}

// halve finds the culprits in what was refused as a whole. Both halves are tried before one is halved again: mostly the one
// without culprit is accepted at once, which shows early that the configuration is not to blame.
func (d *delivery) halve(ctx context.Context, left remainder) error {
	switch len(left.part) {
	case 0:
		return nil
	case 1:
		return d.alone(left)
	}
	middle := (len(left.part) + 1) / 2
	first, err := d.send(ctx, left.part[:middle])
	if err != nil {
		return err
	}
	second, err := d.send(ctx, left.part[middle:])
	if err != nil {
		return err
	}
	if err := d.halve(ctx, first); err != nil {
		return err
	}
	return d.halve(ctx, second)
}

// send sends a part until Sentinel decides about it. What it refused without saying which record is to blame is left.
func (d *delivery) send(ctx context.Context, part []int) (remainder, error) {
	for len(part) > 0 {
		x, err := d.insist(ctx, part)
		if err != nil {
			return remainder{}, err
		}
		o := Outcome{At: x.at}
		o.take(x.decision, part)
		part = slices.DeleteFunc(slices.Clone(part), o.names)
		if len(o.Accepted)+len(o.Refused) == 0 {
			if err := d.client.pacer.end(ctx, x.slot, x.at); err != nil {
				return remainder{}, err
			}
			return remainder{part, x.text, x.at}, nil
		}
		o.Slot = x.slot
		if err := d.conclude(o); err != nil {
			return remainder{}, err
		}
	}
	return remainder{}, nil
}

// take turns a decision about the objects of a request into an outcome for those of the batch.
func (o *Outcome) take(d decision, part []int) {
	for _, r := range d.refused {
		r.Index = part[r.Index]
		o.Refused = append(o.Refused, r)
	}
	if d.action != accept {
		return
	}
	for _, i := range part {
		if !o.names(i) {
			o.Accepted = append(o.Accepted, i)
		}
	}
}

func (o *Outcome) names(i int) bool {
	return slices.Contains(o.Accepted, i) || slices.ContainsFunc(o.Refused, func(r Refusal) bool { return r.Index == i })
}

// conclude settles an outcome that shows that the configuration is right.
func (d *delivery) conclude(o Outcome) error {
	d.judged = true
	d.client.doubt.clear()
	return d.report.Settle(o)
}

// alone deals with a record that was refused alone and without saying that the record is to blame.
func (d *delivery) alone(left remainder) error {
	message := cut("Sentinel refuses every batch that holds this record: "+left.text, maxMessage)
	s := suspect{refusal: Refusal{left.part[0], CodeBatchRefused, message}, text: left.text, at: left.at}
	if d.judged {
		return d.report.Settle(s.outcome())
	}
	s.asked = d.client.doubt.alone(left.text)
	d.held = append(d.held, s)
	if s.asked.guilty() {
		return blame(left.text)
	}
	return nil
}

// sentence waits until it is known who is to blame for the suspects, and settles them as refused if they are.
func (d *delivery) sentence(ctx context.Context) error {
	for _, s := range d.held {
		select {
		case <-s.asked.answered:
		case <-ctx.Done():
			return ctx.Err()
		}
		if s.asked.config {
			return blame(s.text)
		}
		if err := d.report.Settle(s.outcome()); err != nil {
			return err
		}
	}
	return nil
}

func (s suspect) outcome() Outcome { return Outcome{At: s.at, Refused: []Refusal{s.refusal}} }

func blame(text string) error {
	return &ConfigError{
		"Sentinel refuses one record after the other with the same words: " + text,
		"Check Sentinel Workspace ID, Sentinel Source Name and Azure Cloud. The records stay queued.",
	}
}

// insist sends a part again and again until Sentinel has said something about its records.
func (d *delivery) insist(ctx context.Context, part []int) (exchange, error) {
	body := requestBody(d.source, d.objects, part)
	var t trials
	for {
		x, err := d.client.exchange(ctx, body, len(part), d.sleep)
		if err != nil {
			return x, err
		}
		if x.action == accept || x.action == narrow {
			return x, nil
		}
		if err := d.client.pacer.end(ctx, x.slot, x.at); err != nil {
			return x, err
		}
		if err := d.again(ctx, x, &t); err != nil {
			return x, err
		}
	}
}

// trials are what has been tried to get one part through.
type trials struct {
	outage  patience
	renewed bool
	roles   int // pauses for a role
}

// again does what has to happen before the part is sent again, or says why that makes no sense.
func (d *delivery) again(ctx context.Context, x exchange, t *trials) error {
	if x.action != retry {
		t.outage = patience{}
	}
	switch x.action {
	case throttle:
		d.client.pacer.pause(x.wait)
		return ctx.Err()
	case retry:
		return d.sitOut(ctx, x, &t.outage)
	case fail:
		return x.config
	case renew:
		if !t.renewed {
			t.renewed = true
			return d.client.tokens.drop(ctx, x.token)
		}
	}
	return d.awaitRole(ctx, x, t)
}

// sleep waits until an instant and reports it.
func (d *delivery) sleep(ctx context.Context, until time.Time, reason string) error {
	return d.client.waits.sleep(ctx, until, reason, d.report.OnWait)
}

// sitOut waits before a try after an outage. A request whose answer was lost is sent again too: an id that stands is updated.
func (d *delivery) sitOut(ctx context.Context, x exchange, outage *patience) error {
	pause, ok := outage.next(x.wait)
	if !ok {
		return fmt.Errorf("no batch could be delivered to Sentinel for %v: %s", outageBudget, x.text)
	}
	return d.sleep(ctx, time.Now().Add(pause), "Sentinel is out of order: "+x.text)
}

// awaitRole waits for a role, and gives up after about half an hour.
func (d *delivery) awaitRole(ctx context.Context, x exchange, t *trials) error {
	if t.roles == len(roleDelays) {
		return &ConfigError{
			"Sentinel does not let the application upload: " + x.text,
			"Give it the role Microsoft Sentinel Contributor on the workspace, under Access control (IAM), and check Sentinel Workspace ID.",
		}
	}
	pause := roleDelays[t.roles]
	t.roles++
	if err := d.sleep(ctx, time.Now().Add(pause), "Sentinel does not let the application upload; a new role takes minutes to arrive"); err != nil {
		return err
	}
	return d.client.tokens.drop(ctx, x.token)
}
