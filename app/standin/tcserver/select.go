package tcserver

import (
	"fmt"
	"math"
	"slices"
	"strconv"
	"strings"
	"time"

	"mssentinel/app/standin/tcserver/tql"
)

// Query selects and orders indicators as the parameters of GET /v3/indicators do.
type Query struct {
	TQL     string // app/docs/threatconnect.md#tql; without a mention of indicatorActive only active indicators are meant
	Owner   string // a name; all that the user may read when empty
	Sorting string // app/docs/threatconnect.md#sorting; by id when empty
}

// Select evaluates a query over what is there now, without paging. Its error says what the API would answer.
func (s *Server) Select(q Query) ([]Row, error) {
	rows, err := s.selectRows(q)
	if err != nil {
		return nil, err
	}
	all := make([]Row, len(rows))
	for i, r := range rows {
		all[i] = exportRow(r)
	}
	return all, nil
}

// selectRows is Select for rows. The slice must not be changed.
func (s *Server) selectRows(q Query) ([]*row, error) {
	p, err := newPlan(q, s.now(), s.options.Unknowns)
	if err != nil {
		return nil, err
	}
	return s.table.runPlan(p), nil
}

// plan is a query taken apart: bounds of the id, which the order of the rows answers at once, and the rest, which has
// to be tried on every row, and whose result is kept because the next page asks for it again.
type plan struct {
	match    func(*view) bool
	want     fields // that match needs
	rest     string // names what match selects
	from, to int64  // ids, both inclusive
	ids      []int64
	listed   bool // none but ids
	orders   []order
	sorting  string
}

func newPlan(q Query, now time.Time, u Unknowns) (*plan, error) {
	orders, err := parseSorting(q.Sorting)
	if err != nil && !u.Lenient {
		return nil, err
	}
	p := &plan{to: math.MaxInt64, orders: orders, sorting: strings.ToLower(q.Sorting)}
	matches, active := func(*view) bool { return true }, true
	if strings.TrimSpace(q.TQL) != "" {
		tree, err := tql.Parse(q.TQL)
		if err != nil {
			return nil, newTQLRefusal(err)
		}
		if err := u.checkUnits(q.TQL); err != nil {
			return nil, newTQLRefusal(err)
		}
		active = u.HideInactive || !tql.Mentions(tree, "indicatorActive")
		if matches, err = p.compileRest(tree, now); err != nil {
			return nil, newTQLRefusal(err)
		}
	}
	p.rest += fmt.Sprintf(" owner %q active %t", q.Owner, active)
	p.match = func(v *view) bool {
		return (!active || v.row.active) && (q.Owner == "" || v.row.owner.name == q.Owner) && matches(v)
	}
	return p, nil
}

// compileRest checks the whole tree, and compiles what is left of it without the bounds of the id.
func (p *plan) compileRest(tree tql.Node, now time.Time) (func(*view) bool, error) {
	if _, err := indicatorSchema().Compile(tree, now); err != nil {
		return nil, err
	}
	rest := p.takeBounds(tree)
	if rest == nil {
		return func(*view) bool { return true }, nil
	}
	compiled, err := indicatorSchema().Compile(rest, now)
	p.want = wantedFields(compiled.Needs)
	p.rest = tql.Format(rest)
	if compiled.Relative {
		p.rest += " at " + strconv.FormatInt(now.Unix(), 10)
	}
	return compiled.Match, err
}

// takeBounds takes the terms about the id out of the conditions that AND joins, and returns what is left.
func (p *plan) takeBounds(n tql.Node) tql.Node {
	switch n := n.(type) {
	case *tql.And:
		left, right := p.takeBounds(n.Left), p.takeBounds(n.Right)
		if left == nil {
			return right
		}
		if right == nil {
			return left
		}
		return &tql.And{Left: left, Right: right}
	case *tql.Term:
		if strings.EqualFold(n.Keyword.Name, "id") && p.takeBound(n) {
			return nil
		}
	}
	return n
}

func (p *plan) takeBound(t *tql.Term) bool {
	if t.Not || t.Op == tql.NotEqual || t.Op == tql.IsNull || t.Op == tql.In && p.listed {
		return false
	}
	ids := make([]int64, len(t.Values))
	for i, v := range t.Values {
		ids[i], _ = strconv.ParseInt(v.Text, 10, 64) // compiled already
	}
	switch first := ids[0]; t.Op {
	case tql.In:
		p.ids, p.listed = ids, true
	case tql.Equal:
		p.from, p.to = max(p.from, first), min(p.to, first)
	case tql.Greater:
		if first == math.MaxInt64 {
			return false
		}
		p.from = max(p.from, first+1)
	case tql.GreaterOrEqual:
		p.from = max(p.from, first)
	case tql.Less:
		p.to = min(p.to, max(first, 1)-1) // ids are positive
	case tql.LessOrEqual:
		p.to = min(p.to, first)
	}
	return true
}

// runPlan evaluates a plan, from what is kept of earlier ones where it can.
func (t *table) runPlan(p *plan) []*row {
	t.mu.Lock()
	defer t.mu.Unlock()
	if p.listed {
		return sortUnlessByID(t.lookUp(p), p.orders)
	}
	rows := t.keepResult(p.rest, func() []*row { return t.filterRows(t.rows, p) })
	from, to := findPlace(rows, p.from), findPlace(rows, p.to)
	if to < len(rows) && rows[to].id == p.to {
		to++
	}
	rows = rows[from:max(from, to)]
	if ascendingID(p.orders) {
		return rows
	}
	key := fmt.Sprintf("%s from %d to %d by %s", p.rest, p.from, p.to, p.sorting)
	return t.keepResult(key, func() []*row { return sortBy(rows, p.orders) })
}

func sortUnlessByID(rows []*row, orders []order) []*row {
	if ascendingID(orders) {
		return rows
	}
	return sortBy(rows, orders)
}

// findPlace is where the row with this id is or would be.
func findPlace(rows []*row, id int64) int {
	at, _ := slices.BinarySearchFunc(rows, id, func(r *row, id int64) int { return byID(r, &row{id: id}) })
	return at
}

func (t *table) lookUp(p *plan) []*row {
	slices.Sort(p.ids)
	var found []*row
	for _, id := range slices.Compact(p.ids) {
		if at := findPlace(t.rows, id); at < len(t.rows) && t.rows[at].id == id && p.from <= id && id <= p.to {
			found = append(found, t.rows[at])
		}
	}
	return t.filterRows(found, p)
}

func (t *table) filterRows(rows []*row, p *plan) []*row {
	var found []*row
	v := &view{want: p.want}
	for _, r := range rows {
		if v.showRow(r); !t.hidden[r.owner.id] && p.match(v) {
			found = append(found, r)
		}
	}
	return found
}

// maxKept bounds the results that are kept.
const maxKept = 24

// keepResult returns the result of that name, and computes it if need be. Every change to the table forgets all of
// them.
func (t *table) keepResult(name string, compute func() []*row) []*row {
	if rows, ok := t.results[name]; ok {
		return rows
	}
	rows := compute()
	if len(t.names) == maxKept {
		delete(t.results, t.names[0])
		t.names = t.names[1:]
	}
	t.results[name] = rows
	t.names = append(t.names, name)
	return rows
}
