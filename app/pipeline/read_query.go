package pipeline

import (
	"context"
	"fmt"
	"math"
	"slices"

	"mssentinel/app/job"
	"mssentinel/app/store"
	"mssentinel/app/threatconnect"
)

// readQuery reads a query as far as it goes. A failure of the query is kept and does not end the attempt.
func (r *reader) readQuery(q store.RunQuery) error {
	s := threatconnect.Selection{Query: toQuery(q)}
	if err := s.Check(); err != nil {
		return r.failQuery(q, fatal{err})
	}
	if !r.readsAll(q) {
		s.From, s.To = r.readFrom(q), r.end
		if !s.From.Before(s.To) {
			return nil
		}
	}
	p := pages{r: r, query: q, mode: r.job.Mode, unread: append(r.failedNumbers(), r.damaged...), counts: true, sizeless: true}
	err := r.threatConnect.Download(r.ctx, s, p.handlePage, p.findUnseen)
	if err == nil && r.readsAll(q) {
		err = p.readMissed(s)
	}
	if p.damaged {
		r.damaged = append(r.damaged, q.Number)
	}
	return p.handleError(err)
}

// readRecent reads what was modified after the window, where an object is about to be retired. What has gone is known up to the present
// moment, and what has come up to the end of the window, or as it was when a query was read: what was moved to another owner, or deleted
// and created again, would be retired, and be sent again by the next update.
func (r *reader) readRecent() error {
	if r.job.Ranged { // it retires nothing
		return nil
	}
	vacant, err := r.ledger.HasVacant(r.ctx)
	if err != nil || !vacant {
		return err
	}
	found := false
	for _, q := range r.queries {
		if r.hasFailed(q.Number) {
			continue
		}
		s := threatconnect.Selection{Query: toQuery(q), From: r.end}
		s.SortField, s.SortDirection = "", ""
		p := pages{r: r, query: q, mode: job.Delta}
		if err := p.handleError(r.threatConnect.Download(r.ctx, s, p.handlePage, p.findUnseen)); err != nil {
			return err
		}
		found = found || p.place > 0
	}
	// ThreatConnect answers with less where an owner is missing.
	if err := r.recheckOwners(); err != nil {
		return err
	}
	if !found {
		return nil
	}
	return r.fillVacancies()
}

// pages takes what a query returns, page by page, and hands it to Convert.
type pages struct {
	r      *reader
	query  store.RunQuery
	mode   job.Mode
	unread []int64
	place  int64
	// counts says that the screens count the rows: this is the first reading of the query. sizeless says that its size did not
	// come yet.
	counts, sizeless bool
	// returned are the ids that came; kept only where they are asked for.
	returned map[int64]bool
	// damaged says that a row came that cannot be told from those that did not come.
	damaged bool
	// ownError is an error of ours, as opposed to one of ThreatConnect.
	ownError error
}

func (p *pages) handlePage(page threatconnect.Page) error {
	if p.sizeless {
		p.r.reading.setSize(page.Total)
		p.sizeless = false
	}
	whole := &chunkedPage{Page: page}
	whole.chunks.Store(int32((len(page.Indicators) + chunkSize - 1) / chunkSize))
	for indicators := range slices.Chunk(page.Indicators, chunkSize) {
		if p.ownError = p.r.download.awaitResume(p.r.ctx); p.ownError != nil {
			return p.ownError
		}
		c := &chunk{attempt: p.r.attempt, query: p.query.Number, settings: p.query.Settings(), mode: p.mode, unread: p.unread,
			place: p.place, counted: p.counts, indicators: indicators, page: whole}
		if wasDeleted(p.query) {
			c.dropIndicators()
		} else if p.ownError = p.r.sendChunk(c); p.ownError != nil {
			return p.ownError
		}
		if p.counts {
			p.r.reading.addRead(len(indicators))
		}
		p.place += int64(len(indicators))
		for i := range indicators {
			p.damaged = p.damaged || indicators[i].ID == 0
			if p.returned != nil {
				p.returned[indicators[i].ID] = true
			}
		}
	}
	return nil
}

// findUnseen asks the ledger which of these ids this attempt has not read from the query. All that was read is in the
// ledger before that.
func (p *pages) findUnseen(ids []int64) ([]int64, error) {
	if p.ownError = p.r.awaitApplied(p.r.attempt); p.ownError != nil {
		return nil, p.ownError
	}
	var missing []int64
	missing, p.ownError = p.r.ledger.Unseen(p.r.ctx, p.r.job.Number, p.query.Number, ids)
	p.r.download.noteActivity()
	return missing, p.ownError
}

// readMissed asks by their ids for the indicators that the ledger knows from a query of which everything was read and that were not
// among it: an answer may have been a part, or an owner away for a moment. The owners are looked at before that, and once more when the
// query is done with.
func (p *pages) readMissed(s threatconnect.Selection) error {
	if p.ownError = p.r.awaitApplied(p.r.attempt); p.ownError != nil {
		return p.ownError
	}
	s.SortField, s.SortDirection = "", ""
	for after, first := int64(math.MinInt64), true; !p.damaged; first = false {
		if p.ownError = p.r.download.awaitResume(p.r.ctx); p.ownError != nil {
			return p.ownError
		}
		s.IDs, p.ownError = p.r.ledger.Missed(p.r.ctx, p.r.job.Number, p.query.Number, after, idsPerRead)
		if p.ownError != nil || len(s.IDs) == 0 {
			return p.ownError
		}
		if first {
			if p.ownError = p.r.recheckOwners(); p.ownError != nil || p.r.hasFailed(p.query.Number) {
				return p.ownError
			}
		}
		after = s.IDs[len(s.IDs)-1]
		if err := p.r.threatConnect.Download(p.r.ctx, s, p.handlePage, p.findUnseen); err != nil {
			return err
		}
	}
	return nil
}

// handleError tells a failure of the query, which the others survive, from one that ends the attempt.
func (p *pages) handleError(err error) error {
	switch {
	case err == nil:
		return nil
	case p.r.ctx.Err() != nil:
		return context.Cause(p.r.ctx)
	case p.ownError != nil:
		return fmt.Errorf("reading query %d: %w", p.r.queryPosition(p.query), p.ownError)
	case wasDeleted(p.query):
		return nil
	}
	return p.r.failQuery(p.query, err)
}
