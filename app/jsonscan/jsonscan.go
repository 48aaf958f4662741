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

import "bytes"

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
	// verbatim says that the string that was passed last has no escapes.
	verbatim bool
}

// New returns a scanner that checks the structure of the text. The text must not change while it is used.
func New(text []byte) *Scanner { return &Scanner{text: text} }

// NewStrict returns a scanner that checks the inside of strings and numbers too.
func NewStrict(text []byte) *Scanner { return &Scanner{text: text, strict: true} }

// Span is where a value or a name stands in the text: text[Start:End], quotes included.
type Span struct {
	Start, End int
	// Verbatim: it is a string without escapes, whose content is what stands between the quotes. A strict scanner alone tells.
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

// Skip passes the value ahead, of whatever kind, and returns where it stands; an empty span if there is none.
func (s *Scanner) Skip() Span {
	first := s.Next()
	start := s.at
	switch first {
	case '"':
		s.passString()
	case '{':
		s.passObject(nil)
	case '[':
		s.passArray(nil)
	default:
		s.passWord()
	}
	if s.failed {
		return Span{}
	}
	return Span{start, s.at, first == '"' && s.verbatim}
}

// Members passes the object ahead, for use in a loop: for name := range s.Members. The body may read the value of the
// member, by Skip, Members or Elements; otherwise the value is passed. Leaving the loop early ends the scan altogether.
// A value that is no object is passed as one without members.
func (s *Scanner) Members(yield func(name Span) bool) {
	if s.Next() != '{' {
		s.Skip()
		return
	}
	s.passObject(yield)
}

// Elements passes the array ahead, as Members does an object: for range s.Elements.
func (s *Scanner) Elements(yield func() bool) {
	if s.Next() != '[' {
		s.Skip()
		return
	}
	s.passArray(yield)
}

// Ended reports whether the text is read to its end, and was exactly one JSON value.
func (s *Scanner) Ended() bool { return s.Next() == 0 && s.at == len(s.text) && !s.failed }

// fail gives the text up, by moving to its end.
func (s *Scanner) fail() {
	s.failed = true
	s.at = len(s.text)
}

func (s *Scanner) passObject(yield func(Span) bool) {
	if !s.openList() {
		return
	}
	if s.Next() != '}' {
		for {
			name := s.passName()
			if value := s.at; yield != nil && !s.failed && !yield(name) {
				s.fail()
			} else if s.at == value {
				s.Skip()
			}
			if s.Next() != ',' {
				break
			}
			s.at++
		}
	}
	s.closeList('}')
}

func (s *Scanner) passArray(yield func() bool) {
	if !s.openList() {
		return
	}
	if s.Next() != ']' {
		for {
			s.Next() // so that what the body sees ahead does not look as if it had moved
			if value := s.at; yield != nil && !s.failed && !yield() {
				s.fail()
			} else if s.at == value {
				s.Skip()
			}
			if s.Next() != ',' {
				break
			}
			s.at++
		}
	}
	s.closeList(']')
}

func (s *Scanner) openList() bool {
	if s.depth == MaxDepth {
		s.fail()
		return false
	}
	s.depth++
	s.at++
	return true
}

func (s *Scanner) closeList(end byte) {
	s.depth--
	if s.Next() != end {
		s.fail()
		return
	}
	s.at++
}

// passName passes the name of a member and the colon, up to the value.
func (s *Scanner) passName() Span {
	if s.Next() != '"' {
		s.fail()
		return Span{}
	}
	start := s.at
	s.passString()
	name := Span{start, s.at, s.verbatim}
	if s.Next() != ':' {
		s.fail()
		return Span{}
	}
	s.at++
	s.Next()
	return name
}

func (s *Scanner) passString() {
	for end := s.at + 1; ; end++ {
		n := bytes.IndexByte(s.text[end:], '"')
		if n < 0 {
			s.fail()
			return
		}
		end += n
		slashes := 0
		for s.text[end-1-slashes] == '\\' {
			slashes++
		}
		if slashes%2 == 0 {
			inside := s.text[s.at+1 : end]
			s.at = end + 1
			if !s.strict {
				return
			}
			if s.verbatim = bytes.IndexByte(inside, '\\') < 0; !s.verbatim && !validEscapes(inside) {
				s.fail()
			}
			return
		}
	}
}

// passWord passes a number, true, false or null.
func (s *Scanner) passWord() {
	start := s.at
	for s.at < len(s.text) && isWordByte[s.text[s.at]] {
		s.at++
	}
	if !s.validWord(s.text[start:s.at]) {
		s.fail()
	}
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
