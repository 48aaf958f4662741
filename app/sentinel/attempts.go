package sentinel

import (
	"context"
	"fmt"
	"time"
)

// roleDelays are the pauses after which a request without the role is sent again, about half an hour in all: a new role
// takes minutes to arrive, app/docs/sentinel.md#missing-role.
var roleDelays = []time.Duration{time.Minute, 2 * time.Minute, 4 * time.Minute, 8 * time.Minute, 15 * time.Minute}

// attempts are what has been tried to get one request through.
type attempts struct {
	outage  outage
	renewed bool // the token, because of a 401
	roles   int  // how many pauses were made for a role
}

// sendRequest sends the objects with these indexes until Sentinel has said something about them.
func (d *delivery) sendRequest(ctx context.Context, part []int) (exchange, error) {
	body := requestBody(d.source, d.objects, part)
	var a attempts
	for {
		x, err := d.client.sendOnce(ctx, body, len(part), d.sleepReported)
		if err != nil {
			return x, err
		}
		if x.action == actionAccept || x.action == actionBisect {
			return x, nil
		}
		if err := d.client.pacer.recordEnd(ctx, x.slot, x.at); err != nil {
			return x, err
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
		d.client.pacer.pauseRequests(x.wait)
		return context.Cause(ctx)
	case actionRetry:
		return d.awaitRecovery(ctx, x, &a.outage)
	case actionFail:
		return x.config
	case actionRenewToken:
		if !a.renewed {
			a.renewed = true
			return d.client.tokens.dropToken(ctx, x.token)
		}
	}
	return d.awaitRole(ctx, x, a)
}

// awaitRecovery pauses during an outage, and gives up when it has lasted for an hour. A request whose answer was lost
// is sent again too: Sentinel updates what has the same id, app/docs/sentinel.md#identity-and-updates.
func (d *delivery) awaitRecovery(ctx context.Context, x exchange, o *outage) error {
	pause, ok := o.nextPause(x.wait)
	if !ok {
		return fmt.Errorf("no batch could be delivered to Sentinel for %v: %s", outageBudget, x.text)
	}
	return d.sleepReported(ctx, time.Now().Add(pause), "Sentinel is out of order: "+x.text)
}

// awaitRole pauses for a role that may still be on its way, and gives up after about half an hour.
func (d *delivery) awaitRole(ctx context.Context, x exchange, a *attempts) error {
	if a.roles == len(roleDelays) {
		return &ConfigError{
			"Sentinel does not let the application upload: " + x.text,
			"Give it the role Microsoft Sentinel Contributor on the workspace, under Access control (IAM), " +
				"and check Sentinel Workspace ID.",
		}
	}
	until := time.Now().Add(roleDelays[a.roles])
	a.roles++
	const reason = "Sentinel does not let the application upload; a new role takes minutes to arrive"
	if err := d.sleepReported(ctx, until, reason); err != nil {
		return err
	}
	return d.client.tokens.dropToken(ctx, x.token)
}

func (d *delivery) sleepReported(ctx context.Context, until time.Time, reason string) error {
	return d.client.waits.sleepReported(ctx, until, reason, d.report.OnWait)
}
