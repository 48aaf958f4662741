package mapper

import (
	"errors"
	"fmt"
	"regexp"
	"slices"
	"strings"
	"unicode"
	"unicode/utf8"
)

// Value returns the observable: the member of that name, or the summary where it is missing or blank, without what [Trim]
// takes off. The error says why the value cannot stand in a pattern.
func (i *Indicator) Value(name string) (string, error) {
	value := Trim(i.Written(name))
	return value, Usable(value)
}

// Written is the observable as ThreatConnect writes it, with whatever stands around it: what the name of an object shows.
func (i *Indicator) Written(name string) string {
	if value := i.Member(name); !isBlank(value) {
		return value
	}
	return i.Member("summary")
}

// Usable says why a value cannot stand in a pattern: it is blank, or it is no text, which contains NUL, half a surrogate pair or
// bytes that are no UTF-8. What is no text is reported and never put right: the pattern of another value would come out.
func Usable(value string) error {
	switch {
	case isBlank(value):
		return errors.New("the indicator has no value")
	case strings.IndexByte(value, 0) >= 0:
		return errors.New("the value contains a NUL character")
	case utf8.ValidString(value):
		return nil
	case hasSurrogate(value):
		return errors.New("the value contains half a surrogate pair, which is no character")
	}
	return errors.New("the value is not valid UTF-8")
}

// hasSurrogate reports whether a text has half a surrogate pair, as jsonscan.Exact writes it.
func hasSurrogate(text string) bool {
	for n := range len(text) - 1 {
		if text[n] == 0xED && text[n+1] >= 0xA0 {
			return true
		}
	}
	return false
}

func isBlank(s string) bool { return trimLeft(s) == "" }

// Trim takes off what stands around a value and is no part of it, in whatever type: white space, control characters but NUL,
// and characters that do not show, as they come along when a value is copied (app/docs/mapping.md#around-and-inside-a-value).
// What it returns, Trim leaves as it is.
func Trim(value string) string {
	value = trimLeft(value)
	for value != "" {
		last, size := utf8.DecodeLastRuneInString(value)
		rest := value[:len(value)-size]
		before, _ := utf8.DecodeLastRuneInString(rest)
		if last == utf8.RuneError && size == 1 || !isMargin(before, last) {
			break
		}
		value = rest
	}
	return value
}

func trimLeft(value string) string {
	return strings.TrimLeftFunc(value, func(r rune) bool { return isMargin(0, r) })
}

// isMargin reports whether a character that follows another, 0 for none, is white space, a control character or one that does
// not show. A variation selector shows in the form of what it follows, which is no character of ASCII.
func isMargin(before, r rune) bool {
	switch {
	case r == 0 || r > ' ' && r < unicode.MaxASCII:
		return false
	case unicode.IsSpace(r), unicode.IsControl(r), unicode.Is(invisible, r):
		return true
	case unicode.Is(unicode.Variation_Selector, r):
		return before < utf8.RuneSelf
	}
	return false
}

// invisible are the characters that take no room, or show as a blank. Those that make an emoji out of others are not among them.
var invisible = &unicode.RangeTable{
	R16: []unicode.Range16{
		{0x00AD, 0x00AD, 1}, {0x034F, 0x034F, 1}, {0x061C, 0x061C, 1}, {0x115F, 0x1160, 1}, {0x17B4, 0x17B5, 1}, {0x180E, 0x180E, 1},
		{0x200B, 0x200F, 1}, {0x202A, 0x202E, 1}, {0x2060, 0x206F, 1}, {0x2800, 0x2800, 1}, {0x3164, 0x3164, 1}, {0xFEFF, 0xFEFF, 1},
		{0xFFA0, 0xFFA0, 1}, {0xFFF9, 0xFFFB, 1},
	},
	R32:         []unicode.Range32{{0x1BCA0, 0x1BCA3, 1}, {0x1D173, 0x1D17A, 1}, {0xE0000, 0xE0001, 1}},
	LatinOffset: 1,
}

// Notes say what is odd about a value, without [Trim]'s margins, that is sent all the same: it contains what does not show, or it
// looks defanged. A plain blank is nothing odd.
func Notes(value string) []string { return notesOn(value, value) }

// notesOn are the notes on a value that is compared as a pattern says: what does not stand in that either, because the canonical
// form is without it, is not worth one.
func notesOn(value, pattern string) []string {
	var notes []string
	if odd := oddCharacters(value, pattern); len(odd) > 0 {
		notes = append(notes, fmt.Sprintf("the value contains %s, which does not show: it matches only where that stands too", strings.Join(odd, ", ")))
	}
	if mark := Defanged(value); mark != "" {
		notes = append(notes, fmt.Sprintf("the value looks defanged, by %q: as it stands it will match nothing", mark))
	}
	return notes
}

// maxOdd is how many different characters a note lists.
const maxOdd = 5

// oddCharacters lists, each once, the characters within a value that would be margins around it, and stand in its pattern.
func oddCharacters(value, pattern string) []string {
	var odd []string
	before := rune(0)
	for n, r := range value {
		if r > ' ' && r < unicode.MaxASCII {
			before = r
			continue
		}
		if r != ' ' && isMargin(before, r) && !makesEmoji(r, value[n+utf8.RuneLen(r):]) && strings.ContainsRune(pattern, r) {
			if name := fmt.Sprintf("%U", r); !slices.Contains(odd, name) && len(odd) < maxOdd {
				odd = append(odd, name)
			}
		}
		before = r
	}
	return odd
}

// makesEmoji reports whether a character makes an emoji of what precedes it and of what follows: one of a sequence, or a keycap.
func makesEmoji(r rune, rest string) bool {
	next, _ := utf8.DecodeRuneInString(rest)
	return r == '\u200D' && unicode.Is(unicode.So, next) || next == '\u20E3'
}

// Defanged returns the mark by which a value looks as if it had been made harmless, so that nobody follows it by mistake:
// hxxp:// at its start, [.] or (dot) within it, and their like; "" where there is none
// (app/docs/mapping.md#around-and-inside-a-value).
func Defanged(value string) string {
	if value != "" && strings.IndexByte("hHmMfF", value[0]) >= 0 && !strings.HasPrefix(value, "http") { // which saves most of the time
		if scheme := defangedScheme.FindString(value); scheme != "" {
			return scheme
		}
	}
	for n := range len(value) {
		switch value[n] {
		case '[', '(', '{':
			if mark := markAt(value[n:]); mark != "" {
				return mark
			}
		case ']':
			if n > 0 && value[n-1] == '.' {
				return value[n-1 : n+1]
			}
		}
	}
	return ""
}

var defangedScheme = regexp.MustCompile(`^(?i:h(?:xx|\*\*|tx|xt|__)ps?(?:\[?:\]?/{0,2}|\[)|(?:meow|fxp)s?://)`)

// defangedMarks stand for a dot, an @, a colon or a slash. The first of them that fits counts.
var defangedMarks = [...]string{"[.]", "[.", "(.)", "{.}", "[dot]", "(dot)", "{dot}", "[at]", "(at)", "{at}", "[@]", "[:]", "[/]", "[://]", "[:/]"}

// markAt is the mark at the start of a text, "" where there is none.
func markAt(text string) string {
	for _, mark := range defangedMarks {
		if len(text) >= len(mark) && strings.EqualFold(text[:len(mark)], mark) {
			return text[:len(mark)]
		}
	}
	return ""
}
