package simulation

import (
	"encoding/json"
	"maps"
	"slices"
	"strconv"
	"strings"
	"time"

	"mssentinel/app/expected"
	"mssentinel/app/standin/tcserver"
)

// The oracle says what Sentinel has to hold, from what is in ThreatConnect and the saved queries alone. It is written from the
// documents in the simplest way and shares no code with the product: this file imports none of its packages, which a test holds.

// oracle knows how indicators are mapped and selected.
type oracle struct {
	known map[tcserver.Row]*reading // rows do not change: one that was edited is another
	// added are the Unix seconds at which was added what ever gave an object, by its id.
	added map[string]map[int64]bool
}

// reading is what the oracle reads of a row.
type reading struct {
	expected.Conversion
	rating, confidence, score float64 // -1 for none
	tags                      []string
}

func newOracle() *oracle {
	return &oracle{known: map[tcserver.Row]*reading{}, added: map[string]map[int64]bool{}}
}

func (o *oracle) read(row tcserver.Row) *reading {
	if r := o.known[row]; r != nil {
		return r
	}
	var fields struct {
		Rating     *float64 `json:"rating"`
		Confidence *float64 `json:"confidence"`
		Score      *float64 `json:"threatAssessScore"`
		Tags       struct {
			Data []struct {
				Name string `json:"name"`
			} `json:"data"`
		} `json:"tags"`
	}
	raw := row.JSON()
	r := &reading{}
	var err error
	if r.Conversion, err = expected.Convert(raw); err == nil {
		err = json.Unmarshal(raw, &fields)
	}
	if err != nil {
		panic(err) // the stand-in's own text
	}
	number := func(n *float64) float64 {
		if n == nil {
			return -1
		}
		return *n
	}
	r.rating, r.confidence, r.score = number(fields.Rating), number(fields.Confidence), number(fields.Score)
	for _, t := range fields.Tags.Data {
		r.tags = append(r.tags, t.Name)
	}
	o.known[row] = r
	for _, object := range r.Objects {
		if o.added[object.ID] == nil {
			o.added[object.ID] = map[int64]bool{}
		}
		o.added[object.ID][object.Added.Unix()] = true
	}
	return r
}

// selects says whether a query selects a row. It understands no more TQL than the histories have: comparisons with >= and >, and
// tags, joined by and.
func (o *oracle) selects(q Query, row tcserver.Row) bool {
	if !row.Active || !slices.Contains(q.Owners, row.Owner) || !slices.Contains(q.Types, row.Type) {
		return false
	}
	if q.TQL == "" {
		return true
	}
	r := o.read(row)
	for clause := range strings.SplitSeq(q.TQL, " and ") {
		if tag, isTag := strings.CutPrefix(clause, `hasTag(name = "`); isTag {
			if !slices.Contains(r.tags, strings.TrimSuffix(tag, `")`)) {
				return false
			}
			continue
		}
		parts := strings.Fields(clause)
		bound, err := strconv.ParseFloat(parts[2], 64)
		if err != nil {
			panic(err)
		}
		value := map[string]float64{"rating": r.rating, "confidence": r.confidence, "threatAssessScore": r.score}[parts[0]]
		if value < 0 || parts[1] == ">=" && value < bound || parts[1] == ">" && value <= bound {
			return false
		}
	}
	return true
}

// gives is what a row gives, by the ids.
func (o *oracle) gives(row tcserver.Row) map[string]bool {
	ids := map[string]bool{}
	for _, object := range o.read(row).Objects {
		ids[object.ID] = true
	}
	return ids
}

// belowFloor says whether a row gives objects none of which reaches the floor of a query.
func (o *oracle) belowFloor(q Query, row tcserver.Row) bool {
	objects := o.read(row).Objects
	return len(objects) > 0 && !slices.ContainsFunc(objects, func(object expected.Object) bool {
		_, selected := q.Settings.Apply(object)
		return selected
	})
}

// takes says whether a query takes what a row gives.
func (o *oracle) takes(q Query, row tcserver.Row) bool {
	return o.selects(q, row) && !o.belowFloor(q, row)
}

