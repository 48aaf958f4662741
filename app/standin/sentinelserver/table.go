package sentinelserver

import (
	"encoding/json"
	"maps"
	"os"
	"slices"
	"strings"
	"sync"
	"time"
)

// Stats count what happened since the start.
type Stats struct {
	Accepted  int `json:"accepted"`  // records
	Created   int `json:"created"`   // of them, objects that were not there
	Updated   int `json:"updated"`   // objects that were there with other content
	Unchanged int `json:"unchanged"` // objects that were there and differ in modified and valid_until at most
	Identical int `json:"identical"` // of these, the ones sent again to the byte
	Twice     int `json:"twice"`     // records whose id an earlier record of the same request had
	Live      int `json:"live"`      // objects that stand and have not expired, over all sources
}

// place is where an id means something.
type place struct{ workspace, source string }

type entry struct {
	raw     string // "" with KeepHashes
	content uint64
	sent    int
	at      time.Time
	back    time.Duration // see version
	until   time.Time     // zero for ever
}

func (e *entry) isExpired(now time.Time) bool { return !e.until.IsZero() && !e.until.After(now) }

// version is one stored version of an object: what rows are made from when someone asks.
type version struct {
	place
	raw      string
	kind     string
	id       string
	at       time.Time
	back     time.Duration // by how much the clock was put back since: whether it is valid was decided when it came
	method   string
	deleted  bool
	unknowns *Unknowns // set when rows are to be made
}

type table struct {
	keep     Keep
	unknowns Unknowns

	mu       sync.Mutex
	live     map[place]map[string]*entry
	versions []version
	stats    Stats
	journal  *os.File // nil for none
}

func newTable(keep Keep, u Unknowns) table {
	return table{keep: keep, unknowns: u, live: map[place]map[string]*entry{}}
}

// putRecords stores the good records of one request.
func (t *table) putRecords(workspace, source string, at time.Time, records []record) {
	if len(records) == 0 {
		return
	}
	p := place{workspace, source}
	t.mu.Lock()
	defer t.mu.Unlock()
	t.noteRequest(p, at, records)
	objects := t.live[p]
	if objects == nil {
		objects = map[string]*entry{}
		t.live[p] = objects
	}
	seen := make(map[string]bool, len(records))
	for _, r := range records {
		if seen[r.id] {
			t.stats.Twice++
		}
		seen[r.id] = true
		t.upsertRecord(objects, r, at)
		if t.keep == KeepRows {
			t.addVersion(version{place: p, raw: r.raw, kind: r.kind, id: strings.Clone(r.id), at: at, method: t.unknowns.UpdateMethod})
		}
	}
	t.stats.Accepted += len(records)
}

// addVersion keeps a version of which there are to be rows.
func (t *table) addVersion(v version) {
	if until, ok := validUntil(v.raw); t.unknowns.ExpiredNoRow && ok && !until.After(v.at) {
		return
	}
	if t.unknowns.RowsOfLastAlone {
		t.versions = slices.DeleteFunc(t.versions, func(old version) bool { return old.place == v.place && old.id == v.id })
	}
	t.versions = append(t.versions, v)
}

// holds says whether an object was stored.
func (t *table) holds(workspace, source, id string) bool {
	t.mu.Lock()
	defer t.mu.Unlock()
	return t.live[place{workspace, source}][id] != nil
}

// standing is the version of an object that stands; "" for none, or where it is not kept.
func (t *table) standing(workspace, source, id string) string {
	t.mu.Lock()
	defer t.mu.Unlock()
	if e := t.live[place{workspace, source}][id]; e != nil {
		return e.raw
	}
	return ""
}

func (t *table) upsertRecord(objects map[string]*entry, r record, at time.Time) {
	e := objects[r.id]
	switch {
	case e == nil:
		e = &entry{}
		objects[strings.Clone(r.id)] = e
		t.stats.Created++
	case e.content != r.content:
		t.stats.Updated++
	default:
		t.stats.Unchanged++
		if e.raw == r.raw {
			t.stats.Identical++
		}
	}
	e.content, e.at, e.back, e.until = r.content, at, 0, r.until
	e.sent++
	if t.keep != KeepHashes {
		e.raw = r.raw
	}
}

// Stats returns the counts so far.
func (s *Server) Stats() Stats {
	s.table.mu.Lock()
	defer s.table.mu.Unlock()
	stats, now := s.table.stats, time.Now()
	for _, objects := range s.table.live {
		for _, e := range objects {
			if !e.isExpired(now) {
				stats.Live++
			}
		}
	}
	return stats
}

// Sources lists the source systems that uploaded something, in order.
func (s *Server) Sources() []string {
	s.table.mu.Lock()
	defer s.table.mu.Unlock()
	names := map[string]bool{}
	for p := range s.table.live {
		names[p.source] = true
	}
	return slices.Sorted(maps.Keys(names))
}

// Objects returns the current version of every object of a source, by STIX id, over all workspaces.
// A retired or revoked object is among them. With KeepHashes the values are null.
func (s *Server) Objects(source string) map[string]json.RawMessage {
	return s.ObjectsIn("", source)
}

