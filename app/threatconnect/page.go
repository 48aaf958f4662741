package threatconnect

import (
	"strconv"
	"strings"
	"time"
	"unsafe"

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

// envelope is what surrounds the data of an answer (spec §2.2). Its texts share the memory of the body.
type envelope struct {
	status, code, message string
	next                  string
	count                 int64 // -1 when not said
	data                  gjson.Result
}

// answer is a body that says Success.
type answer struct {
	envelope
	body []byte
}

// open reads the envelope of a body; false if that is not a JSON object.
func open(body []byte) (envelope, bool) {
	e := envelope{count: -1}
	if !gjson.ValidBytes(body) {
		return e, false
	}
	// A copy of each page just to call it a string would cost as much memory again. Nobody writes to the body.
	top := gjson.Parse(unsafe.String(unsafe.SliceData(body), len(body)))
	if !top.IsObject() {
		return e, false
	}
	top.ForEach(func(key, value gjson.Result) bool {
		switch key.Str {
		case "status":
			e.status = text(value)
		case "errCode":
			e.code = text(value)
		case "message":
			e.message = text(value)
		case "next":
			e.next = text(value)
		case "count":
			e.count = whole(value, -1)
		case "data":
			e.data = value
		}
		return true
	})
	return e, true
}

// indicators cuts the data of an answer into its records. rows is how many there may be. The error says that there is
// no list at all, which must not pass for an empty one.
func (a answer) indicators(rows int) ([]Indicator, error) {
	if !a.data.IsArray() {
		return nil, errDamaged
	}
	list := make([]Indicator, 0, min(rows, len(a.body)/64+1))
	names := names{}
	a.data.ForEach(func(_, record gjson.Result) bool {
		i := Indicator{Raw: a.body[record.Index : record.Index+len(record.Raw) : record.Index+len(record.Raw)]}
		if record.IsObject() {
			i.read(record, names)
		}
		list = append(list, i)
		return true
	})
	return list, nil
}

// read stops as soon as it has all: what follows is the bulk of the record.
func (i *Indicator) read(record gjson.Result, names names) {
	missing := 4
	record.ForEach(func(key, value gjson.Result) bool {
		switch key.Str {
		case "id":
			i.ID = whole(value, 0)
		case "type":
			i.Type = names.own(text(value))
		case "ownerName":
			i.Owner = names.own(text(value))
		case "lastModified":
			i.LastModified = date(text(value))
		default:
			return true
		}
		missing--
		return missing > 0
	})
}

// names holds one copy of each name of a page, apart from the page, so that a name can be kept without it.
type names map[string]string

func (n names) own(name string) string {
	kept, known := n[name]
	if !known {
		kept = strings.Clone(name)
		n[kept] = kept
	}
	return kept
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
