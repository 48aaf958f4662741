package tql

import (
	"strings"
	"unicode"
	"unicode/utf8"
)

type tokenKind int

const (
	end tokenKind = iota
	word
	number
	quoted
	operator
	open
	closed
	comma
)

// token is one word, value or sign of a query.
type token struct {
	kind  tokenKind
	text  string // of a quoted one without its quotes and escapes
	start int    // in bytes
	stop  int
}

func (t token) isKeyword(keyword string) bool {
	return t.kind == word && strings.EqualFold(t.text, keyword)
}

func (t token) String() string {
	switch t.kind {
	case end:
		return "the end of the query"
	case quoted:
		return `"` + t.text + `"`
	}
	return t.text
}

// splitTokens cuts a query into tokens, the last of which is the end.
func splitTokens(query string) ([]token, error) {
	var tokens []token
	for at := 0; ; {
		at += len(query[at:]) - len(strings.TrimLeftFunc(query[at:], unicode.IsSpace))
		if at == len(query) {
			return append(tokens, token{kind: end, start: at, stop: at}), nil
		}
		t, err := readToken(query, at)
		if err != nil {
			return nil, err
		}
		tokens = append(tokens, t)
		at = t.stop
	}
}

func readToken(query string, at int) (token, error) {
	rest := query[at:]
	switch c := rest[0]; {
	case c == '(':
		return token{open, "(", at, at + 1}, nil
	case c == ')':
		return token{closed, ")", at, at + 1}, nil
	case c == ',':
		return token{comma, ",", at, at + 1}, nil
	case c == '"' || c == '\'' || c == '`':
		return lexQuoted(query, at)
	case isLetter(c):
		return token{word, rest[:countBytes(rest, isWordPart)], at, at + countBytes(rest, isWordPart)}, nil
	case isDigit(c) || c == '-' && len(rest) > 1 && isDigit(rest[1]):
		return lexNumber(query, at)
	}
	for _, sign := range []string{"==", "!=", ">=", "<=", "=", ">", "<"} {
		if strings.HasPrefix(rest, sign) {
			return token{operator, sign, at, at + len(sign)}, nil
		}
	}
	r, _ := utf8.DecodeRuneInString(rest)
	return token{}, newError(query, at, "unexpected character %q", r)
}

func lexQuoted(query string, at int) (token, error) {
	quote := query[at]
	var text strings.Builder
	for i := at + 1; i < len(query); i++ {
		switch c := query[i]; {
		case c == quote:
			return token{quoted, text.String(), at, i + 1}, nil
		case c == '\\' && i+1 < len(query) && strings.IndexByte("\"'`\\", query[i+1]) >= 0:
			i++
			text.WriteByte(query[i])
		default:
			text.WriteByte(c)
		}
	}
	return token{}, newError(query, at, "the string that begins here has no closing %c", quote)
}

func lexNumber(query string, at int) (token, error) {
	rest := query[at:]
	n := 1 + countBytes(rest[1:], func(c byte) bool { return isDigit(c) || c == '.' })
	text := rest[:n]
	if strings.Count(text, ".") > 1 || strings.HasSuffix(text, ".") || n < len(rest) && isWordPart(rest[n]) {
		return token{}, newError(query, at, "malformed number")
	}
	return token{number, text, at, at + n}, nil
}

func countBytes(s string, in func(byte) bool) int {
	for i := range len(s) {
		if !in(s[i]) {
			return i
		}
	}
	return len(s)
}

func isDigit(c byte) bool    { return '0' <= c && c <= '9' }
func isLetter(c byte) bool   { return 'a' <= c|0x20 && c|0x20 <= 'z' || c == '_' }
func isWordPart(c byte) bool { return isLetter(c) || isDigit(c) }
