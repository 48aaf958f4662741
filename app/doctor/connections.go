package doctor

import (
	"context"
	"errors"
	"fmt"
	"time"

	"mssentinel/app/sentinel"
	"mssentinel/app/text"
	"mssentinel/app/threatconnect"
)

// Connection is what a short test found: for somebody who waits for it, with the first screens before any query.
type Connection struct {
	Works bool
	// Found are sentences, with the remedy where it does not work.
	Found []string
}

func foundBroken(ctx context.Context, err error) Connection {
	return Connection{Found: []string{text.Sentence(describeError(ctx, err))}}
}

// TestThreatConnect asks ThreatConnect with the App's key which owners it may read, and compares the clocks.
func TestThreatConnect(ctx context.Context, client *threatconnect.Client) Connection {
	reply, err := client.Ask(ctx, ownersProbe)
	if err != nil {
		return foundBroken(ctx, err)
	}
	if !reply.Succeeded() {
		if _, err := client.Owners(ctx); err != nil { // which has the remedy
			return foundBroken(ctx, err)
		}
	}
	owners := countReadableOwners(reply.Rows)
	found := []string{fmt.Sprintf("ThreatConnect at %s takes the Access ID and the Secret Key.", client.Host())}
	if ahead := clockAhead(reply); ahead.Abs() > maxClockOff {
		found = append(found, fmt.Sprintf("Its clock shows %+.0f s from ours: %s", ahead.Seconds(), clockRemedy))
	}
	if owners == 0 {
		return Connection{Found: append(found, "The API user may read the indicators of no owner: "+ownersRemedy)}
	}
	return Connection{Works: true, Found: append(found, fmt.Sprintf("The API user may read the indicators of %d owners.", owners))}
}

// clockAhead is by how much ThreatConnect's clock is ahead of ours, to a second; 0 where it is not told.
func clockAhead(reply threatconnect.Reply) time.Duration {
	if reply.Date.IsZero() {
		return 0
	}
	here := time.Now().Add(-reply.Took / 2)
	return reply.Date.Add(time.Second / 2).Sub(here).Round(time.Second) // Date has no fraction
}

func countReadableOwners(rows [][]byte) (n int) {
	for _, raw := range rows {
		if isReadableOwner(parseTCRow(raw)) {
			n++
		}
	}
	return n
}

// TestSentinel asks Microsoft Entra for a token, and sends Sentinel one object that had expired before, under the source
// of the doctor, which no rule matches.
func TestSentinel(ctx context.Context, o AzureOptions) Connection {
	if _, err := o.Client.Claims(ctx); err != nil && !errors.Is(err, sentinel.ErrUnreadableToken) {
		return foundBroken(ctx, err)
	}
	found := []string{"Microsoft Entra takes the Tenant ID, the Client ID and the Client Secret."}
	r := newAzureRun(o, nil)
	p, err := o.Client.Probe(ctx, r.source, [][]byte{r.encodeObject(firstObject)})
	switch {
	case err != nil && errors.Is(ctx.Err(), context.DeadlineExceeded):
		found = append(found, "Sentinel did not answer in time, or an update uses its limit of requests up: test it again when none runs.")
		return Connection{Found: found}
	case err != nil:
		return Connection{Found: append(found, text.Sentence(describeError(ctx, err)))}
	case p.Refused != nil:
		return Connection{Found: append(found, p.Refused.Message+" "+p.Refused.Remedy)}
	case !p.Accepted || len(p.Rejected) > 0:
		return Connection{Found: append(found, "Sentinel rejects a good object: "+text.Sentence(describeAnswer(p)))}
	}
	return Connection{Works: true, Found: append(found, "Microsoft Sentinel takes objects for the workspace: the role is there.",
		fmt.Sprintf("The object that was sent for this had expired a day before, and stands under %s.", r.source))}
}
