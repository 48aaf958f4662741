package sentinel

import (
	"context"
	"encoding/json"
	"fmt"
	"net/http"
	"net/url"
	"strings"
	"testing"
	"testing/synctest"
	"time"
)

// echoed are ways in which a server sends back what it was asked with.
func echoed(secret string) map[string]string {
	form := "client_id=1&client_secret=" + url.QueryEscape(secret) + "&grant_type=client_credentials"
	encoded, _ := json.Marshal(secret)
	return map[string]string{
		"in clear":        secret,
		"as a form":       form,
		"lower case":      strings.ToLower(url.QueryEscape("/+")) + strings.NewReplacer("/", "%2f", "+", "%2b").Replace(secret),
		"as JSON":         string(encoded),
		"escaped":         strings.NewReplacer("/", `\/`, "+", `\u002b`).Replace(secret),
		"twice":           url.QueryEscape(form),
		"HTML":            strings.NewReplacer("/", "&#47;", "+", "&#x2B;").Replace(secret),
		"across the cut":  strings.Repeat("x", maxLine-10) + secret,
		"form at the cut": strings.Repeat("x", maxLine-10) + url.QueryEscape(secret),
	}
}

// leaks reports the beginning or the end of a secret.
func leaks(text, secret string) bool {
	return strings.Contains(text, secret[:4]) || strings.Contains(text, secret[len(secret)-5:])
}

// Whatever Microsoft Entra says of a login that fails, the secret is in no error, and so on no screen and in no database.
func TestSecretThatEntraRepeats(t *testing.T) {
	for name, said := range echoed(secret) {
		for _, status := range []int{400, 401, 403, 429, 500, 503} {
			t.Run(fmt.Sprint(name, " ", status), func(t *testing.T) {
				synctest.Test(t, func(t *testing.T) {
					l := newLab(t, setup{})
					description, _ := json.Marshal("AADSTS1: bad request: " + said)
					l.client.http.Transport = answers{status, `{"error":"invalid_client","error_description":` + string(description) + `}`}
					if _, err := l.client.tokens.requestToken(t.Context()); err == nil || leaks(err.Error(), secret) {
						t.Errorf("got %v", err)
					}
				})
			})
		}
	}
}

// The same for what Sentinel says of the token, in every part of its answer.
func TestTokenThatSentinelRepeats(t *testing.T) {
	const token = "eyJSecret.part/with+odd=signs"
	for name, said := range echoed(token) {
		quoted, _ := json.Marshal(said)
		for _, body := range []string{
			`{"message":` + string(quoted) + `}`,
			`{"error":{"code":"x","message":` + string(quoted) + `}}`,
			`{"errors":[{"recordIndex":0,"errorMessages":[` + string(quoted) + `]}]}`,
			`{"errors":[{"recordIndex":7,"errorMessages":[` + string(quoted) + `]}],"activityId":` + string(quoted) + `}`,
		} {
			for _, status := range []int{200, 400, 405, 500} {
				x := decide(status, http.Header{}, redactSecret([]byte(body), token), 1, time.Now())
				all := fmt.Sprintf("%+v", x)
				if leaks(all, token) {
					t.Errorf("%s, %d %s: %s", name, status, body, all)
				}
			}
		}
	}
}

// What is noted of an answer that throttles names its members, and not the token.
func TestTokenInTheNamesOfAThrottle(t *testing.T) {
	for name, send := range waysToSend {
		synctest.Test(t, func(t *testing.T) {
			const token = "a_token_of_this_App"
			l := newLab(t, setup{})
			l.client.http.Transport = transport(func(r *http.Request) (*http.Response, error) {
				if strings.HasSuffix(r.URL.Path, "/token") {
					return answers{200, `{"access_token":"` + token + `","expires_in":3599}`}.RoundTrip(r)
				}
				return answers{429, `{"` + token + `":"too often"}`}.RoundTrip(r)
			})
			ctx, cancel := context.WithTimeout(t.Context(), time.Second)
			defer cancel()
			_ = send(ctx, l) // an update waits until it is stopped
			if f := l.client.Limit(); f.Count != 1 || f.Body != `{"[redacted]":text}` {
				t.Errorf("%s: noted of the limit: %+v", name, f)
			}
		})
	}
}

// A probe hands on what was answered, without the token.
func TestTokenThatAProbeIsTold(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		l := newLab(t, setup{})
		far := l.client.http.Transport
		var token string
		l.client.http.Transport = transport(func(r *http.Request) (*http.Response, error) {
			if strings.HasSuffix(r.URL.Path, "/token") {
				return far.RoundTrip(r)
			}
			token = strings.TrimPrefix(r.Header.Get("Authorization"), "Bearer ")
			return answers{400, `{"error":{"code":"x","message":"not for ` + token + `"}}`}.RoundTrip(r)
		})
		p, err := l.client.Probe(t.Context(), source, objects(0, 1))
		if err != nil || !strings.Contains(p.Said, "not for [redacted]") || leaks(fmt.Sprintf("%+v %s", p, p.Body), token) {
			t.Errorf("%v: %+v, %s", err, p, p.Body)
		}
		l.quiet()
	})
}
