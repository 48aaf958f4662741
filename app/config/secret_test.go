package config

import (
	"fmt"
	"reflect"
	"slices"
	"strings"
	"testing"

	"mssentinel/app/platform"
	"mssentinel/app/secret"
	"mssentinel/app/secret/secrettest"
)

func TestConfigIsNeverPrintedWithSecrets(t *testing.T) {
	got, _, err := launch(t, onPlatform())
	if err != nil {
		t.Fatal(err)
	}
	if text := secrettest.Printed(t, got) + secrettest.Printed(t, *got.Platform); secrettest.Leaks(text) {
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
			if secrettest.Leaks(err.Error()) {
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
