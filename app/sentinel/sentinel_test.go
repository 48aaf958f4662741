package sentinel

import (
	"context"
	"fmt"
	"io"
	"net/http"
	"strings"
	"testing"
	"testing/synctest"
	"time"

	"pgregory.net/rapid"

	"mssentinel/app/standin/sentinelserver"
)

func TestRequest(t *testing.T) {
	var got *http.Request
	var body []byte
	c, err := New(Options{
		TenantID: tenant, ClientID: clientID, WorkspaceID: workspace, Secret: func() string { return secret }, UserAgent: "mssentinel/1",
		Transport: transport(func(r *http.Request) (*http.Response, error) {
			if strings.HasSuffix(r.URL.Path, "/token") {
				return answers{200, `{"access_token":"t","expires_in":3599}`}.RoundTrip(r)
			}
			got = r
			body, _ = io.ReadAll(r.Body)
			return answers{200, ""}.RoundTrip(r)
		}),
	})
	if err != nil {
		t.Fatal(err)
	}
	if err := c.Deliver(t.Context(), `ThreatConnect-"Ä"`, [][]byte{[]byte(`{"a":1}`), []byte(`{"b":"<>"}`)}, Report{Settle: func(Outcome) error { return nil }}); err != nil {
		t.Fatal(err)
	}
	if want := "https://api.ti.sentinel.azure.com/workspaces/" + workspace + "/threat-intelligence-stix-objects:upload?api-version=2024-02-01-preview"; got.URL.String() != want {
		t.Errorf("URL %s", got.URL)
	}
	if want := `{"sourcesystem":"ThreatConnect-\"Ä\"","stixobjects":[{"a":1},{"b":"<>"}]}`; string(body) != want {
		t.Errorf("body %s", body)
	}
	for name, want := range map[string]string{"Authorization": "Bearer t", "Content-Type": "application/json", "Accept": "application/json", "User-Agent": "mssentinel/1"} {
		if got.Header.Get(name) != want {
			t.Errorf("%s: %q", name, got.Header.Get(name))
		}
	}
	if got.Method != http.MethodPost || got.ContentLength != int64(len(body)) || got.Header.Get("Content-Encoding") != "" {
		t.Errorf("%s, length %d", got.Method, got.ContentLength)
	}
}

type transport func(*http.Request) (*http.Response, error)

func (f transport) RoundTrip(r *http.Request) (*http.Response, error) { return f(r) }

// openContext is one that never ends, and counts who waits for that.
type openContext struct {
	context.Context
	done    chan struct{}
	waiting int
}

func newOpenContext(t *testing.T) *openContext {
	return &openContext{Context: t.Context(), done: make(chan struct{})}
}

func (c *openContext) Done() <-chan struct{} { return c.done }

func (c *openContext) AfterFunc(func()) (stop func() bool) {
	c.waiting++
	return func() bool {
		c.waiting--
		return true
	}
}

// closedBody notes that an answer was closed.
type closedBody struct {
	io.Reader
	closed *bool
}

func (b closedBody) Close() error {
	*b.closed = true
	return nil
}

// A request leaves nothing behind, however long the context lives that it was made in.
func TestRequestLeavesNothingBehind(t *testing.T) {
	closed := false
	c, err := New(Options{
		TenantID: tenant, ClientID: clientID, WorkspaceID: workspace, Secret: func() string { return secret },
		Transport: transport(func(r *http.Request) (*http.Response, error) {
			response, err := answers{200, strings.Repeat(" ", 2*maxAnswer)}.RoundTrip(r)
			response.Body = closedBody{response.Body, &closed}
			return response, err
		}),
	})
	if err != nil {
		t.Fatal(err)
	}
	ctx := newOpenContext(t)
	if _, _, answer, err := c.postBody(ctx, requestBody{[]byte("{}")}, "t"); err != nil || len(answer) != maxAnswer+1 {
		t.Fatalf("%v, %d bytes", err, len(answer))
	}
	if _, _, _, err := c.postQuery(ctx, []byte("{}"), "t"); err != nil {
		t.Fatal(err)
	}
	if ctx.waiting != 0 || !closed {
		t.Errorf("%d wait for the end of its context, its answer is closed: %v", ctx.waiting, closed)
	}
	call, end := requestContext(ctx)
	if ctx.waiting != 1 {
		t.Errorf("%d wait for the end of a request's context", ctx.waiting)
	}
	if end(); call.Err() == nil || ctx.waiting != 0 {
		t.Errorf("a request that is over: %v, %d wait", call.Err(), ctx.waiting)
	}
}

