package platform

import (
	"encoding/json"
	"io"
	"net/http"
	"net/url"
	"strings"
	"testing"
)

// FuzzCommand reads messages of the broker. Reading one and answering it never fails, a parameter of a request is not lost,
// and the answer is JSON that names the request.
func FuzzCommand(f *testing.F) {
	f.Fuzz(func(t *testing.T, payload, body []byte) {
		c, err := parseCommand(payload)
		if err != nil {
			if len(err.Error()) > 1000 {
				t.Fatalf("the error has %d bytes: %.200s", len(err.Error()), err)
			}
			return
		}
		if !json.Valid(payload) || c.Command == "" || string(c.Command) != strings.ToLower(string(c.Command)) {
			t.Fatalf("%q is the command %q", payload, c.Command)
		}
		var m runService
		if json.Unmarshal(payload, &m) != nil {
			return
		}
		checkRequest(t, m, body)
		answer := encodeMessage(acknowledgement{Command: "Acknowledged", Type: "RunService", RequestKey: string(m.RequestKey), StatusCode: "200",
			Headers: &m.Headers})
		var told acknowledgement
		if err := json.Unmarshal(answer, &told); err != nil || told.Type != "RunService" {
			t.Fatalf("%q: %v", answer, err)
		}
	})
}

// checkRequest makes the request that the screens see, and compares it with the message.
func checkRequest(t *testing.T, m runService, body []byte) {
	t.Helper()
	r := m.httpRequest(t.Context(), body)
	if !strings.HasPrefix(r.URL.Path, "/") || strings.HasPrefix(r.URL.Path, "//") || r.Method != strings.ToUpper(r.Method) || r.Method == http.MethodHead {
		t.Fatalf("%s %q", r.Method, r.URL.Path)
	}
	arrived, err := io.ReadAll(r.Body)
	if err != nil || int64(len(arrived)) != r.ContentLength || len(body) > 0 && string(arrived) != string(body) {
		t.Fatalf("a body of %d bytes arrives with %d of %d: %v", len(body), len(arrived), r.ContentLength, err)
	}
	query := r.URL.RawQuery
	if len(body) == 0 && len(arrived) > 0 {
		query = string(arrived) // a form whose fields came as parameters
	}
	values, err := url.ParseQuery(query)
	found := 0
	for _, list := range values {
		found += len(list)
	}
	if err != nil || found != len(m.QueryParams) {
		t.Fatalf("%d parameters of %d arrive in %q: %v", found, len(m.QueryParams), query, err)
	}
	sent, ok := SentRequest(r.Context())
	if !ok || sent.Path != string(m.Path) || len(sent.Query) != len(m.QueryParams) || len(sent.Headers) != len(m.Headers) {
		t.Fatalf("the request was sent as %+v", sent)
	}
}
