package sentinel

import (
	"context"
	"time"

	"mssentinel/app/text"
)

// undecided are the objects of a request that was rejected as a whole, without naming the one that is wrong.
type undecided struct {
	part    []int
	text    string
	between bool // it was something between this Service and Sentinel that rejected it
	at      time.Time
}

// bisect finds the objects because of which a request was rejected as a whole. Both halves are sent before one of them
// is halved again: mostly the half without a bad object is accepted at once, which shows early that the configuration
// is right.
func (d *delivery) bisect(ctx context.Context, rest undecided) error {
	switch len(rest.part) {
	case 0:
		return nil
	case 1:
		return d.settleLone(rest)
	}
	middle := (len(rest.part) + 1) / 2
	first, err := d.sendPart(ctx, rest.part[:middle])
	if err != nil {
		return err
	}
	second, err := d.sendPart(ctx, rest.part[middle:])
	if err != nil {
		return err
	}
	if err := d.bisect(ctx, first); err != nil {
		return err
	}
	return d.bisect(ctx, second)
}

// heldRejection is an object that was rejected alone, held back until it is known whether the object or the
// configuration is the cause.
type heldRejection struct {
	undecided
	rejection Rejection
	cause     *rejectionCause
}

// settleLone settles an object that was rejected alone without being named. Where it is not known whether the
// configuration is right, it is held back.
func (d *delivery) settleLone(rest undecided) error {
	message := text.Cut(rest.whoRejects()+" every batch that holds this record: "+rest.text, maxMessage)
	h := heldRejection{rejection: Rejection{rest.part[0], CodeBatchRejected, message}, undecided: rest}
	if d.decided {
		return d.report.Settle(h.outcome())
	}
	h.cause = d.client.lone.addRejection(rest.rowText())
	d.held = append(d.held, h)
	if h.cause.isConfig() {
		return rest.allRejectedError()
	}
	return nil
}

// rowText is what rejections of one cause have in common. What stands between may number its pages.
func (u undecided) rowText() string {
	if u.between {
		return u.whoRejects()
	}
	return u.text
}

func (u undecided) whoRejects() string {
	if u.between {
		return "A firewall or proxy between this Service and Sentinel refuses"
	}
	return "Sentinel rejects"
}

// settleHeld waits until the cause of each held rejection is known, and settles those whose cause is the object.
func (d *delivery) settleHeld(ctx context.Context) error {
	for _, h := range d.held {
		select {
		case <-h.cause.known:
		case <-ctx.Done():
			return context.Cause(ctx)
		}
		if h.cause.isConfig() {
			return h.allRejectedError()
		}
		if err := d.report.Settle(h.outcome()); err != nil {
			return err
		}
	}
	return nil
}

func (h heldRejection) outcome() Outcome {
	return Outcome{At: h.at, Rejected: []Rejection{h.rejection}}
}

func (u undecided) allRejectedError() error {
	remedy := "Check Sentinel Workspace ID, Sentinel Source Name and Azure Cloud."
	if u.between {
		remedy = "Have it let this machine upload to Sentinel."
	}
	return fault{
		u.whoRejects() + " one record after the other with the same words: " + u.text,
		remedy + " The records stay queued.",
	}.configError()
}