// The moment before each request is told, and no earlier one: until then the objects are not at Sentinel for certain.
func TestSendsAreTold(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		l, start := newLab(t, setup{limit: 1}), time.Now()
		l.inject(sentinelserver.Fault{Kind: sentinelserver.Status, After: 1}, sentinelserver.Fault{Kind: sentinelserver.TokenSlow, Seconds: 5})
		var told []string
		g := &ledger{slots: l.slots, rejected: map[int]Rejection{}}
		for i := range 2 {
			report := Report{Settle: g.settle, OnWait: l.onWait, OnSend: func() {
				told = append(told, fmt.Sprintf("%d at %v after %d", i, time.Since(start).Round(time.Second), l.far.RequestCount()))
			}}
			if err := l.client.Deliver(t.Context(), source, objects(i, 1), report); err != nil {
				t.Fatal(err)
			}
		}
		if got := strings.Join(told, "; "); got != "0 at 5s after 0; 1 at 1m5s after 1; 1 at 2m5s after 2" {
			t.Errorf("told of %s", got)
		}
		l.quiet()
	})
}

// The log names what Microsoft's support asks for, once for each request, and a batch that is accepted is not worth a warning.
func TestLogOfRequests(t *testing.T) {
	for name, tt := range map[string]struct {
		faults []sentinelserver.Fault
		n      int
		want   []string
	}{
		"accepted": {n: 3, want: []string{`level=DEBUG msg="Sentinel accepted a batch" objects=3`}},
		"alone":    {n: 1, want: []string{`level=DEBUG msg="Sentinel accepted a batch" objects=1`}},
		"one rejected": {[]sentinelserver.Fault{{Kind: sentinelserver.RefuseRecord, Match: named(1)}}, 3,
			[]string{`level=WARN msg="Sentinel did not accept all of a batch" status=200 objects=3 rejected=1`}},
		"out of order": {[]sentinelserver.Fault{{Kind: sentinelserver.Status}}, 3, []string{`level=WARN msg="Sentinel did not accept all of a batch" status=503 objects=3 rejected=0`,
			`level=DEBUG msg="Sentinel accepted a batch" objects=3`}},
		"refused by a stranger": {[]sentinelserver.Fault{{Kind: sentinelserver.Status, Status: 403, Form: "html"}}, 1, []string{
			`level=WARN msg="Sentinel did not accept all of a batch" status=403 objects=1`, `level=INFO msg="Sentinel was asked without objects`, `level=DEBUG msg="Sentinel accepted a batch" objects=1`}},
	} {
		t.Run(name, func(t *testing.T) {
			synctest.Test(t, func(t *testing.T) {
				l := newLab(t, setup{limit: 100})
				l.inject(tt.faults...)
				if _, err := l.deliver(t.Context(), objects(0, tt.n)); err != nil {
					t.Fatal(err)
				}
				lines := strings.Split(strings.TrimSpace(l.log.String()), "\n")
				if len(lines) != len(tt.want) {
					t.Fatalf("%d lines:\n%s", len(lines), l.log)
				}
				for i, want := range tt.want {
					if !strings.Contains(lines[i], want) || strings.Contains(want, "WARN") && !strings.Contains(lines[i], "request_id=") {
						t.Errorf("line %d is %s, want %s", i+1, lines[i], want)
					}
				}
			})
		})
	}
}

// A request without objects is no batch, even where it is accepted.
func TestLogOfARequestWithoutObjects(t *testing.T) {
	l := newLab(t, setup{})
	l.client.logExchange(exchange{decision: decision{action: actionAccept}}, 200, http.Header{}, 0, time.Now())
	if text := l.log.String(); !strings.Contains(text, `level=INFO msg="Sentinel was asked without objects`) || strings.Contains(text, "batch") {
		t.Errorf("the log says %s", text)
	}
}

// A request that is filled as far as there is room has 1 MiB.
func TestMaxPayload(t *testing.T) {
	rapid.Check(t, func(t *rapid.T) {
		source := rapid.String().Draw(t, "source")
		sizes := rapid.SliceOfN(rapid.IntRange(1, 5000), 1, 99).Draw(t, "sizes")
		rest := MaxPayload(source)
		for _, size := range sizes {
			rest -= size + 1
		}
		var list [][]byte
		var part []int
		for i, size := range append(sizes, rest-1) {
			list, part = append(list, make([]byte, size)), append(part, i)
		}
		if n := newRequestBody(source, list, part).size(); n != 1<<20 {
			t.Fatalf("%d bytes", n)
		}
	})
}

// A server or a proxy that repeats our request in its answer must not carry the token into a log or an error.
func TestTokenIsNotRepeated(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		l := newLab(t, setup{})
		far := l.client.http.Transport
		l.client.http.Transport = transport(func(r *http.Request) (*http.Response, error) {
			if strings.HasSuffix(r.URL.Path, "/token") {
				return far.RoundTrip(r)
			}
			token := strings.TrimPrefix(r.Header.Get("Authorization"), "Bearer ")
			return answers{405, `{"message":"not for ` + token + `"}`}.RoundTrip(r)
		})
		if _, err := l.deliver(t.Context(), objects(0, 1)); err == nil || !strings.Contains(err.Error(), "not for [redacted]") {
			t.Fatalf("got %v", err)
		}
		l.quiet()
	})
}

