package tcplatform

import (
	"cmp"
	"net/http"
	"net/url"
	"slices"
	"strings"
)

// Front says what the front does to requests and answers on their way, where nobody outside of ThreatConnect knows. The zero
// value lets everything through, and a path reaches Apps decoded.
type Front struct {
	RawPath   bool // escapes in a path reach Apps as the browser sent them instead of decoded
	TrimSlash bool // the slash at the end of a path is left out

	Methods        []string // that pass; nil: all. Others get 405
	RequireSession bool     // a call without the cookie that the Services page sets gets 401
	MaxRequest     int64    // bytes of a request's body; 64 MiB. More gets 413, or 400 beyond the default

	TimeoutStatus     int      // after AnswerTimeout; 504
	MaxAnswer         int64    // bytes of an answer's body; no limit. Instead of more comes 502
	DropAnswerHeaders []string // of answers, which do not reach the caller
	FollowRedirects   bool     // a redirection within the Service is followed by the front itself
}

const sessionCookie = "JSESSIONID"

func (f *Front) setDefaults() {
	f.MaxRequest = cmp.Or(f.MaxRequest, maxBody)
	f.MaxAnswer = cmp.Or(f.MaxAnswer, 1<<40)
	f.TimeoutStatus = cmp.Or(f.TimeoutStatus, http.StatusGatewayTimeout)
}

// splitPath gives the API path, the version and what follows of an address below /api/services/.
func (f Front) splitPath(u *url.URL) (service, version, rest string) {
	full := u.Path
	if f.RawPath {
		full = u.EscapedPath()
	}
	service, rest, _ = strings.Cut(strings.TrimPrefix(full, "/api/services/"), "/")
	version, rest, _ = strings.Cut(rest, "/")
	if f.TrimSlash {
		rest = strings.TrimSuffix(rest, "/")
	}
	return service, version, rest
}

// refuseRequest says with which status the front itself answers a request, and why; 0 for one that it lets pass.
func (p *Platform) refuseRequest(r *http.Request) (status int, reason string) {
	f := p.o.Front
	if f.Methods != nil && !slices.Contains(f.Methods, r.Method) {
		return http.StatusMethodNotAllowed, "the method does not pass"
	}
	if !f.RequireSession {
		return 0, ""
	}
	if cookie, err := r.Cookie(sessionCookie); err != nil || cookie.Value != p.session {
		return http.StatusUnauthorized, "log in first"
	}
	return 0, ""
}

// maxHops bounds how many redirections of a request the front follows.
const maxHops = 3

// followRedirect answers a redirection with what it leads to, where the front is to follow it. It reports whether it did.
func (p *Platform) followRedirect(w http.ResponseWriter, r *http.Request, reply answer) bool {
	if !p.o.Front.FollowRedirects || reply.status/100 != 3 || r.Header.Get(hopHeader) == strings.Repeat("x", maxHops) {
		return false
	}
	at := slices.IndexFunc(reply.headers, func(h header) bool { return strings.EqualFold(h.Name, "Location") })
	if at < 0 {
		return false
	}
	target, err := r.URL.Parse(reply.headers[at].Value)
	if err != nil || target.Host != r.URL.Host || !strings.HasPrefix(target.Path, "/api/services/") {
		return false
	}
	next := r.Clone(r.Context())
	next.Method, next.URL, next.Body = http.MethodGet, target, http.NoBody
	next.Header.Set(hopHeader, r.Header.Get(hopHeader)+"x")
	p.serveRequest(w, next)
	return true
}

// hopHeader counts redirections that were followed.
const hopHeader = "X-Standin-Hops"

func hasName(names []string, name string) bool {
	return slices.ContainsFunc(names, func(n string) bool { return strings.EqualFold(n, name) })
}
