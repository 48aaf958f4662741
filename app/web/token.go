package web

import (
	"crypto/hmac"
	"crypto/sha256"
	"encoding/base64"
	"encoding/binary"
	"fmt"
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

// tokenState is what the token of a request is worth.
type tokenState int

const (
	tokenForeign tokenState = iota // missing, or not ours
	tokenExpired                   // ours, but its page was open for too long
	tokenValid
)

// checkToken looks at the token that a request carries in its form or in a header. One in the address counts as missing:
// addresses stand in histories and logs.
func (s *server) checkToken(c echo.Context) tokenState {
	token := c.Request().Header.Get("X-Form-Token")
	if token == "" {
		token = formValue(c, "token")
	}
	return s.verifyToken(token)
}

func (s *server) verifyToken(token string) tokenState {
	raw, err := base64.RawURLEncoding.DecodeString(token)
	if err != nil || len(raw) != 8+sha256.Size || !hmac.Equal(s.signToken(raw[:8]), raw[8:]) {
		return tokenForeign
	}
	if time.Now().Unix() >= int64(binary.BigEndian.Uint64(raw)) {
		return tokenExpired
	}
	return tokenValid
}

var errToken = echo.NewHTTPError(http.StatusForbidden,
	"This page was open for too long, or the Service was restarted. Nothing was changed: reload the page and try again.")

// requireToken refuses a form that no recent page of ours sent.
func (s *server) requireToken(next echo.HandlerFunc) echo.HandlerFunc {
	return func(c echo.Context) error {
		if s.checkToken(c) != tokenValid {
			return errToken
		}
		return next(c)
	}
}

// sealDraft signs an unsaved list, so that one that comes back with a token that has run out is known as ours.
func (s *server) sealDraft(draft, version, base string) string {
	mac := hmac.New(sha256.New, s.Key)
	fmt.Fprintf(mac, "draft\x00%q %q %s", version, base, draft)
	return base64.RawURLEncoding.EncodeToString(mac.Sum(nil))
}
