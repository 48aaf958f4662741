package doctor

import (
	"encoding/json"
	"fmt"
	"strings"
	"time"

	"mssentinel/app/stix"
)

// probeObject is an object that is sent to see what becomes of it.
type probeObject struct {
	key     string         // what it is about; it is in its name and, with the pattern, in its id
	pattern string         // values of RFC 5737, 3849, 2606 and 5398 alone
	changes map[string]any // members beside the usual ones; nil takes one away
	version string         // "" for the only version or the newest
}

// Versions of an object that is sent more than once.
const (
	versionEarlier = "earlier" // sent before the newest
	versionOlder   = "older"   // sent after the newest, and modified before it
)

// name is what is noted about this version of the object.
func (o probeObject) name() string { return strings.TrimSpace(o.key + " " + o.version) }

// Keys of the objects that answers are about.
const (
	keyFirst     = "first"
	keyAgain     = "again"
	keyInvalid   = "invalid"
	keyCopies    = "copies"
	keyVersions  = "versions"
	keyRevoked   = "revoked"
	keyAnd       = "and"
	keyOr        = "or"
	keyQuote     = "quote"
	keyBackslash = "backslash"
	keyCIDR      = "cidr"
	keyASN       = "asn"
	keySubset    = "subset"
	keyLong      = "long"
	keyASCII     = "ascii"
	keyThree     = "three-byte"
	keyFour      = "four-byte"
	keyVersion   = "no-version"
	keyLarge     = "large"
	keyLongLabel = "long-label"
)

// labelCounts are the numbers of labels that are tried.
var labelCounts = []int{20, 100, 500}

func keyLabels(n int) string { return fmt.Sprintf("labels-%d", n) }

// Sizes of what is tried, above the bounds of app/docs/sentinel.md#cut-texts.
const (
	longLabel       = 300  // characters
	longPattern     = 1200 // bytes
	longDescription = 1100 // characters of one byte
	wideDescription = 600  // characters of three and of four bytes
)

// Values of the objects, of the ranges that are kept free for documentation.
const (
	cidrValue = "198.51.100.0/24"
	asnValue  = "ASN64496"
	firstHost = "192.0.2.1"
	quoteText = `https://doctor.invalid/it's`
	slashText = `HKEY_CURRENT_USER\Doctor`
)

func hostPattern(name string) string {
	return stix.Pattern(stix.Equal("domain-name:value", name+".doctor.invalid"))
}

// longURL is a URL that makes a pattern of more than 1,000 bytes.
func longURL() string { return "https://doctor.invalid/" + strings.Repeat("a", longPattern) }

// patternObjects are about what Sentinel makes of patterns.
func patternObjects() []probeObject {
	registry := []string{stix.Equal("windows-registry-key:key", slashText),
		stix.Equal("windows-registry-key:values[*].name", "Doctor"), stix.Equal("windows-registry-key:values[*].data_type", "REG_SZ")}
	return []probeObject{
		{key: keyAnd, pattern: stix.Pattern(registry...)},
		{key: keyOr, pattern: "[ipv6-addr:value = '2001:db8::1' OR ipv6-addr:value = '2001:db8::2']"},
		{key: keyQuote, pattern: stix.Pattern(stix.Equal("url:value", quoteText))},
		{key: keyBackslash, pattern: stix.Pattern(registry[0])},
		{key: keyCIDR, pattern: stix.Pattern(stix.Equal("ipv4-addr:value", cidrValue))},
		{key: keyASN, pattern: stix.Pattern(stix.Equal("autonomous-system:name", asnValue))},
		{key: keySubset, pattern: "[ipv4-addr:value ISSUBSET '203.0.113.0/24']"},
		{key: keyLong, pattern: stix.Pattern(stix.Equal("url:value", longURL()))},
	}
}

// textObjects are about where a description is cut, and what a missing version means.
func textObjects() []probeObject {
	describe := func(s string) map[string]any { return map[string]any{"description": s} }
	return []probeObject{
		{key: keyASCII, pattern: hostPattern(keyASCII), changes: describe(strings.Repeat("d", longDescription))},
		{key: keyThree, pattern: hostPattern(keyThree), changes: describe(strings.Repeat("…", wideDescription))},
		{key: keyFour, pattern: hostPattern(keyFour), changes: describe(strings.Repeat("😀", wideDescription))},
		{key: keyVersion, pattern: hostPattern(keyVersion), changes: map[string]any{"spec_version": nil}},
	}
}

// labelObjects are about how many labels, and how long ones, are kept.
func labelObjects() []probeObject {
	var objects []probeObject
	for _, n := range labelCounts {
		labels := make([]string, n)
		for i := range labels {
			labels[i] = fmt.Sprintf("doctor %d", i+1)
		}
		labels[0] = "doctor"
		objects = append(objects, probeObject{key: keyLabels(n), pattern: hostPattern(keyLabels(n)), changes: map[string]any{"labels": labels}})
	}
	labels := []string{"doctor", strings.Repeat("l", longLabel)}
	return append(objects, probeObject{key: keyLongLabel, pattern: hostPattern(keyLongLabel), changes: map[string]any{"labels": labels}})
}