func TestNewRefuses(t *testing.T) {
	good := Options{TenantID: tenant, ClientID: clientID, WorkspaceID: workspace, Secret: func() string { return secret }}
	if _, err := New(good); err != nil {
		t.Fatal(err)
	}
	for want, change := range map[string]func(*Options){
		"US Government":             func(o *Options) { o.Cloud = "Germany" },
		"http://login.example":      func(o *Options) { o.AuthorityURL = "http://login.example" },
		"ftp://127.0.0.1":           func(o *Options) { o.UploadURL = "ftp://127.0.0.1" },
		"not a GUID":                func(o *Options) { o.WorkspaceID = "name" },
		"tenant ID":                 func(o *Options) { o.TenantID = "" },
		"client secret are needed":  func(o *Options) { o.Secret = nil },
		"http:// on this machine":   func(o *Options) { o.UploadURL = "http://127.0.0.1.example" },
		"http://query.example":      func(o *Options) { o.LogAnalyticsURL = "http://query.example" },
		"neither https:// and":      func(o *Options) { o.UploadURL = "https://" },
		"the workspace ID \"{bbbbb": func(o *Options) { o.WorkspaceID = "{" + workspace + "}" },
	} {
		o := good
		change(&o)
		if _, err := New(o); err == nil || !strings.Contains(err.Error(), want) {
			t.Errorf("want %q, got %v", want, err)
		}
	}
}

// Without TLS this machine alone may see a token.
func TestAddressesWithoutTLS(t *testing.T) {
	for address, want := range map[string]bool{
		"http://localhost:8080": true, "http://LocalHost": true, "http://127.0.0.1:1": true, "http://127.9.9.9": true, "http://[::1]:1": true,
		"http://10.0.0.1": false, "http://[::2]": false, "http://localhost.example": false, "http://": false, "localhost": false, "ftp://localhost": false,
		"https://10.0.0.1": true, "https://": false, "https://host.example/base": true, "https://%zz": false,
	} {
		if _, err := parseBase(address, ""); (err == nil) != want {
			t.Errorf("%s: %v", address, err)
		}
	}
}

// A redirection is not followed: it would carry the token to wherever it points.
func TestRedirectionIsNotFollowed(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		l := newLab(t, setup{})
		far := l.client.http.Transport
		var elsewhere []string
		first := true
		l.client.http.Transport = transport(func(r *http.Request) (*http.Response, error) {
			if r.URL.Host == "elsewhere.example" {
				elsewhere = append(elsewhere, r.URL.String())
			}
			if !strings.HasSuffix(r.URL.Path, ":upload") || !first {
				return far.RoundTrip(r)
			}
			first = false
			response, err := answers{307, ""}.RoundTrip(r)
			response.Header.Set("Location", "https://elsewhere.example/take")
			return response, err
		})
		list := objects(0, 1)
		g, err := l.deliver(t.Context(), list)
		l.all(g, err, list)
		if len(elsewhere) > 0 {
			t.Errorf("asked %v", elsewhere)
		}
	})
}

func TestClouds(t *testing.T) {
	for name, want := range map[string][4]string{
		"Public":        {"https://login.microsoftonline.com/", "https://api.ti.sentinel.azure.com/", "https://management.azure.com/.default", "https://api.loganalytics.io"},
		"US Government": {"https://login.microsoftonline.us/", "https://api.ti.sentinel.azure.us/", "https://management.usgovcloudapi.net/.default", "https://api.loganalytics.us"},
		"China":         {"https://login.partner.microsoftonline.cn/", "https://api.ti.sentinel.azure.cn/", "https://management.chinacloudapi.cn/.default", "https://api.loganalytics.azure.cn"},
	} {
		c, err := New(Options{Cloud: name, TenantID: tenant, ClientID: clientID, WorkspaceID: workspace, Secret: func() string { return secret }})
		if err != nil {
			t.Fatal(err)
		}
		if c.tokens.url != want[0]+tenant+"/oauth2/v2.0/token" || !strings.HasPrefix(c.url, want[1]+"workspaces/") || c.tokens.scope != want[2] {
			t.Errorf("%s: %s %s %s", name, c.tokens.url, c.url, c.tokens.scope)
		}
		if c.queryURL != want[3]+"/v1/workspaces/"+workspace+"/query" || c.queryTokens.scope != want[3]+"/.default" || c.queryTokens.url != c.tokens.url {
			t.Errorf("%s: %s %s %s", name, c.queryURL, c.queryTokens.scope, c.queryTokens.url)
		}
	}
}