// ObjectsIn is Objects of one workspace, or of all for "".
func (s *Server) ObjectsIn(workspace, source string) map[string]json.RawMessage {
	s.table.mu.Lock()
	defer s.table.mu.Unlock()
	found := map[string]json.RawMessage{}
	for p, objects := range s.table.live {
		if p.source != source || workspace != "" && !strings.EqualFold(p.workspace, workspace) {
			continue
		}
		for id, e := range objects {
			found[id] = json.RawMessage("null")
			if e.raw != "" {
				found[id] = json.RawMessage(e.raw)
			}
		}
	}
	return found
}

// Sent returns how many times each object of a source was accepted.
func (s *Server) Sent(source string) map[string]int {
	s.table.mu.Lock()
	defer s.table.mu.Unlock()
	found := map[string]int{}
	for p, objects := range s.table.live {
		if p.source == source {
			for id, e := range objects {
				found[id] += e.sent
			}
		}
	}
	return found
}

// Republish appends a row for every object that stands and has not expired, as Sentinel does every 7 to 10 days: such
// rows lack external_references, app/docs/sentinel.md#tables. It does nothing unless rows are kept.
func (s *Server) Republish() {
	t := &s.table
	t.mu.Lock()
	defer t.mu.Unlock()
	if t.keep != KeepRows {
		return
	}
	now := time.Now()
	t.noteRepublished(now)
	t.republish(now)
}

func (t *table) republish(now time.Time) {
	for p, objects := range t.live {
		for id, e := range objects {
			if !e.isExpired(now) {
				t.versions = append(t.versions, version{place: p, raw: e.raw, kind: kindOf(e.raw), id: id, at: now, method: "LogARepublisher"})
			}
		}
	}
}

// Delete appends a row that says of an object that it was deleted, as the portal does. It does nothing unless rows are
// kept. What the method of such a row is called is not known.
func (s *Server) Delete(source, id string) {
	s.table.removeObject(source, id, func(p place, e *entry) {
		s.table.versions = append(s.table.versions,
			version{place: p, raw: e.raw, kind: kindOf(e.raw), id: id, at: time.Now(), method: "Portal", deleted: true})
	})
}

// Lose drops an object with all of its rows, as if it had never been there.
func (s *Server) Lose(source, id string) {
	s.table.removeObject(source, id, func(p place, _ *entry) {
		s.table.versions = slices.DeleteFunc(s.table.versions, func(v version) bool { return v.place == p && v.id == id })
	})
}

// removeObject takes an object out of those that stand, in each workspace.
func (t *table) removeObject(source, id string, note func(place, *entry)) {
	t.mu.Lock()
	defer t.mu.Unlock()
	for p, objects := range t.live {
		if e := objects[id]; e != nil && p.source == source {
			note(p, e)
			delete(objects, id)
		}
	}
}

// Age makes everything that is there older, as if it had been uploaded that much earlier.
func (s *Server) Age(by time.Duration) {
	t := &s.table
	t.mu.Lock()
	defer t.mu.Unlock()
	t.noteAged(by)
	t.age(by)
}

func (t *table) age(by time.Duration) {
	for i := range t.versions {
		t.versions[i].at = t.versions[i].at.Add(-by)
	}
	for _, objects := range t.live {
		for _, e := range objects {
			e.at = e.at.Add(-by)
		}
	}
}

// PutBack says that the clock of this machine was put back: what is there keeps its age, and is as active as it was when it came.
func (s *Server) PutBack(by time.Duration) {
	t := &s.table
	t.mu.Lock()
	defer t.mu.Unlock()
	t.notePutBack(by)
	t.putBack(by)
}

func (t *table) putBack(by time.Duration) {
	t.age(by)
	for i := range t.versions {
		t.versions[i].back += by
	}
	for _, objects := range t.live {
		for _, e := range objects {
			e.back += by
		}
	}
}

// arrivedVersions are those of the indicators of a source that a query finds, in the order in which they came.
func (t *table) arrivedVersions(of place, now time.Time) []version {
	return slices.DeleteFunc(t.storedVersions(), func(v version) bool {
		return v.place != of || v.kind != "indicator" || v.at.After(now) || v.at.Before(now.Add(-lookBack))
	})
}

// storedVersions returns the versions that rows are made from: all of them, or the current ones.
func (t *table) storedVersions() []version {
	t.mu.Lock()
	defer t.mu.Unlock()
	var current []version
	if t.keep == KeepRows {
		current = slices.Clone(t.versions)
	} else {
		for p, objects := range t.live {
			for id, e := range objects {
				if e.raw != "" {
					current = append(current, version{place: p, raw: e.raw, kind: kindOf(e.raw), id: id, at: e.at, back: e.back, method: t.unknowns.UpdateMethod})
				}
			}
		}
		slices.SortFunc(current, func(a, b version) int { return a.at.Compare(b.at) })
	}
	for i := range current {
		current[i].unknowns = &t.unknowns
	}
	return current
}
