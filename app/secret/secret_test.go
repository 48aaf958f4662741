package secret

import (
	"fmt"
	"testing"

	"mssentinel/app/secret/secrettest"
)

func TestNeverPrinted(t *testing.T) {
	secret := New("canary")
	for _, value := range []any{secret, &secret, []Text{secret}, map[string]Text{"k": secret}, struct{ inner Text }{secret}} {
		if text := secrettest.Printed(t, value); secrettest.Leaks(text) {
			t.Errorf("%T leaks: %s", value, text)
		}
	}
	if got := fmt.Sprint(secret, "|", Text{}, "|"); got != "[redacted] | |" && got != "[redacted]||" {
		t.Errorf("got %q", got)
	}
}
