package tcplatform_test

import (
	"bytes"
	"context"
	"encoding/json"
	"io"
	"log/slog"
	"net/http"
	"net/url"
	"os"
	"path/filepath"
	"strings"
	"sync"
	"testing"
	"time"

	"mssentinel/app/standin/tcplatform"
)

// parameters are what an administrator would type in.
func parameters() map[string]string {
	values := map[string]string{
		"client_id": "66666666-7777-4888-9999-aaaaaaaaaaaa", "client_secret": "a-client-secret-value",
		"tenant_id":             "11111111-2222-4333-8444-555555555555",
		"sentinel_workspace_id": "bbbbbbbb-cccc-4ddd-8eee-ffffffffffff", "sentinel_source_name": "Demo",
		"tc_api_access_id": "12345", "tc_api_secret_key": "a-threatconnect-secret-key", "schedule_interval_hours": "1",
	}
	for _, typ := range []string{"address", "asn", "cidr", "email_address", "email_subject", "file", "host", "registry_key", "url"} {
		values["ttl_hours_"+typ] = "720"
	}
	return values
}

// start brings up a platform with shortened times.
func start(t *testing.T, o tcplatform.Options) *tcplatform.Platform {
	t.Helper()
	if o.HeartbeatEvery == 0 {
		o.HeartbeatEvery = 200 * time.Millisecond
	}
	if o.HeartbeatTimeout == 0 {
		o.HeartbeatTimeout = 3 * time.Second
	}
	o.RestartPause = 50 * time.Millisecond
	if testing.Verbose() {
		o.Logger = slog.New(slog.NewTextHandler(t.Output(), &slog.HandlerOptions{Level: slog.LevelInfo}))
	}
	p, err := tcplatform.Start(o)
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() {
		if err := p.Close(); err != nil {
			t.Error(err)
		}
	})
	return p
}

func add(t *testing.T, p *tcplatform.Platform, o tcplatform.ServiceOptions) *tcplatform.Service {
	t.Helper()
	app, err := p.Install(tcx)
	if err != nil {
		t.Fatal(err)
	}
	if o.Parameters == nil {
		o.Parameters = parameters()
	}
	s, err := p.AddService(app, o)
	if err != nil {
		t.Fatal(err)
	}
	return s
}

// within is the time that anything may take: generous, since nothing waits for it in vain.
func within(t *testing.T) context.Context {
	ctx, cancel := context.WithTimeout(t.Context(), time.Minute)
	t.Cleanup(cancel)
	return ctx
}

func turnOn(t *testing.T, s *tcplatform.Service) {
	t.Helper()
	if err := s.TurnOn(); err != nil {
		t.Fatal(err)
	}
	if err := s.WaitRunning(within(t)); err != nil {
		t.Fatalf("%v\n%s", err, strings.Join(s.LogTail(30), "\n"))
	}
	t.Cleanup(func() {
		if t.Failed() {
			t.Logf("log of the App:\n%s", strings.Join(s.LogTail(60), "\n"))
		}
		for _, stray := range s.Status().Strays {
			t.Errorf("the App broke the protocol: %s", stray)
		}
	})
}

func running(t *testing.T, o tcplatform.Options) (*tcplatform.Platform, *tcplatform.Service) {
	t.Helper()
	p := start(t, o)
	s := add(t, p, tcplatform.ServiceOptions{})
	turnOn(t, s)
	return p, s
}

func do(t *testing.T, method, url string, body io.Reader, header http.Header) (*http.Response, []byte) {
	t.Helper()
	request, err := http.NewRequestWithContext(within(t), method, url, body)
	if err != nil {
		t.Fatal(err)
	}
	for name, values := range header {
		request.Header[name] = values
	}
	response, err := client.Do(request)
	if err != nil {
		t.Fatal(err)
	}
	defer response.Body.Close()
	data, err := io.ReadAll(response.Body)
	if err != nil {
		t.Fatal(err)
	}
	return response, data
}

// client follows no redirect.
var client = &http.Client{CheckRedirect: func(*http.Request, []*http.Request) error { return http.ErrUseLastResponse }}

func echo(t *testing.T, method, url string, body []byte, header http.Header) echoed {
	t.Helper()
	response, data := do(t, method, url, bytes.NewReader(body), header)
	if response.StatusCode != http.StatusOK {
		t.Fatalf("%s %s: %d %s", method, url, response.StatusCode, data)
	}
	var e echoed
	if err := json.Unmarshal(data, &e); err != nil {
		t.Fatal(err)
	}
	return e
}

var variants = map[string]tcplatform.Options{
	"plain":         {},
	"secure":        {Secure: true},
	"common name":   {Secure: true, CommonNameOnly: true},
	"key-value API": {KeyValueAPI: true},
	"raw query":     {RawQuery: true},
}

