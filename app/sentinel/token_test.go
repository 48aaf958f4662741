package sentinel

import (
	"context"
	"errors"
	"io"
	"net/http"
	"strings"
	"sync"
	"testing"
	"testing/synctest"
	"time"

	"mssentinel/app/standin/sentinelserver"
)

// countLogins lets through what a transport does, and counts the requests for a token.
type countLogins struct {
	http.RoundTripper
	mu sync.Mutex
	n  int
}

func (c *countLogins) RoundTrip(r *http.Request) (*http.Response, error) {
	if strings.HasSuffix(r.URL.Path, "/token") {
		c.mu.Lock()
		c.n++
		c.mu.Unlock()
	}
	return c.RoundTripper.RoundTrip(r)
}

func (c *countLogins) count() int {
	c.mu.Lock()
	defer c.mu.Unlock()
	return c.n
}

func (l *lab) countLogins() *countLogins {
	c := &countLogins{RoundTripper: l.client.http.Transport}
	l.client.http.Transport = c
	return c
}

func TestTokenIsKeptAndRenewedEarly(t *testing.T) {
	for life, renewed := range map[time.Duration]time.Duration{
		time.Hour:       55 * time.Minute,
		5 * time.Minute: 225 * time.Second,
		8 * time.Second: 6 * time.Second,
	} {
		synctest.Test(t, func(t *testing.T) {
			l := newLab(t, setup{standin: sentinelserver.Options{TokenLifetime: life}})
			logins := l.countLogins()
			first, err := l.client.tokens.validToken(t.Context(), sleepQuietly)
			if err != nil {
				t.Fatal(err)
			}
			time.Sleep(renewed - time.Millisecond)
			if again, err := l.client.tokens.validToken(t.Context(), sleepQuietly); err != nil || again != first {
				t.Fatalf("%v: renewed too early (%v)", life, err)
			}
			time.Sleep(time.Millisecond)
			if again, err := l.client.tokens.validToken(t.Context(), sleepQuietly); err != nil || again == first || logins.count() != 2 {
				t.Fatalf("%v: not renewed (%v), %d logins", life, err, logins.count())
			}
		})
	}
}

func TestOneLoginForAll(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		l := newLab(t, setup{})
		logins := l.countLogins()
		l.inject(sentinelserver.Fault{Kind: sentinelserver.TokenSlow, Seconds: 5})
		together(8, func(int) {
			if _, err := l.client.tokens.validToken(t.Context(), sleepQuietly); err != nil {
				t.Error(err)
			}
		})
		if logins.count() != 1 {
			t.Fatalf("%d logins", logins.count())
		}
	})
}

func TestOneRefusalForAll(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		l := newLab(t, setup{})
		logins := l.countLogins()
		l.inject(
			sentinelserver.Fault{Kind: sentinelserver.TokenSlow, Seconds: 5},
			sentinelserver.Fault{Kind: sentinelserver.TokenError, Code: 7000222, Count: -1},
		)
		l.far.SetSecret(clientID, "another")
		together(8, func(int) {
			_, err := l.client.tokens.validToken(t.Context(), sleepQuietly)
			var config *ConfigError
			if !errors.As(err, &config) {
				t.Errorf("got %v", err)
			}
		})
		if logins.count() != 1 {
			t.Fatalf("%d logins", logins.count())
		}
	})
}

func together(n int, do func(i int)) {
	var group sync.WaitGroup
	for i := range n {
		group.Go(func() { do(i) })
	}
	group.Wait()
}

