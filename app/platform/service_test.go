package platform

import (
	"bytes"
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"net/http"
	"strings"
	"sync"
	"testing"
	"testing/synctest"
	"time"
)

// fakeStore keeps values in memory and fails as told.
type fakeStore struct {
	mu       sync.Mutex
	values   map[string][]byte // by key/field
	getErr   error
	putErr   error
	sequence *sequence
}

// sequence is the order in which things happened.
type sequence struct {
	mu    sync.Mutex
	steps []string
}

func (s *sequence) add(step string) {
	s.mu.Lock()
	defer s.mu.Unlock()
	s.steps = append(s.steps, step)
}

func (f *fakeStore) Get(_ context.Context, key, field string, limit int) ([]byte, error) {
	f.mu.Lock()
	defer f.mu.Unlock()
	if value := f.values[key+"/"+field]; len(value) > limit {
		return nil, errTooLarge
	}
	return f.values[key+"/"+field], f.getErr
}

func (f *fakeStore) Put(_ context.Context, key, field string, value []byte) error {
	f.mu.Lock()
	defer f.mu.Unlock()
	f.sequence.add("put " + key)
	if f.putErr == nil {
		f.values[key+"/"+field] = bytes.Clone(value)
	}
	return f.putErr
}

func (f *fakeStore) Close() error { return nil }

// fakePublisher is a broker that takes everything.
type fakePublisher struct {
	mu       sync.Mutex
	acks     map[string][]map[string]any // by requestKey
	sequence *sequence
}

func (f *fakePublisher) publishMessage(_ context.Context, _ string, payload []byte) error {
	var body map[string]any
	if err := json.Unmarshal(payload, &body); err != nil {
		return err
	}
	key := fmt.Sprint(body["requestKey"])
	f.mu.Lock()
	defer f.mu.Unlock()
	f.sequence.add("publish " + key)
	f.acks[key] = append(f.acks[key], body)
	return nil
}

func (f *fakePublisher) publishNow(ctx context.Context, topic string, payload []byte) error {
	return f.publishMessage(ctx, topic, payload)
}

func (f *fakePublisher) replaceSession(context.Context) error { return nil }

type fixture struct {
	*service
	store  *fakeStore
	broker *fakePublisher
	log    *logBuffer
	order  *sequence
}

// newFixture runs the workers of a service until the test ends.
func newFixture(t *testing.T, handler http.HandlerFunc) *fixture {
	t.Helper()
	f := &fixture{log: &logBuffer{}, order: &sequence{}}
	f.store = &fakeStore{values: map[string][]byte{}, sequence: f.order}
	f.broker = &fakePublisher{acks: map[string][]map[string]any{}, sequence: f.order}
	f.service = newService(inputs(), handler, f.store, f.broker, Options{Logger: newLog(f.log, LevelTrace).Logger})
	ctx, cancel := context.WithCancel(t.Context())
	done := make(chan struct{})
	go func() { defer close(done); f.runWorkers(ctx) }()
	t.Cleanup(func() { cancel(); <-done })
	return f
}

func (f *fixture) request(key, members string) {
	f.dispatchMessage([]byte(`{"command":"RunService","requestKey":"` + key + `","method":"GET","path":"x","queryParams":[],"headers":[]` + members + `}`))
}

// ack returns the one acknowledgement of a request.
func (f *fixture) ack(t *testing.T, key string) map[string]any {
	t.Helper()
	if !f.openCalls.awaitZero(time.Minute) {
		t.Fatal("requests stay without an answer")
	}
	f.broker.mu.Lock()
	defer f.broker.mu.Unlock()
	if got := f.broker.acks[key]; len(got) != 1 {
		t.Fatalf("%s got %d acknowledgements: %v", key, len(got), got)
	}
	return f.broker.acks[key][0]
}

func (f *fixture) metrics(t *testing.T, requests, responses, failures int64) {
	t.Helper()
	if got := [3]int64{f.requests.Load(), f.responses.Load(), f.errors.Load()}; got != [3]int64{requests, responses, failures} {
		t.Errorf("requests, responses and errors are %v, not %v", got, [3]int64{requests, responses, failures})
	}
}

