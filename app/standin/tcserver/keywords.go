package tcserver

import (
	"bytes"
	"encoding/binary"
	"net/netip"
	"strconv"
	"strings"
	"sync"

	"mssentinel/app/standin/tcserver/tql"
)

// view is a row as a query sees it: its document is written and taken apart when a keyword first asks for it.
type view struct {
	row     *row
	want    fields
	filled  bool
	buffer  []byte
	members []member
}

func (v *view) showRow(r *row) { v.row, v.filled = r, false }

// memberValue is the raw value of a member, nil when the row has none.
func (v *view) memberValue(name string) []byte {
	if !v.filled {
		v.buffer = v.row.appendDocument(v.buffer[:0], v.want)
		v.members = v.members[:0]
		eachMember(v.buffer, func(m member) bool { v.members = append(v.members, m); return true }) //nolint:errcheck // rows are objects
		v.filled = true
	}
	for i := range v.members {
		if string(v.members[i].name) == name {
			return v.members[i].value
		}
	}
	return nil
}

// needDocument is the bit of [tql.Field.Needs] for the members that are always there; the bits below are the fields.
const needDocument = 1 << 63

// wantedFields is what a view has to have of a document.
func wantedFields(needs uint64) fields {
	want := fields(needs) & allFields
	if needs&needDocument == 0 {
		want |= nothingElse
	}
	return want
}

type field = tql.Field[*view]

// part is an object in a collection of an indicator: a tag, an attribute, a group or a label.
type part []byte

// indicatorKeywords are those of OPTIONS /v3/indicators/tql (app/docs/threatconnect.md#tql). Those with nothing to read
// are about data that the stand-in does not hold: they are known, and have no value.
var indicatorKeywords = sync.OnceValue(func() []field {
	all := []field{
		{Name: "id", Type: tql.Integer, Number: func(v *view) (int64, bool) { return v.row.id, true }},
		{Name: "owner", Type: tql.Integer, Number: func(v *view) (int64, bool) { return v.row.owner.id, true }},
		{Name: "ownerName", Type: tql.Text, Texts: plainText(func(r *row) string { return r.owner.name })},
		{Name: "typeName", Type: tql.Text, Texts: plainText(func(r *row) string { return r.typ })},
		{Name: "type", Type: tql.Integer, Number: func(v *view) (int64, bool) { _, id := typeNamed(v.row.typ); return id, id > 0 }},
		{Name: "dateAdded", Type: tql.Date, Number: func(v *view) (int64, bool) { return v.row.added, true }},
		{Name: "lastModified", Type: tql.Date, Number: func(v *view) (int64, bool) { return v.row.modified, true }},
		{Name: "indicatorActive", Type: tql.Boolean, Number: func(v *view) (int64, bool) { return toInt(v.row.active), true }},
		{Name: "rating", Type: tql.Decimal, Number: func(v *view) (int64, bool) { return int64(v.row.rating), v.row.rating >= 0 }},
		{Name: "confidence", Type: tql.Integer, Number: func(v *view) (int64, bool) { return int64(v.row.confidence), v.row.confidence >= 0 }},
		{Name: "threatAssessScore", Type: tql.Integer, Number: func(v *view) (int64, bool) { return int64(v.row.score), v.row.score >= 0 }},
		fromMember("calScore", tql.Integer, "calScore"),
		fromMember("falsePositiveCount", tql.Integer, "falsePositives"),
		fromMember("observationCount", tql.Integer, "observations"),
		fromMember("fileSize", tql.Integer, "size"),
		fromMember("activeLocked", tql.Boolean, "activeLocked"),
		fromMember("hostDnsActive", tql.Boolean, "dnsActive"),
		fromMember("hostWhoisActive", tql.Boolean, "whoisActive"),
		fromMember("firstSeen", tql.Date, "firstSeen"),
		fromMember("lastSeen", tql.Date, "lastSeen"),
		fromMember("lastObserved", tql.Date, "lastObserved"),
		fromMember("lastFalsePositive", tql.Date, "lastFalsePositive"),
		fromMember("externalDateAdded", tql.Date, "externalDateAdded"),
		fromMember("externalDateExpires", tql.Date, "externalDateExpires"),
		fromMember("externalLastModified", tql.Date, "externalLastModified"),
		fromMember("summary", tql.Text, "summary"),
		fromMember("description", tql.Text, "description"),
		fromMember("source", tql.Text, "source"),
		{Name: "value1", Type: tql.Text, Needs: needDocument, Texts: valuePart(0)},
		{Name: "value2", Type: tql.Text, Needs: needDocument, Texts: valuePart(1)},
		{Name: "value3", Type: tql.Text, Needs: needDocument, Texts: valuePart(2)},
		{Name: "addressCidr", Type: tql.CIDR, Needs: needDocument, Texts: memberTexts("ip")},
		{Name: "addressIsIpv6", Type: tql.Boolean, Needs: needDocument, Number: isIPv6},
		{Name: "addressIpVal", Type: tql.Integer, Needs: needDocument, Number: addressNumber},
	}
	all = append(all, relatedKeywords()...)
	return append(all, emptyKeywords()...)
})

