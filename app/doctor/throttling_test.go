package doctor

import (
	"strings"
	"testing"
	"time"

	"mssentinel/app/sentinel"
)

// The first answer that said that the limit is reached is told as it came, and what it means where it does not say how long to wait.
func TestThrottlingThatWasMet(t *testing.T) {
	at := time.Date(2026, 11, 29, 8, 30, 0, 0, time.UTC)
	for name, c := range map[string]struct {
		facts            sentinel.LimitFacts
		verdict          Verdict
		evidence, effect string
	}{
		"never": {sentinel.LimitFacts{}, NotTried, "none is provoked", ""},
		"by the header": {sentinel.LimitFacts{Count: 2, At: at, Headers: []string{"Date", "Retry-After"}, RetryAfter: "seconds", Body: "{}"}, Value,
			"2 times; first 2026-11-29 08:30:00 UTC: Retry-After seconds, body {}, headers Date, Retry-After", "Something else shares the limit"},
		"by the text": {sentinel.LimitFacts{Count: 1, At: at, RetryAfter: "missing", Body: `{"message":text}`}, Value, `Retry-After missing, body {"message":text}`,
			"Without Retry-After the App waits as the text says, else a whole minute."},
	} {
		got := answerThrottling(c.facts)
		if got.Verdict != c.verdict || !strings.Contains(got.Evidence, c.evidence) || !strings.Contains(got.Effect, c.effect) {
			t.Errorf("%s: %+v", name, got)
		}
		if said := strings.Contains(got.Effect, "Without Retry-After"); said != (name == "by the text") {
			t.Errorf("%s: its effect is %q", name, got.Effect)
		}
	}
}
