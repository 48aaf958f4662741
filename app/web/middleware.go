package web

import (
	"context"
	"mime"
	"net/http"
	"runtime/debug"
	"strings"

	"github.com/labstack/echo/v4"

	"mssentinel/app/doctor"
	"mssentinel/templates"
)

// setHeaders sets the headers that every answer carries.
func setHeaders(next echo.HandlerFunc) echo.HandlerFunc {
	return func(c echo.Context) error {
		h := c.Response().Header()
		h.Set("Content-Security-Policy", templates.ContentSecurityPolicy)
		h.Set("X-Content-Type-Options", "nosniff")
		h.Set("X-Frame-Options", "SAMEORIGIN")
		h.Set("Referrer-Policy", "same-origin")
		h.Set("Cross-Origin-Opener-Policy", "same-origin")
		h.Set("Permissions-Policy", "camera=(), geolocation=(), microphone=()")
		h.Set("Cache-Control", "no-store") // a static file that is there says otherwise
		return next(c)
	}
}

// goFirst has the updates give way until the answer is made.
func (s *server) goFirst(next echo.HandlerFunc) echo.HandlerFunc {
	return func(c echo.Context) error {
		defer s.Pipeline.BeginPage()()
		return next(c)
	}
}

// surviveFault keeps a fault of one page from ending the Service, and leaves a trace of it.
func (s *server) surviveFault(next echo.HandlerFunc) echo.HandlerFunc {
	return func(c echo.Context) (err error) {
		defer func() {
			if fault := recover(); fault != nil {
				s.Logger.Error("a page failed", "path", c.Request().URL.Path, "fault", fault, "stack", string(debug.Stack()))
				err = echo.NewHTTPError(http.StatusInternalServerError, "This page failed. The log says why.")
			}
		}()
		return next(c)
	}
}

// limitRequest ends what takes longer than timeLimit, and the reading of a body that is longer than maxBody. What the
// doctor's page asks for goes up to the limits of the platform. It refuses an address that is too long to mean anything.
func limitRequest(next echo.HandlerFunc) echo.HandlerFunc {
	return func(c echo.Context) error {
		limit, size := timeLimit, int64(maxBody)
		if isEcho(c.Request().URL.Path) {
			limit, size = echoLimit, doctor.MaxEchoBody
		}
		ctx, cancel := context.WithTimeout(c.Request().Context(), limit)
		defer cancel()
		r := c.Request().WithContext(ctx)
		if r.Body != nil {
			r.Body = http.MaxBytesReader(c.Response(), r.Body, size)
		}
		c.SetRequest(r)
		if err := checkParams(c); err != nil {
			return err
		}
		return next(c)
	}
}

// guardAPI refuses a change of state that a foreign page could have sent: a form can set neither header. It is no
// middleware of the group of routes, since echo would answer 404 there where the method is wrong.
func guardAPI(next echo.HandlerFunc) echo.HandlerFunc {
	return func(c echo.Context) error {
		r := c.Request()
		if !strings.HasPrefix(r.URL.Path, "/api/") || r.Method == http.MethodGet || r.Method == http.MethodHead {
			return next(c)
		}
		if hasOwnGuard(r) {
			return next(c)
		}
		if r.Header.Get("X-Requested-With") == "" && changesState(r) {
			return echo.NewHTTPError(http.StatusForbidden,
				"Send the header X-Requested-With (with any value): it shows that no foreign page made this call.")
		}
		if !takesBody(r) {
			return next(c)
		}
		if kind, _, err := mime.ParseMediaType(r.Header.Get("Content-Type")); err != nil || kind != "application/json" {
			return echo.NewHTTPError(http.StatusForbidden,
				"Send the body as JSON, with the header Content-Type: application/json.")
		}
		return next(c)
	}
}

// hasOwnGuard tells the calls of the doctor's page, which is to find out whether those headers arrive: results bring the
// token of the page in their body, and the echo, which changes nothing, says by itself what it saw.
func hasOwnGuard(r *http.Request) bool {
	return r.URL.Path == "/api/doctor/pages" || isEcho(r.URL.Path)
}

func changesState(r *http.Request) bool {
	return !strings.HasSuffix(r.URL.Path, "/tql-config/test") && !strings.HasSuffix(r.URL.Path, "/tql-config/preview")
}

func takesBody(r *http.Request) bool {
	return r.Method == http.MethodPost && !strings.HasSuffix(r.URL.Path, "/retry")
}
