package web

import (
	"net/http"
	"strconv"
	"strings"

	"github.com/labstack/echo/v4"
)

const (
	defaultLimit = 50
	maxLimit     = 500
)

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
			"%s is %q: send a whole number from %d to %d.", name, value, low, high)
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

// joinNames lists what a parameter may be.
func joinNames[T ~string](names []T) string {
	all := make([]string, len(names))
	for i, name := range names {
		all[i] = string(name)
	}
	return strings.Join(all, ", ")
}
