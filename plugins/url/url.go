// Package url maps URL indicators.
package url

import (
	"strings"

	"mssentinel/plugins/mapper"
)

// New returns the mapper.
func New(version string) mapper.Mapper {
	return mapper.Single{
		Version: version,
		Type:    mapper.Type{Name: "URL"},
		Member:  "text",
		Pattern: func(value string) (string, error) {
			return mapper.Pattern(mapper.Equal("url:value", canonicalURL(value))), nil
		},
		Note: noteBlank,
	}
}

// canonicalURL has scheme and host in lower case and every other byte as it came: a URL that was
// decoded and encoded again is another URL. Without a scheme the value stays as it is (app/docs/mapping.md#urls).
func canonicalURL(value string) string {
	scheme, rest, found := strings.Cut(value, "://")
	if !found || !isScheme(scheme) {
		return value
	}
	authority, path := rest, ""
	if end := strings.IndexAny(rest, `/?#\`); end >= 0 { // browsers take a backslash for a slash
		authority, path = rest[:end], rest[end:]
	}
	host := strings.LastIndexByte(authority, '@') + 1
	return strings.ToLower(scheme) + "://" + authority[:host] + mapper.Lower(authority[host:]) + path
}

// noteBlank notes what no URL contains, and what no log has in one therefore.
func noteBlank(value string) string {
	if strings.Contains(value, " ") {
		return "the URL contains a blank: as it stands it will match nothing"
	}
	return ""
}

// isScheme follows RFC 3986 section 3.1.
func isScheme(s string) bool {
	for n, r := range s {
		switch {
		case 'a' <= r && r <= 'z', 'A' <= r && r <= 'Z':
		case n > 0 && ('0' <= r && r <= '9' || r == '+' || r == '-' || r == '.'):
		default:
			return false
		}
	}
	return s != ""
}
