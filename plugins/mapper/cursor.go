package mapper

import (
	"strings"

	"github.com/tidwall/gjson"
)

// cursor walks through JSON once and makes nothing of what nobody asks for: a JSON package would go through a collection
// again for every level within it. It is strict, so that damage does not pass for a value, except about control characters
// in strings.
type cursor struct {
	json  string // with a NUL at its end
	at    int
	depth int
	bad   bool // it is no JSON, and what was read of it means nothing
}

// maxDepth bounds how deep values may lie in each other. ThreatConnect's lie less than ten deep.
const maxDepth = 100

// ended tells whether a whole value was passed, and nothing follows.
func (c *cursor) ended() bool { return c.next() == 0 && !c.bad && c.at == len(c.json)-1 }

// object passes an object; member is called in front of each value and has to pass it.
func (c *cursor) object(member func(name string)) {
	c.list('}', func() { member(scalar(c.key())) })
}

// array passes an array; element is called in front of each element and has to pass it.
func (c *cursor) array(element func()) { c.list(']', element) }

func (c *cursor) list(end byte, item func()) {
	c.depth++
	c.bad = c.bad || c.depth > maxDepth
	c.at++
	if c.next() != end {
		for item(); c.next() == ','; item() {
			c.at++
		}
	}
	c.bad = c.bad || c.next() != end
	c.at++
	c.depth--
}

// key passes the name of a member and returns it, as JSON.
func (c *cursor) key() string {
	c.bad = c.bad || c.next() != '"'
	name := c.skip()
	c.bad = c.bad || c.next() != ':'
	c.at++
	return name
}

// next moves to the next byte that says something and returns it, 0 at the end.
func (c *cursor) next() byte {
	for !c.bad {
		switch b := c.json[c.at]; b {
		case ' ', '\t', '\n', '\r':
			c.at++
		default:
			return b
		}
	}
	return 0
}

// skip passes a value and returns it, as JSON.
func (c *cursor) skip() string {
	first := c.next()
	start := c.at
	switch first {
	case '"':
		c.str()
	case '{':
		c.list('}', func() { c.key(); c.skip() })
	case '[':
		c.list(']', func() { c.skip() })
	default:
		c.word()
	}
	if c.bad {
		return "null"
	}
	return c.json[start:c.at]
}

func (c *cursor) str() {
	start, slashes := c.at, 1
	for slashes%2 == 1 {
		c.at++
		n := strings.IndexByte(c.json[c.at:], '"')
		if n < 0 {
			c.bad = true
			return
		}
		c.at += n
		for slashes = 0; c.json[c.at-1-slashes] == '\\'; {
			slashes++
		}
	}
	c.at++
	s := c.json[start:c.at]
	c.bad = strings.IndexByte(s, '\\') >= 0 && !gjson.Valid(s)
}

// word passes a number, true, false or null.
func (c *cursor) word() {
	start := c.at
	for !c.bad && isWord(c.json[c.at]) {
		c.at++
	}
	c.bad = !gjson.Valid(c.json[start:c.at])
}

func isWord(b byte) bool {
	return '0' <= b && b <= '9' || 'a' <= b && b <= 'z' || b == '.' || b == '-' || b == '+' || b == 'E'
}

// scalar is a text, a number or a truth value in JSON, as text; "" for anything else.
func scalar(value string) string {
	switch value[0] {
	case '"':
		if strings.IndexByte(value, '\\') < 0 {
			return value[1 : len(value)-1]
		}
		return gjson.Parse(value).Str
	case '{', '[', 'n':
		return ""
	}
	return value
}
