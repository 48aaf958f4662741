package config

import (
	"bytes"
	"encoding/json"
	"fmt"
	"log/slog"
	"reflect"
	"slices"
	"strings"
	"testing"

	"mssentinel/app/platform"
	"mssentinel/app/secret"
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

func TestConfigIsNeverPrintedWithSecrets(t *testing.T) {
	got, _, err := launch(t, onPlatform())
	if err != nil {
		t.Fatal(err)
	}
	if text := printed(t, got) + printed(t, *got.Platform); leaks(text) {
		t.Error("the configuration leaks: " + text)
	}
}

// Whatever is a secret among the inputs, the log is told of.
func TestSecretsListsAll(t *testing.T) {
	c := Config{Platform: &platform.Inputs{}}
	var want []string
	var fill func(v reflect.Value)
	fill = func(v reflect.Value) {
		for i := range v.NumField() {
			f := v.Field(i)
			switch {
			case f.Type() == reflect.TypeFor[secret.Text]():
				want = append(want, fmt.Sprint("secret ", len(want)))
				f.Set(reflect.ValueOf(secret.New(want[len(want)-1])))
			case f.Type() == reflect.TypeFor[platform.Network]():
				fill(f)
			}
		}
	}
	fill(reflect.ValueOf(&c).Elem())
	fill(reflect.ValueOf(c.Platform).Elem())
	got := c.Secrets()
	slices.Sort(got)
	if !slices.Equal(got, want) || len(want) < 6 {
		t.Errorf("of %q it lists %q", want, got)
	}
}

// Every input in turn is a canary of a shape that does not fit: no fault may quote it.
func TestFaultsQuoteNothing(t *testing.T) {
	for _, f := range mustList(t) {
		for _, canary := range []string{"canary", "https://canary:canary@example.com/?canary", "\x00canary", "&{TC:TEXT:a}canary", "&{TC:TEXT:a canary"} {
			set := onPlatform()
			set["client_id"] = "" // so that there is an error in any case
			set[f.name] = canary
			if f.environmentOnly {
				t.Setenv(prefix+strings.ToUpper(f.name), strings.ReplaceAll(canary, "\x00", ""))
			}
			_, _, err := launch(t, set)
			if err == nil {
				t.Fatalf("%s: no error", f.name)
			}
			if leaks(err.Error()) {
				t.Errorf("%s: %v", f.name, err)
			}
			if f.environmentOnly {
				t.Setenv(prefix+strings.ToUpper(f.name), "")
			}
		}
	}
}

func mustList(t *testing.T) []input {
	t.Helper()
	all, err := listInputs()
	if err != nil {
		t.Fatal(err)
	}
	return all
}
