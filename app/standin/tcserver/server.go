// Package tcserver stands in for ThreatConnect's REST API, as far as an export of indicators needs it.
//
// It answers as the API is documented to answer, down to what it rejects, evaluates TQL over a population that is read
// from a file or generated, lets tests change that population at any moment, and can be told to fail in every way a
// client has to survive. It shares no code with the App's client: a wrong reading of the protocol must not be able to
// hide on both sides.
package tcserver

import (
	"bytes"
	"encoding/json"
	"io"
	"net/http"
	"strings"
	"sync"
	"time"

	"mssentinel/app/standin/faults"
)

// Bounds that the API documents.
const (
	maxSkew      = 300 * time.Second // of the clock of a signed request
	maxLimit     = 10_000            // rows of a page
	defaultLimit = 100
)

// Default credentials of [Options].
const (
	DefaultAccessID  = "11112222333344445555"
	DefaultSecretKey = "stand-in-secret-key"
)

// User is an API user, who signs requests with the secret key.
type User struct{ AccessID, SecretKey string }

// Options describe a stand-in. The zero value of every member is a usable default.
type Options struct {
	Population *Population // Generate(DefaultCount, 1, time.Now())
	Users      []User      // one with the default credentials
	Tokens     []string    // valid until RevokeTokens; more are issued by IssueToken
	MoreOwners []Owner     // besides those of the population

	LinkBase                string // scheme and host of next and prev; https and the host of the request when empty
	ClampLimit              bool   // a resultLimit above 10,000 counts as 10,000 instead of being refused
	MostRows                int    // a page has at most so many rows, however many are asked for; 0 for no such bound
	LinkLimit               int    // levels below a field that fields may name, 1; -1 for none
	LinkLimitStatus         int    // answer beyond it, 400
	StatusKeepsLastModified bool   // SetActive does not move lastModified
	DeletedShowsAdded       bool   // dateAdded of a deleted indicator is when it was added, not when it was deleted
	NoBody                  bool   // parameters in a JSON body are not understood, as before their introduction
	RefuseNotifications     bool   // the API user may not notify people: 403
	TrailingBlank           bool   // a blank stands behind lastModified in every seventh row, by the id
	Seed                    uint64 // of faults that strike at random
	Unknowns                Unknowns
}

func (o *Options) setDefaults() {
	if o.Population == nil {
		o.Population = Generate(DefaultCount, 1, time.Now())
	}
	if len(o.Users) == 0 {
		o.Users = []User{{DefaultAccessID, DefaultSecretKey}}
	}
	if o.LinkLimit == 0 {
		o.LinkLimit = 1
	}
	if o.LinkLimitStatus == 0 {
		o.LinkLimitStatus = http.StatusBadRequest
	}
}

// Server is the stand-in: an http.Handler that serves the API under /api/ and its own routes under /_standin/.
// Its methods may be called while it serves.
type Server struct {
	options Options
	closed  chan struct{}
	close   func()

	table  *table
	faults *faults.List[Fault]
	log    faults.Log[Request]

	mu            sync.Mutex
	users         []User
	tokens        map[string]time.Time // when they expire
	betweenPages  func(pages int)
	pages         int    // answered so far
	lastReading   string // what the last one was a part of
	lastPage      []*row // rows of the last one
	notifications []Notification
}

// New makes a stand-in. Close ends the requests that a fault made hang.
func New(o Options) *Server {
	o.setDefaults()
	s := &Server{
		options: o,
		closed:  make(chan struct{}),
		table:   newTable(o.Population, o.MoreOwners),
		faults:  faults.NewList(o.Seed, faultSchedule),
		log:     faults.Log[Request]{Most: maxLog},
		users:   append([]User(nil), o.Users...),
		tokens:  map[string]time.Time{},
	}
	for _, token := range o.Tokens {
		s.tokens[token] = time.Time{}
	}
	s.close = sync.OnceFunc(func() { close(s.closed) })
	return s
}

// Close releases every request that hangs. The stand-in itself goes on to answer.
func (s *Server) Close() { s.close() }

// BetweenPages has f called before each request for a list of indicators is looked at, with the number of those
// answered so far. f may change the population. Nil ends it.
func (s *Server) BetweenPages(f func(pages int)) {
	s.mu.Lock()
	defer s.mu.Unlock()
	s.betweenPages = f
}

