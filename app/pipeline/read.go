package pipeline

import (
	"fmt"
	"slices"
	"strings"
	"time"

	"mssentinel/app/job"
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
	if r.job.Mode == job.Delta {
		// Before what has come: what was deleted and created again is on both lists.
		if err := r.readDepartures(); err != nil {
			return err
		}
	}
	for i, q := range r.queries {
		r.download.setDetail("Reading query %d of %d", i+1, len(r.queries))
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
	if err := r.sweepDeparted(); err != nil {
		return err
	}
	if err := r.fillVacancies(); err != nil {
		return err
	}
	return r.reportUnlisted()
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