var indicatorSchema = sync.OnceValue(func() tql.Schema[*view] { return tql.NewSchema(indicatorKeywords()) })

// relatedKeywords ask for tags, labels, groups and attributes, by themselves or by a nested query.
func relatedKeywords() []field {
	tags, labels, groups := collectionParts("tags"), collectionParts("securityLabels"), collectionParts("associatedGroups")
	needTags, needLabels, needGroups := fieldBit("tags"), fieldBit("securityLabels"), fieldBit("associatedGroups")
	technique := func(v *view, yield func(part) bool) {
		tags(v, func(p part) bool { return valueOf(p, "techniqueId") == nil || yield(p) })
	}
	return []field{
		{Name: "tag", Type: tql.Text, Many: true, Needs: needTags, Texts: partTexts(tags, "name")},
		{Name: "attackTag", Type: tql.Text, Many: true, Needs: needTags, Texts: partTexts(technique, "name")},
		{Name: "securityLabel", Type: tql.Text, Many: true, Needs: needLabels, Texts: partTexts(labels, "name")},
		{Name: "associatedGroup", Type: tql.Integer, Many: true, Needs: needGroups, Numbers: partNumbers(groups, "id")},
		{Name: "tagOwner", Type: tql.Integer, Number: func(v *view) (int64, bool) { return v.row.owner.id, true }},
		{Name: "tagOwnerName", Type: tql.Text, Texts: plainText(func(r *row) string { return r.owner.name })},
		{Name: "hasTag", Nested: true, Needs: needTags, Related: tql.Has(tags, tagSchema)},
		{Name: "hasAllTags", Nested: true, Needs: needTags, Related: tql.HasAll(tags, tagSchema)},
		{Name: "hasSecurityLabel", Nested: true, Needs: needLabels, Related: tql.Has(labels, labelSchema)},
		{Name: "hasGroup", Nested: true, Needs: needGroups, Related: tql.Has(groups, groupSchema)},
		{Name: "hasAttribute", Nested: true, Needs: fieldBit("attributes"), Related: tql.Has(collectionParts("attributes"), attributeSchema)},
	}
}

func emptyKeywords() (all []field) {
	for typ, names := range map[tql.Type]string{
		tql.Integer: "abuseIpdbConfidenceScore addressAsn commonId dtMalwareScore dtOverallScore dtPhishingScore dtSpamScore" +
			" hasCustomAssociation riskIqReputationScore sameNameAs vtMaliciousCount",
		tql.Text: "addressCity addressCountryCode addressCountryName addressRegisteringOrg addressState addressTimezone" +
			" riskIqClassification associatedGroupSource associatedIndicatorSource",
		tql.Boolean: "dtStatus",
		tql.Date:    "dtLastUpdated vtLastUpdated threatAssessLastUpdated",
	} {
		for _, name := range strings.Fields(names) {
			all = append(all, field{Name: name, Type: typ})
		}
	}
	for _, name := range strings.Fields("hasArtifact hasCase hasIndicator hasIntelRequirement hasVictim hasVictimAsset") {
		all = append(all, field{Name: name, Nested: true})
	}
	return all
}

func partField(name string, typ tql.Type, member string) tql.Field[part] {
	f := tql.Field[part]{Name: name, Type: typ}
	if typ == tql.Text {
		f.Texts = func(p part, yield func(string) bool) { yieldText(valueOf(p, member), yield) }
		return f
	}
	f.Number = func(p part) (int64, bool) { return numberOf(valueOf(p, member), typ) }
	return f
}

// partSchema makes the schema of a nested query of lines "keyword type member".
func partSchema(extra []tql.Field[part], lines ...string) func() tql.Schema[part] {
	return sync.OnceValue(func() tql.Schema[part] {
		all := extra
		for _, line := range lines {
			words := strings.Fields(line)
			all = append(all, partField(words[0], tql.Type(words[1]), words[2]))
		}
		return tql.NewSchema(all)
	})
}

