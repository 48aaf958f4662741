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
	if isBlank(values[0]) {
		return mapper.Problem("the registry key has no key name")
	}
	var comparisons []string
	for n, value := range values {
		if isBlank(value) {
			continue
		}
		if err := mapper.Usable(value); err != nil {
			return mapper.Problem("%s: %s", parts[n].member, err)
		}
		comparisons = append(comparisons, mapper.Equal(parts[n].path, value))
	}
	summary := ind.Summary
	if summary == "" {
		summary = strings.Join(values[:], separator)
	}
	return mapper.Answer{Objects: []mapper.Object{ind.Object(mapper.Pattern(comparisons...), summary, now)}}
}

func readValues(ind *mapper.Indicator) [len(parts)]string {
	var values [len(parts)]string
	for n, p := range parts {
		values[n] = ind.Member(p.member)
	}
	if isBlank(values[0]) {
		return splitSummary(ind.Member("summary"))
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

func isBlank(s string) bool { return strings.TrimSpace(s) == "" }
