package tcserver

import (
	"bytes"
	"encoding/json"
	"errors"
	"fmt"
)

// Documents are JSON objects as ThreatConnect writes them. They are looked into and taken apart as bytes, since a page
// of ten thousand of them must cost next to nothing beside what the client under test does with it.

// member is one member of an object and where it stands in it, the comma before it included.
type member struct {
	name, value []byte // the name without quotes
	start, end  int
}

var errNoObject = errors.New("not a JSON object")

// eachMember calls visit for the members of an object until it answers false.
func eachMember(object []byte, visit func(member) bool) error {
	at := skipSpace(object, 0)
	if at == len(object) || object[at] != '{' {
		return errNoObject
	}
	at = skipSpace(object, at+1)
	if at < len(object) && object[at] == '}' {
		return nil
	}
	for start := at; at < len(object); start = at {
		if object[at] == ',' {
			at = skipSpace(object, at+1)
		}
		nameEnd := skipValue(object, at)
		colon := skipSpace(object, nameEnd)
		if nameEnd-at < 2 || object[at] != '"' || colon >= len(object) || object[colon] != ':' {
			return errNoObject
		}
		value := skipSpace(object, colon+1)
		end := skipValue(object, value)
		if end <= value {
			return errNoObject
		}
		if !visit(member{object[at+1 : nameEnd-1], object[value:end], start, end}) {
			return nil
		}
		at = skipSpace(object, end)
		if at < len(object) && object[at] == '}' {
			return nil
		}
		if at == len(object) || object[at] != ',' {
			break
		}
	}
	return errNoObject
}

// valueOf returns the raw value of a member, nil when there is none.
func valueOf(object []byte, name string) (value []byte) {
	eachMember(object, func(m member) bool { //nolint:errcheck // a broken object has no such member
		if string(m.name) != name {
			return true
		}
		value = m.value
		return false
	})
	return value
}

// eachElement calls visit for the objects of a collection {"data":[…]} until it answers false.
func eachElement(collection []byte, visit func(object []byte) bool) {
	array := valueOf(collection, "data")
	if len(array) == 0 || array[0] != '[' {
		return
	}
	for at := skipSpace(array, 1); at < len(array) && array[at] != ']'; at = skipSpace(array, at) {
		end := skipValue(array, at)
		if end <= at || !visit(array[at:end]) {
			return
		}
		if at = skipSpace(array, end); at < len(array) && array[at] == ',' {
			at++
		}
	}
}

// textOf returns what a JSON string says, nothing for anything else.
func textOf(value []byte) string {
	if len(value) < 2 || value[0] != '"' {
		return ""
	}
	if bytes.IndexByte(value, '\\') < 0 {
		return string(value[1 : len(value)-1])
	}
	var s string
	if json.Unmarshal(value, &s) != nil {
		return ""
	}
	return s
}

func skipSpace(b []byte, at int) int {
	for at < len(b) && (b[at] == ' ' || b[at] == '\n' || b[at] == '\t' || b[at] == '\r') {
		at++
	}
	return at
}

// skipValue returns where the value that begins at at ends, at or less when there is none.
func skipValue(b []byte, at int) int {
	if at >= len(b) {
		return at
	}
	switch b[at] {
	case '"':
		return skipString(b, at)
	case '{', '[':
		return skipNested(b, at)
	}
	for i := at; i < len(b); i++ {
		switch b[i] {
		case ',', '}', ']', ':', ' ', '\n', '\t', '\r', '"', '{', '[':
			return i
		}
	}
	return len(b)
}

func skipString(b []byte, at int) int {
	for i := at + 1; i < len(b); {
		n := bytes.IndexByte(b[i:], '"')
		if n < 0 {
			break
		}
		i += n
		if !isEscaped(b, i) {
			return i + 1
		}
		i++
	}
	return at
}

// isEscaped says whether an odd number of backslashes stands before a quote.
func isEscaped(b []byte, quote int) bool {
	n := 0
	for quote-1-n >= 0 && b[quote-1-n] == '\\' {
		n++
	}
	return n%2 == 1
}

func skipNested(b []byte, at int) int {
	depth := 0
	for i := at; i < len(b); {
		switch b[i] {
		case '{', '[':
			depth++
		case '}', ']':
			if depth--; depth == 0 {
				return i + 1
			}
		case '"':
			end := skipString(b, i)
			if end <= i {
				return at
			}
			i = end
			continue
		}
		i++
	}
	return at
}

// span is where an optional member stands in a document, and what has to be asked for to get it.
type span struct {
	start, end uint32
	field      uint8
}

// stored is a document that is kept as it was given.
type stored struct {
	raw      []byte
	optional []span
}

// appendDocument writes the members that are always there and those of the wanted fields, in the document's order.
func (d *stored) appendDocument(dst []byte, want fields) []byte {
	from := uint32(0)
	for _, s := range d.optional {
		if want.hasField(s.field) {
			continue
		}
		dst = append(dst, d.raw[from:s.start]...)
		from = s.end
	}
	return append(dst, d.raw[from:]...)
}

// newStored finds the optional members of a document, which must not come first.
func newStored(raw []byte) (*stored, error) {
	d := &stored{raw: raw}
	first := true
	err := eachMember(raw, func(m member) bool {
		field, optional := memberField[string(m.name)]
		if !optional {
			first = false
			return true
		}
		if n := len(d.optional); n > 0 && d.optional[n-1].field == field && d.optional[n-1].end == uint32(m.start) {
			d.optional[n-1].end = uint32(m.end)
		} else {
			d.optional = append(d.optional, span{uint32(m.start), uint32(m.end), field})
		}
		return !first
	})
	if err != nil {
		return nil, err
	}
	if first {
		return nil, fmt.Errorf("the document begins with an optional member")
	}
	return d, nil
}
