// Package jsonscan walks through JSON without decoding it: a caller takes the values that it needs, as they stand in the
// text, and everything else is passed at the speed of a search for quotes. encoding/json takes several times as long,
// because it reads a value once to find its end, and again for every level within it.
//
// What is promised, and compared with encoding/json by a fuzz test:
//
//   - Every text that [encoding/json.Valid] accepts, and whose values lie at most [MaxDepth] deep in each other, is accepted.
//   - [New] checks the structure: brackets, commas, colons, names, and true, false and null. What it accepts is JSON
//     once each string and number in it is replaced by a sound one. So a text that was cut off is noticed, and one that
//     lost a part in the middle unless JSON is left, while a damaged escape in one value does not cost all the others:
//     it is for whoever reads that value.
//   - [NewStrict] checks the numbers and the escapes within strings too. What it accepts is JSON, except that strings may
//     hold control characters as they are.
//   - Neither looks at the encoding of characters: strings may hold bytes that are no UTF-8, as with encoding/json.
//   - No text makes it panic, loop for ever, or use more stack than MaxDepth levels need.
package jsonscan

import (
	"encoding/binary"
	"math/bits"
)

// MaxDepth bounds how many objects and arrays may lie within each other: a deeper text is refused, so that none
// exhausts the stack.
const MaxDepth = 100

// Scanner walks through one JSON text, forwards. Once the text turns out not to be JSON, nothing more is read of it:
// Next is 0, loops end, and Ended is false. What was read until then means nothing.
type Scanner struct {
	text   []byte
	at     int // up to here everything is read
	depth  int // objects and arrays that are open
	strict bool
	failed bool
}

// New returns a scanner that checks the structure of the text. The text must not change while it is used.
func New(text []byte) *Scanner { return &Scanner{text: text} }

// NewStrict returns a scanner that checks the inside of strings and numbers too.
func NewStrict(text []byte) *Scanner { return &Scanner{text: text, strict: true} }

// Span is where a value or a name stands in the text: text[Start:End], quotes included.
type Span struct {
	Start, End int
	// Verbatim: it is a string without escapes, whose content is what stands between the quotes.
	Verbatim bool
}

// Next is the first byte of what is ahead: of a value one of { [ " - t f n or a digit; 0 at the end of the text.
func (s *Scanner) Next() byte {
	for s.at < len(s.text) {
		switch c := s.text[s.at]; c {
		case ' ', '\t', '\n', '\r':
			s.at++
		default:
			return c
		}
	}
	return 0
}

// At is how much of the text is read: after Next where the value ahead begins, after a value where that ended.
func (s *Scanner) At() int { return s.at }

// Skip passes the value ahead, of whatever kind, and returns where it stands; an empty span if there is none.
func (s *Scanner) Skip() Span {
	first := s.Next()
	value := Span{Start: s.at}
	if first == '"' {
		value.End, value.Verbatim = s.passString(s.at)
	} else {
		value.End = s.passValue(s.at)
	}
	if !s.moveTo(value.End) {
		return Span{}
	}
	return value
}

// Members passes the object ahead, for use in a loop: for name := range s.Members. The body may read the value of the
// member, by Skip, Members or Elements; otherwise the value is passed. Leaving the loop early ends the scan altogether.
// A value that is no object is passed as one without members.
func (s *Scanner) Members(yield func(name Span) bool) {
	if s.Next() != '{' {
		s.Skip()
		return
	}
	s.moveTo(s.passObject(s.at, yield))
}

// Elements passes the array ahead, as Members does an object: for range s.Elements.
func (s *Scanner) Elements(yield func() bool) {
	if s.Next() != '[' {
		s.Skip()
		return
	}
	s.moveTo(s.passArray(s.at, yield))
}

// Ended reports whether the text is read to its end, and was exactly one JSON value.
func (s *Scanner) Ended() bool { return s.Next() == 0 && s.at == len(s.text) && !s.failed }

// nowhere is where a value ends that is none.
const nowhere = -1

// moveTo goes on to where a value ends; false if it was none: the text is given up then, by moving to its end.
func (s *Scanner) moveTo(end int) bool {
	if end == nowhere {
		s.failed = true
		s.at = len(s.text)
		return false
	}
	s.at = end
	return true
}

// The functions that follow give where the value, the name or the blanks end that begin at a place, nowhere if they do not. The place
// stays in a register so, and is written down for visitors alone: that takes a quarter less time.

func (s *Scanner) passValue(at int) int {
	if at == len(s.text) {
		return nowhere
	}
	switch s.text[at] {
	case '"':
		end, _ := s.passString(at)
		return end
	case '{':
		return s.passObject(at, nil)
	case '[':
		return s.passArray(at, nil)
	}
	return s.passWord(at)
}

func (s *Scanner) passObject(at int, yield func(Span) bool) int {
	at, empty := s.openList(at, '}')
	if empty || at == nowhere {
		return at
	}
	for {
		name, value := s.passName(at)
		if value == nowhere {
			return nowhere
		}
		if s.at = value; yield != nil && (!yield(name) || s.failed) {
			return nowhere
		}
		if at = s.passUnread(value); !s.stands(',', at) {
			break
		}
		at = passBlanks(s.text, at+1)
	}
	return s.closeList('}', at)
}

func (s *Scanner) passArray(at int, yield func() bool) int {
	at, empty := s.openList(at, ']')
	if empty || at == nowhere {
		return at
	}
	for {
		if s.at = at; yield != nil && (!yield() || s.failed) {
			return nowhere
		}
		if at = s.passUnread(at); !s.stands(',', at) {
			break
		}
		at = passBlanks(s.text, at+1)
	}
	return s.closeList(']', at)
}

