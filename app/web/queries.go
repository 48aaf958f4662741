package web

import (
	"encoding/json"
	"errors"
	"fmt"
	"slices"
	"strconv"
	"strings"

	"mssentinel/app/store"
	"mssentinel/app/text"
	"mssentinel/app/threatconnect"
)

const (
	// maxTQL bounds a query's TQL in bytes.
	maxTQL = 20_000
	// maxQueries bounds the list of queries.
	maxQueries = 500
	// maxNames bounds the owners of a query, and its types.
	maxNames = 5000
	// maxWord bounds in bytes what is read of an id, a sort field or a sort direction. All that mean something are
	// shorter.
	maxWord = 64
	// maxList bounds the list of queries in bytes of JSON, maxPacked the same as the page of Edit mode carries it.
	maxList   = 1 << 20
	maxPacked = maxList/3*4 + 1<<12
	// queryOverhead is what the page adds to a query, in bytes: identity, key and version.
	queryOverhead = 3 * maxWord
	// maxFaults bounds how many faults of a list are said at a time.
	maxFaults = 20
)

var sortDirections = []string{"ASC", "DESC"}

// tidyQuery brings a query into the form in which it is kept and compared.
func tidyQuery(q store.Query) store.Query {
	q.ID = text.Cut(strings.TrimSpace(q.ID), maxWord)
	q.Owners = tidyNames(q.Owners)
	q.Types = tidyNames(q.Types)
	q.TQL = strings.TrimSpace(q.TQL)
	q.SortField = text.Cut(strings.TrimSpace(q.SortField), maxWord)
	q.SortDirection = strings.ToUpper(text.Cut(strings.TrimSpace(q.SortDirection), maxWord))
	tidySettings(&q)
	return q
}

// tidyNames drops blanks around names, empty names and repetitions, and keeps the order. Of more than maxNames it keeps
// one too many, which checkQuery finds.
func tidyNames(names []string) []string {
	if areTidy(names) {
		return names
	}
	most := min(len(names), maxNames+1)
	tidied, seen := make([]string, 0, most), make(map[string]bool, most)
	for _, name := range names {
		if name = strings.TrimSpace(name); name == "" || seen[name] {
			continue
		}
		seen[name] = true
		if tidied = append(tidied, name); len(tidied) > maxNames {
			break
		}
	}
	return tidied
}

// areTidy says that a few names are as tidyNames leaves them: most are, and so few need no map. Of others it says nothing.
func areTidy(names []string) bool {
	const few = 16
	if len(names) == 0 || len(names) > few {
		return false
	}
	for i, name := range names {
		if name == "" || strings.TrimSpace(name) != name || slices.Contains(names[:i], name) {
			return false
		}
	}
	return true
}

// selectionKey is equal for two queries that select the same indicators in the same words, whatever their order of
// names.
func selectionKey(q store.Query) string {
	key := make([]byte, 0, 256)
	for _, names := range [][]string{q.Owners, q.Types} {
		if !slices.IsSorted(names) {
			names = slices.Clone(names)
			slices.Sort(names)
		}
		key = appendWords(key, names)
	}
	return string(appendWord(key, q.TQL))
}

// sameSelection says that two queries have the same selectionKey, which is not made where they are the same throughout, as nearly all
// of an edited list are.
func sameSelection(a, b store.Query) bool {
	return a.TQL == b.TQL && (slices.Equal(a.Owners, b.Owners) && slices.Equal(a.Types, b.Types) || selectionKey(a) == selectionKey(b))
}

// appendWord appends a text so that others can follow: its length stands before it.
func appendWord(key []byte, word string) []byte {
	key = append(strconv.AppendInt(key, int64(len(word)), 10), ' ')
	return append(key, word...)
}

func appendWords(key []byte, words []string) []byte {
	key = append(strconv.AppendInt(key, int64(len(words)), 10), ' ')
	for _, w := range words {
		key = appendWord(key, w)
	}
	return key
}

// sameQuery says that nothing of a query was edited.
func sameQuery(a, b store.Query) bool {
	return sameSelection(a, b) && a.SortField == b.SortField && a.SortDirection == b.SortDirection && sameSettings(a, b)
}

// queriesByID finds queries by their identity.
func queriesByID(queries []store.Query) map[string]*store.Query {
	found := make(map[string]*store.Query, len(queries))
	for i := range queries {
		found[queries[i].ID] = &queries[i]
	}
	return found
}

// selectionOf is what a query asks of ThreatConnect.
func selectionOf(q store.Query) threatconnect.Query {
	return threatconnect.Query{Owners: q.Owners, Types: q.Types, TQL: q.TQL,
		SortField: q.SortField, SortDirection: q.SortDirection}
}

