package web

import (
	"bytes"
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"net/http"

	"github.com/labstack/echo/v4"

	"mssentinel/app/store"
	"mssentinel/templates"
)

func (s *server) configurePage(c echo.Context) error {
	queries, _, err := s.Store.Queries(c.Request().Context())
	if err != nil {
		return err
	}
	view := templates.Configure{Frame: s.frame(c, "CONFIGURE", "configure")}
	for i, q := range queries {
		view.Queries = append(view.Queries, queryRow(q.ID, i, q))
	}
	return render(c, http.StatusOK, templates.ConfigurePage(view))
}

// exportQueries gives the saved list in the form that Import and POST api/tql-config take.
func (s *server) exportQueries(c echo.Context) error {
	queries, _, err := s.Store.Queries(c.Request().Context())
	if err != nil {
		return err
	}
	c.Response().Header().Set("Content-Disposition", `attachment; filename="ms-sentinel-queries.json"`)
	return c.JSONPretty(http.StatusOK, list(queries), "  ")
}

// importQueries reads what exportQueries or GET api/tql-config gave. A member of another name is no query of ours: it would be
// lost without a word.
func importQueries(content []byte) ([]store.Query, error) {
	content = bytes.TrimSpace(bytes.TrimPrefix(content, []byte("\ufeff")))
	if len(content) == 0 {
		return nil, errors.New("there is nothing to import: choose a file, or paste its content")
	}
	var queries []store.Query
	if err := decodeJSON(bytes.NewReader(content), &queries); err == nil && queries != nil {
		return queries, nil
	}
	var answer struct {
		Data    []store.Query `json:"data"`
		Count   int           `json:"count"`
		Version string        `json:"version"`
	}
	if err := decodeJSON(bytes.NewReader(content), &answer); err != nil || answer.Data == nil {
		return nil, errors.New("this is not a list of queries, or has a member that queries do not have: import a file that Export gave")
	}
	return answer.Data, nil
}

func (s *server) previewPage(c echo.Context) error {
	queries, _, err := s.Store.Queries(c.Request().Context())
	if err != nil {
		return err
	}
	for i, q := range queries {
		if q.ID != c.QueryParam("id") {
			continue
		}
		view := templates.PreviewPage{Frame: s.frame(c, "Preview", "configure"), Query: queryRow(q.ID, i, q)}
		view.Preview, err = s.preview(c.Request().Context(), q)
		status := http.StatusOK
		if err != nil {
			status, view.Fault = s.explain(c, err)
		}
		return render(c, status, templates.PreviewQuery(view))
	}
	return fault(http.StatusNotFound, "This query is not saved, or was deleted. Go back to CONFIGURE.")
}

// preview asks what a tidied query would send, and words the failure.
func (s *server) preview(ctx context.Context, q store.Query) (*templates.Preview, error) {
	p, err := s.Pipeline.Preview(ctx, toThreatConnect(q))
	if err != nil {
		return nil, queryFault(ctx, cannotPreview, err)
	}
	view := &templates.Preview{Total: p.TotalCount, Cap: p.Cap, Truncated: p.Truncated, Problems: p.Problems}
	for _, raw := range p.Objects {
		var object struct {
			Name    string `json:"name"`
			Pattern string `json:"pattern"`
		}
		if err := json.Unmarshal(raw, &object); err != nil {
			return nil, fmt.Errorf("read the preview: %w", err)
		}
		view.Objects = append(view.Objects, templates.PreviewObject{Name: object.Name, Pattern: object.Pattern, JSON: indent(raw)})
	}
	return view, nil
}

// indent spreads JSON over lines; what is not JSON stays as it is.
func indent(raw []byte) string {
	var buf bytes.Buffer
	if err := json.Indent(&buf, raw, "", "  "); err != nil {
		return string(raw)
	}
	return buf.String()
}
