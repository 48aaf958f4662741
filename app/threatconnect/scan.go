package threatconnect

import "bytes"

// scanner walks through JSON without decoding it, which takes half the time that a JSON package needs to skip. It is strict
// about structure, so that an answer which lost a part is noticed, and leaves the inside of strings to those who read them.
type scanner struct {
	text  []byte
	at    int
	depth int
}

// maxDepth bounds how deep values may lie in each other. ThreatConnect's lie less than ten deep.
const maxDepth = 100

// object walks through an object; member is called in front of each value and has to pass it. All methods report
// whether the text is as it should be.
func (s *scanner) object(member func(key []byte) bool) bool {
	return s.list('{', '}', func() bool {
		key, ok := s.raw((*scanner).str)
		return ok && s.next() == ':' && s.pass() && member(key[1:len(key)-1])
	})
}

// array walks through an array; element is called in front of each value and has to pass it.
func (s *scanner) array(element func() bool) bool { return s.list('[', ']', element) }

func (s *scanner) list(begin, end byte, item func() bool) bool {
	if s.next() != begin || s.depth == maxDepth {
		return false
	}
	s.depth++
	s.at++
	if s.next() != end {
		for {
			if s.next(); !item() {
				return false
			}
			if s.next() != ',' {
				break
			}
			s.at++
		}
	}
	s.depth--
	return s.next() == end && s.pass()
}

// raw returns the text that a step passes.
func (s *scanner) raw(step func(*scanner) bool) ([]byte, bool) {
	s.next()
	start := s.at
	ok := step(s)
	return s.text[start:s.at:s.at], ok
}

// skip passes one value of any kind.
func (s *scanner) skip() bool {
	switch s.next() {
	case '{':
		return s.object(func([]byte) bool { return s.skip() })
	case '[':
		return s.array(func() bool { return s.skip() })
	case '"':
		return s.str()
	}
	return s.word()
}

// str passes a string.
func (s *scanner) str() bool {
	if s.next() != '"' {
		return false
	}
	for i := s.at + 1; ; i++ {
		n := bytes.IndexByte(s.text[i:], '"')
		if n < 0 {
			return false
		}
		i += n
		slashes := 0
		for s.text[i-1-slashes] == '\\' {
			slashes++
		}
		if slashes%2 == 0 {
			s.at = i + 1
			return true
		}
	}
}

// word passes a number, true, false or null.
func (s *scanner) word() bool {
	start := s.at
	for s.at < len(s.text) && (s.text[s.at] >= '0' && s.text[s.at] <= '9' || s.text[s.at] >= 'a' && s.text[s.at] <= 'z' ||
		s.text[s.at] == '.' || s.text[s.at] == '-' || s.text[s.at] == '+' || s.text[s.at] == 'E') {
		s.at++
	}
	word := s.text[start:s.at]
	if len(word) == 0 {
		return false
	}
	if c := word[0]; c == '-' || c >= '0' && c <= '9' {
		return true
	}
	return string(word) == "true" || string(word) == "false" || string(word) == "null"
}

// next moves to the next byte that says something and returns it, 0 at the end.
func (s *scanner) next() byte {
	for ; s.at < len(s.text); s.at++ {
		if c := s.text[s.at]; c > ' ' {
			return c
		}
	}
	return 0
}

func (s *scanner) pass() bool {
	s.at++
	return true
}
