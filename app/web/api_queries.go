package web

import (
	"bytes"
	"encoding/json"
	"net/http"
	"strings"

	"github.com/labstack/echo/v4"

	"mssentinel/app/job"
	"mssentinel/app/store"
)

// queryView is a query as the routes below api/tql-config take and give it. The file that CONFIGURE exports holds a
// list of them.
type queryView struct {
	// ID is the query's identity. A new query has none when it is sent.
	ID string `json:"id"`
	// Rank counts from 1. What is sent does not matter: the order of the list decides.
	Rank          int      `json:"rank"`
	Owners        []string `json:"owners"`
	Types         []string `json:"types"`
	TQL           string   `json:"tql"`
	SortField     string   `json:"sort_field"`
	SortDirection string   `json:"sort_direction"`
	// The settings are left out where the query has none.
	MinConfidence int      `json:"min_confidence,omitempty"`
	TTLHours      *int     `json:"ttl_hours,omitempty"`
	Labels        []string `json:"labels,omitempty"`
	TLP           string   `json:"tlp,omitempty"`
	// Version changes with what the query gives. What is sent does not matter.
	Version string `json:"version"`
}

// queriesView is the answer of GET api/tql-config: the list in order of precedence.
type queriesView struct {
	Count int       `json:"count"`
	Data  queryList `json:"data"`
	// Version is that of the list, for the next save.
	Version string `json:"version"`
}

// savedView is the answer of POST api/tql-config.
type savedView struct {
	// Saved is how many queries the list has.
	Saved   int    `json:"saved"`
	Version string `json:"version"`
	// Warning says why ThreatConnect could not check the queries; left out where it did.
	Warning string `json:"warning,omitempty"`
}

// testView is the answer of POST api/tql-config/test to a query that ThreatConnect accepts.
type testView struct {
	// Count is how many indicators match.
	Count int64 `json:"count"`
	// Status is Success.
	Status string `json:"status"`
}

// previewView is the answer of POST api/tql-config/preview: what the first indicators of a query would be sent as.
type previewView struct {
	// BelowFloorCount is how many of the indicators do not reach the confidence floor.
	BelowFloorCount int `json:"below_floor_count"`
	// Cap is how many indicators a preview reads at most.
	Cap int `json:"cap"`
	// Errors say which of the indicators cannot be sent and why.
	Errors []string `json:"errors"`
	// ReturnedCount is how many indicators were read, TotalCount how many match.
	ReturnedCount int               `json:"returned_count"`
	STIXObjects   []json.RawMessage `json:"stix_objects"`
	TotalCount    int               `json:"total_count"`
	// Truncated: more indicators match than were read, or their objects are too long to be shown all.
	Truncated bool `json:"truncated"`
}

func newQueryViews(queries []store.Query) []queryView {
	views := make([]queryView, 0, len(queries))
	for _, q := range queries {
		views = append(views, queryView(q))
	}
	return views
}

func queriesFromViews(views []queryView) []store.Query {
	queries := make([]store.Query, 0, len(views))
	for _, v := range views {
		queries = append(queries, store.Query(v))
	}
	return queries
}

func (s *server) listQueries(c echo.Context) error {
	queries, version, err := s.Store.Queries(c.Request().Context())
	if err != nil {
		return err
	}
	return c.JSON(http.StatusOK, queriesView{Count: len(queries), Data: newQueryViews(queries), Version: version})
}

func (s *server) saveQueries(c echo.Context) error {
	next := job.Delta
	switch reset := c.QueryParam("reset"); reset {
	case "", "false":
	case "true":
		next = job.Full
	default:
		return httpErrorf(http.StatusBadRequest,
			"reset is %s: send true for a full update or false for a delta update.", quoteValue(reset))
	}
	views, err := decodeBody[queryList](c)
	if err != nil {
		return err
	}
	if views == nil {
		return httpErrorf(http.StatusBadRequest,
			"The body is null: send the whole ordered list of queries as a JSON array.")
	}
	result, err := s.saveList(c.Request().Context(), queriesFromViews(views), c.QueryParam("version"), next)
	if err != nil {
		return err
	}
	if len(result.Faults) > 0 {
		return httpErrorf(http.StatusUnprocessableEntity, "%s", strings.Join(result.Faults, "\n"))
	}
	return c.JSON(http.StatusOK, savedView{Saved: len(views), Version: result.Version, Warning: result.Unchecked})
}

func (s *server) testQuery(c echo.Context) error {
	q, err := s.readQuery(c)
	if err != nil {
		return err
	}
	ctx := c.Request().Context()
	count, err := s.ThreatConnect.Count(ctx, selectionOf(q))
	if err != nil {
		return explainQuery(ctx, cannotCheck, err)
	}
	return c.JSON(http.StatusOK, testView{Count: count, Status: "Success"})
}

func (s *server) previewQuery(c echo.Context) error {
	q, err := s.readQuery(c)
	if err != nil {
		return err
	}
	ctx := c.Request().Context()
	p, err := s.Pipeline.Preview(ctx, selectionOf(q), q.Settings())
	if err != nil {
		return explainQuery(ctx, cannotPreview, err)
	}
	view := previewView{BelowFloorCount: p.BelowFloor, Cap: p.Cap, Errors: append([]string{}, p.Problems[:min(len(p.Problems), maxShownProblems)]...),
		ReturnedCount: p.ReturnedCount, STIXObjects: []json.RawMessage{}, TotalCount: p.TotalCount, Truncated: p.Truncated}
	size := 0
	for _, object := range p.Objects {
		var escaped bytes.Buffer
		json.HTMLEscape(&escaped, object) // as the answer is written
		if size += escaped.Len(); size > maxPreviewed {
			view.Truncated = true
			break
		}
		view.STIXObjects = append(view.STIXObjects, object)
	}
	return c.JSON(http.StatusOK, view)
}

// maxPreviewed bounds the objects of a preview in bytes, so that its answer stays within what the platform carries.
const maxPreviewed = 4 << 20

// readQuery reads a query from the body and refuses it for what is wrong in itself, or with its owners.
func (s *server) readQuery(c echo.Context) (store.Query, error) {
	view, err := decodeBody[queryView](c)
	if err != nil {
		return store.Query{}, err
	}
	q := tidyQuery(store.Query(view))
	if faults := s.checkQueryAndOwners(c.Request().Context(), q); len(faults) > 0 {
		return store.Query{}, httpErrorf(http.StatusBadRequest, "%s", strings.Join(faults, "\n"))
	}
	return q, nil
}