// The body crosses as it is, the answer's stands in the store before the acknowledgement says so, and every member of
// the acknowledgement has the type that the vendor sends.
func TestRunService(t *testing.T) {
	f := newFixture(t, func(w http.ResponseWriter, r *http.Request) {
		body, err := io.ReadAll(r.Body)
		if err != nil || Token(r.Context()) != "SVC:5:abc" {
			t.Errorf("token %q, %v", Token(r.Context()), err)
		}
		w.Header().Set("Content-Type", "application/octet-stream")
		w.Header().Add("Set-Cookie", "a=1")
		w.Header().Add("Set-Cookie", "b=2")
		w.WriteHeader(http.StatusTooManyRequests)
		w.Write(append(body, 0xfe))
	})
	f.store.values["k1/request.body"] = []byte{0, 0xff}
	f.request("k1", `,"bodyVariable":"request.body","apiToken":"SVC:5:abc"`)
	ack := f.ack(t, "k1")
	got, _ := json.Marshal(ack)
	const want = `{"bodyVariable":"response.body","command":"Acknowledged","headers":[{"name":"Content-Length","value":"3"},{"name":"Content-Type","value":"application/octet-stream"},` +
		`{"name":"Set-Cookie","value":"a=1"},{"name":"Set-Cookie","value":"b=2"}],"requestKey":"k1","status":"Too Many Requests","statusCode":"429","type":"RunService"}`
	if string(got) != want {
		t.Errorf("got  %s\nwant %s", got, want)
	}
	if body := f.store.values["k1/response.body"]; !bytes.Equal(body, []byte{0, 0xff, 0xfe}) {
		t.Errorf("the answer is %x", body)
	}
	if steps := strings.Join(f.order.steps, ", "); steps != "put k1, publish k1" {
		t.Errorf("the order is %s", steps)
	}
	f.metrics(t, 1, 1, 0)
}

func TestRequestsWithoutBody(t *testing.T) {
	f := newFixture(t, func(w http.ResponseWriter, r *http.Request) {
		if body, err := io.ReadAll(r.Body); err != nil || len(body) > 0 {
			t.Errorf("a body of %d bytes, %v", len(body), err)
		}
		w.WriteHeader(599) // has no phrase of its own
	})
	for key, members := range map[string]string{"absent": ``, "null": `,"bodyVariable":null`, "empty": `,"bodyVariable":""`, "missing": `,"bodyVariable":"request.body"`} {
		f.request(key, members)
		ack := f.ack(t, key)
		if ack["statusCode"] != "599" || ack["status"] == nil || ack["bodyVariable"] != "response.body" {
			t.Errorf("%s: got %v", key, ack)
		}
	}
	if len(f.store.values) > 0 {
		t.Errorf("an empty answer was stored: %v", f.store.values)
	}
}

// Whatever happens inside, a request gets one answer and the others are not harmed.
func TestFailures(t *testing.T) {
	for name, test := range map[string]struct {
		prepare func(f *fixture)
		handler http.HandlerFunc
		members string
		status  string
		body    string
		log     string
		errors  int64
	}{
		"panic": {handler: func(w http.ResponseWriter, _ *http.Request) {
			w.WriteHeader(200)
			panic("by accident")
		}, status: "500", body: "log says why", log: "by accident", errors: 1},
		"body unreadable": {prepare: func(f *fixture) { f.store.getErr = errors.New("gone") }, members: `,"bodyVariable":"request.body"`,
			status: "500", body: "log says why", log: "reading the request body: gone", errors: 1},
		"body too large": {prepare: func(f *fixture) { f.store.values["k/request.body"] = make([]byte, maxBody+1) }, members: `,"bodyVariable":"request.body"`,
			status: "413", body: "larger than 8 MiB", log: "value is too large", errors: 0},
		"answer too large": {handler: func(w http.ResponseWriter, _ *http.Request) { w.Write(make([]byte, maxBody+1)) },
			status: "500", body: "fewer rows", log: "the answer is larger than", errors: 1},
		"answer cannot be stored": {prepare: func(f *fixture) { f.store.putErr = errors.New("gone") },
			handler: func(w http.ResponseWriter, _ *http.Request) { io.WriteString(w, "x") },
			status:  "500", log: "answer not stored", errors: 1},
		"headers of another shape": {members: `,"headers":{"a":"b"}`, status: "400", log: "request not understood"},
		"path of another shape":    {members: `,"path":["x"]`, status: "400", log: "request not understood"},
		"no members":               {members: `,"headers":null,"queryParams":null`, status: "200"},
		"a queue that is stopping": {prepare: func(f *fixture) { f.accepting.Store(false) }, status: "503"},
	} {
		t.Run(name, func(t *testing.T) {
			if test.handler == nil {
				test.handler = func(http.ResponseWriter, *http.Request) {}
			}
			f := newFixture(t, test.handler)
			if test.prepare != nil {
				test.prepare(f)
			}
			f.request("k", test.members)
			ack := f.ack(t, "k")
			body := string(f.store.values["k/response.body"])
			if ack["statusCode"] != test.status || !strings.Contains(body, test.body) {
				t.Errorf("got %v %q", ack, body)
			}
			f.log.has(t, test.log)
			f.metrics(t, 1, 1, test.errors)
			f.store.getErr, f.store.putErr = nil, nil
			f.accepting.Store(true)
			f.service.handler = http.HandlerFunc(func(http.ResponseWriter, *http.Request) {})
			f.request("next", "")
			if ack := f.ack(t, "next"); ack["statusCode"] != "200" {
				t.Errorf("the next request got %v", ack)
			}
		})
	}
}

