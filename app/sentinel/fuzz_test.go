package sentinel

import (
	"bytes"
	"encoding/base64"
	"encoding/json"
	"errors"
	"net/http"
	"strconv"
	"strings"
	"testing"
	"time"
	"unicode/utf16"
	"unicode/utf8"
)

// fuzzSecret is what SECRET in an answer stands for: as it is, and as JSON writes it between quotes.
const fuzzSecret = `s3cr"et+/<value>&more=`

// plantSecret puts the secret where an answer repeats it.
func plantSecret(body []byte) []byte {
	quoted, _ := json.Marshal(fuzzSecret)
	return bytes.ReplaceAll(bytes.ReplaceAll(body, []byte(`"SECRET"`), quoted), []byte("SECRET"), []byte(fuzzSecret))
}

// checkSaid holds what an operator is told to its bounds: one line, short, and no secret.
func checkSaid(t *testing.T, said string) {
	t.Helper()
	if strings.Contains(said, fuzzSecret) || strings.Contains(said, "cr\\\"et+/") {
		t.Fatalf("%q has the secret", said)
	}
	if len(said) > 3*maxMessage || !utf8.ValidString(said) || strings.ContainsAny(said, "\r\n\x00") {
		t.Fatalf("%d bytes that cannot be shown: %q", len(said), said)
	}
}

// fuzzStatus makes a status of any number: 0 is 200, 399 is 599.
func fuzzStatus(status int) int { return 200 + (status%400+400)%400 }

// FuzzAnswer reads answers to an upload. An object that is said to be accepted was accepted by Sentinel's own form; one that
// is said to be rejected is one of the request, once, with a reason that can be shown.
func FuzzAnswer(f *testing.F) {
	now := time.Date(2026, 9, 1, 12, 0, 0, 0, time.UTC)
	f.Fuzz(func(t *testing.T, status int, contentType, after string, body []byte, objects byte) {
		n := 1 + int(objects)%100
		status, body = fuzzStatus(status), redactSecret(plantSecret(body), fuzzSecret)
		header := http.Header{"Content-Type": {contentType}, "Retry-After": {after}}
		d := decide(status, header, body, n, now)
		if again := decide(status, header, body, n, now); again.action != d.action || len(again.rejected) != len(d.rejected) {
			t.Fatalf("the same answer is %v and then %v", d, again)
		}
		last := -1
		for _, r := range d.rejected {
			if r.Index <= last || r.Index >= n || r.Message == "" || len(r.Message) > maxMessage || !utf8.ValidString(r.Message) {
				t.Fatalf("%+v of %d objects, after %d", r, n, last)
			}
			if strings.Contains(r.Message, fuzzSecret) {
				t.Fatalf("%q has the secret", r.Message)
			}
			last = r.Index
		}
		if d.wait < 0 || d.wait > 24*time.Hour {
			t.Fatalf("a wait of %v", d.wait)
		}
		checkSaid(t, d.text)
		checkSaid(t, d.fault.sentences())
		checkSaid(t, d.activityID)
		if d.action == actionAccept {
			checkAccepted(t, status, body)
		}
	})
}

// checkAccepted knows the forms of an answer that accepts objects: nothing, or an object whose member errors is a list or
// null, by encoding/json.
func checkAccepted(t *testing.T, status int, body []byte) {
	t.Helper()
	if status/100 != 2 {
		t.Fatalf("status %d accepts objects", status)
	}
	said := bytes.TrimSpace(trimMark(body))
	if len(said) == 0 || string(said) == "null" {
		return
	}
	var members map[string]json.RawMessage
	if err := json.Unmarshal(said, &members); err != nil {
		t.Fatalf("%q accepts objects: %v", body, err)
	}
	for name, value := range members {
		var list []json.RawMessage
		if strings.EqualFold(name, "errors") && json.Unmarshal(value, &list) == nil {
			return
		}
	}
	if len(members) > 0 {
		t.Fatalf("%q accepts objects", body)
	}
}

