package pipeline

import (
	"context"
	"fmt"
	"slices"
	"strings"
	"time"

	"mssentinel/app/job"
	"mssentinel/app/ledger"
	"mssentinel/app/retry"
	"mssentinel/app/store"
	"mssentinel/app/threatconnect"
)

// readAll reads what the job's mode asks for. Once it returns, everything was handed to Convert.
func (r *reader) readAll() error {
	if err := r.checkOwners(); err != nil {
		return err
	}
	r.download.setDetail("Looking for what has gone")
	if r.job.Mode == job.Delta && !r.job.Ranged {
		// Before what has come: what was deleted and created again is on both lists.
		if err := r.readDepartures(); err != nil {
			return err
		}
	}
	r.reading.beginQueries(len(r.queries))
	for i, q := range r.queries {
		r.download.setDetail("Reading query %d of %d", i+1, len(r.queries))
		r.reading.beginQuery()
		if err := r.readQuery(q); err != nil {
			return err
		}
		// Before the next query takes over what this one could not read.
		if err := r.recheckOwners(); err != nil {
			return err
		}
	}
	r.download.setDetail("Looking for what has gone")
	if r.job.Mode.ReadsAll() && len(r.failures) > 0 {
		// A complete read tells by itself what has gone. This is none, and the marks of the others move.
		if err := r.readDepartures(); err != nil {
			return err
		}
	}
	if err := r.readRetried(); err != nil {
		return err
	}
	if err := r.sweepDeparted(); err != nil {
		return err
	}
	if err := r.fillVacancies(); err != nil {
		return err
	}
	if err := r.readRecent(); err != nil {
		return err
	}
	return r.reportUnlisted()
}

// readRetried asks for the indicators that were retried on REPORT. Those of a query that cannot be read wait for another update.
func (r *reader) readRetried() error {
	for after := (ledger.Origin{}); ; {
		origins, err := r.ledger.Rechecks(r.ctx, after, idsPerRead)
		if err != nil {
			return fmt.Errorf("looking for what was retried on REPORT: %w", err)
		}
		if len(origins) == 0 {
			return nil
		}
		after = origins[len(origins)-1]
		if err := r.recheckOrigins(origins, ledger.Uncertain); err != nil {
			return err
		}
		if err := r.awaitApplied(r.attempt); err != nil {
			return err
		}
		origins = slices.DeleteFunc(origins, func(o ledger.Origin) bool { return r.hasFailed(o.Query) })
		err = r.disk.retryWrite(r.ctx, func(ctx context.Context) error { return r.ledger.DropRechecks(ctx, origins) })
		if err != nil {
			return err
		}
	}
}

// checkOwners finds queries whose owners the API user does not see any more. ThreatConnect answers them with less, not
// with an error, and nothing may be retired because of that.
func (r *reader) checkOwners() error {
	owners, err := r.threatConnect.Owners(r.ctx)
	if err != nil {
		return wrapRefusal(fmt.Errorf("listing the owners in ThreatConnect: %w", err))
	}
	r.owners = owners
	for _, q := range r.queries {
		if name, lacks := r.lackedOwner(q); lacks {
			err := fatal{fmt.Errorf("the API user does not see the owner %q; "+
				"restore its access or take the owner out of the query on CONFIGURE", name)}
			if err := r.failQuery(q, err); err != nil {
				return err
			}
		}
	}
	return nil
}

// lackedOwner names an owner of a query that the API user did not see when the owners were last listed.
func (r *reader) lackedOwner(q store.RunQuery) (name string, lacks bool) {
	for _, name := range q.Owners {
		if !r.seesOwner(name) {
			return name, true
		}
	}
	return "", false
}

func (r *reader) seesOwner(name string) bool {
	return slices.ContainsFunc(r.owners, func(o threatconnect.Owner) bool { return strings.EqualFold(o.Name, name) })
}

// The owners are asked for once more up to ownerRetries times, which takes some eight minutes.
const ownerRetries = 9

var ownerPauses = retry.Backoff{First: time.Second, Longest: 5 * time.Minute}

// recheckOwners finds owners that went away while they were read: they were read in part. A restart of ThreatConnect
// just then must not cost the whole read.
func (r *reader) recheckOwners() error {
	for n := 1; ; n++ {
		err := r.checkOwners()
		if err == nil || isPermanent(wrapPermanent(err)) || n > ownerRetries {
			return err
		}
		r.download.noteActivity()
		if err := retry.Sleep(r.ctx, ownerPauses.Pause(n)); err != nil {
			return err
		}
	}
}
