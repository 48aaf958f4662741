package pipeline

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"net/http"
	"slices"
	"strings"
	"time"

	"mssentinel/app/job"
	"mssentinel/app/store"
	"mssentinel/app/threatconnect"
)

// chunkSize is how many indicators go through Convert together: enough for a transaction to be worth its while, few enough
// for a handful of them to fit into memory.
const chunkSize = 1000

// readAll reads what the job's mode asks for. Once it returns, everything was handed to Convert.
func (p *Pipeline) readAll(r *run) error {
	if err := p.checkOwners(r); err != nil {
		return err
	}
	p.downloader.say("Looking for what has gone")
	if r.job.Mode == job.Delta {
		// Before what has come: what was deleted and created again is on both lists.
		if err := p.readDepartures(r); err != nil {
			return err
		}
	}
	for i, q := range r.queries {
		p.downloader.say("Reading query %d of %d", i+1, len(r.queries))
		if err := p.readQuery(r, q); err != nil {
			return err
		}
		// Before the next query takes over what this one could not read.
		if err := p.checkOwnersAgain(r); err != nil {
			return err
		}
	}
	p.downloader.say("Looking for what has gone")
	if err := p.sweep(r); err != nil {
		return err
	}
	return p.fillVacancies(r)
}

// checkOwners finds queries whose owners the API user does not see any more. ThreatConnect answers them with less, not with
// an error, and nothing may be retired because of that.
func (p *Pipeline) checkOwners(r *run) error {
	owners, err := p.ThreatConnect.Owners(r.ctx)
	if err != nil {
		return p.unreachable(fmt.Errorf("listing the owners in ThreatConnect: %w", err))
	}
	for _, q := range r.queries {
		for _, name := range q.Owners {
			if slices.ContainsFunc(owners, func(o threatconnect.Owner) bool { return strings.EqualFold(o.Name, name) }) {
				continue
			}
			err := fatal{fmt.Errorf("the API user does not see the owner %q; restore its access or take the owner out of the query on CONFIGURE", name)}
			if err := p.queryFailed(r, q, err); err != nil {
				return err
			}
			break
		}
	}
	return nil
}

// maxOwnersPause is the longest pause before the owners are asked for once more; all of them take some eight minutes.
const maxOwnersPause = 5 * time.Minute

// checkOwnersAgain finds owners that went away while they were read: they were read in part. A restart of ThreatConnect just
// then must not cost the whole read.
func (p *Pipeline) checkOwnersAgain(r *run) error {
	for pause := time.Second; ; pause *= 2 {
		err := p.checkOwners(r)
		if err == nil || permanent(judge(err)) || pause > maxOwnersPause {
			return err
		}
		p.downloader.beat()
		select {
		case <-r.ctx.Done():
			return context.Cause(r.ctx)
		case <-time.After(pause):
		}
	}
}

// unreachable is a failure of ThreatConnect as a whole. Wrong credentials do not heal by themselves.
func (p *Pipeline) unreachable(err error) error {
	var refused *threatconnect.Error
	if errors.As(err, &refused) && (refused.Status == http.StatusUnauthorized || refused.Status == http.StatusForbidden) {
		return fatal{err}
	}
	return err
}

// readQuery reads a query as far as it goes. A failure of the query is kept and does not end the run.
func (p *Pipeline) readQuery(r *run, q store.RunQuery) error {
	s := threatconnect.Selection{Query: tql(q)}
	if err := s.Check(); err != nil {
		return p.queryFailed(r, q, fatal{err})
	}
	if !p.readsAll(r, q) {
		s.From, s.To = p.from(q), r.end
		if !s.From.Before(s.To) {
			return nil
		}
	}
	d := reading{p: p, r: r, query: q, mode: r.job.Mode, unread: append(r.failedNumbers(), r.damaged...), counts: true}
	err := p.ThreatConnect.Download(r.ctx, s, d.handle, d.unseen)
	if d.damaged {
		r.damaged = append(r.damaged, q.Number)
	}
	return d.outcome(err)
}

func tql(q store.RunQuery) threatconnect.Query {
	return threatconnect.Query{Owners: q.Owners, Types: q.Types, TQL: q.TQL, SortField: q.SortField, SortDirection: q.SortDirection}
}

