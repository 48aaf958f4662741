package store

import (
	"slices"
)

// QueryChange is a query that differs between two lists of queries, or stands elsewhere among the others.
type QueryChange struct {
	// Before and After are the query in either list; nil in the one that does not have it.
	Before, After *Query
	// Moved: it has another place among the queries that both lists have.
	Moved bool
}

// Edited says that both lists have the query, and that something of it is another.
func (c QueryChange) Edited() bool {
	return c.Before != nil && c.After != nil && !sameQuery(*c.Before, *c.After)
}

// ListChanges count what differs between two lists. A query that was edited and moved counts for both.
type ListChanges struct{ Added, Edited, Deleted, Moved int }

// CountChanges counts what [CompareLists] found.
func CountChanges(changes []QueryChange) (n ListChanges) {
	for _, c := range changes {
		switch {
		case c.Before == nil:
			n.Added++
		case c.After == nil:
			n.Deleted++
		case c.Edited():
			n.Edited++
		}
		if c.Moved {
			n.Moved++
		}
	}
	return n
}

// CompareLists lists what differs between two lists of queries: first the queries of the list after, in its order, then
// those that it does not have. The same query is the one with the same ID, or else one that is the same in all but that: a
// deleted query that was restored has a new one. As few queries as possible count as moved.
func CompareLists(before, after []Query) []QueryChange {
	old := pairQueries(before, after)
	still := stillQueries(old)
	var changes []QueryChange
	kept := make([]bool, len(before))
	for i := range after {
		c := QueryChange{After: &after[i]}
		if at := old[i]; at >= 0 {
			kept[at] = true
			c.Before, c.Moved = &before[at], !still[i]
			if !c.Moved && !c.Edited() {
				continue
			}
		}
		changes = append(changes, c)
	}
	for i := range before {
		if !kept[i] {
			changes = append(changes, QueryChange{Before: &before[i]})
		}
	}
	return changes
}

// pairQueries gives for each query of after the index of the same one in before, -1 where there is none.
func pairQueries(before, after []Query) []int {
	byID := make(map[string]int, len(before))
	for i, q := range before {
		byID[q.ID] = i
	}
	pairs, taken := make([]int, len(after)), make([]bool, len(before))
	for i, q := range after {
		at, found := byID[q.ID]
		if pairs[i] = -1; found && !taken[at] {
			pairs[i], taken[at] = at, true
		}
	}
	for i, q := range after {
		if pairs[i] >= 0 {
			continue
		}
		for at := range before {
			if !taken[at] && before[at].TQL == q.TQL && sameQuery(before[at], q) {
				pairs[i], taken[at] = at, true
				break
			}
		}
	}
	return pairs
}

// stillQueries tells which queries of a list stand where they did, by their old places, -1 for none: the longest series of
// them that rises.
func stillQueries(old []int) []bool {
	var ends []int // the indexes at which the best series of each length ends
	previous := make([]int, len(old))
	for i, at := range old {
		if at < 0 {
			continue
		}
		length, _ := slices.BinarySearchFunc(ends, at, func(end, at int) int { return old[end] - at })
		if previous[i] = -1; length > 0 {
			previous[i] = ends[length-1]
		}
		ends = append(ends[:length], append([]int{i}, ends[min(length+1, len(ends)):]...)...)
	}
	still := make([]bool, len(old))
	if len(ends) == 0 {
		return still
	}
	for i := ends[len(ends)-1]; i >= 0; i = previous[i] {
		still[i] = true
	}
	return still
}

// sameQuery says that two queries are the same but for their identity and their place.
func sameQuery(a, b Query) bool {
	return sameSelection(a, b) && sameSettings(a, b) && a.SortField == b.SortField && a.SortDirection == b.SortDirection
}
