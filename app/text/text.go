// Package text makes texts from outside fit to be shown: bounded, valid, on one line, as a sentence.
package text

import (
	"strings"
	"unicode"
	"unicode/utf8"
)

// ellipsis ends what was cut.
const ellipsis = "…"

// Cut bounds s to size bytes, which are at least three. What is longer is cut at a character and ends in "…"; bytes that are
// no UTF-8 become U+FFFD.
func Cut(s string, size int) string {
	s = strings.ToValidUTF8(s, "\uFFFD")
	if len(s) <= size {
		return s
	}
	end := size - len(ellipsis)
	for !utf8.RuneStart(s[end]) {
		end--
	}
	return s[:end] + ellipsis
}

// Line is s on one line, every run of blanks and control characters as one blank, and bounded as by [Cut].
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
