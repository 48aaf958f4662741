package mask

import (
	"encoding/json"
	"errors"
	"fmt"
	"html"
	"net/url"
	"strconv"
	"strings"
	"testing"

	"pgregory.net/rapid"
)

// layers are what may happen to a secret on its way into a text.
var layers = map[string]func(string) string{
	"as it is":  func(s string) string { return s },
	"form":      url.QueryEscape,
	"path":      url.PathEscape,
	"lower hex": func(s string) string { return lowerHex(url.QueryEscape(s)) },
	"encodeURI": func(s string) string {
		return strings.NewReplacer("%2B", "+", "%3D", "=", "%2F", "/", "%7E", "~").Replace(url.PathEscape(s))
	},
	"JSON":   inJSON,
	"ASCII":  func(s string) string { return withinQuotes(strconv.QuoteToASCII(inJSON(s))) },
	"quoted": func(s string) string { return withinQuotes(strconv.Quote(s)) },
	"PHP":    func(s string) string { return strings.ReplaceAll(inJSON(s), "/", `\/`) },
	"strict": func(s string) string {
		return strings.NewReplacer("+", `\u002b`, "/", `\u002F`, "=", `\u003D`, "'", `\u0027`).Replace(inJSON(s))
	},
	"HTML": html.EscapeString,
	"more HTML": func(s string) string {
		return strings.NewReplacer("+", "&#x2B;", "/", "&#x2f;", "=", "&#61;", "'", "&apos;").Replace(html.EscapeString(s))
	},
}

func inJSON(s string) string {
	encoded, err := json.Marshal(s)
	if err != nil {
		panic(err)
	}
	return withinQuotes(string(encoded))
}

func withinQuotes(s string) string { return s[1 : len(s)-1] }

func lowerHex(s string) string {
	letters := []byte(s)
	for i, c := range letters {
		if c == '%' {
			copy(letters[i+1:i+3], strings.ToLower(s[i+1:i+3]))
		}
	}
	return string(letters)
}

func TestMaskFindsSecretsInEveryForm(t *testing.T) {
	for _, secret := range []string{
		"Ab8Q~x+y/z==Zt4", "a+b/c=", "s3cr\"et +ä<\\/rest", "it's & <that>", "key with blanks", "line\nbreak\ttab", "💥boom💥", "plainOnly123", "~~~~", "100%25sure", `back\\slash\`,
	} {
		m := New(secret)
		for first, one := range layers {
			for second, two := range layers {
				written := two(one(secret))
				text := `{"error":"x ` + written + ` y"}`
				got := string(m.Replace([]byte(text), "***"))
				if got != `{"error":"x *** y"}` {
					t.Errorf("%q in %s in %s, %q, became %q", secret, first, second, written, got)
				}
			}
		}
	}
}

func TestMaskLeavesTheRest(t *testing.T) {
	rapid.Check(t, func(t *rapid.T) {
		secret := rapid.StringN(4, 30, -1).Draw(t, "secret")
		before, after := rapid.StringMatching(`[a-z ]{0,9}`).Draw(t, "before"), rapid.StringMatching(`[a-z ]{0,9}`).Draw(t, "after")
		got := string(New(secret).Replace([]byte(before+"|"+secret+"|"+after), "***"))
		if strings.Contains(secret, "|") || strings.Contains(before+after, strings.TrimSpace(secret)) {
			return
		}
		if got != before+"|***|"+after && !strings.HasSuffix(secret, `\`) && !strings.HasPrefix(secret, `\`) {
			t.Fatalf("%q became %q", before+"|"+secret+"|"+after, got)
		}
	})
	m := New("abc", "", "s3cr+et", "s3cr+etLonger", " padded/key\t")
	for text, want := range map[string]string{"abc stays": "abc stays", "\xffpadded/key,  padded/key\t": "\xff***, ***", "padded%2Fkey": "***", "s3cr+etLonger": "***", "s3cr%2BetLonger, s3cr%2bet": "***, ***", "s3cret": "s3cret"} {
		if got := string(m.Replace([]byte(text), "***")); got != want {
			t.Errorf("%q became %q", text, got)
		}
	}
}

func TestHideInError(t *testing.T) {
	inner := errors.New("secret inside")
	clean := func(s string) string { return strings.ReplaceAll(s, "secret", "***") }
	got := HideInError(fmt.Errorf("failed: %w", inner), clean)
	if got.Error() != "failed: *** inside" || !errors.Is(got, inner) {
		t.Errorf("got %v", got)
	}
	if plain := errors.New("plain"); HideInError(plain, clean) != plain { //nolint:errorlint // the same, and not one that wraps it
		t.Error("an error without a secret was wrapped")
	}
	if HideInError(nil, clean) != nil {
		t.Error("no error became one")
	}
}

func BenchmarkMask(b *testing.B) {
	m := New("Ab8Q~xPlainSecret+y/z==Zt4", "AnotherSecretOfTheApp/+=")
	line := []byte(`time=2026-11-28T10:00:00.000Z level=INFO msg="a line of the log as it is usually written" job=5f0c6a52-4c1b-4d3e-9f63-0f1f2f3f4f5f objects=100`)
	for b.Loop() {
		m.Replace(line, "***")
	}
}
