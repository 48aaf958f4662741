package platform

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"net/http"
	"net/http/httptest"
	"strings"
	"sync/atomic"
	"testing"
	"testing/synctest"
	"time"
)

// appAuth serves the renewal of tokens, and variables for whoever has the token that it gives.
func appAuth(t *testing.T, answer func(old string) string) (API, *atomic.Int64) {
	t.Helper()
	var asked atomic.Int64
	mux := http.NewServeMux()
	mux.HandleFunc("GET /api/appAuth", func(w http.ResponseWriter, r *http.Request) {
		asked.Add(1)
		if r.Header.Get("Authorization") != "" {
			t.Error("the renewal carries an Authorization")
		}
		fmt.Fprint(w, answer(r.URL.Query().Get("expiredToken")))
	})
	mux.HandleFunc("GET /api/internal/variable/runtime/{provider}/{name}", func(w http.ResponseWriter, r *http.Request) {
		value, found := map[string]string{"TC/name": "plain", "Vault/a.b[0]": "vault", "TC/file": "Y29udGVudA==", "TC/damaged": "?"}[r.PathValue("provider")+"/"+r.PathValue("name")]
		if r.Header.Get("Authorization") != "TC-Token API:first" || !found {
			w.WriteHeader(http.StatusNotFound)
			return
		}
		json.NewEncoder(w).Encode(map[string]string{"data": value}) //nolint:errcheck // the client may be gone
	})
	server := httptest.NewServer(mux)
	t.Cleanup(server.Close)
	return API{BaseURL: server.URL + "/api"}, &asked
}

func TestTokenSource(t *testing.T) {
	now := time.Now()
	fresh := fmt.Sprintf(`{"success":true,"apiToken":"API:fresh","apiTokenExpires":"%d"}`, now.Add(time.Hour).Unix())
	number := fmt.Sprintf(`{"success":true,"apiToken":"API:fresh","apiTokenExpires":%d}`, now.Add(time.Hour).Unix())
	for name, test := range map[string]struct {
		token   string
		expires time.Time
		answer  string
		want    string
		fails   string
		asked   int64
	}{
		"lasting":                {"API:a+b&c", now.Add(time.Hour), fresh, "API:a+b&c", "", 0},
		"end not said":           {"API:a+b&c", time.Time{}, fresh, "API:a+b&c", "", 0},
		"of the long-lived kind": {"APIV2:x", now.Add(-time.Hour), fresh, "APIV2:x", "", 0},
		"near its end":           {"API:a+b&c", now.Add(9 * time.Minute), fresh, "API:fresh", "", 1},
		"expired":                {"API:a+b&c", now.Add(-time.Hour), number, "API:fresh", "", 1},
		"refused near its end":   {"API:a+b&c", now.Add(9 * time.Minute), `{"success":false,"message":"no"}`, "API:a+b&c", "", 1},
		"refused when expired":   {"API:a+b&c", now.Add(-time.Hour), `{"success":false,"message":"unknown token"}`, "", "unknown token", 1},
		"refused with a token":   {"API:a+b&c", now.Add(-time.Hour), `{"success":false,"message":"revoked","apiToken":"API:old","apiTokenExpires":1}`, "", "revoked", 1},
		"answer is no JSON":      {"API:a+b&c", now.Add(-time.Hour), `<html>`, "", "no JSON", 1},
		"answer without a token": {"API:a+b&c", now.Add(-time.Hour), `{"success":true,"apiTokenExpires":1}`, "", "refused", 1},
		"none":                   {"", time.Time{}, fresh, "", "sent no API token", 0},
	} {
		t.Run(name, func(t *testing.T) {
			api, asked := appAuth(t, func(old string) string {
				if old != test.token {
					t.Errorf("asked for %q", old)
				}
				return test.answer
			})
			s := NewTokenSource(api, test.token, test.expires)
			for range 2 {
				got, err := s.Token(t.Context())
				if got != test.want || (err == nil) != (test.fails == "") || err != nil && !strings.Contains(err.Error(), test.fails) {
					t.Errorf("got %q, %v", got, err)
				}
				if err != nil && strings.Contains(err.Error(), "a+b") {
					t.Errorf("the error tells the token: %v", err)
				}
			}
			if test.want == "API:fresh" && asked.Load() != test.asked {
				t.Errorf("asked %d times", asked.Load())
			}
		})
	}
}

