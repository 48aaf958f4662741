// Package text makes texts from outside fit to be shown: bounded, valid, without hidden characters, on one line, as a
// sentence.
package text

import (
	"fmt"
	"strings"
	"unicode"
	"unicode/utf16"
	"unicode/utf8"
)

// ellipsis ends what was cut.
const ellipsis = "…"

// Visible is s with U+FFFD in the place of what a reader cannot see and a screen may act on: control characters except
// tab and line feed, marks that turn the direction of writing, and other invisible marks. A text with such marks shows
// as another than it is. Joiners inside words stay, since some scripts need them. Bytes that are no UTF-8 become U+FFFD,
// too.
func Visible(s string) string {
	if !strings.ContainsFunc(s, mayBeHidden) { // as nearly every text
		return s
	}
	return strings.Map(func(r rune) rune {
		if isHidden(r) {
			return utf8.RuneError
		}
		return r
	}, strings.ToValidUTF8(s, "\uFFFD"))
}

// mayBeHidden tells the characters that [Visible] looks at more closely: all but those of ASCII that print, tabs and ends of lines.
func mayBeHidden(r rune) bool { return r < ' ' && r != '\t' && r != '\n' || r > '~' }

// isHidden tells the characters that [Visible] replaces.
func isHidden(r rune) bool {
	switch {
	case !mayBeHidden(r), r == '\u200C', r == '\u200D':
		return false
	case r == '\u2028', r == '\u2029':
		return true
	}
	return unicode.IsControl(r) || unicode.Is(unicode.Cf, r)
}

// JSON is JSON text that is visible as by [Visible] and still says the same: hidden characters, which JSON allows inside
// strings alone, are escaped there.
func JSON(s string) string {
	if !strings.ContainsFunc(s, isHidden) {
		return s
	}
	var out strings.Builder
	for _, r := range s {
		switch {
		case r == '\r': // between values
			out.WriteByte(' ')
		case isHidden(r) && r > 0xFFFF:
			high, low := utf16.EncodeRune(r)
			fmt.Fprintf(&out, `\u%04x\u%04x`, high, low)
		case isHidden(r):
			fmt.Fprintf(&out, `\u%04x`, r)
		default:
			out.WriteRune(r)
		}
	}
	return out.String()
}

// Cut bounds s to size bytes, which are at least three, and makes it visible as [Visible] does. What is longer is cut at
// a character and ends in "…".
func Cut(s string, size int) string {
	s = Visible(s)
	if len(s) <= size {
		return s
	}
	end := size - len(ellipsis)
	for !utf8.RuneStart(s[end]) {
		end--
	}
	return s[:end] + ellipsis
}

// Line is s on one line, every run of blanks and control characters as one blank, and otherwise as [Cut] makes it.
func Line(s string, size int) string {
	fields := strings.FieldsFunc(s, func(r rune) bool { return unicode.IsSpace(r) || unicode.IsControl(r) })
	return Cut(strings.Join(fields, " "), size)
}

// Capital is s with a first letter that is large.
func Capital(s string) string {
	first, size := utf8.DecodeRuneInString(s)
	if size == 0 {
		return ""
	}
	return string(unicode.ToUpper(first)) + s[size:]
}

// Sentence is s without blanks around it, with a first letter that is large and an end: a full stop where it has none.
func Sentence(s string) string {
	s = Capital(strings.TrimSpace(s))
	if s == "" || strings.ContainsAny(s[len(s)-1:], ".!?") {
		return s
	}
	return s + "."
}
