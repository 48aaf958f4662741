package platform

import (
	"cmp"
	"context"
	"encoding/hex"
	"errors"
	"mime"
	"net"
	"net/netip"
	"net/url"
	"slices"
	"strconv"
	"strings"
	"sync"
	"time"

	"mssentinel/app/jsonscan"
	lines "mssentinel/app/text" // text is a type of this package
)

// Recorder notes how the platform behaves, at the places where that is seen anyway: it asks nothing by itself, and
// counts each message in a few microseconds. It notes names, kinds and numbers, and no value of a parameter, a header or
// a body. Its memory is bounded. A nil Recorder notes nothing. Its methods may be called from several goroutines.
type Recorder struct {
	given Given

	mu          sync.Mutex
	attached    bool
	in          Inputs
	store       keyValueStore
	began       time.Time // of Run
	readyAfter  time.Duration
	broker      BrokerFacts
	requests    RequestFacts
	commands    Tally // that the App does not know
	heartbeats  heartbeatLog
	storeTLS    *TLSFacts
	storeLogin  string
	answered    []answeredKey // the last ones with a body, newest last
	lifetimes   []time.Duration
	askLifetime int // how many requests with a body are still asked for their lifetime
}

const (
	keptKeys      = 4 // answered requests that are remembered
	livesAsked    = 3 // requests with a body whose lifetime in the store is asked for, at the start and after each AskStore
	maxTally      = 64
	maxTallyName  = 80 // bytes
	maxHeartbeats = 256
)

// answeredKey is a request whose answer has a body in the store.
type answeredKey struct {
	key string
	at  time.Time
}

// NewRecorder makes a Recorder that knows what was given to the process.
func NewRecorder(given Given) *Recorder { return &Recorder{given: given, askLifetime: livesAsked} }

// Tally counts what was seen by its name. Names beyond the first 64 are counted as "others".
type Tally map[string]int

func (t *Tally) count(name string) {
	if *t == nil {
		*t = Tally{}
	}
	if len(name) > maxTallyName || strings.ContainsFunc(name, isOdd) {
		name = lines.Line(lines.Visible(name), maxTallyName)
	}
	if _, known := (*t)[name]; !known && len(*t) >= maxTally {
		name = "others"
	}
	(*t)[name]++
}

func isOdd(r rune) bool { return r < ' ' || r > '~' }

// attach tells what [Run] works with.
func (r *Recorder) attach(in Inputs, store keyValueStore) {
	if r == nil {
		return
	}
	r.mu.Lock()
	defer r.mu.Unlock()
	r.attached, r.in, r.store, r.began = true, in, store, time.Now()
}

func (r *Recorder) noteReady() {
	if r == nil {
		return
	}
	r.mu.Lock()
	defer r.mu.Unlock()
	r.readyAfter = time.Since(r.began)
}

// noteSession notes a session that the broker has opened.
func (r *Recorder) noteSession(connectCode, granted byte) {
	if r == nil {
		return
	}
	r.mu.Lock()
	defer r.mu.Unlock()
	r.broker.Sessions++
	r.broker.ConnectCode, r.broker.GrantedQoS = int(connectCode), int(granted)
}

// noteCertificate notes the certificate of the broker or of the store.
func (r *Recorder) noteCertificate(server string, facts TLSFacts) {
	if r == nil {
		return
	}
	r.mu.Lock()
	defer r.mu.Unlock()
	if server == serverBroker {
		r.broker.TLS = &facts
	} else {
		r.storeTLS = &facts
	}
}

// noteLogin notes how the store took the login.
func (r *Recorder) noteLogin(how string) {
	if r == nil {
		return
	}
	r.mu.Lock()
	defer r.mu.Unlock()
	r.storeLogin = how
}

// noteCommand notes a message that the App does not know.
func (r *Recorder) noteCommand(name string) {
	if r == nil {
		return
	}
	r.mu.Lock()
	defer r.mu.Unlock()
	r.commands.count(name)
}

// noteHeartbeat notes a heartbeat and its members.
func (r *Recorder) noteHeartbeat(payload []byte) {
	if r == nil {
		return
	}
	r.mu.Lock()
	defer r.mu.Unlock()
	r.heartbeats.add(time.Now())
	countMembers(&r.heartbeats.fields, payload)
}

// countMembers counts the members of a JSON object with their types.
func countMembers(t *Tally, payload []byte) {
	s := jsonscan.New(payload)
	for name := range s.Members {
		t.count(jsonscan.Text(string(payload[name.Start:name.End])) + ": " + jsonscan.Kind(s.Next()))
	}
}

