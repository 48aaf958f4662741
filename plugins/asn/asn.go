// Package asn maps ASN indicators: autonomous systems, matched by name.
package asn

import (
	"strings"

	"mssentinel/plugins/mapper"
)

// New returns the mapper.
func New(version string) mapper.Mapper {
	return mapper.Single{
		Version: version,
		Type:    mapper.Type{Name: "ASN"},
		Member:  "AS Number",
		Pattern: func(value string) (string, error) {
			return mapper.Pattern(mapper.Equal("autonomous-system:name", strings.ToUpper(strings.TrimSpace(value)))), nil
		},
	}
}
