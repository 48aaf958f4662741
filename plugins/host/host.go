// Package host maps Host indicators: names in the DNS.
package host

import (
	"errors"
	"fmt"
	"net/netip"
	"strings"
	"unicode/utf8"

	"golang.org/x/net/idna"

	"mssentinel/plugins/mapper"
)

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
	host, err := canonicalName(value)
	if err != nil {
		return "", fmt.Errorf("the host %q %w", value, err)
	}
	return mapper.Pattern(mapper.Equal("domain-name:value", host)), nil
}

// punycode is what a resolver does with a name, but for the rules about what may be registered:
// names with underscores or with hyphens in odd places occur in the wild.
var punycode = idna.New(idna.MapForLookup(), idna.Transitional(false), idna.StrictDomainName(false), idna.CheckHyphens(false))

// canonicalName is the name as it stands in logs of DNS. The error completes "the host …".
func canonicalName(value string) (string, error) {
	host := strings.TrimSpace(value)
	if !isASCII(host) {
		var err error
		if host, err = punycode.ToASCII(host); err != nil {
			return "", fmt.Errorf("cannot be written in punycode: %w", err)
		}
	}
	host = strings.TrimSuffix(strings.ToLower(host), ".")
	return host, checkName(host)
}

func isASCII(s string) bool {
	return strings.IndexFunc(s, func(r rune) bool { return r >= utf8.RuneSelf }) < 0
}

func checkName(host string) error {
	if _, err := netip.ParseAddr(strings.Trim(host, "[]")); err == nil {
		return errors.New("is an IP address")
	}
	if strings.Contains(host, "*") {
		return errors.New("is a wildcard")
	}
	if n := strings.IndexFunc(host, isForbidden); n >= 0 {
		return fmt.Errorf("contains %q, which no host name has", host[n:n+1])
	}
	if len(host) > 253 {
		return errors.New("is longer than 253 characters")
	}
	for label := range strings.SplitSeq(host, ".") {
		if label == "" {
			return errors.New("has an empty label")
		}
		if len(label) > 63 {
			return errors.New("has a label longer than 63 characters")
		}
	}
	return nil
}

// isForbidden reports whether no name may contain the character, in lower case and punycode.
func isForbidden(r rune) bool {
	switch {
	case 'a' <= r && r <= 'z', '0' <= r && r <= '9', r == '.', r == '-', r == '_':
		return false
	}
	return true
}
