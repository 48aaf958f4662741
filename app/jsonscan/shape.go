package jsonscan

import "strings"

// Bounds of a shape.
const (
	maxShapeDepth   = 4
	maxShapeMembers = 20 // of one object
	maxShapeName    = 60 // bytes
)

// Shape says what a JSON text is made of, without a value of it: {"error":{"code":text,"details":[object]}}. Of a list it
// tells the first element. "empty" and "no JSON" say what is none.
func Shape(data []byte) string {
	if len(strings.TrimSpace(string(data))) == 0 {
		return "empty"
	}
	if check := NewStrict(data); check.Skip() == (Span{}) || !check.Ended() {
		return "no JSON"
	}
	var b strings.Builder
	s := New(data)
	writeShape(&b, s, data, 1)
	return b.String()
}

func writeShape(b *strings.Builder, s *Scanner, data []byte, depth int) {
	kind := Kind(s.Next())
	switch {
	case kind != "object" && kind != "list", depth > maxShapeDepth:
		b.WriteString(kind)
		s.Skip()
	case kind == "list":
		writeElements(b, s, data, depth)
	default:
		writeMembers(b, s, data, depth)
	}
}

func writeElements(b *strings.Builder, s *Scanner, data []byte, depth int) {
	b.WriteByte('[')
	n := 0
	for range s.Elements {
		if n == 0 {
			writeShape(b, s, data, depth+1)
		} else {
			s.Skip()
		}
		n++
	}
	if n > 1 {
		b.WriteString(", …")
	}
	b.WriteByte(']')
}

func writeMembers(b *strings.Builder, s *Scanner, data []byte, depth int) {
	b.WriteByte('{')
	n := 0
	for name := range s.Members {
		if n++; n > maxShapeMembers {
			s.Skip()
			continue
		}
		if n > 1 {
			b.WriteByte(',')
		}
		b.Write(data[name.Start:min(name.End, name.Start+maxShapeName)])
		b.WriteByte(':')
		writeShape(b, s, data, depth+1)
	}
	if n > maxShapeMembers {
		b.WriteString(", …")
	}
	b.WriteByte('}')
}

// Kind names the type of the value that begins with a byte: text, number, boolean, null, object or list.
func Kind(first byte) string {
	switch first {
	case '"':
		return "text"
	case '{':
		return "object"
	case '[':
		return "list"
	case 't', 'f':
		return "boolean"
	case 'n':
		return "null"
	}
	return "number"
}
