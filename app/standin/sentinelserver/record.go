package sentinelserver

import (
	"hash/maphash"
	"maps"
	"slices"
	"strconv"
	"strings"
	"time"

	"github.com/google/uuid"
)

// record is one element of stixobjects, read once.
type record struct {
	raw     string // as it was sent
	kind    string // its STIX type
	id      string
	pattern string
	content uint64    // hash of everything but modified and valid_until
	unnamed bool      // has no spec_version: accepted, and noted as a warning
	until   time.Time // its valid_until, zero for none
}

// recordFault is why one record was rejected.
type recordFault struct {
	index    int
	messages []string
}

// form is what a member has to look like.
type form int

const (
	text form = iota + 1
	filledText
	texts
	boolean
	percent
	timestamp
	identifier
	identity
	marking
	markings
	object
	references
	granular
	phases
)

// common members of every type, app/docs/sentinel.md#members.
var common = map[string]form{
	"type": filledText, "id": identifier, "spec_version": filledText, "created": timestamp, "modified": timestamp,
	"created_by_ref": identity, "revoked": boolean, "labels": texts, "confidence": percent, "lang": text,
	"object_marking_refs": markings, "external_references": references, "granular_markings": granular, "extensions": object,
}

// members of each type.
var members = withCommon(map[string]map[string]form{
	"indicator": {
		"pattern": filledText, "pattern_type": filledText, "valid_from": timestamp, "valid_until": timestamp,
		"name": text, "description": text, "indicator_types": texts, "pattern_version": text, "kill_chain_phases": phases,
	},
	"attack-pattern": {"name": filledText, "description": text, "aliases": texts, "kill_chain_phases": phases},
	"identity": {
		"name": filledText, "description": text, "roles": texts, "identity_class": text, "sectors": texts, "contact_information": text,
	},
	"threat-actor": {
		"name": filledText, "description": text, "threat_actor_types": texts, "aliases": texts, "first_seen": timestamp,
		"last_seen": timestamp, "roles": texts, "goals": texts, "sophistication": text, "resource_level": text,
		"primary_motivation": text, "secondary_motivations": texts, "personal_motivations": texts,
	},
	"relationship": {
		"relationship_type": filledText, "source_ref": marking, "target_ref": marking, "description": text,
		"start_time": timestamp, "stop_time": timestamp,
	},
})

func withCommon(own map[string]map[string]form) map[string]map[string]form {
	for _, forms := range own {
		maps.Copy(forms, common)
	}
	return own
}

// required members of each type, and those that only an explicit version asks for.
var (
	required = map[string][]string{
		"indicator":      {"id", "created", "modified", "pattern", "valid_from"},
		"attack-pattern": {"id", "created", "modified", "name"},
		"identity":       {"id", "created", "modified", "name"},
		"threat-actor":   {"id", "created", "modified", "name"},
		"relationship":   {"id", "created", "modified", "relationship_type", "source_ref", "target_ref"},
	}
	required20 = map[string][]string{"indicator": {"labels"}, "threat-actor": {"labels"}, "identity": {"identity_class"}}
	required21 = map[string][]string{"indicator": {"pattern_type"}}
)

// checker reads records one after the other.
type checker struct {
	strictVersion bool
	seed          maphash.Seed
	seen          []member // of the record under check
	messages      []string
}

func (c *checker) addMessage(property, reason, value string) {
	if value == "" {
		value = "NULL"
	}
	c.messages = append(c.messages, "Error for Property="+property+": "+reason+" Actual value: "+value+".")
}

func (c *checker) addMissing(property string) {
	c.addMessage(property, "Required property is missing.", "")
}

func (c *checker) memberValue(name string) value {
	for i := range c.seen {
		if c.seen[i].name == name {
			return c.seen[i].value
		}
	}
	return ""
}

// checkRecord reads a record and returns what is wrong with it, nil for a good one. The record of a bad one is not
// complete.
func (c *checker) checkRecord(e element) (record, []string) {
	c.seen, c.messages = e.members, nil
	r := record{raw: string(e.value)}
	if !e.isObject() {
		c.addMessage("stixobjects", "Every element must be an object.", shortenValue(r.raw))
		return r, c.messages
	}
	for _, m := range e.members {
		if m.name != "modified" && m.name != "valid_until" {
			r.content += maphash.String(c.seed, string(m.value)) ^ maphash.String(c.seed, m.name)
		}
		if m.name == "type" {
			r.kind = m.value.text()
		}
	}
	r.id, r.pattern = c.memberValue("id").text(), c.memberValue("pattern").text()
	r.until, _ = parseTime(c.memberValue("valid_until").text())
	forms, known := members[r.kind]
	switch v := c.memberValue("type"); {
	case v.isAbsent():
		c.addMissing("type")
		return r, c.messages
	case !known:
		c.addMessage("type", "Must be a supported STIX object.", shortenValue(string(v)))
		return r, c.messages
	}
	c.checkForms(forms)
	c.checkRequired(&r)
	c.checkRelations(r.kind)
	return r, c.messages
}

