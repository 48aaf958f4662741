package web

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"net/http"
	"strings"
	"time"

	"github.com/labstack/echo/v4"

	"mssentinel/app/job"
	"mssentinel/app/store"
	"mssentinel/app/threatconnect"
)

// health tells a script or a load balancer that the Service answers, and what troubles it.
func (s *server) health(c echo.Context) error {
	answer := map[string]any{"status": "ok", "version": s.Version, "uptime_seconds": int64(time.Since(s.started).Seconds())}
	if trouble := s.Pipeline.Trouble(); trouble != "" {
		answer["status"], answer["message"] = "trouble", trouble
	}
	return c.JSON(http.StatusOK, answer)
}

// info lists what a query can be made of.
func (s *server) info(c echo.Context) error {
	ctx := c.Request().Context()
	owners, err := s.listOwners(ctx)
	if err != nil {
		return ownersFault(ctx, err)
	}
	return c.JSON(http.StatusOK, map[string]any{"owners": owners, "types": s.Types, "sort_fields": threatconnect.SortFields})
}

func (s *server) queries(c echo.Context) error {
	queries, version, err := s.Store.Queries(c.Request().Context())
	if err != nil {
		return err
	}
	return c.JSON(http.StatusOK, map[string]any{"data": list(queries), "count": len(queries), "version": version})
}

func (s *server) saveQueries(c echo.Context) error {
	next := job.Delta
	switch reset := c.QueryParam("reset"); reset {
	case "", "false":
	case "true":
		next = job.Full
	default:
		return fault(http.StatusBadRequest, "reset is %q: send true for a full update or false for a delta update.", reset)
	}
	queries, err := decode[[]store.Query](c)
	if err != nil {
		return err
	}
	if queries == nil {
		return fault(http.StatusBadRequest, "The body is null: send the whole ordered list of queries as a JSON array.")
	}
	result, err := s.save(c.Request().Context(), queries, c.QueryParam("version"), next)
	if err != nil {
		return err
	}
	if len(result.Faults) > 0 {
		return fault(http.StatusUnprocessableEntity, "%s", strings.Join(result.Faults, "\n"))
	}
	answer := map[string]any{"saved": len(queries), "version": result.Version}
	if result.Unchecked != "" {
		answer["warning"] = result.Unchecked
	}
	return c.JSON(http.StatusOK, answer)
}

// saved is what became of a list: kept under a new version, or refused for its faults.
type saved struct {
	Version string
	Faults  []string
	// Unchecked says why ThreatConnect could not judge the queries.
	Unchecked string
}

// save checks a list and keeps it whole, or changes nothing. version is that of the list that it replaces; "" for whatever
// it is.
func (s *server) save(ctx context.Context, queries []store.Query, version string, next job.Mode) (saved, error) {
	before, current, err := s.Store.Queries(ctx)
	if err != nil {
		return saved{}, err
	}
	if version != "" && version != current {
		return saved{}, store.ErrOutdated
	}
	for i := range queries {
		queries[i] = tidy(queries[i])
		queries[i].Rank = i + 1
	}
	if faults := s.listFaults(queries, before); len(faults) > 0 {
		return saved{Faults: faults}, nil
	}
	faults, unchecked := s.askAbout(ctx, queries, before)
	if len(faults) > 0 {
		return saved{Faults: faults}, nil
	}
	version, err = s.Store.SaveQueries(ctx, queries, version, next)
	if err != nil {
		return saved{}, err
	}
	s.Pipeline.QueriesSaved()
	result := saved{Version: version}
	if unchecked != nil {
		s.Logger.Warn("queries saved unchecked", "error", unchecked)
		result.Unchecked = "ThreatConnect could not be asked, so owners and TQL were saved unchecked. A fault in them will show on REPORT or in the job's message."
	}
	return result, nil
}

// oneQuery reads a query from the body and refuses it for what is wrong in itself, or with its owners.
func (s *server) oneQuery(c echo.Context) (threatconnect.Query, error) {
	q, err := decode[store.Query](c)
	if err != nil {
		return threatconnect.Query{}, err
	}
	q = tidy(q)
	if faults := s.allFaults(c.Request().Context(), q); len(faults) > 0 {
		return threatconnect.Query{}, fault(http.StatusBadRequest, "%s", strings.Join(faults, "\n"))
	}
	return toThreatConnect(q), nil
}

func (s *server) testQuery(c echo.Context) error {
	q, err := s.oneQuery(c)
	if err != nil {
		return err
	}
	ctx := c.Request().Context()
	count, err := s.ThreatConnect.Count(ctx, q)
	if err != nil {
		return queryFault(ctx, cannotCheck, err)
	}
	return c.JSON(http.StatusOK, map[string]any{"status": "Success", "count": count})
}

func (s *server) previewQuery(c echo.Context) error {
	q, err := s.oneQuery(c)
	if err != nil {
		return err
	}
	ctx := c.Request().Context()
	p, err := s.Pipeline.Preview(ctx, q)
	if err != nil {
		return queryFault(ctx, cannotPreview, err)
	}
	return c.JSON(http.StatusOK, map[string]any{
		"total_count": p.TotalCount, "returned_count": p.ReturnedCount, "cap": p.Cap, "truncated": p.Truncated,
		"stix_objects": list(p.Objects), "errors": list(p.Problems),
	})
}

// decode reads a JSON body that has the members of T and no others.
func decode[T any](c echo.Context) (T, error) {
	var v T
	if err := decodeJSON(c.Request().Body, &v); err != nil {
		return v, bodyFault(err)
	}
	return v, nil
}

var errMore = errors.New("something after the end")

func decodeJSON(r io.Reader, v any) error {
	d := json.NewDecoder(r)
	d.DisallowUnknownFields()
	if err := d.Decode(v); err != nil {
		return err
	}
	if _, err := d.Token(); !errors.Is(err, io.EOF) {
		return errMore
	}
	return nil
}

// bodyFault says where a body is not what the call takes.
func bodyFault(err error) error {
	var syntax *json.SyntaxError
	var kind *json.UnmarshalTypeError
	var tooLong *http.MaxBytesError
	switch {
	case errors.As(err, &tooLong):
		return err
	case errors.Is(err, errMore):
		return fault(http.StatusBadRequest, "There is something after the end of the JSON. Send one value alone.")
	case errors.As(err, &syntax):
		return fault(http.StatusBadRequest, "The body is not JSON: %v at byte %d.", syntax, syntax.Offset)
	case errors.As(err, &kind):
		return fault(http.StatusBadRequest, "The body holds %s in the place of %s%s.", kind.Value, jsonKind(kind), member(kind.Field))
	case errors.Is(err, io.EOF):
		return fault(http.StatusBadRequest, "The body is empty: send JSON.")
	case errors.Is(err, io.ErrUnexpectedEOF):
		return fault(http.StatusBadRequest, "The body is not JSON: it breaks off.")
	}
	return fault(http.StatusBadRequest, "The body is not what this call takes: %s.", strings.TrimPrefix(err.Error(), "json: "))
}

func jsonKind(e *json.UnmarshalTypeError) string {
	switch kind := e.Type.Kind().String(); kind {
	case "slice":
		return "list"
	case "struct", "map":
		return "object"
	case "int", "int64":
		return "whole number"
	default:
		return kind
	}
}

func member(field string) string {
	if field == "" {
		return ""
	}
	return fmt.Sprintf(" (member %q)", field)
}

// list is an empty JSON array rather than null.
func list[T any](items []T) []T {
	if items == nil {
		return []T{}
	}
	return items
}
