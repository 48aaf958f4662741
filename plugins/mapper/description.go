package mapper

import (
	"bytes"
	"strconv"
	"unicode/utf8"

	"mssentinel/app/stix"
)

// Bounds of the members of a description that are never cut in practice, in bytes as written.
// They leave room for the summary whatever ThreatConnect sends.
const (
	maxType      = 100
	maxOwnerName = 200
	maxWebLink   = 300
)

// description writes the JSON object of the user guide's Tables 2 to 10, at most
// stix.MaxDescription bytes: whole attributes, then whole groups are left out, the last first,
// and a summary that is too long all by itself is cut.
func (i *Indicator) description(summary string) string {
	const groups, attributes, end = `, "associatedGroups": [`, `], "attributes": [`, `], "webLink": `

	middle := i.appendScores(make([]byte, 0, 256))
	middle = appendText(append(middle, `, "ownerName": `...), i.OwnerName, maxOwnerName)
	link := i.appendWebLink(make([]byte, 0, 128))

	d := make([]byte, 0, stix.MaxDescription)
	d = appendText(append(d, `{"type": `...), i.Type, maxType)
	d = append(d, `, "summary": `...)
	room := stix.MaxDescription - len(d) - len(middle) - len(groups) - len(attributes) - len(end) - len(link) - len(`}`)
	start := len(d)
	d = appendText(d, summary, room)
	room -= len(d) - start

	d = append(append(d, middle...), groups...)
	start = len(d)
	d, all := appendFitting(d, room, i.AssociatedGroups, i.appendGroup)
	room -= len(d) - start
	d = append(d, attributes...)
	if all {
		d, _ = appendFitting(d, room, i.Attributes, appendAttribute)
	}
	return string(append(append(append(d, end...), link...), '}'))
}

func (i *Indicator) appendScores(dst []byte) []byte {
	dst = appendNumber(append(dst, `, "confidence": `...), i.Confidence)
	dst = append(dst, `, "rating": `...)
	if i.Rating == nil {
		dst = append(dst, `null`...)
	} else {
		dst = strconv.AppendFloat(dst, *i.Rating, 'f', -1, 64)
	}
	return appendNumber(append(dst, `, "threatAssessScore": `...), i.ThreatAssessScore)
}

func appendNumber(dst []byte, n *int) []byte {
	if n == nil {
		return append(dst, `null`...)
	}
	return strconv.AppendInt(dst, int64(*n), 10)
}

// appendWebLink writes null rather than part of a link, which would lead nowhere.
func (i *Indicator) appendWebLink(dst []byte) []byte {
	if i.WebLink == "" || len(i.WebLink) > maxWebLink {
		return append(dst, `null`...)
	}
	return appendText(dst, i.WebLink, 6*maxWebLink)
}

// appendGroup writes what Sentinel's workbook and the reader need; a group without owner is the indicator's.
func (i *Indicator) appendGroup(dst []byte, g Group) []byte {
	owner := g.OwnerName
	if owner == "" {
		owner = i.OwnerName
	}
	dst = appendText(append(dst, `{"type": `...), g.Type, stix.MaxDescription)
	dst = appendText(append(dst, `, "name": `...), g.Name, stix.MaxDescription)
	dst = appendText(append(dst, `, "ownerName": `...), owner, stix.MaxDescription)
	return append(dst, '}')
}

func appendAttribute(dst []byte, a Attribute) []byte {
	dst = appendText(append(dst, `{"type": `...), a.Type, stix.MaxDescription)
	dst = appendText(append(dst, `, "value": `...), a.Value, stix.MaxDescription)
	return append(dst, '}')
}

// appendFitting appends elements, separated by commas, as long as they fit into room bytes, and
// tells whether all did.
func appendFitting[T any](dst []byte, room int, list []T, one func([]byte, T) []byte) (fitting []byte, all bool) {
	limit := len(dst) + room
	for n, element := range list {
		size := len(dst)
		if n > 0 {
			dst = append(dst, `, `...)
		}
		if dst = one(dst, element); len(dst) > limit {
			return dst[:size], false
		}
	}
	return dst, true
}

// appendText appends s as a JSON string of at most room bytes; what is longer is cut at a
// character and ends in "…".
func appendText(dst []byte, s string, room int) []byte {
	start := len(dst)
	dst = appendQuoted(dst, s)
	for n := len(s); len(dst)-start > room && n > 0; {
		over := len(dst) - start - room
		n -= max(1, (over-len("…"))/maxEscape)
		for n > 0 && !utf8.RuneStart(s[n]) {
			n--
		}
		dst = appendQuoted(dst[:start], s[:max(n, 0)]+"…")
	}
	return dst
}

// maxEscape is how many bytes a byte of a text takes at most.
const maxEscape = 6

// appendQuoted appends s as a JSON string without the texts by which Sentinel's rules exclude an
// indicator: a value that contains one must not switch the indicator off.
func appendQuoted(dst []byte, s string) []byte {
	start := len(dst)
	dst = stix.AppendString(dst, s)
	for _, excluding := range [...]string{"State: inactive;", "State: falsepos;"} {
		if bytes.Contains(dst[start:], []byte(excluding)) {
			harmless := bytes.ReplaceAll(dst[start:], []byte(excluding), []byte(`State\u003a`+excluding[len("State:"):]))
			dst = append(dst[:start], harmless...)
		}
	}
	return dst
}
