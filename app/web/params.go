package web

import (
	"net/http"
	"strconv"
	"strings"
	"time"

	"github.com/labstack/echo/v4"

	"mssentinel/app/text"
)

const (
	defaultLimit = 50
	maxLimit     = 500
	// maxParam bounds a parameter of the address in bytes, maxParams their number: no filter needs more, and the
	// database takes no search text of any length.
	maxParam  = 500
	maxParams = 100
	// maxQuoted bounds in bytes what a sentence repeats of a value.
	maxQuoted = 100
)

// checkParams refuses an address with more than the screens and scripts can mean.
func checkParams(c echo.Context) error {
	n := 0
	for name, values := range c.QueryParams() {
		for _, value := range values {
			if n++; n > maxParams {
				return httpErrorf(http.StatusBadRequest, "The address has more than %d parameters: send fewer.", maxParams)
			}
			if len(name) > maxParam || len(value) > maxParam {
				return httpErrorf(http.StatusBadRequest, "%s has %d bytes: send at most %d.",
					text.Line(name, maxQuoted), len(value), maxParam)
			}
		}
	}
	return nil
}

// formValue is a field of the form that a request carries in its body, "" where it is missing.
func formValue(c echo.Context, name string) string { return c.Request().PostFormValue(name) }

// quoteValue is a value from outside as a sentence repeats it.
func quoteValue[T ~string](value T) string { return strconv.Quote(text.Cut(string(value), maxQuoted)) }

// readParam is a parameter of the address without blanks around it, "" where it is missing.
func readParam(c echo.Context, name string) string { return strings.TrimSpace(c.QueryParam(name)) }

// readNumber is a parameter that is a whole number from low to high; missing is its value where it is left out.
func readNumber(c echo.Context, name string, missing, low, high int) (int, error) {
	value := c.QueryParam(name)
	if value == "" {
		return missing, nil
	}
	n, err := strconv.Atoi(value)
	if err != nil || n < low || n > high {
		return 0, httpErrorf(http.StatusBadRequest,
			"%s is %s: send a whole number from %d to %d.", name, quoteValue(value), low, high)
	}
	return n, nil
}

// readRange reads offset and limit of a list.
func readRange(c echo.Context) (offset, limit int, err error) {
	if offset, err = readNumber(c, "offset", 0, 0, 1<<31-1); err != nil {
		return 0, 0, err
	}
	limit, err = readNumber(c, "limit", defaultLimit, 1, maxLimit)
	return offset, limit, err
}

// readName is a parameter that is one of these names, however it is written; "" where it is missing.
func readName[T ~string](c echo.Context, param string, names []T) (T, error) {
	value := readParam(c, param)
	if value == "" {
		return "", nil
	}
	for _, name := range names {
		if strings.EqualFold(string(name), value) {
			return name, nil
		}
	}
	return "", httpErrorf(http.StatusBadRequest, "There is no %s %s: use one of %s.", param, quoteValue(value), joinNames(names))
}

// readInstant is a parameter that is a time, as [parseInstant] reads it; zero where it is missing.
func readInstant(c echo.Context, param string) (time.Time, error) {
	value := readParam(c, param)
	if value == "" {
		return time.Time{}, nil
	}
	t, err := parseInstant(value)
	if err != nil {
		return t, badInstant(param, value)
	}
	return t, nil
}

func badInstant(param, value string) error {
	return httpErrorf(http.StatusBadRequest, "%s is %s, which is no time: write it as 2026-05-31T14:30, in UTC.", param, quoteValue(value))
}

// instantForms are the forms in which a time may be written; one without a zone is UTC.
var instantForms = []string{time.RFC3339, "2006-01-02T15:04:05", "2006-01-02T15:04", "2006-01-02 15:04:05", "2006-01-02 15:04", time.DateOnly}

// parseInstant reads a time that a person or a script wrote; a date alone is its first moment.
func parseInstant(s string) (t time.Time, err error) {
	for _, form := range instantForms {
		if t, err = time.Parse(form, strings.TrimSpace(s)); err == nil {
			return t.UTC(), nil
		}
	}
	return time.Time{}, err
}

// joinNames lists what a parameter may be.
func joinNames[T ~string](names []T) string {
	all := make([]string, len(names))
	for i, name := range names {
		all[i] = string(name)
	}
	return strings.Join(all, ", ")
}
