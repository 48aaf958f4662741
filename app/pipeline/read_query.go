package pipeline

import (
	"context"
	"fmt"
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
	p := pages{r: r, query: q, mode: r.job.Mode, unread: append(r.failedNumbers(), r.damaged...), countsTotal: true}
	err := r.threatConnect.Download(r.ctx, s, p.handlePage, p.findUnseen)
	if p.damaged {
		r.damaged = append(r.damaged, q.Number)
	}
	return p.handleError(err)
}

// pages takes what a query returns, page by page, and hands it to Convert.
type pages struct {
	r      *reader
	query  store.RunQuery
	mode   job.Mode
	unread []int64
	place  int64
	// countsTotal says that this is the first reading of the query, whose size the screens show.
	countsTotal bool
	// returned are the ids that came; kept only where they are asked for.
	returned map[int64]bool
	// damaged says that a row came that cannot be told from those that did not come.
	damaged bool
	// ownError is an error of ours, as opposed to one of ThreatConnect.
	ownError error
}

func (p *pages) handlePage(page threatconnect.Page) error {
	if p.countsTotal {
		p.r.addExpected(page.Total)
		p.countsTotal = false
	}
	for indicators := range slices.Chunk(page.Indicators, chunkSize) {
		if p.ownError = p.r.download.awaitResume(p.r.ctx); p.ownError != nil {
			return p.ownError
		}
		c := &chunk{attempt: p.r.attempt, query: p.query.Number, mode: p.mode, unread: p.unread,
			place: p.place, indicators: indicators}
		if !wasDeleted(p.query) {
			if p.ownError = p.r.sendChunk(c); p.ownError != nil {
				return p.ownError
			}
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
