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
	tokens := NewTokenSource(api, "API:first", time.Time{})
	got, err := Resolve(t.Context(), map[string]string{
		"a": "no reference", "b": "&{TC:TEXT:name}", "c": "x-&{Vault:KEYCHAIN:a.b[0]}-&{TC:TEXT:name}", "d": "&{TC:FILE:file}", "e": "see &{TC:FILE:file}",
	}, api, tokens)
	if err != nil {
		t.Fatal(err)
	}
	for name, want := range map[string]string{"a": "no reference", "b": "plain", "c": "x-vault-plain", "d": "content", "e": "see <file>"} {
		if got[name] != want {
			t.Errorf("%s became %q", name, got[name])
		}
	}
	_, err = Resolve(t.Context(), map[string]string{"Client ID": "&{TC:TEXT:unknown}", "Tenant ID": "&{TC:FILE:damaged}"}, api, tokens)
	for _, part := range []string{"Client ID refers to the ThreatConnect variable &{TC:TEXT:unknown}", "404", "Tenant ID refers to", "damaged", "Choose another variable"} {
		if err == nil || !strings.Contains(err.Error(), part) {
			t.Errorf("%v lacks %q", err, part)
		}
	}
	if _, err := Resolve(t.Context(), map[string]string{"a": "&{TC:TEXT:name}"}, api, nil); err == nil || !strings.Contains(err.Error(), "no API token") {
		t.Errorf("without tokens: %v", err)
	}
	if got, err := Resolve(t.Context(), map[string]string{"a": "b"}, API{}, nil); err != nil || got["a"] != "b" {
		t.Errorf("without references: %v, %v", got, err)
	}
}

// No error tells an address that holds a token.
func TestAPIErrors(t *testing.T) {
	for _, api := range []API{{BaseURL: "http://127.0.0.1:1/api"}, {BaseURL: "http://%zz"}} {
		_, err := api.sendRequest(t.Context(), http.MethodGet, "/appAuth?expiredToken=secret-token", "", nil, 10)
		if err == nil || strings.Contains(err.Error(), "secret-token") {
			t.Errorf("got %v", err)
		}
	}
}