func TestRefusedLogin(t *testing.T) {
	tests := map[string]struct {
		change func(*lab)
		want   []string
	}{
		"wrong secret":       {func(l *lab) { l.far.SetSecret(clientID, "another") }, []string{"refuses the client secret (AADSTS7000215). Enter", "value, not its ID"}},
		"expired secret":     {func(l *lab) { l.inject(sentinelserver.Fault{Kind: sentinelserver.TokenError, Code: 7000222}) }, []string{"AADSTS7000222", "expired", "Create a new one"}},
		"unknown app":        {func(l *lab) { l.inject(sentinelserver.Fault{Kind: sentinelserver.TokenError, Code: 700016}) }, []string{"AADSTS700016", "Client ID"}},
		"unknown tenant":     {func(l *lab) { l.inject(sentinelserver.Fault{Kind: sentinelserver.TokenError, Code: 90002}) }, []string{"AADSTS90002", "Tenant ID", "Azure Cloud"}},
		"conditional access": {func(l *lab) { l.inject(sentinelserver.Fault{Kind: sentinelserver.TokenError, Code: 53003}) }, []string{"AADSTS53003", "Conditional Access"}},
		"no secret":          {func(l *lab) { l.client.tokens.secret = func() string { return "" } }, []string{"AADSTS7000218"}},
		"wrong scope":        {func(l *lab) { l.client.tokens.scope = "https://example.org/.default" }, []string{"AADSTS70011", "Azure Cloud"}},
	}
	for name, tt := range tests {
		t.Run(name, func(t *testing.T) {
			synctest.Test(t, func(t *testing.T) {
				l, start := newLab(t, setup{limit: 100}), time.Now()
				tt.change(l)
				g, err := l.deliver(t.Context(), objects(0, 2))
				var config *ConfigError
				if !errors.As(err, &config) || time.Since(start) > 0 || g.calls > 0 {
					t.Fatalf("got %v after %v", err, time.Since(start))
				}
				for _, want := range tt.want {
					if !strings.Contains(err.Error(), want) {
						t.Errorf("%q lacks %q", err, want)
					}
				}
				if strings.Contains(err.Error(), secret) {
					t.Errorf("%q shows the secret", err)
				}
				l.quiet()
			})
		})
	}
}

// answers is a transport that answers every request the same.
type answers struct {
	status int
	body   string
}

func (a answers) RoundTrip(r *http.Request) (*http.Response, error) {
	if r.Body != nil {
		io.Copy(io.Discard, r.Body)
		r.Body.Close()
	}
	return &http.Response{StatusCode: a.status, Header: http.Header{}, Body: io.NopCloser(strings.NewReader(a.body)), Request: r}, nil
}

func TestLoginAnswers(t *testing.T) {
	tests := map[string]struct {
		answers
		config bool
		want   string
	}{
		"unknown refusal":      {answers{400, `{"error":"invalid_client","error_description":"AADSTS1: ` + secret + ` is bad.\r\nTrace ID: x"}`}, true, "invalid_client AADSTS1: [redacted] is bad. Check"},
		"code in text alone":   {answers{401, `{"error":"invalid_client","error_description":"AADSTS7000215: Invalid"}`}, true, "(AADSTS7000215)"},
		"looks refused":        {answers{400, `{"error":"invalid_grant","error_description":"AADSTS50196: loop","error_codes":[50196]}`}, false, "loop"},
		"temporarily":          {answers{400, `{"error":"temporarily_unavailable"}`}, false, "400"},
		"a proxy's page":       {answers{403, "<html>"}, false, "403"},
		"outage":               {answers{503, `{"error":"server_error"}`}, false, "503"},
		"known code in outage": {answers{500, `{"error":"x","error_codes":[7000215]}`}, false, "500"},
		"no token":             {answers{200, `{}`}, false, "no token"},
		"no JSON":              {answers{200, `<html>`}, false, "a web page"},
	}
	for name, tt := range tests {
		t.Run(name, func(t *testing.T) {
			synctest.Test(t, func(t *testing.T) {
				l := newLab(t, setup{})
				l.client.http.Transport = tt.answers
				_, err := l.client.tokens.requestToken(t.Context())
				var config *ConfigError
				if errors.As(err, &config) != tt.config || !strings.Contains(err.Error(), tt.want) || strings.Contains(err.Error(), "<") {
					t.Fatalf("got %T %v", err, err)
				}
			})
		})
	}
}

