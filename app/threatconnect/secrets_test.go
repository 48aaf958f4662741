package threatconnect

import (
	"bytes"
	"encoding/json"
	"fmt"
	"log/slog"
	"net/http"
	"net/url"
	"strings"
	"testing"
	"testing/synctest"
)

// Whatever ThreatConnect, or a proxy in its place, says of a request that it refuses, neither the key nor the signature
// is in the error, and so on no screen and in no database.
func TestSecretsThatAreRepeated(t *testing.T) {
	html := strings.NewReplacer("/", "&#47;", "+", "&#x2B;", "=", "&#61;")
	escaped := strings.NewReplacer("/", `\/`, "+", `\u002b`, "=", `\u003d`)
	for name, write := range map[string]func(string) string{
		"in clear": strings.Clone, "as a form": url.QueryEscape, "as a path": url.PathEscape, "HTML": html.Replace, "escaped": escaped.Replace,
		"twice":          func(s string) string { return url.QueryEscape(url.QueryEscape(s)) },
		"across the cut": func(s string) string { return strings.Repeat("x", maxMessageBytes-10) + s },
	} {
		for _, code := range []int{200, 400, 401, 403, 500} {
			t.Run(fmt.Sprint(name, " ", code), func(t *testing.T) {
				synctest.Test(t, func(t *testing.T) {
					var log bytes.Buffer
					var signature string
					c := New(Options{BaseURL: "https://tc.example", AccessID: testID, SecretKey: func() string { return testSecret },
						Logger: slog.New(slog.NewTextHandler(&log, nil)),
						Transport: roundTrip(func(r *http.Request) (*http.Response, error) {
							_, signature, _ = strings.Cut(r.Header.Get("Authorization"), ":")
							message, _ := json.Marshal(write(signature) + " does not fit; the key was " + write(testSecret))
							resp, err := status(code, `{"status":"Failure","message":`+string(message)+`}`)(r)
							resp.Request = r
							return resp, err
						})})
					_, err := c.Count(t.Context(), hosts)
					all := fmt.Sprint(err, log.String())
					if err == nil || strings.Contains(all, signature[:8]) || strings.Contains(all, "example-secret") {
						t.Errorf("got %s", all)
					}
				})
			})
		}
	}
}
