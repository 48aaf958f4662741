package secret

import (
	"bytes"
	"encoding/json"
	"fmt"
	"log/slog"
	"strings"
	"testing"
)

// printed is a value in every form in which a program writes values.
func printed(t *testing.T, value any) string {
	t.Helper()
	var out strings.Builder
	for _, verb := range []string{"%v", "%+v", "%#v", "%s", "%q", "%x", "%X", "%d"} {
		fmt.Fprintf(&out, verb+"\n", value)
	}
	fmt.Fprintln(&out, value, []any{value}, map[string]any{"k": value}, &struct{ inner any }{value})
	encoded, err := json.Marshal(value)
	if err != nil {
		t.Fatal(err)
	}
	out.Write(encoded)
	var log bytes.Buffer
	for _, handler := range []slog.Handler{slog.NewTextHandler(&log, nil), slog.NewJSONHandler(&log, nil)} {
		slog.New(handler).Info("m", "value", value, "in a group", slog.GroupValue(slog.Any("value", value)))
	}
	return out.String() + log.String()
}

// leaks reports a canary in clear or in hexadecimal.
func leaks(text string) bool {
	return strings.Contains(text, "canary") || strings.Contains(strings.ToLower(text), fmt.Sprintf("%x", "canary"))
}

func TestNeverPrinted(t *testing.T) {
	secret := New("canary")
	for _, value := range []any{secret, &secret, []Text{secret}, map[string]Text{"k": secret}, struct{ inner Text }{secret}} {
		if text := printed(t, value); leaks(text) {
			t.Errorf("%T leaks: %s", value, text)
		}
	}
	if got := fmt.Sprint(secret, "|", Text{}, "|"); got != "[redacted] | |" && got != "[redacted]||" {
		t.Errorf("got %q", got)
	}
}
