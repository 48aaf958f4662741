package threatconnect

import (
	"context"
	"errors"
	"fmt"
	"net/http"
	"net/url"
	"slices"
	"strconv"
	"strings"
	"time"
)

// exportFields are the parts of an indicator that the mapping needs beyond the basic ones
// (app/docs/threatconnect.md#fields).
var exportFields = []string{"tags", "securityLabels", "attributes", "threatAssess", "associatedGroups"}

const indicatorsPath = "/v3/indicators"

// reader reads pages of one selection.
type reader struct {
	client *Client
	Selection
	fields []string
	size   pageSize
	policy retryPolicy
	bodies bodyPool
}

// pageRequest says which rows of its selection a reader asks for.
type pageRequest struct {
	where   []string // conditions beyond the selection
	sorting string
	start   int
	count   bool            // ask for the total, which ThreatConnect tells at start 0 alone
	ids     []int64         // what may come, in ascending order, where the conditions name it; nil for whatever does
	after   *keysetPosition // what was read, if the rows come in the order of their ids
}

// pageAnswer is a page, and what its answer said about others.
type pageAnswer struct {
	Page
	limit int // rows asked for
	more  bool
}

func (p pageAnswer) isLast() bool { return !p.more && len(p.Indicators) < p.limit }

// checkAgainst finds answers that contradict themselves or the request, which are worth another try.
func (p pageAnswer) checkAgainst(q pageRequest) error {
	if len(p.Indicators) == 0 && p.more {
		return errEmptyPage
	}
	if len(p.Indicators) > 0 && p.Total == 0 {
		return errUncounted
	}
	if q.after == nil {
		return nil
	}
	if q.ids != nil && slices.ContainsFunc(p.Indicators, func(i Indicator) bool { return i.ID != 0 && !isAmong(q.ids, i.ID) }) {
		return errOtherIDs
	}
	if len(p.Indicators) == 0 {
		if p.Total > 0 {
			return errNoRows
		}
		return nil
	}
	position := *q.after
	return position.advancePast(p)
}

func isAmong(sorted []int64, id int64) bool {
	_, found := slices.BinarySearch(sorted, id)
	return found
}

// readPage reads a page. When ThreatConnect refuses one of the fields, it goes on without it: half of the description
// is better than no indicator.
func (r *reader) readPage(ctx context.Context, q pageRequest) (pageAnswer, error) {
	p, err := r.fetchPage(ctx, q)
	var lone loneRow
	switch {
	case errors.As(err, &lone):
		return r.readLoneRow(ctx, q, lone)
	case err == nil || len(r.fields) == 0 || !mayConcernFields(err):
		return p, err
	}
	granted, probeErr := r.probeFields(ctx, q)
	if probeErr != nil || len(granted) == len(r.fields) {
		return p, err
	}
	r.client.options.Logger.Warn("ThreatConnect withholds parts of the indicators; they are sent without",
		"asked", r.fields, "granted", granted, "error", err)
	r.fields = granted
	return r.fetchPage(ctx, q)
}

// mayConcernFields reports whether an error can come from a field that is not granted. That shows in different ways
// (app/docs/threatconnect.md#fields), but not as TQL that cannot be parsed.
func mayConcernFields(err error) bool {
	var refused *Error
	if errors.Is(err, errBodyIgnored) || !errors.As(err, &refused) {
		return false
	}
	if refused.foreign || refused.isTimeout() || refused.Code == tqlParseError {
		return false
	}
	status := refused.effectiveStatus()
	return status == http.StatusBadRequest || status == http.StatusUnauthorized || status == http.StatusForbidden
}

// probeFields asks for each field alone, and returns those that are granted. The error says that the fields are not the
// trouble.
func (r *reader) probeFields(ctx context.Context, q pageRequest) ([]string, error) {
	probe := *r
	probe.size.limit = 1
	probe.fields = nil
	if _, err := probe.fetchPage(ctx, q); err != nil {
		return nil, err
	}
	var granted []string
	for _, field := range r.fields {
		probe.fields = []string{field}
		_, err := probe.fetchPage(ctx, q)
		if err != nil && !mayConcernFields(err) {
			return nil, err
		}
		if err == nil {
			granted = append(granted, field)
		}
	}
	return granted, nil
}

