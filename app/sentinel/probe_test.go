package sentinel

import (
	"context"
	"encoding/base64"
	"errors"
	"fmt"
	"net/http"
	"slices"
	"strings"
	"testing"
	"testing/synctest"
	"time"

	"mssentinel/app/standin/sentinelserver"
)

func TestProbe(t *testing.T) {
	bad := []byte(`{"type":"indicator"}`)
	tests := map[string]struct {
		standin  sentinelserver.Options
		fault    sentinelserver.Fault
		objects  [][]byte
		status   int
		accepted bool
		rejected int
		refused  string // part of why all requests are answered like this
		noRole   bool
		code     string
	}{
		"all taken":        {objects: objects(0, 2), status: 200, accepted: true},
		"one refused":      {objects: [][]byte{object(0), bad}, status: 200, accepted: true, rejected: 1},
		"all refused":      {objects: [][]byte{bad}, status: 400, rejected: 1},
		"none":             {status: 400},
		"above the limits": {objects: objects(0, 101), status: 400},
		"no role":          {fault: sentinelserver.Fault{Kind: sentinelserver.Forbidden}, objects: objects(0, 1), status: 403, refused: "Microsoft Sentinel Contributor", noRole: true, code: "Forbidden"},
		"no role, as it was seen": {standin: sentinelserver.Options{NoRoleSeen: true, NoRoleStatus: 400},
			fault: sentinelserver.Fault{Kind: sentinelserver.Forbidden}, objects: objects(0, 1), status: 400, refused: "Unified RBAC", noRole: true, code: "UnauthorizedAccess"},
		"no role, by 401": {fault: sentinelserver.Fault{Kind: sentinelserver.Unauthorized}, objects: objects(0, 1), status: 401, refused: "Microsoft Sentinel Contributor", noRole: true},
		"a page by 401":   {fault: sentinelserver.Fault{Kind: sentinelserver.Status, Status: 401, Form: "html"}, objects: objects(0, 1), status: 401, refused: "proxy"},
		"another cloud":   {fault: sentinelserver.Fault{Kind: sentinelserver.Unauthorized, Form: "empty"}, objects: objects(0, 1), status: 401, refused: "Check Azure Cloud"},
		"a page":          {fault: sentinelserver.Fault{Kind: sentinelserver.Status, Status: 403, Form: "html"}, objects: objects(0, 1), status: 403, refused: "proxy"},
		"out of order":    {fault: sentinelserver.Fault{Kind: sentinelserver.Status, Status: 503}, objects: objects(0, 1), status: 503, refused: "out of order"},
		"throttled":       {fault: sentinelserver.Fault{Kind: sentinelserver.Throttle, Seconds: 30}, objects: objects(0, 1), status: 429, refused: "limit of requests"},
	}
	for name, tt := range tests {
		t.Run(name, func(t *testing.T) {
			synctest.Test(t, func(t *testing.T) {
				l := newLab(t, setup{standin: tt.standin, limit: 100})
				if tt.fault.Kind != "" {
					l.inject(tt.fault)
				}
				p, err := l.client.Probe(t.Context(), source, tt.objects)
				if err != nil || p.Status != tt.status || p.Accepted != tt.accepted || len(p.Rejected) != tt.rejected {
					t.Fatalf("got %+v, %v", p, err)
				}
				if p.NoRole != tt.noRole || tt.code != "" && p.Code != tt.code {
					t.Errorf("the role is missing: %v, the code is %q", p.NoRole, p.Code)
				}
				if n := strings.Count(l.log.String(), `level=INFO msg="the doctor asked Sentinel" status=`); n != 1 {
					t.Errorf("%d lines of the log: %s", n, l.log)
				}
				if (p.Refused != nil) != (tt.refused != "") || p.Refused != nil && !strings.Contains(p.Refused.Error(), tt.refused) {
					t.Errorf("refused because of %v, want %q", p.Refused, tt.refused)
				}
				if !slices.IsSorted(p.Headers) || !slices.Contains(p.Headers, "Content-Length") || l.far.RequestCount() != 1 {
					t.Errorf("headers %v, %d requests", p.Headers, l.far.RequestCount())
				}
				l.quiet()
			})
		})
	}
}

