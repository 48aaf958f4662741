package platform

import (
	"cmp"
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"log/slog"
	"net/http"
	"runtime/debug"
	"strconv"
	"sync"
	"sync/atomic"
	"time"
)

const (
	workers        = 16   // requests that are handled at the same time
	requestQueue   = 1024 // requests that wait for a worker; beyond it the answer is 503
	heartbeatQueue = 16   // heartbeats that wait for their answer

	// How long the platform waits is not known, app/docs/platform.md#time-limits. The handler's own limit of 25 s comes
	// first, with a better message.
	handlerTimeout = 27 * time.Second
	answerTimeout  = 30 * time.Second
	// slowExtra is how much longer a request may take that [Options].Slow names: the doctor finds out how long the
	// platform waits.
	slowExtra = 30 * time.Second
)

const (
	requestBody  = "request.body"
	responseBody = "response.body"
)

var (
	errTooSlow        = errors.New("the request took too long")
	errStopping       = errors.New("the Service is stopping")
	errAnswerTooLarge = fmt.Errorf("the answer is larger than %d bytes", maxBody)
)

// publisher is the part of the broker that a Service needs.
type publisher interface {
	publishMessage(ctx context.Context, topic string, payload []byte) error
	publishNow(ctx context.Context, topic string, payload []byte) error
	replaceSession(ctx context.Context) error
}

// service answers the platform's messages.
type service struct {
	in      Inputs
	handler http.Handler
	store   keyValueStore
	broker  publisher
	log     *slog.Logger
	level   *slog.LevelVar
	start   func()
	slow    func(path string) bool // Options.Slow
	told    func(reason string)    // Options.Shutdown
	telling sync.Once              // of told
	stop    func(ctx context.Context)
	notes   *Recorder

	queue         chan *call
	refused       chan *call
	heartbeats    chan struct{}
	shutdown      chan string // the reason; buffered for one
	checkReturned atomic.Bool // the App received its own BrokerCheck

	accepting atomic.Bool
	calls     context.Context // parent of all requests
	endCalls  context.CancelCauseFunc
	openCalls openCount // requests without an answer

	requests, responses, errors atomic.Int64
}

// call is one RunService on its way.
type call struct {
	runService
	received      time.Time
	extra         time.Duration // beyond handlerTimeout and answerTimeout
	ctx           context.Context
	cancel        context.CancelFunc
	answered      atomic.Bool
	refusalStatus int // HTTP status, for requests that no worker gets
}

func newService(in Inputs, handler http.Handler, store keyValueStore, broker publisher, o Options) *service {
	s := &service{
		in: in, handler: handler, store: store, broker: broker, log: o.Logger, level: o.Level, start: o.Start, stop: o.Stop, told: o.Shutdown, notes: o.Recorder,
		slow:       o.Slow,
		queue:      make(chan *call, requestQueue),
		refused:    make(chan *call, requestQueue),
		heartbeats: make(chan struct{}, heartbeatQueue),
		shutdown:   make(chan string, 1),
	}
	s.calls, s.endCalls = context.WithCancelCause(context.Background())
	s.accepting.Store(true)
	return s
}

// dispatchMessage takes one message from the broker. It never blocks.
func (s *service) dispatchMessage(payload []byte) {
	c, err := parseCommand(payload)
	if err != nil {
		s.log.Warn("message ignored", "error", err, "bytes", len(payload))
		return
	}
	switch c.Command {
	case "heartbeat":
		s.notes.noteHeartbeat(payload)
		select {
		case s.heartbeats <- struct{}{}:
		default: // so many wait for their answer that one less makes no difference
		}
	case "runservice":
		s.acceptRequest(payload, c)
	case "loggingchange":
		s.changeLevel(string(c.Level))
	case "shutdown":
		s.requestShutdown(string(c.Reason))
	case "acknowledged":
		s.log.Debug("acknowledged by the platform", "type", string(c.Type))
	case "brokercheck":
		s.checkReturned.Store(true)
		s.log.Info("broker check came back")
	default:
		s.log.Warn("unknown command ignored", "command", string(c.Command))
		s.notes.noteCommand(string(c.Command))
	}
}

