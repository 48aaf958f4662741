package mapper

import (
	"errors"
	"fmt"
	"net/netip"
	"strings"
	"unicode/utf8"

	"golang.org/x/net/idna"
)

// HostName is a name of the DNS as it stands in logs: lower case, in punycode, without a dot at its end. The error says what the
// value is instead: an IP address in whatever form, a wildcard, a URL, or no name at all (app/docs/mapping.md#hosts).
func HostName(value string) (string, error) {
	host, err := canonicalHost(value)
	if err == nil {
		return host, nil
	}
	if other := otherThanHost(value); other != "" {
		return "", fmt.Errorf("the host %q %s", value, other)
	}
	return "", fmt.Errorf("the host %q %w", value, err)
}

// punycode is what a resolver does with a name, but for the rules about what may be registered:
// names with underscores or with hyphens in odd places occur in the wild.
var punycode = idna.New(idna.MapForLookup(), idna.Transitional(false), idna.StrictDomainName(false), idna.CheckHyphens(false))

// canonicalHost is the name in its one form. The error completes "the host …".
func canonicalHost(value string) (string, error) {
	host := Trim(value)
	if !isASCII(host) {
		var err error
		if host, err = punycode.ToASCII(host); err != nil {
			return "", fmt.Errorf("cannot be written in punycode: %w", err)
		}
	}
	host = strings.TrimSuffix(strings.ToLower(host), ".")
	return host, checkHost(host)
}

func isASCII(s string) bool {
	return strings.IndexFunc(s, func(r rune) bool { return r >= utf8.RuneSelf }) < 0
}

func checkHost(host string) error {
	if n := strings.IndexFunc(host, isForbiddenInHost); n >= 0 {
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
	if isNumber(host[strings.LastIndexByte(host, '.')+1:]) {
		return errors.New("is an IP address in another form, or meant for one: its last label is a number")
	}
	return nil
}

// isForbiddenInHost reports whether no name may contain the character, in lower case and punycode.
func isForbiddenInHost(r rune) bool {
	switch {
	case 'a' <= r && r <= 'z', '0' <= r && r <= '9', r == '.', r == '-', r == '_':
		return false
	}
	return true
}

// isNumber reports whether resolvers take a label for a number, in decimal, octal or hexadecimal.
func isNumber(label string) bool {
	if digits, found := strings.CutPrefix(label, "0x"); found {
		return strings.Trim(digits, "0123456789abcdef") == ""
	}
	return strings.Trim(label, "0123456789") == ""
}

// otherThanHost says what a value is that is no host, if that can be told; it completes "the host …".
func otherThanHost(value string) string {
	host := strings.TrimSuffix(Trim(value), ".")
	name, port, _ := strings.Cut(host, ":")
	switch {
	case isAddress(host):
		return "is an IP address"
	case Defanged(host) != "":
		return fmt.Sprintf("looks defanged, by %q", Defanged(host))
	case strings.Contains(host, "://"):
		return "is a URL"
	case isBlock(host):
		return "is a block of IP addresses"
	case strings.Contains(host, "/"):
		return "is a URL or a path"
	case strings.Contains(host, "@"):
		return "is an email address"
	case strings.Contains(host, "*"):
		return "is a wildcard"
	case name != "" && port != "" && isNumber(port):
		return "has a port"
	}
	return ""
}

// isAddress reports whether a value is an IP address, in brackets or not.
func isAddress(value string) bool {
	_, err := netip.ParseAddr(strings.Trim(value, "[]"))
	return err == nil
}
