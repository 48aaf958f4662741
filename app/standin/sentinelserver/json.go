package sentinelserver

import (
	"strings"

	"github.com/tidwall/gjson"

	"mssentinel/app/jsonscan"
)

// usualLength of a member of an object, about.
const usualLength = 64

// maxDepth of JSON that the service's parser descends into.
const maxDepth = 64

// value is a JSON value as it was sent, "" where there is none. What a string says is only made out where somebody asks.
type value string

// isAbsent says that a value is missing, or null, which is as good.
func (v value) isAbsent() bool { return v == "" || v == "null" }

func (v value) isText() bool { return v != "" && v[0] == '"' }

// isFilled says that a value is a string that is not empty.
func (v value) isFilled() bool { return v.isText() && len(v) > len(`""`) }

func (v value) isObject() bool { return v != "" && v[0] == '{' }
func (v value) isArray() bool  { return v != "" && v[0] == '[' }

// text is what a string says, "" for any other value.
func (v value) text() string {
	if !v.isText() {
		return ""
	}
	if strings.IndexByte(string(v), '\\') >= 0 {
		return gjson.Parse(string(v)).Str
	}
	return string(v[1 : len(v)-1])
}

// member is a member of an object.
type member struct {
	name  string
	value value
}

// element is one of an array with its members, where it is an object.
type element struct {
	value
	members []member
}

// readElement reads the element of body that is ahead; room is for members.
func readElement(scan *jsonscan.Scanner, body value, room []member) element {
	scan.Next()
	start := scan.At()
	for name := range scan.Members {
		at := scan.Skip()
		room = append(room, member{body[name.Start:name.End].text(), body[at.Start:at.End]})
	}
	return element{body[start:scan.At()], room}
}

// elementOf is a value with its members.
func elementOf(v value) element { return readElement(jsonscan.New([]byte(v)), v, nil) }

// member is the first member of that name of an object.
func (v value) member(name string) (found value) {
	scan := jsonscan.New([]byte(v))
	for n := range scan.Members {
		at := scan.Skip()
		if found == "" && v[n.Start:n.End].text() == name {
			found = v[at.Start:at.End]
		}
	}
	return found
}

// everyElement says whether v is an array of nothing but good elements.
func (v value) everyElement(good func(value) bool) bool {
	scan := jsonscan.New([]byte(v))
	for range scan.Elements {
		at := scan.Skip()
		if !good(v[at.Start:at.End]) {
			return false
		}
	}
	return v.isArray()
}

// tooDeep keeps a hostile body from exhausting the stack.
func tooDeep(body []byte) bool {
	depth, quoted := 0, false
	for i := 0; i < len(body); i++ {
		switch c := body[i]; {
		case c == '"':
			quoted = !quoted
		case quoted:
			if c == '\\' {
				i++
			}
		case c == '{' || c == '[':
			if depth++; depth > maxDepth {
				return true
			}
		case c == '}' || c == ']':
			depth--
		}
	}
	return false
}
