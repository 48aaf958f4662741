package mapper

import (
	"bytes"
	"strconv"
	"unicode/utf8"

	"mssentinel/app/stix"
)

// Bounds of members of a description, in bytes as written. What ThreatConnect sends is shorter; the bounds make sure
// that something is left for the summary whatever is sent.
const (
	maxType      = 100
	maxOwnerName = 200
	maxWebLink   = 300
)

// writeDescription writes the JSON object that is the description of an object in Sentinel, of at most
// stix.MaxDescription bytes (app/docs/mapping.md#descriptions). Where it would be longer, whole attributes and then whole
// groups are left out, the last first; a summary that is too long by itself is cut.
func (i *Indicator) writeDescription(summary string) string {
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

// appendWebLink writes null for a link that is too long: part of one would lead nowhere.
func (i *Indicator) appendWebLink(dst []byte) []byte {
	if i.WebLink == "" || len(i.WebLink) > maxWebLink {
		return append(dst, `null`...)
	}
	return appendText(dst, i.WebLink, 6*maxWebLink)
}

// appendGroup writes the members of a group that ThreatConnect's workbook for Sentinel reads. A group without an owner
// belongs to that of the indicator.
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

// maxEscape is how many bytes of JSON a byte of a text takes at most, as in \u001f.
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