// Without a token the REST store cannot be asked, and the answer is one without a body; Redis needs none.
func TestRequestWithoutToken(t *testing.T) {
	answers := func(w http.ResponseWriter, _ *http.Request) { io.WriteString(w, "x") }
	f := newFixture(t, answers)
	f.request("k", `,"bodyVariable":"request.body"`)
	if ack := f.ack(t, "k"); ack["statusCode"] != "200" {
		t.Errorf("got %v", ack)
	}
	f = newFixture(t, answers)
	f.service.store = &apiStore{}
	f.request("k", `,"bodyVariable":"request.body","apiToken":null`)
	if ack := f.ack(t, "k"); ack["statusCode"] != "500" {
		t.Errorf("got %v", ack)
	}
	f.log.has(t, "the request carried no API token")
}

// The platform gives up after 30 s; before that a handler that does not return is answered for, once.
func TestSlowHandler(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		started := time.Now()
		f := newFixture(t, func(w http.ResponseWriter, r *http.Request) {
			<-r.Context().Done()
			time.Sleep(time.Second)
			io.WriteString(w, "too late")
		})
		f.request("k", "")
		ack := f.ack(t, "k")
		if took := time.Since(started); took != handlerTimeout || ack["statusCode"] != "504" {
			t.Errorf("got %v after %v", ack, took)
		}
		if body := f.store.values["k/response.body"]; !strings.Contains(string(body), "Try again") {
			t.Errorf("got %q", body)
		}
		time.Sleep(5 * time.Second)
		f.ack(t, "k")
	})
}

// What the doctor's page asks for may take longer than the platform waits, and is answered once all the same.
func TestRequestThatMayTakeLong(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		started := time.Now()
		f := newFixture(t, func(w http.ResponseWriter, _ *http.Request) {
			time.Sleep(45 * time.Second)
			io.WriteString(w, "at last")
		})
		f.service.slow = func(path string) bool { return path == "wait" }
		f.request("long", `,"path":"wait"`)
		f.request("other", `,"path":"other"`)
		if ack := f.ack(t, "other"); ack["statusCode"] != "504" {
			t.Errorf("another request got %v", ack)
		}
		if ack := f.ack(t, "long"); ack["statusCode"] != "200" || time.Since(started) != 45*time.Second {
			t.Errorf("got %v after %v", ack, time.Since(started))
		}
		if body := f.store.values["long/response.body"]; string(body) != "at last" {
			t.Errorf("got %q", body)
		}
	})
}

// Beyond what can wait, requests are refused rather than piled up.
func TestTooManyRequests(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		release := make(chan struct{})
		f := newFixture(t, func(http.ResponseWriter, *http.Request) { <-release })
		for i := range workers {
			f.request(fmt.Sprint("w", i), "")
		}
		synctest.Wait()
		for i := range requestQueue + 10 {
			f.request(fmt.Sprint("k", i), "")
		}
		synctest.Wait()
		close(release)
		f.ack(t, "k0")
		statuses := map[string]int{}
		for key, acks := range f.broker.acks {
			if len(acks) != 1 {
				t.Errorf("%s got %d acknowledgements", key, len(acks))
			}
			statuses[acks[0]["statusCode"].(string)]++
			if headers := fmt.Sprint(acks[0]["headers"]); acks[0]["statusCode"] == "503" && headers != "[map[name:Content-Length value:0] map[name:Retry-After value:2]]" {
				t.Errorf("%s is refused with the headers %s", key, headers)
			}
		}
		if statuses["200"] != workers+requestQueue || statuses["503"] != 10 {
			t.Errorf("got %v", statuses)
		}
	})
}
