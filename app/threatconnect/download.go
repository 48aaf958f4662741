package threatconnect

import (
	"context"
	"errors"
	"slices"
	"strconv"
	"time"
)

// Download reads a selection completely. handle gets page after page, in the user's order; it may get an indicator more
// than once. Rows shift while they are paged by offset, so when the query has a sort field a sweep over the ids follows:
// unseen is asked, page by page, which of the ids handle has not had, and those are fetched and handed over too, in no
// particular order. Whatever is in the selection from beginning to end is handed over, or an error is returned. An error
// of handle or unseen ends the download and is returned as it is.
func (c *Client) Download(ctx context.Context, s Selection, handle func(Page) error, unseen func(ids []int64) ([]int64, error)) error {
	if err := s.Check(); err != nil {
		return err
	}
	r := c.reader(s, wanted)
	switch {
	case s.IDs != nil:
		return r.these(ctx, s.IDs, handle)
	case s.byID():
		return r.keyset(ctx, rows{order: s.order()}, handle)
	}
	if err := r.ordered(ctx, handle); err != nil {
		return err
	}
	return r.sweep(ctx, handle, unseen)
}

func (c *Client) reader(s Selection, fields []string) *reader {
	return &reader{client: c, Selection: s, fields: fields, size: pageSize{limit: firstRows}, patience: patiently}
}

// First reads the first n indicators of a query, 1 to 10,000, in the user's order, and the total.
func (c *Client) First(ctx context.Context, q Query, n int) (Page, error) {
	return c.glance(ctx, q, wanted, n)
}

// Count has ThreatConnect evaluate a query, its order included, and gives the number of indicators that it selects.
func (c *Client) Count(ctx context.Context, q Query) (int64, error) {
	page, err := c.glance(ctx, q, nil, 1)
	if err == nil && page.Total < 0 {
		err = errors.New("ThreatConnect did not say how many indicators the query selects")
	}
	return page.Total, err
}

func (c *Client) glance(ctx context.Context, q Query, fields []string, n int) (Page, error) {
	if err := q.Check(); err != nil {
		return Page{}, err
	}
	s := Selection{Query: q}
	r := c.reader(s, fields)
	r.size.limit, r.patience = n, briefly
	p, err := r.read(ctx, rows{order: s.order(), count: true})
	return p.Page, err
}

// Inactive hands over the ids of the indicators of these owners and types that are inactive now and were modified since
// then, page by page.
func (c *Client) Inactive(ctx context.Context, owners, types []string, since time.Time, handle func(ids []int64) error) error {
	s := Selection{Query: Query{Owners: owners, Types: types, TQL: "indicatorActive = false"}, From: since}
	if err := s.Check(); err != nil {
		return err
	}
	return c.reader(s, nil).keyset(ctx, rows{order: s.order()}, func(p Page) error { return handle(ids(p)) })
}

// ordered reads the rows by offset. It need not be complete, so any sign of being led in a circle ends it.
func (r *reader) ordered(ctx context.Context, handle func(Page) error) error {
	var before []int64
	total := int64(-1)
	for start := 0; ; {
		p, err := r.read(ctx, rows{order: r.order(), start: start, count: start == 0})
		if err != nil {
			return err
		}
		if start == 0 {
			total = p.Total
		}
		found := ids(p.Page)
		if len(p.Indicators) == 0 || start > 0 && slices.Equal(found, before) {
			return nil
		}
		p.Total = total
		if err := handle(p.Page); err != nil {
			return err
		}
		start, before = start+len(p.Indicators), found
		if p.last() || !p.more && int64(start) == total || start > farthest(total) {
			return nil
		}
	}
}

// farthest bounds the offset: rows may be added while they are read, but not without end.
func farthest(total int64) int {
	if total < 0 {
		return 100_000_000
	}
	return 2*int(total) + maxRows
}

// sweep looks for what handle has not had.
func (r *reader) sweep(ctx context.Context, handle func(Page) error, unseen func([]int64) ([]int64, error)) error {
	bare := r.client.reader(r.Selection, nil)
	return bare.keyset(ctx, rows{order: "id ASC"}, func(p Page) error {
		missing, err := unseen(ids(p))
		if err != nil {
			return err
		}
		return r.these(ctx, missing, handle)
	})
}

// idsAtOnce bounds how many ids one request names.
const idsAtOnce = 500

// these reads what the selection has of these ids.
func (r *reader) these(ctx context.Context, ids []int64, handle func(Page) error) error {
	for chunk := range slices.Chunk(slices.Sorted(slices.Values(ids)), idsAtOnce) {
		if err := r.some(ctx, chunk, handle); err != nil {
			return err
		}
	}
	return nil
}

// some asks for a few ids, half as many at a time where so many need a body that ThreatConnect does not read.
func (r *reader) some(ctx context.Context, ids []int64, handle func(Page) error) error {
	err := r.keyset(ctx, rows{where: []string{among(ids)}, order: "id ASC"}, func(p Page) error {
		p.Total = -1
		return handle(p)
	})
	if !errors.Is(err, errIgnored) || len(ids) == 1 {
		return err
	}
	half := len(ids) / 2
	if err := r.some(ctx, ids[:half], handle); err != nil {
		return err
	}
	return r.some(ctx, ids[half:], handle)
}

// keyset reads all rows in the order of their ids, each page after the last id of the one before, so that nothing which
// changes on the way can push a row past it. It asks for the total: that tells an empty selection from an answer gone wrong.
func (r *reader) keyset(ctx context.Context, w rows, handle func(Page) error) error {
	w.at, w.count = &place{descending: w.order == "id DESC"}, true
	where, total, promised := slices.Clip(w.where), int64(-1), false
	for {
		p, err := r.read(ctx, w)
		if err != nil {
			return err
		}
		if w.count {
			total, promised = p.Total, p.Total < 0
		}
		if len(p.Indicators) == 0 {
			if !promised {
				return nil
			}
			promised, w.count = false, false // what was promised may be gone, or left out by mistake: that takes a second look
			continue
		}
		promised, p.Total = p.more, total
		if err := handle(p.Page); err != nil || p.last() {
			return err
		}
		if err := w.at.advance(p); err != nil {
			return err
		}
		w.where, w.count = append(where, w.at.beyond()), false
	}
}

// place is how far a keyset was read.
type place struct {
	descending, begun bool
	id                int64
}

// advance moves behind a page. It trusts ThreatConnect's order no further than it can see, since rows out of order
// would be passed over.
func (at *place) advance(p part) error {
	next := place{descending: at.descending}
	for _, i := range p.Indicators {
		switch {
		case i.ID == 0: // unreadable; it is reported with its page
		case next.begun && next.passed(i.ID), at.begun && (i.ID == at.id || at.passed(i.ID)):
			return errDisorder
		default:
			next.id, next.begun = i.ID, true
		}
	}
	if !next.begun && !p.last() {
		return errNameless
	}
	*at = next
	return nil
}

func (at *place) passed(id int64) bool {
	if at.descending {
		return id > at.id
	}
	return id < at.id
}

func (at *place) beyond() string {
	if at.descending {
		return "id < " + strconv.FormatInt(at.id, 10)
	}
	return "id > " + strconv.FormatInt(at.id, 10)
}

// ids are those of a page that can be read.
func ids(p Page) []int64 {
	list := make([]int64, 0, len(p.Indicators))
	for _, i := range p.Indicators {
		if i.ID != 0 {
			list = append(list, i.ID)
		}
	}
	return list
}
