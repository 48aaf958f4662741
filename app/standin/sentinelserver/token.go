package sentinelserver

import (
	"crypto/hmac"
	"crypto/sha256"
	"crypto/subtle"
	"encoding/base64"
	"encoding/json"
	"fmt"
	"net/http"
	"slices"
	"strings"
	"time"

	"github.com/google/uuid"
)

// scopes that Entra knows, and the audience of the token they lead to.
var scopes = map[string]string{
	"https://management.azure.com/.default":          "https://management.azure.com",
	"https://management.azure.com//.default":         "https://management.azure.com/",
	"https://management.core.windows.net/.default":   "https://management.core.windows.net",
	"https://management.core.windows.net//.default":  "https://management.core.windows.net/",
	"https://management.usgovcloudapi.net/.default":  "https://management.usgovcloudapi.net",
	"https://management.chinacloudapi.cn/.default":   "https://management.chinacloudapi.cn",
	"https://graph.microsoft.com/.default":           "https://graph.microsoft.com",
	"https://management.usgovcloudapi.net//.default": "https://management.usgovcloudapi.net/",
	"https://management.chinacloudapi.cn//.default":  "https://management.chinacloudapi.cn/",
	"https://api.loganalytics.io/.default":           "https://api.loganalytics.io",
	"https://api.loganalytics.us/.default":           "https://api.loganalytics.us",
	"https://api.loganalytics.azure.cn/.default":     "https://api.loganalytics.azure.cn",
}

// publicAudiences are the ones the upload API is documented to accept, letter by letter,
// app/docs/sentinel.md#token-request.
var publicAudiences = []string{
	"https://management.core.windows.net/", "https://management.core.windows.net",
	"https://management.azure.com/", "https://management.azure.com",
}

type claims struct {
	Audience  string `json:"aud"`
	Tenant    string `json:"tid"`
	AppID     string `json:"appid"`
	ObjectID  string `json:"oid"` // of the application in its tenant
	IssuedAt  int64  `json:"iat"`
	ExpiresAt int64  `json:"exp"`
	ID        string `json:"uti"`
	IssuedNS  int64  `json:"ins"` // when exactly, so that ExpireTokens needs no whole second
}

// serveToken serves Entra's v2.0 token endpoint for the client credentials grant.
func (s *Server) serveToken(w http.ResponseWriter, r *http.Request, tenant string) {
	r.Body = http.MaxBytesReader(w, r.Body, 64<<10)
	if r.Method != http.MethodPost {
		writeEntraError(w, 400, "invalid_request", 900561, "The endpoint only accepts POST requests. Received a "+r.Method+" request.")
		return
	}
	if err := r.ParseForm(); err != nil {
		writeEntraError(w, 400, "invalid_request", 900144, "The request body must contain the following parameter: 'grant_type'.")
		return
	}
	lifetime := s.options.TokenLifetime
	if f, ok := s.takeFault(tokenKinds, nil); ok {
		if f.Kind != TokenShort {
			s.writeTokenFault(w, r, f)
			if f.Kind != TokenSlow {
				return
			}
		} else {
			lifetime = f.waitTime()
		}
	}
	app, ok := s.authenticateApp(w, r, tenant)
	if !ok {
		return
	}
	audience, ok := scopes[r.PostForm.Get("scope")]
	if !ok {
		writeEntraError(w, 400, "invalid_scope", 70011, "The provided request must include a 'scope' input parameter. The provided value for the input parameter 'scope' is not valid.")
		return
	}
	seconds := int64(lifetime / time.Second)
	w.Header().Set("Cache-Control", "no-store, no-cache")
	writeJSON(w, http.StatusOK, map[string]any{
		"token_type": "Bearer", "expires_in": seconds, "ext_expires_in": seconds,
		"access_token": s.issueToken(app, audience, lifetime),
	})
}

// serveOpenID serves the document by which Microsoft's libraries find the token endpoint of a tenant,
// app/docs/sentinel.md#token-request.
func (s *Server) serveOpenID(w http.ResponseWriter, r *http.Request, tenant string) {
	if _, ok := s.appsOf(tenant); !ok {
		writeUnknownTenant(w, tenant)
		return
	}
	base := "http://" + r.Host + "/" + tenant
	if r.TLS != nil {
		base = "https://" + r.Host + "/" + tenant
	}
	writeJSON(w, http.StatusOK, map[string]any{
		"issuer": base + "/v2.0", "token_endpoint": base + "/oauth2/v2.0/token",
		"authorization_endpoint":                base + "/oauth2/v2.0/authorize",
		"token_endpoint_auth_methods_supported": []string{"client_secret_post"},
	})
}

// appsOf lists all applications, and says whether one of them belongs to the tenant.
func (s *Server) appsOf(tenant string) (apps []App, known bool) {
	s.mu.Lock()
	defer s.mu.Unlock()
	known = slices.ContainsFunc(s.apps, func(a App) bool { return strings.EqualFold(a.TenantID, tenant) })
	return slices.Clone(s.apps), known
}

func writeUnknownTenant(w http.ResponseWriter, tenant string) {
	writeEntraError(w, 400, "invalid_request", 90002, "Tenant '"+tenant+"' not found. Check to make sure you have the correct tenant ID and are signing into the correct cloud.")
}

