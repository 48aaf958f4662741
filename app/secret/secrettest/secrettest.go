// Package secrettest finds out whether a secret is printed in any of the ways in which a program prints a value.
package secrettest

import (
	"bytes"
	"encoding/json"
	"fmt"
	"log/slog"
	"strings"
	"testing"
)

// Printed is a value in every form in which a program writes values.
func Printed(t testing.TB, value any) string {
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
		slog.New(handler).Info("m", "value", value, "in_a_group", slog.GroupValue(slog.Any("value", value)))
	}
	return out.String() + log.String()
}

// Leaks reports the text "canary", in clear or in hexadecimal.
func Leaks(text string) bool {
	return strings.Contains(text, "canary") || strings.Contains(strings.ToLower(text), fmt.Sprintf("%x", "canary"))
}
