package threatconnect

import (
	"bytes"
	"iter"
	"strconv"
	"strings"
	"sync/atomic"
	"time"

	"mssentinel/app/jsonscan"
)

// Indicator is one indicator of one owner, with the members that say which one it is. An indicator that lacks one of
// them, or has it in an unreadable form, is there all the same, with a zero in its place.
type Indicator struct {
	// ID belongs to this owner's copy of the indicator. It may exceed 2^53.
	ID           int64
	Type         string
	Owner        string
	LastModified time.Time // UTC
	// Raw is the JSON as ThreatConnect wrote it.
	Raw []byte
	// LeftOut are the fields without which the indicator was read, since it could not be read with them.
	LeftOut []string
	// Unreadable says why the indicator could not be read at all; Raw is nil then. "" for all others.
	Unreadable string
}

// Page is what one answer holds of a selection.
type Page struct {
	// Indicators lie in the memory of the answer, see Free.
	Indicators []Indicator
	// Total is the number of indicators in the whole selection, -1 when ThreatConnect did not say.
	Total int64

	body *pageBody
}

// Free says that nothing looks at the Raw of the page's indicators any more: a page that is still to be read takes their memory. It may
// be called from any goroutine, and more than once. A page that is not freed is left to the garbage collector.
func (p Page) Free() {
	if p.body != nil {
		p.body.free()
	}
}

// pageBody is the memory in which a page was read.
type pageBody struct {
	buffer atomic.Pointer[bytes.Buffer]
	pool   bodyPool
}

func (b *pageBody) free() {
	if buffer := b.buffer.Swap(nil); buffer != nil {
		b.pool.put(buffer)
	}
}

// bodyPool has buffers that no page needs any more.
type bodyPool chan *bytes.Buffer

// spareBodies is how many buffers a pool keeps: more pages are never under way.
const spareBodies = 4

func newBodyPool() bodyPool { return make(bodyPool, spareBodies) }

// take gives a buffer, a new one with room for so many bytes.
func (p bodyPool) take(size int) *bytes.Buffer {
	select {
	case buffer := <-p:
		return buffer
	default:
		return bytes.NewBuffer(make([]byte, 0, size))
	}
}

func (p bodyPool) put(buffer *bytes.Buffer) {
	if buffer.Cap() > 2*pageBytes { // of a row that was
		return
	}
	select {
	case p <- buffer:
	default:
	}
}

// lend has a page own a buffer until it is freed.
func (p bodyPool) lend(buffer *bytes.Buffer) *pageBody {
	b := &pageBody{pool: p}
	b.buffer.Store(buffer)
	return b
}

// answer is the JSON object that every answer consists of (app/docs/threatconnect.md#answers), with its data cut into
// elements.
type answer struct {
	status, code, message string
	next                  string
	count                 int64 // -1 when not said
	// hasList says that the data is a list; items are its elements, as they stand in the body.
	hasList bool
	items   [][]byte
}

// parseAnswer reads a body; false if that is not a complete JSON object. Of a single indicator only the structure is
// checked: what is wrong within a string or a number costs that indicator, not the page.
func parseAnswer(body []byte) (answer, bool) {
	a := answer{count: -1}
	s := jsonscan.New(body)
	isObject := s.Next() == '{'
	for name := range s.Members {
		if string(body[name.Start:name.End]) == `"data"` && s.Next() == '[' {
			a.hasList = true
			for range s.Elements {
				item := s.Skip()
				a.items = append(a.items, body[item.Start:item.End:item.End])
			}
			continue
		}
		value := s.Skip()
		a.setMember(string(body[name.Start:name.End]), body[value.Start:value.End])
	}
	return a, isObject && s.Ended()
}

func (a *answer) setMember(name string, value []byte) {
	switch name {
	case `"status"`:
		a.status = jsonscan.Text(string(value))
	case `"errCode"`:
		a.code = jsonscan.Text(string(value))
	case `"message"`:
		a.message = jsonscan.Text(string(value))
	case `"next"`:
		a.next = jsonscan.Text(string(value))
	case `"count"`:
		a.count = parseInteger(jsonscan.Text(string(value)), -1)
	}
}

// parseIndicators reads the items of the data.
func (a answer) parseIndicators() []Indicator {
	list := make([]Indicator, len(a.items))
	names := nameCache{}
	for n, item := range a.items {
		list[n].Raw = item
		list[n].readMembers(item, names)
	}
	return list
}

// readMembers stops as soon as it has all: what follows is the bulk of the record.
func (i *Indicator) readMembers(record []byte, names nameCache) {
	missing := 4
	s := jsonscan.New(record)
	for name := range s.Members {
		value := s.Skip()
		if !i.setMember(string(record[name.Start:name.End]), record[value.Start:value.End], names) {
			continue
		}
		if missing--; missing == 0 {
			return
		}
	}
}

// setMember sets one of the members that say which indicator it is, and says whether it is one.
func (i *Indicator) setMember(name string, value []byte, names nameCache) bool {
	switch name {
	case `"id"`:
		i.ID = parseInteger(jsonscan.Text(string(value)), 0)
	case `"type"`:
		i.Type = names.lookUp(value)
	case `"ownerName"`:
		i.Owner = names.lookUp(value)
	case `"lastModified"`:
		i.LastModified = parseDate(jsonscan.Text(string(value)))
	default:
		return false
	}
	return true
}

// nameCache holds the names of a page by their JSON: there are few, and each comes many times.
type nameCache map[string]string

func (c nameCache) lookUp(value []byte) string {
	name, known := c[string(value)]
	if !known {
		name = jsonscan.Text(string(value))
		c[string(value)] = name
	}
	return name
}

// scalars goes through the members of a record, with their values as text: "" for an object or a list.
func scalars(record []byte) iter.Seq2[string, string] {
	return func(yield func(name, value string) bool) {
		text := string(record)
		s := jsonscan.New(record)
		for name := range s.Members {
			value := s.Skip()
			if !yield(jsonscan.Text(text[name.Start:name.End]), jsonscan.Text(text[value.Start:value.End])) {
				return
			}
		}
	}
}

// parseInteger reads an integer exactly, beyond 2^53 too.
func parseInteger(text string, otherwise int64) int64 {
	n, err := strconv.ParseInt(strings.TrimSpace(text), 10, 64)
	if err != nil {
		return otherwise
	}
	return n
}

// parseDate reads the forms of app/docs/threatconnect.md#dates; zero for anything else.
func parseDate(text string) time.Time {
	text = strings.TrimSpace(text)
	for _, layout := range [...]string{time.RFC3339, "2006-01-02T15:04:05", time.DateTime, time.DateOnly} {
		if t, err := time.Parse(layout, text); err == nil {
			return t.UTC()
		}
	}
	return time.Time{}
}