// A refusal of the login is Entra's in Entra's form alone, and final where an operator has to change something.
func TestEntraErrors(t *testing.T) {
	said := func(word, description string) string {
		return `{"error":"` + word + `","error_description":"` + description + `"}`
	}
	const foreign = "in place of Microsoft Entra"
	for name, tt := range map[string]struct {
		status int
		body   string
		config bool
		want   string
	}{
		"known":              {400, said("invalid_client", "AADSTS7000215: no"), true, "refuses the client secret (AADSTS7000215)."},
		"known, by 499":      {499, said("invalid_client", "AADSTS7000215: no"), true, "refuses the client secret (AADSTS7000215)."},
		"known, by 500":      {500, said("invalid_client", "AADSTS7000215: no"), false, "out of order: status 500"},
		"first of two":       {400, `{"error_codes":[7000222,7000215]}`, true, "expired (AADSTS7000222)."},
		"code, not the text": {400, `{"error_description":"AADSTS7000215: no","error_codes":[7000222]}`, true, "expired (AADSTS7000222)."},
		"code of nobody":     {400, said("odd", "AADSTS1: no"), true, "refuses the login: odd AADSTS1: no."},
		"word":               {400, said("invalid_client", "no"), true, "refuses the login: invalid_client no."},
		"word, by 401":       {401, said("invalid_client", "no"), true, "refuses the login: invalid_client no."},
		"word, by 403":       {403, said("access_denied", "no"), true, "refuses the login: access_denied no."},
		"word, by 404":       {404, said("invalid_client", "no"), false, "out of order: status 404"},
		"word of nobody":     {400, said("odd", "no"), false, foreign},
		"word that passes":   {400, said("server_error", "no"), false, "out of order: status 400"},
		"code that passes":   {400, `{"error":"invalid_grant","error_codes":[90033]}`, false, "out of order: status 400"},
		"throttled":          {429, "", false, "out of order: status 429."},
		"408":                {408, "odd", false, "out of order: status 408, odd."},
		"503":                {503, "odd", false, "out of order: status 503, odd."},
		"404":                {404, "odd", false, foreign},
		"399":                {399, "odd", false, foreign},
		"page":               {503, "<html>", false, foreign},
		"page of a code":     {503, `{"error_codes":[1]}`, false, "out of order: status 503"},
	} {
		err := entraError(tt.status, http.Header{"Retry-After": {"7"}}, []byte(tt.body), time.Now())
		var config *ConfigError
		var passes *unavailableError
		switch {
		case errors.As(err, &config) != tt.config, !strings.Contains(err.Error(), tt.want):
			t.Errorf("%s: got %v", name, err)
		case !tt.config && (!errors.As(err, &passes) || passes.wait != 7*time.Second):
			t.Errorf("%s: got %+v", name, passes)
		}
	}
}

func TestTokenLife(t *testing.T) {
	now := time.Now()
	for body, want := range map[string]time.Duration{
		`{"access_token":"a","expires_in":3599}`:                3599 * time.Second,
		`{"access_token":"a","expires_in":"3599"}`:              3599 * time.Second,
		`{"access_token":"a"}`:                                  unknownLife,
		`{"access_token":"a","expires_in":-1}`:                  unknownLife,
		`{"access_token":"a","expires_in":null}`:                unknownLife,
		`{"access_token":"a","expires_in":0}`:                   unknownLife,
		`{"access_token":"a","expires_in":1}`:                   time.Second,
		`{"access_token":"a","expires_in":604800}`:              7 * 24 * time.Hour,
		`{"access_token":"a","expires_in":604801}`:              7 * 24 * time.Hour,
		`{"access_token":"a","expires_in":1e99}`:                unknownLife,
		`{"access_token":"a","expires_in":9223372036854775807}`: 7 * 24 * time.Hour,
	} {
		got, err := readToken(http.Header{}, []byte(body), now)
		if err != nil || got.expires.Sub(now) != want || !got.renew.Before(got.expires) {
			t.Errorf("%s: %v %v", body, got.expires.Sub(now), err)
		}
	}
}

func TestLoginOutage(t *testing.T) {
	tests := map[string]sentinelserver.Fault{
		"status": {Kind: sentinelserver.TokenStatus, Status: 503},
		"page":   {Kind: sentinelserver.TokenStatus, Status: 502, Form: "html"},
		"cut":    {Kind: sentinelserver.TokenCut},
		"hang":   {Kind: sentinelserver.TokenHang},
		"slow":   {Kind: sentinelserver.TokenSlow, Seconds: 20},
		"429":    {Kind: sentinelserver.TokenStatus, Status: 429, Seconds: 90},
	}
	for name, fault := range tests {
		t.Run(name, func(t *testing.T) {
			synctest.Test(t, func(t *testing.T) {
				l, start := newLab(t, setup{limit: 100}), time.Now()
				fault.Count = 3
				l.inject(fault)
				list := objects(0, 3)
				g, err := l.deliver(t.Context(), list)
				l.all(g, err, list)
				least := 3 * time.Second
				if fault.Status == http.StatusTooManyRequests {
					least = 270 * time.Second // three times what was asked for
				}
				if took := time.Since(start); took < least || took > 6*time.Minute {
					t.Fatalf("took %v, want at least %v", took, least)
				}
				if n := strings.Count(l.log.String(), `level=WARN msg="Microsoft Entra gave no token" error=`); n != 3 && name != "slow" {
					t.Errorf("the log tells of %d failures: %s", n, l.log)
				}
			})
		})
	}
}

