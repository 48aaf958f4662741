// Package emailaddress maps EmailAddress indicators.
package emailaddress

import (
	"fmt"
	"strings"

	"mssentinel/plugins/mapper"
)

// New returns the mapper.
func New(version string) mapper.Mapper {
	return mapper.Single{
		Version: version,
		Type:    mapper.Type{Name: "EmailAddress"},
		Member:  "address",
		Pattern: buildPattern,
	}
}

func buildPattern(value string) (string, error) {
	address := mapper.Lower(strings.TrimSpace(value))
	at := strings.LastIndexByte(address, '@')
	if at <= 0 || at == len(address)-1 {
		return "", fmt.Errorf("%q is not an email address: it needs a name, an @ and a host", value)
	}
	return mapper.Pattern(mapper.Equal("email-addr:value", address)), nil
}
