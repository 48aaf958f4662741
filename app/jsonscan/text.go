package jsonscan

import (
	"strings"
	"unicode/utf16"
	"unicode/utf8"
)

// Text is a scalar that a [Scanner] found, as text: the content of a string, and a number, true or false as they stand;
// "" for null, an object, an array, and an empty span. Bytes of a string that are no UTF-8 stay as they are. An escape
// that JSON does not know, and half a surrogate pair, become U+FFFD. Without escapes it shares the memory of the value.
func Text(value string) string { return readScalar(value, utf8.AppendRune) }

// Exact is [Text], except that half a surrogate pair becomes three bytes of its own that are no UTF-8: no two strings that a
// strict scanner accepts become the same text, and whoever asks for UTF-8 sees that this one is none.
func Exact(value string) string { return readScalar(value, appendHalf) }

// Texts reads a JSON value that is a list of texts, each as [Text] gives it. ok is false for anything else. Without escapes they share the
// memory of the value.
func Texts(list string) (texts []string, ok bool) {
	if inside, plain := cutPlainList(list); plain {
		if texts = strings.Split(inside, `","`); strings.Count(inside, `"`) == 2*(len(texts)-1) {
			return texts, true
		}
	}
	s := NewStrict([]byte(list))
	texts, ok = []string{}, s.Next() == '['
	for range s.Elements {
		ok = ok && s.Next() == '"'
		value := s.Skip()
		texts = append(texts, Text(list[value.Start:value.End]))
	}
	return texts, ok && s.Ended()
}

// cutPlainList gives what stands between the first quote and the last one of a list of texts that has no escapes, and no blanks around it.
// Where it holds no quotes but those of `","`, a split there gives the texts.
func cutPlainList(list string) (inside string, plain bool) {
	inside, opened := strings.CutPrefix(list, `["`)
	inside, closed := strings.CutSuffix(inside, `"]`)
	return inside, opened && closed && strings.IndexByte(inside, '\\') < 0
}

// readScalar reads a scalar as text. appendHalf is given the halves of surrogate pairs, and no other character differs.
func readScalar(value string, appendHalf func([]byte, rune) []byte) string {
	if value == "" {
		return ""
	}
	switch value[0] {
	case '"':
		inside := value[1 : len(value)-1]
		if strings.IndexByte(inside, '\\') < 0 {
			return inside
		}
		return unescape(inside, appendHalf)
	case '{', '[', 'n':
		return ""
	}
	return value
}

// unescape resolves the escapes of a string without its quotes.
func unescape(inside string, appendHalf func([]byte, rune) []byte) string {
	text := make([]byte, 0, len(inside))
	for {
		before, escape, found := strings.Cut(inside, `\`)
		text = append(text, before...)
		if !found {
			return string(text)
		}
		text, inside = appendEscape(text, escape, appendHalf)
	}
}

// appendEscape appends what the escape stands for whose backslash was read, and returns what follows it.
func appendEscape(text []byte, escape string, appendHalf func([]byte, rune) []byte) (grown []byte, rest string) {
	if escape == "" {
		return utf8.AppendRune(text, utf8.RuneError), ""
	}
	rest = escape[1:]
	switch c := escape[0]; c {
	case '"', '\\', '/':
		return append(text, c), rest
	case 'b':
		return append(text, '\b'), rest
	case 'f':
		return append(text, '\f'), rest
	case 'n':
		return append(text, '\n'), rest
	case 'r':
		return append(text, '\r'), rest
	case 't':
		return append(text, '\t'), rest
	case 'u':
		return appendUnicode(text, rest, appendHalf)
	}
	return utf8.AppendRune(text, utf8.RuneError), rest
}

// appendUnicode appends the character whose four hexadecimal digits are ahead, and the second half of a surrogate pair.
func appendUnicode(text []byte, digits string, appendHalf func([]byte, rune) []byte) (grown []byte, rest string) {
	r, ok := hexRune(digits)
	if !ok {
		return utf8.AppendRune(text, utf8.RuneError), digits
	}
	rest = digits[4:]
	if !utf16.IsSurrogate(r) {
		return utf8.AppendRune(text, r), rest
	}
	if second, paired := strings.CutPrefix(rest, `\u`); paired {
		low, _ := hexRune(second)
		if pair := utf16.DecodeRune(r, low); pair != utf8.RuneError {
			return utf8.AppendRune(text, pair), second[4:]
		}
	}
	return appendHalf(text, r), rest
}

// appendHalf writes half a surrogate pair in the form that UTF-8 has for its neighbours and forbids for it.
func appendHalf(text []byte, half rune) []byte {
	return append(text, 0xE0|byte(half>>12), 0x80|byte(half>>6)&0x3F, 0x80|byte(half)&0x3F)
}

// hexRune reads four hexadecimal digits; false where there are fewer.
func hexRune(digits string) (rune, bool) {
	if len(digits) < 4 {
		return 0, false
	}
	var r rune
	for _, c := range []byte(digits[:4]) {
		switch {
		case isDigit(c):
			c -= '0'
		case 'a' <= c && c <= 'f':
			c -= 'a' - 10
		case 'A' <= c && c <= 'F':
			c -= 'A' - 10
		default:
			return 0, false
		}
		r = r<<4 | rune(c)
	}
	return r, true
}
