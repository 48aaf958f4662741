package web

import (
	"context"
	"fmt"
	"net/http"

	"github.com/labstack/echo/v4"

	"mssentinel/app/ledger"
	"mssentinel/app/pipeline"
	"mssentinel/app/store"
	"mssentinel/app/text"
	"mssentinel/templates"
)

// showConfigure shows CONFIGURE as it opens: the saved list.
func (s *server) showConfigure(c echo.Context) error {
	queries, _, err := s.Store.Queries(c.Request().Context())
	if err != nil {
		return err
	}
	totals, err := s.Store.QueryTotals(c.Request().Context())
	if err != nil {
		return err
	}
	view := templates.Configure{Frame: s.newFrame(c, "CONFIGURE", "configure"), ReadAt: totals.ReadAt, CountedAt: totals.CountedAt}
	versions, err := s.Store.ListVersions(c.Request().Context())
	if err != nil {
		return err
	}
	if len(versions) > 0 {
		saved := versionRow(versions[0], true)
		view.Saved = &saved
	}
	if view.FirstRun, err = s.readFirstRun(c.Request().Context(), len(queries)); err != nil {
		return err
	}
	for i, q := range queries {
		row := s.queryRow(q.ID, i, q)
		gave := templates.QueryGave(totals.Queries[q.ID])
		row.Gave = &gave
		view.Queries = append(view.Queries, row)
	}
	return renderPage(c, http.StatusOK, templates.ConfigurePage(view))
}

// queryRow is the line of CONFIGURE for the query at index i of a list.
func (s *server) queryRow(key string, i int, q store.Query) templates.Query {
	return templates.Query{Key: key, Position: i + 1, Owners: q.Owners, Types: q.Types, TQL: q.TQL,
		SortField: q.SortField, SortDirection: q.SortDirection, Settings: shownSettings(q), AllTypes: len(s.Types)}
}

// exportQueries gives the saved list in the form that Import and POST api/tql-config take.
func (s *server) exportQueries(c echo.Context) error {
	queries, _, err := s.Store.Queries(c.Request().Context())
	if err != nil {
		return err
	}
	c.Response().Header().Set("Content-Disposition", `attachment; filename="ms-sentinel-queries.json"`)
	return c.JSONPretty(http.StatusOK, newQueryViews(queries), "  ")
}

// showPreview shows what a saved query would send.
func (s *server) showPreview(c echo.Context) error {
	queries, _, err := s.Store.Queries(c.Request().Context())
	if err != nil {
		return err
	}
	for i, q := range queries {
		if q.ID != c.QueryParam("id") {
			continue
		}
		view := templates.PreviewPage{Frame: s.newFrame(c, "Preview", "configure"), Query: s.queryRow(q.ID, i, q)}
		ctx := c.Request().Context()
		view.Preview, err = s.makePreview(ctx, q, savedOrder(len(queries), i+1))
		status := http.StatusOK
		if err != nil {
			status, view.Fault = s.explainError(c, explainQuery(ctx, cannotPreview, err))
		}
		return renderPage(c, status, templates.PreviewQuery(view))
	}
	return httpErrorf(http.StatusNotFound, "This query is not saved, or was deleted. Go back to CONFIGURE.")
}

// Bounds of what a preview shows, so that its page fits into an answer: problems in all, and bytes of a line and of an
// object.
const (
	maxShownProblems = 200
	maxShownLine     = 500
	maxShownObject   = 6 << 10
)

// order is where the saved queries stand in a list, by their saved positions from 1, and where the query does that is looked at.
// One that is not in the list any more stands at 0.
type order struct {
	places map[int]int
	own    int
}

// savedOrder is the order of the saved list, seen from a position.
func savedOrder(queries, own int) order {
	o := order{places: map[int]int{}, own: own}
	for i := range queries {
		o.places[i+1] = i + 1
	}
	return o
}

// previewRow is a line of a preview.
func (s *server) previewRow(row pipeline.PreviewRow, o order) templates.PreviewRow {
	shown := templates.PreviewRow{Indicator: s.indicatorLink(row.Indicator), Value: text.Line(row.Value, maxShownLine), Type: row.Type, Owner: row.Owner}
	if row.BelowFloor {
		shown.State, shown.Kind = "Below the floor: "+text.Line(row.Reason, maxShownLine), "below"
		return shown
	}
	if row.Object == nil {
		shown.State, shown.Kind = "Invalid: "+text.Line(row.Reason, maxShownLine), "invalid"
		return shown
	}
	shown.Pattern, shown.JSON = text.Line(row.Pattern, maxShownLine), text.Cut(indentJSON(row.Object), maxShownObject)
	shown.State, shown.Kind = describeOutcome(row, o)
	return shown
}

// describeOutcome says what would become of an object of a query that stands at a place of a list.
func describeOutcome(row pipeline.PreviewRow, o order) (state, kind string) {
	if row.Known == nil {
		return "New", "new"
	}
	best := 0
	for _, c := range row.Known.Candidates {
		if at := o.places[c.Query]; at > 0 && at != o.own && (best == 0 || at < best) {
			best = at
		}
	}
	switch stands := row.Known.State == ledger.Live; {
	case best > 0 && best < o.own:
		return fmt.Sprintf("Loses to query %d", best), "loses"
	case !stands:
		return "New", "new"
	case winnerOf(row.Known.Candidates).Indicator != row.Indicator && best > 0:
		return fmt.Sprintf("Wins over query %d", best), "changed"
	case row.Same:
		return "Unchanged", "unchanged"
	}
	return "Changed", "changed"
}

// makePreview asks what a tidied query would send from its place.
func (s *server) makePreview(ctx context.Context, q store.Query, o order) (*templates.Preview, error) {
	p, err := s.Pipeline.Preview(ctx, selectionOf(q), q.Settings())
	if err != nil {
		return nil, err
	}
	view := &templates.Preview{Total: p.TotalCount, Cap: p.Cap, Truncated: p.Truncated}
	for _, problem := range p.Problems[:min(len(p.Problems), maxShownProblems)] {
		view.Problems = append(view.Problems, text.Line(problem, maxShownLine))
	}
	for _, row := range p.Rows {
		view.Rows = append(view.Rows, s.previewRow(row, o))
	}
	return view, nil
}
