package sentinel

import "context"

// What stands between this Service and Sentinel, a firewall or a proxy, may refuse a request because of one record in
// it, or all requests. Which of them is told by a request without objects,
// app/docs/sentinel.md#whose-word-an-answer-is.

const (
	// suspectAfter is after how many answers in a row that are not Sentinel's, to one request, it is found out whether
	// others pass.
	suspectAfter = 6
	// suspectSoon holds where that was so with a request of the same delivery.
	suspectSoon = 2
	// refusedOften is how many times an object alone has to be refused before it is reported: what strikes at random
	// passes sooner.
	refusedOften = 3
)

// chooseAction is what to do after a decision, in view of what was tried. blocked says that something between refuses
// other requests of the delivery because of what is in them.
func (a *attempts) chooseAction(d decision, blocked bool) action {
	if !d.persists {
		a.foreign = 0
	} else if a.foreign++; a.foreign >= suspectAfter || blocked && a.foreign >= suspectSoon {
		a.foreign = 0
		return actionProbe
	}
	if d.action == actionRenewToken && a.renewed {
		return d.refused
	}
	return d.action
}

// resolveProbe finds out whether other requests pass while something between refuses this one, and sets what to do: to
// bisect it if they do. An object alone has to be refused several times.
func (d *delivery) resolveProbe(ctx context.Context, x *exchange, part []int, a *attempts) error {
	passes, err := d.othersPass(ctx, part)
	if err != nil {
		return err
	}
	if !passes {
		x.action = x.refused
		return nil
	}
	if a.refused++; len(part) > 1 || a.refused >= refusedOften {
		x.action, x.between = actionBisect, true
		return nil
	}
	a.outage = outage{} // there is none
	x.action = actionRetry
	x.fault = fault{message: "A firewall or proxy refuses a record while others pass: " + x.text}
	return nil
}

// othersPass finds out whether other requests pass. That is known where it was so before in this delivery, except for an
// object alone, which is going to be reported.
func (d *delivery) othersPass(ctx context.Context, part []int) (bool, error) {
	if d.blocked && len(part) > 1 {
		return true, nil
	}
	passes, err := d.probePath(ctx)
	d.blocked = d.blocked || passes
	return passes, err
}

// probePath finds out whether a request without objects gets to Sentinel. It stores nothing. What Sentinel says of it
// does not matter.
func (d *delivery) probePath(ctx context.Context) (passes bool, err error) {
	x, err := d.client.sendOnce(ctx, newRequestBody(d.source, nil, nil), 0, d)
	if err != nil {
		return false, err
	}
	if err := d.client.pacer.recordEnd(ctx, x.slot, x.at); err != nil {
		return false, err
	}
	return !x.foreign || x.action == actionBisect, nil
}