// A probe waits for its turn behind an update, and leaves when its context ends.
func TestProbeKeepsToTheLimit(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		l := newLab(t, setup{limit: 3})
		for n := range 3 {
			g, err := l.deliver(t.Context(), objects(n, 1))
			if err != nil || len(g.accepted) != 1 {
				t.Fatal(g, err)
			}
		}
		hurried, cancel := context.WithTimeout(t.Context(), time.Second)
		defer cancel()
		if _, err := l.client.Probe(hurried, source, objects(0, 1)); !errors.Is(err, context.DeadlineExceeded) {
			t.Errorf("without a slot: %v", err)
		}
		began := time.Now()
		if p, err := l.client.Probe(t.Context(), source, objects(0, 1)); err != nil || !p.Accepted || time.Since(began) < 50*time.Second {
			t.Errorf("after %v: %+v, %v", time.Since(began), p, err)
		}
		if most := l.far.MaxInWindow(true); most > 3 {
			t.Errorf("%d requests in a minute", most)
		}
		l.quiet()
	})
}

// What asks us to wait makes the uploads wait too, and nothing is sent again.
func TestProbeThatIsThrottled(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		l := newLab(t, setup{limit: 100})
		l.inject(sentinelserver.Fault{Kind: sentinelserver.Throttle, Seconds: 30})
		if p, err := l.client.Probe(t.Context(), source, objects(0, 1)); err != nil || p.Status != http.StatusTooManyRequests {
			t.Fatalf("%+v, %v", p, err)
		}
		if facts := l.client.Limit(); facts.Count != 1 || !facts.At.Equal(time.Now()) {
			t.Errorf("noted of the limit: %+v", facts)
		}
		began := time.Now()
		if _, err := l.deliver(t.Context(), objects(0, 1)); err != nil {
			t.Fatal(err)
		}
		if waited := time.Since(began); waited < 30*time.Second {
			t.Errorf("the next upload waited for %v", waited)
		}
	})
}

// Of an answer the first 64 KiB are handed on, with how long it took and whether it begins with a byte order mark.
func TestWhatAProbeHandsOn(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		l := newLab(t, setup{})
		far := l.client.http.Transport
		for body, mark := range map[string]bool{
			strings.Repeat("x", 2*maxProbed): false, "\uFEFF" + strings.Repeat("x", 2*maxProbed): true, "": false, "\uFEFF{}": true, "{}\uFEFF": false,
		} {
			l.client.http.Transport = transport(func(r *http.Request) (*http.Response, error) {
				if strings.HasSuffix(r.URL.Path, "/token") {
					return far.RoundTrip(r)
				}
				time.Sleep(7 * time.Second)
				return answers{405, body}.RoundTrip(r)
			})
			p, err := l.client.Probe(t.Context(), source, objects(0, 1))
			if err != nil || string(p.Body) != body[:min(len(body), maxProbed)] || p.Took != 7*time.Second || p.HasMark() != mark {
				t.Errorf("%d bytes after %v, a mark: %v, %v", len(p.Body), p.Took, p.HasMark(), err)
			}
		}
		ctx, cancel := context.WithCancelCause(t.Context())
		left := errors.New("the operator left")
		time.AfterFunc(time.Second, func() { cancel(left) })
		l.client.http.Transport = transport(func(r *http.Request) (*http.Response, error) {
			<-r.Context().Done()
			return nil, r.Context().Err()
		})
		if _, err := l.client.Probe(ctx, source, objects(0, 1)); err == nil || strings.Contains(err.Error(), "broke off") || !errors.Is(err, errStopped) {
			t.Errorf("somebody who left is told %v", err)
		}
	})
}

// A login or a connection that fails is told once, with what to do, and tried no second time.
func TestProbeWithoutAnAnswer(t *testing.T) {
	for name, tt := range map[string]struct {
		fault  sentinelserver.Fault
		want   string
		config bool
	}{
		"login refused":      {sentinelserver.Fault{Kind: sentinelserver.TokenError, Code: 7000222}, "expired", true},
		"login out of order": {sentinelserver.Fault{Kind: sentinelserver.TokenStatus}, "out of order", false},
		"broken off":         {sentinelserver.Fault{Kind: sentinelserver.CutBefore}, "broke off", false},
	} {
		t.Run(name, func(t *testing.T) {
			synctest.Test(t, func(t *testing.T) {
				l := newLab(t, setup{limit: 100})
				l.inject(tt.fault)
				_, err := l.client.Probe(t.Context(), source, objects(0, 1))
				var config *ConfigError
				if err == nil || !strings.Contains(err.Error(), tt.want) || errors.As(err, &config) != tt.config {
					t.Errorf("got %v", err)
				}
				if p, err := l.client.Probe(t.Context(), source, objects(0, 1)); err != nil || !p.Accepted {
					t.Errorf("the next one: %+v, %v", p, err)
				}
				l.quiet()
			})
		})
	}
}