func (s *service) changeLevel(name string) {
	level, err := ParseLevel(name)
	if err != nil || s.level == nil {
		s.log.Warn("log level not changed", "level", name)
		return
	}
	s.level.Set(level)
	s.log.Info("log level changed", "level", name)
}

func (s *service) requestShutdown(reason string) {
	if s.told != nil {
		s.telling.Do(func() { s.told(reason) })
	}
	select {
	case s.shutdown <- reason:
	default: // asked before
	}
}

// acceptRequest queues a request. From here on it gets exactly one answer.
func (s *service) acceptRequest(payload []byte, message command) {
	if message.RequestKey == "" {
		s.log.Warn("request without requestKey ignored")
		return
	}
	s.requests.Add(1)
	s.openCalls.addOne()
	c := &call{received: time.Now()}
	err := json.Unmarshal(payload, &c.runService)
	c.RequestKey = message.RequestKey
	s.notes.noteRequest(payload, &c.runService)
	if s.slow != nil && s.slow(string(c.Path)) {
		c.extra = slowExtra
	}
	ctx := withCaller(withToken(s.calls, string(c.APIToken)), c.callerName())
	c.ctx, c.cancel = context.WithTimeoutCause(ctx, handlerTimeout+c.extra, errTooSlow)

	switch {
	case err != nil:
		s.log.Warn("request not understood", "key", string(c.RequestKey), "error", err)
		s.refuseRequest(c, http.StatusBadRequest)
	case !s.accepting.Load():
		s.refuseRequest(c, http.StatusServiceUnavailable)
	default:
		select {
		case s.queue <- c:
			context.AfterFunc(c.ctx, func() { s.expireCall(c) })
		default:
			s.log.Warn("too many requests wait, one refused")
			s.refuseRequest(c, http.StatusServiceUnavailable)
		}
	}
}

// refuseRequest answers without a body, from a queue of its own, so that the workers need not be free.
func (s *service) refuseRequest(c *call, status int) {
	c.refusalStatus = status
	select {
	case s.refused <- c:
	default:
		s.log.Error("too many requests wait, one gets no answer", "key", string(c.RequestKey))
		s.errors.Add(1)
		c.cancel()
		s.openCalls.removeOne()
	}
}

// runWorkers handles and refuses requests until ctx ends.
func (s *service) runWorkers(ctx context.Context) {
	var group sync.WaitGroup
	for range workers {
		group.Go(func() { forEachCall(ctx, s.queue, s.serveCall) })
	}
	group.Go(func() {
		forEachCall(ctx, s.refused, func(c *call) {
			s.answerCall(c, response{status: c.refusalStatus, header: http.Header{"Retry-After": {"2"}}})
		})
	})
	group.Wait()
}

func forEachCall(ctx context.Context, calls <-chan *call, do func(*call)) {
	for {
		select {
		case c := <-calls:
			do(c)
		case <-ctx.Done():
			return
		}
	}
}

// serveCall runs the handler and answers. When the time is up expireCall answers instead, and what the handler answers
// later is dropped.
func (s *service) serveCall(c *call) {
	if c.ctx.Err() != nil {
		return
	}
	answer, err := s.callHandler(c)
	if err != nil {
		answer = s.failureResponse(c, err)
	}
	s.answerCall(c, answer)
}

// failureResponse logs why a request failed and returns the answer to it.
func (s *service) failureResponse(c *call, err error) response {
	s.log.Error("request failed", "method", c.requestMethod(), "path", string(c.Path), "error", err)
	if errors.Is(err, errTooLarge) {
		return newMessage(http.StatusRequestEntityTooLarge, "The request is larger than %d MiB. Send less at once.", maxBody>>20)
	}
	s.errors.Add(1)
	if errors.Is(err, errAnswerTooLarge) {
		return newMessage(http.StatusInternalServerError, "The answer is too large. Ask for fewer rows.")
	}
	return newMessage(http.StatusInternalServerError, "The Service failed on this request. Its log says why.")
}

