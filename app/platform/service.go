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
	workers   = 16
	queueSize = 1024 // requests that wait for a worker; beyond it the answer is 503
	beatsSize = 16

	// The platform drops an answer after 30 s. The handler's own 25 s limit comes first, with a better message.
	handlerTimeout = 27 * time.Second
	answerTimeout  = 30 * time.Second
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
	publish(ctx context.Context, topic string, payload []byte) error
	publishNow(ctx context.Context, topic string, payload []byte) error
	reconnect(ctx context.Context) error
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
	stop    func(ctx context.Context)

	queue    chan *call
	refused  chan *call
	beats    chan struct{}
	shutdown chan string // the reason; buffered for one
	checked  atomic.Bool // our own BrokerCheck came back

	accepting atomic.Bool
	calls     context.Context // parent of all requests
	endCalls  context.CancelCauseFunc
	open      tally // requests without an answer

	requests, responses, errors atomic.Int64
}

// call is one RunService on its way.
type call struct {
	runService
	received time.Time
	ctx      context.Context
	cancel   context.CancelFunc
	answered atomic.Bool
	refusal  int // HTTP status, for requests that no worker gets
}

func newService(in Inputs, handler http.Handler, store keyValueStore, broker publisher, o Options) *service {
	s := &service{
		in: in, handler: handler, store: store, broker: broker, log: o.Logger, level: o.Level, start: o.Start, stop: o.Stop,
		queue:    make(chan *call, queueSize),
		refused:  make(chan *call, queueSize),
		beats:    make(chan struct{}, beatsSize),
		shutdown: make(chan string, 1),
	}
	s.calls, s.endCalls = context.WithCancelCause(context.Background())
	s.accepting.Store(true)
	return s
}

// dispatch takes one message from the broker. It never blocks.
func (s *service) dispatch(payload []byte) {
	c, err := parseCommand(payload)
	if err != nil {
		s.log.Warn("message ignored", "feature", "broker", "error", err, "bytes", len(payload))
		return
	}
	switch c.Command {
	case "heartbeat":
		select {
		case s.beats <- struct{}{}:
		default: // the replies are behind; one of those waiting will do
		}
	case "runservice":
		s.accept(payload, c)
	case "loggingchange":
		s.changeLevel(string(c.Level))
	case "shutdown":
		s.requestShutdown(string(c.Reason))
	case "acknowledged":
		s.log.Debug("acknowledged by the platform", "feature", "broker", "type", string(c.Type))
	case "brokercheck":
		s.checked.Store(true)
		s.log.Info("broker check came back", "feature", "broker")
	default:
		s.log.Warn("unknown command ignored", "feature", "broker", "command", string(c.Command))
	}
}

func (s *service) changeLevel(name string) {
	level, err := ParseLevel(name)
	if err != nil || s.level == nil {
		s.log.Warn("log level not changed", "feature", "logging", "level", name)
		return
	}
	s.level.Set(level)
	s.log.Info("log level changed", "feature", "logging", "level", name)
}

func (s *service) requestShutdown(reason string) {
	select {
	case s.shutdown <- reason:
	default: // asked before
	}
}

// accept queues a request. From here on it gets exactly one answer.
func (s *service) accept(payload []byte, envelope command) {
	if envelope.RequestKey == "" {
		s.log.Warn("request without requestKey ignored", "feature", "request")
		return
	}
	s.requests.Add(1)
	s.open.add()
	c := &call{received: time.Now()}
	err := json.Unmarshal(payload, &c.runService)
	c.RequestKey = envelope.RequestKey
	c.ctx, c.cancel = context.WithTimeoutCause(withToken(s.calls, string(c.APIToken)), handlerTimeout, errTooSlow)

	switch {
	case err != nil:
		s.log.Warn("request not understood", "feature", "request", "key", string(c.RequestKey), "error", err)
		s.refuse(c, http.StatusBadRequest)
	case !s.accepting.Load():
		s.refuse(c, http.StatusServiceUnavailable)
	default:
		select {
		case s.queue <- c:
			context.AfterFunc(c.ctx, func() { s.expire(c) })
		default:
			s.log.Warn("too many requests wait, one refused", "feature", "request")
			s.refuse(c, http.StatusServiceUnavailable)
		}
	}
}

// refuse answers without a body, on a path of its own.
func (s *service) refuse(c *call, status int) {
	c.refusal = status
	select {
	case s.refused <- c:
	default:
		s.log.Error("too many requests wait, one gets no answer", "feature", "request", "key", string(c.RequestKey))
		s.errors.Add(1)
		c.cancel()
		s.open.done()
	}
}

// work runs the workers until ctx ends.
func (s *service) work(ctx context.Context) {
	var group sync.WaitGroup
	for range workers {
		group.Go(func() { each(ctx, s.queue, s.serve) })
	}
	group.Go(func() {
		each(ctx, s.refused, func(c *call) {
			s.answer(c, response{status: c.refusal, header: http.Header{"Retry-After": {"2"}}})
		})
	})
	group.Wait()
}

