package mapper

import (
	"strings"

	"github.com/tidwall/gjson"
)

// cursor walks through JSON that is known to be valid, once, and makes nothing of what nobody asks for. A JSON package
// would go through each collection again for every level within it.
type cursor struct {
	json string
	at   int
}

// object passes an object; member is called in front of each value and has to pass it.
func (c *cursor) object(member func(name string)) {
	c.at++
	for c.next() != '}' {
		member(scalar(c.skip()))
	}
	c.at++
}

// array passes an array; element is called in front of each element and has to pass it.
func (c *cursor) array(element func()) {
	c.at++
	for c.next() != ']' {
		element()
	}
	c.at++
}

// next moves to the next byte of a value, or of the end of what holds it, and returns it.
func (c *cursor) next() byte {
	for {
		switch b := c.json[c.at]; b {
		case ' ', '\t', '\n', '\r', ',', ':':
			c.at++
		default:
			return b
		}
	}
}

// skip passes a value and returns it, as JSON.
func (c *cursor) skip() string {
	first := c.next()
	start := c.at
	switch first {
	case '"':
		c.str()
	case '{', '[':
		c.nested()
	default:
		c.word()
	}
	return c.json[start:c.at]
}

func (c *cursor) nested() {
	for depth := 0; ; {
		switch c.json[c.at] {
		case '"':
			c.str()
			continue
		case '{', '[':
			depth++
		case '}', ']':
			depth--
		}
		if c.at++; depth == 0 {
			return
		}
	}
}

func (c *cursor) str() {
	for c.at++; ; c.at++ {
		c.at += strings.IndexByte(c.json[c.at:], '"')
		slashes := 0
		for c.json[c.at-1-slashes] == '\\' {
			slashes++
		}
		if slashes%2 == 0 {
			c.at++
			return
		}
	}
}

// word passes a number, true, false or null.
func (c *cursor) word() {
	for ; c.at < len(c.json); c.at++ {
		if b := c.json[c.at]; b <= ' ' || b == ',' || b == ']' || b == '}' {
			return
		}
	}
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