// A request crosses with all that it has, whatever carries it and however its message is shaped.
func TestRequests(t *testing.T) {
	for name, o := range variants {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			o.Seed = uint64(len(name))
			_, s := running(t, o)
			body := append([]byte{0, 0xff, 0xfe, '\r', '\n'}, bytes.Repeat([]byte("ä"), 1<<16)...)
			for range 20 {
				e := echo(t, http.MethodPost, s.URL()+"/items/42?tag=a&tag=b&q=%26x%20y", body, http.Header{"X-Many": {"1", "2"}})
				if e.Method != "POST" || e.Path != "/items/42" || strings.Join(e.Query["tag"], ",") != "a,b" || e.Query["q"][0] != "&x y" {
					t.Errorf("got %s %s %v", e.Method, e.Path, e.Query)
				}
				if !bytes.Equal(e.Body, body) {
					t.Errorf("the body of %d bytes arrived as %d", len(body), len(e.Body))
				}
				if strings.Join(e.Header["X-Many"], ",") != "1,2" || !e.Token || e.Host == "" {
					t.Errorf("headers %v, token %v, host %q", e.Header, e.Token, e.Host)
				}
				if e.RequestURI != "" && !strings.HasSuffix(e.RequestURI, "/items/42") {
					t.Errorf("the request URI is %q", e.RequestURI)
				}
			}
			for range 10 {
				if e := echo(t, http.MethodGet, s.URL(), nil, nil); e.Path != "/" || len(e.Body) != 0 {
					t.Errorf("the root arrived as %q with %d bytes", e.Path, len(e.Body))
				}
			}
			response, _ := do(t, http.MethodGet, s.URL()+"/x", nil, nil)
			if got := response.Header["X-Twice"]; strings.Join(got, ",") != "one,two" {
				t.Errorf("repeated header arrived as %v", got)
			}
		})
	}
}

// A form arrives whole, whether or not the platform's own server has taken it apart.
func TestForms(t *testing.T) {
	for name, o := range map[string]tcplatform.Options{"as a body": {}, "among the parameters": {FormsAsQuery: true}, "raw": {FormsAsQuery: true, RawQuery: true}} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			_, s := running(t, o)
			want := "token=a-token_1, tql=typeName in (\"Host\") & rating > 3%"
			body := url.Values{"token": {"a-token_1"}, "tql": {`typeName in ("Host") & rating > 3%`}}.Encode()
			_, data := do(t, "POST", s.URL()+"/form", strings.NewReader(body), formType)
			if string(data) != want {
				t.Errorf("got %s", data)
			}
		})
	}
}

func TestAnswers(t *testing.T) {
	for _, own := range []bool{false, true} {
		_, s := running(t, tcplatform.Options{OwnLength: own})
		for _, test := range []struct {
			method, path string
			status       int
			body         string
			length       int64 // -1: any
		}{
			{"GET", "/source", 200, "Demo", 4},
			{"HEAD", "/source", 200, "", 4},
			{"GET", "/empty", 204, "", 0},
			{"GET", "/panic", 500, "log says why", -1},
			{"GET", "/bytes?n=8", 200, "\x00\xff\r\n\x00\xff\r\n", 8},
			{"GET", "/bytes?n=80000", 200, "\x00\xff\r\n\x00\xff\r\n", 80000},
			{"DELETE", "/away", 302, "", 0},
		} {
			response, data := do(t, test.method, s.URL()+test.path, nil, nil)
			if response.StatusCode != test.status || !strings.Contains(string(data), test.body) || test.length >= 0 && response.ContentLength != test.length {
				t.Errorf("%s %s: %d %.50q, length %d", test.method, test.path, response.StatusCode, data, response.ContentLength)
			}
		}
		if response, _ := do(t, "GET", s.URL()+"/away", nil, nil); response.Header.Get("Location") != "/other" && response.Header.Get("Location") != "other" {
			t.Errorf("redirected to %q", response.Header.Get("Location"))
		}
	}
}

func TestManyRequestsAtOnce(t *testing.T) {
	_, s := running(t, tcplatform.Options{})
	before := s.Status().Received
	var group sync.WaitGroup
	for i := range 100 {
		group.Go(func() {
			body := bytes.Repeat([]byte{byte(i)}, 10_000)
			if e := echo(t, http.MethodPut, s.URL()+"/n", body, nil); !bytes.Equal(e.Body, body) {
				t.Errorf("request %d got another's body", i)
			}
		})
	}
	group.Wait()
	status := s.Status()
	if got := status.Received["Acknowledged/RunService"] - before["Acknowledged/RunService"]; got != 100 {
		t.Errorf("100 requests got %d acknowledgements", got)
	}
	status, err := s.Wait(within(t), func(status tcplatform.Status) bool { return status.Metrics["Responses"] == 100 })
	if err != nil || status.Metrics["Requests"] != 100 || status.Metrics["Errors"] != 0 {
		t.Errorf("metrics %v, %v", status.Metrics, err)
	}
}

func TestOffAndOn(t *testing.T) {
	_, s := running(t, tcplatform.Options{})
	for range 2 {
		pid := s.Status().PID
		s.TurnOff()
		status := s.Status()
		if status.State != tcplatform.Stopped || status.Exit.Code != 0 || status.Exit.Message != "done" || status.Exit.Output != "" {
			t.Fatalf("got %+v %+v", status, status.Exit)
		}
		if response, _ := do(t, "GET", s.URL(), nil, nil); response.StatusCode != http.StatusServiceUnavailable {
			t.Errorf("while off: %d", response.StatusCode)
		}
		turnOn(t, s)
		if again := s.Status().PID; again == pid || again == 0 {
			t.Errorf("the process is %d as before", again)
		}
	}
	if _, err := os.Stat(filepath.Join(s.Folder(), "in", ".app_params.json")); !os.IsNotExist(err) {
		t.Errorf("the parameter file is still there: %v", err)
	}
	if got := s.Status().Received; got["Ready"] != 3 || got["Acknowledged/Shutdown"] != 2 {
		t.Errorf("received %v", got)
	}
}
