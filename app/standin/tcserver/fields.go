package tcserver

import (
	"fmt"
	"net/http"
	"strings"
)

// fieldNames are the values of the parameter fields of /v3/indicators; none is included unless asked for
// (app/docs/threatconnect.md#fields).
var fieldNames = []string{
	"associatedArtifacts", "associatedCases", "associatedGroups", "associatedIndicators", "associationName", "attributes",
	"customAssociations", "dnsResolution", "enrichment", "externalDates", "falsePositives", "fileActions", "fileOccurrences",
	"genericCustomIndicatorValues", "geoLocation", "investigationLinks", "observations", "securityLabels", "sightings", "tags",
	"threatAssess", "trackedUsers", "whoIs",
}

// fieldMembers names the members that a field adds where they are not called like the field.
var fieldMembers = map[string][]string{
	"threatAssess": {
		"threatAssessScore", "threatAssessScoreObserved", "threatAssessScoreFalsePositive", "calScore",
		"threatAssessRating", "threatAssessConfidence",
	},
	"sightings":      {"firstSeen", "lastSeen"},
	"externalDates":  {"externalDateAdded", "externalDateExpires", "externalLastModified"},
	"observations":   {"observations", "lastObserved"},
	"falsePositives": {"falsePositives", "lastFalsePositive", "falsePositiveReportedByUser"},
	"whoIs":          {"whois"},
}

// memberField is the field that has to be asked for to get a member.
var memberField = func() map[string]uint8 {
	byMember := map[string]uint8{}
	for i, name := range fieldNames {
		members := fieldMembers[name]
		if members == nil {
			members = []string{name}
		}
		for _, m := range members {
			byMember[m] = uint8(i)
		}
	}
	return byMember
}()

// fields is a set of fields.
type fields uint32

const (
	allFields   fields = 1<<23 - 1
	nothingElse fields = 1 << 31 // the members that are always there may be left out
)

func (f fields) hasField(field uint8) bool { return f&(1<<field) != 0 }

func fieldNamed(name string) (fields, bool) {
	for i, known := range fieldNames {
		if strings.EqualFold(known, name) {
			return 1 << i, true
		}
	}
	return 0, false
}

func mustField(name string) fields {
	f, ok := fieldNamed(name)
	if !ok {
		panic("no field " + name)
	}
	return f
}

// parseFieldNames reads the names asked for. A dotted one asks for what its first part names, and must not descend
// further than links allows; the answer is status if it does.
func parseFieldNames(names []string, links, status int) (fields, error) {
	var all fields
	for _, name := range names {
		first, rest, _ := strings.Cut(name, ".")
		f, ok := fieldNamed(first)
		if !ok {
			return 0, newRefusal(http.StatusBadRequest, codeBadRequest, fmt.Sprintf("The field %q does not exist.", name))
		}
		if rest != "" && 1+strings.Count(rest, ".") > links {
			return 0, newRefusal(status, statusCodes[status], fmt.Sprintf("The field %q exceeds the API link limit.", name))
		}
		all |= f
	}
	return all, nil
}
