package sentinel

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"log/slog"
	"net/http"
	"net/url"
	"strconv"
	"strings"
	"time"
)

const (
	tokenTimeout   = 30 * time.Second
	maxTokenAnswer = 256 << 10
	// renewAhead is how long before its end a token is renewed, or a quarter of its life if that is less.
	renewAhead = 5 * time.Minute
	// renewAgain is how long a failed renewal rests while the old token still holds.
	renewAgain = 30 * time.Second
	// unknownLife is assumed of a token that comes without expires_in.
	unknownLife = 5 * time.Minute
)

// tokenSource gets tokens from Microsoft Entra by the client credentials grant (spec §3.1) and keeps the last one.
type tokenSource struct {
	url, clientID, scope string
	secret               func() string
	http                 *http.Client
	log                  *slog.Logger

	// state holds the one state while nobody renews: whoever holds it renews for all others, who wait for it here.
	state chan tokenState
}

type tokenState struct {
	token          string
	renew, expires time.Time

	err    error // of the last attempt, for those who were waiting when it ended
	failed time.Time
}

func newTokenSource(s tokenSource) *tokenSource {
	s.state = make(chan tokenState, 1)
	s.state <- tokenState{}
	return &s
}

// get returns a token that is good for a while. It fails with a *ConfigError when Entra refuses the credentials, and with
// another error when no token could be had for about an hour.
func (s *tokenSource) get(ctx context.Context, sleep sleeper) (string, error) {
	asked := time.Now()
	var now tokenState
	select {
	case now = <-s.state:
	case <-ctx.Done():
		return "", ctx.Err()
	}
	defer func() { s.state <- now }()
	if time.Now().Before(now.renew) {
		return now.token, nil
	}
	if now.failed.After(asked) {
		return "", now.err
	}
	if time.Now().Before(now.expires) {
		s.refresh(ctx, &now)
		return now.token, nil
	}
	fresh, err := s.insist(ctx, sleep)
	if err == nil {
		now = fresh
	} else if ctx.Err() == nil {
		now.err, now.failed = err, time.Now()
	}
	return fresh.token, err
}

// drop makes sure that a token which was refused is not used again.
func (s *tokenSource) drop(ctx context.Context, token string) error {
	select {
	case now := <-s.state:
		if now.token == token {
			now = tokenState{}
		}
		s.state <- now
		return nil
	case <-ctx.Done():
		return ctx.Err()
	}
}

// refresh renews a token that still holds. Its failure is no news until the token has ended.
func (s *tokenSource) refresh(ctx context.Context, now *tokenState) {
	fresh, err := s.fetch(ctx)
	if err == nil {
		*now = fresh
		return
	}
	s.log.Warn("renewing the Microsoft Entra token failed; the old one still holds", "error", err)
	now.renew = time.Now().Add(renewAgain)
	if now.renew.After(now.expires) {
		now.renew = now.expires
	}
}

// insist sits out an outage of the login.
func (s *tokenSource) insist(ctx context.Context, sleep sleeper) (tokenState, error) {
	var outage patience
	for {
		fresh, err := s.fetch(ctx)
		var config *ConfigError
		if err == nil || errors.As(err, &config) {
			return fresh, err
		}
		if ctx.Err() != nil {
			return fresh, ctx.Err()
		}
		var away *unavailable
		errors.As(err, &away)
		pause, ok := outage.next(away.wait)
		if !ok {
			return fresh, fmt.Errorf("no token from Microsoft Entra for %v: %w", outageBudget, err)
		}
		s.log.Warn("Microsoft Entra gave no token", "error", err, "retry_in", pause.Round(time.Second))
		if err := sleep(ctx, time.Now().Add(pause), "Microsoft Entra does not log us in"); err != nil {
			return fresh, err
		}
	}
}

// unavailable is a failure that may heal by itself.
type unavailable struct {
	wait time.Duration // asked for by the server
	err  error
}

func (e *unavailable) Error() string { return e.err.Error() }
func (e *unavailable) Unwrap() error { return e.err }

// fetch asks for a token once. Its errors are *ConfigError and *unavailable.
func (s *tokenSource) fetch(ctx context.Context) (tokenState, error) {
	asked := time.Now()
	secret := s.secret()
	form := url.Values{
		"grant_type": {"client_credentials"}, "client_id": {s.clientID}, "client_secret": {secret}, "scope": {s.scope},
	}
	ctx, cancel := context.WithTimeout(ctx, tokenTimeout)
	defer cancel()
	request, err := http.NewRequestWithContext(ctx, http.MethodPost, s.url, strings.NewReader(form.Encode()))
	if err != nil {
		return tokenState{}, &unavailable{err: errors.New("the address of the login is not usable")}
	}
	request.Header.Set("Content-Type", "application/x-www-form-urlencoded")
	request.Header.Set("Accept", "application/json")
	response, err := s.http.Do(request)
	if err != nil {
		return tokenState{}, &unavailable{err: err}
	}
	defer response.Body.Close()
	body, err := io.ReadAll(io.LimitReader(response.Body, maxTokenAnswer))
	if err != nil {
		return tokenState{}, &unavailable{err: fmt.Errorf("reading the answer of Microsoft Entra: %w", err)}
	}
	if response.StatusCode != http.StatusOK {
		return tokenState{}, entraError(response.StatusCode, response.Header, redact(body, secret), asked)
	}
	return readToken(body, asked)
}

func readToken(body []byte, asked time.Time) (tokenState, error) {
	var answer struct {
		AccessToken string          `json:"access_token"`
		ExpiresIn   json.RawMessage `json:"expires_in"` // a number, or a text of one from the older endpoint
	}
	if err := json.Unmarshal(body, &answer); err != nil || answer.AccessToken == "" {
		return tokenState{}, &unavailable{err: errors.New("no token in the answer of Microsoft Entra")}
	}
	life := unknownLife
	if seconds, err := strconv.Atoi(strings.Trim(string(answer.ExpiresIn), `"`)); err == nil && seconds > 0 {
		life = time.Duration(min(seconds, 7*24*3600)) * time.Second
	}
	expires := asked.Add(life)
	return tokenState{token: answer.AccessToken, expires: expires, renew: expires.Add(-min(renewAhead, life/4))}, nil
}
