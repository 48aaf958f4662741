package web

import (
	"crypto/hmac"
	"crypto/sha256"
	"encoding/base64"
	"encoding/binary"
	"net/http"
	"time"

	"github.com/labstack/echo/v4"
)

// tokenLife is how long a page may stay open before its forms ask to be reloaded.
const tokenLife = 12 * time.Hour

// newToken gives a page the right to change state for tokenLife: the time at which it ends, signed.
func (s *server) newToken() string {
	end := binary.BigEndian.AppendUint64(nil, uint64(time.Now().Add(tokenLife).Unix()))
	return base64.RawURLEncoding.EncodeToString(append(end, s.signToken(end)...))
}

func (s *server) signToken(end []byte) []byte {
	mac := hmac.New(sha256.New, s.Key)
	mac.Write([]byte("form\x00"))
	mac.Write(end)
	return mac.Sum(nil)
}

// hasToken says whether the request carries a token of ours, in the form or in a header, that has not run out.
func (s *server) hasToken(c echo.Context) bool {
	token := c.Request().Header.Get("X-Form-Token")
	if token == "" {
		token = c.FormValue("token")
	}
	raw, err := base64.RawURLEncoding.DecodeString(token)
	if err != nil || len(raw) != 8+sha256.Size || !hmac.Equal(s.signToken(raw[:8]), raw[8:]) {
		return false
	}
	return time.Now().Unix() < int64(binary.BigEndian.Uint64(raw))
}

// requireToken refuses a form that no recent page of ours sent.
func (s *server) requireToken(next echo.HandlerFunc) echo.HandlerFunc {
	return func(c echo.Context) error {
		if !s.hasToken(c) {
			return echo.NewHTTPError(http.StatusForbidden,
				"This page was open for too long, or the Service was restarted. Nothing was changed: reload the page and try again.")
		}
		return next(c)
	}
}
