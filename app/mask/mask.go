// Package mask finds secrets in texts from outside, in whatever form they come back, so that they can be taken out before
// a text is stored, shown or logged.
package mask

import (
	"bytes"
	"fmt"
	"net/http"
	"regexp"
	"slices"
	"strings"
	"sync"
	"unicode/utf16"
	"unicode/utf8"
)

// minSecret is the length in bytes below which nothing is masked: it would spoil every text and protect nothing.
const minSecret = 4

// Mask finds secrets in texts. It may be used by several goroutines.
type Mask struct{ secrets []maskedSecret }

// maskedSecret is a secret as it may stand in a text.
type maskedSecret struct {
	text []byte
	// core is the longest part of letters and digits, which nobody writes in another way: a text without it does not have
	// the secret.
	core []byte
	// form finds the secret in whatever way its other characters are written; nil where it has none.
	form func() *regexp.Regexp
}

// New makes a mask for secrets of at least four bytes; shorter ones are left alone. A secret with blanks around it is found
// without them as well, since what repeats a text often trims it.
func New(secrets ...string) *Mask {
	secrets = slices.Clone(secrets)
	for _, s := range secrets {
		secrets = append(secrets, strings.TrimSpace(s))
	}
	// The longest come first, so that one inside another leaves no rest.
	slices.SortFunc(secrets, func(a, b string) int {
		if len(a) != len(b) {
			return len(b) - len(a)
		}
		return strings.Compare(a, b)
	})
	m := &Mask{}
	for _, s := range slices.Compact(secrets) {
		if len(s) < minSecret {
			continue
		}
		hidden := maskedSecret{text: []byte(s), core: longestCore(s)}
		if len(hidden.core) < len(s) {
			hidden.form = sync.OnceValue(func() *regexp.Regexp { return regexp.MustCompile(writtenForms(s)) })
		}
		m.secrets = append(m.secrets, hidden)
	}
	return m
}

// Replace returns text with each secret replaced by the given word: where it stands in clear, and where JSON, forms, URLs,
// HTML or quotation marks, also several of them in layers, write some of its characters in their own way.
func (m *Mask) Replace(text []byte, by string) []byte {
	for _, s := range m.secrets {
		if !bytes.Contains(text, s.core) {
			continue
		}
		if s.form != nil { // first, since the text of a secret may be the beginning of what stands for it
			text = s.form().ReplaceAllLiteral(text, []byte(by))
		}
		text = bytes.ReplaceAll(text, s.text, []byte(by))
	}
	return text
}

func longestCore(s string) []byte {
	longest := ""
	for _, part := range strings.FieldsFunc(s, func(r rune) bool { return !isPlain(r) }) {
		if len(part) > len(longest) {
			longest = part
		}
	}
	return []byte(longest)
}

// isPlain tells the characters that every notation writes as they are.
func isPlain(r rune) bool {
	return 'a' <= r && r <= 'z' || 'A' <= r && r <= 'Z' || '0' <= r && r <= '9'
}

// writtenForms is a regular expression for s in all notations.
func writtenForms(s string) string {
	var out strings.Builder
	for i := 0; i < len(s); {
		r, size := utf8.DecodeRuneInString(s[i:])
		if isPlain(r) {
			out.WriteRune(r)
		} else {
			out.WriteString("(?:" + strings.Join(listNotations(r, s[i:i+size]), "|") + ")")
		}
		i += size
	}
	return out.String()
}

// named are the names of characters in HTML, and the letters for them behind a backslash.
var (
	named     = map[rune]string{'&': "amp", '<': "lt", '>': "gt", '"': "quot", '\'': "apos", '+': "plus", '/': "sol", '=': "equals"}
	backslash = map[rune]string{'\n': "n", '\r': "r", '\t': "t", '\b': "b", '\f': "f", '\v': "v", '\a': "a"}
)

// A backslash and the beginning and end of a character of HTML, as other layers write them.
const (
	slash     = `(?:\\+u(?i:005c)|\\|%(?:25)*5[cC]|&(?:amp;)*#(?i:92|x5c);)`
	ampersand = `(?:&(?:amp;)*|%(?:25)*26|` + slash + `+u0026)`
	numberOf  = `(?:#|%(?:25)*23)`
	semicolon = `(?:;|%(?:25)*3[bB])`
)

// listNotations gives the ways to write a character, of which raw has the bytes. With each layer backslashes grow in number, and
// percent signs and ampersands are written in the way of that layer. The character itself comes last: it may be the beginning of
// another of them, of which a rest would be left.
func listNotations(r rune, raw string) []string {
	percent, hex := "", ""
	for _, b := range []byte(raw) {
		percent += fmt.Sprintf("%%(?:25)*(?i:%02x)", b)
		hex += slash + fmt.Sprintf(`+x(?i:%02x)`, b)
	}
	unicode := slash + fmt.Sprintf(`+u(?i:%04x)`, r)
	if r > 0xFFFF {
		high, low := utf16.EncodeRune(r)
		unicode = slash + fmt.Sprintf(`+u(?i:%04x)`, high) + slash + fmt.Sprintf(`+u(?i:%04x)`, low)
	}
	forms := []string{slash + `*` + ampersand + numberOf + fmt.Sprintf("(?:0*%d|(?i:x0*%x))", r, r) + semicolon}
	if name := named[r]; name != "" {
		forms = append(forms, slash+`*`+ampersand+name+semicolon)
	}
	forms = append(forms, slash+`*`+percent, hex, unicode, slash+fmt.Sprintf(`+U(?i:%08x)`, r))
	if letter := backslash[r]; letter != "" {
		forms = append(forms, slash+`+`+letter)
	}
	if r == ' ' { // a + in forms
		forms = append(forms, listNotations('+', "+")...)
	}
	if r == '\\' {
		return append(forms, slash+`+`)
	}
	return append(forms, slash+`*`+regexp.QuoteMeta(string(r))) // which finds bytes that are no UTF-8, too
}

// Credentials are what a request was authorized with: the parts of its Authorization header, each of which an answer may
// repeat alone.
func Credentials(r *http.Request) []string {
	if r == nil {
		return nil
	}
	header := r.Header.Get("Authorization")
	_, proof, _ := strings.Cut(header, " ")
	_, signature, _ := strings.Cut(proof, ":")
	return []string{header, proof, signature}
}

// HideInError returns err with text made of its own by clean. Where that changes nothing, err itself is returned; else
// what it wraps can still be looked for.
func HideInError(err error, clean func(string) string) error {
	if err == nil {
		return nil
	}
	said := err.Error()
	if cleaned := clean(said); cleaned != said {
		return hiddenError{cleaned, err}
	}
	return err
}

// hiddenError says something else than the error that it wraps.
type hiddenError struct {
	text string
	err  error
}

func (h hiddenError) Error() string { return h.text }
func (h hiddenError) Unwrap() error { return h.err }
