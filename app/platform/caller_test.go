package platform

import (
	"context"
	"fmt"
	"strings"
	"testing"
)

// Who called is taken from where it stands, without anything secret beside it, and nothing is made of what is no name.
func TestCallerName(t *testing.T) {
	long := strings.Repeat("x", 3*maxCaller)
	for message, want := range map[string]string{
		`{}`:                                   "",
		`{"userName":"jdoe"}`:                  "jdoe",
		`{"username":" J. Doe ","user":"2"}`:   "J. Doe",
		`{"user":"jdoe"}`:                      "jdoe",
		`{"user":{"name":"jdoe"}}`:             "",
		`{"userName":null,"user":["a"]}`:       "",
		`{"userName":7,"user":"seven"}`:        "seven",
		`{"userName":"two\nlines"}`:            "two lines",
		withHeader("Basic amRvZTpzZWNyZXQ="):   "jdoe",
		withHeader("basic amRvZQ=="):           "jdoe",
		withHeader("Basic jdoe:secret"):        "",
		withHeader("TC 123456789012:c2lnbmVk"): "API user …9012",
		withHeader("TC 1234:c2lnbmVk"):         "",
		withHeader("TC 123456789012"):          "",
		withHeader("TC-Token SVC:1:secret"):    "",
		withHeader("Bearer secret"):            "",
		withHeader(""):                         "",
		`{"userName":"told","headers":[{"name":"authorization","value":"Basic amRvZTpzZWNyZXQ="}]}`: "told",
	} {
		if got := parse(t, message).callerName(); got != want {
			t.Errorf("%s: %q, want %q", message, got, want)
		}
	}
	if got := parse(t, `{"userName":"`+long+`"}`).callerName(); len(got) > maxCaller {
		t.Errorf("a name of %d bytes", len(got))
	}
	if got := Caller(context.Background()); got != "" {
		t.Errorf("nobody called, and it was %q", got)
	}
}

func withHeader(value string) string {
	return fmt.Sprintf(`{"headers":[{"name":"authorization","value":%q}]}`, value)
}
