package stix

import (
	"regexp"
	"strings"
	"unicode/utf8"
)

// tokenKind is the kind of a token of the STIX pattern language.
type tokenKind string

// Kinds of tokens. Keywords and punctuation are kinds of their own, named by their text.
const (
	tokenEnd        tokenKind = "the end"
	tokenInvalid    tokenKind = "a character that does not belong here"
	tokenWord       tokenKind = "a name"               // letters, digits and underscores
	tokenHyphenated tokenKind = "a name with a hyphen" // that of an object type
	tokenString     tokenKind = "a string"
	tokenWhole      tokenKind = "a whole number"
	tokenPositive   tokenKind = "a whole number of 0 or more"
	tokenFloat      tokenKind = "a number with a point"
	tokenNegFloat   tokenKind = "a negative number with a point"
	tokenHex        tokenKind = "a hexadecimal value"
	tokenBinary     tokenKind = "a binary value"
	tokenTimestamp  tokenKind = "a time"
	tokenBool       tokenKind = "true or false"
	tokenEqual      tokenKind = "="
	tokenOrder      tokenKind = "a comparison by order"
)

// keywords of STIX 2.1 section 9. They cannot be names.
var keywords = map[string]tokenKind{
	"true": tokenBool, "false": tokenBool,
	"AND": "AND", "OR": "OR", "NOT": "NOT", "FOLLOWEDBY": "FOLLOWEDBY", "LIKE": "LIKE", "MATCHES": "MATCHES",
	"ISSUPERSET": "ISSUPERSET", "ISSUBSET": "ISSUBSET", "EXISTS": "EXISTS", "LAST": "LAST", "IN": "IN", "START": "START",
	"STOP": "STOP", "SECONDS": "SECONDS", "WITHIN": "WITHIN", "REPEATS": "REPEATS", "TIMES": "TIMES",
}

// operators, of which a longer one comes before one that it begins with.
var operators = []struct {
	text string
	kind tokenKind
}{
	{"==", tokenEqual}, {"=", tokenEqual}, {"!=", tokenEqual}, {"<>", tokenEqual},
	{"<=", tokenOrder}, {">=", tokenOrder}, {"<", tokenOrder}, {">", tokenOrder},
}

var numberForm = regexp.MustCompile(`^[+-]?(?:[0-9]*\.[0-9]+|0|[1-9][0-9]*)`)

// literalForms are the literals that begin with a letter and a quotation mark.
var literalForms = []struct {
	kind tokenKind
	form *regexp.Regexp
}{
	{tokenHex, regexp.MustCompile(`^h'(?:[0-9A-Fa-f]{2})*'`)},
	{tokenBinary, regexp.MustCompile(`^b'(?:[0-9A-Za-z+/]{4})*(?:[0-9A-Za-z+/]{4}|[0-9A-Za-z+/]{3}=|[0-9A-Za-z+/]{2}==)'`)},
	{tokenTimestamp, regexp.MustCompile(`^t'[0-9]{4}-(?:0[1-9]|1[012])-(?:0[1-9]|[12][0-9]|3[01])` +
		`T(?:[01][0-9]|2[0-3]):[0-5][0-9]:(?:[0-5][0-9]|60)(?:\.[0-9]+)?Z'`)},
}

// scanToken reads the token that s begins with; s begins with no blank and no comment. It returns its length, too.
func scanToken(s string) (tokenKind, int) {
	if s == "" {
		return tokenEnd, 0
	}
	switch c := s[0]; {
	case c == '\'':
		return scanString(s)
	case isLetter(c):
		return scanName(s)
	case c == '+', c == '-', c == '.', '0' <= c && c <= '9':
		if kind, n := scanNumber(s); n > 0 {
			return kind, n
		}
	}
	if strings.IndexByte("[]().,:*", s[0]) >= 0 {
		return tokenKind(s[:1]), 1
	}
	for _, o := range operators {
		if strings.HasPrefix(s, o.text) {
			return o.kind, len(o.text)
		}
	}
	return tokenInvalid, 1
}

// scanString reads a string literal: in single quotes, with nothing but \ and ' behind a backslash.
func scanString(s string) (tokenKind, int) {
	for i := 1; i < len(s); i++ {
		switch s[i] {
		case '\'':
			return tokenString, i + 1
		case '\\':
			if i++; i == len(s) || s[i] != '\\' && s[i] != '\'' {
				return tokenInvalid, 1
			}
		}
	}
	return tokenInvalid, 1
}

// scanName reads a name, a keyword, or a literal that begins with a letter.
func scanName(s string) (tokenKind, int) {
	if len(s) > 1 && s[1] == '\'' {
		for _, l := range literalForms {
			if literal := l.form.FindString(s); literal != "" {
				return l.kind, len(literal)
			}
		}
	}
	kind, n := tokenWord, 1
	for n < len(s) && (isLetter(s[n]) || '0' <= s[n] && s[n] <= '9' || s[n] == '-') {
		if s[n] == '-' {
			kind = tokenHyphenated
		}
		n++
	}
	if c := s[0]; c <= 'Z' || c == 't' || c == 'f' { // no keyword begins otherwise
		if keyword, found := keywords[s[:n]]; found {
			kind = keyword
		}
	}
	return kind, n
}

func isLetter(c byte) bool { return 'a' <= c && c <= 'z' || 'A' <= c && c <= 'Z' || c == '_' }

func scanNumber(s string) (tokenKind, int) {
	number := numberForm.FindString(s)
	negative, float := strings.HasPrefix(number, "-"), strings.Contains(number, ".")
	switch {
	case float && negative:
		return tokenNegFloat, len(number)
	case float:
		return tokenFloat, len(number)
	case negative:
		return tokenWhole, len(number)
	}
	return tokenPositive, len(number)
}

// blanks are what may stand between tokens.
const blanks = "\t\r\n\v\f \u0085\u00a0\u1680\u2000\u2001\u2002\u2003\u2004\u2005\u2006\u2007\u2008\u2009\u200a\u2028\u2029\u202f\u205f\u3000"

// skipBlanks returns what follows the blanks and comments that s begins with.
func skipBlanks(s string) string {
	for {
		if s == "" || s[0] > ' ' && s[0] < utf8.RuneSelf && s[0] != '/' {
			return s
		}
		rest := strings.TrimLeft(s, blanks)
		if comment, found := strings.CutPrefix(rest, "/*"); found {
			if _, after, closed := strings.Cut(comment, "*/"); closed {
				rest = after
			}
		} else if strings.HasPrefix(rest, "//") {
			rest = rest[max(0, strings.IndexAny(rest+"\n", "\r\n")):]
		}
		if len(rest) == len(s) {
			return s
		}
		s = rest
	}
}
