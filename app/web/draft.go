package web

import (
	"crypto/sha256"
	"encoding/hex"
	"encoding/json"
	"fmt"
	"slices"
	"strconv"
	"strings"

	"mssentinel/app/store"
	"mssentinel/templates"
)

// draft is the list of queries as an operator has edited it and not saved. It lives in the page, not in the Service.
type draft struct {
	Queries []draftQuery
	// Version is the saved list that the draft started from; Base is that list's fingerprint.
	Version, Base string
}

// draftQuery is a query with a key that a new one has too.
type draftQuery struct {
	Key string `json:"key"`
	store.Query
}

func newDraft(queries []store.Query, version string) *draft {
	d := &draft{Version: version}
	for _, q := range queries {
		d.Queries = append(d.Queries, draftQuery{Key: q.ID, Query: tidy(q)})
	}
	d.Base = d.fingerprint()
	return d
}

// parseDraft reads a draft from the fields of its page.
func parseDraft(text, version, base string) (*draft, error) {
	d := &draft{Version: version, Base: base}
	if err := json.Unmarshal([]byte(text), &d.Queries); err != nil {
		return nil, fmt.Errorf("read the unsaved list: %w", err)
	}
	return d, nil
}

func (d *draft) text() (string, error) {
	text, err := json.Marshal(list(d.Queries))
	return string(text), err
}

// fingerprint changes with anything that a save would keep.
func (d *draft) fingerprint() string {
	sum := sha256.New()
	for _, q := range d.Queries {
		fmt.Fprintf(sum, "%q %s %q %q\n", q.ID, selection(q.Query), q.SortField, q.SortDirection)
	}
	return hex.EncodeToString(sum.Sum(nil))[:16]
}

func (d *draft) dirty() bool { return d.fingerprint() != d.Base }

func (d *draft) index(key string) int {
	return slices.IndexFunc(d.Queries, func(q draftQuery) bool { return q.Key == key })
}

// move shifts a query by one place, and stops at the ends.
func (d *draft) move(key string, by int) {
	from := d.index(key)
	if to := from + by; from >= 0 && to >= 0 && to < len(d.Queries) {
		d.Queries[from], d.Queries[to] = d.Queries[to], d.Queries[from]
	}
}

func (d *draft) remove(key string) {
	d.Queries = slices.DeleteFunc(d.Queries, func(q draftQuery) bool { return q.Key == key })
}

// put replaces the query under key, or appends one where there is none.
func (d *draft) put(key string, q store.Query) string {
	if i := d.index(key); i >= 0 {
		q.ID, q.Version = d.Queries[i].ID, d.Queries[i].Version
		d.Queries[i].Query = q
		return key
	}
	q.ID = ""
	key = d.newKey()
	d.Queries = append(d.Queries, draftQuery{Key: key, Query: q})
	return key
}

// newKey is one that no query of the draft has.
func (d *draft) newKey() string {
	highest := 0
	for _, q := range d.Queries {
		if digits, isNew := strings.CutPrefix(q.Key, "new-"); isNew {
			if n, err := strconv.Atoi(digits); err == nil {
				highest = max(highest, n)
			}
		}
	}
	return "new-" + strconv.Itoa(highest+1)
}

// replace takes an imported list. Queries that are saved here keep their identity, others are new.
func (d *draft) replace(queries, saved []store.Query) {
	known := byID(saved)
	d.Queries = nil
	for _, q := range queries {
		q = tidy(q)
		if _, found := known[q.ID]; found && d.index(q.ID) < 0 {
			d.Queries = append(d.Queries, draftQuery{Key: q.ID, Query: q})
			continue
		}
		q.ID = ""
		d.Queries = append(d.Queries, draftQuery{Key: d.newKey(), Query: q})
	}
}

// rebase puts the draft on top of what someone else saved. Queries that they deleted become new ones.
func (d *draft) rebase(saved []store.Query, version string) {
	known := byID(saved)
	for i, q := range d.Queries {
		if _, found := known[q.ID]; !found {
			d.Queries[i].ID = ""
		}
	}
	d.Version, d.Base = version, newDraft(saved, version).Base
}

// list is the draft as it would be saved.
func (d *draft) list() []store.Query {
	queries := make([]store.Query, 0, len(d.Queries))
	for _, q := range d.Queries {
		queries = append(queries, q.Query)
	}
	return queries
}

// rows shows the draft, with a mark on what differs from the saved list.
func (d *draft) rows(saved []store.Query) []templates.Query {
	known := byID(saved)
	rows := make([]templates.Query, 0, len(d.Queries))
	for i, q := range d.Queries {
		row := queryRow(q.Key, i, q.Query)
		if before, found := known[q.ID]; !found {
			row.Mark = "New"
		} else if !sameQuery(q.Query, tidy(before)) {
			row.Mark = "Changed"
		}
		rows = append(rows, row)
	}
	return rows
}

func queryRow(key string, i int, q store.Query) templates.Query {
	return templates.Query{Key: key, Position: i + 1, Owners: q.Owners, Types: q.Types, TQL: q.TQL,
		SortField: q.SortField, SortDirection: q.SortDirection}
}