// reading takes what a query returns and hands it to Convert.
type reading struct {
	p      *Pipeline
	r      *run
	query  store.RunQuery
	mode   job.Mode
	unread []int64
	place  int64
	// counts: this is the first reading of the query, whose size the screens show.
	counts bool
	// returned are the ids that came; kept only where they are asked for.
	returned map[int64]bool
	// damaged: a row came that cannot be told from those that did not come.
	damaged bool
	// own is an error of ours, as opposed to one of ThreatConnect.
	own error
}

func (d *reading) handle(page threatconnect.Page) error {
	if d.counts {
		d.r.expect(page.Total)
		d.counts = false
	}
	for indicators := range slices.Chunk(page.Indicators, chunkSize) {
		if d.own = d.p.downloader.gate(d.r.ctx); d.own != nil {
			return d.own
		}
		c := &chunk{run: d.r, query: d.query.Number, mode: d.mode, unread: d.unread, place: d.place, indicators: indicators}
		if !wasDeleted(d.query) {
			if d.own = d.p.send(c); d.own != nil {
				return d.own
			}
		}
		d.place += int64(len(indicators))
		for i := range indicators {
			d.damaged = d.damaged || indicators[i].ID == 0
			if d.returned != nil {
				d.returned[indicators[i].ID] = true
			}
		}
	}
	return nil
}

func (d *reading) unseen(ids []int64) ([]int64, error) {
	if d.own = d.p.flush(d.r); d.own != nil {
		return nil, d.own
	}
	var missing []int64
	missing, d.own = d.p.Store.Unseen(d.r.ctx, d.r.job.Number, d.query.Number, ids)
	d.p.downloader.beat()
	return missing, d.own
}

// wasDeleted tells whether a query was deleted. It is asked for what it gave, takes in nothing, and fails nobody.
func wasDeleted(q store.RunQuery) bool { return q.Rank == 0 }

// outcome tells a failure of the query, which the others survive, from one that ends the run.
func (d *reading) outcome(err error) error {
	switch {
	case err == nil:
		return nil
	case d.r.ctx.Err() != nil:
		return context.Cause(d.r.ctx)
	case d.own != nil:
		return fmt.Errorf("reading query %d: %w", d.r.place(d.query), d.own)
	case wasDeleted(d.query):
		return nil
	}
	return d.p.queryFailed(d.r, d.query, err)
}

// queryFailed keeps the failure of a query and reports it. Refused credentials end the run.
func (p *Pipeline) queryFailed(r *run, q store.RunQuery, err error) error {
	var refused *threatconnect.Error
	if errors.As(err, &refused) && refused.Status == http.StatusUnauthorized {
		return p.unreachable(err)
	}
	if r.failed(q.Number) {
		return nil
	}
	r.fail(q, judge(err))
	p.Logger.Warn("query not read", "job", r.job.RequestID, "query", r.place(q), "error", err)
	return p.report(r, job.Problem{RequestID: r.job.RequestID, DateAdded: time.Now().UTC(), Step: job.StepDownload, Code: job.CodeQueryFailed,
		Message: sentence(failure{q, err}.text(r)), Raw: showQuery(q)})
}

// report puts lines on REPORT.
func (p *Pipeline) report(r *run, problems ...job.Problem) error {
	return p.persist(r.ctx, func(ctx context.Context) error {
		return p.Store.AddProblems(ctx, r.job.Number, problems)
	})
}

// queryText is a query as REPORT shows it.
type queryText struct {
	ID            string   `json:"id"`
	Rank          int      `json:"rank"`
	Owners        []string `json:"owners"`
	Types         []string `json:"types"`
	TQL           string   `json:"tql"`
	SortField     string   `json:"sort_field"`
	SortDirection string   `json:"sort_direction"`
	Version       string   `json:"version"`
}

// showQuery is the query as REPORT shows it, as JSON.
func showQuery(q store.RunQuery) string {
	var text strings.Builder
	e := json.NewEncoder(&text)
	e.SetEscapeHTML(false)
	if err := e.Encode(queryText(q.Query)); err != nil {
		return ""
	}
	return strings.TrimSpace(text.String())
}