// authenticateApp checks tenant, application and secret in the order in which Entra complains about them.
func (s *Server) authenticateApp(w http.ResponseWriter, r *http.Request, tenant string) (App, bool) {
	form := r.PostForm
	for _, name := range []string{"grant_type", "client_id", "scope"} {
		if form.Get(name) == "" {
			writeEntraError(w, 400, "invalid_request", 900144, "The request body must contain the following parameter: '"+name+"'.")
			return App{}, false
		}
	}
	if form.Get("grant_type") != "client_credentials" {
		writeEntraError(w, 400, "unsupported_grant_type", 70003, "The app requested an unsupported grant type '"+form.Get("grant_type")+"'.")
		return App{}, false
	}
	apps, ok := s.appsOf(tenant)
	if !ok {
		writeUnknownTenant(w, tenant)
		return App{}, false
	}
	i := slices.IndexFunc(apps, func(a App) bool {
		return strings.EqualFold(a.TenantID, tenant) && strings.EqualFold(a.ClientID, form.Get("client_id"))
	})
	if i < 0 {
		writeEntraError(w, 400, "unauthorized_client", 700016, "Application with identifier '"+form.Get("client_id")+"' was not found in the directory '"+tenant+"'.")
		return App{}, false
	}
	switch {
	case form.Get("client_assertion") != "":
		writeEntraError(w, 401, "invalid_client", 700027, "The certificate with identifier used to sign the client assertion is not registered on application.")
	case form.Get("client_secret") == "":
		writeEntraError(w, 401, "invalid_client", 7000218, "The request body must contain the following parameter: 'client_assertion' or 'client_secret'.")
	case subtle.ConstantTimeCompare([]byte(form.Get("client_secret")), []byte(apps[i].ClientSecret)) != 1:
		writeEntraError(w, 401, "invalid_client", 7000215, wrongSecret(apps[i].ClientID))
	default:
		return apps[i], true
	}
	return App{}, false
}

func wrongSecret(clientID string) string {
	return "Invalid client secret provided. Ensure the secret being sent in the request is the client secret value, not the client secret ID, for a secret added to app '" + clientID + "'."
}

// writeEntraError answers in the shape of Entra's errors, app/docs/sentinel.md#login-errors.
func writeEntraError(w http.ResponseWriter, status int, kind string, code int, text string) {
	trace, correlation := uuid.NewString(), uuid.NewString()
	stamp := time.Now().UTC().Format("2006-01-02 15:04:05Z")
	writeJSON(w, status, map[string]any{
		"error": kind,
		"error_description": fmt.Sprintf("AADSTS%d: %s\r\nTrace ID: %s\r\nCorrelation ID: %s\r\nTimestamp: %s",
			code, text, trace, correlation, stamp),
		"error_codes": []int{code}, "timestamp": stamp, "trace_id": trace, "correlation_id": correlation,
		"error_uri": fmt.Sprintf("https://login.microsoftonline.com/error?code=%d", code),
	})
}

var encodedHeader = base64.RawURLEncoding.EncodeToString([]byte(`{"typ":"JWT","alg":"HS256"}`))

// issueToken makes a signed token of three parts, as Entra's are.
func (s *Server) issueToken(app App, audience string, lifetime time.Duration) string {
	now := time.Now()
	body, _ := json.Marshal(claims{
		Audience: audience, Tenant: app.TenantID, AppID: app.ClientID, ID: uuid.NewString(),
		ObjectID: uuid.NewSHA1(uuid.Nil, []byte(app.TenantID+app.ClientID)).String(),
		IssuedAt: now.Unix(), IssuedNS: now.UnixNano(), ExpiresAt: now.Add(lifetime).Unix(),
	})
	text := encodedHeader + "." + base64.RawURLEncoding.EncodeToString(body)
	return text + "." + base64.RawURLEncoding.EncodeToString(s.signText(text))
}

func (s *Server) signText(text string) []byte {
	mac := hmac.New(sha256.New, s.key)
	mac.Write([]byte(text))
	return mac.Sum(nil)
}

// IssueToken makes a token for tests: of any audience, and already expired when the lifetime is not positive.
func (s *Server) IssueToken(clientID, audience string, lifetime time.Duration) string {
	return s.issueToken(App{ClientID: clientID}, audience, lifetime)
}

// access is what a token opens.
type access int

const (
	fullAccess    access = iota
	noAccess             // the token is missing or not ours
	expiredToken         // it was ours
	otherAudience        // it is for another audience
)

// readBearer finds out which application calls, and what its token opens where these audiences are accepted.
func (s *Server) readBearer(r *http.Request, audiences []string) (caller App, opens access) {
	scheme, text, _ := strings.Cut(r.Header.Get("Authorization"), " ")
	i := strings.LastIndexByte(text, '.')
	if !strings.EqualFold(scheme, "Bearer") || i < 0 {
		return App{}, noAccess
	}
	signature, err := base64.RawURLEncoding.DecodeString(text[i+1:])
	if err != nil || !hmac.Equal(signature, s.signText(text[:i])) {
		return App{}, noAccess
	}
	_, payload, _ := strings.Cut(text[:i], ".")
	body, err := base64.RawURLEncoding.DecodeString(payload)
	var c claims
	if err != nil || json.Unmarshal(body, &c) != nil {
		return App{}, noAccess
	}
	s.mu.Lock()
	defer s.mu.Unlock()
	i = slices.IndexFunc(s.apps, func(a App) bool { return a.ClientID == c.AppID })
	switch {
	case i < 0:
		return App{}, noAccess
	case time.Now().Unix() >= c.ExpiresAt || c.IssuedNS < s.notBefore.UnixNano() && !s.notBefore.IsZero():
		return App{}, expiredToken
	case !slices.Contains(audiences, c.Audience):
		return App{}, otherAudience
	}
	return s.apps[i], fullAccess
}
