// Package host maps Host indicators: names in the DNS.
package host

import "mssentinel/plugins/mapper"

// New returns the mapper.
func New(version string) mapper.Mapper {
	return mapper.Single{
		Version: version,
		Type:    mapper.Type{Name: "Host"},
		Member:  "hostName",
		Pattern: buildPattern,
	}
}

func buildPattern(value string) (string, error) {
	host, err := mapper.HostName(value)
	if err != nil {
		return "", err
	}
	return mapper.Pattern(mapper.Equal("domain-name:value", host)), nil
}