func each(ctx context.Context, calls <-chan *call, do func(*call)) {
	for {
		select {
		case c := <-calls:
			do(c)
		case <-ctx.Done():
			return
		}
	}
}

// serve runs the handler and answers. When the time is up expire answers instead, and the handler's late answer counts for nothing.
func (s *service) serve(c *call) {
	if c.ctx.Err() != nil {
		return
	}
	answer, err := s.handle(c)
	if err != nil {
		answer = s.failure(c, err)
	}
	s.answer(c, answer)
}

// failure logs why a request failed and words the answer to it.
func (s *service) failure(c *call, err error) response {
	s.log.Error("request failed", "feature", "request", "method", c.method(), "path", string(c.Path), "error", err)
	if errors.Is(err, errTooLarge) {
		return message(http.StatusRequestEntityTooLarge, "The request is larger than %d MiB. Send less at once.", maxBody>>20)
	}
	s.errors.Add(1)
	if errors.Is(err, errAnswerTooLarge) {
		return message(http.StatusInternalServerError, "The answer is too large. Ask for fewer rows.")
	}
	return message(http.StatusInternalServerError, "The Service failed on this request. Its log says why.")
}

// handle reads the body and calls the handler; a panic becomes an error.
func (s *service) handle(c *call) (answer response, err error) {
	var body []byte
	if c.BodyVariable != "" {
		if body, err = s.store.Get(c.ctx, string(c.RequestKey), string(c.BodyVariable), maxBody); err != nil {
			return response{}, fmt.Errorf("reading the request body: %w", err)
		}
	}
	defer func() {
		if p := recover(); p != nil {
			err = fmt.Errorf("panic: %v", p)
			s.log.Error("panic in a request", "feature", "request", "panic", fmt.Sprint(p), "stack", string(debug.Stack()))
		}
	}()
	rec := newRecorder()
	s.handler.ServeHTTP(rec, c.httpRequest(c.ctx, body))
	return rec.response(c.method())
}

// expire runs when a request's context ends: by its answer, its time, or the end of the Service.
func (s *service) expire(c *call) {
	switch cause := context.Cause(c.ctx); {
	case errors.Is(cause, errTooSlow):
		s.answer(c, message(http.StatusGatewayTimeout, "No answer within %v. Try again, or ask for less at once.", handlerTimeout))
	case errors.Is(cause, errStopping):
		s.answer(c, message(http.StatusServiceUnavailable, "The Service is stopping."))
	}
}

// answer writes the body and then publishes the acknowledgement, for the first of a request's answers.
func (s *service) answer(c *call, r response) {
	if !c.answered.CompareAndSwap(false, true) {
		return
	}
	defer s.open.done()
	defer c.cancel()
	ctx, cancel := context.WithDeadline(withToken(context.Background(), string(c.APIToken)), c.received.Add(answerTimeout))
	defer cancel()
	if len(r.body) > 0 {
		if err := s.store.Put(ctx, string(c.RequestKey), responseBody, r.body); err != nil {
			s.errors.Add(1)
			s.log.Error("answer not stored", "feature", "kvstore", "error", err)
			r = response{status: http.StatusInternalServerError}
		}
	}
	headers := r.pairs()
	ack := encode(acknowledgement{
		Command: "Acknowledged", Type: "RunService", RequestKey: string(c.RequestKey),
		StatusCode: strconv.Itoa(r.status), Status: cmp.Or(http.StatusText(r.status), "Other"),
		Headers: &headers, BodyVariable: responseBody,
	})
	if err := s.broker.publish(ctx, s.in.ClientTopic, ack); err != nil {
		s.errors.Add(1)
		s.log.Error("answer not sent", "feature", "broker", "error", err)
		return
	}
	s.log.Debug("request answered", "feature", "request", "method", c.method(), "path", string(c.Path),
		"status", r.status, "bytes", len(r.body), "took", time.Since(c.received))
	s.responses.Add(1)
}

// tally counts what is under way, and tells when nothing is.
type tally struct {
	mu   sync.Mutex
	n    int
	zero chan struct{} // closed when n returns to 0; nil before the first add
}

func (t *tally) add() {
	t.mu.Lock()
	defer t.mu.Unlock()
	if t.n++; t.n == 1 {
		t.zero = make(chan struct{})
	}
}

func (t *tally) done() {
	t.mu.Lock()
	defer t.mu.Unlock()
	if t.n--; t.n == 0 {
		close(t.zero)
	}
}

// wait reports whether the count came to 0 within limit.
func (t *tally) wait(limit time.Duration) bool {
	t.mu.Lock()
	n, zero := t.n, t.zero
	t.mu.Unlock()
	if n == 0 {
		return true
	}
	return received(zero, limit)
}

func received(done <-chan struct{}, limit time.Duration) bool {
	timer := time.NewTimer(limit)
	defer timer.Stop()
	select {
	case <-done:
		return true
	case <-timer.C:
		return false
	}
}
