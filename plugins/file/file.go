// Package file maps File indicators: one object per hash.
package file

import (
	"fmt"
	"strings"
	"time"

	"mssentinel/plugins/mapper"
)

// New returns the mapper.
func New(version string) mapper.Mapper { return fileMapper{version} }

type fileMapper struct{ version string }

// algorithms in the order in which ThreatConnect joins the hashes in a summary. The paths are in
// the spelling of STIX, by which Sentinel tells the algorithms apart, app/docs/sentinel.md#workbook-columns.
var algorithms = [...]struct {
	member, name, path string
	digits             int
}{
	{"md5", "MD5", "file:hashes.MD5", 32},
	{"sha1", "SHA-1", "file:hashes.'SHA-1'", 40},
	{"sha256", "SHA-256", "file:hashes.'SHA-256'", 64},
}

func (m fileMapper) Describe() mapper.Description {
	return mapper.Description{Name: "File", Version: m.version,
		Types: []mapper.Type{{Name: "File"}}}
}

func (m fileMapper) Map(ind *mapper.Indicator, now time.Time) mapper.Answer {
	var answer mapper.Answer
	for n, value := range readHashes(ind) {
		hash, a := strings.ToLower(mapper.Trim(value)), algorithms[n]
		if hash == "" {
			continue
		}
		if err := mapper.Usable(value); err != nil {
			answer.Problems = append(answer.Problems, fmt.Sprintf("%s: %s", a.name, err))
			continue
		}
		if !isHash(hash, a.digits) {
			problem := fmt.Sprintf("%q is not a hash of type %s: it needs %d hexadecimal digits", value, a.name, a.digits)
			answer.Problems = append(answer.Problems, problem)
			continue
		}
		pattern := mapper.Pattern(mapper.Equal(a.path, hash))
		answer.Objects = append(answer.Objects, ind.Object(pattern, value, now))
	}
	if len(answer.Objects) == 0 && len(answer.Problems) == 0 {
		return mapper.Problem("%s", explainNoHash(ind))
	}
	return answer
}

// explainNoHash says what a file has that has no hash that STIX and Sentinel compare.
func explainNoHash(ind *mapper.Indicator) string {
	summary := mapper.Trim(ind.Member("summary"))
	switch {
	case summary == "":
		return "the file has no hash"
	case strings.Trim(strings.ToLower(summary), hexDigits) == "":
		return fmt.Sprintf("the file has no MD5, SHA-1 or SHA-256: %q has %d hexadecimal digits", summary, len(summary))
	}
	return fmt.Sprintf("the file has no MD5, SHA-1 or SHA-256: %q is none", summary)
}

// readHashes gives the values in the order of algorithms, from the summary where no member has one.
func readHashes(ind *mapper.Indicator) [len(algorithms)]string {
	var values [len(algorithms)]string
	for n, a := range algorithms {
		values[n] = ind.Member(a.member)
	}
	if mapper.Trim(strings.Join(values[:], "")) != "" {
		return values
	}
	for part := range strings.SplitSeq(ind.Member("summary"), " : ") {
		part = mapper.Trim(part)
		for n, a := range algorithms {
			if len(part) == a.digits {
				values[n] = part
			}
		}
	}
	return values
}

const hexDigits = "0123456789abcdef"

func isHash(s string, digits int) bool { return len(s) == digits && strings.Trim(s, hexDigits) == "" }