// given is all that the queries give.
func (o *oracle) given(queries []Query, rows []tcserver.Row) map[string]bool {
	all := map[string]bool{}
	for _, row := range rows {
		if slices.ContainsFunc(queries, func(q Query) bool { return o.takes(q, row) }) {
			maps.Copy(all, o.gives(row))
		}
	}
	return all
}

// candidate is a row that a query selects and that gives the object.
type candidate struct {
	query  int // its place, from 0
	row    tcserver.Row
	object expected.Object // as the query gives it
	hours  int             // its time to live by the query, 0 for that of its type
}

// verdict is what the rules say of everything.
type verdict struct {
	candidates map[string][]candidate // by STIX id, the best first
	// What an update that reads everything counts, in all and by query.
	tally
	queries  []tally
	problems map[int64]bool // the indicators that REPORT has to name
}

// tally counts what queries give: indicators, those of them below the floor and with something that cannot be mapped, objects that won
// and that lost.
type tally struct{ downloaded, below, invalid, won, lost int64 }

func (t *tally) add(other tally) {
	t.downloaded += other.downloaded
	t.below += other.below
	t.invalid += other.invalid
	t.won += other.won
	t.lost += other.lost
}

// decide reads all queries in their order, each in its own, as an update does that reads everything.
func (o *oracle) decide(queries []Query, ordered func(Query) []tcserver.Row) verdict {
	v := verdict{candidates: map[string][]candidate{}, problems: map[int64]bool{}}
	for n, q := range queries {
		var t tally
		for _, row := range ordered(q) {
			r := o.read(row)
			t.downloaded++
			if o.belowFloor(q, row) {
				t.below++
				continue
			}
			if r.Invalid {
				t.invalid++
				v.problems[row.ID] = true
			}
			seen := map[string]bool{}
			for _, object := range r.Objects {
				if seen[object.ID] {
					continue
				}
				seen[object.ID] = true
				object, selected := q.Settings.Apply(object)
				if !selected {
					continue
				}
				if len(v.candidates[object.ID]) > 0 {
					t.lost++
				} else {
					t.won++
				}
				v.candidates[object.ID] = append(v.candidates[object.ID], candidate{n, row, object, q.Settings.TTLHours})
			}
		}
		v.queries = append(v.queries, t)
		v.add(t)
	}
	return v
}

// right are the copies of an object that may stand: after an update that read everything the first one, after a delta update any of
// the best query, since a winner stays until it is gone.
func right(candidates []candidate, complete bool) []candidate {
	if complete {
		return candidates[:1]
	}
	return slices.DeleteFunc(slices.Clone(candidates), func(c candidate) bool { return c.query != candidates[0].query })
}

// held is an object as Sentinel has it, or is sent it.
type held struct {
	expected.Members
	Created    time.Time `json:"created"`
	Modified   time.Time `json:"modified"`
	ValidFrom  time.Time `json:"valid_from"`
	ValidUntil time.Time `json:"valid_until"`
}

// retired says that the object was sent to end at once, or as soon as it may.
func (h *held) retired() bool {
	return h.ValidUntil.Sub(h.Modified) < 10*time.Minute || h.ValidUntil.Sub(h.ValidFrom) < 10*time.Minute
}

// content is an object without its times.
func content(m expected.Members) string {
	text, err := json.Marshal(m)
	if err != nil {
		panic(err)
	}
	return string(text)
}

// compose writes a query as ThreatConnect's documents have it.
func compose(q Query) tcserver.Query {
	quoted := func(names []string) string {
		list := make([]string, len(names))
		for i, name := range names {
			list[i] = `"` + strings.ReplaceAll(name, `"`, `\"`) + `"`
		}
		return "(" + strings.Join(list, ",") + ")"
	}
	all := []string{"ownerName in " + quoted(q.Owners), "typeName in " + quoted(q.Types)}
	if q.TQL != "" {
		all = append(all, "("+q.TQL+")")
	}
	sorting := "id asc"
	if q.SortField != "" {
		sorting = q.SortField + " " + q.Direction + " id asc"
	}
	return tcserver.Query{TQL: strings.Join(all, " and "), Sorting: sorting}
}
