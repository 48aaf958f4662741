// Package emailsubject maps Email Subject indicators.
package emailsubject

import "mssentinel/plugins/mapper"

// New returns the mapper.
func New(version string) mapper.Mapper {
	return mapper.Single{
		Version: version,
		Type:    mapper.Type{Name: "Email Subject"},
		Member:  "Subject",
		Pattern: func(value string) (string, error) {
			return mapper.Pattern(mapper.Equal("email-message:subject", value)), nil
		},
	}
}
