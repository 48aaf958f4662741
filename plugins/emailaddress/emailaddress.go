// Package emailaddress maps EmailAddress indicators.
package emailaddress

import (
	"errors"
	"fmt"
	"net/netip"
	"regexp"
	"strings"
	"unicode"
	"unicode/utf8"

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
	address, err := canonicalAddress(value)
	mark := mapper.Defanged(value)
	switch {
	case err != nil && mark != "":
		return "", fmt.Errorf("%q is not an email address: it looks defanged, by %q", value, mark)
	case err != nil:
		return "", fmt.Errorf("%q is not an email address: %w", value, err)
	}
	return mapper.Pattern(mapper.Equal("email-addr:value", address)), nil
}

// canonicalAddress is the bare address in lower case, its host as that of a Host indicator. One whose host looks defanged is
// sent as it stands, with the note of [mapper.Notes] (app/docs/mapping.md#email-addresses).
func canonicalAddress(value string) (string, error) {
	bare, err := bareAddress(value)
	if err != nil {
		return "", err
	}
	at := strings.LastIndexByte(bare, '@')
	switch {
	case at <= 0 || at == len(bare)-1:
		return "", errors.New("it needs a name, an @ and a host")
	case strings.Count(withoutQuotes(bare), "@") > 1 && strings.ContainsAny(bare, ",;| \t\r\n"):
		return "", errSeveral
	}
	name, host := bare[:at], bare[at+1:]
	if err := checkName(name); err != nil {
		return "", err
	}
	canonical, err := canonicalHost(host)
	if err != nil {
		return "", err
	}
	return mapper.Lower(name) + "@" + canonical, nil
}

var errSeveral = errors.New("it names several")

// bareAddress takes an address out of what mail programs put around it: mailto: and angle brackets with a name before them.
func bareAddress(value string) (string, error) {
	bare := withoutScheme(mapper.Trim(value))
	if !strings.HasSuffix(bare, ">") {
		return bare, nil
	}
	open := strings.LastIndexByte(bare, '<')
	if open < 0 {
		return "", errors.New("it has an angle bracket that nothing opens")
	}
	before := withoutQuotes(bare[:open])
	if strings.ContainsAny(before, "<>") || strings.Contains(before, "@") && strings.ContainsAny(before, ",;") {
		return "", errSeveral
	}
	return withoutScheme(mapper.Trim(bare[open+1 : len(bare)-1])), nil
}

// withoutScheme takes off mailto: and what a link says about the message.
func withoutScheme(value string) string {
	const scheme = "mailto:"
	if len(value) < len(scheme) || !strings.EqualFold(value[:len(scheme)], scheme) {
		return value
	}
	bare, _, _ := strings.Cut(value[len(scheme):], "?")
	return mapper.Trim(strings.TrimPrefix(bare, "//")) // some write it like other URLs
}

// withoutQuotes leaves out what stands in double quotes, in which a backslash escapes; a quote that does not end stays.
func withoutQuotes(text string) string { return quoted.ReplaceAllString(text, "") }

var quoted = regexp.MustCompile(`"(?:[^"\\]|\\.)*"`)

// checkName reports what no name before the @ has, in RFC 5321 and 6531. Dots may stand anywhere, as some providers allow.
func checkName(name string) error {
	if name == "*" {
		return errors.New("it is a wildcard")
	}
	if name[0] == '"' && withoutQuotes(name) == "" {
		return nil // in quotes anything goes
	}
	for n, r := range name {
		if !isNameCharacter(r) {
			return fmt.Errorf("it contains %q", name[n:n+utf8.RuneLen(r)])
		}
	}
	return nil
}

func isNameCharacter(r rune) bool {
	if r >= utf8.RuneSelf {
		return !unicode.IsSpace(r) && !unicode.IsControl(r)
	}
	return 'a' <= r && r <= 'z' || 'A' <= r && r <= 'Z' || '0' <= r && r <= '9' || strings.ContainsRune("!#$%&'*+-/=?^_`{|}~.", r)
}

func canonicalHost(host string) (string, error) {
	if literal, opened := strings.CutPrefix(host, "["); opened && strings.HasSuffix(literal, "]") {
		return addressLiteral(strings.TrimSuffix(literal, "]"))
	}
	canonical, err := mapper.HostName(host)
	if err == nil || mapper.Defanged(host) == "" {
		return canonical, err
	}
	if _, err := mapper.HostName(refanged.Replace(host)); err != nil {
		return "", err
	}
	return mapper.Lower(host), nil
}

// refanged undoes what keeps a host from being followed.
var refanged = strings.NewReplacer("[.]", ".", "(.)", ".", "{.}", ".", "[dot]", ".", "(dot)", ".", "{dot}", ".", "[.", ".", ".]", ".")

// addressLiteral is a host that is an IP address in square brackets, without a name.
func addressLiteral(literal string) (string, error) {
	const version6 = "IPv6:"
	prefix := ""
	if len(literal) > len(version6) && strings.EqualFold(literal[:len(version6)], version6) {
		prefix, literal = "ipv6:", literal[len(version6):]
	}
	addr, err := netip.ParseAddr(literal)
	if err != nil || addr.Zone() != "" || addr.Is4() != (prefix == "") {
		return "", fmt.Errorf("%q in brackets is no address literal", literal)
	}
	return "[" + prefix + addr.String() + "]", nil
}
