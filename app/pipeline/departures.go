package pipeline

import (
	"context"
	"errors"
	"fmt"
	"net/http"
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

// sweepDeparted takes out of the ledger what the queries of which everything was read returned no more: later updates
// do not look back so far. Where a list of what has gone could not be read, the mark stays, and what it will tell is to be
// found in the ledger.
func (r *reader) sweepDeparted() error {
	var numbers []int64
	for _, q := range r.queries {
		if r.readsAll(q) && !r.hasFailed(q.Number) && !slices.Contains(r.damaged, q.Number) && !r.isUnlisted(q) {
			numbers = append(numbers, q.Number)
		}
	}
	if len(numbers) == 0 && r.job.Mode == job.Delta {
		return nil
	}
	if err := r.awaitApplied(r.attempt); err != nil {
		return err
	}
	defer r.download.beginWait()()
	err := r.disk.retryWrite(r.ctx, func(ctx context.Context) error {
		return r.ledger.SweepDeparted(ctx, r.job.Number, numbers)
	})
	if err != nil {
		return fmt.Errorf("taking out of the ledger what no query returned: %w", err)
	}
	return nil
}

// readDepartures takes out of the ledger what was deleted or set inactive since the last update, as far as the queries
// do not return it any more. ThreatConnect is asked owner by owner: what one list says holds, whether another one can be
// read or not. What deleted queries gave may leave as well, but nothing fails because of them.
func (r *reader) readDepartures() error {
	for _, owner := range ownersOf(slices.Concat(r.queries, r.deleted)) {
		if !r.seesOwner(owner) {
			continue
		}
		concerned, deleted := queriesIn(owner, r.queries), queriesIn(owner, r.deleted)
		since := r.departedSince(concerned)
		if len(concerned) == 0 {
			since = r.departedSince(r.queries)
		}
		if since.IsZero() {
			continue
		}
		if err := r.readDeleted(owner, since); err != nil {
			return err
		}
		if err := r.readInactive(owner, concerned, since); err != nil {
			return err
		}
		if err := r.readInactive(owner, deleted, since); err != nil {
			return err
		}
	}
	return nil
}

// queriesIn are those of the queries that look in an owner.
func queriesIn(owner string, queries []store.RunQuery) []store.RunQuery {
	return slices.DeleteFunc(slices.Clone(queries), func(q store.RunQuery) bool { return !slices.Contains(q.Owners, owner) })
}

// readDeleted asks for what was deleted in an owner.
func (r *reader) readDeleted(owner string, since time.Time) error {
	var ownError error
	err := r.threatConnect.Deleted(r.ctx, owner, since, func(deleted []threatconnect.Deleted) error {
		ownError = r.recheckDeleted(owner, deleted)
		return ownError
	})
	return r.handleListError(listFailure{owner, "deleted", err}, ownError)
}

// readInactive asks for what was set inactive in an owner where some queries look.
func (r *reader) readInactive(owner string, queries []store.RunQuery, since time.Time) error {
	if len(queries) == 0 {
		return nil
	}
	var ownError error
	err := r.threatConnect.Inactive(r.ctx, []string{owner}, typesOf(queries), since, func(ids []int64) error {
		ownError = r.recheckInactive(ids)
		return ownError
	})
	if wasDeleted(queries[0]) && ownError == nil && r.ctx.Err() == nil {
		return nil
	}
	return r.handleListError(listFailure{owner, "inactive", err}, ownError)
}

// handleListError keeps that a list of departures could not be read: it is asked for again. That is no failure of the
// queries that look there. Refused credentials end the attempt.
func (r *reader) handleListError(f listFailure, ownError error) error {
	var answer *threatconnect.Error
	switch {
	case f.err == nil:
		return nil
	case r.ctx.Err() != nil:
		return context.Cause(r.ctx)
	case ownError != nil:
		return ownError
	case errors.As(f.err, &answer) && answer.Status == http.StatusUnauthorized:
		return wrapRefusal(f.err)
	}
	r.log.Warn("list not read", "job", r.job.RequestID, "owner", f.owner, "gone", f.gone, "error", f.err)
	f.err = wrapPermanent(f.err)
	r.unlisted = append(r.unlisted, f)
	return nil
}

func ownersOf(queries []store.RunQuery) []string {
	return distinctNames(queries, func(q store.RunQuery) []string { return q.Owners })
}

func typesOf(queries []store.RunQuery) []string {
	return distinctNames(queries, func(q store.RunQuery) []string { return q.Types })
}

func distinctNames(queries []store.RunQuery, names func(store.RunQuery) []string) []string {
	var all []string
	for _, q := range queries {
		all = append(all, names(q)...)
	}
	slices.Sort(all)
	return slices.Compact(all)
}

// recheckDeleted rechecks the candidates whose objects deleted indicators gave. ThreatConnect's list has no ids, so
// the mappers tell which objects they were; what the queries still return was created again.
func (r *reader) recheckDeleted(owner string, deleted []threatconnect.Deleted) error {
	if err := r.download.awaitResume(r.ctx); err != nil {
		return err
	}
	byType := map[string][][]byte{}
	for _, d := range deleted {
		if r.mappers.takesType(d.Type) {
			byType[d.Type] = append(byType[d.Type], deletedJSON(d, owner))
		}
	}
	for typ, raws := range byType {
		for part := range slices.Chunk(raws, mapBatch) {
			ids, err := r.mapDeleted(typ, part)
			if err != nil {
				return err
			}
			origins, err := r.ledger.OriginsOf(r.ctx, owner, ids)
			if err != nil {
				return fmt.Errorf("asking the ledger who gave the objects of deleted indicators: %w", err)
			}
			if err := r.recheckOrigins(origins, ledger.Certain); err != nil {
				return err
			}
		}
	}
	return nil
}

// deletedJSON is a deleted indicator as far as ThreatConnect's list tells, in the form in which mappers take
// indicators.
func deletedJSON(d threatconnect.Deleted, owner string) []byte {
	b := stix.AppendString([]byte(`{"id":0,"type":`), d.Type)
	b = stix.AppendString(append(b, `,"summary":`...), d.Summary)
	b = stix.AppendString(append(b, `,"ownerName":`...), owner)
	b = d.DateAdded.UTC().AppendFormat(append(b, `,"dateAdded":"`...), time.RFC3339)
	return append(b, `"}`...)
}

// mapDeleted gives the ids of the objects that deleted indicators gave. Where the mapper fails, the objects stand
// until a complete read.
func (r *reader) mapDeleted(typ string, raws [][]byte) ([]uuid.UUID, error) {
	now := time.Now().UTC()
	answers, err := r.mappers.Map(r.ctx, typ, raws, now)
	if err != nil {
		return nil, fmt.Errorf("mapping deleted indicators of type %s: %w", typ, err)
	}
	var ids []uuid.UUID
	var problems []job.Problem
	for i, answer := range answers {
		for _, o := range answer.Objects {
			ids = append(ids, stix.ID(o.Pattern))
		}
		if answer.Failed {
			subject := subjectOf(&threatconnect.Indicator{Type: typ, Raw: raws[i]})
			problems = append(problems, job.Problem{RequestID: r.job.RequestID, DateAdded: now, Step: job.StepConvert,
				Code: job.CodeMapperFailed, Subject: subject, Raw: string(raws[i]),
				Message: "This indicator was deleted, but stays in Sentinel until the next full update or reconcile: " +
					strings.Join(answer.Problems, "; ")})
		}
	}
	if len(problems) == 0 {
		return ids, nil
	}
	return ids, r.reportProblems(problems...)
}

// recheckInactive rechecks the candidates of indicators that were set inactive.
func (r *reader) recheckInactive(ids []int64) error {
	if err := r.download.awaitResume(r.ctx); err != nil {
		return err
	}
	origins, err := r.ledger.OriginsFor(r.ctx, ids)
	if err != nil {
		return fmt.Errorf("asking the ledger about inactive indicators: %w", err)
	}
	return r.recheckOrigins(origins, ledger.Certain)
}

// recheckOrigins asks the queries for certain indicators again: those that come are applied as by a delta update,
// the others are no candidates any more, by this loss. Queries that could not be read are left alone. A query that was deleted is
// asked too, as it was: it may be back, or another that selects the same may not have read them yet.
func (r *reader) recheckOrigins(origins []ledger.Origin, loss ledger.Loss) error {
	byQuery := map[int64][]int64{}
	for _, o := range origins {
		byQuery[o.Query] = append(byQuery[o.Query], o.Indicator)
	}
	for _, q := range slices.Concat(r.queries, r.deleted) {
		ids := byQuery[q.Number]
		slices.Sort(ids)
		for part := range slices.Chunk(slices.Compact(ids), idsPerRead) {
			if r.hasFailed(q.Number) {
				break
			}
			if err := r.recheckQuery(q, part, loss); err != nil {
				return err
			}
		}
	}
	return nil
}

func (r *reader) recheckQuery(q store.RunQuery, ids []int64, loss ledger.Loss) error {
	s := threatconnect.Selection{Query: toQuery(q), IDs: ids}
	s.SortField, s.SortDirection = "", ""
	p := pages{r: r, query: q, mode: job.Delta, returned: map[int64]bool{}}
	if err := r.threatConnect.Download(r.ctx, s, p.handlePage, p.findUnseen); err != nil || p.damaged {
		return p.handleError(err)
	}
	gone := slices.DeleteFunc(slices.Clone(ids), func(id int64) bool { return p.returned[id] })
	if len(gone) == 0 {
		return nil
	}
	// ThreatConnect answers with less where an owner is missing.
	if err := r.recheckOwners(); err != nil {
		return err
	}
	if _, lacks := r.lackedOwner(q); lacks || r.hasFailed(q.Number) {
		return nil
	}
	return r.forgetIndicators(q.Number, gone, loss)
}

func (r *reader) forgetIndicators(query int64, ids []int64, loss ledger.Loss) error {
	err := r.disk.retryWrite(r.ctx, func(ctx context.Context) error {
		return r.ledger.Forget(ctx, query, ids, loss)
	})
	if err != nil {
		return fmt.Errorf("taking indicators out of the ledger: %w", err)
	}
	return nil
}
