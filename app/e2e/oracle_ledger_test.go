package e2e

import (
	"fmt"
	"maps"
	"runtime"
	"slices"
	"strings"
	"sync"
	"sync/atomic"
	"testing"
	"time"

	"mssentinel/app/expected"
	"mssentinel/app/standin/tcserver"
)

// overlap is how much of the window before a delta update reads again.
const overlap = 10 * time.Minute

// oracle follows the updates of a Service and says what Sentinel has to hold after each of them.
type oracle struct {
	t       *testing.T
	tc      *tcserver.Server
	queries []query
	known   map[int64]*expected.Conversion // of indicators that have not changed since
	entries map[string]*entry              // by STIX id
	mark    time.Time                      // the end of the last window
	// gone are the indicators that were deleted or set inactive since the last update.
	gone    []int64
	deleted []deletion
	made    int // values that edits made up
}

// entry is one observable.
type entry struct {
	claims  map[claim]int // what gives it, and at which place of its query
	winner  claim
	object  expected.Object // as it was sent last
	added   time.Time       // dateAdded of what was sent first: it stays
	sentOf  time.Time       // lastModified of what was sent last
	stands  bool
	retired bool
	sends   int
	// compared is what sends was when the object was last found equal, created what it had for created then.
	compared int
	created  time.Time
}

// claim is an indicator in a query, queries counted from 0.
type claim struct {
	query     int
	indicator int64
}

// deletion is what ThreatConnect lists of an indicator that was deleted. The list has no id: a delta update asks for whatever
// gives the same objects in that owner.
type deletion struct {
	at    time.Time
	owner string
	ids   []string
}

// tally is what JOBS has to say about an update.
type tally struct {
	downloaded, invalid, duplicate, uploaded, retired int
	problems                                          []int64 // indicators with something that cannot be mapped
}

func newOracle(t *testing.T, tc *tcserver.Server, queries []query) *oracle {
	return &oracle{t: t, tc: tc, queries: queries, known: map[int64]*expected.Conversion{}, entries: map[string]*entry{}}
}

// compose writes a query as ThreatConnect's documents have it.
func (q query) compose(more ...string) tcserver.Query {
	list := func(names []string) string { return `("` + strings.Join(names, `","`) + `")` }
	all := append([]string{"(" + q.TQL + ")", "ownerName in " + list(q.Owners), "typeName in " + list(q.Types)}, more...)
	sorting := "id asc"
	if q.SortField != "" {
		sorting = q.SortField + " " + q.SortDirection + " id asc"
	}
	return tcserver.Query{TQL: strings.Join(all, " and "), Sorting: sorting}
}

func (o *oracle) selects(q query, more ...string) []tcserver.Row {
	o.t.Helper()
	rows, err := o.tc.Select(q.compose(more...))
	if err != nil {
		o.t.Fatal(err)
	}
	return rows
}

func (o *oracle) convert(r tcserver.Row) *expected.Conversion {
	o.t.Helper()
	if c := o.known[r.ID]; c != nil {
		return c
	}
	c, err := expected.Convert(r.JSON())
	if err != nil {
		o.t.Fatalf("indicator %d: %v", r.ID, err)
	}
	o.known[r.ID] = &c
	return &c
}

// learn converts all that the queries select, on every processor. Done early, it shortens what comes later.
func (o *oracle) learn() {
	o.t.Helper()
	missing := map[int64]tcserver.Row{}
	for _, q := range o.queries {
		for _, row := range o.selects(q) {
			if o.known[row.ID] == nil {
				missing[row.ID] = row
			}
		}
	}
	rows := slices.Collect(maps.Values(missing))
	converted := make([]expected.Conversion, len(rows))
	errs := make([]error, len(rows))
	everywhere(len(rows), func(i int) { converted[i], errs[i] = expected.Convert(rows[i].JSON()) })
	for i, row := range rows {
		if errs[i] != nil {
			o.t.Fatalf("indicator %d: %v", row.ID, errs[i])
		}
		o.known[row.ID] = &converted[i]
	}
}

// everywhere calls do for 0 to n-1, on every processor.
func everywhere(n int, do func(int)) {
	var next atomic.Int64
	var workers sync.WaitGroup
	for range runtime.GOMAXPROCS(0) {
		workers.Go(func() {
			for i := int(next.Add(1)) - 1; i < n; i = int(next.Add(1)) - 1 {
				do(i)
			}
		})
	}
	workers.Wait()
}

// changed forgets what was known of an indicator.
func (o *oracle) changed(id int64) { delete(o.known, id) }

func (o *oracle) entry(id string) *entry {
	e := o.entries[id]
	if e == nil {
		e = &entry{claims: map[claim]int{}}
		o.entries[id] = e
	}
	return e
}

// take counts what was read of a query and calls give for each object of it.
func (o *oracle) take(n *tally, id int64, c *expected.Conversion, give func(expected.Object)) {
	n.downloaded++
	if c.Invalid {
		n.invalid++
		n.problems = append(n.problems, id)
	}
	for k, obj := range c.Objects {
		if !slices.ContainsFunc(c.Objects[:k], func(e expected.Object) bool { return e.ID == obj.ID }) {
			give(obj)
		}
	}
}

