package web

import (
	"context"
	"fmt"
	"slices"
	"strings"
	"sync"

	"golang.org/x/sync/errgroup"

	"mssentinel/app/store"
	"mssentinel/app/threatconnect"
)

const (
	// maxTQL bounds a query's text in bytes.
	maxTQL = 20_000
	// countsAtOnce bounds how many queries ThreatConnect checks for us at the same time.
	countsAtOnce = 4
)

var sortDirections = []string{"ASC", "DESC"}

// tidy brings a query into the form in which it is kept and compared.
func tidy(q store.Query) store.Query {
	q.ID = strings.TrimSpace(q.ID)
	q.Owners = tidyNames(q.Owners)
	q.Types = tidyNames(q.Types)
	q.TQL = strings.TrimSpace(q.TQL)
	q.SortField = strings.TrimSpace(q.SortField)
	q.SortDirection = strings.ToUpper(strings.TrimSpace(q.SortDirection))
	return q
}

// tidyNames drops blanks around names, empty names and repetitions, and keeps the order.
func tidyNames(names []string) []string {
	tidied := make([]string, 0, len(names))
	for _, name := range names {
		if name = strings.TrimSpace(name); name != "" && !slices.Contains(tidied, name) {
			tidied = append(tidied, name)
		}
	}
	return tidied
}

// selection is equal for two queries that select the same indicators in the same words, whatever their order of names.
func selection(q store.Query) string {
	return fmt.Sprintf("%q %q %q", slices.Sorted(slices.Values(q.Owners)), slices.Sorted(slices.Values(q.Types)), q.TQL)
}

// sameQuery says that nothing of a query was edited.
func sameQuery(a, b store.Query) bool {
	return selection(a) == selection(b) && a.SortField == b.SortField && a.SortDirection == b.SortDirection
}

func toThreatConnect(q store.Query) threatconnect.Query {
	return threatconnect.Query{Owners: q.Owners, Types: q.Types, TQL: q.TQL, SortField: q.SortField, SortDirection: q.SortDirection}
}

// queryFaults says all that is wrong with one tidied query in itself.
func (s *server) queryFaults(q store.Query) []string {
	var faults []string
	add := func(format string, args ...any) { faults = append(faults, fmt.Sprintf(format, args...)) }
	if len(q.Owners) == 0 {
		add("Owners to Query is empty: choose at least one owner.")
	}
	if len(q.Types) == 0 {
		add("Indicator Types to Retrieve is empty: choose at least one type.")
	}
	for _, name := range q.Types {
		if !slices.Contains(s.Types, name) {
			add("%q is not an indicator type that can be sent: choose among %s.", name, strings.Join(s.Types, ", "))
		}
	}
	switch {
	case q.TQL == "":
		add("TQL is empty: enter the query that selects the indicators.")
	case len(q.TQL) > maxTQL:
		add("TQL is longer than %d bytes: shorten it, or split the query in two.", maxTQL)
	}
	faults = append(faults, sortFaults(q)...)
	if len(faults) == 0 {
		if err := toThreatConnect(q).Check(); err != nil {
			add("%s.", capital(err.Error()))
		}
	}
	return faults
}

// sortFaults: a query without a sort field is read in the order of its ids.
func sortFaults(q store.Query) []string {
	var faults []string
	if q.SortField != "" && !slices.Contains(threatconnect.SortFields, q.SortField) {
		faults = append(faults, fmt.Sprintf("%q is not a sort field: choose among %s.", q.SortField, strings.Join(threatconnect.SortFields, ", ")))
	}
	if q.SortField == "" && q.SortDirection == "" {
		return faults
	}
	if !slices.Contains(sortDirections, q.SortDirection) {
		faults = append(faults, fmt.Sprintf("%q is not a sort direction: choose ASC or DESC.", q.SortDirection))
	}
	if q.SortField == "" {
		faults = append(faults, "There is a sort direction without a sort field: choose a field, or leave out both.")
	}
	return faults
}

