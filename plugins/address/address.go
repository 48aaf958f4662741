// Package address maps Address indicators, IPv4 and IPv6.
package address

import "mssentinel/plugins/mapper"

// New returns the mapper.
func New(version string) mapper.Mapper {
	return mapper.Single{
		Version: version,
		Type:    mapper.Type{Name: "Address"},
		Member:  "ip",
		Pattern: buildPattern,
	}
}

func buildPattern(value string) (string, error) {
	addr, err := mapper.Address(value)
	if err != nil {
		return "", err
	}
	return mapper.Pattern(mapper.Equal(mapper.AddressPath(addr), addr.String())), nil
}
