package pipeline

import (
	"context"
	"fmt"
	"hash/maphash"
	"slices"
	"strings"
	"time"

	"github.com/google/uuid"

	"mssentinel/app/job"
	"mssentinel/app/ledger"
	"mssentinel/app/stix"
	"mssentinel/app/store"
	"mssentinel/app/threatconnect"
)

// idsPerRead is how many indicators are read by their ids at a time.
const idsPerRead = 500

// sweep takes out of the ledger what the queries of which everything was read returned no more: later updates do not look
// back so far.
func (p *Pipeline) sweep(r *run) error {
	var numbers []int64
	for _, q := range r.queries {
		if p.readsAll(r, q) && !r.failed(q.Number) && !slices.Contains(r.damaged, q.Number) {
			numbers = append(numbers, q.Number)
		}
	}
	if len(numbers) == 0 && r.job.Mode == job.Delta {
		return nil
	}
	if err := p.flush(r); err != nil {
		return err
	}
	defer p.downloader.rest()()
	err := p.persist(r.ctx, func(ctx context.Context) error {
		return p.Store.SweepDeparted(ctx, r.job.Number, numbers)
	})
	if err != nil {
		return fmt.Errorf("taking out of the ledger what no query returned: %w", err)
	}
	return nil
}

// readsAll tells whether everything that a query selects is read: by a delta update only where it was never read to the end.
func (p *Pipeline) readsAll(r *run, q store.RunQuery) bool {
	return r.job.Mode != job.Delta || p.from(q).IsZero()
}

// readDepartures takes out of the ledger what was deleted or set inactive since the last update, as far as the queries do
// not return it any more. What deleted queries gave may leave as well, but nothing fails because of them.
func (p *Pipeline) readDepartures(r *run) error {
	for _, owner := range owners(slices.Concat(r.queries, r.deleted)) {
		concerned := slices.DeleteFunc(slices.Clone(r.queries), func(q store.RunQuery) bool { return !slices.Contains(q.Owners, owner) })
		since := p.since(concerned)
		if len(concerned) == 0 {
			since = p.since(r.queries)
		}
		if since.IsZero() {
			continue
		}
		var own error
		err := p.ThreatConnect.Deleted(r.ctx, owner, since, func(deleted []threatconnect.Deleted) error {
			own = p.recheckDeleted(r, owner, deleted)
			return own
		})
		if err := p.listOutcome(r, concerned, own, err, "listing what was deleted in "+owner); err != nil {
			return err
		}
	}
	if err := p.readInactive(r, r.queries, r.queries); err != nil {
		return err
	}
	return p.readInactive(r, r.deleted, nil)
}

// readInactive asks for what was set inactive where some queries look.
func (p *Pipeline) readInactive(r *run, queries, concerned []store.RunQuery) error {
	since := p.since(r.queries)
	if since.IsZero() || len(queries) == 0 {
		return nil
	}
	var own error
	err := p.ThreatConnect.Inactive(r.ctx, owners(queries), typeNames(queries), since, func(ids []int64) error {
		own = p.recheckInactive(r, ids)
		return own
	})
	return p.listOutcome(r, concerned, own, err, "listing what was set inactive")
}

// listOutcome makes a list of departures that could not be read a failure of the queries that it concerns: they ask again.
func (p *Pipeline) listOutcome(r *run, concerned []store.RunQuery, own, err error, doing string) error {
	switch {
	case err == nil:
		return nil
	case r.ctx.Err() != nil:
		return context.Cause(r.ctx)
	case own != nil:
		return own
	}
	for _, q := range concerned {
		if err := p.queryFailed(r, q, fmt.Errorf("%s: %w", doing, err)); err != nil {
			return err
		}
	}
	return nil
}

// since is where the list of departures starts for these queries; zero when none of them was ever read.
func (p *Pipeline) since(queries []store.RunQuery) time.Time {
	var first time.Time
	for _, q := range queries {
		if from := p.from(q); !from.IsZero() && (first.IsZero() || from.Before(first)) {
			first = from
		}
	}
	return first
}

func owners(queries []store.RunQuery) []string {
	return distinct(queries, func(q store.RunQuery) []string { return q.Owners })
}

func typeNames(queries []store.RunQuery) []string {
	return distinct(queries, func(q store.RunQuery) []string { return q.Types })
}

func distinct(queries []store.RunQuery, names func(store.RunQuery) []string) []string {
	var all []string
	for _, q := range queries {
		all = append(all, names(q)...)
	}
	slices.Sort(all)
	return slices.Compact(all)
}

// recheckDeleted asks for what gave the objects of deleted indicators. ThreatConnect's list has no ids, so the mappers tell
// which objects they were; what the queries still return was created again.
func (p *Pipeline) recheckDeleted(r *run, owner string, deleted []threatconnect.Deleted) error {
	if err := p.downloader.gate(r.ctx); err != nil {
		return err
	}
	byType := map[string][][]byte{}
	for _, d := range deleted {
		if _, mapped := p.types[d.Type]; mapped {
			byType[d.Type] = append(byType[d.Type], synthetic(d, owner))
		}
	}
	for typ, raws := range byType {
		for part := range slices.Chunk(raws, mapBatch) {
			ids, err := p.objectIDs(r, typ, part)
			if err != nil {
				return err
			}
			suspects, err := p.Store.OriginsOf(r.ctx, owner, ids)
			if err != nil {
				return fmt.Errorf("asking the ledger who gave the objects of deleted indicators: %w", err)
			}
			if err := p.recheck(r, suspects); err != nil {
				return err
			}
		}
	}
	return nil
}