// checkQuery says all that is wrong with one tidied query in itself. types are those that can be sent.
func checkQuery(q store.Query, types []string) []string {
	var faults []string
	add := func(format string, args ...any) { faults = append(faults, fmt.Sprintf(format, args...)) }
	if len(q.Owners) == 0 {
		add("Owners to Query is empty: choose at least one owner.")
	}
	if len(q.Types) == 0 {
		add("Indicator Types to Retrieve is empty: choose at least one type.")
	}
	if len(q.Owners) > maxNames || len(q.Types) > maxNames {
		add("There are more than %d owners or types: choose fewer, or split the query in two.", maxNames)
		return faults
	}
	for _, name := range q.Types {
		if !slices.Contains(types, name) {
			add("%s is not an indicator type that can be sent: choose among %s.", quoteValue(name), strings.Join(types, ", "))
		}
	}
	switch {
	case q.TQL == "":
		add("TQL is empty: enter the query that selects the indicators.")
	case len(q.TQL) > maxTQL:
		add("TQL is longer than %d bytes: shorten it, or split the query in two.", maxTQL)
	}
	faults = append(faults, checkSort(q)...)
	for _, fault := range checkSettings(q) {
		faults = append(faults, fault.text)
	}
	if len(faults) == 0 {
		if err := selectionOf(q).Check(); err != nil {
			add("%s", text.Sentence(err.Error()))
		}
	}
	return faults
}

// checkSort says what is wrong with the sort field and direction. A query without either is read in the order of its
// ids.
func checkSort(q store.Query) []string {
	var faults []string
	if q.SortField != "" && !slices.Contains(threatconnect.SortFields, q.SortField) {
		faults = append(faults, fmt.Sprintf("%s is not a sort field: choose among %s.",
			quoteValue(q.SortField), strings.Join(threatconnect.SortFields, ", ")))
	}
	if q.SortField == "" && q.SortDirection == "" {
		return faults
	}
	if !slices.Contains(sortDirections, q.SortDirection) {
		faults = append(faults, fmt.Sprintf("%s is not a sort direction: choose ASC or DESC.", quoteValue(q.SortDirection)))
	}
	if q.SortField == "" {
		faults = append(faults, "There is a sort direction without a sort field: choose a field, or leave out both.")
	}
	return faults
}

// checkList says all that is wrong with a tidied list in itself, each fault with the position of its query. saved is
// the list that it replaces.
func checkList(queries, saved []store.Query, types []string) []string {
	if err := checkSize(queries); err != nil {
		return []string{text.Sentence(err.Error())}
	}
	var faults []string
	known := queriesByID(saved)
	ids, selections := map[string]int{}, map[string]int{}
	for i, q := range queries {
		if len(faults) > maxFaults {
			break
		}
		add := func(fault string) { faults = append(faults, faultAt(i, fault)) }
		for _, fault := range checkQuery(q, types) {
			add(fault)
		}
		selects := selectionKey(q) + strconv.Itoa(q.MinConfidence) // a higher floor may stand above a lower one
		if first, twice := selections[selects]; twice {
			add(fmt.Sprintf("It selects the same as query %d: remove one of the two.", first+1))
		} else {
			selections[selects] = i
		}
		if q.ID == "" {
			continue
		}
		if _, found := known[q.ID]; !found {
			add(fmt.Sprintf("There is no saved query with the id %s: leave the id out to add a new query.", quoteValue(q.ID)))
		}
		if first, twice := ids[q.ID]; twice {
			add(fmt.Sprintf("It has the id of query %d: leave the id out to add a new query.", first+1))
		} else {
			ids[q.ID] = i
		}
	}
	return shortenFaults(faults)
}

// checkSize says why a list is longer than the pages and the platform can carry; nil where it is not.
func checkSize(queries []store.Query) error {
	if len(queries) > maxQueries {
		return errTooMany
	}
	size := 0
	for _, q := range queries {
		encoded, err := json.Marshal(queryView(q))
		if err != nil {
			return fmt.Errorf("writing the list: %w", err)
		}
		size += len(encoded) + queryOverhead
	}
	if size > maxList {
		return errors.New("all queries together are longer than the page can carry: shorten their TQL, or remove some")
	}
	return nil
}

// shortenFaults leaves out what nobody would read.
func shortenFaults(faults []string) []string {
	if len(faults) <= maxFaults {
		return faults
	}
	return append(faults[:maxFaults:maxFaults], "And more: put these right first.")
}

// faultAt is a fault with the position of its query in the list.
func faultAt(i int, fault string) string { return fmt.Sprintf("Query %d: %s", i+1, fault) }