func TestTokenSourceGivesUpWithItsCaller(t *testing.T) {
	s := NewTokenSource(API{}, "API:x", time.Time{})
	<-s.state // somebody renews
	ctx, cancel := context.WithCancel(t.Context())
	cancel()
	if _, err := s.Token(ctx); !errors.Is(err, context.Canceled) {
		t.Errorf("got %v", err)
	}
}

// References become what ThreatConnect holds for them; what cannot be resolved is named, all at once.
func TestResolve(t *testing.T) {
	api, _ := appAuth(t, nil)
	token := NewTokenSource(api, "API:first", time.Time{}).Credential()
	got, failures := Resolve(t.Context(), map[string]string{
		"a": "no reference", "b": "&{TC:TEXT:name}", "c": "x-&{Vault:KEYCHAIN:a.b[0]}-&{TC:TEXT:name}", "d": "&{TC:FILE:file}", "e": "see &{TC:FILE:file}",
	}, api, token)
	if len(failures) > 0 {
		t.Fatal(failures)
	}
	for name, want := range map[string]string{"a": "no reference", "b": "plain", "c": "x-vault-plain", "d": "content", "e": "see <file>"} {
		if got[name] != want {
			t.Errorf("%s became %q", name, got[name])
		}
	}
	got, failures = Resolve(t.Context(), map[string]string{
		"Client ID": "&{TC:TEXT:unknown}-&{TC:TEXT:name}-&{Vault:TEXT:other}", "Tenant ID": "&{TC:FILE:damaged}", "Source": "&{TC:TEXT:name}",
	}, api, token)
	for name, parts := range map[string][]string{
		"Client ID": {"refers to the ThreatConnect variable &{TC:TEXT:unknown}", "404", "Choose another variable", "&{Vault:TEXT:other}"},
		"Tenant ID": {"refers to the ThreatConnect variable &{TC:FILE:damaged}", "is damaged"},
	} {
		for _, part := range parts {
			if failures[name] == nil || !strings.Contains(failures[name].Error(), part) {
				t.Errorf("%s: %v lacks %q", name, failures[name], part)
			}
		}
	}
	if len(failures) != 2 || got["Source"] != "plain" || got["Tenant ID"] != "&{TC:FILE:damaged}" {
		t.Errorf("what could be resolved was not, or the other way round: %q, %v", got, failures)
	}
	if _, failures := Resolve(t.Context(), map[string]string{"a": "&{TC:TEXT:name}"}, api); failures["a"] == nil || !strings.Contains(failures["a"].Error(), "sent no token") {
		t.Errorf("without credentials: %v", failures)
	}
	if got, failures := Resolve(t.Context(), map[string]string{"a": "b"}, API{}); len(failures) > 0 || got["a"] != "b" {
		t.Errorf("without references: %v, %v", got, failures)
	}
}

