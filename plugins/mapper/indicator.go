package mapper

import (
	"errors"
	"math"
	"slices"
	"strconv"
	"strings"
	"time"
	"unicode/utf8"

	"mssentinel/app/jsonscan"
)

// Indicator is one indicator as ThreatConnect wrote it. What ThreatConnect does not have is
// zero, nil or an empty list. The texts are UTF-8 without NUL; Member gives any member as it came.
type Indicator struct {
	// ID is per owner; it may exceed 2^53.
	ID int64
	// Type as ThreatConnect spells it, for example "Email Subject".
	Type      string
	Summary   string
	OwnerName string
	WebLink   string
	// DateAdded is zero where it is missing or cannot be read.
	DateAdded time.Time
	// Confidence is 0 to 100, Rating 0 to 5, ThreatAssessScore 0 to 1000; nil means not set.
	Confidence        *int
	Rating            *float64
	ThreatAssessScore *int
	Tags              []Tag
	Attributes        []Attribute
	SecurityLabels    []SecurityLabel
	AssociatedGroups  []Group

	members []member
	// unreadDate is what stands for the date where it could not be read.
	unreadDate string
	// labelsLeftOut is how many labels the object that was made last had no room for, and unknownLabels are the security labels
	// that it did not understand.
	labelsLeftOut int
	unknownLabels []string
	// Room that the next indicator uses again. Descriptions, labels and phases are those of all its objects, one behind the other; object
	// is the one of a [Single]; to numbers point the members that may not be set.
	descriptions []byte
	labels       []string
	phases       []KillChainPhase
	object       [1]Object
	parser       parser
	numbers      struct {
		confidence, score int
		rating            float64
	}
}

// Tag is a tag. TechniqueID, for example T1566.001, marks one of ATT&CK, and Tactics are those that
// the technique serves, for example "Initial Access".
type Tag struct {
	Name, TechniqueID string
	Tactics           []string
}

// Attribute is an attribute; Type is the name of its type.
type Attribute struct {
	Type, Value string
	// Pinned is one that a person put before the others, Default the one that stands for those of its type.
	Pinned, Default bool
}

// SecurityLabel is a security label, for example TLP:AMBER.
type SecurityLabel struct{ Name string }

// Group is an associated group.
type Group struct{ Type, Name, OwnerName string }

// member is a text, a number or a truth value at the top of the JSON object, as text.
type member struct{ name, value string }

// Parse reads an indicator. It is tolerant: a member of an unexpected form counts as not set.
// The indicator shares the memory of raw, which must not change any more. The error says that raw is not a JSON object.
func Parse(raw []byte) (*Indicator, error) {
	i := new(Indicator)
	if err := i.parse(raw); err != nil {
		return nil, err
	}
	return i, nil
}

// parse makes the indicator the one in raw, in the room of the one that it was before.
func (i *Indicator) parse(raw []byte) error {
	*i = Indicator{Tags: i.Tags[:0], Attributes: i.Attributes[:0], SecurityLabels: i.SecurityLabels[:0],
		AssociatedGroups: i.AssociatedGroups[:0], members: slices.Grow(i.members[:0], 32), descriptions: i.descriptions[:0],
		labels: i.labels[:0], phases: i.phases[:0], parser: parser{Scanner: *jsonscan.NewStrict(raw), text: shareText(raw)}}
	p := &i.parser
	first := p.Next()
	for name := range p.Members {
		i.readMember(p.readScalar(name), p)
	}
	switch {
	case !p.Ended():
		return errors.New("the indicator is not valid JSON")
	case first != '{':
		return errors.New("the indicator is not a JSON object")
	}
	return nil
}

// Member returns a text, number or truth value of the JSON object as text, untouched; "" where it is missing. It may hold what
// is no text: see [Usable].
func (i *Indicator) Member(name string) string {
	for _, m := range i.members {
		if m.name == name {
			return m.value
		}
	}
	return ""
}

// parser walks through the JSON of an indicator. All texts of the indicator share the memory of one copy.
type parser struct {
	jsonscan.Scanner
	text string
}

// readScalar gives a text, a number or a truth value as text, untouched; "" for anything else.
func (p *parser) readScalar(value jsonscan.Span) string {
	if value.Verbatim {
		return p.text[value.Start+1 : value.End-1]
	}
	return jsonscan.Exact(p.text[value.Start:value.End])
}

// readText reads the scalar ahead as it may stand in any member of an object.
func (p *parser) readText() string { return cleanText(p.readScalar(p.Skip())) }

