package web

import (
	"bytes"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"net/http"
	"reflect"
	"strings"

	"github.com/labstack/echo/v4"

	"mssentinel/app/text"
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

// errTooMany is a list of more than maxQueries.
var errTooMany = fmt.Errorf("the list has more than %d queries, and it may have %[1]d: "+
	"join queries that differ in owners or types alone", maxQueries)

// queryList is a list of queries as a body or a file holds it. It may have maxQueries elements, and nothing is made of what comes after them.
type queryList []queryView

func (l *queryList) UnmarshalJSON(raw []byte) error {
	*l = nil
	if string(raw) == "null" {
		return nil
	}
	d := json.NewDecoder(bytes.NewReader(raw))
	d.DisallowUnknownFields()
	start, err := d.Token()
	if err != nil {
		return err
	}
	if start != json.Delim('[') {
		return &json.UnmarshalTypeError{Value: jsonKind(raw), Type: reflect.TypeFor[[]queryView]()}
	}
	*l = queryList{}
	for d.More() {
		if len(*l) == maxQueries {
			return errTooMany
		}
		var element queryView
		if err := d.Decode(&element); err != nil {
			return err
		}
		*l = append(*l, element)
	}
	if _, err := d.Token(); err != nil { // the list has no end
		return err
	}
	if _, err := d.Token(); !errors.Is(err, io.EOF) {
		return errTrailing
	}
	return nil
}

// jsonKind is what encoding/json calls the kind of a value that is no list.
func jsonKind(raw []byte) string {
	switch raw[0] {
	case '{':
		return "object"
	case '"':
		return "string"
	case 't', 'f':
		return "bool"
	}
	return "number"
}

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
	case errors.Is(err, errTooMany):
		return httpErrorf(http.StatusUnprocessableEntity, "%s", text.Sentence(err.Error()))
	case errors.Is(err, errTrailing):
		return httpErrorf(http.StatusBadRequest, "There is something after the end of the JSON. Send one value alone.")
	case errors.As(err, &syntax):
		return httpErrorf(http.StatusBadRequest, "The body is not JSON: %v at byte %d.", syntax, syntax.Offset)
	case errors.As(err, &kind):
		return httpErrorf(http.StatusBadRequest, "The body holds %s in the place of %s%s.",
			text.Line(kind.Value, maxQuoted), kindName(kind), memberName(kind.Field))
	case errors.Is(err, io.EOF):
		return httpErrorf(http.StatusBadRequest, "The body is empty: send JSON.")
	case errors.Is(err, io.ErrUnexpectedEOF):
		return httpErrorf(http.StatusBadRequest, "The body is not JSON: it breaks off.")
	}
	return httpErrorf(http.StatusBadRequest, "The body is not what this call takes: %s.",
		text.Line(strings.TrimPrefix(err.Error(), "json: "), maxQuoted))
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
	return fmt.Sprintf(" (member %s)", quoteValue(field))
}