// checkForms checks each known member by itself. Unknown ones are accepted.
func (c *checker) checkForms(forms map[string]form) {
	for i, m := range c.seen {
		f, known := forms[m.name]
		if !known {
			continue
		}
		if slices.ContainsFunc(c.seen[:i], func(e member) bool { return e.name == m.name }) {
			c.addMessage(m.name, "Property is given twice.", shortenValue(string(m.value)))
		}
		if m.value.isAbsent() {
			continue
		}
		if reason := f.faultOf(m.value); reason != "" {
			c.addMessage(m.name, reason, shortenValue(string(m.value)))
		}
	}
}

func (c *checker) checkRequired(r *record) {
	need := required[r.kind]
	more := required21
	version := c.memberValue("spec_version")
	switch {
	case version.isAbsent():
		if c.strictVersion {
			c.addMissing("spec_version")
		}
		r.unnamed, more = true, nil
	case version.text() == "2.0":
		more = required20
	case version.text() != "2.1":
		c.addMessage("spec_version", "Must be 2.0 or 2.1.", shortenValue(string(version)))
	}
	for _, list := range [][]string{need, more[r.kind]} {
		for _, name := range list {
			if c.memberValue(name).isAbsent() {
				c.addMissing(name)
			}
		}
	}
}

// checkRelations checks members against each other.
func (c *checker) checkRelations(kind string) {
	if id := c.memberValue("id").text(); id != "" && !strings.HasPrefix(id, kind+"--") {
		c.addMessage("id", "Must begin with the type of the object.", id)
	}
	created, ok1 := parseTime(c.memberValue("created").text())
	modified, ok2 := parseTime(c.memberValue("modified").text())
	if ok1 && ok2 && modified.Before(created) {
		c.addMessage("modified", "Must not be earlier than created.", c.memberValue("modified").text())
	}
	from, ok1 := parseTime(c.memberValue("valid_from").text())
	until, ok2 := parseTime(c.memberValue("valid_until").text())
	if ok1 && ok2 && !until.After(from) {
		c.addMessage("valid_until", "Must be later than valid_from.", c.memberValue("valid_until").text())
	}
}

// faultOf says what is wrong with a value, or nothing.
func (f form) faultOf(v value) string {
	ok, want := true, ""
	switch f {
	case text:
		ok, want = v.isText(), "Must be a string."
	case filledText:
		ok, want = v.isFilled(), "Must be a string that is not empty."
	case texts:
		ok, want = v.everyElement(value.isFilled), "Must be a list of strings."
	case boolean:
		ok, want = v == "true" || v == "false", "Must be true or false."
	case percent:
		n, err := strconv.Atoi(string(v))
		ok, want = err == nil && n >= 0 && n <= 100, "Must be a whole number from 0 to 100."
	case timestamp:
		_, ok = parseTime(v.text())
		want = "Must be a timestamp such as 2026-01-02T03:04:05.000Z."
	case identifier, marking:
		ok, want = isID(v.text(), ""), "Must be a type, two hyphens and a UUID in lower case."
	case identity:
		ok, want = isID(v.text(), "identity"), "Must be the id of an identity."
	case markings:
		ok, want = v.everyElement(func(e value) bool { return isID(e.text(), "marking-definition") }), "Must be a list of ids of marking definitions."
	case object:
		ok, want = v.isObject(), "Must be an object."
	case references:
		ok, want = v.everyElement(func(e value) bool { return e.member("source_name").isFilled() }), "Must be a list of objects with source_name."
	case granular:
		ok, want = v.everyElement(func(e value) bool { return e.member("selectors").isArray() }), "Must be a list of objects with selectors."
	case phases:
		ok, want = v.everyElement(func(e value) bool { return e.member("kill_chain_name").isFilled() && e.member("phase_name").isFilled() }), "Must be a list of objects with kill_chain_name and phase_name."
	}
	if ok {
		return ""
	}
	return want
}

// isID says whether s is an id of that type, or of any type for "".
func isID(s, kind string) bool {
	at := strings.Index(s, "--")
	if at <= 0 || kind != "" && s[:at] != kind || len(s) != at+2+36 {
		return false
	}
	u, err := uuid.Parse(s[at+2:])
	return err == nil && u.Version() >= 1 && u.Version() <= 8 && u.Variant() == uuid.RFC4122 && strings.ToLower(s) == s
}

// parseTime reads a STIX timestamp: RFC 3339 in UTC with T, Z and at most six digits of a second's fraction.
func parseTime(s string) (time.Time, bool) {
	if len(s) < 20 || len(s) > 27 || s[10] != 'T' || s[len(s)-1] != 'Z' || s[19] != '.' && s[19] != 'Z' {
		return time.Time{}, false
	}
	t, err := time.Parse(time.RFC3339, s)
	return t, err == nil
}

func shortenValue(s string) string {
	if len(s) > 100 {
		s = strings.ToValidUTF8(s[:100], "") + "…"
	}
	return s
}
