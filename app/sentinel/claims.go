package sentinel

import (
	"context"
	"encoding/base64"
	"encoding/json"
	"errors"
	"fmt"
	"strings"
	"time"

	"mssentinel/app/text"
)

// Claims are what a token of Microsoft Entra says about itself. The signature is not checked: that is for whom the token
// is shown to. The token itself is not among them.
type Claims struct {
	Audience string    // whom the token is for
	AppID    string    // the client ID of the application
	ObjectID string    // of the application in this tenant, to which a role is assigned
	Tenant   string    // the tenant ID
	Roles    []string  // of the application itself; a role on a workspace is not among them
	Expires  time.Time // zero where the token does not say
	// Fits says that the audience is one that the upload API of the configured cloud takes,
	// app/docs/sentinel.md#token-request.
	Fits bool
	// IsOurs says that the token names the configured client ID.
	IsOurs bool
}

// ErrUnreadableToken says that a token is none that we can read. It may serve all the same.
var ErrUnreadableToken = errors.New("the token of Microsoft Entra is no JSON Web Token")

// Claims asks Microsoft Entra for a new token, once, and reads it. Uploads use that token from then on. Its error is a
// *[ConfigError] when Entra refuses the login, [ErrUnreadableToken], another one when Entra could not be asked, or the cause
// that ended ctx.
func (c *Client) Claims(ctx context.Context) (Claims, error) {
	token, err := c.tokens.freshToken(ctx)
	if err != nil {
		return Claims{}, err
	}
	claims, err := readClaims(token)
	if err != nil {
		return Claims{}, err
	}
	claims.Fits = fitsScope(claims.Audience, c.tokens.scope)
	claims.IsOurs = strings.EqualFold(claims.AppID, c.tokens.clientID)
	return claims, nil
}

// readClaims reads the middle part of a JSON Web Token. Its error has nothing of the token.
func readClaims(token string) (Claims, error) {
	parts := strings.Split(token, ".")
	if len(parts) != 3 {
		return Claims{}, ErrUnreadableToken
	}
	body, err := base64.RawURLEncoding.DecodeString(strings.TrimRight(parts[1], "="))
	if err != nil {
		return Claims{}, ErrUnreadableToken
	}
	var said struct {
		Audience json.RawMessage `json:"aud"` // a text, or a list of them
		AppID    string          `json:"appid"`
		Party    string          `json:"azp"` // what appid is called in tokens of version 2.0
		ObjectID string          `json:"oid"`
		Tenant   string          `json:"tid"`
		Roles    json.RawMessage `json:"roles"`
		Expires  float64         `json:"exp"`
	}
	if json.Unmarshal(body, &said) != nil {
		return Claims{}, ErrUnreadableToken
	}
	if said.AppID == "" {
		said.AppID = said.Party
	}
	claims := Claims{Audience: text.Line(strings.Join(textsIn(said.Audience), ", "), maxLine), AppID: text.Line(said.AppID, maxLine),
		ObjectID: text.Line(said.ObjectID, maxLine), Tenant: text.Line(said.Tenant, maxLine)}
	for _, role := range textsIn(said.Roles) {
		claims.Roles = append(claims.Roles, text.Line(role, maxLine))
	}
	if seconds := int64(said.Expires); seconds > 0 {
		claims.Expires = time.Unix(seconds, 0).UTC()
	}
	return claims, nil
}

// fitsScope says that a token for this audience is what the scope stands for, with or without a slash at the end; in the
// public cloud also by its older name.
func fitsScope(audience, scope string) bool {
	audience, named := strings.TrimSuffix(audience, "/"), strings.TrimSuffix(scope, "/.default")
	return audience == named || scope == clouds["Public"].scope && audience == "https://management.core.windows.net"
}

// freshToken asks for a token once. Where that fails, a token at hand serves on.
func (s *tokenSource) freshToken(ctx context.Context) (string, error) {
	return s.askOnce(ctx, func(tokenState) bool { return false })
}

// tokenAtHand returns the token at hand, or asks for one once.
func (s *tokenSource) tokenAtHand(ctx context.Context) (string, error) {
	return s.askOnce(ctx, func(state tokenState) bool { return time.Now().Before(state.expires) })
}

// askOnce returns the token at hand where that is enough, else asks for one once.
func (s *tokenSource) askOnce(ctx context.Context, isEnough func(tokenState) bool) (string, error) {
	var state tokenState
	select {
	case state = <-s.state:
	case <-ctx.Done():
		return "", context.Cause(ctx)
	}
	defer func() { s.state <- state }()
	if isEnough(state) {
		return state.token, nil
	}
	fresh, err := s.requestToken(ctx)
	switch {
	case err == nil:
		state = fresh
		return fresh.token, nil
	case ctx.Err() != nil:
		return "", context.Cause(ctx)
	}
	return "", fmt.Errorf("asking Microsoft Entra for a token: %w", err)
}
