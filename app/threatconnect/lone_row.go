package threatconnect

import (
	"context"
	"errors"
	"fmt"
	"net/http"
	"slices"
	"strings"

	"mssentinel/app/jsonscan"
)

// maxHead is how much is kept of an answer that cannot be read: enough for the first members of its first row.
const maxHead = 16 << 10

// unreadable is an answer that is too large or no JSON, with its beginning.
type unreadable struct {
	error
	head []byte
}

func newUnreadable(err error, body []byte) error {
	return unreadable{err, slices.Clone(body[:min(len(body), maxHead)])}
}

func (u unreadable) Unwrap() error { return u.error }

// mayBeRow reports whether a failure may be due to one row of the page.
func mayBeRow(err error) bool {
	var refused *Error
	if errors.As(err, &refused) {
		return !refused.foreign && !refused.isTimeout() && refused.effectiveStatus() == http.StatusInternalServerError
	}
	return errors.Is(err, errTooLarge) || errors.Is(err, errDamaged)
}

// mayBeRow reports whether a failure of a page of one row may be due to the row. While someone waits, only its size is.
func (r *reader) mayBeRow(err error) bool {
	return mayBeRow(err) && (r.policy == background || errors.Is(err, errTooLarge))
}

// loneRow is a failure of a page of one row, after all tries, or one that another try does not help. It may be due to this row.
type loneRow struct{ error }

func (l loneRow) Unwrap() error { return l.error }

// readLoneRow reads the row that a page begins with and that cannot be read as it is: with those fields alone with which it
// can. Where it cannot be read without any, it is named by its id, if that was seen, or else stepped over as one without an
// id. Unless its size is the cause, what the row is to blame for strikes no other one, and strikes it whenever it is read:
// where the next one cannot be read either, the failure counts, and once that one can be read, this one is tried again.
func (r *reader) readLoneRow(ctx context.Context, q pageRequest, lone loneRow) (pageAnswer, error) {
	if len(r.fields) > 0 {
		if p, err := r.readWithoutFields(ctx, q); err == nil || ctx.Err() != nil {
			return p, err
		}
	}
	row, named := r.nameRow(lone)
	if named && errors.Is(lone, errTooLarge) {
		r.warnUnreadable(row, lone)
		return pageAnswer{Page: Page{Indicators: []Indicator{row}, Total: -1}, limit: 1, more: true}, nil
	}
	p, err := r.readNext(ctx, q)
	if err != nil {
		return p, lone.error
	}
	if again, err := r.readWith(ctx, q, r.fields); err == nil || ctx.Err() != nil {
		return again, err // an outage that has ended
	}
	r.warnUnreadable(row, lone)
	p.Indicators = slices.Insert(p.Indicators, 0, row)
	p.limit, p.Total = p.limit+1, -1
	return p, nil
}

func (r *reader) warnUnreadable(row Indicator, lone loneRow) {
	r.client.options.Logger.Warn("an indicator cannot be read", "id", row.ID, "error", lone.error)
}

// readNext reads the page that begins with the row after this one. Tries enough were made before it.
func (r *reader) readNext(ctx context.Context, q pageRequest) (pageAnswer, error) {
	q.start++
	q.count = false
	probe := *r
	probe.policy.tries = 3
	p, err := probe.fetchPage(ctx, q)
	r.size = probe.size
	return p, err
}

// readWithoutFields reads a row with as many of the fields as can be read, one by one and together.
func (r *reader) readWithoutFields(ctx context.Context, q pageRequest) (pageAnswer, error) {
	best, err := r.readWith(ctx, q, nil)
	if err != nil {
		return best, err
	}
	var readable []string
	for _, field := range r.fields {
		more := append(slices.Clone(readable), field)
		if p, err := r.readWith(ctx, q, more); err == nil {
			readable, best = more, p
		} else if ctx.Err() != nil {
			return p, err
		}
	}
	leftOut := slices.DeleteFunc(slices.Clone(r.fields), func(f string) bool { return slices.Contains(readable, f) })
	for i := range best.Indicators {
		best.Indicators[i].LeftOut = leftOut
	}
	r.client.options.Logger.Warn("an indicator cannot be read with all its parts; it is sent without",
		"indicators", readableIDs(best.Page), "without", leftOut)
	return best, nil
}

// readWith reads a row with these fields.
func (r *reader) readWith(ctx context.Context, q pageRequest, fields []string) (pageAnswer, error) {
	probe := *r
	probe.size.limit, probe.policy, probe.fields = 1, retryPolicy{tries: 2, budget: r.policy.budget}, fields
	return probe.fetchPage(ctx, q)
}

// nameRow is the row that cannot be read, as far as the beginning of the answer tells: named, if that is its id.
func (r *reader) nameRow(lone loneRow) (row Indicator, named bool) {
	var u unreadable
	if !errors.As(lone, &u) {
		return row, false
	}
	row.readFirst(u.head)
	if row.ID == 0 {
		return row, false
	}
	if row.Owner == "" {
		row.Owner = r.Owners[0]
	}
	if row.Type == "" {
		row.Type = r.Types[0]
	}
	row.Unreadable = fmt.Sprintf("It is too large to be read: more than %d MiB, even without its %s.", maxAnswerBytes>>20,
		strings.Join(exportFields, ", "))
	if errors.Is(lone, errDamaged) {
		row.Unreadable = "ThreatConnect does not write it as JSON that can be read."
	}
	return row, true
}

// readFirst reads the members of the first row of an answer that breaks off.
func (i *Indicator) readFirst(head []byte) {
	s := jsonscan.New(head)
	for name := range s.Members {
		if string(head[name.Start:name.End]) != `"data"` || s.Next() != '[' {
			continue
		}
		for range s.Elements {
			for name := range s.Members {
				value := s.Skip()
				i.setMember(string(head[name.Start:name.End]), head[value.Start:value.End], nameCache{})
			}
			return
		}
	}
}
