package tcserver

import (
	"bytes"
	"encoding/json"
	"errors"
	"fmt"
	"hash/fnv"
	"slices"
	"sync"
	"time"
)

// ErrNoIndicator is the error of a change to an indicator that is not there.
var ErrNoIndicator = errors.New("no such indicator")

// table is what the stand-in holds.
type table struct {
	mu      sync.Mutex
	rows    []*row // by id
	deleted []Deletion
	owners  []Owner        // the Organization of the user is the first of that type
	hidden  map[int64]bool // owners whose indicators the user may not read
	known   map[string]*owner
	results map[string][]*row
	names   []string // of results, oldest first
}

func newTable(p *Population, extra []Owner) *table {
	t := &table{rows: slices.Clone(p.rows), owners: slices.Concat(p.owners, extra), known: map[string]*owner{}}
	for _, r := range p.rows {
		if t.known[r.owner.name] == nil {
			t.known[r.owner.name] = r.owner
		}
	}
	for _, o := range extra {
		t.known[o.Name] = &owner{o.ID, o.Name}
	}
	t.forgetResults()
	return t
}

// forgetResults forgets what was computed from the table.
func (t *table) forgetResults() {
	t.results, t.names = map[string][]*row{}, nil
	visible := map[int64]bool{}
	for _, o := range t.owners {
		visible[o.ID] = o.Permission != "NONE"
	}
	t.hidden = map[int64]bool{}
	for _, o := range t.known {
		t.hidden[o.id] = !visible[o.id]
	}
}

// findRow returns the place of an indicator.
func (t *table) findRow(id int64) (int, error) {
	at := findPlace(t.rows, id)
	if at == len(t.rows) || t.rows[at].id != id {
		return 0, fmt.Errorf("%w: %d", ErrNoIndicator, id)
	}
	return at, nil
}

// Deletion is one row of /v3/indicators/deleted, and when the indicator had been added.
type Deletion struct {
	Owner, Type, Summary string
	Added, Deleted       time.Time
}

// Rows returns all indicators by id, inactive ones and those of hidden owners included.
func (s *Server) Rows() []Row {
	s.table.mu.Lock()
	defer s.table.mu.Unlock()
	all := make([]Row, len(s.table.rows))
	for i, r := range s.table.rows {
		all[i] = exportRow(r)
	}
	return all
}

// Row returns one indicator.
func (s *Server) Row(id int64) (Row, error) {
	s.table.mu.Lock()
	defer s.table.mu.Unlock()
	at, err := s.table.findRow(id)
	if err != nil {
		return Row{}, err
	}
	return exportRow(s.table.rows[at]), nil
}

// Deletions returns what was deleted, the oldest first.
func (s *Server) Deletions() []Deletion {
	s.table.mu.Lock()
	defer s.table.mu.Unlock()
	return slices.Clone(s.table.deleted)
}

// Put adds an indicator, or replaces the one with its id. Without an id it gets one above all others, and without dates
// it is added now.
func (s *Server) Put(indicator []byte) (id int64, err error) {
	members, err := parseMembers(indicator)
	if err != nil {
		return 0, fmt.Errorf("putting an indicator: %w", err)
	}
	s.table.mu.Lock()
	defer s.table.mu.Unlock()
	now := time.Now().UTC().Format(timeLayout)
	if members.memberValue("id") == nil {
		members.setMember("id", s.table.nextID())
	}
	if members.memberValue("dateAdded") == nil {
		members.setMember("dateAdded", now)
	}
	if members.memberValue("lastModified") == nil {
		members.setMember("lastModified", now)
	}
	return s.table.putDocument(members)
}

func (t *table) nextID() int64 {
	if len(t.rows) == 0 {
		return 1
	}
	return t.rows[len(t.rows)-1].id + 1
}

func (t *table) putDocument(m documentMembers) (int64, error) {
	r, err := parseRow(m.writeDocument(), t.known)
	if err != nil {
		return 0, fmt.Errorf("putting an indicator: %w", err)
	}
	if !slices.ContainsFunc(t.owners, func(o Owner) bool { return o.ID == r.owner.id }) {
		return 0, fmt.Errorf("putting an indicator: there is no owner %q", r.owner.name)
	}
	at, err := t.findRow(r.id)
	if err == nil {
		t.rows[at] = r
	} else {
		t.rows = slices.Insert(t.rows, findPlace(t.rows, r.id), r)
	}
	t.forgetResults()
	return r.id, nil
}

// Modify changes members of an indicator, nil takes one away, and moves lastModified to now unless it is among them.
func (s *Server) Modify(id int64, members map[string]any) error {
	return s.changeRow(id, members, true)
}

// Amend changes members of an indicator and leaves lastModified alone, as a change of a tag, an attribute or a score
// may.
func (s *Server) Amend(id int64, members map[string]any) error {
	return s.changeRow(id, members, false)
}

