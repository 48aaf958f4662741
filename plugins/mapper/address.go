package mapper

import (
	"fmt"
	"net/netip"
	"strings"
)

// Address reads an IP address of version 4 or 6. An IPv4 address that is written as IPv6, as in ::ffff:192.0.2.1,
// becomes IPv4. The error says what is wrong: leading zeros, a zone, a port, a block, or no address.
func Address(value string) (netip.Addr, error) {
	s := strings.TrimSpace(value)
	addr, err := netip.ParseAddr(s)
	switch {
	case err == nil && addr.Zone() == "":
		return addr.Unmap(), nil
	case err == nil:
		return netip.Addr{}, fmt.Errorf("the address %q has a zone", value)
	case hasPort(s):
		return netip.Addr{}, fmt.Errorf("the address %q has a port", value)
	case strings.Contains(s, "/"):
		return netip.Addr{}, fmt.Errorf("%q is a block, not an address", value)
	case strings.Contains(err.Error(), "leading zero"):
		return netip.Addr{}, fmt.Errorf("the address %q has leading zeros, which some programs take for octal numbers", value)
	}
	return netip.Addr{}, fmt.Errorf("%q is not an IP address", value)
}

func hasPort(s string) bool {
	_, err := netip.ParseAddrPort(s)
	return err == nil
}

// AddressPath is the STIX object path of an address or block, ipv4-addr:value or ipv6-addr:value.
func AddressPath(a netip.Addr) string {
	if a.Is4() {
		return "ipv4-addr:value"
	}
	return "ipv6-addr:value"
}
