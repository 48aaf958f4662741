package simulation

import (
	"encoding/json"
	"maps"
	"reflect"
	"slices"
	"strings"
	"time"

	"mssentinel/app/expected"
	"mssentinel/app/standin/tcserver"
)

// changed notes that an indicator was changed. nil is an indicator that is not there.
func (h *watch) changed(before, after *tcserver.Row, s Step) {
	h.mu.Lock()
	defer h.mu.Unlock()
	ids := map[string]bool{}
	for _, row := range []*tcserver.Row{before, after} {
		if row != nil {
			maps.Copy(ids, h.oracle.gives(*row))
		}
	}
	for id := range ids {
		h.touched[id] = time.Now()
	}
	h.noteGiven(before, after)
	unseen := unseen{ids: ids}
	if after != nil {
		unseen.row = after.ID
	}
	switch {
	case h.deltaMisses(before, after, s):
		h.blur(unseen)
	case time.Now().Before(h.farthest):
		h.beforeMarks = append(h.beforeMarks, unseen)
	}
	// The query is not told what the indicator became before it fell out, so what it gave earlier is still known from it.
	if h.fallsOut(before, after) {
		maps.Copy(h.blurred, h.gave[before.ID])
	}
}

// unseen is a change of a row, 0 for one that is gone, that a delta update need not see.
type unseen struct {
	ids map[string]bool
	row int64
}

func (h *watch) blur(u unseen) {
	maps.Copy(h.blurred, u.ids)
	if u.row != 0 {
		h.obscure[u.row] = true
	}
}

// reads notes that the product reads indicators. Where it does so before the clock has caught up with its marks it takes them away, and
// sees everything; later it believes them, and does not see what changed before.
func (h *watch) reads() {
	h.mu.Lock()
	changes := h.beforeMarks
	h.beforeMarks = nil
	if time.Now().Before(h.farthest) {
		h.farthest, changes = time.Time{}, nil
	}
	for _, u := range changes {
		h.blur(u)
	}
	h.mu.Unlock()
	if len(changes) > 0 {
		h.look()
	}
}

// noteGiven keeps what an indicator gave since the last update that was checked. ThreatConnect's list of what was deleted names its last
// value alone.
func (h *watch) noteGiven(before, after *tcserver.Row) {
	for _, row := range []*tcserver.Row{before, after} {
		if row == nil {
			continue
		}
		if h.gave[row.ID] == nil {
			h.gave[row.ID] = map[string]bool{}
		}
		maps.Copy(h.gave[row.ID], h.givenBy(row))
	}
	if before == nil || after != nil && after.ID == before.ID {
		return
	}
	last := h.givenBy(before)
	maps.Copy(h.departed, last)
	for id := range h.gave[before.ID] {
		h.blurred[id] = h.blurred[id] || !last[id]
	}
}

// givenBy is what a row gives, nil for none.
func (h *watch) givenBy(row *tcserver.Row) map[string]bool {
	if row == nil {
		return nil
	}
	return h.oracle.gives(*row)
}

// forgot notes that ThreatConnect does not tell any more what was deleted: a delta update need not see it.
func (h *watch) forgot() {
	h.mu.Lock()
	defer h.mu.Unlock()
	maps.Copy(h.blurred, h.departed)
}

// deltaMisses says that a delta update need not see a change: lastModified stayed, or a query that selected the indicator does not
// any more, or it is gone and ThreatConnect's list of what was deleted, which has no ids, does not tell its value.
func (h *watch) deltaMisses(before, after *tcserver.Row, s Step) bool {
	if before != nil && (after == nil || after.ID != before.ID) && hasOddSummary(before) {
		return true
	}
	if s.Do == Amend || (s.Do == Activate || s.Do == Deactivate) && h.world.history.Variant.StatusKeepsLastModified {
		return before != nil
	}
	return h.fallsOut(before, after)
}

// hasOddSummary says that the summary of a File does not name its hashes.
func hasOddSummary(row *tcserver.Row) bool {
	var members struct{ Summary, SHA256 string }
	if err := json.Unmarshal(row.JSON(), &members); err != nil {
		panic(err) // the stand-in's own text
	}
	return row.Type == "File" && !strings.Contains(members.Summary, members.SHA256)
}

// fallsOut says that a query that selected an indicator does not any more, though it is there and active.
func (h *watch) fallsOut(before, after *tcserver.Row) bool {
	return before != nil && after != nil && after.Active &&
		slices.ContainsFunc(h.queries, func(q Query) bool { return h.oracle.selects(q, *before) && !h.oracle.selects(q, *after) })
}

// look notes what is not given any more.
func (h *watch) look() {
	rows := h.world.tc.Rows()
	h.mu.Lock()
	defer h.mu.Unlock()
	for _, row := range rows {
		h.oracle.read(row)
	}
	steady := h.givenForSure(rows)
	maps.DeleteFunc(h.steady, func(id string, _ bool) bool { return !steady[id] })
	given := h.oracle.given(h.queries, rows)
	maps.DeleteFunc(h.dismissed, func(id string, _ bool) bool { return given[id] })
}

// givenForSure is what the product has to know to be given: by rows that did not change behind its back, and by queries that have
// selected them under each definition since the last complete update. Where a query may have failed since, only by rows that were
// there then: what ThreatConnect lists as deleted is gone, and what came in its place was not read. So it is with a row that took the
// place of what was deleted, and a row that changed gives nothing while a mapper fails on it.
func (h *watch) givenForSure(rows []tcserver.Row) map[string]bool {
	ids := map[string]bool{}
	for _, row := range rows {
		selected := slices.ContainsFunc(h.queries, func(q Query) bool {
			definitions := h.definitions[q.Number]
			return len(definitions) > 0 && !slices.ContainsFunc(definitions, func(q Query) bool { return !h.oracle.takes(q, row) })
		})
		if !selected || h.obscure[row.ID] || h.troubled && !h.rows[row.ID] {
			continue
		}
		hasChanged := h.troubled && h.gave[row.ID] != nil
		for id := range h.oracle.gives(row) {
			if !hasChanged || !h.unmapped[row.ID] && !h.departed[id] {
				ids[id] = true
			}
		}
	}
	return ids
}

