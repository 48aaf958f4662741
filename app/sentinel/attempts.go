package sentinel

import (
	"context"
	"fmt"
	"time"
)

// roleDelays are the pauses after which a request without the role is sent again, about half an hour in all: a new role
// takes minutes to arrive, app/docs/sentinel.md#missing-role.
var roleDelays = []time.Duration{time.Minute, 2 * time.Minute, 4 * time.Minute, 8 * time.Minute, 15 * time.Minute}

// audienceDelays are those where Azure Cloud is a likelier cause.
var audienceDelays = roleDelays[:2]

// attempts are what has been tried to get one request through.
type attempts struct {
	outage  outage
	foreign int  // answers in a row that were not Sentinel's
	refused int  // how many times something between refused it while others passed
	renewed bool // the token, because of a 401
	roles   int  // how many pauses were made for a role
}

// sendRequest sends the objects with these indexes until Sentinel has said something about them, or something between
// refuses them alone.
func (d *delivery) sendRequest(ctx context.Context, part []int) (exchange, error) {
	body := newRequestBody(d.source, d.objects, part)
	defer d.endOutage()
	var a attempts
	for {
		x, err := d.client.sendOnce(ctx, body, len(part), d)
		if err != nil {
			return x, err
		}
		d.noteUnanswered(x, part)
		if x.action == actionAccept || x.action == actionBisect {
			return x, nil
		}
		if err := d.client.pacer.recordEnd(ctx, x.slot, x.at); err != nil {
			return x, err
		}
		if x.action = a.chooseAction(x.decision, d.blocked); x.action == actionProbe {
			if err := d.resolveProbe(ctx, &x, part, &a); err != nil {
				return x, err
			}
			if x.action == actionBisect {
				return x, nil
			}
		}
		if err := d.retryRequest(ctx, x, &a); err != nil {
			return x, err
		}
	}
}

// retryRequest does what has to happen before a request is sent again. Its error says why there is no sense in that.
func (d *delivery) retryRequest(ctx context.Context, x exchange, a *attempts) error {
	if x.action != actionRetry {
		a.outage = outage{}
	}
	switch x.action {
	case actionThrottle:
		d.endOutage()
		return context.Cause(ctx)
	case actionRetry:
		return d.awaitRecovery(ctx, x, &a.outage)
	case actionFail:
		return x.fault.configError()
	case actionRenewToken:
		a.renewed = true
		return d.client.tokens.dropToken(ctx, x.token)
	}
	return d.awaitRole(ctx, x, a)
}

// awaitRecovery pauses during an outage, and gives up when it has lasted for an hour. A request whose answer was lost
// is sent again too: Sentinel updates what has the same id, app/docs/sentinel.md#identity-and-updates.
func (d *delivery) awaitRecovery(ctx context.Context, x exchange, o *outage) error {
	pause, ok := o.nextPause(x.wait)
	if !ok {
		return fmt.Errorf("no batch could be delivered to Sentinel for %v: %s", outageBudget, x.fault.sentences())
	}
	return d.sleepOutage(ctx, time.Now().Add(pause), x.fault.sentences())
}

// awaitRole pauses for a role that may still be on its way, and gives up after about half an hour.
func (d *delivery) awaitRole(ctx context.Context, x exchange, a *attempts) error {
	delays := roleDelays
	if x.fault == audienceFault {
		delays = audienceDelays
	}
	if a.roles >= len(delays) {
		return x.fault.configError()
	}
	until := time.Now().Add(delays[a.roles])
	a.roles++
	if err := d.sleepOutage(ctx, until, x.fault.sentences()); err != nil {
		return err
	}
	return d.client.tokens.dropToken(ctx, x.token)
}
