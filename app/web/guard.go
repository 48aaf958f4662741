package web

import (
	"context"
	"crypto/hmac"
	"crypto/sha256"
	"encoding/base64"
	"encoding/binary"
	"mime"
	"net/http"
	"strings"
	"time"

	"github.com/labstack/echo/v4"
)

// tokenLife is how long a page may stay open before its forms ask to be reloaded.
const tokenLife = 12 * time.Hour

const contentSecurityPolicy = "default-src 'none'; script-src 'self'; style-src 'self'; img-src 'self' data:; " +
	"connect-src 'self'; form-action 'self'; base-uri 'none'; frame-ancestors 'self'"

// secure sets the headers that every answer carries.
func secure(next echo.HandlerFunc) echo.HandlerFunc {
	return func(c echo.Context) error {
		h := c.Response().Header()
		h.Set("Content-Security-Policy", contentSecurityPolicy)
		h.Set("X-Content-Type-Options", "nosniff")
		h.Set("X-Frame-Options", "SAMEORIGIN")
		h.Set("Referrer-Policy", "same-origin")
		h.Set("Cross-Origin-Opener-Policy", "same-origin")
		h.Set("Permissions-Policy", "camera=(), geolocation=(), microphone=()")
		if !strings.HasPrefix(c.Request().URL.Path, "/static/") {
			h.Set("Cache-Control", "no-store")
		}
		return next(c)
	}
}

// bound ends what takes too long, and the reading of a body that is too long.
func bound(next echo.HandlerFunc) echo.HandlerFunc {
	return func(c echo.Context) error {
		ctx, cancel := context.WithTimeout(c.Request().Context(), timeLimit)
		defer cancel()
		r := c.Request().WithContext(ctx)
		if r.Body != nil {
			r.Body = http.MaxBytesReader(c.Response(), r.Body, maxBody)
		}
		c.SetRequest(r)
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
		if r.Header.Get("X-Requested-With") == "" && changesState(r) {
			return echo.NewHTTPError(http.StatusForbidden,
				"Send the header X-Requested-With (with any value): it shows that no foreign page made this call.")
		}
		if !takesBody(r) {
			return next(c)
		}
		if kind, _, err := mime.ParseMediaType(r.Header.Get("Content-Type")); err != nil || kind != "application/json" {
			return echo.NewHTTPError(http.StatusForbidden, "Send the body as JSON, with the header Content-Type: application/json.")
		}
		return next(c)
	}
}

func changesState(r *http.Request) bool {
	return !strings.HasSuffix(r.URL.Path, "/tql-config/test") && !strings.HasSuffix(r.URL.Path, "/tql-config/preview")
}

func takesBody(r *http.Request) bool {
	return r.Method == http.MethodPost && !strings.HasSuffix(r.URL.Path, "/retry")
}

// token gives a page the right to change state for tokenLife: the time at which it ends, signed.
func (s *server) token() string {
	raw := binary.BigEndian.AppendUint64(nil, uint64(time.Now().Add(tokenLife).Unix()))
	return base64.RawURLEncoding.EncodeToString(append(raw, s.sign(raw)...))
}

func (s *server) sign(raw []byte) []byte {
	mac := hmac.New(sha256.New, s.Key)
	mac.Write([]byte("form\x00"))
	mac.Write(raw)
	return mac.Sum(nil)
}

// validToken says whether the request carries a token of ours, in the form or in a header, that has not run out.
func (s *server) validToken(c echo.Context) bool {
	text := c.Request().Header.Get("X-Form-Token")
	if text == "" {
		text = c.FormValue("token")
	}
	raw, err := base64.RawURLEncoding.DecodeString(text)
	if err != nil || len(raw) != 8+sha256.Size || !hmac.Equal(s.sign(raw[:8]), raw[8:]) {
		return false
	}
	return time.Now().Unix() < int64(binary.BigEndian.Uint64(raw))
}

// requireToken refuses a form that no recent page of ours sent.
func (s *server) requireToken(c echo.Context) error {
	if s.validToken(c) {
		return nil
	}
	return echo.NewHTTPError(http.StatusForbidden, staleForm)
}

const staleForm = "This page was open for too long, or the Service was restarted. Nothing was changed: reload the page and try again."
