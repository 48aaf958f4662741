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
	// renewPause follows a failed renewal while the old token is still valid.
	renewPause = 30 * time.Second
	// unknownLife is assumed of a token that comes without expires_in.
	unknownLife = 5 * time.Minute
)

// tokenSource gets tokens from Microsoft Entra by the client credentials grant, app/docs/sentinel.md#token-request, and
// keeps the last one. It may be used by several goroutines at once; one of them asks for all.
type tokenSource struct {
	host                 string // of url
	url, clientID, scope string
	secret               func() string
	http                 *http.Client
	log                  *slog.Logger

	// state holds the one state while no goroutine asks for a token. The one that asks takes it out; the others wait
	// here.
	state chan tokenState
}

type tokenState struct {
	token          string
	renew, expires time.Time

	err    error // of the last attempt, for the goroutines that were waiting when it ended
	failed time.Time
}

func newTokenSource(s tokenSource) *tokenSource {
	s.state = make(chan tokenState, 1)
	s.state <- tokenState{}
	return &s
}

// validToken returns a token that is valid for a while. Its error is a *[ConfigError] when Entra refuses the login,
// another one when no token could be had for an hour, or the cause that ended ctx.
func (s *tokenSource) validToken(ctx context.Context, sleep sleepFunc) (string, error) {
	asked := time.Now()
	var state tokenState
	select {
	case state = <-s.state:
	case <-ctx.Done():
		return "", context.Cause(ctx)
	}
	defer func() { s.state <- state }()
	if time.Now().Before(state.renew) {
		return state.token, nil
	}
	if state.failed.After(asked) {
		return "", state.err
	}
	if time.Now().Before(state.expires) {
		s.renewToken(ctx, &state)
		return state.token, nil
	}
	fresh, err := s.awaitToken(ctx, sleep)
	if err == nil {
		state = fresh
	} else if ctx.Err() == nil {
		state.err, state.failed = err, time.Now()
	}
	return fresh.token, err
}

// dropToken makes sure that a token which Sentinel did not take is not used again.
func (s *tokenSource) dropToken(ctx context.Context, token string) error {
	select {
	case state := <-s.state:
		if state.token == token {
			state = tokenState{}
		}
		s.state <- state
		return nil
	case <-ctx.Done():
		return context.Cause(ctx)
	}
}

// renewToken renews a token that is still valid. If that fails, the token serves on, and the next attempt is in a
// while.
func (s *tokenSource) renewToken(ctx context.Context, state *tokenState) {
	fresh, err := s.requestToken(ctx)
	if err == nil {
		*state = fresh
		return
	}
	s.log.Warn("renewing the Microsoft Entra token failed; the old one still holds", "error", err)
	state.renew = time.Now().Add(renewPause)
	if state.renew.After(state.expires) {
		state.renew = state.expires
	}
}

// awaitToken asks for a token until it is issued or refused, or the login has been out of order for an hour.
func (s *tokenSource) awaitToken(ctx context.Context, sleep sleepFunc) (tokenState, error) {
	var o outage
	for {
		fresh, err := s.requestToken(ctx)
		var config *ConfigError
		if err == nil || errors.As(err, &config) {
			return fresh, err
		}
		if ctx.Err() != nil {
			return fresh, context.Cause(ctx)
		}
		var unavailable *unavailableError
		errors.As(err, &unavailable)
		pause, ok := o.nextPause(unavailable.wait)
		if !ok {
			return fresh, fmt.Errorf("no token from Microsoft Entra for %v: %w", outageBudget, err)
		}
		s.log.Warn("Microsoft Entra gave no token", "error", err, "retry_in", pause.Round(time.Second))
		if err := sleep(ctx, time.Now().Add(pause), unavailable.fault.sentences()); err != nil {
			return fresh, err
		}
	}
}

// unavailableError is a failure of the login that may pass by itself.
type unavailableError struct {
	wait  time.Duration // what the server asked for
	fault fault
}

func (e *unavailableError) Error() string { return e.fault.sentences() }

// requestToken asks for a token once. Its error is a *[ConfigError] or an *unavailableError.
func (s *tokenSource) requestToken(ctx context.Context) (tokenState, error) {
	asked := time.Now()
	secret := s.secret()
	form := url.Values{
		"grant_type": {"client_credentials"}, "client_id": {s.clientID}, "client_secret": {secret}, "scope": {s.scope},
	}
	status, header, body, err := s.postForm(ctx, form)
	if err != nil {
		return tokenState{}, &unavailableError{fault: networkFault("Microsoft Entra", s.host, err)}
	}
	body = trimMark(redactSecret(body, secret))
	if status != http.StatusOK {
		return tokenState{}, entraError(status, header, body, asked)
	}
	return readToken(header, body, asked)
}

// postForm makes the request and reads the answer.
func (s *tokenSource) postForm(ctx context.Context, form url.Values) (status int, header http.Header, body []byte, err error) {
	ctx, cancel := context.WithTimeoutCause(ctx, tokenTimeout, errTooSlow)
	defer cancel()
	request, err := http.NewRequestWithContext(ctx, http.MethodPost, s.url, strings.NewReader(form.Encode()))
	if err != nil {
		return 0, nil, nil, errors.New("the address of the login is not usable")
	}
	request.Header.Set("Content-Type", "application/x-www-form-urlencoded")
	request.Header.Set("Accept", "application/json")
	response, err := s.http.Do(request)
	if err != nil {
		return 0, nil, nil, preferCause(ctx, err)
	}
	defer response.Body.Close()
	body, err = io.ReadAll(io.LimitReader(response.Body, maxTokenAnswer))
	if err != nil {
		return 0, nil, nil, preferCause(ctx, fmt.Errorf("reading the answer: %w", err))
	}
	return response.StatusCode, response.Header, body, nil
}

func readToken(header http.Header, body []byte, asked time.Time) (tokenState, error) {
	var answer struct {
		AccessToken string          `json:"access_token"`
		ExpiresIn   json.RawMessage `json:"expires_in"` // a number, or a text of one from the older endpoint
	}
	if err := json.Unmarshal(body, &answer); err != nil || answer.AccessToken == "" {
		said := "there is no token in its answer" // what else there is may be a secret
		if isPage(header, body) {
			said = parseAnswer(header, body, 0).describe(http.StatusOK)
		}
		return tokenState{}, &unavailableError{fault: foreignFault("Microsoft Entra", http.StatusOK, header, said)}
	}
	life := unknownLife
	if seconds, err := strconv.Atoi(strings.Trim(string(answer.ExpiresIn), `"`)); err == nil && seconds > 0 {
		life = time.Duration(min(seconds, 7*24*3600)) * time.Second
	}
	expires := asked.Add(life)
	return tokenState{token: answer.AccessToken, expires: expires, renew: expires.Add(-min(renewAhead, life/4))}, nil
}