// fetchPage reads a page as the fields are, in smaller ones from try to try when it is too much for ThreatConnect.
func (r *reader) fetchPage(ctx context.Context, q pageRequest) (pageAnswer, error) {
	body := r.bodies.take(r.size.bytes())
	var p pageAnswer
	sawUnreadable, alone := false, false
	err := r.client.retryRequest(ctx, r.policy, func(ctx context.Context) error {
		began := time.Now()
		request := newRequest(indicatorsPath, r.buildParams(q))
		a, err := r.client.tryList(ctx, request, body)
		for errors.Is(err, errTooLarge) && r.size.limit > 1 { // no use to wait
			r.size.shrinkAfter(err)
			request = newRequest(indicatorsPath, r.buildParams(q))
			a, err = r.client.tryList(ctx, request, body)
		}
		if err != nil {
			alone = r.size.limit == 1 && r.mayBeRow(err)
			r.size.shrinkAfter(err)
			if alone && errors.Is(err, errTooLarge) {
				return loneRow{err} // as it will be the next time
			}
			return err
		}
		alone = false
		p = pageAnswer{Page: Page{Indicators: a.parseIndicators(), Total: a.count}, limit: r.size.limit, more: a.next != ""}
		if request.body != nil && (q.count && p.Total < 0 || !r.selectsAll(p.Indicators)) {
			return errBodyIgnored
		}
		if err := p.checkAgainst(q); err != nil {
			return r.client.explainFailure(err)
		}
		if !sawUnreadable && slices.ContainsFunc(p.Indicators, func(i Indicator) bool { return i.ID == 0 }) {
			sawUnreadable = true // it may have been damaged on the way; if it comes again like this, it is like this
			return r.client.explainFailure(errDamaged)
		}
		r.size.adaptTo(time.Since(began), p.Indicators)
		return nil
	})
	if err == nil {
		p.body = r.bodies.lend(body)
		return p, nil
	}
	r.bodies.put(body)
	err = fmt.Errorf("read indicators: %w", err)
	if alone && ctx.Err() == nil {
		err = loneRow{err}
	}
	return pageAnswer{}, err
}

// errBodyIgnored: a ThreatConnect that does not read the body answers with everything it has
// (app/docs/threatconnect.md#long-queries).
var errBodyIgnored = &Error{Status: http.StatusBadRequest,
	Message: "this version of ThreatConnect does not take queries this long: shorten the TQL, or split the query in two"}

// selectsAll reports whether all rows are of the types and owners that were asked for.
func (r *reader) selectsAll(list []Indicator) bool {
	has := func(names []string, name string) bool {
		return name == "" || slices.ContainsFunc(names, func(n string) bool { return strings.EqualFold(n, name) })
	}
	return !slices.ContainsFunc(list, func(i Indicator) bool { return !has(r.Types, i.Type) || !has(r.Owners, i.Owner) })
}

func (r *reader) buildParams(q pageRequest) url.Values {
	p := url.Values{
		"tql":               {r.composeTQL(q.where...)},
		"sorting":           {q.sorting},
		"resultStart":       {strconv.Itoa(q.start)},
		"resultLimit":       {strconv.Itoa(r.size.limit)},
		"createActivityLog": {"false"},
	}
	if len(r.fields) > 0 {
		p["fields"] = r.fields
	}
	if len(r.Owners) == 1 {
		p.Set("owner", r.Owners[0])
	}
	if q.count {
		p.Set("count", "true")
	}
	return p
}

// Bounds of a page.
const (
	firstRows = 1000
	maxRows   = 10000
	// pageBytes is the size that pages grow towards. A few of them are in memory at a time.
	pageBytes = 2 << 20

	slowPage = 2 * time.Minute
	fastPage = 30 * time.Second
)

// pageSize adapts to how long ThreatConnect takes (app/docs/threatconnect.md#page-size) and to how large its rows are.
type pageSize struct {
	limit    int // rows to ask for
	rowBytes int // of a row of the last page, on average
}

// bytes is about how long an answer with a page of this size is, but for one whose rows are as large as pages.
func (s *pageSize) bytes() int { return min(s.limit*s.rowBytes, pageBytes) * 9 / 8 }

// adaptTo sets the size of the next page by how the last one went.
func (s *pageSize) adaptTo(took time.Duration, list []Indicator) {
	rows, bytes := len(list), 0
	for _, i := range list {
		bytes += len(i.Raw)
	}
	if rows > 0 {
		s.rowBytes = max(bytes/rows, 1)
	}
	switch {
	case took > slowPage:
		s.limit /= 2
	case took < fastPage && rows >= s.limit:
		s.limit += (s.limit + 1) / 2
	}
	if s.rowBytes > 0 {
		s.limit = min(s.limit, pageBytes/s.rowBytes)
	}
	s.limit = min(max(s.limit, 1), maxRows)
}

// shrinkAfter halves the page when the failure may come from asking for much, and shrinks it faster when it may come from
// one row of it, which is to be alone before the tries are used up.
func (s *pageSize) shrinkAfter(err error) {
	var refused *Error
	tooMuch := errors.Is(err, errTooSlow)
	if errors.As(err, &refused) {
		tooMuch = tooMuch || refused.isTimeout() || refused.effectiveStatus() == http.StatusServiceUnavailable
	}
	switch {
	case tooMuch:
		s.limit = max(s.limit/2, 1)
	case mayBeRow(err):
		s.limit = max(s.limit/4, 1)
	}
}