// complete is a full update or a reconcile: everything is read, and the first copy in the order of the queries wins. A
// reconcile stands in for a delta update as well, so that it sends what was confirmed again.
func (o *oracle) complete(full bool, end time.Time) (n tally) {
	o.t.Helper()
	o.learn()
	winners := map[string]expected.Object{}
	for _, e := range o.entries {
		e.claims, e.winner = map[claim]int{}, claim{}
	}
	for k, q := range o.queries {
		for place, row := range o.selects(q) {
			o.take(&n, row.ID, o.convert(row), func(obj expected.Object) {
				e := o.entry(obj.ID)
				e.claims[claim{k, row.ID}] = place
				if _, taken := winners[obj.ID]; taken {
					n.duplicate++
					return
				}
				e.winner, winners[obj.ID] = claim{k, row.ID}, obj
			})
		}
	}
	for id, e := range o.entries {
		obj, selected := winners[id]
		if !selected {
			o.retire(&n, e)
			continue
		}
		modified := o.known[e.winner.indicator].Modified
		o.send(&n, e, obj, modified, full || modified.After(e.sentOf))
	}
	o.mark, o.gone = end, nil
	return n
}

func (o *oracle) retire(n *tally, e *entry) {
	if e.stands {
		n.retired++
		e.sends++
		e.stands, e.retired = false, true
	}
}

// send sends an object if it has to be: it is new, differs, or everything is sent anew.
func (o *oracle) send(n *tally, e *entry, obj expected.Object, modified time.Time, always bool) {
	if !always && e.stands && sameContent(e.object, obj) {
		e.sentOf = modified
		return
	}
	n.uploaded++
	if e.sends == 0 {
		e.added = obj.Added
	}
	e.sends++
	e.object, e.sentOf, e.stands, e.retired = obj, modified, true, false
}

// delta is a delta update over a window: what left is taken out, what was modified is taken in, and of each observable that
// this concerns the best copy is sent if it has news.
func (o *oracle) delta(end time.Time) (n tally) {
	o.t.Helper()
	selected := make([]map[int64]tcserver.Row, len(o.queries))
	for k, q := range o.queries {
		selected[k] = map[int64]tcserver.Row{}
		for _, row := range o.selects(q) {
			selected[k][row.ID] = row
		}
	}
	concerned := map[string]bool{}
	read := map[claim]bool{}
	gave := map[claim][]string{}
	for id, e := range o.entries {
		for c := range e.claims {
			gave[c] = append(gave[c], id)
			if slices.Contains(o.gone, c.indicator) && selected[c.query][c.indicator].ID == 0 {
				delete(e.claims, c)
				concerned[id] = true
			}
		}
	}
	window := fmt.Sprintf("lastModified >= %q and lastModified < %q", stamp(o.mark.Add(-overlap)), stamp(end))
	for k, q := range o.queries {
		for place, row := range o.selects(q, window) {
			me := claim{k, row.ID}
			read[me] = true
			given := map[string]bool{}
			o.take(&n, row.ID, o.convert(row), func(obj expected.Object) {
				given[obj.ID], concerned[obj.ID] = true, true
				e := o.entry(obj.ID)
				if _, known := e.claims[me]; !known {
					e.claims[me] = 1<<30 + place
				}
			})
			for _, id := range gave[me] {
				if !given[id] {
					delete(o.entries[id].claims, me)
					concerned[id] = true
				}
			}
		}
	}
	o.askForDeleted(&n, selected, read, concerned)
	for id := range concerned {
		o.settle(&n, id, selected, read)
	}
	o.mark, o.gone = end, nil
	return n
}

// askForDeleted asks for what gives the objects of indicators that are on the lists of what was deleted: it is still there.
func (o *oracle) askForDeleted(n *tally, selected []map[int64]tcserver.Row, read map[claim]bool, concerned map[string]bool) {
	since := o.mark.Add(-overlap)
	for _, d := range o.deleted {
		if d.at.Before(since) {
			continue
		}
		for _, id := range d.ids {
			for c := range o.entry(id).claims {
				row, still := selected[c.query][c.indicator]
				if still && row.Owner == d.owner && !read[c] {
					n.downloaded++
					read[c], concerned[id] = true, true
				}
			}
		}
	}
}

// settle finds who wins an observable in a delta update, and what that means.
func (o *oracle) settle(n *tally, id string, selected []map[int64]tcserver.Row, read map[claim]bool) {
	e := o.entries[id]
	for {
		if len(e.claims) == 0 {
			e.winner = claim{}
			o.retire(n, e)
			return
		}
		best := e.best()
		if best == e.winner && !read[best] {
			return
		}
		row, still := selected[best.query][best.indicator]
		var obj expected.Object
		if still {
			c := o.convert(row)
			at := slices.IndexFunc(c.Objects, func(obj expected.Object) bool { return obj.ID == id })
			if still = at >= 0; still {
				obj = c.Objects[at]
			}
		}
		if !still {
			delete(e.claims, best)
			continue
		}
		if !read[best] { // it is asked for by its id
			n.downloaded++
			read[best] = true
		}
		e.winner = best
		o.send(n, e, obj, row.LastModified, row.LastModified.After(e.sentOf))
		return
	}
}

// best is the claim of the best query: its winner stays, else the first place counts.
func (e *entry) best() (best claim) {
	first := true
	for c, place := range e.claims {
		switch {
		case first || c.query < best.query:
			best, first = c, false
		case c.query > best.query || best == e.winner:
		case c == e.winner || place < e.claims[best] || place == e.claims[best] && c.indicator < best.indicator:
			best = c
		}
	}
	return best
}

func stamp(t time.Time) string { return t.UTC().Format("2006-01-02T15:04:05Z") }
