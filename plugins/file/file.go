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
		if strings.TrimSpace(value) == "" {
			continue
		}
		hash, a := strings.ToLower(strings.TrimSpace(value)), algorithms[n]
		if !isHash(hash, a.digits) {
			problem := fmt.Sprintf("%q is not a hash of type %s: it needs %d hexadecimal digits", value, a.name, a.digits)
			answer.Problems = append(answer.Problems, problem)
			continue
		}
		pattern := mapper.Pattern(mapper.Equal(a.path, hash))
		answer.Objects = append(answer.Objects, ind.Object(pattern, value, now))
	}
	if len(answer.Objects) == 0 && len(answer.Problems) == 0 {
		return mapper.Problem("the file has no hash")
	}
	return answer
}

// readHashes gives the values in the order of algorithms, from the summary where no member has one.
func readHashes(ind *mapper.Indicator) [len(algorithms)]string {
	var values [len(algorithms)]string
	for n, a := range algorithms {
		values[n] = ind.Member(a.member)
	}
	if strings.TrimSpace(strings.Join(values[:], "")) != "" {
		return values
	}
	for part := range strings.SplitSeq(ind.Member("summary"), " : ") {
		part = strings.TrimSpace(part)
		for n, a := range algorithms {
			if len(part) == a.digits {
				values[n] = part
			}
		}
	}
	return values
}

func isHash(s string, digits int) bool {
	return len(s) == digits && strings.Trim(s, "0123456789abcdef") == ""
}
