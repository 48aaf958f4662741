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

// wanted are the parts of an indicator that the mapping needs beyond the basic ones (spec §3.2).
var wanted = []string{"tags", "securityLabels", "attributes", "threatAssess", "associatedGroups"}

const indicators = "/v3/indicators"

// reader reads pages of one selection.
type reader struct {
	client *Client
	Selection
	fields   []string
	size     pageSize
	patience patience
}

// rows says which rows of its selection a page is to show.
type rows struct {
	where []string // conditions beyond the selection
	order string
	start int
	count bool   // ask for the total, which ThreatConnect tells at start 0 alone
	at    *place // what lies behind, if the rows come in the order of their ids
}

// part is a page, and what its answer said about others.
type part struct {
	Page
	limit int // rows asked for
	more  bool
}

func (p part) last() bool { return !p.more && len(p.Indicators) < p.limit }

// check finds answers that contradict themselves or the question, which are worth another try.
func (p part) check(w rows) error {
	if len(p.Indicators) == 0 && p.more {
		return errGap
	}
	if w.at == nil {
		return nil
	}
	if len(p.Indicators) == 0 {
		if p.Total > 0 {
			return errMissing
		}
		return nil
	}
	at := *w.at
	return at.advance(p)
}

// read reads a page. When ThreatConnect refuses one of the fields, it goes on without it: half of the description is
// better than no indicator.
func (r *reader) read(ctx context.Context, w rows) (part, error) {
	p, err := r.page(ctx, w)
	if err == nil || len(r.fields) == 0 || !mayConcernFields(err) {
		return p, err
	}
	granted, probeErr := r.granted(ctx, w)
	if probeErr != nil || len(granted) == len(r.fields) {
		return p, err
	}
	r.client.options.Logger.Warn("ThreatConnect withholds parts of the indicators; they are sent without", "asked", r.fields, "granted", granted, "error", err)
	r.fields = granted
	return r.page(ctx, w)
}

// mayConcernFields: a refused field shows in different ways (spec §2.3), but not as TQL that cannot be parsed.
func mayConcernFields(err error) bool {
	var refused *Error
	if errors.Is(err, errIgnored) || !errors.As(err, &refused) || refused.foreign || refused.isTimeout() || refused.Code == tqlParseError {
		return false
	}
	kind := refused.kind()
	return kind == http.StatusBadRequest || kind == http.StatusUnauthorized || kind == http.StatusForbidden
}

// granted asks for each field alone. The error says that the fields are not the trouble.
func (r *reader) granted(ctx context.Context, w rows) ([]string, error) {
	probe := *r
	probe.size.limit = 1
	probe.fields = nil
	if _, err := probe.page(ctx, w); err != nil {
		return nil, err
	}
	var granted []string
	for _, field := range r.fields {
		probe.fields = []string{field}
		_, err := probe.page(ctx, w)
		if err != nil && !mayConcernFields(err) {
			return nil, err
		}
		if err == nil {
			granted = append(granted, field)
		}
	}
	return granted, nil
}

// page reads a page, in smaller ones from try to try when it is too much for ThreatConnect.
func (r *reader) page(ctx context.Context, w rows) (part, error) {
	var p part
	doubted := false
	err := r.client.insist(ctx, r.patience, func(ctx context.Context) error {
		began := time.Now()
		q := ask(indicators, r.params(w))
		said, err := r.client.list(ctx, q, r.size.expect())
		if err != nil {
			r.size.failed(err)
			return err
		}
		p = part{Page: Page{Indicators: said.indicators(), Total: said.count}, limit: r.size.limit, more: said.next != ""}
		if q.body != nil && (w.count && p.Total < 0 || !r.selects(p.Indicators)) {
			return errIgnored
		}
		if err := p.check(w); err != nil {
			return r.client.unreachable(err)
		}
		if !doubted && slices.ContainsFunc(p.Indicators, func(i Indicator) bool { return i.ID == 0 }) {
			doubted = true // it may have been damaged on the way; if it comes again like this, it is like this
			return r.client.unreachable(errDamaged)
		}
		r.size.learn(time.Since(began), p.Indicators)
		return nil
	})
	if err != nil {
		return p, fmt.Errorf("read indicators: %w", err)
	}
	return p, nil
}

// errIgnored: a ThreatConnect that does not read the body would answer with everything it has.
var errIgnored = &Error{Status: http.StatusBadRequest,
	Message: "this version of ThreatConnect does not take queries this long: shorten the TQL, or split the query in two"}

// selects reports whether all rows are of the types and owners that were asked for.
func (r *reader) selects(list []Indicator) bool {
	has := func(names []string, name string) bool {
		return name == "" || slices.ContainsFunc(names, func(n string) bool { return strings.EqualFold(n, name) })
	}
	return !slices.ContainsFunc(list, func(i Indicator) bool { return !has(r.Types, i.Type) || !has(r.Owners, i.Owner) })
}

func (r *reader) params(w rows) url.Values {
	p := url.Values{
		"tql":               {r.tql(w.where...)},
		"sorting":           {w.order},
		"resultStart":       {strconv.Itoa(w.start)},
		"resultLimit":       {strconv.Itoa(r.size.limit)},
		"createActivityLog": {"false"},
	}
	if len(r.fields) > 0 {
		p["fields"] = r.fields
	}
	if len(r.Owners) == 1 {
		p.Set("owner", r.Owners[0])
	}
	if w.count {
		p.Set("count", "true")
	}
	return p
}

// Bounds of a page.
const (
	firstRows = 1000
	maxRows   = 10000
	// pageBytes is the size that pages grow towards. A few of them are in memory at a time.
	pageBytes = 8 << 20

	slowPage = 2 * time.Minute
	fastPage = 30 * time.Second
)

// pageSize adapts to how long ThreatConnect takes (spec §2.3) and to how large its rows are.
type pageSize struct {
	limit    int // rows to ask for
	rowBytes int // in the last page
}

func (s *pageSize) learn(took time.Duration, list []Indicator) {
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

// failed asks for less when the failure may come from asking for much.
func (s *pageSize) failed(err error) {
	var refused *Error
	tooMuch := errors.Is(err, errTooSlow) || errors.Is(err, errTooLarge) ||
		errors.As(err, &refused) && (refused.isTimeout() || refused.kind() == http.StatusInternalServerError || refused.kind() == http.StatusServiceUnavailable)
	if tooMuch {
		s.limit = max(s.limit/2, 1)
	}
}

// expect foresees the bytes of the next page, with room for rows that are larger.
func (s *pageSize) expect() int {
	return min(s.limit*s.rowBytes*9/8, 2*pageBytes)
}
