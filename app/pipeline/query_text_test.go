package pipeline

import (
	"strings"
	"testing"

	"mssentinel/app/store"
)

// REPORT shows a query that could not be read in the form that CONFIGURE exports and scripts know.
func TestQueryText(t *testing.T) {
	q := store.RunQuery{Number: 7, Query: store.Query{ID: "a", Rank: 2, Owners: []string{"O'Brien & <Sons>"}, Types: []string{"Host"},
		TQL: `rating > 3 and summary like "%x%"`, SortField: "dateAdded", SortDirection: "DESC", Version: "v"}}
	const want = `{"id":"a","rank":2,"owners":["O'Brien & <Sons>"],"types":["Host"],"tql":"rating > 3 and summary like \"%x%\"",` +
		`"sort_field":"dateAdded","sort_direction":"DESC","version":"v"}`
	if got := showQuery(q); got != want {
		t.Errorf("got %s, want %s", got, want)
	}
	q.MinConfidence, q.TTLHours, q.Labels, q.TLP = 60, hours(72), []string{"soc"}, "RED"
	with := strings.Replace(want, `"version"`, `"min_confidence":60,"ttl_hours":72,"labels":["soc"],"tlp":"RED","version"`, 1)
	if got := showQuery(q); got != with {
		t.Errorf("got %s, want %s", got, with)
	}
}
