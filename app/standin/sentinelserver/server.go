// Package sentinelserver stands in for Microsoft Sentinel's STIX objects upload API, the query API by which its tables
// are read, and the Microsoft Entra login before both.
//
// It answers as the service is documented to answer, down to the order of its checks and what it rejects, keeps what
// was uploaded the way Log Analytics would show it, and can be told to fail in every way a client has to survive. What
// it knows about the service is in app/docs/sentinel.md. It shares no code with the App's client: a wrong reading of
// the protocol must not be able to hide on both sides.
package sentinelserver

import (
	"crypto/rand"
	"net/http"
	"strings"
	"sync"
	"time"

	"mssentinel/app/standin/faults"
)

// Defaults of [Options]: the limits that Microsoft documents, and the stand-in's own where it documents none,
// app/docs/sentinel.md#limits.
const (
	DefaultWindow        = 60 * time.Second
	DefaultLimit         = 100
	DefaultMaxBody       = 4 << 20
	DefaultTokenLifetime = 3599 * time.Second

	maxObjects = 100
	maxSource  = 256
	apiVersion = "2024-02-01-preview"
)

// Unlimited as [Options.Limit] switches throttling off.
const Unlimited = -1

// Keep says how much of what was uploaded is remembered.
type Keep int

// What a Keep may be.
const (
	KeepRows    Keep = iota // every version of every object, as the tables do
	KeepObjects             // the current version of every object
	KeepHashes              // only that an object is there and a hash of it: for benchmarks of millions
)

// MessageKey is the name of the array of messages in a record error: Microsoft's documents disagree about it,
// app/docs/sentinel.md#record-errors.
type MessageKey string

// What a MessageKey may be.
const (
	ErrorMessages           MessageKey = "errorMessages"
	ValidationErrorMessages MessageKey = "validationErrorMessages"
	BothMessages            MessageKey = "both"
)

// App is an application registered with the stand-in's Entra.
type App struct {
	TenantID, ClientID, ClientSecret string
	NoRole                           bool // tokens are issued, but the workspace refuses its uploads
	NoRead                           bool // tokens are issued, but the workspace refuses its queries
}

// Options describe a stand-in. The zero value of every member is a usable default, except that without Apps nobody can
// log in and without Workspaces nothing can be uploaded.
type Options struct {
	Apps       []App
	Workspaces []string // GUIDs
	Audiences  []string // accepted besides the public cloud's four spellings, for the other clouds
	// QueryAudiences are accepted by the query API besides that of the public cloud, for the other clouds.
	QueryAudiences []string
	Window         time.Duration // of the throttle, 60 s
	Limit          int           // calls per subject and window, 100; Unlimited for none
	MaxBody        int64         // bytes, 4 MiB
	TokenLifetime  time.Duration // 3,599 s
	Lag            time.Duration // between an upload and its rows' TimeGenerated; a query finds them from then on
	MessageKey     MessageKey    // errorMessages
	NoRoleStatus   int           // 403; Microsoft documents 401 alone, app/docs/sentinel.md#missing-role
	NoRoleSeen     bool          // tell a missing role by the body that was seen, whatever the status
	ByteOrderMark  bool          // before every body of the service
	NoContentType  bool          // take an upload without Content-Type, app/docs/sentinel.md#address-and-headers
	NoReadInner    bool          // tell a missing right to read with its innererror, app/docs/sentinel.md#right-to-read
	StrictVersion  bool          // refuse objects without spec_version, which otherwise only count as a warning
	Unknowns
	Keep Keep
	Seed uint64 // of faults that strike at random
}

func (o *Options) setDefaults() {
	if o.Window == 0 {
		o.Window = DefaultWindow
	}
	if o.Limit == 0 {
		o.Limit = DefaultLimit
	}
	if o.MaxBody == 0 {
		o.MaxBody = DefaultMaxBody
	}
	if o.TokenLifetime == 0 {
		o.TokenLifetime = DefaultTokenLifetime
	}
	if o.MessageKey == "" {
		o.MessageKey = ErrorMessages
	}
	if o.NoRoleStatus == 0 {
		o.NoRoleStatus = http.StatusForbidden
	}
	o.Unknowns.setDefaults()
}

