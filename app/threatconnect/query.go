package threatconnect

import (
	"errors"
	"fmt"
	"slices"
	"strconv"
	"strings"
	"time"
)

// Query selects indicators as an analyst does on CONFIGURE.
type Query struct {
	// Owners and Types are names as ThreatConnect spells them, at least one of each.
	Owners, Types []string
	// TQL narrows the selection; "" selects all of the owners and types.
	TQL string
	// SortField is one of SortFields, or "" for the order of the ids; SortDirection is ASC or DESC, "" meaning ASC.
	SortField, SortDirection string
}

// SortFields are the TQL parameters by which a selection can be sorted (app/docs/threatconnect.md#sorting).
var SortFields = []string{"id", "dateAdded", "lastModified", "summary", "typeName", "ownerName", "rating", "confidence",
	"threatAssessScore", "calScore", "firstSeen", "lastSeen", "lastObserved", "observationCount", "falsePositiveCount",
	"externalDateAdded", "externalLastModified", "externalDateExpires"}

// Check says what is wrong with the query in itself, before ThreatConnect is asked; a fault in the TQL is a [TQLFault]. TQL
// that passes cannot reach beyond the parentheses that are put around it.
func (q Query) Check() error {
	switch {
	case len(q.Owners) == 0:
		return errors.New("the query has no owner: choose at least one")
	case len(q.Types) == 0:
		return errors.New("the query has no indicator type: choose at least one")
	case q.SortField != "" && !slices.Contains(SortFields, q.SortField):
		return fmt.Errorf("%q is not a sort field: choose among %s", q.SortField, strings.Join(SortFields, ", "))
	case q.SortDirection != "" && !strings.EqualFold(q.SortDirection, "ASC") && !strings.EqualFold(q.SortDirection, "DESC"):
		return fmt.Errorf("%q is not a sort direction: choose ASC or DESC", q.SortDirection)
	}
	return checkTQL(q.TQL)
}

// Selection is what a download reads.
type Selection struct {
	Query
	// From and To bound lastModified to a half-open window, From included, in whole seconds; zero is open.
	From, To time.Time
	// IDs, if not nil, narrows the selection to these. They come in the order of their ids.
	IDs []int64
}

// composeTQL joins the conditions of the selection and those in more, as ThreatConnect's own Apps do: a single owner
// goes into a parameter of its own (app/docs/threatconnect.md#composing-a-query).
func (s Selection) composeTQL(more ...string) string {
	var all []string
	if strings.TrimSpace(s.TQL) != "" {
		all = append(all, "("+s.TQL+")")
	}
	if len(s.Owners) > 1 {
		all = append(all, "ownerName in ("+quoteNames(s.Owners)+")")
	}
	all = append(all, "typeName in ("+quoteNames(s.Types)+")")
	if !s.From.IsZero() {
		all = append(all, "lastModified >= "+formatTime(s.From))
	}
	if !s.To.IsZero() {
		all = append(all, "lastModified < "+formatTime(s.To))
	}
	return strings.Join(append(all, more...), " and ")
}

// sortOrder is the order of the user, made complete by the id.
func (s Selection) sortOrder() string {
	if s.sortsByID() {
		return "id " + s.sortDirection()
	}
	return s.SortField + " " + s.sortDirection() + " id ASC"
}

// sortsByID reports whether the user's order is that of the ids.
func (s Selection) sortsByID() bool { return s.SortField == "" || s.SortField == "id" }

func (s Selection) sortDirection() string {
	if strings.EqualFold(s.SortDirection, "DESC") {
		return "DESC"
	}
	return "ASC"
}

// quoteNames writes names as a list of TQL strings.
func quoteNames(names []string) string {
	literals := make([]string, len(names))
	for i, name := range names {
		literals[i] = `"` + tqlEscapes.Replace(name) + `"`
	}
	return strings.Join(literals, ", ")
}

var tqlEscapes = strings.NewReplacer(`\`, `\\`, `"`, `\"`)

// dateLayout is how a time in UTC is sent: without fractions, which TQL does not take
// (app/docs/threatconnect.md#dates).
const dateLayout = "2006-01-02T15:04:05Z"

func formatTime(t time.Time) string { return `"` + t.UTC().Format(dateLayout) + `"` }

// idCondition selects these ids, and nothing where there are none.
func idCondition(ids []int64) string {
	list := make([]byte, 0, 20*len(ids))
	for i, id := range ids {
		if i > 0 {
			list = append(list, ',')
		}
		list = strconv.AppendInt(list, id, 10)
	}
	return "id in (" + string(list) + ")"
}
