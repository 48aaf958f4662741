package threatconnect

import (
	"context"
	"errors"
	"slices"
	"strconv"
	"time"
)

// Download reads a selection completely. handle gets page after page, in the user's order, and frees each that it is done with, see
// [Page.Free]; it may get an indicator more than once. Rows shift while they are paged by offset (app/docs/threatconnect.md#paging), so
// when the query has a sort field a sweep over the ids follows: unseen is asked, page by page, which of the ids handle has not had, and
// those are fetched and handed over too, in no particular order. Whatever is in the selection from beginning to end is handed over, or an
// error is returned. An error of handle or unseen ends the download and is returned as it is; one of [Query.Check] comes before anything
// is asked; any other is an *Error where ThreatConnect refused.
func (c *Client) Download(
	ctx context.Context, s Selection, handle func(Page) error, unseen func(ids []int64) ([]int64, error),
) error {
	if err := s.Check(); err != nil {
		return err
	}
	r := c.newReader(s, exportFields)
	switch {
	case s.IDs != nil:
		return r.readByID(ctx, s.IDs, handle)
	case s.sortsByID():
		return r.readKeyset(ctx, pageRequest{sorting: s.sortOrder()}, handle)
	}
	if err := r.readByOffset(ctx, handle); err != nil {
		return err
	}
	return r.sweepIDs(ctx, handle, unseen)
}

func (c *Client) newReader(s Selection, fields []string) *reader {
	return &reader{client: c, Selection: s, fields: fields, size: pageSize{limit: firstRows}, policy: background, bodies: newBodyPool()}
}

// First reads the first n indicators of a query, 1 to 10,000, in the user's order, and the total. Errors are those of
// [Client.Download].
func (c *Client) First(ctx context.Context, q Query, n int) (Page, error) {
	return c.readFirst(ctx, q, exportFields, n)
}

// Count has ThreatConnect evaluate a query, its order included, and gives the number of indicators that it selects.
// Errors are those of [Client.Download], and one where ThreatConnect names no number.
func (c *Client) Count(ctx context.Context, q Query) (int64, error) {
	page, err := c.readFirst(ctx, q, nil, 1)
	if err == nil && page.Total < 0 {
		err = errors.New("ThreatConnect did not say how many indicators the query selects")
	}
	return page.Total, err
}

// readFirst reads one page while someone waits for it.
func (c *Client) readFirst(ctx context.Context, q Query, fields []string, n int) (Page, error) {
	if err := q.Check(); err != nil {
		return Page{}, err
	}
	s := Selection{Query: q}
	r := c.newReader(s, fields)
	r.size.limit, r.policy = n, interactive
	p, err := r.readPage(ctx, pageRequest{sorting: s.sortOrder(), count: true})
	return p.Page, err
}

// Inactive hands over the ids of the indicators of these owners and types that are inactive now and were modified since
// then, page by page (app/docs/threatconnect.md#inactive-indicators). Errors are those of [Client.Download].
func (c *Client) Inactive(ctx context.Context, owners, types []string, since time.Time, handle func(ids []int64) error) error {
	s := Selection{Query: Query{Owners: owners, Types: types, TQL: "indicatorActive = false"}, From: since}
	if err := s.Check(); err != nil {
		return err
	}
	r := c.newReader(s, nil)
	return r.readKeyset(ctx, pageRequest{sorting: s.sortOrder()}, func(p Page) error {
		p.Free()
		return handle(readableIDs(p))
	})
}

// readByOffset reads the rows in the user's order. It need not be complete, since a sweep follows: any sign of being
// led in a circle ends it.
func (r *reader) readByOffset(ctx context.Context, handle func(Page) error) error {
	var before []int64
	total := int64(-1)
	for start := 0; ; {
		p, err := r.readPage(ctx, pageRequest{sorting: r.sortOrder(), start: start, count: start == 0})
		if err != nil && start > 0 && refusesOffset(err) {
			return nil // rows have disappeared: the same query was taken before
		}
		if err != nil {
			return err
		}
		if start == 0 {
			total = p.Total
		}
		ids := readableIDs(p.Page)
		if len(p.Indicators) == 0 || start > 0 && slices.Equal(ids, before) {
			return nil
		}
		p.Total = total
		if err := handle(p.Page); err != nil {
			return err
		}
		start, before = start+len(p.Indicators), ids
		if p.isLast() || !p.more && int64(start) == total || start > maxOffset(total) {
			return nil
		}
	}
}