// listFaults says all that is wrong with a tidied list, each fault with the position of its query.
func (s *server) listFaults(queries, saved []store.Query) []string {
	var faults []string
	if len(queries) > maxQueries {
		return []string{fmt.Sprintf("The list has %d queries; it may have %d. Join queries that differ in owners or types alone.", len(queries), maxQueries)}
	}
	known := byID(saved)
	ids, selections := map[string]int{}, map[string]int{}
	for i, q := range queries {
		add := func(text string) { faults = append(faults, at(i, text)) }
		for _, text := range s.queryFaults(q) {
			add(text)
		}
		if first, twice := selections[selection(q)]; twice {
			add(fmt.Sprintf("It selects the same as query %d: remove one of the two.", first+1))
		} else {
			selections[selection(q)] = i
		}
		if q.ID == "" {
			continue
		}
		if _, found := known[q.ID]; !found {
			add(fmt.Sprintf("There is no saved query with the id %q: leave the id out to add a new query.", q.ID))
		}
		if first, twice := ids[q.ID]; twice {
			add(fmt.Sprintf("It has the id of query %d: leave the id out to add a new query.", first+1))
		} else {
			ids[q.ID] = i
		}
	}
	return faults
}

// askAbout lets ThreatConnect judge the queries that differ from the saved ones. When it cannot be asked, that is no
// fault of the list: unchecked then says why.
func (s *server) askAbout(ctx context.Context, queries, saved []store.Query) (faults []string, unchecked error) {
	ctx, cancel := context.WithTimeout(ctx, saveLimit)
	defer cancel()
	known := byID(saved)
	var changed []int
	for i, q := range queries {
		if before, found := known[q.ID]; !found || !sameQuery(q, before) {
			changed = append(changed, i)
		}
	}
	if len(changed) == 0 {
		return nil, nil
	}
	owners, err := s.listOwners(ctx)
	if err != nil {
		return nil, err
	}
	for _, i := range changed {
		for _, text := range unknownOwners(queries[i], owners) {
			faults = append(faults, at(i, text))
		}
	}
	if len(faults) > 0 {
		return faults, nil
	}
	return s.countAll(ctx, queries, changed)
}

// allFaults says what is wrong with one tidied query in itself, or else with its owners. That ThreatConnect cannot be asked
// about these shows elsewhere.
func (s *server) allFaults(ctx context.Context, q store.Query) []string {
	if faults := s.queryFaults(q); len(faults) > 0 {
		return faults
	}
	owners, err := s.lastOwners(ctx)
	if err == nil && len(unknownOwners(q, owners)) > 0 { // they may be new
		owners, err = s.listOwners(ctx)
	}
	if err != nil {
		return nil
	}
	return unknownOwners(q, owners)
}

func unknownOwners(q store.Query, owners []string) (faults []string) {
	for _, owner := range q.Owners {
		if !slices.Contains(owners, owner) {
			faults = append(faults, fmt.Sprintf("The owner %q is not among those that the ThreatConnect API user can read: choose another, or give the user access.", owner))
		}
	}
	return faults
}

// countAll has ThreatConnect evaluate the queries at the given positions.
func (s *server) countAll(ctx context.Context, queries []store.Query, positions []int) (faults []string, unchecked error) {
	var mu sync.Mutex
	refusals := map[int]string{}
	var group errgroup.Group
	group.SetLimit(countsAtOnce)
	for _, i := range positions {
		group.Go(func() error {
			_, err := s.ThreatConnect.Count(ctx, toThreatConnect(queries[i]))
			text, refused := refusal(err)
			if !refused {
				return err
			}
			mu.Lock()
			defer mu.Unlock()
			refusals[i] = "ThreatConnect does not accept it: " + text
			return nil
		})
	}
	unchecked = group.Wait()
	for _, i := range positions {
		if text, refused := refusals[i]; refused {
			faults = append(faults, at(i, text))
		}
	}
	return faults, unchecked
}

func at(i int, text string) string { return fmt.Sprintf("Query %d: %s", i+1, text) }

func byID(queries []store.Query) map[string]store.Query {
	m := make(map[string]store.Query, len(queries))
	for _, q := range queries {
		m[q.ID] = q
	}
	return m
}

// capital writes the first letter of a sentence large.
func capital(text string) string {
	if text == "" {
		return text
	}
	return strings.ToUpper(text[:1]) + text[1:]
}

// listOwners asks ThreatConnect for the owners, by name and in its order.
func (s *server) listOwners(ctx context.Context) ([]string, error) {
	owners, err := s.ThreatConnect.Owners(ctx)
	if err != nil {
		return nil, err
	}
	names := make([]string, 0, len(owners))
	for _, owner := range owners {
		names = append(names, owner.Name)
	}
	s.owners.Store(&names)
	return names, nil
}

// lastOwners spares ThreatConnect a question at each redraw of the query window.
func (s *server) lastOwners(ctx context.Context) ([]string, error) {
	if names := s.owners.Load(); names != nil {
		return *names, nil
	}
	return s.listOwners(ctx)
}
