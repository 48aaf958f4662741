package main

import (
	"crypto/sha1"
	"encoding/hex"
	"encoding/json"
	"errors"
	"fmt"
	"net/netip"
	"regexp"
	"slices"
	"strings"
	"testing"
	"time"

	"mssentinel/app/stix"
	"mssentinel/plugins/mapper/mappertest"
)

// The checks of app/docs/sentinel.md#acceptance-checks, by their numbers, on every object that the mappers make. They read the
// objects on their own and share nothing with the code that wrote them.
func TestAcceptance(t *testing.T) {
	ids := map[string]string{}
	for typ, list := range objects(t) {
		for _, o := range list {
			for name, check := range acceptance {
				if err := check(typ, o); err != nil {
					t.Errorf("%s: %v\n%s", name, err, o.raw)
				}
			}
			if pattern, known := ids[o.ID]; known && pattern != o.Pattern {
				t.Errorf("A10: %s is the id of %s and of %s", o.ID, pattern, o.Pattern)
			}
			ids[o.ID] = o.Pattern
		}
		if t.Failed() {
			return
		}
	}
}

var acceptance = map[string]func(typ string, o object) error{
	"A2 one comparison":      acceptComparison,
	"A3 hashes":              acceptHash,
	"A4 lower case":          acceptCase,
	"A5 valid_until":         acceptTimes,
	"A6 description":         acceptDescription,
	"A8 confidence":          acceptConfidence,
	"A9 version":             acceptVersion,
	"A10 id":                 acceptID,
	"A11 markings":           acceptMarkings,
	"A12 retiring":           acceptRetiring,
	"A14 class of the value": acceptClass,
}

// comparisons reads "[path = 'literal' AND …]" by hand.
func comparisons(pattern string) (paths, values []string, err error) {
	inner, found := strings.CutPrefix(pattern, "[")
	if !found {
		return nil, nil, fmt.Errorf("no [ at the start of %s", pattern)
	}
	for {
		path, rest, found := strings.Cut(inner, " = '")
		if !found {
			return nil, nil, fmt.Errorf("no comparison at %s", inner)
		}
		value, rest, err := literal(rest)
		if err != nil {
			return nil, nil, err
		}
		paths, values = append(paths, path), append(values, value)
		if rest == "]" {
			return paths, values, nil
		}
		if inner, found = strings.CutPrefix(rest, " AND "); !found {
			return nil, nil, fmt.Errorf("neither ] nor AND at %s", rest)
		}
	}
}

// literal reads the rest of a string literal of STIX: \ escapes \ and ', anything else stands for itself.
func literal(s string) (value, rest string, err error) {
	var b strings.Builder
	for i := 0; i < len(s); i++ {
		switch {
		case s[i] == '\'':
			return b.String(), s[i+1:], nil
		case s[i] == '\\' && i+1 < len(s) && (s[i+1] == '\\' || s[i+1] == '\''):
			i++
		case s[i] == '\\':
			return "", "", fmt.Errorf("a stray backslash at %s", s[i:])
		}
		b.WriteByte(s[i])
	}
	return "", "", fmt.Errorf("an open literal: %s", s)
}

// canonicalPaths by ThreatConnect type. A registry key alone needs more than one comparison.
var canonicalPaths = map[string][]string{
	"Address":       {"ipv4-addr:value", "ipv6-addr:value"},
	"CIDR":          {"ipv4-addr:value", "ipv6-addr:value"},
	"Host":          {"domain-name:value"},
	"File":          {"file:hashes.MD5", "file:hashes.'SHA-1'", "file:hashes.'SHA-256'"},
	"URL":           {"url:value"},
	"ASN":           {"autonomous-system:name"},
	"EmailAddress":  {"email-addr:value"},
	"Email Subject": {"email-message:subject"},
	"Registry Key":  {"windows-registry-key:key", "windows-registry-key:values[*].name", "windows-registry-key:values[*].data_type"},
}