var (
	tagSchema = partSchema([]tql.Field[part]{{Name: "summary", Type: tql.Text, Fold: true, Texts: func(p part, yield func(string) bool) {
		yieldText(valueOf(p, "name"), yield)
	}}}, "id Integer id", "name String name", "techniqueId String techniqueId", "description String description",
		"lastUsed DateTime lastUsed", "normalized Boolean normalized", "securityCoverage String securityCoverage",
		"owner Integer ownerId", "ownerName String ownerName")
	labelSchema = partSchema(nil, "id Integer id", "name String name", "summary String name", "description String description",
		"color String color", "ownerName String owner", "dateAdded DateTime dateAdded")
	groupSchema = partSchema(nil, "id Integer id", "name String name", "summary String name", "typeName String type",
		"owner Integer ownerId", "ownerName String ownerName", "dateAdded DateTime dateAdded", "lastModified DateTime lastModified",
		"status String status", "upVoteCount Integer upVoteCount", "downVoteCount Integer downVoteCount")
	attributeSchema = partSchema(nil, "id Integer id", "typeName String type", "text String value", "shortText String value",
		"source String source", "dateAdded DateTime dateAdded", "lastModified DateTime lastModified", "pinned Boolean pinned",
		"default Boolean default", "displayed Boolean default")
)

// fieldBit is what has to be at hand to read the members of a field.
func fieldBit(name string) uint64 { return uint64(mustField(name)) }

// fromMember reads a keyword from a member of the document.
func fromMember(name string, typ tql.Type, member string) field {
	f := field{Name: name, Type: typ, Needs: needDocument}
	if bit, optional := memberField[member]; optional {
		f.Needs = 1 << bit
	}
	if typ == tql.Text {
		f.Texts = memberTexts(member)
		return f
	}
	f.Number = func(v *view) (int64, bool) { return numberOf(v.memberValue(member), typ) }
	return f
}

func memberTexts(member string) func(*view, func(string) bool) {
	return func(v *view, yield func(string) bool) { yieldText(v.memberValue(member), yield) }
}

// yieldText hands over what a string says. An absent or empty one has no value.
func yieldText(value []byte, yield func(string) bool) {
	if text := textOf(value); text != "" {
		yield(text)
	}
}

// numberOf reads a number, also one in quotes, a date or a truth value.
func numberOf(value []byte, typ tql.Type) (int64, bool) {
	if value == nil {
		return 0, false
	}
	switch typ {
	case tql.Boolean:
		return toInt(string(value) == "true"), true
	case tql.Date:
		n, err := parseTime(value)
		return n, err == nil
	}
	n, err := strconv.ParseInt(string(bytes.Trim(value, `"`)), 10, 64)
	return n, err == nil
}

func toInt(b bool) int64 {
	if b {
		return 1
	}
	return 0
}

func plainText(get func(*row) string) func(*view, func(string) bool) {
	return func(v *view, yield func(string) bool) { yield(get(v.row)) }
}

func collectionParts(name string) func(*view, func(part) bool) {
	return func(v *view, yield func(part) bool) {
		eachElement(v.memberValue(name), func(o []byte) bool { return yield(o) })
	}
}

func partTexts(each func(*view, func(part) bool), member string) func(*view, func(string) bool) {
	return func(v *view, yield func(string) bool) {
		each(v, func(p part) bool {
			text := textOf(valueOf(p, member))
			return text == "" || yield(text)
		})
	}
}

func partNumbers(each func(*view, func(part) bool), member string) func(*view, func(int64) bool) {
	return func(v *view, yield func(int64) bool) {
		each(v, func(p part) bool {
			n, ok := numberOf(valueOf(p, member), tql.Integer)
			return !ok || yield(n)
		})
	}
}

// valuePart reads the n-th of the parts that make up the summary.
func valuePart(n int) func(*view, func(string) bool) {
	return func(v *view, yield func(string) bool) {
		if t, _ := typeNamed(v.row.typ); n < len(t.members) {
			yieldText(v.memberValue(t.members[n]), yield)
		}
	}
}

func addressOf(v *view) (netip.Addr, bool) {
	a, err := netip.ParseAddr(textOf(v.memberValue("ip")))
	return a, err == nil
}

func isIPv6(v *view) (int64, bool) {
	a, ok := addressOf(v)
	return toInt(ok && a.Is6()), ok
}

func addressNumber(v *view) (int64, bool) {
	a, ok := addressOf(v)
	if !ok || !a.Is4() {
		return 0, false
	}
	b := a.As4()
	return int64(binary.BigEndian.Uint32(b[:])), true
}