// saved notes that other queries are saved. One that cannot be read goes on to select what it did.
func (h *watch) saved(queries []Query) {
	h.mu.Lock()
	var readable []Query
	for _, q := range queries {
		if q.Broken != "" {
			h.troubled = true
			i := slices.IndexFunc(h.queries, func(old Query) bool { return old.Number == q.Number })
			if i < 0 {
				continue
			}
			q = h.queries[i]
		}
		readable = append(readable, q)
		if known := h.definitions[q.Number]; len(known) > 0 {
			h.definitions[q.Number] = append(known, q)
		}
	}
	h.allBlurred = h.allBlurred || !sameSelections(h.listed, queries)
	h.listed = queries
	h.queries, h.touchedAll = readable, time.Now()
	h.mu.Unlock()
	h.look()
}

// sameSelections says that two lists differ in settings at most, and that every query can be read: what the settings change reaches
// Sentinel by the next update, a delta as well.
func sameSelections(before, after []Query) bool {
	return slices.EqualFunc(before, after, func(a, b Query) bool {
		a.Settings, b.Settings = expected.Settings{}, expected.Settings{}
		return a.Broken == "" && reflect.DeepEqual(a, b)
	})
}

// setUnmapped notes that a mapper fails on an indicator.
func (h *watch) setUnmapped(indicator int64) {
	h.mu.Lock()
	h.unmapped[indicator] = true
	h.mu.Unlock()
	h.look()
}

// setTroubled notes that queries may fail.
func (h *watch) setTroubled() {
	h.mu.Lock()
	h.troubled = true
	h.mu.Unlock()
	h.look()
}

// setResent notes that an operator has things sent again.
func (h *watch) setResent() {
	h.mu.Lock()
	defer h.mu.Unlock()
	h.resent = true
	h.forgetRefusals() // their lines were taken off REPORT
}

// keep notes that what was asked about shall stay, and what nobody gives by now: the ledger may know it as given.
func (h *watch) keep(asked []string) {
	objects := h.world.live()
	rows := h.world.tc.Rows()
	h.mu.Lock()
	defer h.mu.Unlock()
	for _, id := range asked {
		h.kept[id] = true
	}
	given := h.oracle.given(h.queries, rows)
	for id := range objects {
		if !given[id] {
			h.kept[id] = true
		}
	}
}

// restarted notes that the Service has another setting.
func (h *watch) restarted(before, after Setting) {
	h.mu.Lock()
	defer h.mu.Unlock()
	if before.Workspace != after.Workspace || before.Source != after.Source {
		clear(h.steady)
		clear(h.kept)
		clear(h.dismissed)
		clear(h.refused)
		h.allBlurred, h.touchedAll = true, time.Now()
	}
	if before.Workspace == after.Workspace && before.Source != after.Source {
		h.left[key{workspaces[before.Workspace], before.Source, ""}] = true
	}
	if before.Workspace != after.Workspace {
		clear(h.left) // it is left to its times to live
	}
	delete(h.left, key{workspaces[after.Workspace], after.Source, ""})
}

// putBack notes that what was seen so far lies ahead of the clock.
func (h *watch) putBack(rows []tcserver.Row) {
	h.mu.Lock()
	defer h.mu.Unlock()
	for k, s := range h.standing {
		s.unsure, s.ahead = s.unsure || h.mayBeAnew(s, k.id), true
	}
	h.exchanges, h.death, h.stepped, h.asLeft = nil, time.Time{}, true, map[int64]time.Time{}
	for _, row := range rows {
		h.asLeft[row.ID] = row.LastModified
	}
	if now := time.Now(); now.After(h.farthest) {
		h.farthest = now
	}
}

// changedSince says that a row was changed since an instant, and by a newer lastModified than the ledger may have from before the clock was
// put back. What was not changed since was sent before that, by the full update at its end.
func (h *watch) changedSince(row tcserver.Row, at time.Time) bool {
	return row.LastModified.After(at) && row.LastModified.After(h.asLeft[row.ID])
}

// patternOf is a pattern that an indicator gives, "" for none.
func (h *watch) patternOf(row tcserver.Row) string {
	h.mu.Lock()
	defer h.mu.Unlock()
	if objects := h.oracle.read(row).Objects; len(objects) > 0 {
		return objects[0].Pattern
	}
	return ""
}

// settled notes what is certain after an update that was checked.
func (h *watch) settled(complete bool) {
	rows := h.world.tc.Rows()
	h.mu.Lock()
	defer h.mu.Unlock()
	h.resent = false
	h.forgetRefusals()
	clear(h.departed)
	clear(h.gave)
	clear(h.unmapped)
	if complete {
		h.allBlurred = false
		clear(h.blurred)
		clear(h.obscure)
		clear(h.definitions)
		for _, q := range h.queries {
			h.definitions[q.Number] = []Query{q}
		}
		h.troubled = false
		clear(h.rows)
		for _, row := range rows {
			h.rows[row.ID] = true
		}
		h.steady = h.oracle.given(h.queries, rows)
		maps.DeleteFunc(h.kept, func(id string, _ bool) bool { return h.steady[id] })
	}
}
