package pipeline

import (
	"context"
	"encoding/json"
	"errors"
	"log/slog"
	"net/http"
	"strings"
	"time"

	"github.com/google/uuid"

	"mssentinel/app/job"
	"mssentinel/app/ledger"
	"mssentinel/app/store"
	"mssentinel/app/text"
	"mssentinel/app/threatconnect"
)

// readStore is what the reader needs of the ledger and of REPORT.
type readStore interface {
	Unseen(ctx context.Context, job, query int64, ids []int64) ([]int64, error)
	Missed(ctx context.Context, job, query, after int64, limit int) ([]int64, error)
	Forget(ctx context.Context, query int64, indicators []int64, loss ledger.Loss) error
	SweepDeparted(ctx context.Context, job int64, queries []int64) error
	OriginsOf(ctx context.Context, owner string, ids []uuid.UUID) ([]ledger.Origin, error)
	OriginsFor(ctx context.Context, indicators []int64) ([]ledger.Origin, error)
	HasVacant(ctx context.Context) (bool, error)
	Vacant(ctx context.Context, after int64, limit int) (origins []ledger.Origin, next int64, err error)
	Rechecks(ctx context.Context, after ledger.Origin, limit int) ([]ledger.Origin, error)
	DropRechecks(ctx context.Context, origins []ledger.Origin) error
	AddProblems(ctx context.Context, job int64, problems []job.Problem) error
}

// ThreatConnect is where indicators come from.
type ThreatConnect interface {
	Owners(ctx context.Context) ([]threatconnect.Owner, error)
	Download(ctx context.Context, s threatconnect.Selection, handle func(threatconnect.Page) error,
		unseen func(ids []int64) ([]int64, error)) error
	First(ctx context.Context, q threatconnect.Query, n int) (threatconnect.Page, error)
	Inactive(ctx context.Context, owners, types []string, since time.Time, handle func(ids []int64) error) error
	Deleted(ctx context.Context, owner string, since time.Time, handle func([]threatconnect.Deleted) error) error
}

// reader reads for one attempt what its mode asks for, on the goroutine of Download.
type reader struct {
	*attempt
	handover
	ledger        readStore
	threatConnect ThreatConnect
	mappers       *mapperSet
	log           *slog.Logger
	// owners are those that the API user saw when they were last listed.
	owners []threatconnect.Owner
}

// failQuery keeps the failure of a query and reports it. Refused credentials end the attempt.
func (r *reader) failQuery(q store.RunQuery, err error) error {
	var answer *threatconnect.Error
	if errors.As(err, &answer) && answer.Status == http.StatusUnauthorized {
		return wrapRefusal(err)
	}
	if r.hasFailed(q.Number) {
		return nil
	}
	r.addFailure(q, wrapPermanent(err))
	r.log.Warn("query not read", "job", r.job.RequestID, "query", r.queryPosition(q), "error", err)
	return r.reportProblems(job.Problem{RequestID: r.job.RequestID, DateAdded: time.Now().UTC(), Step: job.StepDownload,
		Code: job.CodeQueryFailed, Message: text.Sentence(r.failureText(queryFailure{q, err})), Raw: showQuery(q)})
}

// reportUnlisted puts the lists on REPORT that could not be read.
func (r *reader) reportUnlisted() error {
	for _, f := range r.listsToTell() {
		raw, err := json.Marshal(map[string]string{"ownerName": f.owner})
		if err != nil {
			return err
		}
		err = r.reportProblems(job.Problem{RequestID: r.job.RequestID, DateAdded: time.Now().UTC(), Step: job.StepDownload,
			Code: job.CodeListFailed, Message: text.Sentence(f.describe()), Raw: string(raw)})
		if err != nil {
			return err
		}
	}
	return nil
}

// reportProblems puts lines on REPORT.
func (r *reader) reportProblems(problems ...job.Problem) error {
	return r.disk.retryWrite(r.ctx, func(ctx context.Context) error {
		return r.ledger.AddProblems(ctx, r.job.Number, problems)
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
	MinConfidence int      `json:"min_confidence,omitempty"`
	TTLHours      *int     `json:"ttl_hours,omitempty"`
	Labels        []string `json:"labels,omitempty"`
	TLP           string   `json:"tlp,omitempty"`
	Version       string   `json:"version"`
}

// showQuery is the query as REPORT shows it, as JSON.
func showQuery(q store.RunQuery) string {
	var shown strings.Builder
	e := json.NewEncoder(&shown)
	e.SetEscapeHTML(false)
	if err := e.Encode(queryText(q.Query)); err != nil {
		return ""
	}
	return strings.TrimSpace(shown.String())
}

// toQuery is a saved query as ThreatConnect is asked.
func toQuery(q store.RunQuery) threatconnect.Query {
	return threatconnect.Query{Owners: q.Owners, Types: q.Types, TQL: q.TQL,
		SortField: q.SortField, SortDirection: q.SortDirection}
}

// wasDeleted tells whether a query was deleted. It is asked for what it gave; nothing that it returns is taken in, and
// its failures fail nothing.
func wasDeleted(q store.RunQuery) bool { return q.Rank == 0 }
