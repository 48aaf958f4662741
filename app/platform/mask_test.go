package platform

import (
	"bytes"
	"errors"
	"fmt"
	"io"
	"log/slog"
	"net/http"
	"net/http/httptest"
	"strings"
	"testing"
)

type brokenTransport struct{ err error }

func (b brokenTransport) RoundTrip(*http.Request) (*http.Response, error) { return nil, b.err }

// What a broken connection says may quote what was sent over it.
func TestErrorsOfTransportsAreMasked(t *testing.T) {
	l := newLog(io.Discard, slog.LevelInfo)
	l.Hide("client+secret/=value")
	cause := errors.New("cause")
	request := httptest.NewRequest(http.MethodGet, "https://tc.example/api", nil)
	request.Header.Set("Authorization", "TC 1234:8lIq8fO8pCf5+RNiJ56Bmw/n3BmRI1bzh2MhVqWm59o=")
	for _, quoted := range []string{
		"client_secret=client%2Bsecret%2F%3Dvalue", `{"s":"client\u002bsecret\/=value"}`, "client+secret/=value",
		"Authorization: TC 1234:8lIq8fO8pCf5+RNiJ56Bmw/n3BmRI1bzh2MhVqWm59o=", "8lIq8fO8pCf5%2BRNiJ56Bmw%2Fn3BmRI1bzh2MhVqWm59o%3D",
	} {
		_, err := l.MaskErrors(brokenTransport{fmt.Errorf("malformed HTTP response %q: %w", quoted, cause)}).RoundTrip(request)
		if err == nil || strings.Contains(err.Error(), "client%2B") || strings.Contains(err.Error(), "secret") && strings.Contains(err.Error(), "value") ||
			strings.Contains(err.Error(), "8lIq8f") || !errors.Is(err, cause) {
			t.Errorf("%q became %v", quoted, err)
		}
	}
	plain := errors.New("connection refused")
	if _, err := l.MaskErrors(brokenTransport{plain}).RoundTrip(request); err != plain { //nolint:errorlint // the same, and not one that wraps it
		t.Errorf("an error without a secret became %v", err)
	}
}

// A secret with characters that forms, JSON and HTML write otherwise is masked in each of these forms, also in layers.
func TestLogMasksEncodedSecrets(t *testing.T) {
	var out bytes.Buffer
	l := newLog(&out, slog.LevelInfo)
	l.Hide("Ab8Q~x+y/z==Zt4")
	for _, written := range []string{
		"client_id=1&client_secretx=Ab8Q~x%2By%2Fz%3D%3DZt4", "Ab8Q~x%2by%2fz%3d%3dZt4", `{"a":"Ab8Q~x\u002by\/z\u003d\u003dZt4"}`,
		"Ab8Q~x&#43;y/z&#x3D;=Zt4", "Ab8Q%7Ex%252By%252Fz%253D%253DZt4",
	} {
		l.Warn("said", "body", written)
		l.Warn("quoted: " + fmt.Sprintf("%q", written))
		if got := l.Clean(written); strings.Contains(got, "Zt4") {
			t.Errorf("%q became %q", written, got)
		}
	}
	if strings.Contains(out.String(), "Zt4") || strings.Contains(out.String(), "Ab8Q") {
		t.Errorf("the log has it:\n%s", out.String())
	}
}