// passUnread passes a member's or an element's value, unless it was read, and the blanks behind it.
func (s *Scanner) passUnread(value int) int {
	end := s.at
	if end == value {
		if end = s.passValue(value); end == nowhere {
			return nowhere
		}
	}
	return passBlanks(s.text, end)
}

// openList gives where the first member or element begins, or where an empty list ends.
func (s *Scanner) openList(at int, end byte) (first int, empty bool) {
	if s.depth >= MaxDepth {
		return nowhere, false
	}
	if at = passBlanks(s.text, at+1); s.stands(end, at) {
		return at + 1, true
	}
	s.depth++
	return at, false
}

func (s *Scanner) closeList(end byte, at int) int {
	if !s.stands(end, at) {
		return nowhere
	}
	s.depth--
	return at + 1
}

// stands says whether a byte stands at a place.
func (s *Scanner) stands(b byte, at int) bool { return uint(at) < uint(len(s.text)) && s.text[at] == b }

func passBlanks(text []byte, at int) int {
	for at < len(text) && isBlank[text[at]] {
		at++
	}
	return at
}

var isBlank = [256]bool{' ': true, '\t': true, '\n': true, '\r': true}

// passName passes the name of a member and the colon, up to the value.
func (s *Scanner) passName(at int) (name Span, value int) {
	if !s.stands('"', at) {
		return Span{}, nowhere
	}
	name.Start = at
	name.End, name.Verbatim = s.passString(at)
	if name.End == nowhere {
		return Span{}, nowhere
	}
	at = passBlanks(s.text, name.End)
	if !s.stands(':', at) {
		return Span{}, nowhere
	}
	return name, passBlanks(s.text, at+1)
}

// Of eight bytes in a word, the highest bit of each and the lowest.
const (
	highs = 0x8080808080808080
	lows  = 0x0101010101010101
)

// passString looks for a quote and for a backslash in eight bytes at once: most strings are shorter than what two calls of
// [bytes.IndexByte] are worth.
func (s *Scanner) passString(at int) (end int, verbatim bool) {
	text, start := s.text, at+1
	verbatim = true
	for at = start; ; at += 2 {
		for at+8 <= len(text) {
			word := binary.LittleEndian.Uint64(text[at:])
			quote, slash := word^(lows*'"'), word^(lows*'\\') // 0 where one stands
			// A byte that is 0 gets its highest bit set by the subtraction. So may bytes above it, which come later in the text.
			if found := ((quote-lows)&^quote | (slash-lows)&^slash) & highs; found != 0 {
				at += bits.TrailingZeros64(found) / 8
				break
			}
			at += 8
		}
		for at < len(text) && text[at] != '"' && text[at] != '\\' { // the last bytes of the text
			at++
		}
		if at >= len(text) {
			return nowhere, false
		}
		if text[at] == '"' {
			break
		}
		verbatim = false
	}
	if s.strict && !verbatim && !validEscapes(text[start:at]) {
		return nowhere, false
	}
	return at + 1, verbatim
}

// passWord passes a number, true, false or null.
func (s *Scanner) passWord(at int) int {
	start := at
	for at < len(s.text) && isWordByte[s.text[at]] {
		at++
	}
	if !s.validWord(s.text[start:at]) {
		return nowhere
	}
	return at
}

// isWordByte tells the bytes that numbers, true, false and null may have.
var isWordByte = func() (is [256]bool) {
	for _, b := range "0123456789abcdefghijklmnopqrstuvwxyz.-+E" {
		is[b] = true
	}
	return is
}()

func (s *Scanner) validWord(word []byte) bool {
	switch {
	case len(word) == 0:
		return false
	case word[0] == '-' || isDigit(word[0]):
		return !s.strict || validNumber(word)
	}
	return string(word) == "true" || string(word) == "false" || string(word) == "null"
}

func isDigit(b byte) bool { return '0' <= b && b <= '9' }

// validNumber follows RFC 8259 section 6.
func validNumber(word []byte) bool {
	if word[0] == '-' {
		word = word[1:]
	}
	whole := countDigits(word)
	if whole == 0 || whole > 1 && word[0] == '0' {
		return false
	}
	word = word[whole:]
	if len(word) > 0 && word[0] == '.' {
		fraction := countDigits(word[1:])
		if fraction == 0 {
			return false
		}
		word = word[1+fraction:]
	}
	if len(word) > 0 && (word[0] == 'e' || word[0] == 'E') {
		word = word[1:]
		if len(word) > 0 && (word[0] == '+' || word[0] == '-') {
			word = word[1:]
		}
		exponent := countDigits(word)
		if exponent == 0 {
			return false
		}
		word = word[exponent:]
	}
	return len(word) == 0
}

func countDigits(word []byte) int {
	n := 0
	for n < len(word) && isDigit(word[n]) {
		n++
	}
	return n
}

// validEscapes follows RFC 8259 section 7.
func validEscapes(inside []byte) bool {
	for i := 0; i < len(inside); i++ {
		if inside[i] != '\\' {
			continue
		}
		i++ // there is a byte: a string does not end in an odd number of backslashes
		switch inside[i] {
		case '"', '\\', '/', 'b', 'f', 'n', 'r', 't':
		case 'u':
			if _, ok := hexRune(string(inside[i+1 : min(i+5, len(inside))])); !ok {
				return false
			}
			i += 4
		default:
			return false
		}
	}
	return true
}
