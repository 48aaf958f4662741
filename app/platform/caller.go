package platform

import (
	"context"
	"encoding/base64"
	"encoding/json"
	"strings"

	apptext "mssentinel/app/text"
)

// maxCaller bounds the name of a caller, in bytes.
const maxCaller = 100

type callerKey struct{}

// Caller names who made the request whose context ctx is, as far as the platform's message tells: a user, or an API user
// by the end of its access id. "" where it tells nothing. It is what was told, and nothing to give a right by.
func Caller(ctx context.Context) string {
	name, _ := ctx.Value(callerKey{}).(string)
	return name
}

func withCaller(ctx context.Context, name string) context.Context {
	return context.WithValue(ctx, callerKey{}, name)
}

// callerName reads who called, app/docs/platform.md#the-caller. A member of the message comes first: the platform writes it,
// while a header is the caller's own.
func (m runService) callerName() string {
	for _, member := range []json.RawMessage{m.UserName, m.User} {
		var name string
		if json.Unmarshal(member, &name) == nil && strings.TrimSpace(name) != "" {
			return apptext.Line(strings.TrimSpace(name), maxCaller)
		}
	}
	for _, h := range m.Headers {
		if strings.EqualFold(string(h.Name), "Authorization") {
			return apptext.Line(credentialName(string(h.Value)), maxCaller)
		}
	}
	return ""
}

// credentialName names whose credentials an Authorization header has, without what is secret in it.
func credentialName(header string) string {
	scheme, rest, _ := strings.Cut(strings.TrimSpace(header), " ")
	switch strings.ToLower(scheme) {
	case "basic":
		plain, err := base64.StdEncoding.DecodeString(strings.TrimSpace(rest))
		if err != nil {
			return ""
		}
		name, _, _ := strings.Cut(string(plain), ":")
		return strings.TrimSpace(name)
	case "tc":
		id, _, signed := strings.Cut(strings.TrimSpace(rest), ":")
		const shown = 4
		if !signed || len(id) <= 2*shown { // the end of a short one would be most of it
			return ""
		}
		return "API user …" + id[len(id)-shown:]
	}
	return ""
}
