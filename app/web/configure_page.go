package web

import (
	"context"
	"encoding/json"
	"fmt"
	"net/http"

	"github.com/labstack/echo/v4"

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
	view := templates.Configure{Frame: s.newFrame(c, "CONFIGURE", "configure")}
	for i, q := range queries {
		view.Queries = append(view.Queries, queryRow(q.ID, i, q))
	}
	return renderPage(c, http.StatusOK, templates.ConfigurePage(view))
}

// queryRow is the line of CONFIGURE for the query at index i of a list.
func queryRow(key string, i int, q store.Query) templates.Query {
	return templates.Query{Key: key, Position: i + 1, Owners: q.Owners, Types: q.Types, TQL: q.TQL,
		SortField: q.SortField, SortDirection: q.SortDirection}
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
		view := templates.PreviewPage{Frame: s.newFrame(c, "Preview", "configure"), Query: queryRow(q.ID, i, q)}
		view.Preview, err = s.makePreview(c.Request().Context(), q)
		status := http.StatusOK
		if err != nil {
			status, view.Fault = s.explainError(c, err)
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

// makePreview asks what a tidied query would send, and explains why where that cannot be told.
func (s *server) makePreview(ctx context.Context, q store.Query) (*templates.Preview, error) {
	p, err := s.Pipeline.Preview(ctx, selectionOf(q))
	if err != nil {
		return nil, explainQuery(ctx, cannotPreview, err)
	}
	view := &templates.Preview{Total: p.TotalCount, Cap: p.Cap, Truncated: p.Truncated}
	for _, problem := range p.Problems[:min(len(p.Problems), maxShownProblems)] {
		view.Problems = append(view.Problems, text.Line(problem, maxShownLine))
	}
	for _, raw := range p.Objects {
		var object struct {
			Name    string `json:"name"`
			Pattern string `json:"pattern"`
		}
		if err := json.Unmarshal(raw, &object); err != nil {
			return nil, fmt.Errorf("reading the preview: %w", err)
		}
		view.Objects = append(view.Objects,
			templates.PreviewObject{Name: text.Line(object.Name, maxShownLine), Pattern: text.Line(object.Pattern, maxShownLine),
				JSON: text.Cut(indentJSON(raw), maxShownObject)})
	}
	return view, nil
}
