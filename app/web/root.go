package web

import (
	"net/http"
	"path"
	"strings"

	"github.com/labstack/echo/v4"
)

// normalisePath takes a path with and without its leading and trailing slash for the same, as the platform sends either
// (app/docs/platform.md#requests). A trailing slash is kept under ui/, where a browser resolves relative links against
// it.
func normalisePath(next echo.HandlerFunc) echo.HandlerFunc {
	return func(c echo.Context) error {
		u := c.Request().URL
		u.Path = "/" + strings.TrimLeft(u.Path, "/")
		if strings.HasPrefix(u.Path, "/api/") {
			u.Path = strings.TrimRight(u.Path, "/")
		}
		u.RawPath = ""
		return next(c)
	}
}

// leadToPages sends a browser from the Service's root to the screens. Whether its address ends in a slash decides where
// a relative link leads, and only the full request address tells. Where the platform does not give it, the target is
// v1/ui/: that is right for an address without a slash, and leadBack corrects it for one with a slash.
func leadToPages(c echo.Context) error {
	full := fullPath(c)
	target := "v1/ui/"
	if strings.HasSuffix(full, "/") {
		target = "ui/"
	} else if last := path.Base(full); full != "" && isVersion(last) {
		target = last + "/ui/"
	}
	return c.Redirect(http.StatusFound, target)
}

// requireSlash leads from ui to ui/, unless the browser stands there already and the slash was lost on the way.
func requireSlash(next echo.HandlerFunc) echo.HandlerFunc {
	return func(c echo.Context) error {
		if strings.HasSuffix(fullPath(c), "/") {
			return next(c)
		}
		return c.Redirect(http.StatusFound, "ui/")
	}
}

// fullPath is the path in the browser's address, "" where the platform does not tell it.
func fullPath(c echo.Context) string {
	full, _, _ := strings.Cut(c.Request().RequestURI, "?")
	return full
}

// isVersion tells the last part of a Service's address on the platform: v and the major version.
func isVersion(segment string) bool {
	digits, found := strings.CutPrefix(segment, "v")
	return found && digits != "" && strings.Trim(digits, "0123456789") == ""
}

// leadBack leads from …/v1/v1/ui/ (see leadToPages) to …/v1/ui/, and does so from any depth.
func leadBack(c echo.Context) error {
	depth := strings.Count(strings.TrimPrefix(c.Request().URL.Path, "/"), "/")
	return c.Redirect(http.StatusFound, strings.Repeat("../", depth)+"ui/")
}
