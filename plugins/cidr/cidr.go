// Package cidr maps CIDR indicators: blocks of IPv4 and IPv6 addresses.
package cidr

import (
	"fmt"
	"net/netip"
	"strconv"
	"strings"

	"mssentinel/plugins/mapper"
)

// New returns the mapper.
func New(version string) mapper.Mapper {
	return mapper.Single{
		Version: version,
		Type:    mapper.Type{Name: "CIDR"},
		Member:  "Block",
		Pattern: buildPattern,
	}
}

func buildPattern(value string) (string, error) {
	block, err := parseBlock(value)
	if err != nil {
		return "", err
	}
	value = block.String()
	if block.IsSingleIP() {
		value = block.Addr().String() // the pattern of that address, so that both are one object
	}
	return mapper.Pattern(mapper.Equal(mapper.AddressPath(block.Addr()), value)), nil
}

// mappedBits is how many bits of an IPv6 address say that it is an IPv4 address, as in ::ffff:192.0.2.1.
const mappedBits = 128 - 32

// parseBlock keeps the host bits: they are part of what ThreatConnect says (app/docs/mapping.md#addresses-and-blocks).
func parseBlock(value string) (netip.Prefix, error) {
	address, length, found := strings.Cut(mapper.Trim(value), "/")
	if !found {
		return netip.Prefix{}, fmt.Errorf("the block %q has no prefix length", value)
	}
	length = mapper.Trim(length)
	if strings.Contains(length, "/") {
		return netip.Prefix{}, fmt.Errorf("%q is a URL or a path, not a block", value)
	}
	addr, err := mapper.Address(address)
	if err != nil {
		return netip.Prefix{}, fmt.Errorf("the block %q: %w", value, err)
	}
	bits, err := strconv.Atoi(length)
	if err != nil || length != strconv.Itoa(bits) {
		return netip.Prefix{}, fmt.Errorf("the block %q has no usable prefix length", value)
	}
	if addr.Is4() && strings.Contains(address, ":") {
		bits -= mappedBits
	}
	if bits < 0 || bits > addr.BitLen() {
		return netip.Prefix{}, fmt.Errorf("the prefix length of the block %q is out of range", value)
	}
	return netip.PrefixFrom(addr, bits), nil
}
