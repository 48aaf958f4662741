// Package asn maps ASN indicators: autonomous systems, matched by name.
package asn

import (
	"regexp"
	"strings"

	"mssentinel/plugins/mapper"
)

// New returns the mapper.
func New(version string) mapper.Mapper {
	return mapper.Single{
		Version: version,
		Type:    mapper.Type{Name: "ASN"},
		Member:  "AS Number",
		Pattern: buildPattern,
	}
}

func buildPattern(value string) (string, error) {
	return mapper.Pattern(mapper.Equal("autonomous-system:name", canonicalName(value))), nil
}

// canonicalName is "ASN" and the number, with the zeros that it was given, or a name in capitals (app/docs/mapping.md#as-numbers).
func canonicalName(value string) string {
	if parts := number.FindStringSubmatch(value); parts != nil {
		return "ASN" + parts[1]
	}
	return strings.ToUpper(value)
}

// number is an AS number in all its spellings: 15139, AS15139, AS 15139, ASN-15139.
var number = regexp.MustCompile(`^(?:(?i:ASN?)[\s\pZ\p{Cf}_:#.-]*)?([0-9]+)$`)
