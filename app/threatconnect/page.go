package threatconnect

import (
	"strconv"
	"strings"
	"time"

	"github.com/tidwall/gjson"
)

// Indicator is one indicator of one owner, with the members that say which one it is. An indicator that lacks one of
// them, or has it in an unreadable form, is there all the same, with a zero in its place.
type Indicator struct {
	// ID may exceed 2^53.
	ID           int64
	Type         string
	Owner        string
	LastModified time.Time
	// Raw is the JSON as ThreatConnect wrote it. It shares the memory of its page: keeping one keeps all.
	Raw []byte
}

// Page is what one answer holds of a selection.
type Page struct {
	Indicators []Indicator
	// Total is the number of indicators in the whole selection, -1 when ThreatConnect did not say.
	Total int64
}

// envelope is what surrounds the data of an answer (spec §2.2), and the data, cut into its elements.
type envelope struct {
	status, code, message string
	next                  string
	count                 int64 // -1 when not said
	// list says that the data is a list; items are its elements, as they stand in the body.
	list  bool
	items [][]byte
}

// open reads the envelope of a body; false if that is not a complete JSON object.
func open(body []byte) (envelope, bool) {
	e := envelope{count: -1}
	s := scanner{text: body}
	ok := s.object(func(key []byte) bool {
		if string(key) == "data" && s.next() == '[' {
			e.list = true
			return s.array(func() bool {
				item, ok := s.raw((*scanner).skip)
				e.items = append(e.items, item)
				return ok
			})
		}
		value, ok := s.raw((*scanner).skip)
		e.set(string(key), value)
		return ok
	})
	return e, ok && s.next() == 0 && s.at == len(body)
}

func (e *envelope) set(key string, value []byte) {
	switch key {
	case "status":
		e.status = text(gjson.ParseBytes(value))
	case "errCode":
		e.code = text(gjson.ParseBytes(value))
	case "message":
		e.message = text(gjson.ParseBytes(value))
	case "next":
		e.next = text(gjson.ParseBytes(value))
	case "count":
		e.count = whole(gjson.ParseBytes(value), -1)
	}
}

// indicators are the items of the data.
func (e envelope) indicators() []Indicator {
	list := make([]Indicator, len(e.items))
	names := names{}
	for n, item := range e.items {
		list[n].Raw = item
		list[n].read(item, names)
	}
	return list
}

// read stops as soon as it has all: what follows is the bulk of the record.
func (i *Indicator) read(record []byte, names names) {
	missing := 4
	s := scanner{text: record}
	s.object(func(key []byte) bool {
		value, ok := s.raw((*scanner).skip)
		switch string(key) {
		case "id":
			i.ID = whole(gjson.ParseBytes(value), 0)
		case "type":
			i.Type = names.own(value)
		case "ownerName":
			i.Owner = names.own(value)
		case "lastModified":
			i.LastModified = date(text(gjson.ParseBytes(value)))
		default:
			return ok
		}
		missing--
		return missing > 0
	})
}

// names holds the names of a page by their JSON: there are few, and each comes many times.
type names map[string]string

func (n names) own(value []byte) string {
	name, known := n[string(value)]
	if !known {
		name = text(gjson.ParseBytes(value))
		n[string(value)] = name
	}
	return name
}

// text is a scalar as text; "" for anything else.
func text(v gjson.Result) string {
	switch v.Type {
	case gjson.String:
		return v.Str
	case gjson.Null, gjson.JSON:
		return ""
	}
	return v.Raw
}

// whole reads 12 and "12", exact beyond 2^53.
func whole(v gjson.Result, otherwise int64) int64 {
	n, err := strconv.ParseInt(strings.TrimSpace(text(v)), 10, 64)
	if err != nil {
		return otherwise
	}
	return n
}

// date reads what ThreatConnect writes, at times with a trailing blank; zero for anything else.
func date(s string) time.Time {
	s = strings.TrimSpace(s)
	for _, layout := range [...]string{time.RFC3339, "2006-01-02T15:04:05", time.DateTime, time.DateOnly} {
		if t, err := time.Parse(layout, s); err == nil {
			return t.UTC()
		}
	}
	return time.Time{}
}