// ServeHTTP implements http.Handler.
func (s *Server) ServeHTTP(w http.ResponseWriter, r *http.Request) {
	if name, ok := strings.CutPrefix(r.URL.Path, "/_standin/"); ok {
		s.serveControl(w, r, name)
		return
	}
	w.Header().Set("Date", s.now().UTC().Format(http.TimeFormat))
	entry := Request{Time: time.Now(), Method: r.Method, Target: r.RequestURI}
	defer func() {
		entry.Ended = time.Now()
		s.log.Add(entry)
	}()
	p, err := s.readParameters(w, r)
	entry.TQL, entry.Owner, entry.Sorting = p.firstValue("tql"), p.firstValue("owner"), p.firstValue("sorting")
	if f, ok := s.takeFault(callKinds, r, p); ok {
		entry.Fault = f.Kind
		if s.callFault(w, r, f, &entry) {
			return
		}
	}
	var a answer
	if err == nil {
		a, err = s.answerRequest(r, p, &entry)
	}
	if err != nil {
		a = errorAnswer(err)
	}
	if f, ok := s.takeFault(bodyKinds, r, p); ok {
		entry.Fault = f.Kind
		a = f.spoilAnswer(a)
	}
	entry.Status = a.status
	a.sendTo(w)
}

// answerRequest checks who asks, and answers.
func (s *Server) answerRequest(r *http.Request, p parameters, entry *Request) (answer, error) {
	path, ok := strings.CutPrefix(r.URL.Path, "/api")
	if !ok {
		return answer{}, newRefusal(http.StatusNotFound, codeNotFound, "The requested resource was not found")
	}
	if err := s.checkCredentials(r); err != nil {
		return s.authFailure(err)
	}
	route, ok := routes[path]
	if id, found := strings.CutPrefix(path, "/v3/indicators/"); found && !ok {
		p.id = id
		route = map[string]handler{"GET": (*Server).getIndicator}
	} else if name, found := strings.CutPrefix(path, "/internal/variable/runtime/TC/"); found {
		p.id = name
		route = map[string]handler{"GET": (*Server).getVariable}
	} else if !ok {
		return answer{}, newRefusal(http.StatusNotFound, codeNotFound, "The requested resource was not found")
	}
	handle := route[r.Method]
	if handle == nil {
		return answer{}, newRefusal(http.StatusMethodNotAllowed, codeMethod, "This operation is not supported.")
	}
	return handle(s, r, p, entry)
}

type handler func(*Server, *http.Request, parameters, *Request) (answer, error)

var routes = map[string]map[string]handler{
	"/v3/indicators":           {"GET": (*Server).getIndicators, "OPTIONS": (*Server).getIndicatorOptions},
	"/v3/indicators/deleted":   {"GET": (*Server).getDeleted},
	"/v3/indicators/fields":    {"OPTIONS": (*Server).getFieldOptions},
	"/v3/indicators/tql":       {"OPTIONS": (*Server).getTQLOptions},
	"/v3/security/owners":      {"GET": (*Server).getOwners},
	"/v3/security/owners/tql":  {"OPTIONS": (*Server).getOwnerTQLOptions},
	"/v3/attributeTypes":       {"GET": (*Server).getAttributeTypes},
	"/v2/owners":               {"GET": (*Server).getOwnersV2},
	"/v2/owners/mine":          {"GET": (*Server).getOwnOwner},
	"/v2/whoami":               {"GET": (*Server).getWhoAmI},
	"/v2/types/indicatorTypes": {"GET": (*Server).getIndicatorTypes},
	"/v2/notifications":        {"POST": (*Server).postNotification},
}

// maxBody bounds the parameters in a body.
const maxBody = 8 << 20

func (s *Server) readParameters(w http.ResponseWriter, r *http.Request) (parameters, error) {
	var body []byte
	if r.Body != nil {
		var err error
		if body, err = io.ReadAll(http.MaxBytesReader(w, r.Body, maxBody)); err != nil {
			return parameters{}, newRefusal(http.StatusBadRequest, codeBadRequest, "The request was not properly formed")
		}
	}
	if r.URL.Path == pathNotifications {
		return parameters{body: body}, nil
	}
	if len(bytes.TrimSpace(body)) == 0 || s.options.NoBody {
		return queryParameters(r.URL.RawQuery)
	}
	var wrapped struct {
		Data map[string]any `json:"data"`
	}
	d := json.NewDecoder(bytes.NewReader(body))
	d.UseNumber()
	err := d.Decode(&wrapped)
	if err == nil && wrapped.Data == nil { // as the vendor's client sends it with a single indicator
		return queryParameters(r.URL.RawQuery)
	}
	if err != nil || r.URL.RawQuery != "" || !strings.HasPrefix(r.Header.Get("Content-Type"), "application/json") {
		return parameters{}, newRefusal(http.StatusBadRequest, codeBadRequest, "The request was not properly formed")
	}
	return bodyParameters(wrapped.Data), nil
}