func (i *Indicator) readMember(name string, p *parser) {
	switch p.Next() {
	case '{', '[':
		i.readCollection(name, p)
	case 'n': // null counts as not set
	default:
		i.setMember(name, p.readScalar(p.Skip()))
	}
}

func (i *Indicator) setMember(name, value string) {
	i.members = append(i.members, member{name, value})
	switch name {
	case "id":
		i.ID, _ = strconv.ParseInt(strings.TrimSpace(value), 10, 64)
	case "type":
		i.Type = cleanText(value)
	case "summary":
		i.Summary = cleanText(value)
	case "ownerName":
		i.OwnerName = cleanText(value)
	case "webLink":
		i.WebLink = strings.TrimSpace(cleanText(value))
	case "dateAdded":
		i.readDateAdded(value)
	case "confidence":
		i.Confidence = parseInt(value, 100, &i.numbers.confidence)
	case "rating":
		i.Rating = parseNumber(value, 5, &i.numbers.rating)
	case "threatAssessScore":
		i.ThreatAssessScore = parseInt(value, 1000, &i.numbers.score)
	}
}

func (i *Indicator) readCollection(name string, p *parser) {
	switch name {
	case "tags":
		i.Tags = readElements(p, i.Tags[:0], func(t *Tag, name string) {
			switch name {
			case "name":
				t.Name = p.readText()
			case "techniqueId":
				t.TechniqueID = p.readText()
			case "tactics":
				t.Tactics = p.readTexts()
			}
		})
	case "attributes":
		i.Attributes = readElements(p, i.Attributes[:0], func(a *Attribute, name string) {
			switch name {
			case "type":
				a.Type = p.readText()
			case "value":
				a.Value = p.readText()
			case "pinned":
				a.Pinned = p.readScalar(p.Skip()) == "true"
			case "default":
				a.Default = p.readScalar(p.Skip()) == "true"
			}
		})
	case "securityLabels":
		i.SecurityLabels = readElements(p, i.SecurityLabels[:0], func(l *SecurityLabel, name string) {
			if name == "name" {
				l.Name = p.readText()
			}
		})
	case "associatedGroups":
		i.AssociatedGroups = readElements(p, i.AssociatedGroups[:0], func(g *Group, name string) {
			switch name {
			case "type":
				g.Type = p.readText()
			case "name":
				g.Name = p.readText()
			case "ownerName":
				g.OwnerName = p.readText()
			}
		})
	}
}

// readTexts reads a collection of texts: {"data":["…"]}.
func (p *parser) readTexts() []string {
	var texts []string
	p.walkCollection(func() {
		if p.Next() == '"' {
			texts = append(texts, p.readText())
		}
	})
	return texts
}

// readElements appends a collection of objects: {"data":[{…},…]}. set may read the value ahead, that of the member with this name.
func readElements[T any](p *parser, list []T, set func(element *T, name string)) []T {
	p.walkCollection(func() {
		if p.Next() != '{' {
			return
		}
		var element T
		list = append(list, element)
		for name := range p.Members {
			set(&list[len(list)-1], p.readScalar(name))
		}
	})
	return list
}

// walkCollection calls visit with each element of a collection ahead, which may read it. An empty collection is {}
// (app/docs/threatconnect.md#collections).
func (p *parser) walkCollection(visit func()) {
	for name := range p.Members {
		if p.readScalar(name) != "data" {
			continue
		}
		for range p.Elements {
			visit()
		}
	}
}

// cleanText replaces what no member of an object may hold: NUL, and bytes that are no UTF-8.
func cleanText(s string) string {
	if !utf8.ValidString(s) { // which is asked in far less time
		s = strings.ToValidUTF8(s, "\uFFFD")
	}
	if strings.IndexByte(s, 0) >= 0 {
		s = strings.ReplaceAll(s, "\x00", "\uFFFD")
	}
	return s
}

// parseNumber reads 3.00 into room; nil for what is no number from 0 to the greatest.
func parseNumber(value string, greatest float64, room *float64) *float64 {
	n, err := strconv.ParseFloat(strings.TrimSpace(value), 64)
	if err != nil || !(n >= 0 && n <= greatest) {
		return nil
	}
	*room = n
	return room
}

// parseInt rounds to a whole number.
func parseInt(value string, greatest float64, room *int) *int {
	var n float64
	if parseNumber(value, greatest, &n) == nil {
		return nil
	}
	*room = int(math.Round(n))
	return room
}
