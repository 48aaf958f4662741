// Package registrykey maps Registry Key indicators: a key, and where they are given the name and
// the type of a value in it.
package registrykey

import (
	"strings"
	"time"

	"mssentinel/plugins/mapper"
)

// New returns the mapper.
func New(version string) mapper.Mapper { return registryKey{version} }

type registryKey struct{ version string }

func (m registryKey) Describe() mapper.Description {
	return mapper.Description{Name: "Registry Key", Version: m.version, Types: []mapper.Type{{Name: "Registry Key"}}}
}

// parts of a registry key in the order in which ThreatConnect joins them in a summary.
var parts = [...]struct{ member, path string }{
	{"Key Name", "windows-registry-key:key"},
	{"Value Name", "windows-registry-key:values[*].name"},
	{"Value Type", "windows-registry-key:values[*].data_type"},
}

func (m registryKey) Map(ind *mapper.Indicator, now time.Time) mapper.Answer {
	values := readValues(ind)
	if values[0] == "" {
		return mapper.Problem("the registry key has no key name")
	}
	var comparisons []string
	for n, value := range values {
		if value == "" {
			continue
		}
		if err := mapper.Usable(value); err != nil {
			return mapper.Problem("%s: %s", parts[n].member, err)
		}
		if n == 0 {
			value = fullKey(value)
		}
		comparisons = append(comparisons, mapper.Equal(parts[n].path, value))
	}
	joined := strings.Join(values[:], separator)
	name := ind.Summary
	if mapper.Trim(name) == "" {
		name = joined
	}
	object := ind.Object(mapper.Pattern(comparisons...), name, now)
	return mapper.Answer{Objects: []mapper.Object{object}, Notes: mapper.Notes(joined)}
}

// readValues gives the parts in their order, without margins; from the summary where the key has no member.
func readValues(ind *mapper.Indicator) [len(parts)]string {
	var values [len(parts)]string
	for n, p := range parts {
		values[n] = ind.Member(p.member)
	}
	if mapper.Trim(values[0]) == "" {
		values = splitSummary(ind.Member("summary"))
	}
	for n := range values {
		values[n] = mapper.Trim(values[n])
	}
	return values
}

const separator = " : "

// splitSummary takes a summary apart: the key first, the type last, and between them the name, which may
// itself contain the separator. Of two parts the second is a type if it looks like one.
func splitSummary(summary string) [len(parts)]string {
	key, rest, _ := strings.Cut(summary, separator)
	rest = separator + rest // an empty name leaves two separators side by side
	last := strings.LastIndex(rest, separator)
	if kind := rest[last+len(separator):]; last > 0 || strings.HasPrefix(kind, "REG_") {
		return [len(parts)]string{key, strings.TrimPrefix(rest[:last], separator), kind}
	}
	return [len(parts)]string{key, strings.TrimPrefix(rest, separator)}
}

// fullKey writes the hive of a key in full, as STIX 2.1 section 6.17 wants it, and leaves the rest as it is
// (app/docs/mapping.md#registry-keys).
func fullKey(key string) string {
	rest := key
	for _, prefix := range [...]string{`Microsoft.PowerShell.Core\`, `Registry::`, `\`, `Computer\`, `My Computer\`} {
		rest = trimPrefixFold(rest, prefix)
	}
	end := strings.IndexAny(rest, `\/`)
	if end < 0 {
		end = len(rest)
	}
	if hive, known := hives[strings.ToUpper(strings.TrimSuffix(rest[:end], ":"))]; known {
		return hive + rest[end:]
	}
	for native, hive := range nativeHives {
		if below := trimPrefixFold(rest, native); len(below) < len(rest) && (below == "" || below[0] == '\\') {
			return hive + below
		}
	}
	return key
}

func trimPrefixFold(s, prefix string) string {
	if len(s) >= len(prefix) && strings.EqualFold(s[:len(prefix)], prefix) {
		return s[len(prefix):]
	}
	return s
}

// hives by their names in capitals, in full and as Windows' tools and analysts shorten them.
var hives = map[string]string{
	"HKEY_CLASSES_ROOT": "HKEY_CLASSES_ROOT", "HKCR": "HKEY_CLASSES_ROOT",
	"HKEY_CURRENT_CONFIG": "HKEY_CURRENT_CONFIG", "HKCC": "HKEY_CURRENT_CONFIG",
	"HKEY_CURRENT_USER": "HKEY_CURRENT_USER", "HKCU": "HKEY_CURRENT_USER",
	"HKEY_LOCAL_MACHINE": "HKEY_LOCAL_MACHINE", "HKLM": "HKEY_LOCAL_MACHINE",
	"HKEY_USERS": "HKEY_USERS", "HKU": "HKEY_USERS", "HKUS": "HKEY_USERS",
	"HKEY_PERFORMANCE_DATA": "HKEY_PERFORMANCE_DATA", "HKPD": "HKEY_PERFORMANCE_DATA",
	"HKEY_DYN_DATA": "HKEY_DYN_DATA", "HKDD": "HKEY_DYN_DATA",
}

// nativeHives are the names that the kernel has for hives, as Sysmon and EDR products log them, without a backslash in front.
var nativeHives = map[string]string{
	`REGISTRY\MACHINE`: "HKEY_LOCAL_MACHINE",
	`REGISTRY\USER`:    "HKEY_USERS",
}
