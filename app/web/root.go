package web

import (
	"net/http"
	"path"
	"strings"

	"github.com/labstack/echo/v4"
)

// normalisePath takes a path with and without its leading and trailing slash for the same, as the platform sends either.
// A trailing slash is kept under ui/, where a browser resolves relative links against it.
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

// root sends a browser to the pages. Whether its address ends in a slash decides where a relative link leads, and only
// the full request address tells. Without one the way leads over v1/ui/, which is right without a slash, and which
// stray corrects with one.
func root(c echo.Context) error {
	full := fullPath(c)
	target := "v1/ui/"
	if strings.HasSuffix(full, "/") {
		target = "ui/"
	} else if last := path.Base(full); full != "" && isVersion(last) {
		target = last + "/ui/"
	}
	return c.Redirect(http.StatusFound, target)
}

// uiRoot leads from ui to ui/, unless the browser stands there already and the slash was lost on the way.
func (s *server) uiRoot(c echo.Context) error {
	if strings.HasSuffix(fullPath(c), "/") {
		return s.configurePage(c)
	}
	return c.Redirect(http.StatusFound, "ui/")
}

// fullPath is the path in the browser's address, "" where the platform does not tell it.
func fullPath(c echo.Context) string {
	full, _, _ := strings.Cut(c.Request().RequestURI, "?")
	return full
}

// isVersion: the platform ends a Service's address in v and its major version.
func isVersion(segment string) bool {
	digits, found := strings.CutPrefix(segment, "v")
	return found && digits != "" && strings.Trim(digits, "0123456789") == ""
}

// stray leads back from …/v1/v1/ui/ (see root) to …/v1/ui/, and does so from any depth.
func stray(c echo.Context) error {
	depth := strings.Count(strings.TrimPrefix(c.Request().URL.Path, "/"), "/")
	return c.Redirect(http.StatusFound, strings.Repeat("../", depth)+"ui/")
}