// SetTags gives an indicator these tags and no others, without moving lastModified.
func (s *Server) SetTags(id int64, names ...string) error {
	if len(names) == 0 {
		return s.Amend(id, map[string]any{"tags": struct{}{}})
	}
	tags := make([]map[string]any, len(names))
	for i, name := range names {
		tags[i] = map[string]any{"id": tagID(name), "name": name, "lastUsed": time.Now().UTC().Format(timeLayout)}
	}
	return s.Amend(id, map[string]any{"tags": map[string]any{"data": tags}})
}

func tagID(name string) uint64 {
	h := fnv.New64a()
	h.Write([]byte(name))
	return h.Sum64() % 1_000_000_000
}

// SetActive sets an indicator active or inactive. It moves lastModified unless [Options.StatusKeepsLastModified] is
// set.
func (s *Server) SetActive(id int64, active bool) error {
	return s.changeRow(id, map[string]any{"active": active}, !s.options.StatusKeepsLastModified)
}

func (s *Server) changeRow(id int64, changes map[string]any, moves bool) error {
	s.table.mu.Lock()
	defer s.table.mu.Unlock()
	at, err := s.table.findRow(id)
	if err != nil {
		return err
	}
	members, err := parseMembers(s.table.rows[at].appendDocument(nil, allFields&^genericValues))
	if err != nil {
		return err
	}
	if _, given := changes["lastModified"]; moves && !given {
		members.setMember("lastModified", time.Now().UTC().Format(timeLayout))
	}
	for name, value := range changes {
		members.setMember(name, value)
	}
	_, err = s.table.putDocument(members)
	return err
}

// Delete takes an indicator away and puts it on its owner's list of deleted ones.
func (s *Server) Delete(id int64) error {
	s.table.mu.Lock()
	defer s.table.mu.Unlock()
	at, err := s.table.findRow(id)
	if err != nil {
		return err
	}
	r := exportRow(s.table.rows[at])
	s.table.deleted = append(s.table.deleted, Deletion{r.Owner, r.Type, r.Summary(), r.DateAdded, time.Now().UTC().Truncate(time.Second)})
	s.table.rows = slices.Delete(s.table.rows, at, at+1)
	s.table.forgetResults()
	return nil
}

// ForgetDeletions drops what was deleted before a time from the lists, as the retention of an instance does.
func (s *Server) ForgetDeletions(before time.Time) {
	s.table.mu.Lock()
	defer s.table.mu.Unlock()
	s.table.deleted = slices.DeleteFunc(s.table.deleted, func(d Deletion) bool { return d.Deleted.Before(before) })
}

// Recreate adds what was deleted again, under a new id and with today's dates.
func (s *Server) Recreate(deleted Row) (id int64, err error) {
	members, err := parseMembers(deleted.JSON())
	if err != nil {
		return 0, err
	}
	for _, name := range []string{"id", "dateAdded", "lastModified"} {
		members.setMember(name, nil)
	}
	return s.Put(members.writeDocument())
}

// documentMembers are the members of a document in order, to change some of them.
type documentMembers []documentMember

type documentMember struct {
	name  string
	value json.RawMessage
}

func parseMembers(document []byte) (members documentMembers, err error) {
	var plain bytes.Buffer
	if err := json.Compact(&plain, document); err != nil {
		return nil, err
	}
	err = eachMember(plain.Bytes(), func(m member) bool {
		members = append(members, documentMember{string(m.name), slices.Clone(m.value)})
		return true
	})
	return members, err
}

func (d documentMembers) memberValue(name string) json.RawMessage {
	for _, m := range d {
		if m.name == name {
			return m.value
		}
	}
	return nil
}

// setMember changes a member, adds it, or takes it away when value is nil. The id comes first.
func (d *documentMembers) setMember(name string, value any) {
	at := slices.IndexFunc(*d, func(m documentMember) bool { return m.name == name })
	if value == nil {
		if at >= 0 {
			*d = slices.Delete(*d, at, at+1)
		}
		return
	}
	var text bytes.Buffer
	enc := json.NewEncoder(&text)
	enc.SetEscapeHTML(false)
	if err := enc.Encode(value); err != nil {
		panic(fmt.Sprintf("a member %s that cannot be JSON: %v", name, err)) // a mistake in the test that calls
	}
	m := documentMember{name, bytes.TrimSpace(text.Bytes())}
	switch {
	case at >= 0:
		(*d)[at] = m
	case name == "id":
		*d = slices.Insert(*d, 0, m)
	default:
		*d = append(*d, m)
	}
}

// writeDocument writes the members, the id first.
func (d documentMembers) writeDocument() []byte {
	ordered := slices.Clone(d)
	slices.SortStableFunc(ordered, func(a, b documentMember) int { return int(toInt(b.name == "id") - toInt(a.name == "id")) })
	out := []byte{'{'}
	for i, m := range ordered {
		if i > 0 {
			out = append(out, ',')
		}
		out = append(append(append(out, '"'), m.name...), '"', ':')
		out = append(out, m.value...)
	}
	return append(out, '}')
}