// heartbeatLog keeps the pauses between the last heartbeats.
type heartbeatLog struct {
	count  int
	last   time.Time
	pauses []time.Duration // the last ones, at most maxHeartbeats, in a ring
	fields Tally
}

func (h *heartbeatLog) add(now time.Time) {
	if h.count > 0 {
		if pause := now.Sub(h.last); len(h.pauses) < maxHeartbeats {
			h.pauses = append(h.pauses, pause)
		} else {
			h.pauses[h.count%maxHeartbeats] = pause
		}
	}
	h.count++
	h.last = now
}

// noteRequest notes the form of a request.
func (r *Recorder) noteRequest(payload []byte, m *runService) {
	if r == nil {
		return
	}
	r.mu.Lock()
	defer r.mu.Unlock()
	q := &r.requests
	q.Count++
	countMembers(&q.Fields, payload)
	q.Methods.count(string(m.Method))
	q.Tokens.count(TokenKind(string(m.APIToken)))
	q.Addresses.count(addressKind(string(m.RemoteAddress)))
	q.notePath(string(m.Path), string(m.RequestURL))
	for _, p := range m.QueryParams {
		q.noteParameter(string(p.Value))
	}
	for _, h := range m.Headers {
		q.Headers.count(strings.ToLower(string(h.Name)))
	}
}

// notePath notes how a path is written, and how the address stands to it.
func (q *RequestFacts) notePath(path, address string) {
	bare := strings.Trim(path, "/")
	switch {
	case bare == "":
		q.Paths.count("root as " + strconv.Quote(path))
	case strings.HasPrefix(path, "/"):
		q.Paths.count("begins with a slash")
	default:
		q.Paths.count("begins without a slash")
	}
	switch {
	case hasEscape(path):
		q.Paths.count("holds percent escapes")
	case strings.ContainsFunc(bare, needsEscape):
		q.Paths.count("holds what an address has to escape")
	}
	full, err := url.Parse(address)
	whole := ""
	if err == nil {
		whole = strings.TrimRight(full.EscapedPath(), "/")
	}
	switch {
	case address == "":
		q.URLs.count("missing")
	case err != nil:
		q.URLs.count("no address")
	case whole == "":
		q.URLs.count("host alone")
	case strings.HasSuffix(whole, strings.TrimRight(path, "/")):
		q.URLs.count("ends in the path")
	case strings.HasSuffix(strings.Trim(full.Path, "/"), bare):
		q.URLs.count("ends in the path, which is decoded")
	default:
		q.URLs.count("ends in something else")
	}
	if err == nil && full.RawQuery != "" {
		q.URLs.count("with the parameters")
	}
}

// hasEscape tells whether text holds a whole percent escape.
func hasEscape(written string) bool {
	for _, after := range strings.Split(written, "%")[1:] {
		if len(after) >= 2 {
			if _, err := hex.DecodeString(after[:2]); err == nil {
				return true
			}
		}
	}
	return false
}

// needsEscape tells a character that no address holds as it is.
func needsEscape(r rune) bool { return r <= ' ' || r > '~' || strings.ContainsRune(`"<>\^{|}`+"`", r) }

// noteParameter notes whether the value of a query parameter is as a browser wrote it.
func (q *RequestFacts) noteParameter(value string) {
	switch {
	case !rawForm.MatchString(value):
		q.Parameters.count("decoded")
	case hasEscape(value):
		q.Parameters.count("encoded")
	default:
		q.Parameters.count("the same in either form")
	}
}

// noteBody notes what became of the body of a request, of which size bytes were in the store.
func (r *Recorder) noteBody(m *runService, size int) {
	if r == nil {
		return
	}
	declared, kind := -1, ""
	for _, h := range m.Headers {
		switch {
		case strings.EqualFold(string(h.Name), "Content-Length"):
			if n, err := strconv.Atoi(strings.TrimSpace(string(h.Value))); err == nil {
				declared = n
			}
		case strings.EqualFold(string(h.Name), "Content-Type"):
			kind, _, _ = mime.ParseMediaType(string(h.Value))
		}
	}
	r.mu.Lock()
	defer r.mu.Unlock()
	bodies := &r.requests.Bodies
	switch {
	case m.BodyVariable == "" && declared <= 0:
		bodies.count("none, and bodyVariable is not set")
	case size == 0 && declared <= 0:
		bodies.count("none, and bodyVariable names a field that does not exist")
	case declared < 0:
		bodies.count("with bytes, without Content-Length")
	case declared == size:
		bodies.count("with as many bytes as Content-Length says")
	default:
		bodies.count("with other bytes than Content-Length says")
	}
	if kind == "application/x-www-form-urlencoded" {
		if size > 0 {
			r.requests.Forms.count("as a body")
		} else {
			r.requests.Forms.count("among the parameters")
		}
	}
}

