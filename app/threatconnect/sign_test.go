package threatconnect

import (
	"context"
	"net/http"
	"strings"
	"testing"
)

// Vectors that were computed by the rule of app/docs/threatconnect.md#authentication.
func TestSignature(t *testing.T) {
	for target, want := range map[string]string{
		"/api/v3/security/owners":                          "S7rkYE75Pap2AoxkxSAsjvrtk1Fi24y2HFzFMlWY/pw=",
		"/api/v3/indicators?resultLimit=100&resultStart=0": "IDgxtH9Ez5l1BuTA83BFrZ/BbUz+psUv8vi5ycidsZA=",
		"/api/v3/indicators?fields=tags&fields=threatAssess&resultLimit=1000&resultStart=0&sorting=id%20asc&tql=typeName%20in%20(%22Address%22%2C%20%22Host%22)": "SrONzIpJsMlcddkussIH0zmtLoSOkmuqjQEOnmZ0WLY=",
		"/api/v3/indicators?tql=typeName+in+%28%22Address%22%29":                                "zJEOfL1LVIKtpZAn8iumf4j21HhgXlpzcv7vozFOxt0=",
		"/api/v3/indicators/deleted?deletedSince=2023-11-14T00%3A00%3A00Z&owner=Demo+Community": "MxhnX/AYyh9hccBJxdDUwk1OrJkOftU1nP52llT6ja0=",
		"/api/v2/owners/mine": "jJIoOwxBsuLxaqafdFrqIY6/lg0vgBC5cuC24lJyTOU=",
	} {
		if got := computeSignature("example-secret-key", http.MethodGet, target, 1700000000); got != want {
			t.Errorf("%s: %s", target, got)
		}
	}
}

// What is signed must be what goes over the wire, for awkward names too; serve checks it over the raw target.
func TestSignedAsSent(t *testing.T) {
	var target string
	c := serve(t, func(w http.ResponseWriter, r *http.Request) {
		target = r.RequestURI
		w.Write([]byte(`{"data":[],"count":7,"status":"Success"}`))
	})
	for _, base := range []string{c.base, c.base + "/", strings.TrimSuffix(c.base, "/api"), strings.TrimSuffix(c.base, "/api") + "//"} {
		c.options.BaseURL = base
		q := Query{Owners: []string{"O'Brien & <Sons> (50%+) é*!~"}, Types: []string{"Email Subject"}, TQL: `summary like "%a+b c%"`, SortField: "dateAdded"}
		if n, err := New(c.options).Count(context.Background(), q); err != nil || n != 7 {
			t.Errorf("%s: %d, %v", base, n, err)
		}
		if !strings.HasPrefix(target, "/api/v3/indicators?") {
			t.Errorf("%s: asked %s", base, target)
		}
	}
}

func TestToken(t *testing.T) {
	tokens := []string{"old", "new"}
	o := Options{BaseURL: "https://tc.example", Token: func(context.Context) (string, error) {
		token := tokens[0]
		tokens = tokens[1:]
		return token, nil
	}}
	o.Transport = roundTrip(func(r *http.Request) (*http.Response, error) {
		if r.Header.Get("Authorization") != "TC-Token new" {
			return reply(http.StatusUnauthorized, `{"status":"Failure","message":"Unauthorized"}`), nil
		}
		return reply(http.StatusOK, `{"data":[],"count":1,"status":"Success"}`), nil
	})
	if _, err := New(o).Count(context.Background(), hosts); err != nil {
		t.Fatal(err)
	}
	if len(tokens) != 0 {
		t.Error("the token was not asked for again after a 401")
	}
}