// FuzzLogin reads answers of Microsoft Entra, also to a right login: a token lives for at most a week, and what is told of
// everything else has neither the client secret nor a token.
func FuzzLogin(f *testing.F) {
	now := time.Date(2026, 9, 1, 12, 0, 0, 0, time.UTC)
	f.Fuzz(func(t *testing.T, status int, contentType, after string, body []byte) {
		status = fuzzStatus(status)
		header := http.Header{"Content-Type": {contentType}, "Retry-After": {after}}
		body = trimMark(redactSecret(plantSecret(body), fuzzSecret))
		if status != http.StatusOK {
			err := entraError(status, header, body, now)
			checkSaid(t, err.Error())
			var config *ConfigError
			var unavailable *unavailableError
			if !errors.As(err, &config) && !errors.As(err, &unavailable) {
				t.Fatalf("%v is neither final nor passing", err)
			}
			return
		}
		state, err := readToken(header, body, now)
		if err != nil {
			checkSaid(t, err.Error())
			return
		}
		if life := state.expires.Sub(now); state.token == "" || life <= 0 || life > 7*24*time.Hour || state.renew.After(state.expires) {
			t.Fatalf("%q gives %+v", body, state)
		}
	})
}

// FuzzClaims reads tokens. What the doctor shows of one is short, and not the token.
func FuzzClaims(f *testing.F) {
	f.Fuzz(func(t *testing.T, claims []byte) {
		token := "e30." + base64.RawURLEncoding.EncodeToString(claims) + ".c2lnbmF0dXJl"
		read, err := readClaims(token)
		if err != nil {
			if !errors.Is(err, ErrUnreadableToken) {
				t.Fatal(err)
			}
			return
		}
		if !json.Valid(claims) {
			t.Fatalf("%q was read", claims)
		}
		for _, said := range append(read.Roles, read.Audience, read.AppID, read.ObjectID, read.Tenant) {
			checkSaid(t, said)
		}
	})
}

// FuzzRows reads answers of Log Analytics. Each row of a table is read, or the error says which column cannot be.
func FuzzRows(f *testing.F) {
	now := time.Date(2026, 9, 1, 12, 0, 0, 0, time.UTC)
	f.Fuzz(func(t *testing.T, status int, contentType string, body []byte) {
		status, body = fuzzStatus(status), redactSecret(plantSecret(body), fuzzSecret)
		v := decideQuery(status, http.Header{"Content-Type": {contentType}}, body, now)
		switch {
		case v.next == queryAnswered && (status != http.StatusOK || v.err != nil || len(v.table.columns) == 0):
			t.Fatalf("status %d, %q: %+v", status, body, v)
		case v.next != queryAnswered && v.err == nil:
			t.Fatalf("status %d, %q fails without a reason", status, body)
		case v.err != nil:
			checkSaid(t, v.err.Error())
		}
		for _, row := range v.table.rows {
			r := record{columns: v.table.columns, row: row}
			s := readStanding(&r)
			if r.err == nil && s.Active && s.Deleted {
				t.Fatalf("%q stands, and is deleted", body)
			}
			if r.err != nil && len(r.err.Error()) > 20*maxLine {
				t.Fatalf("the error has %d bytes", len(r.err.Error()))
			}
		}
	})
}

// FuzzQuoteKQL has a text come back whole from a literal of KQL, so that it cannot end before its end.
func FuzzQuoteKQL(f *testing.F) {
	f.Fuzz(func(t *testing.T, text string) {
		literal := quoteKQL(text)
		if got, want := readKQLLiteral(t, literal), strings.ToValidUTF8(text, "\uFFFD"); utf8.ValidString(text) && got != want {
			t.Fatalf("%q became %s and then %q", text, literal, got)
		}
	})
}

// readKQLLiteral reads a literal between single quotes, in which a backslash quotes itself, a quote, or the four digits of
// half a character.
func readKQLLiteral(t *testing.T, literal string) string {
	t.Helper()
	inside, ok := strings.CutPrefix(literal, "'")
	var units []uint16
	for ok && inside != "'" {
		r, size := utf8.DecodeRuneInString(inside)
		switch {
		case r == '\'' || r == '\n' || r == '\r' || size == 0:
			t.Fatalf("%q ends before its end", literal)
		case r != '\\':
			units, inside = utf16.AppendRune(units, r), inside[size:]
		case strings.HasPrefix(inside, `\u`) && len(inside) > 6:
			unit, err := strconv.ParseUint(inside[2:6], 16, 16)
			if err != nil {
				t.Fatalf("%q: %v", literal, err)
			}
			units, inside = append(units, uint16(unit)), inside[6:]
		case len(inside) > 2 && (inside[1] == '\'' || inside[1] == '\\'):
			units, inside = append(units, uint16(inside[1])), inside[2:]
		default:
			t.Fatalf("%q has an escape of another kind", literal)
		}
	}
	return string(utf16.Decode(units))
}
