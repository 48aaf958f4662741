package web

import (
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"net/http"
	"strings"

	"github.com/labstack/echo/v4"
)

// decodeBody reads a JSON body that has the members of T and no others.
func decodeBody[T any](c echo.Context) (T, error) {
	var v T
	if err := decodeJSON(c.Request().Body, &v); err != nil {
		return v, explainBody(err)
	}
	return v, nil
}

// errTrailing is a body with more than one value.
var errTrailing = errors.New("something after the end")

// decodeJSON reads one value that has the members of v and no others.
func decodeJSON(r io.Reader, v any) error {
	d := json.NewDecoder(r)
	d.DisallowUnknownFields()
	if err := d.Decode(v); err != nil {
		return err
	}
	if _, err := d.Token(); !errors.Is(err, io.EOF) {
		return errTrailing
	}
	return nil
}

// explainBody says where a body is not what the call takes.
func explainBody(err error) error {
	var syntax *json.SyntaxError
	var kind *json.UnmarshalTypeError
	var tooLong *http.MaxBytesError
	switch {
	case errors.As(err, &tooLong):
		return err
	case errors.Is(err, errTrailing):
		return httpErrorf(http.StatusBadRequest, "There is something after the end of the JSON. Send one value alone.")
	case errors.As(err, &syntax):
		return httpErrorf(http.StatusBadRequest, "The body is not JSON: %v at byte %d.", syntax, syntax.Offset)
	case errors.As(err, &kind):
		return httpErrorf(http.StatusBadRequest, "The body holds %s in the place of %s%s.",
			kind.Value, kindName(kind), memberName(kind.Field))
	case errors.Is(err, io.EOF):
		return httpErrorf(http.StatusBadRequest, "The body is empty: send JSON.")
	case errors.Is(err, io.ErrUnexpectedEOF):
		return httpErrorf(http.StatusBadRequest, "The body is not JSON: it breaks off.")
	}
	return httpErrorf(http.StatusBadRequest, "The body is not what this call takes: %s.",
		strings.TrimPrefix(err.Error(), "json: "))
}

// kindName is JSON's word for the Go type that was expected.
func kindName(e *json.UnmarshalTypeError) string {
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

func memberName(field string) string {
	if field == "" {
		return ""
	}
	return fmt.Sprintf(" (member %q)", field)
}