// callHandler reads the body and calls the handler; a panic becomes an error.
func (s *service) callHandler(c *call) (answer response, err error) {
	var body []byte
	if c.BodyVariable != "" {
		if body, err = s.store.Get(c.ctx, string(c.RequestKey), string(c.BodyVariable), maxBody); err != nil {
			return response{}, fmt.Errorf("reading the request body: %w", err)
		}
	}
	s.notes.noteBody(&c.runService, len(body))
	if len(body) > 0 && s.notes.wantsLifetime() {
		s.askLifetime(c)
	}
	defer func() {
		if p := recover(); p != nil {
			err = fmt.Errorf("panic: %v", p)
			s.log.Error("panic in a request", "panic", fmt.Sprint(p), "stack", string(debug.Stack()))
		}
	}()
	rec := newRecorder()
	s.handler.ServeHTTP(rec, c.httpRequest(c.ctx, body))
	return rec.finishResponse()
}

// askLifetime asks the store how long the body of a request stands there.
func (s *service) askLifetime(c *call) {
	redis, ok := s.store.(*redisStore)
	if !ok {
		return
	}
	ctx, cancel := context.WithTimeout(c.ctx, time.Second)
	defer cancel()
	if left, exists, err := redis.lifetime(ctx, string(c.RequestKey)); err == nil && exists {
		s.notes.noteLifetime(left)
	}
}

// expireCall runs when a request's context ends: by its answer, its time, or the end of the Service.
func (s *service) expireCall(c *call) {
	switch cause := context.Cause(c.ctx); {
	case errors.Is(cause, errTooSlow):
		s.answerCall(c, newMessage(http.StatusGatewayTimeout, "No answer within %v. Try again, or ask for less at once.", handlerTimeout+c.extra))
	case errors.Is(cause, errStopping):
		s.answerCall(c, newMessage(http.StatusServiceUnavailable, "The Service is stopping."))
	}
}

// answerCall writes the body and then publishes the acknowledgement, app/docs/platform.md#answers. Of several answers
// to one request the first is sent.
func (s *service) answerCall(c *call, r response) {
	if !c.answered.CompareAndSwap(false, true) {
		return
	}
	defer s.openCalls.removeOne()
	defer c.cancel()
	ctx, cancel := context.WithDeadline(withToken(context.Background(), string(c.APIToken)), c.received.Add(answerTimeout+c.extra))
	defer cancel()
	r = r.withLength(c.requestMethod())
	if len(r.body) > 0 {
		if err := s.store.Put(ctx, string(c.RequestKey), responseBody, r.body); err != nil {
			s.errors.Add(1)
			s.log.Error("answer not stored", "error", err)
			r = response{status: http.StatusInternalServerError}.withLength(c.requestMethod())
		}
	}
	if len(r.body) > 0 {
		s.notes.noteAnswered(string(c.RequestKey))
	}
	headers := r.headerPairs()
	ack := encodeMessage(acknowledgement{
		Command: "Acknowledged", Type: "RunService", RequestKey: string(c.RequestKey),
		StatusCode: strconv.Itoa(r.status), Status: cmp.Or(http.StatusText(r.status), "Other"),
		Headers: &headers, BodyVariable: responseBody,
	})
	if err := s.broker.publishMessage(ctx, s.in.ClientTopic, ack); err != nil {
		s.errors.Add(1)
		s.log.Error("answer not sent", "error", err)
		return
	}
	s.log.Debug("request answered", "method", c.requestMethod(), "path", string(c.Path),
		"status", r.status, "bytes", len(r.body), "took", time.Since(c.received))
	s.responses.Add(1)
}

// openCount counts what is under way, and tells when nothing is.
type openCount struct {
	mu   sync.Mutex
	n    int
	zero chan struct{} // closed when n returns to 0; nil before the first addOne
}

func (c *openCount) addOne() {
	c.mu.Lock()
	defer c.mu.Unlock()
	if c.n++; c.n == 1 {
		c.zero = make(chan struct{})
	}
}

func (c *openCount) removeOne() {
	c.mu.Lock()
	defer c.mu.Unlock()
	if c.n--; c.n == 0 {
		close(c.zero)
	}
}

// awaitZero reports whether the count came to 0 within limit.
func (c *openCount) awaitZero(limit time.Duration) bool {
	c.mu.Lock()
	n, zero := c.n, c.zero
	c.mu.Unlock()
	if n == 0 {
		return true
	}
	return receivedWithin(zero, limit)
}

func receivedWithin(done <-chan struct{}, limit time.Duration) bool {
	timer := time.NewTimer(limit)
	defer timer.Stop()
	select {
	case <-done:
		return true
	case <-timer.C:
		return false
	}
}
