package mapper

import (
	"errors"
	"math"
	"strconv"
	"strings"
	"time"
	"unicode/utf8"
)

// Indicator is one indicator as ThreatConnect wrote it. What ThreatConnect does not have is
// zero or nil. The texts are UTF-8 without NUL; Member gives any member as it came.
type Indicator struct {
	// ID is per owner; it may exceed 2^53.
	ID int64
	// Type as ThreatConnect spells it, for example "Email Subject".
	Type      string
	Summary   string
	OwnerName string
	WebLink   string
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
}

// Tag is a tag. TechniqueID, for example T1566.001, marks one of ATT&CK.
type Tag struct{ Name, TechniqueID string }

// Attribute is an attribute; Type is the name of its type.
type Attribute struct{ Type, Value string }

// SecurityLabel is a security label, for example TLP:AMBER.
type SecurityLabel struct{ Name string }

// Group is an associated group.
type Group struct{ Type, Name, OwnerName string }

// member is a text, a number or a truth value at the top of the JSON object, as text.
type member struct{ name, value string }

// Parse reads an indicator. It is tolerant: a member of an unexpected form counts as not set.
// The error says that raw is not a JSON object.
func Parse(raw []byte) (*Indicator, error) {
	c := &cursor{json: string(raw) + "\x00"}
	i := &Indicator{members: make([]member, 0, 32)}
	first := c.next()
	if first == '{' {
		c.object(func(name string) { i.set(name, c) })
	} else {
		c.skip()
	}
	switch {
	case !c.ended():
		return nil, errors.New("the indicator is not valid JSON")
	case first != '{':
		return nil, errors.New("the indicator is not a JSON object")
	}
	return i, nil
}

// Member returns a text, number or truth value of the JSON object as text, untouched; "" where it is missing.
func (i *Indicator) Member(name string) string {
	for _, m := range i.members {
		if m.name == name {
			return m.value
		}
	}
	return ""
}

// Value returns the observable: the member of that name, or the summary where it is missing
// or blank. The error says why the value cannot stand in a pattern.
func (i *Indicator) Value(name string) (string, error) {
	value := i.Member(name)
	if blank(value) {
		value = i.Member("summary")
	}
	return value, Usable(value)
}

// Usable says why a value cannot stand in a pattern: it is blank, contains NUL or is not UTF-8.
func Usable(value string) error {
	switch {
	case blank(value):
		return errors.New("the indicator has no value")
	case strings.IndexByte(value, 0) >= 0:
		return errors.New("the value contains a NUL character")
	case !utf8.ValidString(value):
		return errors.New("the value is not valid UTF-8")
	}
	return nil
}

func blank(s string) bool { return strings.TrimSpace(s) == "" }

func (i *Indicator) set(name string, c *cursor) {
	switch c.next() {
	case '{', '[':
		i.setCollection(name, c)
	case 'n': // null
		c.skip()
	default:
		i.setMember(name, c.skip())
	}
}

func (i *Indicator) setMember(name, value string) {
	i.members = append(i.members, member{name, scalar(value)})
	switch name {
	case "id":
		i.ID, _ = strconv.ParseInt(strings.TrimSpace(scalar(value)), 10, 64)
	case "type":
		i.Type = text(value)
	case "summary":
		i.Summary = text(value)
	case "ownerName":
		i.OwnerName = text(value)
	case "webLink":
		i.WebLink = strings.TrimSpace(text(value))
	case "dateAdded":
		i.DateAdded = date(scalar(value))
	case "confidence":
		i.Confidence = whole(value, 100)
	case "rating":
		i.Rating = number(value, 5)
	case "threatAssessScore":
		i.ThreatAssessScore = whole(value, 1000)
	}
}

func (i *Indicator) setCollection(name string, c *cursor) {
	switch name {
	case "tags":
		i.Tags = collection(c, func(t *Tag, name, value string) {
			switch name {
			case "name":
				t.Name = text(value)
			case "techniqueId":
				t.TechniqueID = text(value)
			}
		})
	case "attributes":
		i.Attributes = collection(c, func(a *Attribute, name, value string) {
			switch name {
			case "type":
				a.Type = text(value)
			case "value":
				a.Value = text(value)
			}
		})
	case "securityLabels":
		i.SecurityLabels = collection(c, func(l *SecurityLabel, name, value string) {
			if name == "name" {
				l.Name = text(value)
			}
		})
	case "associatedGroups":
		i.AssociatedGroups = collection(c, func(g *Group, name, value string) {
			switch name {
			case "type":
				g.Type = text(value)
			case "name":
				g.Name = text(value)
			case "ownerName":
				g.OwnerName = text(value)
			}
		})
	default:
		c.skip()
	}
}

// collection reads {"data":[{…},…]}, which is {} when empty; set is given the members of each element, as JSON.
func collection[T any](c *cursor, set func(element *T, name, value string)) []T {
	if c.next() != '{' {
		c.skip()
		return nil
	}
	var list []T
	c.object(func(name string) {
		if name != "data" || c.next() != '[' {
			c.skip()
			return
		}
		c.array(func() {
			if c.next() != '{' {
				c.skip()
				return
			}
			var element T
			c.object(func(name string) { set(&element, name, c.skip()) })
			list = append(list, element)
		})
	})
	return list
}

// text is a JSON value as it may stand in any member of an object; "" for an object, a list or null.
func text(value string) string {
	s := strings.ToValidUTF8(scalar(value), "\uFFFD")
	if strings.IndexByte(s, 0) >= 0 {
		s = strings.ReplaceAll(s, "\x00", "\uFFFD")
	}
	return s
}

// number reads 3.00 and "3.00"; nil for what is no number from 0 to the greatest.
func number(value string, greatest float64) *float64 {
	n, err := strconv.ParseFloat(strings.TrimSpace(scalar(value)), 64)
	if err != nil || !(n >= 0 && n <= greatest) {
		return nil
	}
	return &n
}

func whole(value string, greatest float64) *int {
	n := number(value, greatest)
	if n == nil {
		return nil
	}
	i := int(math.Round(*n))
	return &i
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