// wantsLifetime tells whether the store shall be asked how long the body of a request stands there.
func (r *Recorder) wantsLifetime() bool {
	if r == nil {
		return false
	}
	r.mu.Lock()
	defer r.mu.Unlock()
	if r.askLifetime == 0 {
		return false
	}
	r.askLifetime--
	return true
}

func (r *Recorder) noteLifetime(left time.Duration) {
	r.mu.Lock()
	defer r.mu.Unlock()
	if len(r.lifetimes) >= livesAsked {
		r.lifetimes = r.lifetimes[1:]
	}
	r.lifetimes = append(r.lifetimes, left)
}

// noteAnswered notes a request whose answer has a body in the store.
func (r *Recorder) noteAnswered(key string) {
	if r == nil {
		return
	}
	r.mu.Lock()
	defer r.mu.Unlock()
	if len(r.answered) >= keptKeys {
		r.answered = r.answered[1:]
	}
	r.answered = append(r.answered, answeredKey{key, time.Now()})
}

// TokenKind is what a token begins with, where ThreatConnect's do so, app/docs/platform.md#tokens: never more of it.
func TokenKind(token string) string {
	kind, _, found := strings.Cut(token, ":")
	switch {
	case token == "":
		return "none"
	case found && slices.Contains([]string{"SVC", "API", "JOB", "APIV2"}, kind):
		return kind
	}
	return "of another kind"
}

// addressKind says in which form the caller's address came.
func addressKind(address string) string {
	if address == "" {
		return "none"
	}
	if ip, err := netip.ParseAddr(strings.Trim(address, "[]")); err == nil {
		if ip.Is4() {
			return "IPv4"
		}
		return "IPv6"
	}
	if host, _, err := net.SplitHostPort(address); err == nil {
		return addressKind(host) + " with a port"
	}
	if strings.Contains(address, ",") {
		return "a list"
	}
	return "no address"
}

// Facts is what was noted so far.
func (r *Recorder) Facts() Facts {
	r.mu.Lock()
	defer r.mu.Unlock()
	f := Facts{Given: r.given, Attached: r.attached, CAFile: r.in.CAFile, CertFile: r.in.CertFile, KeyFile: r.in.KeyFile,
		HeartbeatTimeout: r.in.HeartbeatTimeout, ReadyAfter: r.readyAfter, Broker: r.broker,
		Requests: r.requests.clone(), UnknownCommands: cloneTally(r.commands)}
	f.Heartbeats = HeartbeatFacts{Count: r.heartbeats.count, Fields: cloneTally(r.heartbeats.fields)}
	if pauses := slices.Sorted(slices.Values(r.heartbeats.pauses)); len(pauses) > 0 {
		f.Heartbeats.Shortest, f.Heartbeats.Median, f.Heartbeats.Longest = pauses[0], pauses[len(pauses)/2], pauses[len(pauses)-1]
	}
	return f
}

// ErrNoStore says that there is no key-value store that answers questions: the App runs by itself, or its bodies come over
// ThreatConnect's API.
var ErrNoStore = errors.New("there is no Redis to ask")

// askTimeout bounds all that AskStore asks.
const askTimeout = 10 * time.Second

// AskStore asks the Redis of the platform about itself and about the requests answered last, with a dozen commands that
// change nothing. What it refuses is told in the facts. The error is [ErrNoStore], or that it cannot be reached.
func (r *Recorder) AskStore(ctx context.Context) (StoreFacts, error) {
	r.mu.Lock()
	facts := StoreFacts{Kind: r.in.StoreType, Login: cmp.Or(r.storeLogin, "no connection yet"), TLS: r.storeTLS, Lifetimes: slices.Clone(r.lifetimes)}
	store, keys := r.store, slices.Clone(r.answered)
	r.askLifetime = livesAsked
	r.mu.Unlock()
	redis, ok := store.(*redisStore)
	if !ok {
		return facts, ErrNoStore
	}
	ctx, cancel := context.WithTimeout(ctx, askTimeout)
	defer cancel()
	err := redis.describe(ctx, keys, &facts)
	r.mu.Lock()
	defer r.mu.Unlock()
	facts.Login, facts.TLS = cmp.Or(r.storeLogin, facts.Login), r.storeTLS // the first connection may have been made just now
	return facts, err
}