// What one credential is refused, in whatever way, is asked with the next, and the message names each. Another
// credential does not help a server that is away.
func TestResolveTriesEachCredential(t *testing.T) {
	for name, test := range map[string]struct {
		tokenExpired   bool
		token, key     int // status of the answer; 0: a sign-in page
		asked, message string
	}{
		"the token is taken":         {token: 200, key: 200, asked: "token"},
		"unauthorized":               {token: 401, key: 200, asked: "token key"},
		"forbidden":                  {token: 403, key: 200, asked: "token key"},
		"not visible":                {token: 404, key: 200, asked: "token key"},
		"sign-in page":               {token: 0, key: 200, asked: "token key"},
		"expired and not renewed":    {tokenExpired: true, key: 200, asked: "key"},
		"both are refused":           {token: 401, key: 403, asked: "token key", message: "(with the token tc_token: ThreatConnect answered 401 Unauthorized; with the key: ThreatConnect answered 403 Forbidden)"},
		"the key is of nobody":       {token: 403, key: 401, asked: "token key", message: "with the key: ThreatConnect answered 401"},
		"the server is out of order": {token: 502, key: 200, asked: "token", message: "(with the token tc_token: ThreatConnect answered 502 Bad Gateway)"},
	} {
		t.Run(name, func(t *testing.T) {
			var asked []string
			server := httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
				status, who := test.token, "token"
				switch {
				case r.URL.Path == "/api/appAuth":
					fmt.Fprint(w, `{"success":false,"message":"unknown token"}`)
					return
				case r.Header.Get("Authorization") == "TC 1:signature":
					status, who = test.key, "key"
				case r.Header.Get("Authorization") != "TC-Token API:first":
					t.Errorf("asked with %q", r.Header.Get("Authorization"))
				}
				asked = append(asked, who)
				if status == 0 {
					fmt.Fprint(w, "<html>Sign in</html>")
					return
				}
				w.WriteHeader(status)
				fmt.Fprint(w, `{"data":"value"}`)
			}))
			defer server.Close()
			api, expires := API{BaseURL: server.URL + "/api"}, time.Now().Add(time.Hour)
			if test.tokenExpired {
				expires = time.Now().Add(-time.Hour)
			}
			got, failures := Resolve(t.Context(), map[string]string{"a": "&{TC:KEYCHAIN:secret}"}, api, NewTokenSource(api, "API:first", expires).Credential(),
				Credential{Name: "the key", Authorize: func(r *http.Request) error { r.Header.Set("Authorization", "TC 1:signature"); return nil }})
			if strings.Join(asked, " ") != test.asked {
				t.Errorf("asked with %v", asked)
			}
			if test.message == "" && got["a"] != "value" || test.message != "" && (failures["a"] == nil || !strings.Contains(failures["a"].Error(), test.message)) {
				t.Errorf("got %q, %v", got, failures)
			}
		})
	}
}

// A signature holds for five minutes: a wrong clock is named.
func TestWrongClock(t *testing.T) {
	for name, test := range map[string]struct {
		status int
		ahead  time.Duration
		told   string
	}{
		"right":        {401, 0, "ThreatConnect answered 401 Unauthorized"},
		"within":       {401, 4 * time.Minute, "ThreatConnect answered 401 Unauthorized"},
		"behind":       {401, time.Hour, "ThreatConnect answered 401 Unauthorized, as the clock of this machine differs from its own by 1h0m0s"},
		"no such case": {403, -time.Hour, "ThreatConnect answered 403 Forbidden"},
		"not said":     {401, 1, "ThreatConnect answered 401 Unauthorized"},
	} {
		synctest.Test(t, func(t *testing.T) {
			header := http.Header{"Date": {time.Now().Add(test.ahead).UTC().Format(http.TimeFormat)}}
			if test.ahead == 1 {
				header.Set("Date", "today")
			}
			if got := newStatusError(&http.Response{StatusCode: test.status, Header: header}).Error(); got != test.told {
				t.Errorf("%s: %s", name, got)
			}
		})
	}
}

// No error tells an address that holds a token.
func TestAPIErrors(t *testing.T) {
	for _, api := range []API{{BaseURL: "http://127.0.0.1:1/api"}, {BaseURL: "http://%zz"}} {
		_, err := api.sendRequest(t.Context(), http.MethodGet, "/appAuth?expiredToken=secret-token", nil, nil, 10)
		if err == nil || strings.Contains(err.Error(), "secret-token") {
			t.Errorf("got %v", err)
		}
	}
}
