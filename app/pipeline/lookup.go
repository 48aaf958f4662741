package pipeline

import (
	"context"
	"errors"
	"fmt"
	"strconv"
	"strings"
	"sync"
	"time"

	"github.com/google/uuid"

	"mssentinel/app/stix"
	"mssentinel/app/store"
	"mssentinel/app/threatconnect"
)

// lookupTimeout bounds how long a look-up waits for the mappers, which may have to be started.
const lookupTimeout = 20 * time.Second

// Lookup tells what the ledger knows of an indicator: of a value in any spelling that the mappers understand, of
// ThreatConnect's id, or of a STIX id. Nothing is known of what no query ever gave.
func (p *Pipeline) Lookup(ctx context.Context, wanted string) ([]store.Known, error) {
	now := time.Now().UTC()
	wanted = strings.TrimSpace(wanted)
	if id, err := uuid.Parse(strings.TrimPrefix(wanted, "indicator--")); err == nil && len(wanted) >= 36 {
		return p.Store.Lookup(ctx, []uuid.UUID{id}, now)
	}
	ids, unasked := p.objectIDs(ctx, wanted, now)
	known, err := p.Store.Lookup(ctx, ids, now)
	if err != nil || len(known) > 0 {
		return known, err
	}
	if indicator, err := strconv.ParseInt(wanted, 10, 64); err == nil {
		if known, err = p.Store.LookupIndicator(ctx, indicator, now); err != nil || len(known) > 0 {
			return known, err
		}
	}
	return nil, unasked
}

// objectIDs are the ids of the objects that a value would give, taken for each type there is. A mapper that fails does not keep
// the others from answering; the error says which did.
func (p *Pipeline) objectIDs(ctx context.Context, value string, now time.Time) ([]uuid.UUID, error) {
	ctx, cancel := context.WithTimeout(ctx, lookupTimeout)
	defer cancel()
	var mu sync.Mutex
	var ids []uuid.UUID
	var failures []error
	var asked sync.WaitGroup
	for typ := range p.mappers.types {
		asked.Go(func() {
			raw := deletedJSON(threatconnect.Deleted{Type: typ, Summary: value, DateAdded: now}, "")
			answers, err := p.mappers.Map(ctx, typ, [][]byte{raw}, now)
			mu.Lock()
			defer mu.Unlock()
			if err != nil {
				failures = append(failures, fmt.Errorf("mapping %s: %w", typ, err))
			}
			for _, a := range answers {
				for _, o := range a.Objects {
					ids = append(ids, stix.ID(o.Pattern))
				}
			}
		})
	}
	asked.Wait()
	if len(failures) > 0 {
		return ids, fmt.Errorf("finding out what a value would be in Sentinel: %w", errors.Join(failures...))
	}
	return ids, nil
}
