package pipeline

import (
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
}