func TestClaims(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		l := newLab(t, setup{})
		logins := l.countLogins()
		c, err := l.client.Claims(t.Context())
		if err != nil || c.Audience != "https://management.azure.com" || !c.Fits || !c.IsOurs || c.Tenant != tenant || c.ObjectID == "" ||
			time.Until(c.Expires) != 3599*time.Second {
			t.Errorf("got %+v, %v", c, err)
		}
		first, _ := l.client.tokens.tokenAtHand(t.Context())
		if n := logins.count(); n != 1 {
			t.Errorf("%d logins: the token is not kept", n)
		}
		time.Sleep(time.Second)
		if _, err := l.client.Claims(t.Context()); err != nil {
			t.Fatal(err)
		}
		if second, _ := l.client.tokens.tokenAtHand(t.Context()); second == first {
			t.Error("no new token was asked for")
		}
		l.inject(sentinelserver.Fault{Kind: sentinelserver.TokenError, Code: 7000215})
		var config *ConfigError
		if _, err := l.client.Claims(t.Context()); !errors.As(err, &config) {
			t.Errorf("got %v", err)
		}
		if _, err := l.client.tokens.tokenAtHand(t.Context()); err != nil {
			t.Errorf("the old token does not serve on: %v", err)
		}
		l.quiet()
	})
}

func TestReadClaims(t *testing.T) {
	token := func(claims string) string { return "x." + base64.RawURLEncoding.EncodeToString([]byte(claims)) + ".y" }
	for claims, want := range map[string]string{
		`{"aud":["a","b"],"azp":"me","oid":"o","tid":"t","roles":["r"],"exp":1767323045}`: "{a, b me o t [r] 2026-01-02 03:04:05 +0000 UTC false false}",
		`{"aud":"a","appid":"me","exp":1.767323045e9}`:                                    "{a me   [] 2026-01-02 03:04:05 +0000 UTC false false}",
		`{"exp":1}`: "{    [] 1970-01-01 00:00:01 +0000 UTC false false}",
		`{"exp":0}`: "{    [] 0001-01-01 00:00:00 +0000 UTC false false}",
		`{}`:        "{    [] 0001-01-01 00:00:00 +0000 UTC false false}",
	} {
		if got, err := readClaims(token(claims)); err != nil || fmt.Sprint(got) != want {
			t.Errorf("%s: %v, %v", claims, got, err)
		}
	}
	for _, opaque := range []string{"", "secretive", "a.secretive!.c", "a." + base64.RawURLEncoding.EncodeToString([]byte("secretive")) + ".c"} {
		if _, err := readClaims(opaque); err == nil || strings.Contains(err.Error(), "secretive") {
			t.Errorf("%q: %v", opaque, err)
		}
	}
	public, government := clouds["Public"].scope, clouds["US Government"].scope
	for _, tt := range []struct {
		audience, scope string
		want            bool
	}{
		{"https://management.azure.com", public, true}, {"https://management.azure.com/", public, true},
		{"https://management.core.windows.net/", public, true}, {"https://management.usgovcloudapi.net", public, false},
		{"https://management.usgovcloudapi.net/", government, true}, {"https://management.azure.com", government, false},
		{"https://graph.microsoft.com", public, false}, {"", public, false},
	} {
		if got := fitsScope(tt.audience, tt.scope); got != tt.want {
			t.Errorf("%q fits %s: %v", tt.audience, tt.scope, got)
		}
	}
}

// The query to be pasted is KQL, whatever the source is called, and gives what the questions are about.
func TestProbeRowsQueryBinds(t *testing.T) {
	queries := map[string]string{"plain": ProbeRowsQuery(source), "quoted": ProbeRowsQuery(quotedSource)}
	for name, said := range bindQueries(t, queries) {
		if len(said.Faults) > 0 || len(said.Columns) != 13 || strings.Contains(queries[name], "\n") {
			t.Errorf("%s: %q, %v in\n%s", name, said.Faults, said.Columns, queries[name])
		}
	}
	rows := []sentinelserver.Row{{TimeGenerated: time.Now().Add(-time.Hour), SourceSystem: source, Pattern: "[a:b = 'c']", Data: map[string]any{
		"name": "n", "labels": []string{"x", "y"}, "description": "four"}}, {TimeGenerated: time.Now(), SourceSystem: "other"}}
	said := runQueries(t, rows, queries)["plain"]
	if len(said.Rows) != 1 || !strings.Contains(fmt.Sprint(said.Rows[0]), " n [a:b = 'c'] ") || !strings.HasSuffix(fmt.Sprint(said.Rows[0]), " 2 4]") {
		t.Errorf("%+v", said)
	}
}