// largeObject is about the size of a request: it makes one of so many bytes.
func (r *azureRun) largeObject(size int) probeObject {
	filler := func(n int) map[string]any {
		return map[string]any{"extensions": map[string]any{
			"extension-definition--1d0b1e1c-6d1a-4c8e-9a53-3d6b0a4f6f0d": map[string]any{"extension_type": "property-extension", "filler": strings.Repeat("f", n)}}}
	}
	object := probeObject{key: keyLarge, pattern: hostPattern(keyLarge), changes: filler(0)}
	object.changes = filler(size - len(r.encodeObject(object)) - len(`{"sourcesystem":"","stixobjects":[]}`) - len(r.source))
	return object
}

// identityOf is what the id of an object is made of.
//
// In Sentinel an object is its source system and its id (app/docs/sentinel.md#identity-and-updates), and the doctor's source
// is never that of the App. That alone keeps the doctor from touching an indicator, even one of ThreatConnect with the
// same value. The ids differ, too, so that nothing hangs on that one fact: what the doctor makes an id of is no pattern,
// because of what stands before it, and so no mapper, built-in or not, can have made the same.
//
// An object has the same id in each run, so that runs leave no more objects behind than one. Only the one that is revoked
// does not: revocation may be final.
func (r *azureRun) identityOf(o probeObject) string {
	if o.key == keyRevoked {
		return "doctor " + r.began.Format(time.RFC3339Nano) + " " + o.pattern
	}
	return "doctor " + o.key + " " + o.pattern
}

// stixID is the STIX id of an object.
func (r *azureRun) stixID(o probeObject) string {
	return "indicator--" + stix.ID(r.identityOf(o)).String()
}

// created is when all objects were created: it stays what it is when an object is sent again.
var created = time.Date(2026, 1, 1, 0, 0, 0, 0, time.UTC)

// Times of the objects before the run began. What was valid for one minute yesterday is matched by no rule, app/docs/sentinel.md#expiry-and-retirement.
const (
	olderBefore   = 30 * time.Minute // modified, of what is sent after something newer
	earlierBefore = time.Minute      // modified, of what is sent before something newer
	validBefore   = 24 * time.Hour
	validFor      = time.Minute
)

// namePrefix is what the name of each object begins with; the key and the version follow.
const namePrefix = "Doctor of the Microsoft Sentinel App: "

// encodeObject writes an object as JSON.
func (r *azureRun) encodeObject(o probeObject) []byte {
	members := map[string]any{
		"type": "indicator", "spec_version": "2.1", "id": r.stixID(o), "created": stampTime(created), "modified": r.stampBefore(0),
		"name": namePrefix + o.name(), "description": "{}", "indicator_types": []string{"unknown"},
		"pattern": o.pattern, "pattern_type": "stix", "pattern_version": "2.1", "confidence": 1, "labels": []string{"doctor"},
		"valid_from": r.stampBefore(validBefore), "valid_until": r.stampBefore(validBefore - validFor), "revoked": false,
	}
	for name, value := range o.changes {
		if value == nil {
			delete(members, name)
			continue
		}
		members[name] = value
	}
	encoded, err := json.Marshal(members)
	if err != nil {
		panic(err) // texts and numbers always encode
	}
	return encoded
}

// stampBefore is a time before the run began.
func (r *azureRun) stampBefore(before time.Duration) string { return stampTime(r.began.Add(-before)) }

func stampTime(t time.Time) string { return t.Format("2006-01-02T15:04:05.000Z") }

// earlierVersion is an object as it is sent before a newer version of it.
func (r *azureRun) earlierVersion(o probeObject) probeObject {
	return r.versionOf(o, versionEarlier, earlierBefore)
}

// olderVersion is an object as it is sent after a newer version of it.
func (r *azureRun) olderVersion(o probeObject) probeObject {
	return r.versionOf(o, versionOlder, olderBefore)
}

func (r *azureRun) versionOf(o probeObject, version string, before time.Duration) probeObject {
	o.version = version
	o.changes = map[string]any{"modified": r.stampBefore(before)}
	return o
}

// trackedObjects are those whose rows are looked for, by key.
func (r *azureRun) trackedObjects() []probeObject {
	objects := append(patternObjects(), textObjects()...)
	objects = append(objects, labelObjects()...)
	return append(objects, firstObject, againObject, versionedObject, revokedObject)
}

// Objects that are sent more than once.
var (
	firstObject     = probeObject{key: keyFirst, pattern: stix.Pattern(stix.Equal("ipv4-addr:value", firstHost))}
	againObject     = probeObject{key: keyAgain, pattern: hostPattern(keyAgain)}
	copiedObject    = probeObject{key: keyCopies, pattern: hostPattern(keyCopies)}
	versionedObject = probeObject{key: keyVersions, pattern: hostPattern(keyVersions)}
	revokedObject   = probeObject{key: keyRevoked, pattern: hostPattern(keyRevoked)}
	invalidObject   = probeObject{key: keyInvalid, pattern: hostPattern(keyInvalid), changes: map[string]any{"pattern": nil}}
)
