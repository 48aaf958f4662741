package threatconnect

import (
	"context"
	"net/http"
	"net/http/httptest"
	"net/url"
	"strings"
	"testing"
	"testing/synctest"
	"time"

	"mssentinel/app/standin/tcserver"
)

func probeServer(t *testing.T, answer http.HandlerFunc) *Client {
	t.Helper()
	server := httptest.NewServer(answer)
	t.Cleanup(server.Close)
	return New(Options{BaseURL: server.URL, AccessID: "id", SecretKey: func() string { return "a secret key" }})
}

func TestAskDescribes(t *testing.T) {
	for _, c := range []struct {
		name, kind, body string
		status           int
		want             Reply
	}{
		{"rows", "application/json;charset=UTF-8", `{"data":[{"id":1},{"id":2}],"next":"https://x/api","count":7,"status":"Success"}`, 200,
			Reply{MediaType: "application/json", JSON: true, Word: "Success", List: true, Count: 7, Next: "https://x/api"}},
		{"refusal", "application/json", `{"errCode":"0x1001","message":"no\n  such thing as a%20secret%20key","status":"Error"}`, 400,
			Reply{MediaType: "application/json", JSON: true, Word: "Error", Code: "0x1001", Message: "no such thing as [redacted]", Count: -1}},
		{"page", "text/html", "<html>a secret key</html>", 401, Reply{MediaType: "text/html", Count: -1}},
		{"redirect", "", "", 302, Reply{Count: -1}},
		{"no JSON", "text/plain", "a secret key", 200, Reply{MediaType: "text/plain", Count: -1}},
		{"long", "application/json", strings.Repeat(" ", maxReplyBytes+9), 200, Reply{MediaType: "application/json", Cut: true, Count: -1}},
	} {
		t.Run(c.name, func(t *testing.T) {
			client := probeServer(t, func(w http.ResponseWriter, _ *http.Request) {
				w.Header()["Content-Type"] = []string{c.kind}
				w.Header().Set("Server", "a/1.0")
				w.Header().Set("Location", "/login")
				w.WriteHeader(c.status)
				w.Write([]byte(c.body))
			})
			got, err := client.Ask(t.Context(), Probe{Path: "/v3/x"})
			if err != nil {
				t.Fatal(err)
			}
			if got.Headers["Server"] != 5 || got.Date.IsZero() || time.Since(got.Date) > time.Minute || got.Took <= 0 ||
				got.Length != min(len(c.body), maxReplyBytes) || len(got.Rows) > 0 != c.want.List || got.Status != c.status {
				t.Errorf("%+v", got)
			}
			if got.MediaType != c.want.MediaType || got.JSON != c.want.JSON || got.Word != c.want.Word || got.Code != c.want.Code || got.List != c.want.List ||
				got.Message != c.want.Message || got.Count != c.want.Count || got.Next != c.want.Next || got.Cut != c.want.Cut {
				t.Errorf("got %+v, want %+v", got, c.want)
			}
		})
	}
}

func TestAskProves(t *testing.T) {
	s := tcserver.New(tcserver.Options{Population: population(), Tokens: []string{"token"}})
	server := httptest.NewServer(s)
	defer server.Close()
	c := New(Options{BaseURL: server.URL, AccessID: tcserver.DefaultAccessID, SecretKey: func() string { return tcserver.DefaultSecretKey }})
	params := url.Values{"resultLimit": {"1"}, "tql": {"id > 0" + strings.Repeat(" ", 2100)}}
	for name, want := range map[string]struct {
		probe   Probe
		status  int
		message string
	}{
		"as the client":  {Probe{}, 200, ""},
		"in the body":    {Probe{Params: params}, 200, ""},
		"by a wrong key": {Probe{WrongKey: true}, 401, "Signature data did not match expected result"},
		"too early":      {Probe{Clock: -6 * time.Minute}, 401, "Timestamp out of acceptable time range"},
		"early":          {Probe{Clock: -4 * time.Minute}, 200, ""},
		"by a token": {Probe{Authorize: func(r *http.Request) error {
			r.Header.Set("Authorization", "TC-Token token")
			return nil
		}}, 200, ""},
	} {
		want.probe.Path = indicatorsPath
		if got, err := c.Ask(t.Context(), want.probe); err != nil || got.Status != want.status || got.Message != want.message {
			t.Errorf("%s: %+v, %v", name, got, err)
		}
	}
	server.Close() // a request is counted once its answer has gone
	if n := s.RequestCount(); n != 6 {
		t.Errorf("%d requests: a probe is sent once", n)
	}
}

func TestAskEnds(t *testing.T) {
	ctx, cancel := context.WithCancel(t.Context())
	c := probeServer(t, func(_ http.ResponseWriter, r *http.Request) {
		cancel()
		<-r.Context().Done()
	})
	if _, err := c.Ask(ctx, Probe{Path: "/v3/x"}); err == nil {
		t.Error("a probe outlives its context")
	}
	c = probeServer(t, func(http.ResponseWriter, *http.Request) { panic(http.ErrAbortHandler) })
	if _, err := c.Ask(t.Context(), Probe{Path: "/v3/x", Params: url.Values{"tql": {"hidden"}}}); err == nil || strings.Contains(err.Error(), "hidden") ||
		!strings.Contains(err.Error(), c.Host()) {
		t.Error(err)
	}
}

type silentTransport struct{}

func (silentTransport) RoundTrip(r *http.Request) (*http.Response, error) {
	<-r.Context().Done()
	return nil, r.Context().Err()
}

func TestAskWaitsNoLonger(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		c := New(Options{BaseURL: "https://tc.example", SecretKey: func() string { return "a secret key" }, Transport: silentTransport{}})
		began := time.Now()
		if _, err := c.Ask(t.Context(), Probe{Path: "/v3/x"}); err == nil || !strings.Contains(err.Error(), "did not answer within 30s") || time.Since(began) != probeTimeout {
			t.Errorf("after %v: %v", time.Since(began), err)
		}
	})
}
