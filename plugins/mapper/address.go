package mapper

import (
	"fmt"
	"net/netip"
	"strings"
)

// Address reads an IP address of version 4 or 6, in square brackets or not, as a URL has it. An IPv4 address that is written as
// IPv6, as in ::ffff:192.0.2.1, becomes IPv4. The error says what is wrong: leading zeros, a zone, a port, or what the value is
// instead: a block, a range, a URL, or no address (app/docs/mapping.md#addresses-and-blocks).
func Address(value string) (netip.Addr, error) {
	s := Trim(value)
	if inner, opened := strings.CutPrefix(s, "["); opened {
		if inner, closed := strings.CutSuffix(inner, "]"); closed {
			s = Trim(inner)
		}
	}
	addr, err := netip.ParseAddr(s)
	switch {
	case err == nil && addr.Zone() == "":
		return addr.Unmap(), nil
	case err == nil:
		return netip.Addr{}, fmt.Errorf("the address %q has a zone", value)
	}
	return netip.Addr{}, explainAddress(value, s, err)
}

// explainAddress says what a value is that is no address: s is what was parsed, err why that failed.
func explainAddress(value, s string, err error) error {
	before, _, ranged := strings.Cut(s, "-")
	switch {
	case Defanged(s) != "":
		return fmt.Errorf("the address %q looks defanged, by %q", value, Defanged(s))
	case hasPort(s):
		return fmt.Errorf("the address %q has a port", value)
	case isBlock(s):
		return fmt.Errorf("%q is a block, not an address", value)
	case strings.Contains(s, "/"):
		return fmt.Errorf("%q is a URL or a path, not an address", value)
	case ranged && isAddress(Trim(before)):
		return fmt.Errorf("%q is a range, not an address", value)
	case hasLeadingZero(err):
		return fmt.Errorf("the address %q has leading zeros, which some programs take for octal numbers", value)
	}
	return fmt.Errorf("%q is not an IP address", value)
}

func hasPort(s string) bool {
	_, err := netip.ParseAddrPort(s)
	return err == nil
}

// isBlock reports whether a value has the form of a block: digits of an address, and the length of a prefix or a mask.
func isBlock(s string) bool {
	address, length, found := strings.Cut(s, "/")
	return found && strings.ContainsAny(address, ".:") && strings.Trim(address, "0123456789abcdefABCDEF.:") == "" &&
		length != "" && strings.Trim(length, "0123456789.") == ""
}

// hasLeadingZero reports why an address was not parsed: netip has no error of its own for it.
func hasLeadingZero(err error) bool { return strings.Contains(err.Error(), "leading zero") }

// AddressPath is the STIX object path of an address or block, ipv4-addr:value or ipv6-addr:value.
func AddressPath(a netip.Addr) string {
	if a.Is4() {
		return "ipv4-addr:value"
	}
	return "ipv6-addr:value"
}