func TestLoginOutageForGood(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		l, start := newLab(t, setup{limit: 100}), time.Now()
		l.inject(sentinelserver.Fault{Kind: sentinelserver.TokenStatus, Status: 503, Count: -1})
		_, err := l.deliver(t.Context(), objects(0, 3))
		var config *ConfigError
		if took := time.Since(start); err == nil || errors.As(err, &config) || took < time.Hour || took > 62*time.Minute {
			t.Fatalf("got %v after %v", err, took)
		}
		l.quiet()
	})
}

func TestOldTokenServesWhileTheLoginIsDown(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		l := newLab(t, setup{})
		first, err := l.client.tokens.validToken(t.Context(), sleepQuietly)
		if err != nil {
			t.Fatal(err)
		}
		logins := l.countLogins()
		l.inject(sentinelserver.Fault{Kind: sentinelserver.TokenStatus, Status: 503, Count: -1})
		time.Sleep(56 * time.Minute)
		for range 10 {
			if again, err := l.client.tokens.validToken(t.Context(), sleepQuietly); err != nil || again != first {
				t.Fatalf("got %v", err)
			}
		}
		if logins.count() != 1 || !strings.Contains(l.log.String(), `level=WARN msg="renewing the Microsoft Entra token failed`) {
			t.Fatalf("%d logins in one instant, the log says %s", logins.count(), l.log)
		}
		l.far.ClearFaults()
		time.Sleep(renewPause)
		if again, err := l.client.tokens.validToken(t.Context(), sleepQuietly); err != nil || again == first {
			t.Fatalf("not renewed: %v", err)
		}
	})
}

// A token whose renewal fails shortly before its end serves until then, and no longer.
func TestTokenServesToItsEnd(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		l := newLab(t, setup{})
		first, err := l.client.tokens.validToken(t.Context(), sleepQuietly)
		if err != nil {
			t.Fatal(err)
		}
		l.inject(sentinelserver.Fault{Kind: sentinelserver.TokenStatus, Status: 503})
		time.Sleep(time.Hour - 10*time.Second)
		if again, err := l.client.tokens.validToken(t.Context(), sleepQuietly); err != nil || again != first {
			t.Fatalf("got another token 10 s before the end (%v)", err)
		}
		time.Sleep(10 * time.Second)
		if again, err := l.client.tokens.validToken(t.Context(), sleepQuietly); err != nil || again == first {
			t.Errorf("got the token after its end (%v)", err)
		}
	})
}

// A login says what it takes, and leaves nothing behind, however long the context lives that it was made in.
func TestLoginLeavesNothingBehind(t *testing.T) {
	closed := false
	var got *http.Request
	c, err := New(Options{
		TenantID: tenant, ClientID: clientID, WorkspaceID: workspace, Secret: func() string { return secret },
		Transport: transport(func(r *http.Request) (*http.Response, error) {
			got = r
			response, err := answers{200, `{"access_token":"t","expires_in":3599}`}.RoundTrip(r)
			response.Body = closedBody{response.Body, &closed}
			return response, err
		}),
	})
	if err != nil {
		t.Fatal(err)
	}
	ctx := newOpenContext(t)
	if state, err := c.tokens.requestToken(ctx); err != nil || state.token != "t" {
		t.Fatalf("%v, token %q", err, state.token)
	}
	if ctx.waiting != 0 || !closed {
		t.Errorf("%d wait for the end of its context, its answer is closed: %v", ctx.waiting, closed)
	}
	for name, want := range map[string]string{"Accept": "application/json", "Content-Type": "application/x-www-form-urlencoded"} {
		if got.Header.Get(name) != want {
			t.Errorf("%s: %q", name, got.Header.Get(name))
		}
	}
}

func TestLoginEndsWithItsContext(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		l := newLab(t, setup{})
		l.inject(sentinelserver.Fault{Kind: sentinelserver.TokenHang, Count: -1})
		ctx, cancel := context.WithTimeout(t.Context(), time.Second)
		defer cancel()
		together(3, func(int) {
			if _, err := l.client.tokens.validToken(ctx, sleepQuietly); !errors.Is(err, context.DeadlineExceeded) {
				t.Errorf("got %v", err)
			}
		})
		l.far.ClearFaults()
		if _, err := l.client.tokens.validToken(t.Context(), sleepQuietly); err != nil {
			t.Fatalf("the next one failed too: %v", err)
		}
	})
}
