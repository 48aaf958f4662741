package platform

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"net/http"
	"net/url"
	"strconv"
	"strings"
	"time"
)

// renewAhead is how long before its end a token is renewed, as the vendor's framework does.
const renewAhead = 10 * time.Minute

// TokenSource holds a token that outlives a request (tc_token) and renews it when it is used near its end.
type TokenSource struct {
	api   API
	state chan tokenState // holds one state; it is empty while a token is being renewed
}

type tokenState struct {
	token   string
	expires time.Time // zero: never
}

// NewTokenSource starts with the token of the parameter file. expires may be zero where the platform did not say.
func NewTokenSource(api API, token string, expires time.Time) *TokenSource {
	s := &TokenSource{api: api, state: make(chan tokenState, 1)}
	if strings.HasPrefix(token, "APIV2:") {
		expires = time.Time{} // lives for years
	}
	s.state <- tokenState{token, expires}
	return s
}

// Token returns a token that is good for a while. A token that is still valid is used on when its renewal fails.
func (s *TokenSource) Token(ctx context.Context) (string, error) {
	var now tokenState
	select {
	case now = <-s.state:
	case <-ctx.Done():
		return "", ctx.Err()
	}
	defer func() { s.state <- now }()
	if now.token == "" {
		return "", errors.New("the platform sent no API token (tc_token)")
	}
	left := time.Until(now.expires)
	if now.expires.IsZero() || left > renewAhead {
		return now.token, nil
	}
	fresh, err := s.renewToken(ctx, now.token)
	switch {
	case err == nil:
		now = fresh
	case left <= 0:
		return "", fmt.Errorf("renewing the API token: %w", err)
	}
	return now.token, nil
}

// Credential proves who asks by the token.
func (s *TokenSource) Credential() Credential {
	return Credential{Name: "the token tc_token", Authorize: func(req *http.Request) error {
		token, err := s.Token(req.Context())
		if err != nil {
			return err
		}
		return authorizeWithToken(token)(req)
	}}
}

// renewToken exchanges a token for a new one, app/docs/platform.md#tokens.
func (s *TokenSource) renewToken(ctx context.Context, old string) (tokenState, error) {
	data, err := s.api.sendRequest(ctx, http.MethodGet, "/appAuth?expiredToken="+url.QueryEscape(old), nil, nil, 64<<10)
	if err != nil {
		return tokenState{}, err
	}
	var answer struct {
		Success         bool   `json:"success"`
		APIToken        string `json:"apiToken"`
		APITokenExpires text   `json:"apiTokenExpires"`
		Message         string `json:"message"`
	}
	if err := json.Unmarshal(data, &answer); err != nil {
		return tokenState{}, errors.New("ThreatConnect's answer is no JSON")
	}
	seconds, err := strconv.ParseInt(string(answer.APITokenExpires), 10, 64)
	if !answer.Success || answer.APIToken == "" || err != nil {
		return tokenState{}, fmt.Errorf("ThreatConnect refused: %s", answer.Message)
	}
	return tokenState{answer.APIToken, time.Unix(seconds, 0)}, nil
}
