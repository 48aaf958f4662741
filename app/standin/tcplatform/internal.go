package tcplatform

import (
	"crypto/hmac"
	"crypto/rand"
	"encoding/json"
	"fmt"
	"io"
	"net/http"
	"strconv"
	"strings"
	"sync"
	"time"

	"mssentinel/app/standin/tcserver"
)

type tokenKind string

const (
	longToken    tokenKind = "API" // outlives a request and can be renewed
	requestToken tokenKind = "SVC" // for one request
	tokenLife              = 4 * time.Hour
)

// tokens knows the API tokens that were handed out.
type tokens struct {
	mu      sync.Mutex
	expires map[string]time.Time
}

func (t *tokens) issueToken(kind tokenKind) (string, time.Time) {
	t.mu.Lock()
	defer t.mu.Unlock()
	now := time.Now()
	if t.expires == nil {
		t.expires = map[string]time.Time{}
	}
	for token, end := range t.expires {
		if now.Sub(end) > tokenLife { // until then it can be renewed
			delete(t.expires, token)
		}
	}
	end := now.Add(tokenLife).Truncate(time.Second)
	token := fmt.Sprintf("%s:5:%s:%d:95:%s", kind, rand.Text()[:6], end.UnixMilli(), rand.Text())
	t.expires[token] = end
	return token, end
}

// isValid looks at an Authorization header.
func (t *tokens) isValid(authorization string) bool {
	token, found := strings.CutPrefix(authorization, "TC-Token ")
	t.mu.Lock()
	defer t.mu.Unlock()
	return found && time.Now().Before(t.expires[token])
}

// renewToken exchanges a token that was issued, expired or not.
func (t *tokens) renewToken(old string) (string, time.Time, bool) {
	t.mu.Lock()
	_, known := t.expires[old]
	delete(t.expires, old)
	t.mu.Unlock()
	if !known {
		return "", time.Time{}, false
	}
	token, end := t.issueToken(longToken)
	return token, end, true
}

// routeInternal adds the REST endpoints that the platform offers to Apps alone.
func (p *Platform) routeInternal(mux *http.ServeMux) {
	mux.HandleFunc("GET /api/appAuth", p.renewToken)
	mux.HandleFunc("GET /api/appAuth/{$}", p.renewToken)
	mux.Handle("GET /api/internal/playbooks/keyValue/{key}/{field}", p.withLogin(p.readValue))
	mux.Handle("PUT /api/internal/playbooks/keyValue/{key}/{field}", p.withLogin(p.writeValue))
	mux.Handle("GET /api/internal/variable/runtime/{provider}/{name}", p.forVariables(p.readVariable))
}

// withLogin lets through who has a token, or signs as one of the API users: the vendor's framework (TcEx) signs whatever
// it asks for where its App has the key of an API user, app/docs/platform.md#tckeyvalueapi.
func (p *Platform) withLogin(next http.HandlerFunc) http.HandlerFunc {
	return func(w http.ResponseWriter, r *http.Request) {
		if !p.tokens.isValid(r.Header.Get("Authorization")) && !p.isSigned(r) {
			writeJSON(w, http.StatusUnauthorized, map[string]any{"status": "Failure", "message": "Access Denied"})
			return
		}
		next(w, r)
	}
}

// forVariables lets through who may read variables, which a switch denies to tokens.
func (p *Platform) forVariables(next http.HandlerFunc) http.HandlerFunc {
	return func(w http.ResponseWriter, r *http.Request) {
		if p.o.NoTokenForVariables && p.tokens.isValid(r.Header.Get("Authorization")) {
			writeJSON(w, http.StatusForbidden, map[string]any{"status": "Failure", "message": "Forbidden"})
			return
		}
		p.withLogin(next)(w, r)
	}
}

// isSigned checks the signature of an API user over the target as it came in.
func (p *Platform) isSigned(r *http.Request) bool {
	credentials, found := strings.CutPrefix(r.Header.Get("Authorization"), "TC ")
	accessID, signature, _ := strings.Cut(credentials, ":")
	key, known := p.o.APIUsers[accessID]
	seconds, err := strconv.ParseInt(r.Header.Get("Timestamp"), 10, 64)
	if !found || !known || err != nil || time.Since(time.Unix(seconds, 0)).Abs() > 5*time.Minute {
		return false
	}
	return hmac.Equal([]byte(tcserver.Signature(key, r.RequestURI, r.Method, seconds)), []byte(signature))
}

func (p *Platform) renewToken(w http.ResponseWriter, r *http.Request) {
	token, end, known := p.tokens.renewToken(r.URL.Query().Get("expiredToken"))
	if !known {
		writeJSON(w, http.StatusOK, map[string]any{"success": false, "message": "Invalid token"})
		return
	}
	writeJSON(w, http.StatusOK, map[string]any{"success": true, "apiToken": token, "apiTokenExpires": p.chance.numberForm(end.Unix())})
}

func (p *Platform) readValue(w http.ResponseWriter, r *http.Request) {
	value, err := p.store.getField(r.PathValue("key"), r.PathValue("field"))
	switch {
	case err != nil:
		http.Error(w, err.Error(), http.StatusBadGateway)
	case value == nil:
		http.Error(w, "no such key", http.StatusNotFound)
	default:
		w.Header().Set("Content-Type", "application/octet-stream")
		w.Write(value) //nolint:errcheck // the App may have gone
	}
}

func (p *Platform) writeValue(w http.ResponseWriter, r *http.Request) {
	if r.Header.Get("Content-Type") != "application/octet-stream" {
		http.Error(w, "send application/octet-stream", http.StatusUnsupportedMediaType)
		return
	}
	value, err := io.ReadAll(http.MaxBytesReader(w, r.Body, maxBody))
	if err == nil {
		err = p.store.putField(r.PathValue("key"), r.PathValue("field"), value)
	}
	if err != nil {
		http.Error(w, err.Error(), http.StatusBadGateway)
		return
	}
	w.WriteHeader(http.StatusNoContent)
}

func (p *Platform) readVariable(w http.ResponseWriter, r *http.Request) {
	value, found := p.o.Variables[r.PathValue("provider")+"/"+r.PathValue("name")]
	if !found {
		writeJSON(w, http.StatusNotFound, map[string]any{"status": "Failure", "message": "no such variable"})
		return
	}
	writeJSON(w, http.StatusOK, map[string]any{"data": value})
}

func writeJSON(w http.ResponseWriter, status int, value any) {
	w.Header().Set("Content-Type", "application/json")
	w.WriteHeader(status)
	json.NewEncoder(w).Encode(value) //nolint:errcheck // the client may have gone
}