// Server is the stand-in: an http.Handler that serves the login, the upload API, the query API and what is under
// /_standin/.
// Its methods may be called while it serves.
type Server struct {
	options Options
	key     []byte // signs the tokens
	closed  chan struct{}
	close   func()

	faults  *faults.List[Fault]
	table   table
	log     faults.Log[Request]
	queries faults.Log[Query]
	meter   throttle

	mu        sync.Mutex
	apps      []App
	notBefore time.Time // tokens issued earlier have lost their validity
}

// New makes a stand-in. Close ends the requests that a fault made hang.
func New(o Options) *Server {
	o.setDefaults()
	s := &Server{
		options: o,
		key:     make([]byte, 32),
		closed:  make(chan struct{}),
		apps:    append([]App(nil), o.Apps...),
		faults:  faults.NewList(o.Seed, whenOf),
		log:     faults.Log[Request]{Most: maxLog},
		queries: faults.Log[Query]{Most: maxLog},
		table:   newTable(o.Keep, o.Unknowns),
		meter:   throttle{window: o.Window, limit: o.Limit},
	}
	s.close = sync.OnceFunc(func() { close(s.closed) })
	rand.Read(s.key)
	return s
}

// Close releases every request that hangs. The stand-in itself goes on to answer.
func (s *Server) Close() { s.close() }

// ServeHTTP implements http.Handler.
func (s *Server) ServeHTTP(w http.ResponseWriter, r *http.Request) {
	path := r.URL.Path
	if name, ok := strings.CutPrefix(path, "/_standin/"); ok {
		s.serveControl(w, r, name)
		return
	}
	if s.options.ByteOrderMark {
		w = &markedWriter{ResponseWriter: w}
	}
	if tenant, ok := strings.CutSuffix(strings.TrimPrefix(path, "/"), "/oauth2/v2.0/token"); ok && !strings.Contains(tenant, "/") {
		s.serveToken(w, r, tenant)
		return
	}
	if tenant, ok := strings.CutSuffix(strings.TrimPrefix(path, "/"), "/v2.0/.well-known/openid-configuration"); ok {
		s.serveOpenID(w, r, tenant)
		return
	}
	if rest, ok := strings.CutPrefix(path, "/v1/workspaces/"); ok && strings.HasSuffix(rest, "/query") {
		s.serveQuery(w, r, strings.TrimSuffix(rest, "/query"))
		return
	}
	rest, ok := strings.CutPrefix(path, "/workspaces/")
	workspace, action, _ := strings.Cut(rest, "/")
	// To the letter: a colon that is percent-encoded leads nowhere, app/docs/sentinel.md#address-and-headers.
	const upload = "threat-intelligence-stix-objects:upload"
	if !ok || action != upload || !strings.HasSuffix(r.URL.EscapedPath(), "/"+upload) {
		writeGatewayError(w, http.StatusNotFound, "Resource not found")
		return
	}
	s.serveUpload(w, r, workspace)
}

// SetRole gives an application the Sentinel role on the workspaces, or takes it away.
func (s *Server) SetRole(clientID string, granted bool) {
	s.changeApp(clientID, func(a *App) { a.NoRole = !granted })
}

// SetReadRight lets an application query the workspaces, or not any more.
func (s *Server) SetReadRight(clientID string, granted bool) {
	s.changeApp(clientID, func(a *App) { a.NoRead = !granted })
}

// SetSecret changes an application's secret. Tokens that were issued stay valid.
func (s *Server) SetSecret(clientID, secret string) {
	s.changeApp(clientID, func(a *App) { a.ClientSecret = secret })
}

func (s *Server) changeApp(clientID string, change func(*App)) {
	s.mu.Lock()
	defer s.mu.Unlock()
	for i := range s.apps {
		if strings.EqualFold(s.apps[i].ClientID, clientID) {
			change(&s.apps[i])
		}
	}
}

// ExpireTokens makes every token issued so far invalid, as a revocation in the middle of a run would.
func (s *Server) ExpireTokens() {
	s.mu.Lock()
	defer s.mu.Unlock()
	s.notBefore = time.Now()
}
