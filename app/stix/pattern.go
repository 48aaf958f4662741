package stix

import (
	"crypto/sha1"
	"strings"

	"github.com/google/uuid"
)

// namespace makes our ids differ from everybody else's. It is never changed: every id in
// every Sentinel workspace hangs on it.
var namespace = uuid.MustParse("3ac58c0a-736d-4021-b479-80e23ae94aa0")

// ID is the stable identity of an observable: a version 5 UUID of its pattern. An id never gets another value,
// app/docs/sentinel.md#identity-and-updates. It is made without [uuid.NewSHA1], which allocates four times.
func ID(pattern string) uuid.UUID {
	text := append(make([]byte, 0, 256), namespace[:]...) // on the stack, but for a long pattern
	hash := sha1.Sum(append(text, pattern...))
	id := uuid.UUID(hash[:16])
	id[6] = id[6]&0x0f | 0x50 // version 5
	id[8] = id[8]&0x3f | 0x80 // the variant of RFC 9562
	return id
}

// String writes s as a string literal of the STIX pattern language (STIX 2.1 section 9.2):
// in single quotes, with \ and ' escaped.
func String(s string) string { return "'" + escapeLiteral(s) + "'" }

func escapeLiteral(s string) string {
	if !strings.ContainsAny(s, `\'`) {
		return s
	}
	return literalEscapes.Replace(s)
}

var literalEscapes = strings.NewReplacer(`\`, `\\`, `'`, `\'`)

// Equal is a comparison of an object path with a string, for example
// ipv4-addr:value = '198.51.100.7'.
func Equal(path, value string) string {
	return path + " = '" + escapeLiteral(value) + "'"
}

// Pattern is one observation that meets all comparisons.
func Pattern(comparisons ...string) string {
	return "[" + strings.Join(comparisons, " AND ") + "]"
}

// TypeOf is the type of object that a pattern of one observation looks at first, ipv4-addr for example; "" where there is none.
func TypeOf(pattern string) string {
	name, _, found := strings.Cut(strings.TrimPrefix(pattern, "["), ":")
	if !found || strings.ContainsAny(name, " '[(") {
		return ""
	}
	return name
}
