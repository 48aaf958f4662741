package store

import (
	"strings"
	"unicode/utf8"
)

// sentName is the name of an object as it stands in the columns value and owner of the tables object and outbox. A name that a mapper
// makes of a value and an owner has the number of the owner, and no value where that is the one in the pattern. So it is with four
// names of five, which would be a fifth of the database. Any other name is a value without an owner.
type sentName struct {
	value any // a string or nil
	owner any // an int64 or nil
}

// shortenName is the name of an object of a pattern. An owner that has no number stays in the name.
func (n *names) shortenName(name, pattern string) sentName {
	value, owner := splitName(name)
	number, known := n.owners[owner]
	switch {
	case !known || value+nameJoint+owner != name:
		return sentName{value: name}
	case value != "" && value == patternValue(pattern):
		return sentName{owner: number}
	}
	return sentName{value: value, owner: number}
}

// nameJoint stands between the value and the owner of which the mappers make an object's name.
const nameJoint = " | "

// splitName gives the value and the owner of a name. A name of another form is a value.
func splitName(name string) (value, owner string) {
	if at := strings.LastIndex(name, nameJoint); at >= 0 {
		return name[:at], name[at+len(nameJoint):]
	}
	return name, ""
}

// patternValue is what stands between the quotes of a pattern of one comparison, as it stands there; "" where SQLite, which counts
// characters and ends a text at NUL, would not find the same.
func patternValue(pattern string) string {
	_, value, _ := strings.Cut(pattern, " = '")
	value, found := strings.CutSuffix(value, "']")
	if !found || !utf8.ValidString(pattern) || strings.ContainsRune(pattern, 0) {
		return ""
	}
	return value
}

// selectName is the expression of a name in a row that has the columns value and owner, and whose pattern another expression gives.
func selectName(row, pattern string) string {
	return strings.NewReplacer("ROW", row, "PATTERN", pattern, "JOINT", nameJoint).Replace(`CASE WHEN ROW.owner IS NULL THEN coalesce(ROW.value, '')
		ELSE coalesce(ROW.value, substr(PATTERN, instr(PATTERN, ' = ''') + 4, length(PATTERN) - instr(PATTERN, ' = ''') - 5))
			|| 'JOINT' || (SELECT name FROM owner WHERE owner.number = ROW.owner) END`)
}

var (
	objectName = selectName("object", "object.pattern")
	outboxName = selectName("outbox", "(SELECT pattern FROM object WHERE object.number = outbox.object)")
)
