package mapper

import (
	"bytes"
	"cmp"
	"slices"
	"strconv"
	"strings"
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
// stix.MaxDescription bytes (app/docs/mapping.md#descriptions). Where it would be longer, whole groups and attributes are
// left out, the least useful first: groups take their room before attributes. A summary that is too long by itself is cut.
func (i *Indicator) writeDescription(summary string) string {
	const groups, attributes, end = `, "associatedGroups": [`, `], "attributes": [`, `], "webLink": `

	middle := i.appendScores(make([]byte, 0, 256))
	middle = appendText(append(middle, `, "ownerName": `...), i.OwnerName, maxOwnerName)
	link := i.appendWebLink(make([]byte, 0, 128))

	all := slices.Grow(i.descriptions, stix.MaxDescription)
	d := all[len(all):]
	d = appendText(append(d, `{"type": `...), i.Type, maxType)
	d = append(d, `, "summary": `...)
	room := stix.MaxDescription - len(d) - len(middle) - len(groups) - len(attributes) - len(end) - len(link) - len(`}`)
	start := len(d)
	d = appendText(d, summary, room)
	room -= len(d) - start

	d = append(append(d, middle...), groups...)
	start = len(d)
	d = appendMostUseful(d, room, i.AssociatedGroups, i.appendGroup, Group.rank)
	room -= len(d) - start
	d = append(d, attributes...)
	d = appendMostUseful(d, room, i.Attributes, appendAttribute, Attribute.rank)
	d = append(append(append(d, end...), link...), '}')
	i.descriptions = all[:len(all)+len(d)]
	return shareText(d)
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
	start := len(dst)
	if dst = appendQuoted(dst, i.WebLink); len(dst)-start > maxWebLink+len(`""`) {
		return append(dst[:start], `null`...)
	}
	return dst
}

// usefulGroups are the types of groups, the most useful to an analyst first: who is behind the indicator, what is used, how,
// what happened, what to do, and where to read about it. Types that are not listed come behind.
var usefulGroups = []string{
	"Intrusion Set", "Adversary", "Campaign", "Malware", "Tool", "Threat", "Vulnerability", "Attack Pattern", "Incident", "Event",
	"Course of Action", "Signature", "Report",
}

// rank is lower the more useful the group is.
func (g Group) rank() int { return rankOf(g.Type, usefulGroups) }

// usefulAttributes are types of attributes, the most useful first. Types that are not listed come behind.
var usefulAttributes = []string{"Description", "Source", phaseOfIntrusion}

// rank is lower the more useful the attribute is: what was pinned comes first, then goes the type, within which the default is first.
func (a Attribute) rank() int {
	rank := 2 * rankOf(a.Type, usefulAttributes)
	if !a.Default {
		rank++
	}
	if !a.Pinned {
		rank += 2 * (len(usefulAttributes) + 1)
	}
	return rank
}

// rankOf is where the type stands in the list, without regard to case, or the length of the list.
func rankOf(typ string, list []string) int {
	for n, useful := range list {
		if strings.EqualFold(useful, typ) {
			return n
		}
	}
	return len(list)
}

// appendMostUseful appends the elements of a list for which there is room, in bytes, with commas between. Where not all fit, the
// most useful take their room first. appendOne appends an element, or nothing where it does not fit.
func appendMostUseful[T any](dst []byte, room int, list []T, appendOne func(dst []byte, room int, e T) []byte, rank func(T) int) []byte {
	all, fit := appendAll(dst, room, list, appendOne)
	if !fit {
		measure := func(room int, e T) int { return len(appendOne(dst, room, e)) - len(dst) }
		all, _ = appendAll(dst, room, chooseMostUseful(room, list, measure, rank), appendOne)
	}
	return all
}

// chooseMostUseful gives the elements for which there is room, in their order. The lower its rank, the earlier an element takes
// its room, and of one rank the first; one that does not fit leaves the room to those behind it. measure is how many bytes an
// element takes, 0 where that is more than there is room for.
func chooseMostUseful[T any](room int, list []T, measure func(room int, e T) int, rank func(T) int) []T {
	order := make([]int, len(list))
	for n, e := range list {
		order[n] = rank(e)*len(list) + n
	}
	slices.Sort(order)
	var chosen []int
	for _, at := range order {
		n, left := at%len(list), room
		if len(chosen) > 0 {
			left -= len(comma)
		}
		if size := measure(left, list[n]); size > 0 {
			room = left - size
			chosen = append(chosen, n)
		}
	}
	slices.Sort(chosen)
	fitting := make([]T, len(chosen))
	for k, n := range chosen {
		fitting[k] = list[n]
	}
	return fitting
}

const comma = ", "

// appendAll appends the elements of a list with commas between, and tells whether all of them fit into room bytes.
func appendAll[T any](dst []byte, room int, list []T, appendOne func(dst []byte, room int, e T) []byte) (all []byte, fit bool) {
	limit := len(dst) + room
	for n, e := range list {
		if n > 0 {
			dst = append(dst, comma...)
		}
		size := len(dst)
		if dst = appendOne(dst, limit-size, e); len(dst) == size {
			return nil, false
		}
	}
	return dst, true
}

// appendGroup appends the members of a group that ThreatConnect's workbook for Sentinel reads. A group without an owner
// belongs to that of the indicator.
func (i *Indicator) appendGroup(dst []byte, room int, g Group) []byte {
	return appendWhole(dst, room, member{"type", g.Type}, member{"name", g.Name}, member{"ownerName", cmp.Or(g.OwnerName, i.OwnerName)})
}

func appendAttribute(dst []byte, room int, a Attribute) []byte {
	return appendWhole(dst, room, member{"type", a.Type}, member{"value", a.Value})
}

// appendWhole appends texts as a JSON object, none of them cut, or nothing where that takes more than room bytes.
func appendWhole(dst []byte, room int, members ...member) []byte {
	start, limit := len(dst), len(dst)+room
	before := `{"`
	for _, m := range members {
		if len(dst)+len(m.value) > limit { // not worth escaping
			return dst[:start]
		}
		dst = append(append(append(dst, before...), m.name...), `": `...)
		dst = appendQuoted(dst, m.value)
		before = `, "`
	}
	if dst = append(dst, '}'); len(dst) > limit {
		return dst[:start]
	}
	return dst
}

// appendText appends s as a JSON string of at most room bytes; what is longer is cut at a
// character and ends in "…".
func appendText(dst []byte, s string, room int) []byte {
	start := len(dst)
	if len(s) <= room {
		if dst = appendQuoted(dst, s); len(dst)-start <= room {
			return dst
		}
	}
	for n := min(len(s)-1, room-len(`"`+cutEnd)); ; { // a byte of a text takes one at least
		for n > 0 && !utf8.RuneStart(s[n]) {
			n--
		}
		dst = appendQuoted(dst[:start], s[:max(n, 0)])
		dst = append(dst[:len(dst)-len(`"`)], cutEnd...)
		over := len(dst) - start - room
		if over <= 0 || n <= 0 {
			return dst
		}
		n -= max(1, over/maxEscape)
	}
}

// cutEnd ends a text that was cut.
const cutEnd = `…"`

// maxEscape is how many bytes of JSON a byte of a text takes at most, as in \u001f.
const maxEscape = 6

// appendQuoted appends s as a JSON string without the texts by which Sentinel's rules exclude an
// indicator: a value that contains one must not switch the indicator off.
func appendQuoted(dst []byte, s string) []byte {
	start := len(dst)
	dst = stix.AppendString(dst, s)
	if !strings.Contains(s, "State: ") {
		return dst
	}
	for _, excluding := range [...]string{"State: inactive;", "State: falsepos;"} {
		if bytes.Contains(dst[start:], []byte(excluding)) {
			harmless := bytes.ReplaceAll(dst[start:], []byte(excluding), []byte(`State\u003a`+excluding[len("State:"):]))
			dst = append(dst[:start], harmless...)
		}
	}
	return dst
}