func acceptComparison(typ string, o object) error {
	paths, values, err := comparisons(o.Pattern)
	if err != nil {
		return err
	}
	if typ != "Registry Key" && len(paths) != 1 || paths[0] != canonicalPaths[typ][0] && typ == "Registry Key" {
		return fmt.Errorf("comparisons of %q", paths)
	}
	for n, path := range paths {
		if !slices.Contains(canonicalPaths[typ], path) || strings.TrimSpace(values[n]) == "" {
			return fmt.Errorf("%q is compared with %q", path, values[n])
		}
	}
	return nil
}

func acceptHash(typ string, o object) error {
	if typ != "File" {
		return nil
	}
	form := map[string]string{"file:hashes.MD5": "^[0-9a-f]{32}$", "file:hashes.'SHA-1'": "^[0-9a-f]{40}$", "file:hashes.'SHA-256'": "^[0-9a-f]{64}$"}
	paths, values, _ := comparisons(o.Pattern)
	if !regexp.MustCompile(form[paths[0]]).MatchString(values[0]) {
		return fmt.Errorf("%s = %s", paths[0], values[0])
	}
	return nil
}

func acceptCase(typ string, o object) error {
	_, values, _ := comparisons(o.Pattern)
	lower := values[0]
	switch typ {
	case "Host", "EmailAddress", "File", "Address", "CIDR":
	case "URL":
		parts := schemeAndAuthority.FindStringSubmatch(lower)
		if parts == nil {
			return nil // as it stands
		}
		lower = parts[1] + parts[2][strings.LastIndex(parts[2], "@")+1:]
	default:
		return nil
	}
	if lower != strings.ToLower(lower) {
		return fmt.Errorf("%s is not in lower case", lower)
	}
	return nil
}

var schemeAndAuthority = regexp.MustCompile(`^([A-Za-z][A-Za-z0-9+.-]*)://([^/?#\\]*)`)

func acceptTimes(_ string, o object) error {
	created, err1 := time.Parse("2006-01-02T15:04:05.000Z", o.Created)
	modified, err2 := time.Parse("2006-01-02T15:04:05.000Z", o.Modified)
	until, err3 := time.Parse("2006-01-02T15:04:05.000Z", o.ValidUntil)
	switch {
	case err1 != nil || err2 != nil || err3 != nil:
		return errors.Join(err1, err2, err3)
	case o.ValidFrom != o.Created:
		return fmt.Errorf("valid from %s, created %s", o.ValidFrom, o.Created)
	case modified.Before(created) || !until.After(created) || !until.After(mappertest.Now):
		return fmt.Errorf("created %s, modified %s, valid until %s", o.Created, o.Modified, o.ValidUntil)
	}
	return nil
}

// descriptionMembers are those of a description, in the order of README.md, Mappings.
var descriptionMembers = regexp.MustCompile(`(?s)^\{"type": ".*", "summary": ".*", "confidence": (?:\d+|null), "rating": (?:[\d.]+|null), ` +
	`"threatAssessScore": (?:\d+|null), "ownerName": ".*", "associatedGroups": \[.*\], "attributes": \[.*\], "webLink": (?:".*"|null)\}$`)

func acceptDescription(typ string, o object) error {
	var d struct {
		Type             string
		Summary          *string
		Confidence       *json.Number
		AssociatedGroups []struct{ Type, Name, OwnerName *string }
		Attributes       []struct{ Type, Value *string }
	}
	if len(o.Description) > 1000 {
		return fmt.Errorf("%d bytes", len(o.Description))
	}
	if err := json.Unmarshal([]byte(o.Description), &d); err != nil {
		return err
	}
	if !descriptionMembers.MatchString(o.Description) || d.Type != typ || d.Summary == nil || d.AssociatedGroups == nil || d.Attributes == nil {
		return fmt.Errorf("members %s", o.Description)
	}
	for _, g := range d.AssociatedGroups {
		if g.Type == nil || g.Name == nil || g.OwnerName == nil || *g.OwnerName == "" && !strings.HasSuffix(o.Name, " | ") {
			return fmt.Errorf("a group lacks a member: %s", o.Description)
		}
	}
	for _, a := range d.Attributes {
		if a.Type == nil || a.Value == nil {
			return fmt.Errorf("an attribute lacks a member: %s", o.Description)
		}
	}
	if strings.Contains(o.Description, "State: inactive;") || strings.Contains(o.Description, "State: falsepos;") { // A7
		return fmt.Errorf("A7: %s", o.Description)
	}
	return nil
}