// synthetic is a deleted indicator as far as ThreatConnect's list tells.
func synthetic(d threatconnect.Deleted, owner string) []byte {
	b := stix.AppendString([]byte(`{"id":0,"type":`), d.Type)
	b = stix.AppendString(append(b, `,"summary":`...), d.Summary)
	b = stix.AppendString(append(b, `,"ownerName":`...), owner)
	b = d.DateAdded.UTC().AppendFormat(append(b, `,"dateAdded":"`...), time.RFC3339)
	return append(b, `"}`...)
}

// objectIDs are the objects that deleted indicators gave. Where the mapper fails, the objects stand until a complete read.
func (p *Pipeline) objectIDs(r *run, typ string, raws [][]byte) ([]uuid.UUID, error) {
	now := time.Now().UTC()
	answers, err := p.Mappers.Map(r.ctx, typ, raws, now)
	if err != nil {
		return nil, fmt.Errorf("mapping deleted indicators of type %s: %w", typ, err)
	}
	var ids []uuid.UUID
	var problems []job.Problem
	for i, a := range answers {
		for _, o := range a.Objects {
			ids = append(ids, stix.ID(o.Pattern))
		}
		if a.Failed {
			problems = append(problems, job.Problem{RequestID: r.job.RequestID, DateAdded: now, Step: job.StepConvert, Code: job.CodeMapperFailed, Raw: string(raws[i]),
				Message: "This indicator was deleted, but stays in Sentinel until the next full update or reconcile: " + strings.Join(a.Problems, "; ")})
		}
	}
	if len(problems) == 0 {
		return ids, nil
	}
	return ids, p.report(r, problems...)
}

func (p *Pipeline) recheckInactive(r *run, ids []int64) error {
	if err := p.downloader.gate(r.ctx); err != nil {
		return err
	}
	suspects, err := p.Store.OriginsFor(r.ctx, ids)
	if err != nil {
		return fmt.Errorf("asking the ledger about inactive indicators: %w", err)
	}
	return p.recheck(r, suspects)
}

// recheck asks the queries for certain indicators again: those that come are applied as by a delta update, the others are
// no candidates any more. Queries that could not be read are left alone. A query that was deleted is asked too, as it was: it
// may be back, or another that selects the same may not have read them yet.
func (p *Pipeline) recheck(r *run, candidates []ledger.Origin) error {
	byQuery := map[int64][]int64{}
	for _, c := range candidates {
		byQuery[c.Query] = append(byQuery[c.Query], c.Indicator)
	}
	for _, q := range slices.Concat(r.queries, r.deleted) {
		ids := byQuery[q.Number]
		slices.Sort(ids)
		for part := range slices.Chunk(slices.Compact(ids), idsPerRead) {
			if r.failed(q.Number) {
				break
			}
			if err := p.recheckQuery(r, q, part); err != nil {
				return err
			}
		}
	}
	return nil
}

func (p *Pipeline) recheckQuery(r *run, q store.RunQuery, ids []int64) error {
	s := threatconnect.Selection{Query: tql(q), IDs: ids}
	s.SortField, s.SortDirection = "", ""
	d := reading{p: p, r: r, query: q, mode: job.Delta, returned: map[int64]bool{}}
	if err := p.ThreatConnect.Download(r.ctx, s, d.handle, d.unseen); err != nil || d.damaged {
		return d.outcome(err)
	}
	gone := slices.DeleteFunc(slices.Clone(ids), func(id int64) bool { return d.returned[id] })
	return p.forget(r, q.Number, gone)
}

func (p *Pipeline) forget(r *run, query int64, ids []int64) error {
	if len(ids) == 0 {
		return nil
	}
	err := p.persist(r.ctx, func(ctx context.Context) error {
		return p.Store.Forget(ctx, query, ids)
	})
	if err != nil {
		return fmt.Errorf("taking indicators out of the ledger: %w", err)
	}
	return nil
}

// fillVacancies gives every object whose winner went away to its next candidate, which is asked for by its id. A candidate
// that is gone as well makes room for the one behind it. One that its mapper fails on, or whose query cannot be read, keeps
// its place until the next job: it is over when a round asks for nobody else than the one before.
func (p *Pipeline) fillVacancies(r *run) error {
	for seed, before := maphash.MakeSeed(), uint64(0); ; {
		if err := p.flush(r); err != nil {
			return err
		}
		asked, err := p.askVacant(r, seed)
		if err != nil || asked == before {
			return err
		}
		before = asked
	}
}

// askVacant makes a round. The sum tells whether it asked for the same candidates as another; 0 is for nobody.
func (p *Pipeline) askVacant(r *run, seed maphash.Seed) (asked uint64, err error) {
	for after := int64(0); ; {
		vacant, next, err := p.Store.Vacant(r.ctx, after, chunkSize)
		if err != nil {
			return 0, fmt.Errorf("asking the ledger for objects without a winner: %w", err)
		}
		if len(vacant) == 0 {
			return asked, nil
		}
		for _, c := range vacant {
			asked += maphash.Comparable(seed, c)
		}
		if err := p.recheck(r, vacant); err != nil {
			return 0, err
		}
		after = next
	}
}