// maxOffset bounds the offset: rows may be added while they are read, but not without end.
func maxOffset(total int64) int {
	if total < 0 {
		return 100_000_000
	}
	return 2*int(total) + maxRows
}

// sweepIDs reads the ids of the selection, and fetches those that handle has not had.
func (r *reader) sweepIDs(ctx context.Context, handle func(Page) error, unseen func([]int64) ([]int64, error)) error {
	bare := r.client.newReader(r.Selection, nil)
	return bare.readKeyset(ctx, pageRequest{sorting: "id ASC"}, func(p Page) error {
		p.Free()
		missing, err := unseen(readableIDs(p))
		if err != nil {
			return err
		}
		return r.readByID(ctx, missing, handle)
	})
}

// idsPerRequest bounds how many ids one request names.
const idsPerRequest = 500

// readByID reads what the selection has of these ids, in their order.
func (r *reader) readByID(ctx context.Context, ids []int64, handle func(Page) error) error {
	for chunk := range slices.Chunk(slices.Sorted(slices.Values(ids)), idsPerRequest) {
		if err := r.readChunk(ctx, chunk, handle); err != nil {
			return err
		}
	}
	return nil
}

// readChunk asks for a few ids, half as many at a time where so many need a body that ThreatConnect does not read.
func (r *reader) readChunk(ctx context.Context, ids []int64, handle func(Page) error) error {
	err := r.readKeyset(ctx, pageRequest{where: []string{idCondition(ids)}, ids: ids, sorting: "id ASC"}, func(p Page) error {
		p.Total = -1
		return handle(p)
	})
	if !errors.Is(err, errBodyIgnored) || len(ids) == 1 {
		return err
	}
	half := len(ids) / 2
	if err := r.readChunk(ctx, ids[:half], handle); err != nil {
		return err
	}
	return r.readChunk(ctx, ids[half:], handle)
}

// readKeyset reads all rows in the order of their ids, each page after the last id of the one before, so that nothing
// which changes meanwhile can push a row past it (app/docs/threatconnect.md#paging). It asks for the total first: that
// tells an empty selection from an answer gone wrong.
func (r *reader) readKeyset(ctx context.Context, q pageRequest, handle func(Page) error) error {
	q.after, q.count = &keysetPosition{descending: q.sorting == "id DESC"}, true
	where, total, promised := slices.Clip(q.where), int64(-1), false
	for {
		p, err := r.readPage(ctx, q)
		if err != nil {
			return err
		}
		if q.count {
			total, promised = p.Total, p.Total < 0
		}
		if len(p.Indicators) == 0 {
			if !promised {
				return nil
			}
			// What was promised may be gone by now, or be left out by mistake: the page is asked for once more.
			promised, q.count = false, false
			continue
		}
		promised, p.Total = p.more, total
		if err := handle(p.Page); err != nil || p.isLast() {
			return err
		}
		if err := q.after.advancePast(p); err != nil {
			return err
		}
		q.where, q.count = append(where, q.after.nextCondition()), false
	}
}

// keysetPosition is how far the ids were read: up to id, which is included, once a page was.
type keysetPosition struct {
	descending, begun bool
	id                int64
}

// advancePast moves behind a page. It checks that the ids of the page come in order and lie behind what was read, since
// rows out of order would never be asked for.
func (k *keysetPosition) advancePast(p pageAnswer) error {
	next := keysetPosition{descending: k.descending}
	for _, i := range p.Indicators {
		switch {
		case i.ID == 0: // unreadable; it is reported with its page
		case next.begun && next.isBehind(i.ID), k.begun && (i.ID == k.id || k.isBehind(i.ID)):
			return errWrongOrder
		default:
			next.id, next.begun = i.ID, true
		}
	}
	if !next.begun && !p.isLast() {
		return errNoIDs
	}
	*k = next
	return nil
}

// isBehind reports whether an id comes before the position.
func (k *keysetPosition) isBehind(id int64) bool {
	if k.descending {
		return id > k.id
	}
	return id < k.id
}

// nextCondition selects what comes after the position.
func (k *keysetPosition) nextCondition() string {
	if k.descending {
		return "id < " + strconv.FormatInt(k.id, 10)
	}
	return "id > " + strconv.FormatInt(k.id, 10)
}

// readableIDs are those of a page that could be read.
func readableIDs(p Page) []int64 {
	list := make([]int64, 0, len(p.Indicators))
	for _, i := range p.Indicators {
		if i.ID != 0 {
			list = append(list, i.ID)
		}
	}
	return list
}