func acceptConfidence(_ string, o object) error {
	if o.Confidence == nil {
		return nil
	}
	if n, err := o.Confidence.Int64(); err != nil || n < 0 || n > 100 {
		return fmt.Errorf("confidence %s", *o.Confidence)
	}
	return nil
}

func acceptVersion(_ string, o object) error {
	if o.SpecVersion != "2.1" || o.Type != "indicator" || o.PatternType != "stix" || o.Revoked == nil || *o.Revoked {
		return fmt.Errorf("%s %s %s", o.Type, o.SpecVersion, o.PatternType)
	}
	if len(o.IndicatorTypes) != 1 || !slices.Contains([]string{"Botnet", "Phishing", "Malware", "unknown"}, o.IndicatorTypes[0]) { // A13
		return fmt.Errorf("A13: indicator types %q", o.IndicatorTypes)
	}
	return nil
}

// acceptID makes the version 5 UUID itself.
func acceptID(_ string, o object) error {
	namespace, err := hex.DecodeString("3ac58c0a736d4021b47980e23ae94aa0")
	if err != nil {
		return err
	}
	sum := sha1.Sum(append(namespace, o.Pattern...))
	sum[6], sum[8] = sum[6]&0x0f|0x50, sum[8]&0x3f|0x80
	if want := fmt.Sprintf("indicator--%x-%x-%x-%x-%x", sum[:4], sum[4:6], sum[6:8], sum[8:10], sum[10:16]); o.ID != want {
		return fmt.Errorf("id %s, want %s", o.ID, want)
	}
	return nil
}

func acceptMarkings(_ string, o object) error {
	known := []string{"613f2e26-407d-48c7-9eca-b8e91df99dc9", "34098fce-860f-48ae-8e50-ebd3cc5e41da",
		"f88d31f6-486f-44da-b317-01333bde0b82", "5e57c739-391a-4eb3-b6be-7d15ca92d5ed"}
	for _, ref := range o.ObjectMarkingRefs {
		if id, found := strings.CutPrefix(ref, "marking-definition--"); !found || !slices.Contains(known, id) {
			return fmt.Errorf("marking %s", ref)
		}
	}
	return nil
}

// acceptRetiring holds the object that ends the life of this one to the same identity.
func acceptRetiring(_ string, o object) error {
	later := mappertest.Now.Add(time.Hour)
	raw := stix.Retired{Pattern: o.of.Pattern, Name: o.of.Name, Created: o.of.Created, ValidUntil: later, Modified: later}.AppendJSON(nil)
	var r object
	if err := json.Unmarshal(raw, &r); err != nil {
		return err
	}
	if r.ID != o.ID || r.Pattern != o.Pattern || r.Created != o.Created || r.ValidFrom != o.ValidFrom || r.Name != o.Name || r.Modified <= o.Modified ||
		r.ValidUntil <= r.ValidFrom || r.Revoked == nil || *r.Revoked {
		return fmt.Errorf("retired as %s", raw)
	}
	return nil
}

// acceptClass sorts values into columns as Sentinel's workbook does, app/docs/sentinel.md#workbook-columns.
func acceptClass(typ string, o object) error {
	paths, values, _ := comparisons(o.Pattern)
	class := map[string]string{"ipv4-addr:value": "NetworkIP", "domain-name:value": "DomainName", "url:value": "Url", "email-addr:value": "EmailAddress"}[paths[0]]
	if strings.HasPrefix(paths[0], "file:hashes") {
		class = "File"
	}
	want := map[string]string{"Host": "DomainName", "URL": "Url", "EmailAddress": "EmailAddress", "File": "File"}[typ]
	if typ == "Address" || typ == "CIDR" {
		address, _, _ := strings.Cut(values[0], "/")
		addr, err := netip.ParseAddr(address)
		if err != nil || addr.String() != address || addr.Is4In6() {
			return fmt.Errorf("%s is not canonical", values[0])
		}
		if addr.Is4() {
			want = "NetworkIP"
		}
	}
	if class != want {
		return fmt.Errorf("%s is taken for %q, want %q", paths[0], class, want)
	}
	return nil
}
